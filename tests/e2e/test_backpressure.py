# SPDX-License-Identifier: Apache-2.0
"""A slow link behind the relay: what it has accepted it delivers, all of it and in order, and flows that do not use the slow
link go on as if nothing were.

The relay's namespace has two links: "fast", with the clients and a peer, and "slow", shaped by a token bucket. The relay's
sockets get small send buffers, so that they block after a few packets and the rest has to wait in the relay."""

import os
import struct
import sys
import time
import unittest

import netns
from firezone_client import Client
from harness import DEADLINE, Relay, main, wait_for

MISSING = netns.enter()
BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))

RELAY = {4: "10.77.2.1", 6: "fd77:2::1"}
FAST = {4: "10.77.2.2", 6: "fd77:2::2"}
SLOW = {4: "10.77.1.2", 6: "fd77:1::2"}
# Bits a second of the slow link while something is tried: so that either flow takes seconds, on a busy machine, too. It is not slower, for
# a socket that nothing has left for 80 ms is given up. Then the rest of what waits may go sooner.
UP_BITS, DOWN_BITS, REST_BITS = 800000, 400000, 8000000
SIZE = 1000
# Up: well within the relay's bound of a socket's queue. Down: within what the kernel keeps in a receive buffer of default size.
UP_PACKETS, DOWN_PACKETS = 700, 90
ROUNDS = 100
SEND_BUFFER = 8192
# What the kernel may hold for the slow link, on top of the relay's queue: far less than is under way.
MAX_BACKLOG = 200000


@unittest.skipIf(MISSING, MISSING)
class BackPressure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            netns.run("ip", "link", "set", "lo", "up")
            cls.fast, cls.slow = netns.Namespace(), netns.Namespace()
            netns.link("fast", ["10.77.2.1/24", "fd77:2::1/64"], cls.fast, ["10.77.2.2/24", "fd77:2::2/64"])
            netns.link("slow", ["10.77.1.1/24", "fd77:1::1/64"], cls.slow, ["10.77.1.2/24", "fd77:1::2/64"])
            netns.shape("add", "slow", UP_BITS)
        except OSError as error:
            raise unittest.SkipTest("can't make a slow link here: %s" % error) from None
        cls.relay = Relay(BINARY, "--send-buffer", str(SEND_BUFFER), v4=RELAY[4], v6=RELAY[6], workers=WORKERS)

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()
        cls.fast.close()
        cls.slow.close()

    def client(self, namespace, address, salt):
        version = 6 if ":" in address else 4
        with namespace.inside():
            client = Client((RELAY[version], self.relay.port), *self.relay.credentials(salt=salt), source=(address, 0))
        self.addCleanup(client.close)
        client.allocate()
        return client

    def peer(self, namespace, address):
        s = namespace.udp_socket(address)
        self.addCleanup(s.close)
        return s, s.getsockname()[:2]

    def round_trips(self, client, channel, peer):
        """A conversation over the fast link: returns the longest time that a packet took both ways."""
        longest = 0
        peer.settimeout(DEADLINE)
        for i in range(ROUNDS):
            begin = time.monotonic()
            client.send(channel, b"ping %d" % i)
            data, source = peer.recvfrom(100)
            self.assertEqual(data, b"ping %d" % i)
            peer.sendto(b"pong %d" % i, source)
            self.assertEqual(client.receive(), (channel, b"pong %d" % i))
            longest = max(longest, time.monotonic() - begin)
        return longest

    def test_slow_peer(self):
        for version in (4, 6):
            with self.subTest(version=version):
                netns.shape("change", "slow", UP_BITS)
                busy = self.client(self.fast, FAST[version], "busy%d" % version)
                other = self.client(self.fast, FAST[version], "other%d" % version)
                slow_peer, slow_address = self.peer(self.slow, SLOW[version])
                fast_peer, fast_address = self.peer(self.fast, FAST[version])
                to_slow, to_fast = busy.bind(slow_address), other.bind(fast_address)
                reader = netns.Reader(slow_peer)
                self.addCleanup(reader.close)
                for i in range(UP_PACKETS):
                    busy.send(to_slow, netns.numbered(i, SIZE))
                    if i % 20 == 19:
                        busy.binding()  # answered: all before it was read, and so accepted
                under_way = (UP_PACKETS - len(reader.got)) * SIZE
                self.assertLess(netns.backlog("slow"), MAX_BACKLOG)
                self.assertGreater(under_way, 2 * MAX_BACKLOG, "the link is not slow: this proves nothing")
                longest = self.round_trips(other, to_fast, fast_peer)
                self.assertLess(len(reader.got), UP_PACKETS, "the slow flow ended first: this proves nothing")
                self.assertLess(longest, 1, "the other flow was held up")
                netns.shape("change", "slow", REST_BITS)
                wait_for(lambda: len(reader.got) >= UP_PACKETS, "all that was accepted: %d of %d" %
                         (len(reader.got), UP_PACKETS))
                self.assertTrue(reader.got == [netns.numbered(i, SIZE) for i in range(UP_PACKETS)], "changed or out of order")

    def test_slow_peer_beyond_the_bound(self):
        """More than the queue holds: the rest is dropped, what arrives is in order, and then all is as before."""
        netns.shape("change", "slow", UP_BITS)
        busy = self.client(self.fast, FAST[4], "beyond")
        slow_peer, slow_address = self.peer(self.slow, SLOW[4])
        channel = busy.bind(slow_address)
        reader = netns.Reader(slow_peer)
        self.addCleanup(reader.close)
        count = 2000
        for i in range(count):
            busy.send(channel, netns.numbered(i, SIZE))
            if i % 20 == 19:
                busy.binding()

        netns.shape("change", "slow", REST_BITS)

        def last_came():
            busy.send(channel, b"last")
            return b"last" in reader.got
        wait_for(last_came, "the queue to be empty again")
        numbers = [struct.unpack(">I", data[:4])[0] for data in reader.got if len(data) == SIZE]
        self.assertTrue(all(a < b for a, b in zip(numbers, numbers[1:])), "out of order")
        self.assertLess(len(numbers), count, "no bound?")
        self.assertGreater(len(numbers), 900, "the bound is 1 MiB")
        self.assertEqual(numbers[:900], list(range(900)), "dropped before the bound")

    def test_slow_client(self):
        """The client is behind the slow link: its peer's packets wait, and another client still reaches its own peer."""
        for version in (4, 6):
            with self.subTest(version=version):
                netns.shape("change", "slow", DOWN_BITS)
                slow_client = self.client(self.slow, SLOW[version], "slow%d" % version)
                other = self.client(self.fast, FAST[version], "fast%d" % version)
                source, source_address = self.peer(self.fast, FAST[version])
                sink, sink_address = self.peer(self.fast, FAST[version])
                slow_client.bind(source_address)
                to_sink = other.bind(sink_address)
                reader = netns.Reader(slow_client.socket)
                self.addCleanup(reader.close)
                for i in range(DOWN_PACKETS):
                    source.sendto(netns.numbered(i, SIZE), slow_client.relayed[version])
                sink.settimeout(DEADLINE)
                for i in range(ROUNDS):
                    other.send(to_sink, b"%d" % i)
                    self.assertEqual(sink.recv(100), b"%d" % i)
                self.assertGreater(netns.unread(slow_client.relayed[version][1], version), 0,
                                   "the relay goes on reading from who feeds the slow link (%d through)" % len(reader.got))
                self.assertLess(len(reader.got), DOWN_PACKETS, "the slow flow ended first: this proves nothing")
                netns.shape("change", "slow", REST_BITS)
                wait_for(lambda: len(reader.got) >= DOWN_PACKETS, "all that was accepted")
                self.assertTrue([data[4:] for data in reader.got] == [netns.numbered(i, SIZE) for i in range(DOWN_PACKETS)],
                                "changed or out of order")


if __name__ == "__main__":
    main()
