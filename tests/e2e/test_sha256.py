# SPDX-License-Identifier: Apache-2.0
"""RFC 8489 logins against the built relay: keys by SHA-256, USERHASH, and what happens when somebody on the way takes them out. With
this project's own client, and with @msimerson/stun from npm, which nobody here wrote.

MSIMERSON names a folder in which that is installed; else it is installed into a temporary one."""

import base64
import hashlib
import hmac
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import npm
import stun
from harness import DEADLINE, SECRET, EchoPeers, Relay, main, wait_for

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))
VERSION = "3.2.1"
PATIENCE = 60
HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    def __init__(self, relay):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(relay.address())

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def ask(self, method, attributes, key=None, is_sha256=False):
        transaction = stun.new_transaction()
        self.socket.send(stun.build(method, stun.REQUEST, transaction, attributes, key, is_sha256=is_sha256))
        answer = stun.Message(self.socket.recv(2000))
        assert answer.transaction == transaction
        return answer

    def challenge(self):
        answer = self.ask(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP)])
        assert answer.error() == 401, answer.error()
        return answer


def rest_credentials(name):
    username = "%d:%s" % (time.time() + 3600, name)
    mac = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(mac).decode()


class Own(unittest.TestCase):
    def setUp(self):
        self.users = tempfile.NamedTemporaryFile("w", suffix=".users")
        self.addCleanup(self.users.close)
        self.write("alice:wonderland", "bob:builder")

    def write(self, *lines):
        self.users.seek(0)
        self.users.truncate()
        self.users.write("\n".join(lines) + "\n")
        self.users.flush()

    def static(self, *more):
        return Relay(BINARY, "--auth", "static", "--users-file", self.users.name, "--realm", "example.org", *more,
                     workers=WORKERS)

    def talk(self, relay, username, password, hidden):
        with Client(relay) as client, EchoPeers(1) as peers:
            challenge = client.challenge()
            self.assertEqual(stun.algorithms_of(challenge.get(stun.PASSWORD_ALGORITHMS)), [stun.SHA256, stun.MD5])
            self.assertLessEqual(len(challenge.data), 120)
            attributes, key, is_sha256 = stun.login(challenge, username, password)
            self.assertEqual(attributes[0][0] == stun.USERHASH, hidden)
            for method, more in (
                    (stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP)]), (stun.REFRESH, []),
                    (stun.CREATE_PERMISSION, [(stun.XOR_PEER_ADDRESS, peers.addresses()[0])]),
                    (stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, stun.channel_value(0x4000)),
                                         (stun.XOR_PEER_ADDRESS, peers.addresses()[0])])):
                answer = client.ask(method, attributes + more, key, is_sha256)
                self.assertEqual(answer.error(), 0)
                self.assertTrue(answer.verify_sha256(key))
                self.assertFalse(answer.is_signed(), "it was signed by SHA-1, too")
            client.socket.send(stun.channel_data(0x4000, b"there and back"))
            self.assertEqual(stun.read_channel_data(client.socket.recv(2000)), (0x4000, b"kcab dna ereht"))
            answer = client.ask(stun.REFRESH, attributes + [(stun.LIFETIME, stun.number(0))], key, is_sha256)
            self.assertEqual(answer.error(), 0)

    def test_static_users(self):
        with self.static() as relay:
            self.talk(relay, "alice", "wonderland", hidden=True)
            self.talk(relay, "bob", "builder", hidden=True)

    def test_rest(self):
        with Relay(BINARY, "--auth", "rest", workers=WORKERS) as relay:
            self.talk(relay, *rest_credentials("alice"), hidden=False)

    def test_both(self):
        with Relay(BINARY, "--auth", "rest,static", "--users-file", self.users.name, workers=WORKERS) as relay:
            self.talk(relay, *rest_credentials("alice"), hidden=False)
            self.talk(relay, "bob", "builder", hidden=False)

    def test_the_name_is_in_the_log(self):
        with self.static() as relay:
            self.talk(relay, "alice", "wonderland", hidden=True)
            wait_for(lambda: relay.find("alice"), "her name in the log")

    def test_bid_down(self):
        """Somebody on the way takes SHA-256 out of the list, or the cookie out of the nonce."""
        with self.static() as relay, Client(relay) as client:
            challenge = client.challenge()
            less = struct_of(stun.MD5)
            attributes = [(stun.USERNAME, b"alice"), (stun.REALM, b"example.org"), (stun.NONCE, challenge.get(stun.NONCE)),
                          (stun.PASSWORD_ALGORITHMS, less), (stun.PASSWORD_ALGORITHM, less),
                          (stun.REQUESTED_TRANSPORT, stun.UDP)]
            key = stun.key_of("alice", "example.org", "wonderland")
            answer = client.ask(stun.ALLOCATE, attributes, key, True)
            self.assertEqual(answer.error(), 400)
            self.assertFalse(answer.verify_sha256(key))
            attributes[2] = (stun.NONCE, challenge.get(stun.NONCE)[13:])
            answer = client.ask(stun.ALLOCATE, attributes, key, True)
            self.assertEqual(answer.error(), 438)
            self.assertEqual(stun.features_of(answer.get(stun.NONCE)), stun.OFFERS_ALGORITHMS | stun.OFFERS_ANONYMITY)

    def test_a_user_by_a_key(self):
        """Nobody is offered what she has not."""
        key = stun.key_of("kate", "example.org", "shrew")
        self.write("alice:wonderland", "kate:0x" + key.hex())
        with self.static() as relay, Client(relay) as client:
            challenge = client.challenge()
            self.assertIsNone(challenge.get(stun.PASSWORD_ALGORITHMS))
            self.assertEqual(stun.features_of(challenge.get(stun.NONCE)), stun.OFFERS_ANONYMITY)
            attributes, made, is_sha256 = stun.login(challenge, "kate", "shrew")
            self.assertEqual((made, is_sha256), (key, False))
            answer = client.ask(stun.ALLOCATE, attributes + [(stun.REQUESTED_TRANSPORT, stun.UDP)], made)
            self.assertEqual(answer.error(), 0)
            self.assertTrue(answer.verify(key))

    def test_stamp_has_none_of_it(self):
        with Relay(BINARY, workers=WORKERS) as relay, Client(relay) as client:
            challenge = client.challenge()
            self.assertEqual([t for t, _, _ in challenge.attributes], [stun.ERROR_CODE, stun.REALM, stun.NONCE])
            self.assertEqual(len(challenge.get(stun.NONCE)), 32)


def struct_of(*algorithms):
    return b"".join(a.to_bytes(2, "big") + bytes(2) for a in algorithms)


class Npm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = npm.folder_with(cls, "MSIMERSON", "@msimerson/stun@" + VERSION, PATIENCE)

    def run_client(self, relay, user, password):
        host, port = relay.address()
        done = subprocess.run(
            ["node", os.path.join(HERE, "msimerson", "login.js"), "%s:%d" % (host, port), user, password],
            env={**os.environ, "MSIMERSON": self.folder}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + relay.output())
        return done.stdout.splitlines()

    def test_static_users(self):
        with tempfile.NamedTemporaryFile("w", suffix=".users") as users:
            users.write("alice:wonderland\n")
            users.flush()
            with Relay(BINARY, "--auth", "static", "--users-file", users.name, workers=WORKERS) as relay:
                self.assertEqual(self.run_client(relay, "alice", "wonderland"),
                                 ["error 401, features 0xc0, algorithms 2,1", "allocate: success, signed by SHA-256",
                                  "refresh: success, signed by SHA-256"])
                self.assertEqual(self.run_client(relay, "alice", "wrong")[1:],
                                 ["allocate: 401, not signed by SHA-256", "refresh: 401, not signed by SHA-256"])

    def test_rest(self):
        with Relay(BINARY, "--auth", "rest", workers=WORKERS) as relay:
            self.assertEqual(self.run_client(relay, *rest_credentials("alice")),
                             ["error 401, features 0x80, algorithms 2,1", "allocate: success, signed by SHA-256",
                              "refresh: success, signed by SHA-256"])


if __name__ == "__main__":
    main()
