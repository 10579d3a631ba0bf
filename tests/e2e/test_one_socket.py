# SPDX-License-Identifier: Apache-2.0
"""--one-socket: one socket of each worker and family receives for all allocations, which have sockets of their own only while they send.

All in a network namespace, whose reserved ports and BPF program are nobody else's."""

import os
import signal
import socket
import struct
import subprocess
import sys
import unittest

import netns
from firezone_client import Client
from harness import EchoPeers, Relay, is_sanitized, main, wait_for
from watch import Metrics, endpoint

MISSING = netns.enter()
BINARY = sys.argv.pop(1)
ON = "One socket of each worker and family receives for all allocations"
OFF = "Each allocation has sockets of its own, for --one-socket can't be had: "
CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF = 12, 21, 39
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def reserve(ports):
    with open("/proc/sys/net/ipv4/ip_local_reserved_ports", "w", encoding="ascii") as file:
        file.write(ports + "\n")


def sockets_at(port):
    """How many sockets of UDP are bound to it, of both families."""
    count = 0
    for name in ("/proc/net/udp", "/proc/net/udp6"):
        with open(name, encoding="ascii") as file:
            count += sum(line.split()[1].endswith(":%04X" % port) for line in list(file)[1:])
    return count


def unreachable(source, destination):
    """An ICMP message that says of a datagram from source to destination that nobody has the port."""
    (host, port), (to, to_port) = source, destination
    inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 36, 0, 0, 64, socket.IPPROTO_UDP, 0, socket.inet_aton(host), socket.inet_aton(to))
    inner += struct.pack("!HHHH", port, to_port, 16, 0) + bytes(8)
    checksum = 3 << 8 | 3
    checksum += sum(struct.unpack("!%dH" % (len(inner) // 2), inner))
    while checksum >> 16:
        checksum = (checksum & 0xffff) + (checksum >> 16)
    return struct.pack("!BBHI", 3, 3, checksum ^ 0xffff, 0) + inner


@unittest.skipIf(MISSING, MISSING)
class OneSocket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        netns.run("ip", "link", "set", "lo", "up")

    def setUp(self):
        reserve("")  # ports of tests are below those that the kernel gives

    def start(self, *args, **more):
        relay = Relay(BINARY, "--one-socket", "--allow-peer", "127.0.0.0/8", "--allow-peer", "::1/128", *args, **more)
        self.addCleanup(relay.kill)
        wait_for(lambda: relay.told(ON) or relay.told(OFF), "a line about it")
        return relay

    def start_with_it(self, *args, **more):
        relay = self.start(*args, **more)
        if relay.find(OFF + ".*(Operation not permitted|no BPF)"):
            self.skipTest("BPF is not allowed here, or this build has none")
        self.assertTrue(relay.find(ON))
        return relay

    def client(self, relay):
        client = Client(relay.address(), *relay.credentials())
        self.addCleanup(client.close)
        client.allocate()
        return client

    def echo(self, client, channel, text):
        client.send(channel, text)
        self.assertEqual(client.receive(), (channel, text[::-1]))

    def test_relays(self):
        relay = self.start_with_it(workers=2)
        with EchoPeers(families=FAMILIES) as peers:
            for k in range(6):
                client = self.client(relay)
                port = client.relayed[4][1]
                self.assertEqual(client.relayed[6][1], port)
                self.assertEqual(sockets_at(port), 0)
                for number, family in enumerate(FAMILIES, 1):
                    channel = client.bind(peers.addresses(family)[0])
                    self.echo(client, channel, b"hello %d" % k)
                    self.assertEqual(sockets_at(port), number)
            # The last one sends no more, and is heard all the same.
            wait_for(lambda: sockets_at(port) == 0, "the sockets of who does not send to be closed")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(("127.0.0.1", 0))
                channel = client.bind(peer.getsockname())
                peer.sendto(b"from the peer", client.relayed[4])
                self.assertEqual(client.receive(), (channel, b"from the peer"))
                self.assertEqual(sockets_at(port), 0)
                client.send(channel, b"to the peer")
                self.assertEqual(peer.recvfrom(100), (b"to the peer", client.relayed[4]))
        metrics = Metrics(endpoint(relay))
        self.assertEqual(metrics.get("relay_dropped_packets_total", reason="send_error"), 0)
        self.assertEqual(metrics.get("relay_dropped_packets_total", reason="port_share"), 0)

    def test_a_flooded_port(self):
        """While the relay stands, one port is sent more than the socket holds: what comes to another one after that is all heard."""
        relay = self.start_with_it()
        flooded, other = self.client(relay), self.client(relay)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flooder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for s in (flooder, peer):
                s.bind(("127.0.0.1", 0))
            flooded.bind(flooder.getsockname())
            channel = other.bind(peer.getsockname())
            os.kill(relay.process.pid, signal.SIGSTOP)
            try:
                for _ in range(30000):
                    flooder.sendto(b"flood", flooded.relayed[4])
                for k in range(50):
                    peer.sendto(b"%d" % k, other.relayed[4])
            finally:
                os.kill(relay.process.pid, signal.SIGCONT)
            for k in range(50):
                self.assertEqual(other.receive(), (channel, b"%d" % k))
            metrics = Metrics(endpoint(relay))
            self.assertGreater(metrics.get("relay_dropped_packets_total", reason="port_share"), 15000)
            # Nobody was told that there is no such port.
            flooder.setblocking(False)
            flooder.connect(flooded.relayed[4])
            self.assertEqual(flooder.send(b"more"), 4)

    def test_errors_do_not_use_up_a_port(self):
        """ICMP errors count as packets of a port, and the worker never hears of them: what comes next is heard all the same."""
        relay = self.start_with_it()
        client = self.client(relay)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, \
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            peer.bind(("127.0.0.1", 0))
            channel = client.bind(peer.getsockname())
            message = unreachable(client.relayed[4], peer.getsockname())
            for _ in range(2000):
                raw.sendto(message, ("127.0.0.1", 0))

            def heard():
                peer.sendto(b"alone", client.relayed[4])
                return client.receive(timeout=0.1) == (channel, b"alone")
            wait_for(heard, "a packet to be heard")

    def test_without_an_address_of_ipv6(self):
        """Where there is no ::1, the relay does without."""
        bare = "ip link set lo up && ip address del ::1/128 dev lo && exec \"$@\""
        relay = Relay(BINARY, "--one-socket", "--bind-ip6-addr", "::", probe=False, wrapper=("unshare", "--net", "sh", "-c", bare, "sh"))
        self.addCleanup(relay.kill)
        self.assertTrue(relay.find(OFF + ".*(Cannot assign requested address|Operation not permitted|no BPF)"))

    def test_it_ends_with_the_relay(self):
        relay = self.start_with_it()
        client = self.client(relay)
        at = client.relayed[4]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            program.bind(at)  # it asks for this very port, which is quiet
            program.settimeout(0.2)
            sender.sendto(b"x", at)
            with self.assertRaises(socket.timeout):
                program.recv(10)
            relay.kill()

            def heard():
                sender.sendto(b"y", at)
                try:
                    return program.recv(10) == b"y"
                except socket.timeout:
                    return False
            wait_for(heard, "the port to be the other program's")

    def test_ports_of_others_are_left_alone(self):
        """Those that have no allocation, and those of other addresses of this host."""
        relay = self.start_with_it()
        client = self.client(relay)
        port = client.relayed[4][1]
        free = next(p for p in range(relay.lowest, relay.highest) if p != port)
        for at in (("127.0.0.1", free), ("127.0.0.2", port)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
                program.bind(at)
                program.settimeout(5)
                program.sendto(b"mine", at)
                self.assertEqual(program.recv(10), b"mine")

    @unittest.skipIf(is_sanitized(BINARY), "the thread sanitizer has a thread of its own from before main on, which keeps them")
    def test_capabilities_are_given_up(self):
        relay = self.start_with_it(workers=2)
        tasks = "/proc/%d/task" % relay.process.pid

        def held():
            found = 0
            for task in os.listdir(tasks):
                with open("%s/%s/status" % (tasks, task), encoding="ascii") as file:
                    found |= next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
            return found & (1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN | 1 << CAP_BPF)
        wait_for(lambda: not held(), "the capabilities to be given up by all threads")

    def works_without(self, relay):
        with EchoPeers() as peers:
            client = self.client(relay)
            self.assertEqual(sockets_at(client.relayed[4][1]), 2)
            self.echo(client, client.bind(peers.addresses()[0]), b"hello")

    def test_ports_that_are_not_reserved(self):
        relay = self.start(ports=(50000, 50099))
        self.assertTrue(relay.find(OFF + "the kernel may give ports 50000 to 50099 to other programs: sysctl -w "
                                   "net.ipv4.ip_local_reserved_ports=50000-50099"))
        self.works_without(relay)
        reserve("49999,50000-50050,50051-50099")
        self.start_with_it(ports=(50000, 50099))

    def test_without_capabilities(self):
        relay = self.start(wrapper=("setpriv", "--bounding-set", "-net_admin,-sys_admin"))
        self.assertTrue(relay.find(OFF + ".*(takes CAP_BPF and CAP_NET_ADMIN|no BPF)"))
        self.works_without(relay)

    def test_not_with_a_hand_over(self):
        done = subprocess.run([BINARY, "--one-socket", "--handover-socket", "/tmp/none", "--public-ip4-addr", "127.0.0.1"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--one-socket: such a relay can't be taken over", done.stdout)


main()
