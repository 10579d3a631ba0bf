#!/usr/bin/env bash
# node-datachannel: a TURN username with a colon, as the REST scheme's are, is cut at the colon.
#
# Version:   node-datachannel 0.33.4 (npm)
# Guess:     its RTCPeerConnection takes iceServers as browsers do: username and credential are passed on as they are. Time-limited credentials
#            have usernames "expiry:name" (coturn's use-auth-secret), so that most services need colons to work.
# Behaviour: it makes one URL of the three, "turn:USERNAME:CREDENTIAL@HOST:PORT", without a percent sign anywhere, and that is taken apart at its
#            first colon: the server is asked for user "1700000000", and the password begins with the rest of the name. A server knows no such user
#            and answers 401. An "@" in one of them moves the host. Callers have to encode username and credential themselves, or give the
#            library's own PeerConnection the parts of the server; with the former every other library is then told a wrong name.
# Seen:      see `expected` below: the USERNAME in the second Allocate request.
. "$(dirname "$0")/lib/finding.sh"

need npm node
(cd "$dir" && npm install --ignore-scripts --no-audit --no-fund node-datachannel@0.33.4 >npm.log 2>&1) || cannot "npm install node-datachannel@0.33.4"
cat >"$dir/server.js" <<'END'
// Answers an Allocate with 401, and tells the USERNAME of the next.
const socket = require("dgram").createSocket("udp4");
socket.on("message", (request, from) => {
  if (request.readUInt16BE(0) !== 0x0003) return;
  for (let at = 20; at + 4 <= request.length; at += 4 + ((request.readUInt16BE(at + 2) + 3) & ~3)) {
    if (request.readUInt16BE(at) !== 0x0006) continue;
    console.log(request.subarray(at + 4, at + 4 + request.readUInt16BE(at + 2)).toString());
    process.exit();
  }
  const error = Buffer.from("0009000400000401001400017200000000150001" + "6e000000", "hex");
  const head = Buffer.from(request.subarray(0, 20));
  head.writeUInt16BE(0x0113, 0);
  head.writeUInt16BE(error.length, 2);
  socket.send(Buffer.concat([head, error]), from.port, from.address);
});
socket.bind(0, "127.0.0.1", async () => {
  const { RTCPeerConnection } = require("node-datachannel/polyfill");
  const urls = `turn:127.0.0.1:${socket.address().port}`;
  const pc = new RTCPeerConnection({ iceServers: [{ urls, username: process.argv[2], credential: "secret" }] });
  pc.createDataChannel("x");
  await pc.setLocalDescription(await pc.createOffer());
});
setTimeout(() => {
  console.log("no Allocate in 10 s");
  process.exit();
}, 10000);
END
seen=$(cd "$dir" && for name in alice 1700000000:alice 1700000000%3Aalice; do echo "$name: $(timeout 30 node server.js "$name" 2>/dev/null)"; done)
expected='alice: alice
1700000000:alice: 1700000000
1700000000%3Aalice: 1700000000:alice'
stated "$expected" "$seen"
