# SPDX-License-Identifier: Apache-2.0
"""A relay without room: new clients hear nothing of it and turn to another one, its own go on, and operators are told."""
import re
import select
import signal
import socket
import time
import unittest
import urllib.error
import urllib.request

from flows import Client, Flow, Refused, credentials
import stun  # found through flows
from harness import PATIENCE, PortalTest, free_udp_port

FULL = "This relay is full: new clients' Binding requests are not answered"


class Full(PortalTest):
    def start(self, **env):
        only = str(free_udp_port())
        subject = self.subject(self.portal().url, LOWEST_PORT=only, HIGHEST_PORT=only, **env)
        self.health = subject.wait(r"Health and metrics on (http://\S+)").group(1)
        self.port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        return subject

    def get(self, path):
        try:
            with urllib.request.urlopen(self.health + path, timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        return int(re.search(r"^%s (\d+)$" % re.escape(name), self.get("/metrics")[1], re.M).group(1))

    def wait_for(self, what, name):
        end = time.monotonic() + PATIENCE
        while not what():
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.02)

    def turned_away(self):
        return self.metric('relay_dropped_packets_total{reason="full"}')

    def stranger(self):
        client = Client(("127.0.0.1", self.port), *credentials())
        self.addCleanup(client.close)
        return client

    def knock_in_vain(self, client):
        before = self.turned_away()
        client.socket.send(stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), []))
        self.wait_for(lambda: self.turned_away() > before, "the request to be left alone")
        self.assertEqual(select.select([client.socket], [], [], 0)[0], [], "no answer")

    def test_full(self):
        subject = self.start()
        self.assertEqual((self.get("/readyz"), self.metric("relay_full")), ((200, "ready\n"), 0))
        self.assertTrue(self.stranger().binding())
        flow = Flow(self, self.port)
        self.assertEqual(self.get("/readyz"), (503, "full\n"))
        self.wait_for(lambda: self.metric("relay_full") == 1, "the metric")
        self.assertEqual(self.get("/healthz")[0], 200)
        for _ in range(3):
            self.knock_in_vain(self.stranger())
        subject.wait(FULL + r".* reason=\"no free port\"")
        # A client that is in and idle, and whose NAT has given it another port, looks like any other.
        moved = self.stranger()
        moved.username, moved.key = flow.client.username, flow.client.key
        self.knock_in_vain(moved)
        self.assertTrue(flow.client.binding())
        flow.relay(20)
        flow.keep_alive()
        with self.assertRaises(Refused) as refused:
            self.stranger().allocate()
        self.assertEqual(refused.exception.code, 508)
        # But if it asks for what it had, it gets that.
        with self.assertRaises(Refused) as refused:
            moved.refresh()
        self.assertEqual(refused.exception.code, 437)
        moved.allocate()
        self.assertTrue(moved.binding())
        moved.refresh(0)
        self.wait_for(lambda: self.get("/readyz") == (200, "ready\n"), "room")
        self.assertTrue(self.stranger().binding())
        Flow(self, self.port).relay(20)
        self.assertEqual(subject.output().count(FULL), 1)

    def test_shutting_down(self):
        subject = self.start()
        flow = Flow(self, self.port)
        subject.process.send_signal(signal.SIGTERM)
        subject.wait("SIGTERM: no new allocations")
        self.assertEqual(self.get("/readyz"), (503, "shutting down\n"))
        self.wait_for(lambda: self.turned_away() or self.stranger().socket.send(
            stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), [])) < 0, "the workers to know")
        self.knock_in_vain(self.stranger())
        self.assertTrue(flow.client.binding())
        flow.relay(20)
        flow.client.refresh(0)
        self.assertEqual(subject.wait_exit(), 0)
        self.assertNotIn(FULL, subject.output())
        self.assertIn("Goodbye!", subject.output())

    def test_other_protocols_at_the_port(self):
        subject = self.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            for _ in range(5):
                client.send(b"\x16\xfe\xfd" + bytes(60))
            self.wait_for(lambda: self.metric('relay_dropped_packets_total{reason="tls"}') == 5, "all to be dropped")
            subject.wait(r"INFO relay: A client speaks DTLS or TLS to the UDP port.* sender=127.0.0.1:%d" % client.getsockname()[1])
        self.assertEqual(subject.output().count("speaks DTLS or TLS"), 1)


if __name__ == "__main__":
    unittest.main()
