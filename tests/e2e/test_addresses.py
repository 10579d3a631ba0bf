# SPDX-License-Identifier: Apache-2.0
"""Hosts of several addresses, of addresses that come and go, and of one family alone; in network namespaces."""

import socket
import sys
import unittest

import netns
import stun
from firezone_client import Client, Refused
from harness import Relay, answers_binding, main, wait_for

BINARY = sys.argv.pop(1)

# The first of each family is the one that the kernel would choose, the last one is announced.
NEAR = ("203.0.113.10/24", "203.0.113.7/24", "2001:db8:113::10/64", "2001:db8:113::7/64")
FAR = ("203.0.113.99/24", "2001:db8:113::99/64")
TOLD = {4: "203.0.113.7", 6: "2001:db8:113::7"}
OTHER = {4: "203.0.113.10", 6: "2001:db8:113::10"}
BEYOND = {4: "203.0.113.99", 6: "2001:db8:113::99"}
PUBLIC = ("--public-ip4-addr", TOLD[4], "--public-ip6-addr", TOLD[6])


def add(address, device="near0"):
    netns.run("ip", "addr", "add", address, "dev", device, *(["nodad", "preferred_lft", "0"] if ":" in address else []))


class Case(unittest.TestCase):
    def setUp(self):
        netns.run("ip", "link", "set", "lo", "up")
        # The relay's listen port, a free one, is none of its range's.
        netns.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 30000")
        self.far = netns.Namespace()
        self.addCleanup(self.far.close)
        netns.run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", str(self.far.pid))
        self.addCleanup(netns.run, "ip", "link", "del", "near0")
        for address in FAR:
            self.far.run("ip", "addr", "add", address, "dev", "far0", *(["nodad"] if ":" in address else []))
        netns.run("ip", "link", "set", "near0", "up")
        self.far.run("ip", "link", "set", "far0", "up")

    def start(self, *args, near=NEAR, **more):
        for address in near:
            # Kernels take the newest of several alike, but none that is not preferred.
            netns.run("ip", "addr", "add", address, "dev", "near0",
                      *(["nodad"] + (["preferred_lft", "0"] if address == NEAR[3] else []) if ":" in address else []))
        for family, gateway in ((4, BEYOND[4]), (6, BEYOND[6])):
            if any((":" in address) == (family == 6) for address in near):
                netns.run("ip", "-%d" % family, "route", "replace", "default", "via", gateway)
        relay = Relay(BINARY, *args, v4=None, v6=None, ports=(50000, 50199), probe=False, **more)
        self.addCleanup(lambda: relay.process.poll() is None and relay.stop())
        return relay

    def client(self, relay, family, host=None):
        host = host or TOLD[family]
        with self.far.inside():
            wait_for(lambda: answers_binding(socket.AF_INET6 if family == 6 else socket.AF_INET, host, relay.port, 0.2), "a Binding's answer")
            client = Client((host, relay.port), *relay.credentials())
        self.addCleanup(client.close)
        return client

    def peer(self, family):
        peer = self.far.udp_socket(BEYOND[family])
        peer.settimeout(20)
        self.addCleanup(peer.close)
        return peer

    def exchange(self, client, family):
        """A packet each way on a new channel. Returns where the peer sees the first come from."""
        peer = self.peer(family)
        channel = client.bind(peer.getsockname()[:2])
        client.send(channel, b"there")
        data, source = peer.recvfrom(100)
        self.assertEqual(data, b"there")
        peer.sendto(b"back", client.relayed[family])
        self.assertEqual(client.receive(), (channel, b"back"))
        return source[:2]


class TwoOfEachFamily(Case):
    def test_peers_see_what_was_announced(self):
        relay = self.start(*PUBLIC, workers=2)
        for client_family in (4, 6):
            client = self.client(relay, client_family)
            client.allocate()
            self.assertEqual({family: address[0] for family, address in client.relayed.items()}, TOLD)
            for family in (4, 6):
                with self.subTest(client=client_family, peer=family):
                    self.assertEqual(self.exchange(client, family), client.relayed[family])
        self.assertIsNone(relay.find("leaves from"), relay.output())

    def test_all_addresses_asked_for(self):
        """Who says that sockets are bound to all addresses gets that, and is told what peers see."""
        relay = self.start(*PUBLIC, "--bind-ip4-addr", "0.0.0.0", "--bind-ip6-addr", "::")
        client = self.client(relay, 4)
        client.allocate()
        for family in (4, 6):
            self.assertEqual(self.exchange(client, family), (OTHER[family], client.relayed[family][1]))
            self.assertEqual(len([line for line in relay.lines if "Clients are told %s, but relayed data leaves from %s," %
                                  (TOLD[family], OTHER[family]) in line]), 1, relay.output())

    def test_bound_to_one(self):
        relay = self.start(*PUBLIC, "--bind-ip4-addr", OTHER[4], "--bind-ip6-addr", OTHER[6])
        client = self.client(relay, 4, OTHER[4])
        client.allocate()
        peer = self.peer(4)
        channel = client.bind(peer.getsockname()[:2])
        client.send(channel, b"there")
        self.assertEqual(peer.recvfrom(100)[1], (OTHER[4], client.relayed[4][1]))
        self.assertTrue(relay.told("WARN relay: Clients are told %s, but relayed data leaves from %s," % (TOLD[4], OTHER[4])), relay.output())


class BehindNat(Case):
    def test_the_log_says_what_leaves(self):
        relay = self.start("--public-ip4-addr", "198.51.100.7", near=("10.0.0.5/24", "203.0.113.10/24"))
        self.assertTrue(relay.told("WARN relay: Clients are told 198.51.100.7, but relayed data leaves from 203.0.113.10,"), relay.output())
        relay.stop()
        netns.run("ip", "addr", "del", "203.0.113.10/24", "dev", "near0")
        netns.run("ip", "route", "replace", "default", "via", "10.0.0.99", "dev", "near0")
        relay = Relay(BINARY, "--public-ip4-addr", "198.51.100.7", v4=None, v6=None, probe=False)
        self.addCleanup(relay.kill)
        self.assertTrue(relay.told("INFO relay: 198.51.100.7 is not used by this host itself: relayed data leaves from 10.0.0.5,"),
                        relay.output())

    def test_a_sysctl_that_lets_anybody_bind_to_anything(self):
        """Such as hosts have that move an address between them; it makes no address the host's own."""
        netns.run("sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1")
        self.addCleanup(netns.run, "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=0", "net.ipv6.ip_nonlocal_bind=0")
        relay = self.start("--public-ip4-addr", "198.51.100.7", "--public-ip6-addr", "2001:db8:99::7")
        client = self.client(relay, 4, OTHER[4])
        client.allocate()
        for family in (4, 6):
            peer = self.peer(family)
            channel = client.bind(peer.getsockname()[:2])
            client.send(channel, b"there")
            self.assertEqual(peer.recvfrom(100)[1][0], OTHER[family])

    def test_a_range_that_routes_make_the_hosts(self):
        """Addresses without an interface, as load balancers have them handed to their hosts."""
        netns.run("ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo")
        self.addCleanup(netns.run, "ip", "route", "del", "local", "198.51.100.0/24", "dev", "lo")
        self.far.run("ip", "route", "add", "198.51.100.0/24", "via", OTHER[4])
        relay = self.start("--public-ip4-addr", "198.51.100.7", near=NEAR[:1])
        client = self.client(relay, 4, "198.51.100.7")
        client.allocate()
        self.assertEqual(self.exchange(client, 4), ("198.51.100.7", client.relayed[4][1]))


NAT = {4: "198.51.100.7", 6: "2001:db8:99::7"}


class Inside(Case):
    """Two clients of one relay behind a NAT that does not turn around what the relay sends to its own public address: here nobody does
    anything with it."""

    def pair(self, *args, workers=1):
        relay = self.start("--public-ip4-addr", NAT[4], "--public-ip6-addr", NAT[6], *args, workers=workers)
        clients = [self.client(relay, family, OTHER[family]) for family in (4, 6)]
        for client in clients:
            client.allocate()
        return relay, clients

    def both_ways(self, one, other, family):
        there = one.bind(other.relayed[family])
        back = other.bind(one.relayed[family])
        for payload in (b"", b"x", bytes(1200), bytes(5000)):
            one.send(there, payload + b"there")
            self.assertEqual(other.receive(), (back, payload + b"there"))
            other.send(back, payload + b"back")
            self.assertEqual(one.receive(), (there, payload + b"back"))
        for n in range(40):
            one.send(there, b"%03d" % n)
        self.assertEqual([other.receive() for _ in range(40)], [(back, b"%03d" % n) for n in range(40)])

    def test_they_reach_each_other(self):
        for args in ((), ("--bind-ip4-addr", OTHER[4], "--bind-ip6-addr", OTHER[6])):
            for workers in (1, 4):
                relay, (one, other) = self.pair(*args, workers=workers)
                for family in (4, 6):
                    with self.subTest(args=args, workers=workers, family=family):
                        self.both_ways(one, other, family)
                        self.both_ways(one, one, family)  # with itself, on one channel
                relay.stop()
                netns.run("ip", "addr", "flush", "dev", "near0", "scope", "global")

    def test_nobody_else_is_reached(self):
        relay, (one, other) = self.pair()
        gone, free = other.relayed[4], (NAT[4], 50000 if other.relayed[4][1] != 50000 and one.relayed[4][1] != 50000 else 50001)
        channels = [one.bind(free), one.bind(gone)]
        one.send(channels[1], b"unwanted, for there is no channel back")
        other.refresh(0)
        services = []
        for _, port in (free, gone):
            service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(service.close)
            wait_for(lambda: self.takes(service, port), "the port to be free")
            service.setblocking(False)
            services.append(service)
        for channel in channels:
            one.send(channel, b"for a service of the host")
        one.refresh()  # behind them in the same socket
        for service in services:
            self.assertRaises(BlockingIOError, service.recv, 100)
        # Nor is such a service taken for an allocation, though there are channels to its port.
        for service in services:
            service.sendto(b"not from there", ("127.0.0.1", one.relayed[4][1]))
        one.refresh()
        self.assertIsNone(one.receive(0.1))

    @staticmethod
    def takes(s, port):
        try:
            s.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


class Later(Case):
    """Addresses that come while the relay runs, and go again."""

    def refused(self, client, address):
        try:
            client.bind(address)
        except Refused as error:
            self.assertEqual(error.code, 403)
            return True
        return False

    def test_new_addresses_are_out_of_reach(self):
        relay = self.start(*PUBLIC, workers=2)
        client = self.client(relay, 4)
        client.allocate()
        for new, inside in (("203.0.113.8", 4), ("2001:db8:113::8", 6)):
            with self.subTest(address=new):
                for port in (53, 9999, 50010):
                    channel = client.bind((new, port))
                add(new + ("/24" if inside == 4 else "/64"))
                wait_for(lambda: len([l for l in relay.lines if "Deleted channel binding" in l and new in l]) == 2, "both ends")
                for port in (53, relay.port, 9999):
                    self.assertTrue(self.refused(client, (new, port)), port)
                # What was bound to a port for allocations goes on.
                with socket.socket(socket.AF_INET6 if inside == 6 else socket.AF_INET, socket.SOCK_DGRAM) as there:
                    there.bind((new, 50010))
                    there.settimeout(20)
                    client.send(channel, b"still")
                    self.assertEqual(there.recv(100), b"still")
                netns.run("ip", "addr", "del", new + ("/24" if inside == 4 else "/64"), "dev", "near0")
                wait_for(lambda: not self.refused(client, (new, 53)), "the address to be anybody's again")

    def test_no_data_for_what_became_own(self):
        relay = self.start(*PUBLIC)
        client = self.client(relay, 4)
        client.allocate()
        channel = client.bind(("203.0.113.8", 53))
        add("203.0.113.8/24")
        line = r'Deleted channel binding sender=%s:%d allocation=%d peer=203\.0\.113\.8:53 channel=%d reason="its peer is on an address of this host by now"$' % (
            *client.socket.getsockname()[:2], client.relayed[4][1], channel)
        wait_for(lambda: relay.find(line), "the channel's end")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
            service.bind(("203.0.113.8", 53))
            client.send(channel, b"hello")
            client.refresh()  # behind it in the same socket
            service.setblocking(False)
            self.assertRaises(BlockingIOError, service.recv, 100)

    def test_thousands(self):
        """More than the kernel's messages have room for, and all of them gone at once."""
        relay = self.start(*PUBLIC)
        client = self.client(relay, 4)
        client.allocate()
        many = ["203.0.%d.%d" % (n // 256, n % 256) for n in range(1, 4001)]
        netns.batch("".join("addr add %s/32 dev lo\n" % address for address in many))
        for address in (many[0], many[1999], many[-1]):
            wait_for(lambda: self.refused(client, (address, 53)), "%s to be out of reach" % address)
        netns.batch("".join("addr del %s/32 dev lo\n" % address for address in many))
        for address in (many[0], many[1999], many[-1]):
            wait_for(lambda: not self.refused(client, (address, 54)), "%s to be in reach" % address)

    def test_the_announced_address_comes_later(self):
        relay = self.start("--public-ip4-addr", "203.0.113.8")
        early = self.client(relay, 4, OTHER[4])
        early.allocate()
        peer = self.peer(4)
        channel = early.bind(peer.getsockname())
        early.send(channel, b"early")
        self.assertEqual(peer.recvfrom(100)[1][0], OTHER[4])
        add("203.0.113.8/24")
        late = self.client(relay, 4, "203.0.113.8")

        def leaves_from_it():
            late.allocate()
            channel = late.bind(peer.getsockname())
            late.send(channel, b"late")
            source = peer.recvfrom(100)[1][0]
            late.refresh(0)
            return source == "203.0.113.8"

        wait_for(leaves_from_it, "new allocations to have the new address")
        early.send(channel, b"goes on")
        self.assertEqual(peer.recv(100), b"goes on")


class OneFamily(Case):
    """A family that was configured, on a host that does not have it."""

    def code(self, client, family):
        try:
            client.request(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP),
                                           (stun.REQUESTED_ADDRESS_FAMILY, stun.family_value(family))])
        except Refused as error:
            return error.code
        client.refresh(0)
        return 0

    def check(self, relay, has, lacks):
        client = self.client(relay, has)
        self.assertEqual(self.code(client, stun.IPV6 if lacks == 6 else stun.IPV4), 440)
        self.assertEqual(self.code(client, stun.IPV6 if has == 6 else stun.IPV4), 0)
        client.allocate()
        self.assertEqual(list(client.relayed), [has])
        self.assertEqual(client.family_error[:1] + client.family_error[2:4], bytes([2 if lacks == 6 else 1, 4, 40]))
        client.refresh(0)
        return client

    def test_no_ipv6(self):
        netns.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        self.addCleanup(netns.run, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
        relay = self.start(*PUBLIC, near=NEAR[:2])
        self.assertTrue(relay.told("WARN relay: This host has no IPv6: no addresses of it are relayed from \\(clients that ask for IPv6 alone get "
                                   "error 440\\) until it has one"), relay.output())
        client = self.check(relay, 4, 6)
        # It comes by itself when the host has got it.
        netns.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
        add(NEAR[3])
        wait_for(lambda: self.code(client, stun.IPV6) == 0, "IPv6 to be offered")
        client.allocate()
        self.assertEqual(self.exchange(client, 6), client.relayed[6])
        client.refresh(0)
        netns.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        wait_for(lambda: self.code(client, stun.IPV6) == 440, "IPv6 to be taken back")

    def test_no_ipv4(self):
        relay = self.start(*PUBLIC, near=NEAR[2:])
        self.assertTrue(relay.told("WARN relay: This host has no IPv4: no addresses of it are relayed from \\(clients that ask for IPv4 alone get "
                                   "error 440\\) until it has one"), relay.output())
        self.check(relay, 6, 4)


if __name__ == "__main__":
    MISSING = netns.enter()
    if MISSING:
        print("skipped: " + MISSING)
        sys.exit(77)
    main()
