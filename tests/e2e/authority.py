# SPDX-License-Identifier: Apache-2.0
"""Certificates for relays that listen for TLS, and what clients take them with."""

import os
import ssl
import subprocess
import tempfile


class Authority:
    """Certificates that sign themselves, in files."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.cert, self.key = self.path("cert.pem"), self.path("key.pem")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def make(self, name, kind=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), days=2):
        """A certificate of `name` in files of their own, which renew() puts in place. Returns what a client knows it by."""
        subprocess.run(["openssl", "req", "-x509", *kind, "-nodes", "-keyout", self.path("key.new"), "-out", self.path("cert.new"), "-days",
                        str(days), "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        with open(self.path("cert.new"), encoding="ascii") as f:
            return ssl.PEM_cert_to_DER_cert(f.read())

    def put(self):
        """As certbot does: one name after the other leads to the new file."""
        for name in ("cert", "key"):
            os.rename(self.path(name + ".new"), self.path(name + ".pem"))


def context(**more):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    for key, value in more.items():
        setattr(c, key, value)
    return c
