# SPDX-License-Identifier: Apache-2.0
"""Where users may send, on real sockets: a mapped IPv4 address is the IPv4 one; and what the log says of who was refused, and of
strangers who ask too much."""

import re
import socket
import sys
import unittest

import stun
from firezone_client import Client, Refused
from harness import Relay, main, wait_for

BINARY = sys.argv.pop(1)
OUT_OF_REACH = "A user asked for a peer out of reach"


class MappedAddresses(unittest.TestCase):
    def peer(self):
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(peer.close)
        peer.settimeout(20)
        peer.bind(("127.0.0.1", 0))
        return peer

    def test_relayed_both_ways(self):
        peer = self.peer()
        with Relay(BINARY) as relay, Client(relay.address(), *relay.credentials()) as client:
            client.allocate()
            channel = client.bind(("::ffff:127.0.0.1", peer.getsockname()[1]))
            client.send(channel, b"there")
            data, relayed = peer.recvfrom(100)
            self.assertEqual((data, relayed), (b"there", client.relayed[4]))
            peer.sendto(b"and back", relayed)
            self.assertEqual(client.receive(), (channel, b"and back"))
            # The same peer by its usual name is the same channel.
            client.bind(("127.0.0.1", peer.getsockname()[1]), channel)
            with self.assertRaises(Refused) as refused:
                client.bind(("127.0.0.1", peer.getsockname()[1]), channel + 1)
            self.assertEqual(refused.exception.code, 400)
            # And the relay's own services are as far away as ever.
            with self.assertRaises(Refused) as refused:
                client.bind(("::ffff:127.0.0.1", relay.port))
            self.assertEqual(refused.exception.code, 403)

    def test_allocation_without_ipv4(self):
        with Relay(BINARY) as relay, Client(relay.address(), *relay.credentials()) as client:
            client.accept(client.request(stun.ALLOCATE, [
                (stun.REQUESTED_TRANSPORT, stun.UDP), (stun.REQUESTED_ADDRESS_FAMILY, stun.family_value(stun.IPV6))]))
            with self.assertRaises(Refused) as refused:
                client.bind(("::ffff:127.0.0.1", self.peer().getsockname()[1]))
            self.assertEqual(refused.exception.code, 443)


class Refusals(unittest.TestCase):
    """Once an hour for each reason and kind of address the log says who was refused, why, and what would open it."""

    def refuse(self, client, peer):
        with self.assertRaises(Refused, msg=str(peer)) as refused:
            client.bind(peer)
        self.assertEqual(refused.exception.code, 403)

    def test_what_operators_see(self):
        # All sockets are on loopback; what counts is the address that the relay calls its own.
        with Relay(BINARY, "--bind-ip4-addr", "127.0.0.1", "--bind-ip6-addr", "::1", "--public-ip4-addr", "203.0.113.7",
                   "--public-ip6-addr", "2001:db8::7", "--deny-peer", "198.51.100.0/24:5000", "--deny-peer", "8.8.8.0/24",
                   workers=2, probe=False) as relay:
            for salt in ("a", "b", "c", "d"):  # on either worker
                with Client(relay.address(), *relay.credentials(salt=salt)) as client:
                    client.allocate()
                    for peer in (("127.0.0.1", 9), ("127.0.0.2", 9), ("10.1.2.3", 9), ("192.168.1.1", 7), ("fe80::1", 9),
                                 ("203.0.113.9", 3478), ("203.0.113.9", relay.port), ("198.51.100.1", 5000), ("8.8.8.8", 53),
                                 ("203.0.113.7", 22), ("224.0.0.1", 9), ("64:ff9b::8.8.8.8", 9), ("64:ff9b::10.0.0.1", 9)):
                        self.refuse(client, peer)
                    client.refresh(0)
            wait_for(lambda: relay.find("Deleted allocation"), "the last line")
            lines = [line for line in relay.output().splitlines() if OUT_OF_REACH in line]
        text = "\n".join(lines)
        for peer, reason in (
                ("127.0.0.1:9", "a local or private address, unlike the relay's public one; --allow-peer 127.0.0.1 would open it"),
                ("10.1.2.3:9", "a local or private address, unlike the relay's public one; --allow-peer 10.1.2.3 would open it"),
                ("[fe80::1]:9", "a local or private address, unlike the relay's public one; --allow-peer fe80::1 would open it"),
                ("203.0.113.9:3478", "a port at which relays listen; --allow-peer 203.0.113.9:3478 would open it"),
                ("198.51.100.1:5000", "--deny-peer 198.51.100.0/24:5000"),
                ("203.0.113.7:22", "the relay's own address, of which only the ports for allocations are in reach"),
                ("224.0.0.1:9", "nobody can be there")):
            self.assertRegex(text, r" INFO relay: %s sender=\S+ allocation=\d+ peer=%s channel=\d+ method=channelbind error=403 "
                                   r'username=\S+ reason="%s"' % (OUT_OF_REACH, re.escape(peer), re.escape(reason)))
        self.assertEqual(len(lines), 7, text)

    def test_rules_open_what_the_line_says(self):
        with Relay(BINARY, "--bind-ip4-addr", "127.0.0.1", "--public-ip4-addr", "203.0.113.7", "--allow-peer", "127.0.0.1",
                   "--allow-peer", "203.0.113.9:3478", v6=None, probe=False) as relay:
            with Client(relay.address(), *relay.credentials()) as client:
                client.allocate()
                client.bind(("127.0.0.1", 9))
                client.bind(("203.0.113.9", 3478))
                self.refuse(client, ("203.0.113.8", 3478))


class Strangers(unittest.TestCase):
    def test_one_line_for_a_network(self):
        request = stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), [])
        with Relay(BINARY, "--unauthenticated-rate", "10", workers=2) as relay:
            for number in range(1, 21):  # so that both workers get some
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                    stranger.bind(("127.0.0.%d" % number, 0))
                    for _ in range(30):
                        stranger.sendto(request, relay.address())
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stranger:
                for _ in range(100):
                    stranger.sendto(request, relay.address(socket.AF_INET6))
            wait_for(lambda: relay.find(r"network=::/48"), "the line of the other network")
            lines = [line for line in relay.output().splitlines() if "exceed --unauthenticated-rate" in line]
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[0], r" WARN relay: Requests of a network exceed --unauthenticated-rate: some are not answered "
                                   r"network=127\.0\.0\.0/24 sender=127\.0\.0\.\d+:\d+$")
        self.assertRegex(lines[1], r"network=::/48 sender=\[::1\]:\d+$")


if __name__ == "__main__":
    main()
