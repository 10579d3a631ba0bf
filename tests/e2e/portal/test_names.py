# SPDX-License-Identifier: Apache-2.0
"""The portal's name: looked up at each attempt without holding anything up, all addresses tried, families raced."""
import http.client
import os
import socket
import tempfile
import time
import unittest

from flows import Flow
from harness import PATIENCE, TLS, Portal, PortalTest, Subject, free_port, timing

LATE = "takes long; trying the addresses that worked last"


def silent_listener(test, host, port):
    """Neither takes nor refuses connections: a listener whose queue is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    test.addCleanup(listener.close)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(0)
    for _ in range(8):
        filler = socket.socket(family)
        test.addCleanup(filler.close)
        filler.setblocking(False)
        filler.connect_ex((host, port))


class Names(PortalTest):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = os.path.join(directory.name, "names")

    def resolves_to(self, *lines):
        with open(self.file + ".new", "w") as file:
            file.write("".join(line + "\n" for line in lines))
        os.rename(self.file + ".new", self.file)

    def named(self, port, **env):
        scheme = "wss" if TLS else "ws"
        env.setdefault("PORTAL_TIMING", timing(backoff_first="20ms", backoff_max="80ms"))
        return self.subject(
            f"{scheme}://portal.test:{port}", LD_PRELOAD=os.environ["PORTAL_FAKE_NAMES"], FAKE_NAMES=self.file, **env
        )

    def test_all_addresses_are_tried(self):
        portal = self.portal()
        self.resolves_to("127.0.0.5", "127.0.0.4", "127.0.0.3", "127.0.0.2", "127.0.0.1")
        subject = self.named(portal.port)
        subject.wait(f"{Subject.CONNECTED}.* at 127.0.0.1:")
        self.assertNotRegex(subject.output(), Subject.RETRY)

    def overtaken(self, silent, answering):
        port = free_port()
        try:
            silent_listener(self, silent, port)
            portal = self.portal(port=port, host=answering)
        except OSError as error:
            self.skipTest(f"no such loopback here: {error}")
        self.resolves_to(silent, answering)
        shown = f"[{answering}]" if ":" in answering else answering
        subject = self.named(portal.port, PORTAL_TIMING=timing(connect="30s", attempt="30s"))
        subject.wait(f"{Subject.CONNECTED}.* at {shown}:".replace("[", r"\["))
        self.assertNotRegex(subject.output(), Subject.RETRY)

    def test_ipv4_overtakes_a_silent_ipv6(self):
        self.overtaken("::1", "127.0.0.1")

    def test_ipv6_overtakes_a_silent_ipv4(self):
        self.overtaken("127.0.0.1", "::1")

    def test_an_address_that_accepts_but_says_nothing_is_tried_last_next_time(self):
        port = free_port()
        silent = socket.create_server(("127.0.0.2", port))
        self.addCleanup(silent.close)
        portal = self.portal(port=port)
        self.resolves_to("127.0.0.2", "127.0.0.1")
        subject = self.named(portal.port, PORTAL_TIMING=timing(attempt="300ms"))
        subject.wait(f"took too long; {Subject.RETRY}")
        subject.wait(f"{Subject.CONNECTED}.* at 127.0.0.1:")

    def test_looked_up_at_each_attempt(self):
        port = free_port()
        self.resolves_to("fail")
        subject = self.named(port)
        subject.wait(f"cannot look up portal.test: .*{Subject.RETRY}")
        portal = self.portal(port=port, host="127.0.0.2")
        self.resolves_to("127.0.0.2")
        subject.wait(f"{Subject.CONNECTED}.* at 127.0.0.2:")
        self.portal(port=port, host="127.0.0.3")
        self.resolves_to("127.0.0.3")
        portal.close()
        subject.wait(f"{Subject.CONNECTED}.* at 127.0.0.3:")

    def test_the_addresses_that_worked_last_are_used_when_the_look_up_fails(self):
        portal, endings = self.bounced()
        self.resolves_to("127.0.0.9", "127.0.0.1")
        subject = self.named(portal.port, PORTAL_TIMING=timing(heartbeat="30ms"))
        subject.wait(Subject.CONNECTED)
        self.resolves_to("fail")
        for _ in range(3):
            endings.append(True)
            subject.wait("cannot look up portal.test: .*; trying the addresses that worked last")
            subject.wait(f"{Subject.CONNECTED}.* at 127.0.0.1:")

    def test_a_look_up_that_hangs_holds_nothing_up(self):
        portal, endings = self.bounced()
        self.resolves_to("127.0.0.1")
        subject = self.named(portal.port, PORTAL_TIMING=timing(heartbeat="30ms", lookup="300ms"))
        health = subject.wait(r"Health and metrics on http://(\S+)").group(1)
        flow = Flow(self, int(subject.wait(r"Listening on \S+:(\d+),").group(1)))
        self.resolves_to("hang")
        for _ in range(2):
            endings.append(True)
            subject.wait(Subject.RETRY)
            start = time.monotonic()
            connection = http.client.HTTPConnection(health, timeout=PATIENCE)
            connection.request("GET", "/healthz")
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            flow.relay(200)
            subject.wait(LATE)
            subject.wait(f"{Subject.CONNECTED}.* at 127.0.0.1:")
            self.assertLess(time.monotonic() - start, PATIENCE)

    def test_a_look_up_that_hangs_at_the_start_is_waited_for(self):
        portal = self.portal()
        self.resolves_to("hang")
        subject = self.named(portal.port, PORTAL_TIMING=timing(attempt="200ms", lookup="50ms"))
        subject.wait(f"took too long; {Subject.RETRY}")
        subject.wait(f"took too long; {Subject.RETRY}")
        self.resolves_to("127.0.0.1")
        subject.wait(Subject.CONNECTED)
        self.assertNotIn(LATE, subject.output())

    def test_shutdown_while_looking_up(self):
        self.resolves_to("hang")
        subject = self.named(free_port())
        subject.wait("connecting to")
        subject.terminate()
        self.assertEqual(subject.wait_exit(), 0)


if __name__ == "__main__":
    unittest.main()
