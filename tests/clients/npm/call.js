// SPDX-License-Identifier: Apache-2.0
// A WebRTC library of npm calls itself through a relay: each message on the data channel comes back. The last line of its output is JSON.
//
// Argument: JSON with "library"; "servers", one for each end, the second null if it has none; "bytes" that have to come back; and
// "seconds" that the call has to last. The folder in which the libraries are installed is the working directory.
'use strict';
const { createRequire } = require('module');
const path = require('path');

const wanted = JSON.parse(process.argv[2]);
const load = createRequire(path.join(process.cwd(), 'x.js'));
const api = { werift: 'werift', wrtc: '@roamhq/wrtc', datachannel: 'node-datachannel/polyfill' }[wanted.library];
const { RTCPeerConnection } = load(api);
const SIZE = 1100, WINDOW = 64 * 1024;

// What node-datachannel makes of a URL ends the username at its first colon, and knows no IPv6 address: it is told in parts.
function parts({ urls, username, credential }) {
  const [, hostname, port] = urls.match(/^turns?:\[?([^\]]*?)\]?:(\d+)\?/);
  return { hostname, port: Number(port), username, password: credential, relayType: urls.startsWith('turns') ? 'TurnTls' : urls.endsWith('tcp') ? 'TurnTcp' : 'TurnUdp' };
}

function endpoint(server, index) {
  if (wanted.library === 'datachannel') {
    const config = server ? { iceServers: [parts(server)], iceTransportPolicy: 'relay' } : { iceServers: [] };
    return new RTCPeerConnection({ peerConnection: new (load('node-datachannel').PeerConnection)(String(index), config) });
  }
  return new RTCPeerConnection(server ? { iceServers: [server], iceTransportPolicy: 'relay' } : { iceServers: [] });
}

function message(number) {
  const bytes = Buffer.alloc(SIZE, number & 0xff);
  bytes.writeUInt32BE(number);
  return bytes;
}

// Candidates of the two ends of the pair that is in use: each library tells in its own way.
async function pair(pc) {
  if (wanted.library === 'datachannel') {
    const { local, remote } = pc.sctp.transport.iceTransport.getSelectedCandidatePair();
    return [local.type, remote.type];
  }
  if (wanted.library === 'werift') {
    const { localCandidate, remoteCandidate } = pc.iceTransports[0].connection.nominated;
    return [localCandidate.type, remoteCandidate.type];
  }
  const stats = await pc.getStats();
  const transport = [...stats.values()].find((s) => s.type === 'transport');
  const chosen = stats.get(transport.selectedCandidatePairId);
  return [chosen.localCandidateId, chosen.remoteCandidateId].map((id) => stats.get(id).candidateType);
}

async function main() {
  const [left, right] = wanted.servers.map(endpoint);
  for (const [one, other] of [[left, right], [right, left]]) {
    const waiting = [];
    one.onicecandidate = ({ candidate }) => {
      if (!candidate || !candidate.candidate) return;
      if (other.remoteDescription) other.addIceCandidate(candidate);
      else waiting.push(candidate);
    };
    one.flush = () => waiting.splice(0).forEach((c) => other.addIceCandidate(c));
  }
  const channel = left.createDataChannel('messages');
  channel.binaryType = 'arraybuffer';
  let sent = 0, back = 0, wrong = 0;
  const begun = Date.now();
  const done = new Promise((resolve) => {
    // One by one at first: wrtc turns around what comes before its ondatachannel has returned.
    const fill = () => {
      while (sent === back || (back > 0 && (sent - back) * SIZE < WINDOW)) channel.send(message(sent++));
    };
    channel.onopen = fill;
    channel.onmessage = ({ data }) => {
      const got = Buffer.from(data), expected = message(back++);
      if (!got.equals(expected) && !wrong++) console.log(`message ${back - 1} came back as ${got.length} bytes ${got.subarray(0, 8).toString('hex')}`);
      if (back * SIZE >= wanted.bytes && Date.now() - begun >= wanted.seconds * 1000) return resolve();
      // A long call is no bulk transfer.
      if (back * SIZE < wanted.bytes) fill();
      else if (sent === back) setTimeout(fill, 200);
    };
  });
  right.ondatachannel = ({ channel: other }) => {
    other.binaryType = 'arraybuffer';
    other.onmessage = ({ data }) => other.send(Buffer.from(data));
  };
  await left.setLocalDescription(await left.createOffer());
  await right.setRemoteDescription(left.localDescription);
  left.flush();
  await right.setLocalDescription(await right.createAnswer());
  await left.setRemoteDescription(right.localDescription);
  right.flush();
  await done;
  const [one, other] = [await pair(left), await pair(right)];
  console.log(JSON.stringify({ pairs: [one, other], back, bytes: back * SIZE, wrong, seconds: (Date.now() - begun) / 1000 }));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
