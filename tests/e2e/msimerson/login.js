/* SPDX-License-Identifier: Apache-2.0 */
/* Logs in as RFC 8489 has it, with what @msimerson/stun makes and reads of messages: node login.js HOST:PORT USER PASSWORD.
 * MSIMERSON names the folder that it is installed in. Prints what the server has offered and how each request was answered. */
'use strict';
const crypto = require('crypto');
const dgram = require('dgram');
const stun = require(process.env.MSIMERSON + '/node_modules/@msimerson/stun');
const {attributeType: attr, messageType: type, passwordAlgorithm} = require(process.env.MSIMERSON + '/node_modules/@msimerson/stun/src/lib/constants');

const [server, user, password] = process.argv.slice(2);
const [host, port] = server.split(':');
const socket = dgram.createSocket('udp4');

function ask(message) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('no answer')), 10000);
    socket.once('message', data => {
      clearTimeout(late);
      resolve(stun.decode(data));
    });
    socket.send(message.toBuffer(), Number(port), host);
  });
}

function request(kind) {
  const message = stun.createMessage(kind);
  if (kind === type.ALLOCATE_REQUEST)
    message.addAttribute(attr.REQUESTED_TRANSPORT, 17 << 24);
  return message;
}

async function main() {
  const challenge = await ask(request(type.ALLOCATE_REQUEST));
  const nonce = challenge.getNonce(), realm = challenge.getRealm(), offered = challenge.getPasswordAlgorithms();
  const features = nonce.startsWith('obMatJos2') ? Buffer.from(nonce.slice(9, 13), 'base64')[0] : 0;
  const algorithm = offered[0].algorithm;
  console.log(`error ${challenge.getError().code}, features 0x${features.toString(16)}, algorithms ${offered.map(o => o.algorithm)}`);
  const key = crypto.createHash(algorithm === passwordAlgorithm.SHA_256 ? 'sha256' : 'md5').update(`${user}:${realm}:${password}`).digest();
  for (const kind of [type.ALLOCATE_REQUEST, type.REFRESH_REQUEST]) {
    const message = request(kind);
    if (features & 0x40)
      message.addUserhash(user, realm);
    else
      message.addUsername(user);
    message.addRealm(realm);
    message.addNonce(nonce);
    message.addPasswordAlgorithms(offered);
    message.addPasswordAlgorithm(algorithm);
    message.addMessageIntegritySha256(key);
    message.addFingerprint();
    const answer = await ask(message);
    const error = answer.getError();
    const signed = stun.validateMessageIntegritySha256(answer, key) ? 'signed by SHA-256' : 'not signed by SHA-256';
    console.log(`${kind === type.ALLOCATE_REQUEST ? 'allocate' : 'refresh'}: ${error ? error.code : 'success'}, ${signed}`);
  }
  socket.close();
}

main().catch(error => {
  console.error(error.stack);
  process.exit(1);
});
