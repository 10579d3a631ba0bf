# SPDX-License-Identifier: Apache-2.0
"""Portals that speak TLS, well and badly."""
import os
import socket
import ssl
import unittest
import warnings

from harness import Certs, PortalTest, Subject, timing


class Tls(PortalTest):
    def tls_subject(self, url, **env):
        env.setdefault("SSL_CERT_FILE", Certs.path("ca.pem"))
        return self.subject(url, **env)

    def named(self, portal):
        return portal.url.replace("127.0.0.1", "localhost")

    def refused(self, cert, pattern, **env):
        portal = self.portal(tls=cert)
        subject = self.tls_subject(self.named(portal), **env)
        subject.wait(f"{pattern}.*{Subject.RETRY}")
        subject.wait(Subject.RETRY)
        self.assertTrue(portal.requests.empty(), "nothing was sent to a portal that is not trusted")

    def test_name(self):
        portal = self.portal(tls="good")
        names = []
        portal.context.sni_callback = lambda sock, name, context: names.append(name)
        self.tls_subject(self.named(portal)).wait(Subject.INIT)
        self.assertEqual(names, ["localhost"])

    def test_https_and_address(self):
        portal = self.portal(tls="good")
        names = []
        portal.context.sni_callback = lambda sock, name, context: names.append(name)
        self.tls_subject(portal.url.replace("wss:", "https:")).wait(Subject.INIT)
        self.assertEqual(names, [None])

    def test_heartbeats(self):
        portal = self.portal(tls="good")
        self.tls_subject(self.named(portal), PORTAL_TIMING=timing(heartbeat="30ms"))
        for ref in range(4):
            self.assertEqual(portal.message()["ref"], ref)

    def test_directory(self):
        portal = self.portal(tls="good")
        subject = self.tls_subject(
            self.named(portal), SSL_CERT_FILE=None, SSL_CERT_DIR="/nonexistent:" + os.path.dirname(Certs.path("ca.pem"))
        )
        subject.wait(Subject.INIT)

    def test_expired(self):
        self.refused("expired", "certificate has expired")

    def test_not_yet_valid(self):
        self.refused("future", "not valid yet")

    def test_self_signed(self):
        self.refused("self", "not signed by a trusted authority")

    def test_wrong_name(self):
        self.refused("other", "for another name")

    def test_no_fallback_on_the_common_name(self):
        self.refused("cn_only", "for another name")

    def test_wrong_address(self):
        portal = self.portal(tls="other")
        self.tls_subject(portal.url).wait(f"for another name.*{Subject.RETRY}")

    def test_system_bundle_does_not_know_the_test_authority(self):
        if not os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
            self.skipTest("no system bundle")
        self.refused("good", "not signed by a trusted authority", SSL_CERT_FILE="")

    def test_no_certificates_at_all(self):
        subject = self.tls_subject("wss://127.0.0.1:1", SSL_CERT_FILE="/nonexistent")
        self.assertEqual(subject.wait_exit(), 2)
        self.assertRegex(subject.output(), "no CA certificate found in SSL_CERT_FILE=/nonexistent")

    def test_tls_1_1_only(self):
        portal = self.portal(tls="good", maximum_tls=ssl.TLSVersion.TLSv1_1)
        subject = self.tls_subject(self.named(portal))
        subject.wait(f"TLS: .*{Subject.RETRY}")
        subject.wait(f"TLS: .*{Subject.RETRY}")
        self.assertTrue(portal.requests.empty())
        # It is the version that is refused: a client that puts up with it gets in.
        context = ssl.create_default_context(cafile=Certs.path("ca.pem"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", portal.port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as old:
                self.assertEqual(old.version(), "TLSv1.1")

    def test_no_tls_there(self):
        plain = self.portal()
        self.tls_subject(plain.url.replace("ws:", "wss:")).wait(f"TLS: .*{Subject.RETRY}")

    def test_slow_handshake(self):
        def script(portal, peer, number):
            portal.stopping.wait(30)

        raw = self.raw(script)
        subject = self.tls_subject(raw.url.replace("ws:", "wss:"), PORTAL_TIMING=timing(attempt="200ms"))
        subject.wait(f"took too long; {Subject.RETRY}")

    def test_end_within_handshake(self):
        def script(portal, peer, number):
            peer.recv(100)
            peer.shutdown(socket.SHUT_RDWR)

        raw = self.raw(script)
        self.tls_subject(raw.url.replace("ws:", "wss:")).wait(f"; {Subject.RETRY}")

    def test_close_over_tls(self):
        portal = self.portal(tls="good")
        subject = self.tls_subject(self.named(portal))
        subject.wait(Subject.INIT)
        subject.terminate()
        self.assertEqual(portal.closes.get(timeout=30)[0], 1000)
        self.assertEqual(subject.wait_exit(), 0)


if __name__ == "__main__":
    unittest.main()
