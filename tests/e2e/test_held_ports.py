# SPDX-License-Identifier: Apache-2.0
"""Other programs hold ports of the range for allocations: no client is refused while a port is free. In a network namespace."""

import random
import resource
import socket
import sys
import unittest

import netns
from firezone_client import Client, Refused
from harness import Relay, main

BINARY = sys.argv.pop(1)


def hold(ports, family):
    """Sockets of another program at these ports."""
    held = []
    for port in ports:
        s = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        held.append(s)
    return held


class HeldPorts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        netns.run("ip", "link", "set", "lo", "up")
        # The clients' own ports are none of the range's.
        netns.run("sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=10000 30000")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        seed = random.randrange(1 << 32)
        print("seed %d" % seed)
        cls.random = random.Random(seed)

    def setUp(self):
        self.open = []

    def tearDown(self):
        for s in self.open:
            s.close()

    def client(self, relay):
        client = Client(relay.address(socket.AF_INET if relay.v4 else socket.AF_INET6), *relay.credentials())
        self.open.append(client)
        client.allocate()
        return client

    def all_of_the_free(self, families, **relay_options):
        """Half of 400 ports are another program's. All the others are given out, and again when some come back."""
        for family in families:
            self.open += hold(self.random.sample(range(50000, 50400), 200), family)
        free = 400 - len({s.getsockname()[1] for s in self.open})
        with Relay(BINARY, ports=(50000, 50399), **relay_options) as relay:
            clients = [self.client(relay) for _ in range(free)]
            with self.assertRaises(Refused) as refused:
                self.client(relay)
            self.assertEqual(refused.exception.code, 508)
            for client in self.random.sample(clients, 20):
                client.refresh(0)
            for _ in range(20):
                self.client(relay)

    def test_half_of_the_range_ipv4(self):
        self.all_of_the_free([socket.AF_INET], v6=None)

    def test_half_of_the_range_ipv6(self):
        self.all_of_the_free([socket.AF_INET6], v4=None)

    def test_half_of_the_range_in_each_family(self):
        self.all_of_the_free([socket.AF_INET, socket.AF_INET6], workers=2)

    def test_six_thousand_other_sockets(self):
        self.open += hold(self.random.sample(range(49152, 65536), 6000), socket.AF_INET)
        with Relay(BINARY, ports=(49152, 65535), v6=None) as relay:
            for _ in range(1500):
                self.client(relay)


if __name__ == "__main__":
    MISSING = netns.enter()
    if MISSING:
        print("skipped: " + MISSING)
        sys.exit(77)
    main()
