# SPDX-License-Identifier: Apache-2.0
"""Clients over TCP: whole sessions, streams cut anywhere, what ends a connection, slow readers, and the figures of all of it.

Arguments: the relay, then the path of the built pion program, or "-"."""

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import stun
from firezone_client import Client, Refused
from harness import DEADLINE, EchoPeers, Relay, binding_request, main, wait_for
from stream_client import Framed, StreamClient, check_age, check_coturn, check_pion, free_port, narrow, padded
from watch import Metrics, endpoint

BINARY, PION = sys.argv[1:3]
del sys.argv[1:3]
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
IDLE = 2


class Streams(unittest.TestCase):
    args = ()

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.relay = Relay(BINARY, "--tcp-listen-port", str(cls.port), *cls.args, workers=WORKERS)
        cls.metrics_port = endpoint(cls.relay)

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()

    def connect(self, host="127.0.0.1"):
        connection = socket.create_connection((host, self.port), timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def client(self, **more):
        client = StreamClient(("127.0.0.1", self.port), *self.relay.credentials(), **more)
        self.addCleanup(client.close)
        return client

    def scrape(self):
        time.sleep(0.12)  # the relay gives scrapes within 0.1 s the same text
        return Metrics(self.metrics_port)

    def ended(self, reason):
        return self.scrape().get("relay_stream_connections_ended_total", transport="tcp", reason=reason)

    def wait_for_ended(self, reason, count):
        wait_for(lambda: self.ended(reason) >= count, "a connection to end for " + reason)


class Sessions(Streams):
    def test_binding(self):
        for host in ("127.0.0.1", "::1"):
            framed = Framed(self.connect(host))
            request, kind, rest = binding_request()
            framed.send(request)
            answer = framed.message(time.monotonic() + DEADLINE)
            self.assertEqual((answer[:2], answer[4:20]), (kind, rest))
            self.assertEqual(stun.Message(answer).address(stun.XOR_MAPPED_ADDRESS), framed.connection.getsockname()[:2])

    def test_session(self):
        """Data of all lengths both ways, between clients on TCP and on UDP, too; then the connection takes the allocation with it."""
        with EchoPeers(2) as peers, self.client() as client:
            client.allocate()
            self.assertEqual(self.scrape().get("relay_stream_connections", transport="tcp"), 1)
            self.assertEqual(self.scrape().get("relay_client_allocations", transport="tcp"), 1)
            channels = [client.bind(peer) for peer in peers.addresses()]
            for size in list(range(9)) + [100, 1200, 1453, 8000, 30000]:
                data = os.urandom(size)
                client.send(channels[size % 2], data)
                self.assertEqual(client.receive(), (channels[size % 2], data[::-1]), size)
            with Client(self.relay.address(), *self.relay.credentials()) as other:
                other.allocate()
                to_other = client.bind(other.relayed[4])
                to_me = other.bind(client.relayed[4])
                client.send(to_other, b"from TCP to UDP")
                self.assertEqual(other.receive(), (to_me, b"from TCP to UDP"))
                other.send(to_me, b"from UDP to TCP!!")
                self.assertEqual(client.receive(), (to_other, b"from UDP to TCP!!"))
                other.refresh(0)
            client.refresh()
            self.assertEqual(self.scrape().get("relay_active_allocations"), 1)
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "the allocation to end with its connection")
        self.assertTrue(self.relay.told(r'Deleted allocation .*reason="its client.s connection ended"'))
        self.assertEqual(self.scrape().get("relay_active_channels"), 0)
        wait_for(lambda: self.scrape().get("relay_stream_connections", transport="tcp") == 0, "the connection to be gone")

    def test_cut_anywhere(self):
        """The same bytes, cut at a hundred random places and more, are the same messages."""
        seed = random.randrange(1 << 32)
        print("seed", seed, flush=True)
        rng = random.Random(seed)
        with EchoPeers(1, change=lambda data: data) as peers, self.client() as client:
            client.allocate()
            channel = client.bind(peers.addresses()[0])
            payloads = [rng.randbytes(rng.randrange(1400)) for _ in range(150)]
            stream = b"".join(padded(stun.channel_data(channel, p)) for p in payloads)
            cuts = sorted(rng.sample(range(1, len(stream)), 200))
            got = []
            for at, to in zip([0] + cuts, cuts + [len(stream)]):
                client.socket.connection.sendall(stream[at:to])
                while len(got) < len(payloads) and (data := client.receive(0.002)):
                    got.append(data)
            while len(got) < len(payloads):
                got.append(client.receive())
            self.assertEqual(got, [(channel, p) for p in payloads])

    def test_many_messages_at_once(self):
        with EchoPeers(1, change=lambda data: data) as peers, self.client() as client:
            client.allocate()
            channel = client.bind(peers.addresses()[0])
            client.socket.connection.sendall(b"".join(padded(stun.channel_data(channel, b"%d" % i)) for i in range(100)))
            self.assertEqual([client.receive() for _ in range(100)], [(channel, b"%d" % i) for i in range(100)])

    def test_many_clients(self):
        with EchoPeers(1) as peers:
            clients = [self.client() for _ in range(60)]
            for c in clients:
                c.allocate()
            channels = [c.bind(peers.addresses()[0]) for c in clients]
            for i, (c, channel) in enumerate(zip(clients, channels)):
                c.send(channel, b"I am %d" % i)
            for i, (c, channel) in enumerate(zip(clients, channels)):
                self.assertEqual(c.receive(), (channel, (b"I am %d" % i)[::-1]))
            for c in clients:
                c.close()
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "all allocations to end")


class Addresses(unittest.TestCase):
    def test_one_port_to_two_addresses(self):
        """One client's port may have a connection to each of the relay's addresses: each gets what is its own."""
        port, source = free_port(), free_port()
        with Relay(BINARY, "--tcp-listen-port", str(port), "--bind-ip4-addr", "0.0.0.0", v6=None, probe=False) as relay, EchoPeers(1) as peers:
            clients = []
            for host in ("127.0.0.1", "127.0.0.2"):
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                connection.bind(("127.0.0.1", source))
                connection.settimeout(DEADLINE)
                connection.connect((host, port))
                client = StreamClient((host, port), *relay.credentials(), connection=connection)
                self.addCleanup(client.close)
                clients.append(client)
            for client in clients:
                client.allocate()
            channels = [client.bind(peers.addresses()[0]) for client in clients]
            for _ in range(2):
                for i, client in enumerate(clients):
                    client.send(channels[i], b"I am %d" % i)
                for i, client in enumerate(clients):
                    self.assertEqual(client.receive(), (channels[i], (b"I am %d" % i)[::-1]))
            clients[0].close()
            clients[1].refresh()


class Ends(Streams):
    args = ("--connection-idle", "%ds" % IDLE, "--max-connections-per-prefix", "20")

    def check_end(self, data, reason):
        before = self.ended(reason)
        connection = self.connect()
        connection.sendall(data)
        self.assertTrue(Framed(connection).wait_for_end(IDLE * 0.6), reason)
        self.wait_for_ended(reason, before + 1)

    def test_what_is_no_message(self):
        self.check_end(b"\x16\x03\x01\x02\x00\x01", "no_message")
        self.check_end(b"SSH-2.0-x\r\n", "no_message")
        self.check_end(binding_request()[0] + b"\xff", "no_message")
        self.check_end(b"\x00\x01\x00\x02", "no_message")

    def test_strangers_say_little(self):
        self.check_end(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "too_long")  # it begins as ChannelData does
        self.check_end(struct.pack(">HH", 1, 8000), "too_long")

    def test_users_may_say_more(self):
        with EchoPeers(1) as peers, self.client() as client:
            client.allocate()
            channel = client.bind(peers.addresses()[0])
            client.send(channel, b"x" * 20000)
            self.assertEqual(client.receive(), (channel, b"x" * 20000))
            client.socket.connection.sendall(struct.pack(">HH", channel, 65535))
            self.assertTrue(client.socket.wait_for_end())
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "the allocation to end")

    def test_idle(self):
        """Who says nothing has to go, and so has who sends a message byte by byte; who has an allocation stays."""
        with self.client() as client:
            client.allocate()
            before = self.ended("idle")
            silent, slow = Framed(self.connect()), Framed(self.connect())
            request = binding_request()[0]
            begin = time.monotonic()
            for byte in request[:-1]:
                slow.connection.sendall(bytes([byte]))
                time.sleep(0.02)
            self.assertTrue(silent.wait_for_end() and slow.wait_for_end())
            self.assertGreaterEqual(time.monotonic() - begin, IDLE * 0.9)
            self.wait_for_ended("idle", before + 2)
            wait_for(lambda: time.monotonic() - begin > 2 * IDLE, "twice that time")
            client.refresh()

    def test_too_many(self):
        connections = [Framed(self.connect()) for _ in range(20)]
        for c in connections:
            c.send(binding_request()[0])
            self.assertIsNotNone(c.message(time.monotonic() + DEADLINE))  # it was taken, by whichever worker
        self.assertTrue(Framed(self.connect()).wait_for_end(IDLE * 0.6))
        self.wait_for_ended("prefix_full", 1)
        self.assertTrue(self.relay.told("--max-connections-per-prefix allows"))
        for c in connections:
            c.close()
        wait_for(lambda: self.scrape().get("relay_stream_connections", transport="tcp") == 0, "all to be gone")
        framed = Framed(self.connect())
        framed.send(binding_request()[0])
        self.assertIsNotNone(framed.message(time.monotonic() + DEADLINE))


class Slow(Streams):
    args = ("--max-queue-per-connection", "32768")

    def test_slow_reader(self):
        """Who does not read gets what is newest when he does, in order, each message whole; and the others do not wait for him."""
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        sender.bind(("127.0.0.1", 0))
        with self.client() as slow, self.client() as quick:
            slow.socket.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            channels = []
            for c in (slow, quick):
                c.allocate()
                channels.append(c.bind(sender.getsockname()))
            last = 0
            while self.scrape().get("relay_stream_dropped_messages_total", transport="tcp") < 500:
                for _ in range(200):
                    last += 1
                    sender.sendto(struct.pack(">I", last) * 250, slow.relayed[4])
                sender.sendto(b"quick", quick.relayed[4])
                self.assertEqual(quick.receive(), (channels[1], b"quick"))
            got = []
            while not got or got[-1] != last:
                channel, data = slow.receive()
                self.assertEqual((channel, data), (channels[0], data[:4] * 250))
                got.append(struct.unpack(">I", data[:4])[0])
            self.assertEqual(got, sorted(set(got)))
            self.assertLess(len(got), last - 400)
            # What had waited is the end of what was sent, without a gap.
            self.assertEqual(got[-20:], list(range(last - 19, last + 1)))
            self.assertEqual(self.scrape().get("relay_stream_queue_bytes", transport="tcp"), 0)
            dropped = self.scrape().get("relay_stream_dropped_messages_total", transport="tcp")
            self.assertEqual(dropped, self.scrape().get("relay_dropped_packets_total", reason="send_queue_full"))
            self.assertEqual(len(got) + dropped, last)


class Age(Streams):
    def test_age(self):
        check_age(self, lambda: self.client(connection=narrow(("127.0.0.1", self.port))))


class Taken(unittest.TestCase):
    def test_taken_port(self):
        for workers in ("1", "2"):
            with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
                port = other.getsockname()[1]
                done = subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", "--bind-ip4-addr", "127.0.0.1", "--listen-port", "0",
                                       "--tcp-listen-port", str(port), "--workers", workers, "--health-check-addr", "127.0.0.1:0",
                                       "--control-endpoint", "127.0.0.1:0"], capture_output=True, text=True, timeout=DEADLINE, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("TCP port %d of 127.0.0.1:%d is taken" % (port, port), done.stdout)


class Drain(unittest.TestCase):
    """While the relay shuts down, streams are as UDP: allocations go on with their connections, and nobody gets a new one."""

    def check(self, code, *args):
        port = free_port()
        relay = Relay(BINARY, "--tcp-listen-port", str(port), *args, workers=WORKERS)
        try:
            with EchoPeers(1) as peers, StreamClient(("127.0.0.1", port), *relay.credentials()) as old:
                old.allocate()
                channel = old.bind(peers.addresses()[0])
                relay.process.send_signal(signal.SIGTERM)
                self.assertTrue(relay.told("no new allocations"))
                with StreamClient(("127.0.0.1", port), *relay.credentials()) as new, Client(relay.address(), *relay.credentials()) as other:
                    for client in (new, other):
                        with self.assertRaises(Refused) as refused:
                            client.allocate()
                        self.assertEqual(refused.exception.code, code)
                old.send(channel, b"on and on")
                self.assertEqual(old.receive(), (channel, b"no dna no"))
                old.refresh()
                self.assertIsNone(relay.process.poll())
            # With the connection the last allocation has gone.
            self.assertEqual(relay.wait(), 0, relay.output())
            self.assertTrue(relay.told("No allocations left"))
        finally:
            relay.kill()

    def test_drain(self):
        self.check(508)

    def test_alternate(self):
        self.check(300, "--alternate-server", "127.0.0.1:3999")


class LowPort(unittest.TestCase):
    """Port 443 without root, with the one capability that takes, in a network of its own."""

    COMMAND = ["--public-ip4-addr", "127.0.0.1", "--tcp-listen-port", "443", "--workers", "2", "--health-check-addr", "127.0.0.1:0",
               "--control-endpoint", "127.0.0.1:0"]

    def run_as_nobody(self, *capabilities):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            binary = shutil.copy(BINARY, folder)  # a build folder need not be readable for all
            done = subprocess.run(["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "timeout", "-s", "TERM", "1", "setpriv",
                                   "--reuid", "65534", "--regid", "65534", "--clear-groups", *capabilities, binary, *self.COMMAND],
                                  capture_output=True, text=True, timeout=DEADLINE, check=False)
        return done.stdout + done.stderr

    @unittest.skipIf(os.geteuid() or not shutil.which("setpriv"), "takes root and setpriv")
    def test_capability(self):
        refused = self.run_as_nobody()
        if "Operation not permitted" in refused:
            self.skipTest("no network namespace here: " + refused)
        self.assertIn("can't listen on TCP port 443 of 0.0.0.0:443: Permission denied: ports below 1024 take CAP_NET_BIND_SERVICE", refused)
        bind = ("--inh-caps", "-all,+net_bind_service", "--ambient-caps", "-all,+net_bind_service", "--bounding-set", "-all,+net_bind_service")
        self.assertIn("Listening for clients on TCP port 443", self.run_as_nobody(*bind))


class Foreign(Streams):
    args = ("--replace-allocation", "no", "--max-allocations-per-user", "0")

    @unittest.skipIf(PION == "-", "no Go or no pion/turn here")
    def test_pion(self):
        check_pion(self, PION, "tcp")

    @unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
    def test_coturn(self):
        check_coturn(self, "-t")


if __name__ == "__main__":
    main()
