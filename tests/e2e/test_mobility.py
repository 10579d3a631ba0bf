# SPDX-License-Identifier: Apache-2.0
"""Clients that take their allocation along to another address (RFC 8016), with several workers: the kernel leads the new address to any of
them, and the allocation with its sockets stays where it is."""

import os
import socket
import sys
import unittest

import stun
from harness import DEADLINE, EchoPeers, Relay, main, wait_for
from watch import Metrics, endpoint

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "4"))
MOBILITY_TICKET = 0x8030
CHANNEL = 0x4000
REALM = "firezone"


class Roamer:
    """A client that gets itself a new socket, and so another port, whenever it is told to."""

    def __init__(self, relay):
        self.relay = relay
        self.user, password = relay.credentials()
        self.key = stun.key_of(self.user, REALM, password)
        self.nonce, self.ticket = None, b""
        self.socket = None
        self.go(socket.AF_INET)

    def go(self, family):
        """To another address. The old one stays open: nothing more may come there."""
        old, self.socket = self.socket, socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(self.relay.address(family))
        return old

    def ask(self, method, *attributes):
        """One request, one answer: nothing is sent twice."""
        more = [(stun.USERNAME, self.user.encode()), (stun.REALM, REALM.encode())]
        if self.nonce:
            more.append((stun.NONCE, self.nonce))
        transaction = stun.new_transaction()
        self.socket.send(stun.build(method, stun.REQUEST, transaction, list(attributes) + more, self.key))
        answer = stun.Message(self.socket.recv(2048))
        assert answer.transaction == transaction
        self.nonce = answer.get(stun.NONCE) or self.nonce
        return answer

    def insist(self, method, *attributes):
        """A nonce is for one address: after a move it may take another one, which comes with a 438."""
        answer = self.ask(method, *attributes)
        return self.ask(method, *attributes) if answer.error() == 438 else answer

    def allocate(self):
        asked = (stun.REQUESTED_TRANSPORT, stun.UDP), (MOBILITY_TICKET, b"")
        self.ask(stun.ALLOCATE, *asked)  # for a nonce
        answer = self.ask(stun.ALLOCATE, *asked)
        self.keep(answer)

    def keep(self, answer):
        assert answer.kind == stun.SUCCESS, answer.error()
        assert answer.verify(self.key)
        self.ticket = answer.get(MOBILITY_TICKET)
        assert self.ticket

    def bind(self, peer):
        answer = self.insist(stun.CHANNEL_BIND, (stun.CHANNEL_NUMBER, stun.channel_value(CHANNEL)),
                             (stun.XOR_PEER_ADDRESS, peer))
        assert answer.kind == stun.SUCCESS, answer.error()

    def move(self, family=socket.AF_INET):
        """In two round trips: a 438, for its nonce is for the address before, and the Refresh."""
        old = self.go(family)
        before = self.ticket
        assert self.ask(stun.REFRESH, (MOBILITY_TICKET, before)).error() == 438
        self.keep(self.ask(stun.REFRESH, (MOBILITY_TICKET, before)))
        assert self.ticket != before
        return old

    def exchange(self, count):
        """To the peer and back, as many datagrams at once."""
        sent = [b"%d " % i + os.urandom(20) for i in range(count)]
        for payload in sent:
            self.socket.send(stun.channel_data(CHANNEL, payload))
        back = [stun.read_channel_data(self.socket.recv(2048)) for _ in sent]
        return back == [(CHANNEL, payload[::-1]) for payload in sent]

    def close(self):
        self.socket.close()


class Mobility(unittest.TestCase):
    def roam(self, relay, families, times):
        peers = EchoPeers(1)
        roamer = Roamer(relay)
        roamer.allocate()
        roamer.bind(peers.addresses()[0])
        self.assertTrue(roamer.exchange(1))
        for i in range(times):
            old = roamer.move(families[i % len(families)])
            self.assertTrue(roamer.exchange(10), i)
            old.send(stun.channel_data(CHANNEL, b"from where it was"))
            self.assertTrue(roamer.exchange(1), i)
            old.setblocking(False)
            self.assertRaises(BlockingIOError, old.recv, 2048)
            old.close()
        # All else works as ever.
        roamer.bind(peers.addresses()[0])
        self.assertEqual(roamer.insist(stun.REFRESH, (stun.LIFETIME, stun.number(0))).kind, stun.SUCCESS)
        roamer.close()
        peers.close()
        wait_for(lambda: relay.output().count("Moved allocation") == times, "the log to tell of each move")
        wait_for(lambda: Metrics(endpoint(relay)).get("relay_allocations_moved_total") == times, "metrics to count each move")

    def test_ports(self):
        with Relay(BINARY, "--mobility", workers=WORKERS) as relay:
            self.roam(relay, [socket.AF_INET], 40)

    def test_families(self):
        with Relay(BINARY, "--mobility", workers=WORKERS) as relay:
            self.roam(relay, [socket.AF_INET6, socket.AF_INET], 40)

    def test_not_by_default(self):
        with Relay(BINARY) as relay:
            roamer = Roamer(relay)
            roamer.ask(stun.ALLOCATE, (stun.REQUESTED_TRANSPORT, stun.UDP))
            self.assertEqual(roamer.ask(stun.ALLOCATE, (stun.REQUESTED_TRANSPORT, stun.UDP), (MOBILITY_TICKET, b"")).error(), 405)
            roamer.close()


if __name__ == "__main__":
    main()
