# SPDX-License-Identifier: Apache-2.0
"""ICMP errors about peers reach clients (RFC 8656 section 11.6), nobody loses a datagram by them, and DONT-FRAGMENT is honoured. Relay, router
and peer are network namespaces; the link to the peer takes 1300 bytes."""

import struct
import sys
import time
import unittest

import netns
import stun
from firezone_client import Client, Refused
from harness import DEADLINE, Relay, main, wait_for
from watch import Metrics, endpoint

BINARY = sys.argv.pop(1)
SEND, DATA = 0x006, 0x007
ICMP, DONT_FRAGMENT, DATA_ATTRIBUTE = 0x8004, 0x001A, 0x0013
RELAY = {4: "10.77.0.1", 6: "fd77::1"}
PEER = {4: "10.78.0.2", 6: "fd78::2"}
NOWHERE = {4: "10.79.0.2", 6: "fd79::2"}
MTU = 1300
ROUTER = PEERS = None


def set_up():
    """This namespace is the relay's; the router's other link is the narrow one."""
    global ROUTER, PEERS
    ROUTER, PEERS = netns.Namespace(), netns.Namespace()
    netns.run("ip", "link", "set", "lo", "up")
    netns.link("near0", ["10.77.0.1/24", "fd77::1/64"], ROUTER, ["10.77.0.2/24", "fd77::2/64"])
    ROUTER.run("ip", "link", "add", "down0", "mtu", str(MTU), "type", "veth", "peer", "name", "up0", "mtu", str(MTU), "netns",
               str(PEERS.pid))
    for where, device, ip4, ip6 in ((ROUTER, "down0", "10.78.0.1", "fd78::1"), (PEERS, "up0", "10.78.0.2", "fd78::2")):
        where.run("ip", "addr", "add", ip4 + "/24", "dev", device)
        where.run("ip", "addr", "add", ip6 + "/64", "dev", device, "nodad")
        where.run("ip", "link", "set", device, "up")
    ROUTER.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.icmp_ratelimit=0",
               "net.ipv6.icmp.ratelimit=0")
    PEERS.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
    ROUTER.run("ip", "-4", "route", "add", "unreachable", "10.79.0.0/24")
    ROUTER.run("ip", "-6", "route", "add", "unreachable", "fd79::/64")
    netns.run("ip", "-4", "route", "add", "default", "via", "10.77.0.2")
    netns.run("ip", "-6", "route", "add", "default", "via", "fd77::2")
    PEERS.run("ip", "-4", "route", "add", "default", "via", "10.78.0.1")
    PEERS.run("ip", "-6", "route", "add", "default", "via", "fd78::1")


class Webrtc(Client):
    """A client that uses indications."""

    def permit(self, *peers):
        self.request(stun.CREATE_PERMISSION, [(stun.XOR_PEER_ADDRESS, (peer, 0)) for peer in peers])

    def indicate(self, peer, payload, *more):
        self.socket.send(stun.build(SEND, stun.INDICATION, stun.new_transaction(),
                                    [(stun.XOR_PEER_ADDRESS, peer), (DATA_ATTRIBUTE, payload)] + [(t, b"") for t in more]))

    def told(self, timeout=DEADLINE):
        """The next (peer, type, code, data) of a Data indication with ICMP, or None; others are passed over."""
        end = time.monotonic() + timeout
        while True:
            data = self._datagram(end)
            if data is None:
                return None
            try:
                message = stun.Message(data)
            except ValueError:
                continue
            value = message.get(ICMP)
            if (message.method, message.kind) != (DATA, stun.INDICATION) or value is None:
                continue
            assert message.get(DATA_ATTRIBUTE) is None and len(message.attributes) == 2, message.attributes
            reserved, kind, rest = struct.unpack(">HHI", value)
            assert not reserved
            return message.address(stun.XOR_PEER_ADDRESS), kind >> 9, kind & 0x1FF, rest


class PeerErrors(unittest.TestCase):
    def relay(self, mode="full"):
        relay = Relay(BINARY, "--relay-mode", mode, v4=RELAY[4], v6=RELAY[6])
        relay.__enter__()
        self.addCleanup(relay.__exit__, None, None, None)
        return relay

    def client(self, relay):
        client = Webrtc(relay.address(), *relay.credentials())
        self.addCleanup(client.close)
        client.allocate()
        return client

    def peer(self, version):
        s = PEERS.udp_socket(PEER[version])
        self.addCleanup(s.close)
        s.settimeout(DEADLINE)
        return s

    def gone(self, version):
        """A port of the peer at which nobody listens."""
        s = PEERS.udp_socket(PEER[version])
        port = s.getsockname()[1]
        s.close()
        return PEER[version], port

    def test_unreachable(self):
        client = self.client(self.relay())
        client.permit(PEER[4], NOWHERE[4])
        client.permit(PEER[6], NOWHERE[6])
        for version, port_code, route_code in ((4, (3, 3), (3, 1)), (6, (1, 4), (1, 0))):
            with self.subTest(version=version):
                peer = self.gone(version)
                client.indicate(peer, b"anybody?")
                self.assertEqual(client.told(), (peer, *port_code, 0))
                client.indicate((NOWHERE[version], 9), b"anybody?")
                found = client.told()
                self.assertEqual(found[0], (NOWHERE[version], 9))
                self.assertEqual(found[1], route_code[0])

    def test_one_a_second(self):
        relay = self.relay()
        client = self.client(relay)
        client.permit(PEER[4])
        peer = self.gone(4)
        begun = time.monotonic()
        told = 0
        for _ in range(200):
            client.indicate(peer, b"anybody?")
            told += client.told(0.002) is not None
        while client.told(0.3):
            told += 1
        self.assertGreaterEqual(told, 1)
        self.assertLessEqual(told, 1 + time.monotonic() - begun)
        wait_for(lambda: Metrics(endpoint(relay)).get("relay_peer_errors_total", client="told") == told, "metrics to count them")
        self.assertGreater(Metrics(endpoint(relay)).get("relay_peer_errors_total", client="untold"), 0)

    def test_nobody_else_loses_anything(self):
        """Beside a peer that is not there; more errors than a socket hears of."""
        client = self.client(self.relay())
        for version in (4, 6):
            with self.subTest(version=version):
                client.permit(PEER[version])
                alive, gone = self.peer(version), self.gone(version)
                for sent in range(0, 1000, 10):
                    for i in range(sent, sent + 10):
                        for _ in range(4):
                            client.indicate(gone, b"anybody?")
                        client.indicate(alive.getsockname()[:2], struct.pack(">I", i))
                    for i in range(sent, sent + 10):
                        self.assertEqual(struct.unpack(">I", alive.recv(100))[0], i)
                # And back.
                for i in range(100):
                    alive.sendto(struct.pack(">I", i), client.relayed[version])
                    client.indicate(gone, b"anybody?")
                came = 0
                end = time.monotonic() + DEADLINE
                while came < 100:
                    data = client._datagram(end)
                    self.assertIsNotNone(data, "%d of 100 came" % came)
                    came += stun.Message(data).get(DATA_ATTRIBUTE) is not None

    def test_too_big(self):
        """The first datagram that is too big for the way to the peer makes the router tell; the relay's host then fragments, but for those that
        may not be fragmented."""
        client = self.client(self.relay())
        for version, kind, code, extra in ((4, 3, 4, 28), (6, 2, 0, 48)):
            with self.subTest(version=version):
                peer = self.peer(version)
                to = peer.getsockname()[:2]
                client.permit(PEER[version])
                client.indicate(to, bytes(MTU - extra), DONT_FRAGMENT)
                self.assertEqual(len(peer.recv(9000)), MTU - extra)
                client.indicate(to, bytes(MTU - extra + 1), DONT_FRAGMENT)
                self.assertEqual(client.told(), (to, kind, code, MTU))
                client.indicate(to, bytes(MTU - extra + 2), DONT_FRAGMENT)  # dropped by the relay's host, which knows by now
                client.indicate(to, bytes(MTU - extra + 3))
                client.indicate(to, b"the last", DONT_FRAGMENT)
                self.assertEqual(len(peer.recv(9000)), MTU - extra + 3)
                self.assertEqual(peer.recv(9000), b"the last")

    def test_dont_fragment_own_link(self):
        """Too large for the first link already, alone and in a run, by GSO and not."""
        client = self.client(self.relay())
        for version, extra in ((4, 28), (6, 48)):
            with self.subTest(version=version):
                host = {4: "10.77.0.2", 6: "fd77::2"}[version]
                peer = ROUTER.udp_socket(host)
                self.addCleanup(peer.close)
                peer.settimeout(DEADLINE)
                to = peer.getsockname()[:2]
                client.permit(host)
                for _ in range(5):
                    client.indicate(to, bytes(1500 - extra + 1), DONT_FRAGMENT)
                for _ in range(5):
                    client.indicate(to, bytes(1500 - extra), DONT_FRAGMENT)
                for _ in range(5):
                    client.indicate(to, bytes(1500 - extra + 2))
                self.assertEqual([len(peer.recv(9000)) for _ in range(10)], [1500 - extra] * 5 + [1500 - extra + 2] * 5)

    def test_allocate(self):
        for mode, code in (("full", 0), ("channels", 420)):
            with self.subTest(mode=mode):
                relay = self.relay(mode)
                client = Webrtc(relay.address(), *relay.credentials())
                self.addCleanup(client.close)
                try:
                    client.request(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP), (DONT_FRAGMENT, b"")])
                    got = 0
                except Refused as refused:
                    got = refused.code
                self.assertEqual(got, code)

    def test_channels_mode(self):
        client = self.client(self.relay("channels"))
        alive, gone = self.peer(4), self.gone(4)
        dead, living = client.bind(gone), client.bind(alive.getsockname())
        for i in range(20):
            client.send(dead, b"anybody?")
            client.send(living, b"%d" % i)
        for i in range(20):
            self.assertEqual(alive.recv(100), b"%d" % i)
        self.assertIsNone(client.told(0.3))


if __name__ == "__main__":
    MISSING = netns.enter()
    if MISSING:
        print("skipped: " + MISSING)
        sys.exit(77)
    set_up()
    main()
