# SPDX-License-Identifier: Apache-2.0
"""The portal goes away and comes back while the relay is at work: who is relayed does not notice."""
import base64
import hashlib
import http.client
import os
import signal
import socket
import sys
import time
import unittest

from harness import PATIENCE, SECRET, Portal, PortalTest, Subject, timing

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from firezone_client import Client, Refused  # noqa: E402

WINDOW = 20


def credentials(ttl=3600):
    """What the portal makes for a client, out of the secret that the relay joined with."""
    expiry = int(time.time()) + ttl
    digest = hashlib.sha256(f"{expiry}:{SECRET}:salt".encode()).digest()
    return f"{expiry}:salt", base64.b64encode(digest).decode().rstrip("=")


class Flow:
    """A client with an allocation, a channel, and a peer that answers."""

    def __init__(self, test, port):
        self.client = Client(("127.0.0.1", port), *credentials())
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

    def close(self):
        self.client.close()
        self.peer.close()


class Outage(PortalTest):
    def ready(self, health):
        connection = http.client.HTTPConnection(health, timeout=PATIENCE)
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        return status

    def start(self, portal, **env):
        subject = self.subject(portal.url, RUST_LOG="info", **env)
        health = subject.wait(r"Health and metrics on http://(\S+)").group(1)
        return subject, health

    def test_nothing_is_open_before_init(self):
        async def script(portal, connection, number):
            await portal.join(connection, init=False)
            while not begin:
                await portal.receive(connection)  # heartbeats
            await connection.close()

        begin = []
        portal = self.portal(script)
        subject, health = self.start(portal, PORTAL_TIMING=timing(heartbeat="50ms"))
        subject.wait(Subject.CONNECTED)
        self.assertEqual(self.ready(health), 503)
        self.assertNotIn("Listening on", subject.output())
        subject.terminate()
        self.assertEqual(subject.wait_exit(), 0)

    def test_relaying_goes_on(self):
        portal = self.portal()
        subject, health = self.start(portal)
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        self.assertEqual(self.ready(health), 200)
        flow = Flow(self, port)
        flow.relay(200)
        portal.close()
        for _ in range(3):
            subject.wait(Subject.RETRY)
            flow.relay(500)
        other = Flow(self, port)  # new clients come as long as their credentials are good
        other.relay(100)
        self.assertEqual(self.ready(health), 200)
        again = Portal(port=portal.port)
        self.addCleanup(again.close)
        subject.wait(Subject.CONNECTED)
        join = again.message()
        self.assertEqual(join["payload"], {"stamp_secret": SECRET})
        flow.relay(200)
        other.relay(100)
        self.assertNotIn("Deleted allocation", subject.output())
        self.assertNotIn("expired", subject.output())
        self.drain(subject, health, again, flow, other)

    def drain(self, subject, health, portal, flow, other):
        """The shutdown: gone from the portal at once, but what lives is relayed to its end."""
        subject.terminate()
        self.assertEqual(portal.closes.get(timeout=PATIENCE)[0], 1000)
        subject.wait("no new allocations")
        self.assertEqual(self.ready(health), 503)
        flow.relay(100)
        late = Client(flow.client.socket.getpeername(), *credentials())
        self.addCleanup(late.close)
        with self.assertRaises(Refused) as refused:
            late.allocate()
        self.assertEqual(refused.exception.code, 508)
        flow.client.refresh(0)
        other.relay(100)
        self.assertIsNone(subject.process.poll())
        other.client.refresh(0)
        self.assertEqual(subject.wait_exit(), 0)

    def test_second_signal(self):
        portal = self.portal()
        subject, _ = self.start(portal)
        flow = Flow(self, int(subject.wait(r"Listening on \S+:(\d+),").group(1)))
        flow.relay(20)
        subject.terminate()
        subject.wait("no new allocations")
        subject.process.send_signal(signal.SIGINT)
        self.assertEqual(subject.wait_exit(), 0)

    def test_away_for_too_long(self):
        portal = self.portal()
        subject, _ = self.start(portal, PORTAL_TIMING=timing(partition="300ms"))
        subject.wait("Listening on")
        portal.close()
        self.assert_fatal(subject, "no connection to the portal")


if __name__ == "__main__":
    unittest.main()
