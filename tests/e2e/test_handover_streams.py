# SPDX-License-Identifier: Apache-2.0
"""Clients on TCP and TLS while a process takes the place of another one: their connections go on, and not a byte is lost, doubled or out of order.

Arguments: the relay, the same of a later version, and the path of the built pion program, or "-"."""

import os
import random
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest

PION = sys.argv.pop(3)

import stun
from authority import Authority, context
from harness import DEADLINE, EchoPeers, Process, Relay, binding_request, clean_environment, free_udp_socket, main, wait_for
from stream_client import Framed, StreamClient, free_port, narrow, padded
from test_handover import BINARY, END, GIVE, GONE, NEXT, READY, SO_FAR, Between, Flow, HandoverTest, Peer, payload
from watch import Metrics


# As cli/handover/message.h has it.
STREAMS, CONNECTIONS = 8, 9


def tls_socket(connection, **more):
    return context(**more).wrap_socket(connection)


def size_of(number):
    return 100 + number % 900


class StreamFlow(threading.Thread):
    """A client with a channel to a peer. Both send numbered messages all the time, and the client's stream is cut anywhere: what is whole, and what not,
    when another process takes over is chance. What arrives is checked as it comes."""

    PAUSE = 0.002

    def __init__(self, relay, port, wrap=lambda s: s, host="127.0.0.1", seed=0):
        super().__init__(daemon=True)
        connection = socket.create_connection((host, port), timeout=DEADLINE)
        self.client = StreamClient((host, port), *relay.credentials(), wrap=wrap, connection=connection)
        self.client.allocate()
        self.peer = free_udp_socket()
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.relayed = self.client.relayed[4]
        self.channel = self.client.bind(self.peer.getsockname())
        self.connection = self.client.socket.connection
        for s in (self.connection, self.peer):
            s.setblocking(False)
        self.random = random.Random(seed)
        self.out = b""
        self.sent, self.got = [0, 0], [0, 0]
        self.gap, self.faults, self.ends = 0.0, [], False

    def run(self):
        self.last = [time.monotonic()] * 2
        try:
            while not self.ends and not self.faults:
                self.step()
                time.sleep(self.PAUSE)
            self.flush(len(self.out))
            end = time.monotonic() + DEADLINE
            while self.got != self.sent and not self.faults and time.monotonic() < end:
                self.take()
                time.sleep(self.PAUSE)
        except OSError as error:
            self.faults.append("after %s of %s: %r" % (self.got, self.sent, error))

    def step(self):
        for way in (0, 1):
            data = payload(self.sent[way], size_of(self.sent[way]))
            if way:
                self.peer.sendto(data, self.relayed)
            else:
                self.out += padded(stun.channel_data(self.channel, data))
            self.sent[way] += 1
        self.flush(self.random.randrange(len(self.out) + 1))
        self.take()

    def flush(self, size):
        data, self.out = self.out[:size], self.out[size:]
        while data:
            try:
                data = data[self.connection.send(data):]
            except (BlockingIOError, ssl.SSLWantWriteError):
                select.select([], [self.connection], [], DEADLINE)

    def take(self):
        while True:
            try:
                data, source = self.peer.recvfrom(4096)
            except BlockingIOError:
                break
            if source[:2] != self.relayed:
                self.faults.append("from %s, not %s" % (source, self.relayed))
            self.check(0, data)
        while True:
            try:
                data = self.connection.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            if not data:
                self.faults.append("the connection has ended")
                break
            self.client.socket.buffer += data
        while (message := self.client.socket.cut()) is not None:
            self.check(1, message)

    def check(self, way, data):
        want = payload(self.got[way], size_of(self.got[way]))
        if data != (stun.channel_data(self.channel, want) if way else want):
            self.faults.append("way %d: another message than number %d" % (way, self.got[way]))
        self.got[way] += 1
        now = time.monotonic()
        self.gap = max(self.gap, now - self.last[way])
        self.last[way] = now

    def finish(self):
        """Ends, and says what was wrong."""
        self.ends = True
        self.join(2 * DEADLINE)
        faults = list(self.faults)
        if self.got != self.sent:
            faults.append("sent %s, got %s" % (self.sent, self.got))
        self.client.close()
        self.peer.close()
        return faults


@unittest.skipIf(not shutil.which("openssl"), "no openssl here")
class StreamTest(HandoverTest):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.der = cls.authority.make("first")
        cls.authority.put()

    @classmethod
    def tearDownClass(cls):
        cls.authority.folder.cleanup()

    def setUp(self):
        super().setUp()
        self.tcp, self.tls = free_port(), 0
        while self.tls in (0, self.tcp):
            self.tls = free_port()

    def args(self):
        return ("--tcp-listen-port", str(self.tcp), "--tls-listen-port", str(self.tls), "--tls-cert", self.authority.cert, "--tls-key", self.authority.key)

    def start(self, *more, before=None, **rest):
        return self.relay(*self.args(), *more, before=before, **rest)

    def follow(self, old, *more, **rest):
        """One that takes over from `old`, whose end is waited for."""
        new = self.start(*more, before=old, health=old.health, **rest)
        self.end_of(old)
        return new

    def client(self, relay, kind="tcp", connection=None, wrap=None):
        port = self.tcp if kind == "tcp" else self.tls
        wrap = wrap or (tls_socket if kind == "tls" else lambda s: s)
        client = StreamClient(("127.0.0.1", port), *relay.credentials(), wrap=wrap, connection=connection)
        self.addCleanup(client.close)
        return client

    def stream_flows(self, relay, udp=1):
        flows = [Flow(relay, i) for i in range(udp)]
        flows += [StreamFlow(relay, self.tcp, seed=1), StreamFlow(relay, self.tcp, host="::1", seed=2),
                  StreamFlow(relay, self.tls, tls_socket, seed=3), StreamFlow(relay, self.tls, tls_socket, host="::1", seed=4)]
        for flow in flows:
            flow.start()
        wait_for(lambda: all(min(f.got) > 20 or f.faults for f in flows), "packets")
        return flows

    def metrics(self, relay):
        time.sleep(0.12)  # the relay gives scrapes within 0.1 s the same text
        return Metrics(int(relay.health.rsplit(":", 1)[1]))


class Success(StreamTest):
    def test_one_worker(self):
        old = self.start()
        flows = self.stream_flows(old)
        new = self.follow(old)
        self.go_on(flows)
        self.check(flows)
        new.stop()

    def test_twenty_in_a_row(self):
        """Several workers, each with the listeners that it had; and monitoring goes on."""
        relay = self.start(workers=3, health=True)
        flows = self.stream_flows(relay, 2) + [StreamFlow(relay, self.tls, tls_socket, seed=i) for i in range(10, 14)]
        for flow in flows[-4:]:
            flow.start()
        for _ in range(20):
            relay = self.follow(relay, workers=3)
            self.go_on(flows, 10)
        m = self.metrics(relay)
        for kind, count in (("tcp", 2), ("tls", 6)):
            self.assertEqual(m.get("relay_stream_connections", transport=kind), count)
            self.assertEqual(m.get("relay_stream_connections_accepted_total", transport=kind), count)
        gaps = sorted(f.gap for f in flows)
        print("longest gaps of flows: %s ms" % ", ".join("%.0f" % (1000 * g) for g in gaps), flush=True)
        self.check(flows)
        relay.stop()

    def test_two_builds(self):
        """Up to a later version and down again."""
        relay = self.start()
        flows = self.stream_flows(relay)
        for program in (NEXT, BINARY, NEXT):
            relay = self.follow(relay, program=program)
            self.go_on(flows, 20)
        self.check(flows)
        relay.stop()

    def test_requests_go_on(self):
        old = self.start()
        clients = [self.client(old, kind) for kind in ("tcp", "tls")]
        for c in clients:
            c.allocate()
        new = self.follow(old)
        with EchoPeers(1) as peers:
            for c in clients:
                c.refresh()
                channel = c.bind(peers.addresses()[0])
                c.send(channel, b"after it")
                self.assertEqual(c.receive(), (channel, b"ti retfa"))
                self.assertEqual(c.errors_seen, [401])
        for c in clients:
            c.close()
        new.stop(immediately=False)  # allocations have ended with their connections: a shutdown waits for nobody

    def test_nothing_has_ended(self):
        """The old process ends, but not what it has handed over: it tells of no end, even to who asks for all."""
        old = self.start(env={"RUST_LOG": "debug"})
        clients = [self.client(old, kind) for kind in ("tcp", "tls")]
        for c in clients:
            c.allocate()
        new = self.follow(old)  # which has waited for the end of the old one, and of what that had to say
        self.assertEqual(len(re.findall("Created new", old.output())), len(clients), old.output())
        for end in ("Deleted allocation", "connection ended", "Connection closed"):
            self.assertNotIn(end, old.output())
        for c in clients:
            c.refresh()
            c.close()
        wait_for(lambda: len(re.findall("Deleted allocation.*connection ended", "".join(list(new.lines)))) == len(clients),
                 "the successor to tell of both ends")
        new.stop()

    def test_slow_readers(self):
        """What waits for a client that reads nothing goes along: bytes in the kernel, part of a record, messages."""
        old = self.start(health=True)
        for kind in ("tcp", "tls"):
            with self.subTest(kind):
                client = self.client(old, kind, connection=narrow(("127.0.0.1", self.tcp if kind == "tcp" else self.tls)))
                client.allocate()
                with free_udp_socket() as sender:
                    channel = client.bind(sender.getsockname())
                    for i in range(150):
                        sender.sendto(payload(i, 1000), client.relayed[4])
                    waits = wait_for(lambda: self.metrics(old).get("relay_stream_queue_bytes", transport=kind), "a queue")
                    for _ in range(3):
                        old = self.follow(old)
                        self.assertEqual(self.metrics(old).get("relay_stream_queue_bytes", transport=kind), waits)
                    for i in range(150):
                        self.assertEqual(client.receive(), (channel, payload(i, 1000)), i)
                client.close()
        old.stop()

    def test_cut_in_the_midst(self):
        """A request of which one byte after the other comes to another process."""
        relay = self.start()
        for kind in ("tcp", "tls"):
            with self.subTest(kind):
                with self.client(relay, kind) as client:
                    request, _, rest = binding_request()
                    for at in range(0, len(request), 4):
                        client.socket.connection.sendall(request[at:at + 4])
                        relay = self.follow(relay)
                    answer = client.socket.message(time.monotonic() + DEADLINE)
                    self.assertEqual(answer[4:20], rest)
        relay.stop()

    def test_nobody_is_refused(self):
        """Clients that come all the time: each gets its answer, whoever accepts it."""
        relay = self.start(workers=2)
        faults, count, over = [], [0], threading.Event()

        def come():
            while not over.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", self.tcp), timeout=DEADLINE) as s:
                        request, _, rest = binding_request()
                        s.sendall(request)
                        answer = Framed(s).message(time.monotonic() + DEADLINE)
                        if answer is None or answer[4:20] != rest:
                            raise OSError("no answer")
                        count[0] += 1
                except OSError as error:
                    faults.append(repr(error))

        threads = [threading.Thread(target=come, daemon=True) for _ in range(4)]
        for t in threads:
            t.start()
        for _ in range(10):
            before = count[0]
            relay = self.follow(relay, workers=2)
            wait_for(lambda: count[0] > before + 20 or faults, "clients")
        over.set()
        for t in threads:
            t.join(DEADLINE)
        self.assertEqual(faults, [])
        relay.stop()

    def test_what_waited_to_be_accepted(self):
        """While nobody accepts, the kernel does."""
        old = self.start()
        with Peer(self.path) as successor:
            successor.until(END)
            clients = [socket.create_connection(("127.0.0.1", self.tcp), timeout=DEADLINE) for _ in range(20)]
            request, _, rest = binding_request()
            for c in clients:
                c.sendall(request)
            self.assertEqual(select.select(clients, [], [], 0.2)[0], [])
        for c in clients:
            self.assertEqual(Framed(c).message(time.monotonic() + DEADLINE)[4:20], rest)
            c.close()
        old.stop()

    def test_handshakes(self):
        """One that is under way ends, and comes again; one that has not begun goes on, with the new process's certificate."""
        old = self.start()
        silent, begun = (socket.create_connection(("127.0.0.1", self.tls), timeout=DEADLINE) for _ in range(2))
        self.addCleanup(begun.close)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = context().wrap_bio(incoming, outgoing)
        self.assertRaises(ssl.SSLWantReadError, hello.do_handshake)
        begun.sendall(outgoing.read()[:100])
        with self.client(old, "tls") as client:
            client.allocate()
            time.sleep(0.3)  # so that the hello is read; else it would go along
            der = self.authority.make("second")
            self.authority.put()
            new = self.follow(old)
            self.assertTrue(old.find("1 TLS handshake that had begun could not go along: the connection ended"), old.output())
            self.assertEqual(begun.recv(1), b"")
            with tls_socket(silent) as connection:
                self.assertEqual(connection.getpeercert(binary_form=True), der)
            client.refresh()
            self.assertEqual(client.socket.connection.getpeercert(binary_form=True), self.der)
        type(self).der = der
        new.stop()

    def test_behind_a_balancer(self):
        """Its header in part goes along; and the client's address, which it has named."""
        old = self.start("--proxy-protocol", "127.0.0.0/8")
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("198.51.100.7") + socket.inet_aton("203.0.113.1") + struct.pack(">HH", 4444, 3478)
        connection = socket.create_connection(("127.0.0.1", self.tcp), timeout=DEADLINE)
        for at in range(0, len(header), 7):
            connection.sendall(header[at:at + 7])
            old = self.follow(old, "--proxy-protocol", "127.0.0.0/8")
        with self.client(old, connection=connection) as client:
            self.assertEqual(client.binding(), ("198.51.100.7", 4444))
            client.allocate()
            old = self.follow(old, "--proxy-protocol", "127.0.0.0/8")
            self.assertEqual(client.binding(), ("198.51.100.7", 4444))
            client.refresh()
        old.stop()

    def test_ports_that_go_and_come(self):
        """Where nobody lives a listener may go, or come."""
        old = self.start()
        with socket.create_connection(("127.0.0.1", self.tcp)) as stranger:
            new = self.relay(before=old)
            self.end_of(old)
            stranger.settimeout(DEADLINE)
            self.assertEqual(stranger.recv(1), b"")
        for port in (self.tcp, self.tls):
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
        flow = [Flow(new)]
        flow[0].start()
        again = self.follow(new)
        with self.client(again, "tls") as client:
            client.allocate()
            self.go_on(flow)
            self.check(flow)
        again.stop()

    @unittest.skipIf(PION == "-", "no pion here")
    def test_pion(self):
        args = ("--replace-allocation", "no", "--max-allocations-per-user", "0")
        relay = self.start(*args, workers=2)
        with EchoPeers(3) as peers:
            running = []
            for transport, port in (("tcp", self.tcp), ("tls", self.tls)):
                user, password = relay.credentials(salt="pion" + transport)
                running.append(Process([PION, "-transport", transport, "-server", "127.0.0.1:%d" % port, "-user", user, "-password", password,
                                        "-peers", ",".join("%s:%d" % p for p in peers.addresses()), "-clients", "5", "-packets", "20000"]))
            # Those whose handshake is under way would have to come again, which they do not.
            wait_for(lambda: all(client.output().count("relayed ") == 5 for client in running), "allocations")
            times = 0
            while times < 8 and all(client.process.poll() is None for client in running):
                relay = self.follow(relay, *args, workers=2)
                times += 1
            self.assertGreaterEqual(times, 4, "it goes on meanwhile")
            for client in running:
                self.assertEqual(client.process.wait(3 * DEADLINE), 0, client.output())
                self.assertTrue(client.told("5 of 5 clients, 20000 packets each"), client.output())
                client.kill()
        relay.stop()

    def test_openssl(self):
        old = self.start()
        client = subprocess.Popen(["openssl", "s_client", "-quiet", "-connect", "127.0.0.1:%d" % self.tls], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(client.kill)
        for _ in range(3):
            request, _, rest = binding_request()
            client.stdin.write(request)
            client.stdin.flush()
            self.assertEqual(client.stdout.read(32)[4:20], rest)
            old = self.follow(old)
        client.kill()
        client.communicate()
        old.stop()


    def test_without_its_connection_an_allocation_ends(self):
        """One that a connection does not come with, for whatever reason."""
        old = self.start()
        with self.client(old) as client, self.client(old, "tls") as secure:
            for c in (client, secure):
                c.allocate()
            between = Between(self.path, withheld=(STREAMS, CONNECTIONS))
            new = Process([self.path + ".between" if a == self.path else a for a in old.command], clean_environment())
            self.started.append(new)
            between.join(DEADLINE)
            self.assertEqual(between.faults, [])
            self.end_of(old)
            for c in (client, secure):
                self.assertIsNone(c.socket.message(time.monotonic() + DEADLINE))
                self.assertTrue(c.socket.ended)
        new.process.send_signal(signal.SIGTERM)
        self.assertEqual(new.wait(), 0)
        self.assertTrue(new.find("No allocations left"), new.output())


class Failure(StreamTest):
    """Whatever the successor does, connections go on in the old process, and in one that comes later."""

    def survives(self, act):
        args = ("--max-queue-per-connection", "4000000")  # room for what comes in 2 s, all at once
        old = self.start(*args, workers=2)
        flows = self.stream_flows(old)
        act(old)
        self.assertTrue(old.told("did not take over: "), old.output())
        self.go_on(flows)
        new = self.follow(old, *args, workers=2)
        self.go_on(flows)
        self.check(flows)
        new.stop()

    def gone_after(self, kind):
        def act(_):
            with Peer(self.path) as successor:
                successor.until(kind)
        self.survives(act)

    def test_gone_in_the_midst(self):
        self.gone_after(GIVE)

    def test_gone_before_it_is_prepared(self):
        self.gone_after(SO_FAR)

    def test_gone_with_all_it_needs(self):
        self.gone_after(END)

    def test_hangs_with_all_it_needs(self):
        def act(old):
            with Peer(self.path) as successor:
                successor.until(END)
                old.told("did not take over")
        self.survives(act)

    def test_one_that_can_not_use_it(self):
        """A real one, for which the range of ports is too narrow: it has all, and says no."""
        def act(old):
            new = Process(list(old.command) + ["--lowest-port", "40000", "--highest-port", "40001"], clean_environment())
            self.assertEqual(new.wait(), 1, new.output())
        self.survives(act)

    def loaded(self, act):
        """A real successor that has loaded all, ready to go on: `act` ends it, or what it says never comes."""
        def all_of_it(old):
            new = []

            def at_ready():
                wait_for(lambda: new, "its number")
                act(new[0])
                return GONE

            between = Between(self.path, {READY: at_ready})
            new.append(Process([self.path + ".between" if a == self.path else a for a in old.command], clean_environment()))
            self.started.append(new[0])
            between.join(DEADLINE)
            self.assertNotEqual(new[0].wait(), 0)
        self.survives(all_of_it)

    def test_killed_with_all_loaded(self):
        self.loaded(lambda new: new.process.kill())

    def test_ends_with_all_loaded(self):
        """It says nothing to clients whose connections it would have had."""
        self.loaded(lambda new: None)

    def test_clients_keep_their_port(self):
        old = self.start()
        with self.client(old) as client, self.client(old, "tls") as secure:
            for c in (client, secure):
                c.allocate()
            base = list(old.command)
            for option, value, line in (("--tcp-listen-port", str(free_port()), "--tcp-listen-port is %d in the old relay, which has 1 client there" % self.tcp),
                                        ("--tls-listen-port", str(free_port()), "--tls-listen-port is %d in the old relay, which has 1 client there" % self.tls)):
                new = Process(base + [option, value], clean_environment())
                self.assertEqual(new.wait(), 1, new.output())
                self.assertTrue(new.find(line), new.output())
                self.assertTrue(old.told("did not take over: .*" + line), old.output())
            client.refresh()
            secure.refresh()
        old.stop()

    def test_nothing_is_left_of_those_that_failed(self):
        old = self.start(workers=2)
        flows = self.stream_flows(old)
        folder = "/proc/%d/fd" % old.process.pid
        before = len(os.listdir(folder))
        for _ in range(30):
            with Peer(self.path) as successor:
                successor.until(END)
        wait_for(lambda: len(os.listdir(folder)) == before, "all descriptors to be closed")
        self.go_on(flows)
        self.check(flows)
        old.stop()


if __name__ == "__main__":
    main()
