# SPDX-License-Identifier: Apache-2.0
"""Clients over TLS: whole sessions, handshakes that fail or never end, certificates that change under way, foreign clients.

Arguments: the relay, then the path of the built pion program, or "-"."""

import os
import random
import resource
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import stun
from authority import Authority, context
from harness import DEADLINE, EchoPeers, Relay, binding_request, is_sanitized, main, wait_for
from stream_client import Framed, StreamClient, check_age, check_coturn, check_pion, free_port, narrow, padded
from watch import Metrics, endpoint

BINARY, PION = sys.argv[1:3]
del sys.argv[1:3]
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
IDLE = 2


@unittest.skipIf(not shutil.which("openssl"), "no openssl here")
class Tls(unittest.TestCase):
    args = ()
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    workers = WORKERS

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.der = cls.authority.make("first", cls.kind)
        cls.authority.put()
        cls.port = free_port()
        cls.relay = Relay(BINARY, "--tls-listen-port", str(cls.port), "--tls-cert", cls.authority.cert, "--tls-key", cls.authority.key, *cls.args,
                          workers=cls.workers)
        cls.metrics_port = endpoint(cls.relay)

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()
        cls.authority.folder.cleanup()

    def connect(self, wrap=context().wrap_socket):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        self.addCleanup(connection.close)
        wrapped = wrap(connection)
        self.addCleanup(wrapped.close)
        return wrapped

    def client(self, wrap=context().wrap_socket, **more):
        client = StreamClient(("127.0.0.1", self.port), *self.relay.credentials(), wrap=wrap, **more)
        self.addCleanup(client.close)
        return client

    def scrape(self):
        time.sleep(0.12)  # the relay gives scrapes within 0.1 s the same text
        return Metrics(self.metrics_port)

    def ended(self, reason):
        return self.scrape().get("relay_stream_connections_ended_total", transport="tls", reason=reason)

    def certificate(self):
        with self.connect() as connection:
            return connection.getpeercert(binary_form=True)


class CutTls:
    """TLS whose ciphertext is cut at random places, those of the handshake, too, each piece a segment of its own."""

    def __init__(self, connection, rng):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.rng = connection, rng
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context().wrap_bio(self.incoming, self.outgoing)
        self.pieces = 0
        self._drive(self.tls.do_handshake, 1)

    def _flush(self, most):
        """Sends what there is in up to `most` pieces and one more."""
        data = self.outgoing.read()
        cuts = sorted(self.rng.sample(range(1, len(data)), min(most, len(data) - 1))) if len(data) > 1 else []
        for at, to in zip([0] + cuts, cuts + [len(data)]):
            self.connection.sendall(data[at:to])
            self.pieces += 1
            time.sleep(0.001)  # so that the relay reads it by itself

    def _drive(self, step, cuts):
        while True:
            try:
                result = step()
                self._flush(cuts)
                return result
            except ssl.SSLWantReadError:
                self._flush(cuts)
                data = self.connection.recv(65536)
                if not data:
                    return b""
                self.incoming.write(data)

    def sendall(self, data):
        self._drive(lambda: self.tls.write(data), max(1, len(data) // 400))

    def recv(self, size):
        return self._drive(lambda: self.tls.read(size), 0)

    def settimeout(self, seconds):
        self.connection.settimeout(seconds)

    def setsockopt(self, *option):
        self.connection.setsockopt(*option)

    def getpeername(self):
        return self.connection.getpeername()

    def close(self):
        self.connection.close()


class Sessions(Tls):
    def test_session(self):
        with EchoPeers(2) as peers, self.client() as client:
            client.allocate()
            self.assertEqual(client.mapped, client.socket.connection.getsockname())
            channels = [client.bind(peer) for peer in peers.addresses()]
            for size in list(range(9)) + [100, 1200, 1453, 8000, 30000]:
                data = os.urandom(size)
                client.send(channels[size % 2], data)
                self.assertEqual(client.receive(), (channels[size % 2], data[::-1]), size)
            self.assertEqual(self.scrape().get("relay_stream_connections", transport="tls"), 1)
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "the allocation to end with its connection")

    def test_ciphers(self):
        """Each cipher that there is, with records as OpenSSL makes and takes them."""
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"):
            tls = context()
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            tls.set_ciphers("ECDHE-ECDSA-" + cipher)
            with self.subTest(cipher), EchoPeers(1) as peers, self.client(tls.wrap_socket) as client:
                client.allocate()
                channel = client.bind(peers.addresses()[0])
                for size in list(range(0, 300, 7)) + [1200, 8000, 30000]:
                    data = os.urandom(size)
                    client.send(channel, data)
                    self.assertEqual(client.receive(), (channel, data[::-1]), size)

    def test_many_at_once(self):
        """Many messages in one record, and a record's worth of messages for each of several in one turn."""
        with EchoPeers(1, change=lambda data: data) as peers, self.client() as client:
            client.allocate()
            channel = client.bind(peers.addresses()[0])
            payloads = [os.urandom(1200) for _ in range(100)]
            client.socket.connection.sendall(b"".join(stun.channel_data(channel, p) for p in payloads))
            self.assertEqual([client.receive() for _ in payloads], [(channel, p) for p in payloads])

    def test_cut_anywhere(self):
        """The same bytes are the same messages: in records that are cut at a hundred random places and more, and in segments that cut these."""
        seed = random.randrange(1 << 32)
        print("seed", seed, flush=True)
        rng = random.Random(seed)
        payloads = [rng.randbytes(rng.randrange(1400)) for _ in range(150)]
        with EchoPeers(1, change=lambda data: data) as peers:
            for wrap in (context().wrap_socket, lambda s: CutTls(s, rng)):
                with self.client(wrap) as client:
                    client.allocate()
                    channel = client.bind(peers.addresses()[0])
                    stream = b"".join(padded(stun.channel_data(channel, p)) for p in payloads)
                    connection = client.socket.connection
                    records = 150 if isinstance(connection, ssl.SSLSocket) else 15
                    cuts = sorted(rng.sample(range(1, len(stream)), records))
                    before, got = getattr(connection, "pieces", 0), []
                    for at, to in zip([0] + cuts, cuts + [len(stream)]):
                        connection.sendall(stream[at:to])
                        while len(got) < len(payloads) and (data := client.receive(0.002)):
                            got.append(data)
                    while len(got) < len(payloads) and (data := client.receive()):
                        got.append(data)
                    self.assertEqual(got, [(channel, p) for p in payloads])
                    self.assertTrue(records == 150 or connection.pieces - before > 200)

    def test_many_clients(self):
        with EchoPeers(1) as peers:
            clients = [self.client() for _ in range(40)]
            for c in clients:
                c.allocate()
                self.assertIsNotNone(c.bind(peers.addresses()[0]))
            for i, c in enumerate(clients):
                c.send(0x4000, b"I am %d" % i)
            for i, c in enumerate(clients):
                self.assertEqual(c.receive(), (0x4000, (b"I am %d" % i)[::-1]))
            for c in clients:
                c.close()
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "all allocations to end")

    def test_versions_and_names(self):
        v12, v13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
        self.assertEqual(self.connect(context(maximum_version=v12).wrap_socket).version(), "TLSv1.2")
        self.assertIn(self.connect().version(), ("TLSv1.2", "TLSv1.3"))
        if self.connect().version() == "TLSv1.3":
            self.assertEqual(self.connect(context(minimum_version=v13).wrap_socket).version(), "TLSv1.3")
        named = self.connect(lambda s: context().wrap_socket(s, server_hostname="nobody.example"))
        self.assertEqual(named.getpeercert(binary_form=True), self.der)
        offer = context()
        offer.set_alpn_protocols(["stun.turn"])
        self.assertEqual(self.connect(offer.wrap_socket).selected_alpn_protocol(), "stun.turn")
        offer = context()
        offer.set_alpn_protocols(["h2", "http/1.1"])
        other = self.connect(offer.wrap_socket)
        self.assertIsNone(other.selected_alpn_protocol())
        old = context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, OSError)):
            self.connect(old.wrap_socket)

    def test_slow_reader(self):
        """What waits for one who does not read is cut at whole messages, and records stay whole."""
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        sender.bind(("127.0.0.1", 0))
        with self.client() as slow:
            slow.allocate()
            channel = slow.bind(sender.getsockname())
            last = 0
            while self.scrape().get("relay_stream_dropped_messages_total", transport="tls") < 300:
                for _ in range(200):
                    last += 1
                    sender.sendto(b"%8d" % last * 140, slow.relayed[4])
            got = []
            while not got or got[-1] != last:
                number, data = slow.receive()
                self.assertEqual((number, data), (channel, data[:8] * 140))
                got.append(int(data[:8]))
            self.assertEqual(got, sorted(set(got)))
            self.assertEqual(got[-50:], list(range(last - 49, last + 1)))


class Age(Tls):
    def test_age(self):
        check_age(self, lambda: self.client(connection=narrow(("127.0.0.1", self.port))))


class Rsa(Tls):
    kind = ("-newkey", "rsa:2048")

    def test_session(self):
        with EchoPeers(1) as peers, self.client() as client:
            client.allocate()
            channel = client.bind(peers.addresses()[0])
            client.send(channel, b"hello")
            self.assertEqual(client.receive(), (channel, b"olleh"))


class Handshakes(Tls):
    args = ("--connection-idle", "%ds" % IDLE)

    def test_what_is_no_tls(self):
        before = self.ended("handshake")
        for data in (b"GET / HTTP/1.1\r\n\r\n", binding_request()[0], b"\x16\x03\x01\x40\x00" + bytes(200)):
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
            connection.sendall(data)
            ended = Framed(connection)
            self.assertTrue(ended.wait_for_end() if data[0] != 0x16 else True)
            connection.close()
        wait_for(lambda: self.ended("handshake") >= before + 3, "three handshakes to fail")
        self.assertTrue(self.relay.told("A TLS handshake failed client=127.0.0.1.* error=.?that is no TLS"))

    def test_half_open(self):
        """Who says nothing, or not all of a hello, has to go; and others do not wait for him."""
        before = self.ended("handshake_timeout")
        silent = [socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) for _ in range(50)]
        for i, s in enumerate(silent):
            s.sendall(b"\x16\x03\x01\x02\x00\x01"[:i % 7])
        begin = time.monotonic()
        with self.client() as client:
            client.allocate()
        self.assertLess(time.monotonic() - begin, IDLE)
        wait_for(lambda: self.ended("handshake_timeout") >= before + 50, "all of them to be closed")
        for s in silent:
            s.close()

    def test_idle(self):
        before = self.ended("idle")
        self.assertTrue(Framed(self.connect()).wait_for_end())
        wait_for(lambda: self.ended("idle") > before, "it to be counted")

    def test_last_words(self):
        """Who says that it has no more to say gets the answers, then the end."""
        request, kind, rest = binding_request()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context().wrap_bio(incoming, outgoing)
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            def step(action):
                try:
                    return action()
                except ssl.SSLWantReadError:
                    return None

            while step(lambda: tls.do_handshake() or True) is None:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
            connection.sendall(outgoing.read())
            tls.write(request)
            step(tls.unwrap)
            connection.sendall(outgoing.read())  # both at once
            data = b""
            while more := connection.recv(65536):
                data += more
            incoming.write(data)
            # An answer, and an alert.
            answer = tls.read(2048)
            self.assertEqual((answer[:2], answer[4:20]), (kind, rest))
            with self.assertRaises(ssl.SSLZeroReturnError):
                tls.read(2048)

    def test_renegotiation(self):
        """A client that asks for another handshake is refused, and goes on or not as it likes: there is no other handshake."""
        command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.port, "-tls1_2"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            time.sleep(0.2)
            try:
                output = client.communicate(b"R\n", timeout=DEADLINE)[0].decode(errors="replace")
            except subprocess.TimeoutExpired:
                client.kill()
                raise
        self.assertRegex(output, r"RENEGOTIATING(.|\n)*no renegotiation")


    def test_short_records(self):
        """A client that has no room for long records asks for shorter ones (RFC 6066 section 4), and gets all its answers in those."""
        count = 80
        for most in ("1024", "2048"):
            request, kind, _ = binding_request()
            command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.port, "-tls1_2", "-maxfraglen", most, "-quiet", "-ign_eof"]
            with self.subTest(most), subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
                client.stdin.write(request * count)
                client.stdin.close()
                answers = client.stdout.read(count * 32)
                client.kill()
                self.assertEqual([answers[i:i + 2] for i in range(0, len(answers), 32)], count * [kind])


class Crowd(Tls):
    args = ("--max-connections-per-prefix", "0")
    FEW, MANY, ROUNDS = 100, 2000, 3

    @unittest.skipIf(is_sanitized(BINARY), "a sanitizer takes CPU of its own")
    def test_slow_senders(self):
        """Who says his hello byte by byte costs no more beside many others than beside few."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        crowd = [socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) for _ in range(self.MANY)]
        for s in crowd:
            self.addCleanup(s.close)
            s.sendall(b"\x16\x03\x01\x02\x00\x01")
        wait_for(lambda: self.scrape().get("relay_stream_connections", transport="tls") == self.MANY, "all to be there")
        # As many bytes, of few at a time and of many; and what the clients behind them cost by themselves.
        rounds = self.ROUNDS * self.MANY // self.FEW
        client = self.spend([], rounds) / rounds
        few = self.spend(crowd[:self.FEW], rounds) - rounds * client
        many = self.spend(crowd, self.ROUNDS) - self.ROUNDS * client
        count = self.ROUNDS * self.MANY
        print("CPU: a client %.2f ms, a byte of few %.1f us, of many %.1f us" % (client * 1e3, few / count * 1e6, many / count * 1e6), flush=True)
        self.assertLess(many, 3 * few)

    def spend(self, senders, rounds):
        """The relay's CPU for a byte of each sender, `rounds` times."""
        before = self.cpu()
        for _ in range(rounds):
            for s in senders:
                s.sendall(b"\x00")
            with self.client() as client:  # behind them
                client.allocate()
        return self.cpu() - before

    def cpu(self):
        return time.clock_gettime(~self.relay.process.pid << 3 | 2)  # the kernel's name of a process's clock


class Busy(Tls):
    """Handshakes where there is always something else to do."""

    workers = 1

    @classmethod
    def setUpClass(cls):
        cls.plain_port = free_port()
        cls.args = ("--tcp-listen-port", str(cls.plain_port))
        super().setUpClass()

    def check(self, *floods):
        """Handshakes get done while each of `floods` is called all the time."""
        stop, times, calls = threading.Event(), [], 0

        def run(flood):
            nonlocal calls
            while not stop.is_set():
                flood()
                calls += 1

        flooders = [threading.Thread(target=run, args=(flood,)) for flood in floods]
        for f in flooders:
            f.start()
        try:
            wait_for(lambda: calls > 20, "the flood to begin")
            for _ in range(4):
                begin = time.monotonic()
                self.connect().close()
                times.append(time.monotonic() - begin)
        finally:
            stop.set()
            for f in flooders:
                f.join()
        print("handshakes took " + ", ".join("%.0f ms" % (t * 1e3) for t in times), flush=True)
        self.assertLess(max(times), 2)

    def test_tcp_stranger(self):
        block = stun.channel_data(0x4000, b"") * 65536  # of a channel that there is not: each is a message, and nothing is answered
        plain = socket.create_connection(("127.0.0.1", self.plain_port), timeout=DEADLINE)
        self.addCleanup(plain.close)
        self.check(lambda: plain.sendall(block))

    def test_udp_flood(self):
        block, floods = stun.channel_data(0x4000, bytes(60)) * 64, []
        for _ in range(3):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(sender.close)
            sender.connect(self.relay.address())
            sender.setsockopt(socket.SOL_UDP, 103, 64)  # UDP_SEGMENT: the kernel cuts it into datagrams of 64 bytes
            floods.append(lambda s=sender: s.send(block))
        self.check(*floods)

    @unittest.skipIf(is_sanitized(BINARY), "a sanitizer takes CPU of its own")
    def test_hellos_at_once(self):
        """Packets do not wait for many handshakes that come at once."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with self.assertRaises(ssl.SSLWantReadError):
            context().wrap_bio(incoming, outgoing).do_handshake()
        hello, begun = outgoing.read(), 0
        crowd = [socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) for _ in range(400)]
        for s in crowd:
            self.addCleanup(s.close)
        packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(packets.close)
        packets.connect(self.relay.address())
        packets.settimeout(DEADLINE)
        for s in crowd:
            s.sendall(hello)
        waits = []
        while begun < len(crowd):
            begin = time.monotonic()
            packets.send(binding_request()[0])
            packets.recv(2048)
            waits.append(time.monotonic() - begin)
            begun = len(select.select(crowd, [], [], 0)[0])
        waits.sort()
        print("%d answers: half of them within %.1f ms, all within %.1f ms" % (len(waits), waits[len(waits) // 2] * 1e3, waits[-1] * 1e3), flush=True)
        self.assertGreater(len(waits), 20)
        self.assertLess(waits[-1], 0.25)  # of some 800 ms


class Certificates(Tls):
    CLIENTS, EXCHANGES = 50, 20

    def put(self, pair):
        """As a client of an authority does that renews certificates: each file in one step."""
        for name in ("cert", "key"):
            shutil.copy(self.authority.path(pair + "." + name), self.authority.path(name + ".new"))
        self.authority.put()

    def make_pair(self, pair, kind):
        der = self.authority.make(pair, kind)
        for name in ("cert", "key"):
            os.rename(self.authority.path(name + ".new"), self.authority.path(pair + "." + name))
        return der

    def test_exchange_under_load(self):
        """20 times, an RSA certificate for an ECDSA one and back, while 50 clients send and others come and go: nothing is lost, and who comes
        after an exchange gets the new one."""
        pairs = [("rsa", self.make_pair("rsa", ("-newkey", "rsa:2048"))), ("ec", self.make_pair("ec", self.kind))]
        first, read = self.certificate(), self.relay.output().count("SIGHUP: the certificate is read anew")
        stop, failures, sent = threading.Event(), [], [0] * self.CLIENTS
        handshakes = []  # of each: when it began, when it had ended, what it got

        def run(step):
            try:
                while not stop.is_set():
                    step()
            except Exception as error:  # pylint: disable=broad-except
                failures.append(repr(error))

        def talk(index, client, channel):
            client.send(channel, b"%d" % sent[index])
            if client.receive() != (channel, (b"%d" % sent[index])[::-1]):
                raise AssertionError("no answer")
            sent[index] += 1
            stop.wait(0.01)

        def come_and_go():
            begin = time.monotonic()
            with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection, context().wrap_socket(connection) as wrapped:
                der = wrapped.getpeercert(binary_form=True)
                framed = Framed(wrapped)
                framed.send(binding_request()[0])
                if framed.message(time.monotonic() + DEADLINE) is None:
                    raise AssertionError("no answer")
            handshakes.append((begin, time.monotonic(), der))

        bad = ("error", "handshake", "handshake_timeout", "no_message", "no_memory")
        before = [self.ended(reason) for reason in bad]
        settled = []  # when an exchange was done, when the next one began, what there was between
        with EchoPeers(1) as peers:
            clients = [self.client() for _ in range(self.CLIENTS)]
            for c in clients:
                c.allocate()
            steps = [lambda i=i, c=c, channel=c.bind(peers.addresses()[0]): talk(i, c, channel) for i, c in enumerate(clients)] + 2 * [come_and_go]
            threads = [threading.Thread(target=run, args=(step,)) for step in steps]
            for t in threads:
                t.start()
            try:
                for i in range(self.EXCHANGES):
                    pair, der = pairs[i % 2]
                    self.put(pair)
                    self.relay.process.send_signal(signal.SIGHUP)
                    wait_for(lambda: self.relay.output().count("SIGHUP: the certificate is read anew") == read + i + 1, "it to be read")
                    # Both workers have it once nothing else is got many times in a row.
                    at = len(handshakes)
                    wait_for(lambda: failures or [h[2] for h in handshakes[max(at, len(handshakes) - 12):]] == 12 * [der], "new ones to get it", 30)
                    done = time.monotonic()
                    at = len(handshakes)
                    wait_for(lambda: failures or len(handshakes) >= at + 5, "a few more")
                    settled.append((done, time.monotonic(), der))
            finally:
                stop.set()
                for t in threads:
                    t.join()
            self.assertEqual(failures, [])
            for c in clients:
                c.refresh()
        self.assertEqual([self.ended(reason) for reason in bad], before)
        self.assertGreater(min(sent), 20)
        self.assertLessEqual({h[2] for h in handshakes}, {first, pairs[0][1], pairs[1][1]})
        compared = 0
        for begin, end, der in settled:
            for h in handshakes:
                if begin <= h[0] and h[1] <= end:
                    compared += 1
                    self.assertEqual(h[2], der, "it got an older certificate after it had been exchanged")
        self.assertGreater(compared, self.EXCHANGES)
        print("%d exchanges, %d handshakes, %d of them after an exchange was done, %d messages there and back" % (
            self.EXCHANGES, len(handshakes), compared, sum(sent)), flush=True)

    def test_files_that_change(self):
        """Without a signal: within some ten seconds."""
        der = self.authority.make("files")
        self.authority.put()
        wait_for(lambda: self.certificate() == der, "the new certificate", 30)
        self.assertTrue(self.relay.told("Files have changed: the certificate is read anew"))

    def test_bad_files(self):
        before = self.certificate()
        self.authority.make("other")
        os.rename(self.authority.path("cert.new"), self.authority.cert)  # without its key
        self.relay.process.send_signal(signal.SIGHUP)
        self.assertTrue(self.relay.told("SIGHUP: --tls-cert '.*', --tls-key '.*': the key is not that of the certificate.*stays"))
        self.assertEqual(self.certificate(), before)
        os.rename(self.authority.path("key.new"), self.authority.key)
        wait_for(lambda: self.certificate() != before, "the one whose key came later", 30)


@unittest.skipIf(not shutil.which("openssl"), "no openssl here")
class CertbotHook(unittest.TestCase):
    HOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "firezone-relay.certbot-hook")

    def test_renewal(self):
        """What certbot would run: the relay has the renewed certificate at once, from files that its group alone can read."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority()
            self.addCleanup(authority.folder.cleanup)
            signalled = os.path.join(folder, "pid")
            with open(os.path.join(folder, "systemctl"), "w", encoding="ascii") as fake:
                fake.write('#!/bin/sh\n[ "$*" != "is-active --quiet firezone-relay" ] || exec [ -e %s ]\n'
                           '[ "$*" = "kill --signal=HUP firezone-relay" ] && kill -HUP "$(cat %s)"\n' % (signalled, signalled))
            os.chmod(fake.name, 0o755)
            group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()

            def renew(name):
                der = authority.make(name)
                for old, new in (("cert.new", "fullchain.pem"), ("key.new", "privkey.pem")):
                    os.rename(authority.path(old), authority.path(new))
                subprocess.run([self.HOOK], check=True, timeout=DEADLINE, env={
                    "PATH": folder + ":" + os.environ["PATH"], "FOLDER": folder, "GROUP": group, "RENEWED_LINEAGE": authority.folder.name})
                for name in ("fullchain.pem", "privkey.pem"):
                    self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o777, 0o640)
                return der

            first, port = renew("first"), free_port()
            with Relay(BINARY, "--tls-listen-port", str(port), "--tls-cert", os.path.join(folder, "fullchain.pem"), "--tls-key",
                       os.path.join(folder, "privkey.pem")) as relay:

                def certificate():
                    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection, context().wrap_socket(connection) as wrapped:
                        return wrapped.getpeercert(binary_form=True)

                self.assertEqual(certificate(), first)
                with open(signalled, "w", encoding="ascii") as f:
                    f.write("%d" % relay.process.pid)
                second = renew("second")
                self.assertTrue(relay.told("SIGHUP: the certificate is read anew"))
                wait_for(lambda: certificate() == second, "the renewed certificate")
            self.assertEqual(sorted(os.listdir(folder)), ["fullchain.pem", "pid", "privkey.pem", "systemctl"])


class Start(unittest.TestCase):
    def run_relay(self, *args):
        done = subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", "--bind-ip4-addr", "127.0.0.1", "--listen-port", "0",
                               "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0", *args], capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
        return done.returncode, done.stderr

    @unittest.skipIf(not shutil.which("openssl"), "no openssl here")
    def test_what_cannot_be_used(self):
        authority = Authority()
        self.addCleanup(authority.folder.cleanup)
        authority.make("one")
        authority.put()
        authority.make("two")
        with open(authority.path("empty"), "w", encoding="ascii"):
            pass
        for cert, key, words in (("none", "key.pem", "--tls-cert: can't read '.*none': No such file"),
                                 ("cert.pem", "none", "--tls-key: can't read '.*none': No such file"),
                                 ("empty", "key.pem", "--tls-cert '.*empty', .*: there is no certificate in it "),
                                 ("cert.pem", "empty", "--tls-key '.*empty': .*: there is no key in it "),
                                 ("cert.pem", "key.new", "the key is not that of the certificate")):
            status, output = self.run_relay("--tls-listen-port", str(free_port()), "--tls-cert", authority.path(cert), "--tls-key",
                                            authority.path(key))
            self.assertEqual(status, 2, output)
            self.assertRegex(output, words)


class Foreign(Tls):
    args = ("--replace-allocation", "no", "--max-allocations-per-user", "0")

    @unittest.skipIf(PION == "-", "no Go or no pion/turn here")
    def test_pion(self):
        check_pion(self, PION, "tls")

    @unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
    def test_coturn(self):
        check_coturn(self, "-t", "-S")

    def test_s_client(self):
        request, kind, rest = binding_request()
        done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.port, "-quiet", "-alpn", "stun.turn", "-CAfile",
                               self.authority.cert, "-verify_return_error", "-ign_eof"], input=request, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=90, check=False)
        self.assertEqual((done.stdout[:2], done.stdout[4:20]), (kind, rest), done.stderr)


if __name__ == "__main__":
    main()
