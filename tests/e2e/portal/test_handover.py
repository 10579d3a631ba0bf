# SPDX-License-Identifier: Apache-2.0
"""A relay that takes another one's place is the same relay for the portal: it has one at every moment, and clients are told nothing."""
import http.client
import os
import select
import socket
import tempfile
import threading
import time
import unittest

from flows import Flow, Refused
from harness import PATIENCE, PortalTest, free_port, free_udp_port, phoenix, timing


class Probes(threading.Thread):
    """Asks for readiness all the time."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.ends, self.answers = address, False, []

    def run(self):
        while not self.ends:
            connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
            try:
                connection.request("GET", "/readyz")
                self.answers.append(connection.getresponse().status)
            except OSError as error:
                self.answers.append(str(error))
            connection.close()
            time.sleep(0.01)


class Handover(PortalTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.port = free_udp_port()
        self.health = "127.0.0.1:%d" % free_port()
        self.options = {"HANDOVER_SOCKET": os.path.join(folder.name, "handover"), "LISTEN_PORT": str(self.port),
                        "HEALTH_CHECK_ADDR": self.health, "NUM_WORKER_THREADS": "2"}

    def relay(self, portal, **more):
        relay = self.subject(portal.url, **{**self.options, **more})
        relay.wait("Another process can take over")
        return relay

    def test_the_portal_has_one_relay_throughout(self):
        joined = []
        alive = []

        async def script(portal, connection, number):
            joined.append(connection)
            alive.append(sum(c.open for c in joined))
            await phoenix(portal, connection, number)

        portal = self.portal(script)
        relay = self.relay(portal)
        secret = portal.secrets[0]
        flow = Flow(self, self.port, secret)
        probes = Probes(self.health)
        probes.start()
        for count in range(2, 6):
            after = self.relay(portal)
            self.assertEqual(relay.wait_exit(), 0, relay.output())
            self.assertIn("Handed over to process", relay.output())
            self.assertEqual(portal.secrets, [secret] * count)
            flow.relay(100)
            flow.keep_alive()
            relay = after
        probes.ends = True
        probes.join(PATIENCE)
        # The one before was there when the next one came, and nobody came again.
        self.assertEqual(alive, [1, 2, 2, 2, 2])
        self.assertEqual(set(probes.answers), {200}, probes.answers)
        self.assertNotIn("next try in", relay.output())

    def test_a_portal_that_is_away(self):
        """The successor relays all the same, and joins when it can; the old one has nothing to wait for."""
        portal = self.portal()
        relay = self.relay(portal, PORTAL_TIMING=timing(heartbeat="100ms"))
        secret = portal.secrets[0]
        flow = Flow(self, self.port, secret)
        portal.close()
        relay.wait("next try in")
        after = self.relay(portal)
        after.wait("next try in")
        flow.relay(100)
        again = self.portal(port=portal.port)
        after.wait("connected to the portal")
        self.assertEqual(again.secrets[0], secret)
        self.assertEqual(relay.wait_exit(), 0, relay.output())
        flow.relay(100)

    def test_a_token_that_is_not_taken(self):
        """What the successor has taken over does not end with it: it is relayed to its end, or taken over by the next one."""
        portal = self.portal()
        first = self.relay(portal)
        secret = portal.secrets[0]
        flow, other = Flow(self, self.port, secret), Flow(self, self.port, secret)
        portal.refuse = lambda n: (401, [], b"Invalid token")
        second = self.relay(portal)
        first.wait("The successor has not joined the portal: .*401")
        self.assertEqual(first.wait_exit(), 0, first.output())
        second.wait("ERROR portal: .*401")
        second.wait("relayed to its end: no new allocations; waiting for those that live$")
        flow.relay(100)
        flow.keep_alive()
        with self.assertRaises(Refused) as refused:
            Flow(self, self.port, secret)
        self.assertEqual(refused.exception.code, 508)
        portal.refuse = None
        third = self.relay(portal)
        self.assertEqual(second.wait_exit(), 0, second.output())
        self.assertEqual(portal.secrets, [secret, secret])
        flow.relay(100)
        late = Flow(self, self.port, secret)
        late.relay(20)
        # And the end: the last allocation's, with the status of what went wrong.
        portal.refuse = lambda n: (401, [], b"Invalid token")
        fourth = self.relay(portal)
        self.assertEqual(third.wait_exit(), 0, third.output())
        fourth.wait("waiting for those that live$")
        flow.relay(20)
        fourth.terminate()
        fourth.wait("SIGTERM: no new allocations; .* A second signal ends this at once")
        flow.relay(20)
        for each in (flow, other, late):
            each.client.refresh(0)
        self.assertEqual(fourth.wait_exit(), 1, fourth.output())

    def test_a_service_is_ready_once_it_may_relay(self):
        """The service manager is told so."""
        path = self.options["HANDOVER_SOCKET"] + ".notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(PATIENCE)
            held = []

            async def script(portal, connection, number):
                held.append(manager.fileno() in select.select([manager], [], [], 0.3)[0])
                await phoenix(portal, connection, number)

            self.relay(self.portal(script), NOTIFY_SOCKET=path)
            self.assertIn(b"READY=1", manager.recv(4096))
            self.assertEqual(held, [False])

    def test_a_successor_without_a_portal_is_refused(self):
        portal = self.portal()
        relay = self.relay(portal)
        standalone = self.subject(portal.url, **self.options, FIREZONE_TOKEN="")
        self.assertEqual(standalone.wait_exit(), 1)
        self.assertIn("one of both has a portal and the other has none", standalone.output())
        relay.wait("did not take over: one of both has a portal")
        self.assertEqual(len(portal.secrets), 1)


if __name__ == "__main__":
    unittest.main()
