# SPDX-License-Identifier: Apache-2.0
"""Hosts on the relay's own link that answer neither ARP nor neighbour discovery: what is sent to them waits in the kernel, in the send
buffer of the socket that sent it, and nobody else is to wait for that.

The relay's namespace has one link; everybody else is behind it, each client with an address of its own, so that it can vanish. Send buffers
are small, so that the first few packets for those that are gone fill them."""

import socket
import sys
import threading
import time
import unittest

import netns
import stun
from firezone_client import Client
from harness import DEADLINE, Relay, main, wait_for
from watch import Metrics, endpoint

MISSING = netns.enter()
BINARY = sys.argv.pop(1)
RELAY = {4: "10.78.0.1", 6: "fd78::1"}
PEERS = {4: "10.78.0.2", 6: "fd78::2"}
HOST = {4: "10.78.1.%d", 6: "fd78::1:%x"}
PREFIX = {4: 16, 6: 64}
# A buffer of this size is full with some ten packets; the kernel lets 212,992 bytes wait for each neighbour.
SEND_BUFFER = 16384
GONE, LIVE, PACKETS = 8, 8, 400


def unres_qlen_bytes(version, value):
    with open("/proc/sys/net/ipv%d/neigh/seg/unres_qlen_bytes" % version, "w", encoding="ascii") as file:
        file.write(str(value))


@unittest.skipIf(MISSING, MISSING)
class Neighbours(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            netns.run("ip", "link", "set", "lo", "up")
            cls.far = netns.Namespace()
            near, far = (["%s/%d" % (side[v], PREFIX[v]) for v in (4, 6)] for side in (RELAY, PEERS))
            netns.link("seg", near, cls.far, far)
        except OSError as error:
            raise unittest.SkipTest("can't make a link here: %s" % error) from None

    @classmethod
    def tearDownClass(cls):
        cls.far.close()

    def setUp(self):
        # One for each test: while it looks at neighbours often, for those of the test before, hosts that are new to the kernel are not known to
        # answer until the next look, some milliseconds later.
        self.relay = Relay(BINARY, "--send-buffer", str(SEND_BUFFER), v4=RELAY[4], v6=RELAY[6], workers=3)
        self.addCleanup(self.relay.stop)

    def host(self, version, verb, number):
        self.far.run("ip", "addr", verb, "%s/%d" % (HOST[version] % number, PREFIX[version]), "dev", "far0",
                     *(["nodad"] if version == 6 and verb == "add" else []))

    def client(self, version, number, new=True):
        if new:
            self.host(version, "add", number)
        with self.far.inside():
            client = Client((RELAY[version], self.relay.port), *self.relay.credentials(salt="n%d-%d" % (version, number)),
                            source=(HOST[version] % number, 0))
        self.addCleanup(client.close)
        client.allocate()
        return client

    def peer(self, version, address=None):
        s = self.far.udp_socket(address or PEERS[version])
        self.addCleanup(s.close)
        s.settimeout(DEADLINE)
        return s, s.getsockname()[:2]

    def vanish(self, version, numbers):
        """The hosts are gone, and the kernel forgets where they were; of the others it goes on to know."""
        for number in numbers:
            self.host(version, "del", number)
        gone = {HOST[version] % number for number in numbers}
        for line in netns.run("ip", "-o", "-%d" % version, "neigh", "show", "dev", "seg", "nud", "all").splitlines():
            if line.split()[0] in gone:
                netns.run("ip", "neigh", "del", line.split()[0], "dev", "seg")

    def dropped(self, reason):
        return Metrics(endpoint(self.relay)).get("relay_dropped_packets_total", reason=reason)

    def send_until_stopped(self, function):
        """Calls function() a thousand times a second in the background."""
        stop = threading.Event()

        def run():
            while not stop.wait(0.001):
                function()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def end():
            stop.set()
            thread.join(DEADLINE)
        self.addCleanup(end)
        return end

    def converse(self, ends):
        """Both ways, one after the other, with several clients; nothing may be lost. Returns the longest time one packet took."""
        longest = 0
        for i in range(PACKETS):
            client, channel, (peer, relayed) = ends[i % len(ends)]
            payload = b"%d" % i
            begin = time.monotonic()
            client.send(channel, payload)
            data, source = peer.recvfrom(100)
            self.assertEqual((data, source[:2]), (payload, relayed))
            peer.sendto(payload, source)
            self.assertEqual(client.receive(3), (channel, payload), "packet %d is lost" % i)
            longest = max(longest, time.monotonic() - begin)
        return longest

    def live(self, version):
        ends = []
        for i in range(LIVE):
            client = self.client(version, 100 + i)
            peer, address = self.peer(version)
            ends.append((client, client.bind(address), (peer, client.relayed[version])))
        return ends

    def check_vanished(self, version):
        ends = self.live(version)
        gone = [self.client(version, 1 + i) for i in range(GONE)]
        peer, address = self.peer(version)
        for client in gone:
            client.bind(address)
        self.vanish(version, range(1, 1 + GONE))
        before = self.dropped("unreached")

        def send():
            for client in gone:
                peer.sendto(bytes(1000), client.relayed[version])
        end = self.send_until_stopped(send)
        wait_for(lambda: self.dropped("unreached") > before, "packets for hosts that are gone to be dropped")
        longest = self.converse(ends)
        self.assertLess(longest, 1, "others wait for hosts that are gone")
        # Nobody moved to another worker, for requests are answered.
        for client, channel, (peer_socket, _) in ends:
            client.refresh()
            client.bind(peer_socket.getsockname()[:2], channel)
        end()
        # One comes back, and is reached as soon as the kernel knows where it is.
        self.host(version, "add", 1)

        def reached():
            peer.sendto(b"welcome back", gone[0].relayed[version])
            got = gone[0].receive(0.05)
            return got and got[1] == b"welcome back"
        wait_for(reached, "the client that came back to be reached")

    def test_vanished_clients_4(self):
        self.check_vanished(4)

    def test_vanished_clients_6(self):
        self.check_vanished(6)

    def test_strangers_that_are_not_there(self):
        ends = self.live(4)[:3]
        with self.far.inside():
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.addCleanup(raw.close)
        request = stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), [])
        to = socket.inet_aton(RELAY[4])
        udp = b"\x9c\x40" + self.relay.port.to_bytes(2, "big") + (8 + len(request)).to_bytes(2, "big") + b"\0\0" + request
        count = 0

        def forge():
            nonlocal count
            for _ in range(5):
                count += 1
                source = bytes([10, 78, 9, 1 + count % 250])
                header = b"\x45\0" + (20 + len(udp)).to_bytes(2, "big") + b"\0\0\0\0\x40\x11\0\0" + source + to
                raw.sendto(header + udp, (RELAY[4], 0))
        end = self.send_until_stopped(forge)
        before = self.dropped("unreached") + self.dropped("answer_would_wait")
        wait_for(lambda: self.dropped("unreached") + self.dropped("answer_would_wait") > before, "answers to nobody to be dropped")
        self.assertLess(self.converse(ends), 1)
        end()
        for client, _, _ in ends:
            self.assertTrue(client.binding())

    def test_peers_that_are_not_there(self):
        """They hold the buffer of their own client's allocation, and nobody else's; when they are left alone, all is as before."""
        ends = self.live(4)
        busy = ends.pop()
        busy_client, to_live, (live_peer, _) = busy
        for i in range(GONE):
            self.host(4, "add", 200 + i)
        to_gone = [busy_client.bind((HOST[4] % (200 + i), 9)) for i in range(GONE)]
        self.vanish(4, range(200, 200 + GONE))

        def send():
            for channel in to_gone:
                busy_client.send(channel, bytes(1000))
        end = self.send_until_stopped(send)
        wait_for(lambda: Metrics(endpoint(self.relay)).total("relay_send_queue_packets"), "the allocation to be blocked")
        self.assertLess(self.converse(ends), 1, "others wait for one client's peers")
        end()

        def recovered():
            busy_client.send(to_live, b"still there?")
            live_peer.settimeout(0.2)
            try:
                return live_peer.recv(100) == b"still there?"
            except TimeoutError:
                return False
        wait_for(recovered, "the client to reach its live peer", 30)
        wait_for(lambda: not Metrics(endpoint(self.relay)).total("relay_send_queue_packets"), "the queue to be empty", 30)

    def test_warning(self):
        """What the kernel lets wait is warned of where it is much."""
        warning = "WARN relay: Up to %d bytes may wait in the kernel for each host"
        wait_for(lambda: self.relay.find(warning % 212992), "the warning")
        # There is no "default" in a namespace of its own.
        self.assertTrue(self.relay.told(warning % 212992 + r".*: on the host, before this container or network namespace is made, sysctl -w net\.ipv4"))
        for value, version in ((4096, 4), (4096, 6)):
            unres_qlen_bytes(version, value)
        try:
            with Relay(BINARY, v4=RELAY[4], v6=RELAY[6]) as bounded:
                self.assertIsNone(bounded.find("may wait in the kernel"))
            unres_qlen_bytes(6, 5000)
            with Relay(BINARY, v4=RELAY[4], v6=False) as only4:
                self.assertIsNone(only4.find("may wait in the kernel"))
            with Relay(BINARY, v4=RELAY[4], v6=RELAY[6]) as both:
                wait_for(lambda: both.find(warning % 5000), "the warning")
        finally:
            for version in (4, 6):
                unres_qlen_bytes(version, 212992)

    def tearDown(self):
        self.doCleanups()
        for version in (4, 6):
            for line in self.far.run("ip", "-o", "-%d" % version, "addr", "show", "dev", "far0").splitlines():
                address = line.split()[3]
                if address.split("/")[0] != PEERS[version] and not address.startswith("fe80"):
                    self.far.run("ip", "addr", "del", address, "dev", "far0")
        netns.run("ip", "neigh", "flush", "dev", "seg")


if __name__ == "__main__":
    main()
