# SPDX-License-Identifier: Apache-2.0
"""The health port under those who mean it no good, and where descriptors have run out."""

import os
import shutil
import socket
import sys
import time
import unittest

from firezone_client import Client, Refused
from harness import Relay, answers_binding, is_sanitized, main, wait_for
from unread import pour, resident
from watch import Metrics, endpoint, request

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))


def main_thread_seconds(pid):
    """CPU time of the process's first thread."""
    with open("/proc/%d/task/%d/stat" % (pid, pid), encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Memory(unittest.TestCase):
    def test_unread_answers_are_bounded(self):
        """Requests one behind the other, whose answers nobody reads: 2 MiB for 20 connections, whatever is sent."""
        with Relay(BINARY, workers=WORKERS) as relay:
            port = endpoint(relay)
            before = resident(port)
            sockets, sent = pour(port, 20, 1.5)
            self.assertGreater(sent, 1 << 20)
            if not is_sanitized(BINARY):  # it keeps what is freed
                self.assertLess(resident(port) - before, 2 << 20)
            self.assertEqual(request(port, "GET", "/healthz")[0], 200)
            for s in sockets:
                s.close()


    def test_workers_take_memory_when_they_use_it(self):
        # Meson has malloc write to all that it gives.
        with Relay(BINARY, workers=64, env={"MALLOC_PERTURB_": "0"}) as relay:
            if not is_sanitized(BINARY):
                self.assertLess(resident(endpoint(relay)), 64 << 20)


class Full(unittest.TestCase):
    def test_a_relay_without_a_portal_says_so(self):
        with Relay(BINARY, workers=WORKERS, v6=None, port_count=1) as relay, Client(relay.address(), *relay.credentials()) as client, \
                Client(relay.address(), *relay.credentials()) as other:
            port = endpoint(relay)
            self.assertEqual(request(port, "GET", "/readyz")[0::2], (200, "ready\n"))
            client.allocate()
            self.assertEqual(request(port, "GET", "/readyz")[0::2], (503, "full\n"))
            self.assertEqual(request(port, "GET", "/healthz")[0], 200)
            self.assertEqual(Metrics(port).get("relay_full"), 1)
            # Clients know no other one: they are answered.
            self.assertTrue(answers_binding(socket.AF_INET, relay.v4, relay.port))
            with self.assertRaises(Refused) as refused:
                other.allocate()
            self.assertEqual(refused.exception.code, 508)
            self.assertTrue(relay.told(r'WARN relay: This relay is full: new allocations are refused with 508 reason="no free port"'))
            client.refresh(0)
            self.assertEqual(request(port, "GET", "/readyz")[0], 200)
            other.allocate()


class Descriptors(unittest.TestCase):
    """All are used: by a full relay, and by connections that never finish a request."""
    HARD = 160

    @unittest.skipUnless(shutil.which("prlimit"), "prlimit (util-linux) is not here")
    def test_checks_are_answered_and_nothing_spins(self):
        with Relay(BINARY, workers=WORKERS, wrapper=("prlimit", "--nofile=%d:%d" % (self.HARD, self.HARD))) as relay:
            port = endpoint(relay)
            clients, full = [], False
            while not full:
                client = Client(relay.address(), *relay.credentials(salt="h%d" % len(clients)))
                clients.append(client)
                try:
                    client.allocate()
                except Refused as error:
                    self.assertEqual(error.code, 508)
                    full = True
            flood = []
            for _ in range(self.HARD):
                s = socket.create_connection(("127.0.0.1", port), 10)
                s.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
                flood.append(s)
            wait_for(lambda: relay.find("No descriptor was left"), "the shortage")
            # It takes a moment to let go of so many; then it has to be quiet, with all who are left still holding on.
            self.assertEqual(request(port, "GET", "/healthz", timeout=5)[0], 200)
            before = main_thread_seconds(relay.process.pid)
            begin = time.monotonic()
            while time.monotonic() - begin < 2:
                asked = time.monotonic()
                self.assertEqual(request(port, "GET", "/healthz", timeout=5)[0], 200)
                self.assertLess(time.monotonic() - asked, 1)
                time.sleep(0.2)
            self.assertLess(main_thread_seconds(relay.process.pid) - before, 0.4)
            self.assertTrue(answers_binding(socket.AF_INET, *relay.address()))
            for s in flood + clients:
                s.close()


if __name__ == "__main__":
    main()
