// SPDX-License-Identifier: Apache-2.0
// Two WebRTC endpoints of werift that reach each other through a relay alone: every message on the data channel comes back.
//
// Arguments: the relay as host:port, then username and password for each of both, then how many messages. The folder in which werift is
// installed stands in WERIFT.
'use strict';
const { createRequire } = require('module');
const path = require('path');
const { RTCPeerConnection } = createRequire(path.join(process.env.WERIFT, 'x.js'))('werift');

const [server, user1, password1, user2, password2, count] = process.argv.slice(2);

function endpoint(username, credential) {
  return new RTCPeerConnection({
    iceTransportPolicy: 'relay',
    iceServers: [{ urls: `turn:${server}`, username, credential }],
  });
}

function opened(channel) {
  return channel.readyState === 'open' ? Promise.resolve() : new Promise((resolve) => channel.stateChanged.subscribe((s) => s === 'open' && resolve()));
}

async function main() {
  const left = endpoint(user1, password1), right = endpoint(user2, password2);
  const channel = left.createDataChannel('through the relay');
  right.onDataChannel.subscribe((other) => other.onMessage.subscribe((data) => other.send(data)));
  await left.setLocalDescription(await left.createOffer());
  await right.setRemoteDescription(left.localDescription);
  await right.setLocalDescription(await right.createAnswer());
  await left.setRemoteDescription(right.localDescription);
  await opened(channel);
  for (let i = 0; i < Number(count); i++) {
    const message = Buffer.alloc(1 + (i * 37) % 1000, i);
    const back = new Promise((resolve) => channel.onMessage.once(resolve));
    channel.send(message);
    const got = await back;
    if (!Buffer.from(got).equals(message)) throw new Error(`message ${i} came back as ${got}`);
  }
  const candidates = [left, right].map((c) => c.localDescription.sdp.match(/a=candidate:.*/g) || []);
  console.log(`${count} messages there and back, candidates ${candidates.flat().map((c) => c.split(' ')[7]).join(' ')}`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
