# SPDX-License-Identifier: Apache-2.0
"""What the tests of the kernel data path have in common: the relay in network namespaces, and every frame that arrives looked at. Takes
the relay and the passer from the arguments of the script."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import lab
import netns
import stun
from firezone_client import Client

BINARY, PASSER = sys.argv[1:3]
MISSING = lab.missing(BINARY, PASSER) or netns.enter()
del sys.argv[1:3]

RELAY = {4: "10.77.1.1", 6: "fd77:1::1"}
# Small enough, and large enough, for the frames that Ethernet has; odd ones too.
SIZES = (18, 19, 99, 100, 101, 700, 1001, 1280)


class Case(unittest.TestCase):
    """A relay in this namespace, clients and peers in others."""

    client_end = peer_end = None
    interfaces = ()

    def setUp(self):
        netns.run("ip", "link", "set", "lo", "up")
        # The relay's listen port, a free one, is none of its range's.
        netns.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 30000")
        lab.without_dad(netns.run)
        self.clients, self.peers, self.strangers = [], [], set()  # sockets, and ports of those who only ask

    def tearDown(self):
        """Whatever a test was about: all frames that came had right sums and were for somebody here, and nobody got what was not for
        him."""
        ports = {s.getsockname()[1] for s in [client.socket for client in self.clients] + self.peers} | self.strangers
        for end in (self.client_end, self.peer_end):
            self.assertEqual(end.capture.faults(), [])
            self.assertLessEqual({frame.dport for frame in end.capture.frames}, ports)
            if self.clients and self.peers:
                self.assertGreater(len(end.capture.frames), 0)
        for peer in self.peers:
            peer.setblocking(False)
            self.assertRaises(BlockingIOError, peer.recv, 65536)
        for client in self.clients:
            self.assertIsNone(client.receive(0.001))

    def cleaned_link(self, name):
        self.addCleanup(subprocess.run, ["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)

    def relay(self, *args, **more):
        flags = [flag for name in self.interfaces for flag in ("--offload-interface", name)]
        relay = lab.XdpRelay(BINARY, *flags, *args, v4=RELAY[4], v6=RELAY[6], ports=(50000, 50199), **more)
        self.addCleanup(lambda: relay.process.poll() is None and relay.stop())
        return relay

    def client(self, relay, family):
        with self.client_end.namespace.inside():
            client = Client((RELAY[family], relay.port), *relay.credentials())
        self.addCleanup(client.close)
        self.clients.append(client)
        client.allocate()
        return client

    def peer(self, family):
        peer = self.peer_end.udp(family)
        self.addCleanup(peer.close)
        self.peers.append(peer)
        return peer

    def meet(self, client, peer):
        """Binds a channel to `peer`, and sends one packet each way: that finds the neighbours. Returns the channel and where the
        peer has to send to."""
        channel = client.bind(peer.getsockname()[:2])
        client.send(channel, b"hello" * 10)
        data, source = peer.recvfrom(65536)
        self.assertEqual(data, b"hello" * 10)
        self.assertEqual(source[1], client.relayed[6 if ":" in source[0] else 4][1])
        peer.sendto(b"welcome" * 10, source)
        self.assertEqual(client.receive(), (channel, b"welcome" * 10))
        return channel, source

    def payload(self, client, channel, peer, source, make):
        """The first of make(0), make(1), ... that looks finished on the way from the client and, reversed, from the peer: whether the
        kernel relays it must not hang on chance."""
        for n in range(100):
            payload = make(n)
            up, down = stun.channel_data(channel, payload), payload[::-1]
            if not (lab.looks_unfinished(client.socket.getsockname(), client.socket.getpeername(), up) or
                    lab.looks_unfinished(peer.getsockname(), source, down)):
                break
        return payload

    def exchange(self, relay, client, family, sizes=SIZES):
        """A channel to a new peer of `family`, and packets of all `sizes` both ways. Returns how many the kernel relayed, and how
        many user space did."""
        peer = self.peer(family)
        channel, source = self.meet(client, peer)
        self.last_source = source[:2]
        before = relay.relayed()
        for size in sizes:
            payload = self.payload(client, channel, peer, source, lambda _, size=size: os.urandom(size))
            client.send(channel, payload)
            self.assertEqual(peer.recvfrom(65536), (payload, source))
            peer.sendto(payload[::-1], source)
            self.assertEqual(client.receive(), (channel, payload[::-1]))
        after = relay.relayed()
        return after[0] - before[0], after[1] - before[1]

    def all_families(self, relay, expected=(2 * len(SIZES), 0)):
        for client_family in (4, 6):
            client = self.client(relay, client_family)
            for peer_family in (4, 6):
                with self.subTest(client=client_family, peer=peer_family):
                    self.assertEqual(self.exchange(relay, client, peer_family), expected)
