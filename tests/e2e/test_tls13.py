# SPDX-License-Identifier: Apache-2.0
"""TLS 1.3 of OpenSSL and GnuTLS: each cipher, and keys that change while data goes both ways. Argument: the relay."""

import shutil
import socket
import ssl
import subprocess
import sys
import unittest

from authority import Authority, context
from foreign_tls import GnuTls, OpenSsl
from harness import DEADLINE, EchoPeers, Relay, binding_request, main, wait_for
from stream_client import StreamClient, free_port

BINARY = sys.argv[1]
del sys.argv[1:2]


@unittest.skipIf(not shutil.which("openssl"), "no openssl here")
class Tls13(unittest.TestCase):
    SIZES = (1, 40, 1280, 3000)

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.authority.make("relay")
        cls.authority.put()
        cls.port = free_port()
        cls.relay = Relay(BINARY, "--tls-listen-port", str(cls.port), "--tls-cert", cls.authority.cert, "--tls-key", cls.authority.key,
                          "--max-allocations-per-user", "0", "--replace-allocation", "no")
        try:
            with socket.create_connection(("127.0.0.1", cls.port), timeout=DEADLINE) as connection, \
                    context(minimum_version=ssl.TLSVersion.TLSv1_3).wrap_socket(connection) as wrapped:
                cls.missing = None if wrapped.version() == "TLSv1.3" else wrapped.version()
        except ssl.SSLError:
            cls.missing = "this mbedTLS has no TLS 1.3"

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()
        cls.authority.folder.cleanup()

    def setUp(self):
        if self.missing:
            self.skipTest(self.missing)

    def talk(self, client, channel, rounds):
        """Data of all sizes, several at a time: the peer sends it back, turned round."""
        for n in range(rounds):
            texts = [bytes((n + k + size) % 256 for k in range(size - size % 7)) or b"x" for size in self.SIZES]
            for text in texts:
                client.send(channel, text)
            for text in texts:
                self.assertEqual(client.receive(), (channel, text[::-1]))

    def check(self, kind, cipher):
        if kind.missing():
            self.skipTest(kind.missing())
        made = []

        def wrap(connection):
            made.append(kind(connection, cipher))
            return made[0]

        with EchoPeers(1) as peers:
            client = StreamClient(("127.0.0.1", self.port), *self.relay.credentials(), wrap=wrap)
            self.addCleanup(client.close)
            tls = made[0]
            self.assertEqual(tls.version(), "TLSv1.3")
            client.allocate()
            channel = client.bind(peers.addresses()[0])
            self.talk(client, channel, 3)
            for n in range(1, 11):
                before = tls.updates
                tls.update(n % 2 == 1)
                self.talk(client, channel, 3)
                # Whoever was asked has answered, once, and nobody else has.
                self.assertEqual(tls.updates - before, n % 2)
            # Two before anything else is sent have one answer.
            before = tls.updates
            tls.update(True)
            tls.update(True)
            self.talk(client, channel, 3)
            self.assertEqual(tls.updates - before, 1)
            client.refresh()

    def test_openssl(self):
        for cipher in OpenSsl.ciphers:
            with self.subTest(cipher):
                self.check(OpenSsl, cipher)

    def test_gnutls(self):
        for cipher in GnuTls.ciphers:
            with self.subTest(cipher):
                self.check(GnuTls, cipher)

    def test_s_client(self):
        """What openssl's own client does when its user says K, and k."""
        with open(self.authority.path("out"), "wb") as out, \
                subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.port, "-tls1_3", "-msg"], stdin=subprocess.PIPE, stdout=out,
                                 stderr=subprocess.STDOUT) as client:
            self.addCleanup(client.kill)

            def output():
                with open(out.name, "rb") as f:
                    return f.read()

            def ask():
                request, kind, rest = binding_request()
                client.stdin.write(request)
                client.stdin.flush()
                wait_for(lambda: output().count(rest), "the answer")
                self.assertEqual(output()[output().index(rest) - 4:][:2], kind)

            wait_for(lambda: b"Verify return code" in output(), "the handshake")
            ask()
            for n, command in enumerate((b"K", b"k", b"K"), 1):
                client.stdin.write(command + b"\n")
                client.stdin.flush()
                wait_for(lambda: output().count(b">>> TLS 1.3, Handshake [length 0005], KeyUpdate") == n, "it to have said so")
                ask()
            self.assertEqual(output().count(b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate"), 2)
            client.stdin.close()
            self.assertEqual(client.wait(DEADLINE), 0)

    def test_no_ticket(self):
        """Sessions are not resumed: nothing is sent for that."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection, context().wrap_socket(connection) as wrapped:
            wrapped.sendall(binding_request()[0])
            self.assertTrue(wrapped.recv(2048))
            self.assertFalse(wrapped.session.has_ticket)


if __name__ == "__main__":
    main()
