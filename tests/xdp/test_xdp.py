# SPDX-License-Identifier: Apache-2.0
"""The kernel data path end to end: the built relay in network namespaces, and every frame that arrives looked at."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import lab
import netns
from firezone_client import Client
from harness import DEADLINE, main, wait_for

BINARY, STUB = sys.argv[1:3]
MISSING = lab.missing(BINARY, STUB) or netns.enter()
del sys.argv[1:3]

CLIENTS = ("10.77.1.2/24", "fd77:1::2/64")
PEERS = ("10.77.2.2/24", "fd77:2::2/64")
RELAY = {4: "10.77.1.1", 6: "fd77:1::1"}
# Small enough, and large enough, for the frames that Ethernet has; odd ones too.
SIZES = (18, 19, 99, 100, 101, 700, 1001, 1280)


@unittest.skipIf(MISSING, MISSING)
class TwoInterfaces(unittest.TestCase):
    """Clients behind c0, peers behind p0."""

    def setUp(self):
        netns.run("ip", "link", "set", "lo", "up")
        self.client_end = self.end("c0", ("10.77.1.1/24", "fd77:1::1/64"), CLIENTS)
        self.peer_end = self.end("p0", ("10.77.2.1/24", "fd77:2::1/64"), PEERS)

    def end(self, name, near, far, **more):
        end = lab.End(STUB, **more)
        self.addCleanup(end.close)
        netns.link(name, near, end.namespace, far)
        self.addCleanup(subprocess.run, ["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)
        lab.set_forwarding(name)
        end.start(far)
        return end

    def relay(self, *args, **more):
        relay = lab.XdpRelay(BINARY, "--xdp-interface", "c0", "--xdp-interface", "p0", *args, v4=RELAY[4], v6=RELAY[6],
                             ports=(50000, 50199), **more)
        self.addCleanup(lambda: relay.process.poll() is None and relay.stop())
        return relay

    def client(self, relay, family):
        with self.client_end.namespace.inside():
            client = Client((RELAY[family], relay.port), *relay.credentials())
        self.addCleanup(client.close)
        client.allocate()
        return client

    def exchange(self, relay, client, family):
        """A channel to a new peer of `family`, and packets of all SIZES both ways. Returns how many went each way."""
        peer = self.peer_end.udp(family)
        self.addCleanup(peer.close)
        channel = client.bind(peer.getsockname()[:2])
        # The first ones find the neighbours.
        client.send(channel, b"hello" * 10)
        data, source = peer.recvfrom(65536)
        self.assertEqual(data, b"hello" * 10)
        self.assertEqual(source[:2], client.relayed[family])
        peer.sendto(b"welcome" * 10, source)
        self.assertEqual(client.receive(), (channel, b"welcome" * 10))
        before = relay.in_kernel(), relay.in_user_space()
        for size in SIZES:
            payload = os.urandom(size)
            client.send(channel, payload)
            self.assertEqual(peer.recvfrom(65536), (payload, source))
            peer.sendto(payload[::-1], source)
            self.assertEqual(client.receive(), (channel, payload[::-1]))
        return relay.in_kernel() - before[0], relay.in_user_space() - before[1]

    def all_families(self, mode):
        relay = self.relay("--xdp", mode)
        wait_for(lambda: relay.find(r"relayed in the kernel on c0, p0 \(%s, by the routing table\)" % mode), "the program")
        for client_family in (4, 6):
            client = self.client(relay, client_family)
            for peer_family in (4, 6):
                with self.subTest(client=client_family, peer=peer_family):
                    self.assertEqual(self.exchange(relay, client, peer_family), (2 * len(SIZES), 0))
        relay.stop()
        self.assertEqual(self.client_end.capture.faults() + self.peer_end.capture.faults(), [])

    def test_native(self):
        self.all_families("native")

    def test_generic(self):
        self.all_families("generic")


if __name__ == "__main__":
    main()
