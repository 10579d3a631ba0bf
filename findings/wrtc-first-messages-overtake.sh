#!/usr/bin/env bash
# wrtc (libwebrtc for node): the first messages of an ordered data channel may be handed over in the wrong order.
#
# Version:   @roamhq/wrtc 0.10.0 (npm)
# Guess:     a data channel is ordered unless it is made otherwise (WebRTC's API: "ordered" is true by default), from its first message on:
#            what comes before the page has taken the channel from its "datachannel" event waits in a queue, and is heard first.
# Behaviour: a message that comes in the moment in which that event is handed over is heard before those that have waited for it. So a program
#            whose peer sends at once when the channel opens meets "19 0 1 2 … 18" in two or three calls of a hundred on an idle machine, and in
#            half of them through a relay on a busy one. No message is lost or heard twice. A peer that waits for an answer to its
#            first message never sees it.
# Seen:      see `expected` below: of up to 600 calls on loopback, a hundred seconds, until the first one in which that happens.
. "$(dirname "$0")/lib/finding.sh"

need npm node
(cd "$dir" && npm install --ignore-scripts --no-audit --no-fund @roamhq/wrtc@0.10.0 >npm.log 2>&1) || cannot "npm install @roamhq/wrtc@0.10.0"
cat >"$dir/calls.js" <<'END'
const { RTCPeerConnection } = require("@roamhq/wrtc");
const COUNT = 20, CALLS = 600;

function gathered(pc) {
  return new Promise((resolve) => (pc.onicecandidate = ({ candidate }) => candidate || resolve(pc.localDescription)));
}

async function call() {
  const left = new RTCPeerConnection(), right = new RTCPeerConnection();
  const channel = left.createDataChannel("messages"), came = [];
  const done = new Promise((resolve) => {
    channel.onopen = () => {
      for (let i = 0; i < COUNT; i++) channel.send(Buffer.alloc(1000, i));
    };
    right.ondatachannel = ({ channel: other }) => {
      other.onmessage = ({ data }) => came.push(new Uint8Array(data)[0]) === COUNT && resolve();
    };
  });
  left.setLocalDescription(await left.createOffer());
  await right.setRemoteDescription(await gathered(left));
  right.setLocalDescription(await right.createAnswer());
  await left.setRemoteDescription(await gathered(right));
  await done;
  const ordered = channel.ordered;
  left.close();
  right.close();
  return { came, ordered };
}

(async () => {
  for (let i = 0; i < CALLS; i++) {
    const { came, ordered } = await call();
    if (came.every((number, place) => number === place)) continue;
    console.error(`call ${i}: ${came.join(" ")}`);
    console.log("ordered:", ordered);
    console.log("in the order in which they were sent: false");
    console.log("each of them once:", new Set(came).size === COUNT);
    process.exit();
  }
  console.log("in the order in which they were sent: true");
  process.exit();
})();
END
seen=$(cd "$dir" && timeout 300 node calls.js || echo "no end")
expected='ordered: true
in the order in which they were sent: false
each of them once: true'
stated "$expected" "$seen"
