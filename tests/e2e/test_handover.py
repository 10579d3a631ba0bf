# SPDX-License-Identifier: Apache-2.0
"""A process takes the place of another one: allocations live on, and no packet is lost, altered, or out of order; whatever goes wrong with the
successor, the old one relays on."""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import stun
from firezone_client import Client
from harness import DEADLINE, SECRET, Process, Relay, answers_binding, clean_environment, free_udp_socket, main, wait_for
from stalled import Stalled

# The program, and what it may be as a later version.
BINARY, NEXT = sys.argv.pop(1), sys.argv.pop(1)
# A user without a name, who has no process.
SOMEBODY = 59917
AS_SOMEBODY = ("setpriv", "--reuid=%d" % SOMEBODY, "--regid=%d" % SOMEBODY, "--clear-groups")
# What a Between is told by who has killed the successor.
GONE = "gone"
# As lib and cli have it.
HELLO, OFFER, REFUSE, ACCEPT, GIVE, END, READY, GO, JOINED, SO_FAR, PREPARED, BEGUN = range(1, 13)


def payload(number, size):
    return struct.pack(">I", number) + bytes((number * 131 + i * 7) & 0xFF for i in range(size - 4))


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def free_tcp_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Flow(threading.Thread):
    """A client with a channel to a peer. Both send numbered datagrams all the time; what arrives is checked as it comes."""

    PAUSE = 0.002

    def __init__(self, relay, index=0):
        super().__init__(daemon=True)
        self.client = Client(relay.address(), *relay.credentials())
        self.peer = free_udp_socket()
        self.client.allocate()
        self.relayed = self.client.relayed[4]
        self.channel = self.client.bind(self.peer.getsockname())
        for s in (self.client.socket, self.peer):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            s.setblocking(False)
        self.sent = [0, 0]
        self.got = [0, 0]
        self.gap = 0.0
        self.faults = []
        self.ends = False
        self.index = index

    def _take(self, way, s, header):
        while True:
            try:
                data, source = s.recvfrom(4096)
            except BlockingIOError:
                return
            want = payload(self.got[way], 100 + self.got[way] % 900)
            if header:
                want = stun.channel_data(self.channel, want)
            elif source[:2] != self.relayed:
                self.faults.append("from %s, not %s" % (source, self.relayed))
            if data != want:
                self.faults.append("way %d: another datagram than number %d" % (way, self.got[way]))
            self.got[way] += 1
            now = time.monotonic()
            self.gap = max(self.gap, now - self.last[way])
            self.last[way] = now

    def run(self):
        self.last = [time.monotonic()] * 2
        while not self.ends and not self.faults:
            self.step()
            time.sleep(self.PAUSE)
        end = time.monotonic() + DEADLINE
        while self.got != self.sent and not self.faults and time.monotonic() < end:
            self.take()
            time.sleep(self.PAUSE)

    def take(self):
        self._take(0, self.peer, False)
        self._take(1, self.client.socket, True)

    def step(self):
        data = payload(self.sent[0], 100 + self.sent[0] % 900)
        self.client.send(self.channel, data)
        self.sent[0] += 1
        data = payload(self.sent[1], 100 + self.sent[1] % 900)
        self.peer.sendto(data, self.relayed)
        self.sent[1] += 1
        self.take()

    def finish(self):
        """Ends, and says what was wrong."""
        self.ends = True
        if self.is_alive():
            self.join(2 * DEADLINE)
        faults = list(self.faults)
        if self.got != self.sent:
            faults.append("sent %s, got %s" % (self.sent, self.got))
        self.client.close()
        self.peer.close()
        return faults


class HandoverTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "handover")
        self.started = []
        self.addCleanup(lambda: [r.kill() for r in self.started])

    def relay(self, *args, before=None, health=None, program=BINARY, **more):
        """A relay, or one that takes over from `before`; with a listener for health checks whose address stays, if wanted."""
        if before:
            more.setdefault("ports", (before.lowest, before.highest))
        if health is True:
            health = "127.0.0.1:%d" % free_tcp_port()
        if health:
            args += ("--health-check-addr", health)
        relay = Relay(program, "--handover-socket", self.path, *args, **more)
        relay.told("Another process can take over")
        relay.health = health
        self.started.append(relay)
        return relay

    def flows(self, relay, count=4):
        flows = [Flow(relay, i) for i in range(count)]
        for flow in flows:
            flow.start()
        wait_for(lambda: all(min(f.got) > 20 for f in flows), "packets")
        return flows

    def go_on(self, flows, count=50):
        marks = [min(f.got) + count for f in flows]
        wait_for(lambda: all(min(f.got) >= m or f.faults for f, m in zip(flows, marks)), "packets after the hand-over")

    def check(self, flows):
        self.assertEqual([f.finish() for f in flows], [[]] * len(flows))

    def end_of(self, relay):
        self.assertEqual(relay.wait(), 0, relay.output())
        self.assertTrue(relay.find("Handed over to process"), relay.output())


class Success(HandoverTest):
    def hand_over(self, workers, **more):
        old = self.relay(workers=workers, **more)
        flows = self.flows(old)
        new = self.relay(before=old, workers=workers, **more)
        self.end_of(old)
        self.assertEqual(new.port, old.port)
        self.go_on(flows)
        self.check(flows)
        new.stop()

    def test_one_worker(self):
        self.hand_over(1)

    def test_several_workers(self):
        self.hand_over(3)


    def test_twenty_in_a_row_while_metrics_go_on(self):
        relay = self.relay(workers=2, health=True)
        flows = self.flows(relay)
        before = self.received(relay)
        for _ in range(20):
            after = self.relay(before=relay, workers=2, health=relay.health)
            self.end_of(relay)
            relay = after
        self.go_on(flows)
        self.check(flows)
        self.assertGreaterEqual(self.received(relay), before)
        self.assertGreaterEqual(self.received(relay), sum(sum(f.sent) for f in flows))
        relay.stop()

    def received(self, relay):
        """Packets that were relayed, as monitoring has it."""
        text = urllib.request.urlopen("http://%s/metrics" % relay.health, timeout=DEADLINE).read().decode()
        return sum(int(n) for n in re.findall(r"^relay_packets_total\S* (\d+)$", text, re.M))

    def test_probes_do_not_fail(self):
        relay = self.relay(health=True)
        probes = Probes(relay.health)
        probes.start()
        for _ in range(5):
            count = probes.count
            after = self.relay(before=relay, health=relay.health)
            self.end_of(relay)
            relay = after
            wait_for(lambda: probes.count > count + 5 or probes.faults, "probes")
        probes.ends = True
        probes.join(DEADLINE)
        self.assertEqual(probes.faults, [])
        relay.stop()

    def test_what_came_while_nobody_read_is_relayed(self):
        old = self.relay()
        flow = Flow(old)
        flow.last = [time.monotonic()] * 2
        with Peer(self.path) as successor:
            successor.until(END)
            for _ in range(200):
                flow.step()
            self.assertEqual(flow.got, [0, 0])
        wait_for(lambda: flow.take() or flow.got == flow.sent or flow.faults, "what waited")
        self.assertEqual(flow.finish(), [])
        old.stop()

    def test_requests_go_on(self):
        old = self.relay()
        client = Client(old.address(), *old.credentials())
        client.allocate()
        relayed, peer = client.relayed, free_udp_socket()
        new = self.relay(before=old)
        self.end_of(old)
        client.refresh()
        channel = client.bind(peer.getsockname())
        client.send(channel, b"after it")
        self.assertEqual(peer.recvfrom(100), (b"after it", relayed[4]))
        self.assertEqual(client.errors_seen, [401])
        client.refresh(0)
        client.allocate()
        client.close()
        peer.close()
        new.stop()

    def test_workers_are_as_many_as_there_were(self):
        old = self.relay(workers=2)
        flows = self.flows(old)
        new = self.relay(before=old, workers=3)
        self.assertTrue(new.find("--workers is 3: there are 2"), new.output())
        self.end_of(old)
        self.go_on(flows)
        self.check(flows)
        new.stop()


    def test_nobody_can_follow(self):
        """What can no longer be found goes on all the same: nobody else has the allocations."""
        old = self.relay()
        flows = self.flows(old)
        path = self.path + ".between"

        def block():
            os.unlink(path)
            os.mkdir(path)

        between = Between(self.path, {READY: block})
        new = Process([path if a == self.path else a for a in old.command], clean_environment())
        self.started.append(new)
        between.join(DEADLINE)
        self.assertEqual(between.faults, [])
        self.end_of(old)
        self.assertTrue(new.told("can't listen at .*: nobody can take over from this process"), new.output())
        self.go_on(flows)
        self.check(flows)
        self.assertEqual([n for n in os.listdir(self.folder.name) if str(new.process.pid) in n], [])

    def test_what_comes_and_goes_while_the_successor_prepares(self):
        """Sockets were given before: those that were opened since come later, those that were closed are closed there, too."""
        old = self.relay(workers=2)
        flows = self.flows(old)
        stays, goes = Client(old.address(), *old.credentials()), Client(old.address(), *old.credentials())
        later = []
        for client in (stays, goes):
            client.allocate()
        peer = free_udp_socket()

        def meanwhile():
            goes.refresh(0)
            for i in range(3):
                later.append(Flow(old, 10 + i))
                later[-1].start()
            wait_for(lambda: all(min(f.got) > 20 for f in later), "packets of new allocations")
            self.bound = stays.bind(peer.getsockname())

        between = Between(self.path, {PREPARED: meanwhile})
        new = Process([self.path + ".between" if a == self.path else a for a in old.command], clean_environment())
        self.started.append(new)
        between.join(DEADLINE)
        self.assertEqual(between.faults, [])
        self.end_of(old)
        self.go_on(flows + later)
        stays.send(self.bound, b"bound meanwhile")
        self.assertEqual(peer.recvfrom(100), (b"bound meanwhile", stays.relayed[4]))
        self.check(flows + later)
        for client in (stays, goes):
            client.close()
        peer.close()
        bound = [line.split()[1][-4:] for line in read("/proc/net/udp").splitlines()[1:]]
        self.assertIn("%04X" % stays.relayed[4][1], bound)
        self.assertNotIn("%04X" % goes.relayed[4][1], bound)

    def test_another_version(self):
        """What a later one says that this one does not know is passed over, in both directions."""
        old = self.relay(workers=2)
        flows = self.flows(old)
        between = Between(self.path)
        new = Process([self.path + ".between" if a == self.path else a for a in old.command], clean_environment())
        self.started.append(new)
        between.join(DEADLINE)
        self.assertEqual(between.faults, [])
        self.end_of(old)
        self.assertTrue(new.told("Took over from process [0-9]+, firezone-relay 99.9"), new.output())
        self.go_on(flows)
        self.check(flows)


    def test_two_builds(self):
        """Up to a later version, whose states have more in them, and down again."""
        relay = self.relay(workers=2)
        flows = self.flows(relay)
        client = Client(relay.address(), *relay.credentials())
        client.allocate()
        for program, version in ((NEXT, "99.1.0"), (BINARY, "0."), (NEXT, "99.1.0"), (NEXT, "99.1.0"), (BINARY, "0.")):
            after = self.relay(before=relay, workers=2, program=program)
            self.end_of(relay)
            self.assertTrue(after.find("firezone-relay " + re.escape(version)), after.output())
            relay = after
            client.refresh()
            self.go_on(flows)
        self.check(flows)
        client.close()
        relay.stop()


    def test_while_clients_come_and_go(self):
        relay = self.relay(workers=2)
        flows = self.flows(relay)
        crowd = [Churn(relay) for _ in range(4)]
        for one in crowd:
            one.start()
        for _ in range(8):
            marks = [one.rounds + 2 for one in crowd]
            wait_for(lambda: all(one.rounds >= m or one.faults for one, m in zip(crowd, marks)), "clients that come and go")
            after = self.relay(before=relay, workers=2)
            self.end_of(relay)
            relay = after
        for one in crowd:
            one.ends = True
            one.join(2 * DEADLINE)
        self.assertEqual([one.faults for one in crowd], [[]] * len(crowd))
        self.check(flows)
        relay.stop()

    def test_full_receive_buffers(self):
        """What they hold is relayed, in order; what they do not is lost, as it is without a hand-over."""
        old = self.relay()
        client, peer = Client(old.address(), *old.credentials()), free_udp_socket()
        client.allocate()
        channel, relayed = client.bind(peer.getsockname()), client.relayed[4]
        for s in (client.socket, peer):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        count = 5000
        payloads = [payload(i, 1200) for i in range(count)]
        at_client, at_peer = reading(client.socket), reading(peer)

        def fill():
            for data in payloads:
                client.send(channel, data)
                peer.sendto(data, relayed)

        between = Between(self.path, {END: fill})
        new = Process([self.path + ".between" if a == self.path else a for a in old.command], clean_environment())
        self.started.append(new)
        self.end_of(old)
        between.join(DEADLINE)
        self.assertEqual(between.faults, [])
        for got, port, header in ((at_peer, old.port, 0), (at_client, relayed[1], 4)):
            held = count - drops(port)
            self.assertLess(held, count, "all of it fits: there is nothing to see")
            self.assertGreater(held, 100)
            wait_for(lambda got=got, held=held: len(got) >= held, "what the buffers have held")
            self.assertTrue([data[header:] for data in got] == payloads[:held])
        client.close()
        peer.close()


def reading(s):
    """All that comes to `s` from now on."""
    got = []

    def read_all():
        while True:
            try:
                got.append(s.recv(2000))
            except OSError:
                return

    s.settimeout(DEADLINE)
    threading.Thread(target=read_all, daemon=True).start()
    return got


def drops(port):
    """Datagrams that the socket of `port` had no room for."""
    lines = [line.split() for line in read("/proc/net/udp").splitlines()[1:]]
    return sum(int(line[-1]) for line in lines if int(line[1][-4:], 16) == port)


class Churn(threading.Thread):
    """A client that allocates, binds, sends, refreshes and leaves, again and again."""

    def __init__(self, relay):
        super().__init__(daemon=True)
        self.address, self.credentials = relay.address(), relay.credentials
        self.ends, self.rounds, self.faults = False, 0, []

    def run(self):
        while not self.ends and not self.faults:
            try:
                self.round()
            except (AssertionError, OSError) as error:
                self.faults.append(repr(error))
            self.rounds += 1

    def round(self):
        client, peer = Client(self.address, *self.credentials()), free_udp_socket()
        try:
            client.allocate()
            relayed = client.relayed[4]
            channel = client.bind(peer.getsockname())
            client.send(channel, b"there")
            if peer.recvfrom(100) != (b"there", relayed):
                self.faults.append("another datagram, or from elsewhere")
            client.refresh()
            client.refresh(0)
        finally:
            client.close()
            peer.close()


class Between(threading.Thread):
    """Makes two relays take each other for a later version: new fields in all messages, a descriptor of a kind that is not known. Those of the kinds
    `withheld` are not passed on."""

    def __init__(self, path, at=None, withheld=()):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path + ".between")
        self.listener.listen(1)
        self.listener.settimeout(DEADLINE)
        self.path, self.faults = path, []
        self.at, self.withheld = at or {}, withheld
        self.extras = 0
        self.start()

    def run(self):
        try:
            successor, _ = self.listener.accept()
            old = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            old.connect(self.path)
            with successor, old, self.listener:
                while self.forward(successor, old):
                    pass
        except OSError as error:
            self.faults.append(str(error))

    def forward(self, successor, old):
        ready, _, _ = select.select([successor, old], [], [], DEADLINE)
        for one, other in ((successor, old), (old, successor)):
            if one not in ready:
                continue
            data, fds, _, _ = socket.recv_fds(one, 4096, 253)
            if not data:
                return False
            kind = struct.unpack("<H", data[4:6])[0]
            if kind in (HELLO, OFFER):
                data = self.field(data, 1, b"99.9")
                data = self.field(data, 3, struct.pack("<H", 7))
            if kind == GIVE and self.value(data, 15) in self.withheld:
                self.extras -= len(fds)
                for fd in fds:
                    os.close(fd)
                continue
            if kind in self.at and self.at[kind]() == GONE:
                return False
            if kind in (SO_FAR, END):
                self.extras += 1
                extra = b"FZHO" + struct.pack("<HHHHIHHI", GIVE, 0, 15, 4, 50, 17, 4, 1)
                socket.send_fds(other, [extra], [other.fileno()])
                data = self.field(data, 17, struct.pack("<I", self.value(data, 17) + self.extras))
            try:
                socket.send_fds(other, [data + struct.pack("<HH", 999, 3) + b"new"], fds)
            except BrokenPipeError:
                if kind != JOINED: # the old one may have left already
                    raise
                return False
            for fd in fds:
                os.close(fd)
        return True

    @staticmethod
    def field(data, number, value):
        """A later field of the same number counts."""
        return data + struct.pack("<HH", number, len(value)) + value

    @staticmethod
    def value(data, number):
        at = 8
        while at < len(data):
            found, size = struct.unpack_from("<HH", data, at)
            if found == number:
                return struct.unpack_from("<I", data, at + 4)[0]
            at += 4 + size
        return 0


class Probes(threading.Thread):
    """Asks for health and readiness all the time."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.ends, self.count, self.faults = address, False, 0, []

    def run(self):
        while not self.ends and not self.faults:
            for path in ("healthz", "readyz"):
                try:
                    urllib.request.urlopen("http://%s/%s" % (self.address, path), timeout=DEADLINE).read()
                except OSError as error:
                    self.faults.append("%s: %s" % (path, error))
            self.count += 1
            time.sleep(0.005)


class Peer:
    """A successor that is told what to do step by step."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(path)
        self.fds = []

    def say(self, kind, *fields):
        self.socket.send(b"FZHO" + struct.pack("<HH", kind, 0) +
                         b"".join(struct.pack("<HH", number, len(value)) + value for number, value in fields))

    def hello(self, major=1, minor=0):
        self.say(HELLO, (1, b"test"), (2, struct.pack("<H", major)), (3, struct.pack("<H", minor)))

    def hear(self):
        """The next message: its kind and all that follows."""
        data, fds, _, _ = socket.recv_fds(self.socket, 4096, 253)
        self.fds += fds
        return struct.unpack("<H", data[4:6])[0] if data else None, data[8:]

    def agree(self):
        self.hello()
        self.go_to(OFFER)
        self.say(ACCEPT)

    def until(self, kind):
        self.hello()
        return self.go_to(kind)

    def go_to(self, kind):
        """Goes on as a successor does until it has heard `kind`."""
        while True:
            heard, data = self.hear()
            if heard == kind:
                return data
            if heard == OFFER:
                self.say(ACCEPT)
            elif heard == SO_FAR:
                self.say(PREPARED)
            elif heard == END:
                self.say(READY)
            elif heard != GIVE:
                raise AssertionError("heard %s: %s" % (heard, data))

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()


class Failure(HandoverTest):
    """Whatever the successor does, the old one relays on, says why, and can be taken over later."""

    def survives(self, act, line):
        old = self.relay(workers=2)
        flows = self.flows(old)
        act(old)
        self.assertTrue(old.told("did not take over: " + line), old.output())
        self.go_on(flows)
        self.assertLess(max(f.gap for f in flows), 3.5)
        new = self.relay(before=old, workers=2)
        self.end_of(old)
        self.go_on(flows)
        self.check(flows)
        new.stop()

    def gone_after(self, kind):
        def act(_):
            with Peer(self.path) as successor:
                if kind:
                    successor.until(kind)
        self.survives(act, "the other process is gone")

    def test_gone_without_a_word(self):
        self.gone_after(None)

    def test_gone_after_the_offer(self):
        self.gone_after(OFFER)

    def test_gone_in_the_midst(self):
        self.gone_after(GIVE)

    def test_gone_before_it_is_prepared(self):
        self.gone_after(SO_FAR)

    def test_gone_with_all_it_needs(self):
        self.gone_after(END)

    def hangs_after(self, kind):
        def act(old):
            with Peer(self.path) as successor:
                if kind:
                    successor.until(kind)
                old.told("did not take over")
        self.survives(act, "the other process does not answer")

    def between(self, old, at):
        """A real successor, and what is done when a message of some kind comes by."""
        Between(self.path, at)
        new = Process([self.path + ".between" if a == self.path else a for a in old.command], clean_environment())
        self.started.append(new)
        return new

    def killed_at(self, kind):
        old = self.relay(workers=2)
        flows = self.flows(old)
        new = []

        def kill():
            wait_for(lambda: new, "its number")
            new[0].process.kill()
            new[0].process.wait(DEADLINE)
            return GONE

        new.append(self.between(old, {kind: kill}))
        self.assertTrue(old.told("did not take over: the other process is gone"), old.output())
        self.go_on(flows)
        self.assertLess(max(f.gap for f in flows), 2.1)
        after = self.relay(before=old, workers=2)
        self.end_of(old)
        self.go_on(flows)
        self.check(flows)
        after.stop()

    def test_killed_at_the_start(self):
        self.killed_at(HELLO)

    def test_killed_while_sockets_come(self):
        self.killed_at(GIVE)

    def test_killed_while_it_prepares(self):
        self.killed_at(SO_FAR)

    def test_killed_when_it_is_prepared(self):
        self.killed_at(PREPARED)

    def test_killed_while_it_loads(self):
        self.killed_at(END)

    def test_killed_when_it_is_ready(self):
        self.killed_at(READY)

    def test_killed_when_it_is_to_begin(self):
        """The old one has told it to, and takes everything back all the same."""
        self.killed_at(GO)

    def test_gone_when_it_is_to_begin(self):
        def act(_):
            with Peer(self.path) as successor:
                successor.hello(minor=1)
                successor.go_to(GO)
        self.survives(act, "the other process is gone")

    def test_it_has_begun(self):
        """What is said before it goes counts: it may have relayed."""
        old = self.relay(workers=2)
        with Peer(self.path) as successor:
            successor.hello(minor=1)
            successor.go_to(GO)
            successor.say(BEGUN)
        self.end_of(old)

    def test_stopped_with_all_it_needs(self):
        self.stopped_at(END)

    def test_stopped_when_it_is_to_begin(self):
        self.stopped_at(GO)

    def stopped_at(self, kind):
        """It goes on after the old one has taken everything back, and touches nothing."""
        old = self.relay(workers=2)
        flows = self.flows(old)
        new = []

        def stop():
            wait_for(lambda: new, "its number")
            new[0].process.send_signal(signal.SIGSTOP)

        new.append(self.between(old, {kind: stop}))
        self.assertTrue(old.told("did not take over: the other process does not answer; this one reads on after 2[0-9]{3}"), old.output())
        self.go_on(flows)
        new[0].process.send_signal(signal.SIGCONT)
        self.assertEqual(new[0].wait(), 1, new[0].output())
        self.go_on(flows)
        self.check(flows)
        old.stop()

    def test_hangs_at_the_start(self):
        self.hangs_after(None)

    def test_hangs_with_all_it_needs(self):
        self.hangs_after(END)

    def test_nothing_is_left_of_those_that_failed(self):
        old = self.relay(workers=2)
        flows = self.flows(old)
        folder = "/proc/%d/fd" % old.process.pid
        before = len(os.listdir(folder))
        for _ in range(50):
            with Peer(self.path) as successor:
                successor.until(END)
        wait_for(lambda: len(os.listdir(folder)) == before, "all descriptors to be closed")
        self.go_on(flows)
        self.check(flows)
        old.stop()

    def test_refuses(self):
        def act(_):
            with Peer(self.path) as successor:
                successor.until(END)
                successor.say(REFUSE, (14, b"I'd rather\x1b[2J not"))
                self.assertEqual(successor.hear()[0], REFUSE)
        self.survives(act, r"I'd rather\?\[2J not")

    def test_nonsense(self):
        def act(_):
            with Peer(self.path) as successor:
                successor.socket.send(b"GET / HTTP/1.1")
                successor.hear()
        self.survives(act, "the other process says what can't be understood")

    def test_out_of_turn(self):
        def act(_):
            with Peer(self.path) as successor:
                successor.say(READY)
                successor.hear()
        self.survives(act, "the other process says something else than is its turn")

    def test_another_protocol(self):
        def act(_):
            with Peer(self.path) as successor:
                successor.hello(2)
                self.assertEqual(successor.hear()[0], REFUSE)
        self.survives(act, "it speaks another version of the hand-over's protocol")

    def command(self, old, *args):
        return list(old.command) + list(args)

    def refused(self, line, *args):
        """A real successor, whose options do not fit."""
        old = self.relay()
        self.refuse(old, self.flows(old), self.command(old, *args), line)

    def refuse(self, old, flows, command, line):
        new = Process(command, clean_environment())
        self.assertEqual(new.wait(), 1, new.output())
        self.assertTrue(new.find("can't take over from process %d: " % old.process.pid + line), new.output())
        self.assertTrue(old.told("did not take over: .*" + line), old.output())
        self.go_on(flows)
        self.check(flows)
        old.stop()

    def test_another_public_address(self):
        self.refused("--public-ip4-addr is 127.0.0.1 in the old relay and 127.0.0.2 in the new one", "--public-ip4-addr", "127.0.0.2")

    def test_another_bound_address(self):
        self.refused("--bind-ip4-addr is 127.0.0.1 in the old relay and 127.0.0.2 in the new one", "--bind-ip4-addr", "127.0.0.2")

    def test_another_port(self):
        self.refused("--listen-port is", "--listen-port", "9")

    def test_a_narrower_range(self):
        self.refused("there is an allocation at port [0-9]+, which is not from --lowest-port to --highest-port",
                     "--lowest-port", "40000", "--highest-port", "40001")

    def test_fewer_channels(self):
        self.refused("there are more channels and permissions than --max-channels", "--max-channels", "1")

    def test_a_successor_that_can_not_be_found(self):
        """It can connect to a path beside which it can't make anything."""
        old = self.relay()
        flows = self.flows(old)
        opened = os.open(self.path, os.O_PATH)
        self.addCleanup(os.close, opened)
        path = "/proc/%d/fd/%d" % (os.getpid(), opened)
        self.refuse(old, flows, self.command(old, "--handover-socket", path), "--handover-socket: can't listen at .*: No such file")

    @unittest.skipUnless(os.geteuid() == 0, "takes root")
    def test_a_successor_without_threads(self):
        """Its thread for the one worker is one too many."""
        args = self.become_somebody()
        old = self.relay(*args, wrapper=AS_SOMEBODY)
        limit = "--nproc=%d" % (len(os.listdir("/proc/%d/task" % old.process.pid)) + 1)
        command = list(AS_SOMEBODY) + ["prlimit", limit] + old.command[len(AS_SOMEBODY):]
        self.refuse(old, self.flows(old), command, "can't start a thread: Resource temporarily unavailable")

    def become_somebody(self):
        """The limit of threads is for users who are not root."""
        os.chmod(self.folder.name, 0o777)
        tried = subprocess.run(list(AS_SOMEBODY) + [BINARY, "--version"], capture_output=True, check=False)
        if tried.returncode:
            self.skipTest("another user can't run the program here: %r" % tried.stderr)
        secret = os.path.join(self.folder.name, "secret")
        with open(secret, "w", encoding="ascii") as file:
            file.write(SECRET)
        os.chmod(secret, 0o600)
        os.chown(secret, SOMEBODY, SOMEBODY)
        return "--auth-secret-file", secret

    def test_while_it_shuts_down(self):
        old = self.relay()
        flows = self.flows(old, 1)
        old.process.send_signal(signal.SIGTERM)
        old.told("no new allocations")
        new = Process(self.command(old), clean_environment())
        self.assertEqual(new.wait(), 1, new.output())
        self.assertTrue(new.find("it is shutting down"), new.output())
        self.check(flows)
        old.stop()

    @unittest.skipUnless(os.geteuid() == 0, "takes root")
    def test_another_user(self):
        old = self.relay()
        os.chmod(self.folder.name, 0o755)
        os.chmod(self.path, 0o666)
        script = ("import socket,sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]); "
                  "sys.exit(len(s.recv(100)))")
        ended = subprocess.run([sys.executable, "-c", script, self.path], user=65534, check=False)
        self.assertEqual(ended.returncode, 0)
        self.assertTrue(old.told("A process of another user, [0-9]+, asked to take over: refused"), old.output())
        old.stop()

    def test_a_path_that_nobody_listens_at_any_more(self):
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        dead.bind(self.path)
        dead.close()
        relay = self.relay()
        relay.stop()
        self.assertFalse(os.path.exists(self.path))


class Busy(HandoverTest):
    """A worker that gets no CPU for a while gets its orders late, several of them at once."""

    def answers(self, relay):
        return answers_binding(socket.AF_INET, relay.v4, relay.port, 0.3)

    def test_the_next_one_while_it_has_yet_to_read_on(self):
        """Nobody may read while its state is on its way to the second one."""
        old = self.relay()
        with Peer(self.path) as first, Peer(self.path) as second:
            first.agree()
            first.go_to(END)
            with Stalled(old.process.pid, "relay-0"):
                first.say(REFUSE, (14, b"no"))
                first.close()
                second.agree()
                self.assertEqual(select.select([second.socket], [], [], 0.3)[0], [], "nothing is given yet")
            second.go_to(END)
            self.assertFalse(self.answers(old))
        wait_for(lambda: self.answers(old), "an answer after both have failed")
        old.stop()

    def test_once_it_runs_again_it_can_be_taken_over(self):
        old = self.relay()
        with Stalled(old.process.pid, "relay-0"):
            for _ in range(2):
                with Peer(self.path) as successor:
                    self.assertIn(b"a worker is busy", successor.until(REFUSE))
        new = self.relay(before=old)
        self.end_of(old)
        new.stop()


if __name__ == "__main__":
    main()
