# SPDX-License-Identifier: Apache-2.0
"""Clients of the relay under test, with credentials as the portal makes them."""
import base64
import hashlib
import itertools
import os
import socket
import sys
import time

from harness import PATIENCE, SECRET

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from firezone_client import Client, Refused, Timeout  # noqa: E402,F401

WINDOW = 20


SALTS = itertools.count()


def credentials(ttl=3600, secret=SECRET):
    """What the portal makes for a client, out of the secret that the relay joined with: each one has its own salt."""
    expiry, salt = int(time.time()) + ttl, f"salt{next(SALTS)}"
    digest = hashlib.sha256(f"{expiry}:{secret}:{salt}".encode()).digest()
    return f"{expiry}:{salt}", base64.b64encode(digest).decode().rstrip("=")


class Flow:
    """A client with an allocation, a channel, and a peer that answers."""

    def __init__(self, test, port, secret=SECRET):
        self.client = Client(("127.0.0.1", port), *credentials(secret=secret))
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.settimeout(PATIENCE)
        test.addCleanup(self.close)
        self.client.allocate()
        self.channel = self.client.bind(self.peer.getsockname())
        self.count = 0

    def relay(self, packets):
        """Relays so many packets there and back, a window at a time; each has to arrive."""
        for _ in range(0, packets, WINDOW):
            sent = [b"%d" % (self.count + i) for i in range(WINDOW)]
            self.count += WINDOW
            for payload in sent:
                self.client.send(self.channel, payload)
            for payload in sent:
                data, source = self.peer.recvfrom(2048)
                assert data == payload, (data, payload)
                self.peer.sendto(data, source)
            for payload in sent:
                assert self.client.receive(PATIENCE) == (self.channel, payload)

    def keep_alive(self):
        self.client.refresh()
        self.client.bind(self.peer.getsockname(), self.channel)

    def close(self):
        self.client.close()
        self.peer.close()
