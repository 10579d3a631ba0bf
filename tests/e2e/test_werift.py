# SPDX-License-Identifier: Apache-2.0
"""werift's WebRTC, from npm, against the built relay: a data channel between two endpoints that may use the relay alone. It sends what it
has through channels, ICE's checks too.

WERIFT names a folder in which it is installed; else it is installed into a temporary one."""

import os
import subprocess
import sys
import tempfile
import unittest

import npm
from harness import Relay, main

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
VERSION = "0.25.2"
PATIENCE = 90
HERE = os.path.dirname(os.path.abspath(__file__))


class Werift(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = npm.folder_with(cls, "WERIFT", "werift@" + VERSION, PATIENCE)

    def call(self, relay, credentials, count):
        host, port = relay.address()
        return subprocess.run(
            ["node", os.path.join(HERE, "werift", "call.js"), "%s:%d" % (host, port), *credentials, str(count)],
            env={**os.environ, "WERIFT": self.folder}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)

    def relays(self, relay, credentials):
        done = self.call(relay, credentials, 100)
        self.assertEqual(done.returncode, 0, done.stdout + relay.output())
        self.assertIn("100 messages there and back, candidates relay relay", done.stdout)

    def test_a_data_channel(self):
        with Relay(BINARY, workers=WORKERS) as relay:
            self.relays(relay, (*relay.credentials(), *relay.credentials()))

    def test_among_users(self):
        """What RFC 8489 adds to challenges does not disturb it."""
        with tempfile.NamedTemporaryFile("w", suffix=".users") as users:
            users.write("alice:wonderland\nbob:builder\n")
            users.flush()
            with Relay(BINARY, "--auth", "static", "--users-file", users.name, workers=WORKERS) as relay:
                self.relays(relay, ("alice", "wonderland", "bob", "builder"))


if __name__ == "__main__":
    main()
