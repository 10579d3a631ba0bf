# SPDX-License-Identifier: Apache-2.0
"""Portals that speak TLS, well and badly."""
import os
import shutil
import socket
import ssl
import subprocess
import unittest
import warnings

from harness import TLS_1_3, Certs, PortalTest, Subject, join_raw, serve_raw, timing


class Tls(PortalTest):
    def tls_subject(self, url, **env):
        env.setdefault("SSL_CERT_FILE", Certs.path("ca.pem"))
        return self.subject(url, **env)

    def named(self, portal):
        return portal.url.replace("127.0.0.1", "localhost")

    @staticmethod
    def healthy(portal, peer, number):
        join_raw(peer)
        serve_raw(peer)

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

    def test_versions(self):
        for cert in "good", "rsa":
            for version in [ssl.TLSVersion.TLSv1_2] + [ssl.TLSVersion.TLSv1_3] * TLS_1_3:
                for option in 0, ssl.OP_CIPHER_SERVER_PREFERENCE:
                    with self.subTest(cert=cert, version=version.name, option=option):
                        portal = self.portal(tls=cert, versions=version)
                        # Whose order of ciphers and signatures counts.
                        portal.context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
                        portal.context.options |= option
                        subject = self.tls_subject(self.named(portal), PORTAL_TIMING=timing(heartbeat="30ms"))
                        subject.wait(Subject.INIT)
                        self.assertEqual([portal.message()["ref"] for _ in range(3)], [0, 1, 2])
                        self.assertEqual(portal.requests.qsize(), 1)
                        twice = TLS_1_3 and cert == "rsa" and version == ssl.TLSVersion.TLSv1_2 and option
                        self.assertEqual(subject.output().count("signs TLS 1.2 with RSA-PSS"), 1 if twice else 0)

    def test_newest_version(self):
        portal = self.portal(tls="good")
        seen = []
        handle = portal.script

        async def script(portal, connection, number):
            seen.append(connection.transport.get_extra_info("ssl_object").version())
            await handle(portal, connection, number)

        portal.script = script
        self.tls_subject(self.named(portal)).wait(Subject.INIT)
        self.assertEqual(seen, ["TLSv1.3" if TLS_1_3 else "TLSv1.2"])

    def test_tls_1_3_only(self):
        raw = self.raw(self.healthy, tls="good", versions=ssl.TLSVersion.TLSv1_3)
        subject = self.tls_subject(raw.url)
        if TLS_1_3:
            subject.wait(Subject.INIT)
        else:
            subject.wait(f"wants another version than TLS 1.2, most likely 1.3.*TLS alert protocol_version.; {Subject.RETRY}")

    def test_tls_1_1_only(self):
        raw = self.raw(self.healthy, tls="good", versions=(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1))
        subject = self.tls_subject(raw.url)
        for _ in range(2):
            subject.wait(f"TLS: the server (speaks neither TLS 1.2 nor 1.3|.* has to speak TLS 1.2).*{Subject.RETRY}")
        # It is the version that is refused: a client that puts up with it gets in.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(Certs.path("ca.pem"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(raw.listener.getsockname()) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as old:
                self.assertEqual(old.version(), "TLSv1.1")

    @unittest.skipUnless(shutil.which("openssl"), "no openssl here to make the certificate")
    def test_ed25519_only(self):
        key, cert = Certs.path("ed25519.key"), Certs.path("ed25519.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
            check=True,
            capture_output=True,
        )
        raw = self.raw(self.healthy, tls="ed25519")
        self.tls_subject(raw.url).wait(f"ECDSA or RSA, not Ed25519 .TLS alert handshake_failure.; {Subject.RETRY}")

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
