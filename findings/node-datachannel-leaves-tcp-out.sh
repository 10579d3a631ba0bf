#!/usr/bin/env bash
# node-datachannel: a TURN server by TCP or TLS is taken, and then left out.
#
# Version:   node-datachannel 0.33.4 (npm, its prebuilt binary: libdatachannel with libjuice)
# Guess:     its type of a server, relayType, has TurnUdp, TurnTcp and TurnTls, and its RTCPeerConnection takes "turn:…?transport=tcp": so all three work,
#            or what does not is refused by an exception.
# Behaviour: with TurnTcp and TurnTls it connects nowhere. No exception and no event tells of it: gathering is complete at once, without a candidate of
#            the relay. A line of its log does, which is off unless asked for: libjuice has UDP alone, and the prebuilt binary comes with no other.
# Seen:      see `expected` below: whether a server at 127.0.0.1 is sent a datagram or a connection, and the log at the level of warnings.
. "$(dirname "$0")/lib/finding.sh"

need npm node
(cd "$dir" && npm install --ignore-scripts --no-audit --no-fund node-datachannel@0.33.4 >npm.log 2>&1) || cannot "npm install node-datachannel@0.33.4"
cat >"$dir/call.js" <<'END'
const library = require("node-datachannel");
const relayType = process.argv[2];
const say = (what) => console.log(`${relayType}: ${what}`);
const leave = (what) => {
  say(what);
  process.exit();
};
const server = require("net").createServer(() => leave("a connection"));
server.listen(0, "127.0.0.1", () => {
  const socket = require("dgram").createSocket("udp4");
  socket.on("message", () => leave("a datagram"));
  socket.bind(server.address().port, "127.0.0.1", () => {
    library.initLogger("Warning", (level, text) => say(text.replace(/^.*\d: /, "")));
    const { port } = server.address();
    const pc = new library.PeerConnection("x", { iceServers: [{ hostname: "127.0.0.1", port, username: "alice", password: "secret", relayType }] });
    pc.onGatheringStateChange((state) => state === "complete" && setTimeout(() => leave("nothing, and gathering is complete"), 1000));
    pc.createDataChannel("x");
  });
});
setTimeout(() => leave("nothing in 20 s"), 20000);
END
seen=$(cd "$dir" && for type in TurnUdp TurnTcp TurnTls; do timeout 30 node call.js $type 2>/dev/null; done)
expected='TurnUdp: a datagram
TurnTcp: TURN transports TCP and TLS are not supported with libjuice
TurnTcp: nothing, and gathering is complete
TurnTls: TURN transports TCP and TLS are not supported with libjuice
TurnTls: nothing, and gathering is complete'
stated "$expected" "$seen"
