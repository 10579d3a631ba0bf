# SPDX-License-Identifier: Apache-2.0
"""A client with Firezone's habits against the built relay: what it relies on, and data both ways."""

import base64
import hashlib
import os
import random
import select
import socket
import sys
import threading
import unittest

import stun
from firezone_client import Client, CredentialsDead, Refused, Timeout
from harness import EchoPeers, Relay, answers_binding, free_udp_socket, main, wait_for

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))
V4, V6 = socket.AF_INET, socket.AF_INET6
# What the engine carries in one datagram; the payload's largest size is 4 bytes less than UDP's, for the header.
LARGEST = 65507 - 4
ASK_BOTH = [(stun.REQUESTED_TRANSPORT, stun.UDP), (stun.ADDITIONAL_ADDRESS_FAMILY, stun.family_value(stun.IPV6))]


def new_client(relay, family=V4, salt=None, ttl=3600, **more):
    return Client(relay.address(family), *relay.credentials(ttl=ttl, salt=salt), **more)


class WithRelay(unittest.TestCase):
    """Tests that share one relay with both families; it is checked when the last of them is done."""

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(BINARY, workers=WORKERS)
        cls.peers = EchoPeers(3, (V4, V6))

    @classmethod
    def tearDownClass(cls):
        cls.peers.close()
        cls.relay.stop()

    def client(self, *args, **more):
        client = new_client(self.relay, *args, **more)
        self.addCleanup(self.leave, client)
        return client

    @staticmethod
    def leave(client):
        """No allocation stays: the system may give the client's port to a later one, which would be told 437."""
        if client.relayed:
            client.retransmit = (0.2, 0.4, 0.8)
            try:
                client.refresh(0)
            except (OSError, Refused, Timeout):
                pass  # a test may have made that impossible
        client.close()


class Requests(WithRelay):
    def test_vectors_of_the_password_scheme(self):
        for secret, expiry, salt, password in (
                ("4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab", 1892160000, "n23JJ2wKKtt30oXi",
                 "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68"),
                ("1cab293a-4032-46f4-862a-40e5d174b0d2", 1685984278, "uvdgKvS9GXYZ_vmv",
                 "6xUIoZ+QvxKhRasLifwfRkMXl+ETLJUsFkHlXjlHAkg")):
            digest = hashlib.sha256(("%d:%s:%s" % (expiry, secret, salt)).encode()).digest()
            self.assertEqual(base64.b64encode(digest).decode().rstrip("="), password)

    def test_binding_tells_the_address(self):
        for family in (V4, V6):
            client = self.client(family)
            self.assertEqual(client.binding(), client.socket.getsockname()[:2])

    def test_binding_repeats_fingerprint_only_if_asked(self):
        client = self.client()
        for asked in (False, True):
            transaction = stun.new_transaction()
            client.socket.send(stun.build(stun.BINDING, stun.REQUEST, transaction, [], fingerprint=asked))
            answer = stun.Message(client.socket.recv(2048))
            self.assertEqual(answer.transaction, transaction)
            self.assertEqual(answer.fingerprint_is_right(), asked)

    def test_first_allocate_without_nonce_gets_signed_401(self):
        client = self.client()
        message = client.request_once(stun.ALLOCATE, ASK_BOTH)
        self.assertEqual(message.error(), 401)
        self.assertEqual(message.get(stun.REALM), b"firezone")
        self.assertTrue(message.get(stun.NONCE))
        self.assertIsNone(message.get(stun.SOFTWARE))

    def test_software_as_clients_send_it_is_answered(self):
        """Firezone's clients send theirs with everything; so has each answer the relay's then, as from Firezone's own relay."""
        client = self.client()
        software = [(stun.SOFTWARE, b"snownet; rev=0123456")]
        for method, attributes in ((stun.BINDING, []), (stun.ALLOCATE, ASK_BOTH), (stun.ALLOCATE, ASK_BOTH), (stun.REFRESH, ASK_BOTH),
                                   (stun.CHANNEL_BIND, [])):
            with self.subTest(method=method):
                if method == stun.BINDING:
                    client.socket.send(stun.build(method, stun.REQUEST, stun.new_transaction(), software))
                    message = stun.Message(client.socket.recv(2048))
                    self.assertLessEqual(len(message.data), 44 + 12)
                else:
                    message = client.request_once(method, attributes + software)
                    client._learn(message)
                self.assertRegex(message.get(stun.SOFTWARE), b"^firezone-relay/")

    def test_dual_stack_allocate(self):
        for family in (V4, V6):
            client = self.client(family)
            message = client.allocate()
            self.assertEqual(client.errors_seen, [401])
            self.assertEqual(client.thrown_away, 0)
            self.assertEqual(sorted(client.relayed), [4, 6])
            self.assertEqual(client.relayed[4], ("127.0.0.1", client.relayed[6][1]))
            self.assertEqual(client.relayed[6][0], "::1")
            self.assertTrue(self.relay.lowest <= client.relayed[4][1] <= self.relay.highest)
            self.assertEqual(client.mapped, client.socket.getsockname()[:2])
            self.assertEqual(client.lifetime, 600)
            self.assertIsNone(client.family_error)
            self.assertIn(b"firezone-relay", message.get(stun.SOFTWARE))

    def test_credentials_with_every_letter_of_base64(self):
        client = self.client(salt="a+b/c=d_-e")
        client.allocate()
        self.assertEqual(client.refresh().lifetime(), 600)

    def test_bogus_and_foreign_nonces_get_438(self):
        other = self.client()
        other.allocate()
        for nonce in (b"bogus", b"", bytes(128), other.nonce):
            client = self.client()
            client.nonce = nonce
            message = client.request_once(stun.ALLOCATE, ASK_BOTH)
            self.assertEqual(message.error(), 438)
            client.allocate()
            self.assertEqual(client.errors_seen, [438], "the second try should have gone through")

    def test_allocate_again_recovers_from_437(self):
        client = self.client()
        client.allocate()
        before = dict(client.relayed)
        with self.assertRaises(Refused) as caught:
            client.request(stun.ALLOCATE, ASK_BOTH)
        self.assertEqual(caught.exception.code, 437)
        client.errors_seen.clear()
        client.allocate()
        self.assertEqual(client.errors_seen, [437])
        self.assertNotEqual(client.relayed, {})
        self.assertEqual(sorted(client.relayed), sorted(before))
        self.assertEqual(client.refresh().lifetime(), 600)

    def test_retransmitted_allocate_gets_the_same_answer(self):
        client = self.client()
        client.nonce = client.request_once(stun.ALLOCATE, ASK_BOTH).get(stun.NONCE)
        transaction = stun.new_transaction()
        first = client.request_once(stun.ALLOCATE, ASK_BOTH, transaction)
        second = client.request_once(stun.ALLOCATE, ASK_BOTH, transaction)
        self.assertEqual((first.kind, second.kind), (stun.SUCCESS, stun.SUCCESS))
        self.assertEqual((first.error(), second.error()), (0, 0))
        self.assertEqual(first.addresses(stun.XOR_RELAYED_ADDRESS), second.addresses(stun.XOR_RELAYED_ADDRESS))
        client.relayed = first.addresses(stun.XOR_RELAYED_ADDRESS)

    def test_requests_without_allocation_get_437(self):
        client = self.client()
        for call in (client.refresh, lambda: client.bind(self.peers.addresses()[0])):
            with self.assertRaises(Refused) as caught:
                call()
            self.assertEqual(caught.exception.code, 437)

    def test_refresh_with_the_attributes_of_an_allocate(self):
        client = self.client()
        client.allocate()
        self.assertEqual(client.refresh(1200).lifetime(), 1200)
        self.assertEqual(client.refresh(100000).lifetime(), 3600)
        self.assertEqual(client.refresh(0).lifetime(), 0)
        with self.assertRaises(Refused) as caught:
            client.refresh()
        self.assertEqual(caught.exception.code, 437)

    def test_expired_credentials_get_a_signed_401(self):
        client = self.client(ttl=-60)
        with self.assertRaises(CredentialsDead):
            client.allocate()
        # Both came back signed, or they would have been thrown away.
        self.assertEqual(client.errors_seen, [401, 401])
        self.assertEqual(client.thrown_away, 0)

    def test_credentials_that_expire_do_not_end_the_allocation_and_fresh_ones_are_taken(self):
        client = self.client(salt="first", ttl=2)
        client.allocate()
        channel = client.bind(self.peers.addresses()[0])
        old = client.username, client.key

        def dead():
            client.username, client.key = old
            try:
                client.refresh()
            except CredentialsDead:
                return True
            return False
        wait_for(dead, "the credentials to expire")
        client.send(channel, b"still here")
        self.assertEqual(client.receive(), (channel, b"ereh llits"))
        client.set_credentials(*self.relay.credentials(salt="second"))
        self.assertEqual(client.refresh().lifetime(), 600)
        self.assertEqual(client.bind(self.peers.addresses()[0]), channel)
        client.send(channel, b"renewed")
        self.assertEqual(client.receive(), (channel, b"dewener"))

    def test_wrong_password_is_signed_with_the_right_one(self):
        client = self.client()
        username, password = self.relay.credentials()
        client.set_credentials(username, password + "x")
        client.retransmit = (0.3,)
        with self.assertRaises(Timeout):
            client.allocate()
        self.assertEqual(client.thrown_away, 1)

    def test_malformed_user_names_get_an_unsigned_401(self):
        key = stun.key_of("x", "firezone", "y")
        for username in (b"nocolon", b"1:2:3", b":salt", b"-1:salt", b"18446744073709551616:salt", b"1x:salt", b""):
            client = self.client()  # one would be refused the same too often
            transaction = stun.new_transaction()
            client.socket.send(stun.build(stun.ALLOCATE, stun.REQUEST, transaction, ASK_BOTH + [
                (stun.USERNAME, username), (stun.REALM, b"firezone")], key))
            message = stun.Message(client.socket.recv(2048))
            self.assertEqual((message.transaction, message.error()), (transaction, 401))
            self.assertFalse(message.is_signed(), username)

    def test_the_client_throws_unsigned_answers_away(self):
        """Of the client, not of the relay: forged errors in front of each answer must not mislead it."""
        with Forger(self.relay.address()) as forger:
            username, password = self.relay.credentials(salt="forged")
            with Client(forger.address, username, password) as client:
                client.allocate()
                self.assertEqual(client.errors_seen, [401])
                self.assertEqual(client.thrown_away, 2)


class Forger:
    """Stands between a client and the relay; before each of the relay's answers it sends an unsigned 401."""

    def __init__(self, relay_address):
        self.near = free_udp_socket()
        self.far = free_udp_socket()
        self.far.connect(relay_address)
        self.address = self.near.getsockname()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        client = None
        while not self.done.is_set():
            for s in select.select([self.near, self.far], [], [], 0.05)[0]:
                if s is self.near:
                    data, client = s.recvfrom(65536)
                    self.far.send(data)
                elif client:
                    data = s.recv(65536)
                    forged = stun.build(stun.ALLOCATE, stun.ERROR, data[8:20], [(stun.ERROR_CODE, b"\0\0\4\1no")])
                    self.near.sendto(forged, client)
                    self.near.sendto(data, client)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.done.set()
        self.thread.join()
        self.near.close()
        self.far.close()


class Data(WithRelay):
    def check_echo(self, client, channels, sizes, rng):
        for size in sizes:
            for channel in channels:
                payload = rng.randbytes(size)
                client.send(channel, payload)
                got = client.receive()
                self.assertIsNotNone(got, "%d bytes on %#x are lost" % (size, channel))
                self.assertEqual((got[0], len(got[1])), (channel, size))
                self.assertTrue(got[1] == payload[::-1], "%d bytes on %#x were changed" % (size, channel))

    def test_both_ways_in_both_families(self):
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        for family in (V4, V6):
            with self.subTest(client=family, seed=seed):
                client = self.client(family)
                client.allocate()
                channels = [client.bind(peer) for f in (V4, V6) for peer in self.peers.addresses(f)]
                self.check_echo(client, channels, [0, 1, 2, 3, 4, 5, 31, 100, 1280, 1452, 9000, LARGEST], rng)

    def test_padding_is_not_relayed(self):
        client = self.client()
        client.allocate()
        channel = client.bind(self.peers.addresses()[0])
        client.socket.send(stun.channel_data(channel, b"abcde") + b"\xaa\xbb\xcc")
        self.assertEqual(client.receive(), (channel, b"edcba"))

    def test_peers_see_the_relayed_address(self):
        client = self.client()
        client.allocate()
        for family, version in ((V4, 4), (V6, 6)):
            with free_udp_socket(family) as peer:
                channel = client.bind(peer.getsockname()[:2])
                client.send(channel, b"who am I")
                data, source = peer.recvfrom(100)
                self.assertEqual((data, source[:2]), (b"who am I", client.relayed[version]))
                peer.sendto(b"hello", source)
                self.assertEqual(client.receive(), (channel, b"hello"))

    def test_peer_without_channel_reaches_nobody(self):
        client = self.client()
        client.allocate()
        channel = client.bind(self.peers.addresses()[0])
        with free_udp_socket() as stranger, free_udp_socket() as bound:
            known = client.bind(bound.getsockname()[:2])
            for _ in range(3):
                stranger.sendto(b"let me in", client.relayed[4])
            bound.sendto(b"known", client.relayed[4])
            self.assertEqual(client.receive(), (known, b"known"), "only what the channel's peer sent may arrive")
        client.send(channel, b"after")
        self.assertEqual(client.receive(), (channel, b"retfa"))

    def test_closed_peer_port_does_not_stop_the_others(self):
        client = self.client()
        client.allocate()
        gone = free_udp_socket()
        dead = client.bind(gone.getsockname()[:2])
        gone.close()
        alive = client.bind(self.peers.addresses()[0])
        for i in range(20):
            client.send(dead, b"nobody")
            client.send(alive, b"%02d" % i)
            self.assertEqual(client.receive(), (alive, (b"%02d" % i)[::-1]))

    def test_two_clients_talk_through_two_allocations(self):
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        for version in (4, 6):
            with self.subTest(version=version, seed=seed):
                left, right = self.client(V4, "left"), self.client(V6, "right")
                left.allocate()
                right.allocate()
                to_right, to_left = left.bind(right.relayed[version]), right.bind(left.relayed[version])
                for size in (0, 1, 1280, 9000):
                    payload = rng.randbytes(size)
                    left.send(to_right, payload)
                    self.assertTrue(right.receive() == (to_left, payload), size)
                    right.send(to_left, payload[::-1])
                    self.assertTrue(left.receive() == (to_right, payload[::-1]), size)

    def test_a_deleted_allocation_relays_nothing_and_its_port_closes(self):
        client = self.client()
        client.allocate()
        with free_udp_socket() as peer:
            channel = client.bind(peer.getsockname()[:2])
            client.send(channel, b"one")
            self.assertEqual(peer.recv(10), b"one")
            port = client.relayed[4][1]
            client.refresh(0)
            client.send(channel, b"two")
            client.binding()  # the relay has read the packet before when this is answered
            self.assertEqual(select.select([peer], [], [], 0.1)[0], [])
        with free_udp_socket() as probe:
            probe.connect(("127.0.0.1", port))
            probe.settimeout(5)

            def refused():
                try:
                    probe.send(b"x")
                    probe.send(b"x")
                except ConnectionRefusedError:
                    return True
                return False
            wait_for(refused, "the port to be closed")

    def test_own_listen_port_is_no_peer(self):
        client = self.client()
        client.allocate()
        for family in (V4, V6):
            with self.assertRaises(Refused) as caught:
                client.bind(self.relay.address(family))
            self.assertEqual(caught.exception.code, 403)

    def test_channel_rules(self):
        client = self.client()
        client.allocate()
        one, two, _ = self.peers.addresses()
        client.bind(one, 0x4000)
        client.bind(one, 0x4000)
        for peer, channel in ((two, 0x4000), (one, 0x4001), (two, 0x5000), (two, 0x3FFF)):
            with self.assertRaises(Refused) as caught:
                client.bind(peer, channel)
            self.assertEqual(caught.exception.code, 400, (peer, hex(channel)))
        client.bind(two, 0x4FFF)

    def test_many_clients(self):
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        clients = []
        for i in range(100):
            client = self.client(V4 if i % 2 else V6, "many%d" % i)
            client.allocate()
            clients.append((client, [client.bind(self.peers.addresses(f)[i % 3]) for f in (V4, V6)]))
        self.assertEqual(len({client.relayed[4][1] for client, _ in clients}), len(clients), "ports are shared")
        for turn in range(5):
            sent = {}
            for client, channels in clients:
                for channel in channels:
                    sent[client, channel] = rng.randbytes(rng.randrange(1400))
                    client.send(channel, sent[client, channel])
            for client, channels in clients:
                for _ in channels:
                    channel, payload = client.receive()
                    self.assertTrue(payload == sent.pop((client, channel))[::-1], "seed %d turn %d" % (seed, turn))
            self.assertEqual(sent, {})


class Families(unittest.TestCase):
    def test_relay_with_ipv4_only(self):
        with Relay(BINARY, workers=WORKERS, v6=None) as relay, EchoPeers() as peers:
            with new_client(relay) as client:
                client.allocate()
                self.assertEqual(sorted(client.relayed), [4])
                self.assertEqual(client.family_error[0], stun.IPV6)
                self.assertEqual(client.family_error[2] % 8 * 100 + client.family_error[3], 440)
                channel = client.bind(peers.addresses()[0])
                client.send(channel, b"v4")
                self.assertEqual(client.receive(), (channel, b"4v"))
                with self.assertRaises(Refused) as caught:
                    client.bind(("::1", 4000))
                self.assertEqual(caught.exception.code, 443)

    def test_relay_with_ipv6_only(self):
        with Relay(BINARY, workers=WORKERS, v4=None) as relay, EchoPeers(1, (V6,)) as peers:
            with new_client(relay, V6) as client:
                client.allocate()
                self.assertEqual(sorted(client.relayed), [6])
                self.assertEqual(client.family_error[0], stun.IPV4)
                channel = client.bind(peers.addresses(V6)[0])
                client.send(channel, b"v6")
                self.assertEqual(client.receive(), (channel, b"6v"))


class Ending(unittest.TestCase):
    def test_first_signal_waits_for_the_last_allocation(self):
        with EchoPeers() as peers:
            relay = Relay(BINARY, workers=WORKERS)
            try:
                with new_client(relay) as client, new_client(relay) as late:
                    client.allocate()
                    channel = client.bind(peers.addresses()[0])
                    relay.process.terminate()
                    wait_for(lambda: relay.find("no new allocations"), "the relay to drain")
                    with self.assertRaises(Refused):
                        late.allocate()
                    client.send(channel, b"still served")
                    self.assertEqual(client.receive(), (channel, b"devres llits"))
                    self.assertTrue(answers_binding(V4, *relay.address()))
                    client.refresh(0)
                    self.assertEqual(relay.wait(), 0, relay.output())
            finally:
                relay.kill()


if __name__ == "__main__":
    main()
