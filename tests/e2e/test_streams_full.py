# SPDX-License-Identifier: Apache-2.0
"""Full TURN over TCP and TLS: indications and permissions, reserved ports, users who come anew by another transport, moves, and how all of it ends
with its connection. With several workers, any of which the kernel may give a connection to."""

import os
import random
import shutil
import socket
import struct
import sys
import time
import unittest

import stun
from authority import Authority, context
from firezone_client import Client, Refused
from harness import DEADLINE, EchoPeers, Relay, free_udp_socket, main, wait_for
from stream_client import StreamClient, free_port, padded
from watch import Metrics, endpoint

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
SEND, DATA = 0x006, 0x007
DATA_VALUE, EVEN_PORT, RESERVATION_TOKEN, MOBILITY_TICKET = 0x0013, 0x0018, 0x0022, 0x8030
ALLOCATION = [(stun.REQUESTED_TRANSPORT, stun.UDP)]


class FullClient(StreamClient):
    """Over TCP, or over TLS if `wrap` makes that of it."""

    def allocate_with(self, *more):
        message = self.request(stun.ALLOCATE, ALLOCATION + list(more))
        self.accept(message)
        return message

    def permit(self, *peers):
        self.request(stun.CREATE_PERMISSION, [(stun.XOR_PEER_ADDRESS, p) for p in peers])

    def indication(self, peer, data):
        return stun.build(SEND, stun.INDICATION, stun.new_transaction(), [(stun.XOR_PEER_ADDRESS, peer), (DATA_VALUE, data)])

    def indicate(self, peer, data):
        self.socket.send(self.indication(peer, data))

    def hear(self, patience=DEADLINE):
        """Peer and data of the next Data indication; None when none comes in time."""
        message = self.socket.message(time.monotonic() + patience)
        if message is None:
            return None
        message = stun.Message(message)
        assert (message.method, message.kind) == (DATA, stun.INDICATION), (message.method, message.kind)
        return message.address(stun.XOR_PEER_ADDRESS), message.get(DATA_VALUE)

    def reset(self):
        """Ends the connection by RST."""
        self.socket.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.connection.close()


class Full:
    """Of either transport."""

    transport = "tcp"
    args = ("--relay-mode", "full", "--mobility")

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.relay = Relay(BINARY, *cls.listen(), *cls.args, workers=WORKERS)
        cls.metrics_port = endpoint(cls.relay)

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()

    @classmethod
    def listen(cls):
        return "--tcp-listen-port", str(cls.port)

    @staticmethod
    def wrap(connection):
        return connection

    def client(self, credentials=None):
        client = FullClient(("127.0.0.1", self.port), *(credentials or self.relay.credentials()), wrap=self.wrap)
        self.addCleanup(client.close)
        return client

    def scrape(self):
        time.sleep(0.12)  # the relay gives scrapes within 0.1 s the same text
        return Metrics(self.metrics_port)

    def wait_for_none(self):
        for name in ("relay_active_allocations", "relay_active_permissions", "relay_active_channels"):
            wait_for(lambda: self.scrape().get(name) == 0, name + " to be 0")
        wait_for(lambda: self.scrape().get("relay_stream_connections", transport=self.transport) == 0, "no connection to be left")

    # ---- data ----

    def test_indications(self):
        """Data of all lengths by Send and Data indications, beside a channel; the peer's other ports are allowed, too."""
        with EchoPeers(2) as peers, self.client() as client:
            client.allocate()
            one, other = peers.addresses()
            client.permit(one)
            for size in list(range(9)) + [100, 1200, 1453, 8000]:
                data = os.urandom(size)
                client.indicate((one, other)[size % 2], data)
                self.assertEqual(client.hear(), ((one, other)[size % 2], data[::-1]), size)
            channel = client.bind(one)
            client.send(channel, b"by channel")
            self.assertEqual(client.receive(), (channel, b"lennahc yb"))
            client.indicate(one, b"asked by indication")  # who has a channel gets all by that
            self.assertEqual(client.receive(), (channel, b"noitacidni yb deksa"))
            client.indicate(other, b"and this one")
            self.assertEqual(client.hear(), (other, b"eno siht dna"))
            self.assertEqual(self.scrape().get("relay_active_permissions"), 1)
        self.wait_for_none()

    def test_cut_anywhere(self):
        """Indications and ChannelData, cut at a hundred random places and more."""
        seed = random.randrange(1 << 32)
        print("seed", seed, flush=True)
        rng = random.Random(seed)
        with EchoPeers(2, change=lambda data: data) as peers, self.client() as client:
            client.allocate()
            one, other = peers.addresses()
            client.permit(one)
            channel = client.bind(one)
            payloads = [b"%4d" % i + rng.randbytes(rng.randrange(1000)) for i in range(150)]
            stream = b"".join(padded(stun.channel_data(channel, p) if i % 3 == 0 else client.indication(other, p)) for i, p in enumerate(payloads))
            cuts = sorted(rng.sample(range(1, len(stream)), 150))
            got = []

            def read(patience):
                message = client.socket.message(time.monotonic() + patience)
                if message is None:
                    return False
                found = stun.read_channel_data(message)
                got.append(found[1] if found else stun.Message(message).get(DATA_VALUE))
                return True

            for at, to in zip([0] + cuts, cuts + [len(stream)]):
                client.socket.connection.sendall(stream[at:to])
                while len(got) < len(payloads) and read(0.002):
                    pass
            while len(got) < len(payloads):
                self.assertTrue(read(DEADLINE))
            # Between two peers there is no order.
            for kind in (0, 1):
                self.assertEqual([p for p in got if (int(p[:4]) % 3 == 0) == (kind == 0)], [p for i, p in enumerate(payloads) if (i % 3 == 0) == (kind == 0)])

    def test_without_permission(self):
        """Nothing gets to peers nor from them, and each is counted; a permission opens both ways, and for its address alone."""
        peer = free_udp_socket()
        stranger = free_udp_socket(host="127.0.0.2")
        for s in (peer, stranger):
            self.addCleanup(s.close)
        with self.client() as client:
            client.allocate()
            relayed = client.relayed[4]

            def dropped(reason):
                return self.scrape().get("relay_dropped_packets_total", reason=reason)

            before = [dropped(reason) for reason in ("no_permission", "unknown_peer")]
            client.indicate(peer.getsockname(), b"may not go")
            wait_for(lambda: dropped("no_permission") == before[0] + 1, "the indication to be dropped")
            peer.sendto(b"may not come", relayed)
            wait_for(lambda: dropped("unknown_peer") == before[1] + 1, "the datagram to be dropped")
            client.permit(peer.getsockname())
            peer.sendto(b"may come", relayed)
            self.assertEqual(client.hear(), (peer.getsockname(), b"may come"))
            client.indicate(peer.getsockname(), b"may go")
            self.assertEqual(peer.recv(100), b"may go")
            stranger.sendto(b"may not come", relayed)
            peer.sendto(b"last", relayed)
            self.assertEqual(client.hear(), (peer.getsockname(), b"last"))
            self.assertEqual(dropped("unknown_peer"), before[1] + 2)
            with self.assertRaises(Refused) as refused:
                client.permit(("224.0.0.1", 1))
            self.assertEqual(refused.exception.code, 403)

    # ---- reserved ports ----

    def test_even_port(self):
        """A pair of ports: the upper one is for whoever has the token, in whichever worker; its allocation does not end with the first one."""
        for _ in range(8):
            with self.client() as first, self.client() as second:
                token = first.allocate_with((EVEN_PORT, b"\x80")).get(RESERVATION_TOKEN)
                self.assertEqual(len(token), 8)
                port = first.relayed[4][1]
                self.assertEqual(port % 2, 0)
                second.allocate_with((RESERVATION_TOKEN, token))
                self.assertEqual(second.relayed[4][1], port + 1)
                first.reset()
                wait_for(lambda: self.scrape().get("relay_active_allocations") == 1, "the first to end")
                second.refresh()
        with self.client() as first, self.client() as second:
            token = first.allocate_with((EVEN_PORT, b"\x80")).get(RESERVATION_TOKEN)
            first.close()
            wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "it to end, with what it has reserved")
            with self.assertRaises(Refused) as refused:
                second.allocate_with((RESERVATION_TOKEN, token))
            self.assertEqual(refused.exception.code, 508)

    # ---- another transport ----

    def test_user_comes_anew(self):
        """By UDP and by a stream in turn, in any worker: each transport has its newest, and that ends the older one of it, whose connection stays."""
        credentials = self.relay.credentials()
        clients = []
        for i in range(8):
            client = Client(self.relay.address(), *credentials) if i % 2 else self.client(credentials)
            self.addCleanup(client.close)
            client.allocate()
            clients.append(client)
            wait_for(lambda: self.scrape().get("relay_active_allocations") == min(len(clients), 2), "the older allocation to end")
            for newest in clients[-2:]:
                newest.refresh()
            if i >= 2:
                with self.assertRaises(Refused) as refused:
                    clients[-3].refresh()
                self.assertEqual(refused.exception.code, 437)
                self.assertEqual(clients[-3].binding()[0], "127.0.0.1")
        for newest in clients[-2:]:
            newest.refresh(0)

    def check_data(self, client, channel, data):
        client.send(channel, data)
        self.assertEqual(client.receive(), (channel, data[::-1]))

    def move(self, old, new):
        """Returns what went wrong, as a code of STUN; 0: nothing."""
        try:
            message = new.request(stun.REFRESH, [(MOBILITY_TICKET, old.ticket)])
        except Refused as error:
            return error.code
        new.ticket, new.relayed, new.channels = message.get(MOBILITY_TICKET), old.relayed, old.channels
        return 0

    def begin(self, client, peer):
        client.ticket = client.request(stun.ALLOCATE, ALLOCATION + [(MOBILITY_TICKET, b"")]).get(MOBILITY_TICKET)
        return client.bind(peer)

    def test_move_to_udp(self):
        """From a stream to UDP, whichever worker hears of it: that which has the allocation keeps it. The connection's end is not its end."""
        with EchoPeers(1) as peers:
            for i in range(8):
                credentials = self.relay.credentials()
                old, new = self.client(credentials), Client(self.relay.address(), *credentials)
                channel = self.begin(old, peers.addresses()[0])
                self.assertEqual(self.move(old, new), 0)
                old.reset() if i % 2 else old.close()  # pylint: disable=expression-not-assigned
                wait_for(lambda: self.scrape().get("relay_stream_connections", transport=self.transport) == 0, "the connection to be gone")
                self.check_data(new, channel, b"by UDP")
                new.refresh(0)
                new.close()
        self.wait_for_none()

    def test_move_to_a_stream(self):
        """To another connection, or from UDP to one: if that is of the worker that has the allocation. If not, 437 says to begin anew."""
        seen = set()
        with EchoPeers(1) as peers:
            for i in range(64):
                credentials = self.relay.credentials()
                old = Client(self.relay.address(), *credentials) if i % 2 else self.client(credentials)
                channel = self.begin(old, peers.addresses()[0])
                new = self.client(credentials)
                code = self.move(old, new)
                if code:
                    self.assertEqual(code, 437)
                    channel = self.begin(new, peers.addresses()[0])
                if code and i % 2:
                    old.refresh(0)
                old.close()
                self.check_data(new, channel, b"where I am now")
                new.close()
                seen.add((i % 2, code))
                if len(seen) == (2 if WORKERS == 1 else 4):
                    break
            else:
                self.fail("the kernel led all connections to one worker: %s" % seen)
        self.wait_for_none()

    # ---- ends ----

    def test_all_ends_with_the_connection(self):
        """Closed or reset, in either direction, at rest and while data comes in: allocation, permissions, channels and ports are free again."""
        peer = free_udp_socket()
        self.addCleanup(peer.close)
        for end in ("close", "reset", "reset under load", "half"):
            clients = [self.client() for _ in range(12)]
            for c in clients:
                c.allocate()
                c.permit(("127.0.0.9", 9))
                c.bind(peer.getsockname())
            self.assertEqual(self.scrape().get("relay_active_allocations"), len(clients))
            if end == "reset under load":
                for i in range(200):
                    for c in clients:
                        peer.sendto(b"%d" % i * 500, c.relayed[4])
            for c in clients:
                if end == "close":
                    c.close()
                elif end == "half":
                    c.socket.connection.shutdown(socket.SHUT_WR)
                else:
                    c.reset()
            self.wait_for_none()
        # What ends with a message that is none ends likewise.
        with self.client() as client:
            client.allocate()
            client.socket.connection.sendall(b"\xff\xff\xff\xff")
            self.assertTrue(client.socket.wait_for_end())
            self.wait_for_none()


class Tcp(Full, unittest.TestCase):
    pass


@unittest.skipIf(not shutil.which("openssl"), "no openssl here")
class Tls(Full, unittest.TestCase):
    transport = "tls"

    @classmethod
    def listen(cls):
        cls.authority = Authority()
        cls.authority.make("relay")
        cls.authority.put()
        return "--tls-listen-port", str(cls.port), "--tls-cert", cls.authority.cert, "--tls-key", cls.authority.key

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.authority.folder.cleanup()

    @staticmethod
    def wrap(connection):
        return context().wrap_socket(connection)


if __name__ == "__main__":
    main()
