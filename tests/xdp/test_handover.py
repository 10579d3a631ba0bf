# SPDX-License-Identifier: Apache-2.0
"""A process takes the place of another one while the kernel relays: what is attached stays, or is replaced in one go, and no packet is lost."""

import os
import socket
import struct
import tempfile
import threading
import time
import unittest

from both_sides import BothSides
from case import MISSING, PASSER, SIZES

import lab
import netns
import stun
from harness import DEADLINE, Process, clean_environment, main, wait_for

SO_TIMESTAMPNS = 35


class Flow(threading.Thread):
    """Numbered packets both ways, all the time."""

    PAUSE = 0.0005

    def __init__(self, client, channel, peer, source):
        super().__init__(daemon=True)
        self.client, self.channel, self.peer, self.source = client, channel, peer, source
        for s in (client.socket, peer):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            s.setblocking(False)
        self.sent, self.got, self.faults, self.longest = 0, [0, 0], [], []
        self.ends = False

    @staticmethod
    def payload(number, now=None):
        return struct.pack(">IQ", number, now if now is not None else time.time_ns()) * 8

    def take(self, way, s, header):
        while True:
            try:
                data, ancillary, _, _ = s.recvmsg(4096, 64)
            except BlockingIOError:
                return
            sent = struct.unpack(">Q", data[-8:])[0]
            want = self.payload(self.got[way], sent)
            if data != (stun.channel_data(self.channel, want) if header else want):
                self.faults.append("way %d: not number %d, but %r" % (way, self.got[way], data[:8]))
            self.got[way] += 1
            seconds, ns = struct.unpack("qq", ancillary[0][2])
            self.longest.append(seconds * 10**9 + ns - sent)

    def take_all(self):
        self.take(0, self.peer, False)
        self.take(1, self.client.socket, True)

    def run(self):
        while not self.ends and not self.faults:
            self.client.send(self.channel, self.payload(self.sent))
            self.peer.sendto(self.payload(self.sent), self.source)
            self.sent += 1
            self.take_all()
            time.sleep(self.PAUSE)

    def stop(self):
        self.ends = True
        self.join(DEADLINE)

    def finish(self):
        self.stop()
        wait_for(lambda: self.take_all() or self.faults or self.got == [self.sent] * 2, "all packets")
        for s in (self.client.socket, self.peer):
            s.settimeout(DEADLINE)
        return self.faults


@unittest.skipIf(MISSING, MISSING)
class Handover(BothSides):
    MODE, PROGRAM = "xdp", "prog/xdp"
    GUARD = ("--flood-guard", "off")

    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "handover")

    def start(self, *args, **more):
        relay = self.relay("--offload", self.MODE, "--handover-socket", self.path, *self.GUARD, *args, probe=False, **more)
        self.assertTrue(relay.told("Another process can take over"), relay.output())
        return relay

    def follow(self, old, *args, **more):
        new = self.start(*args, **more)
        self.assertEqual(old.wait(), 0, old.output())
        return new

    def flow(self, relay):
        client, peer = self.client(relay, 4), self.peer(4)
        channel, source = self.meet(client, peer)
        flow = Flow(client, channel, peer, source)
        flow.start()
        self.addCleanup(flow.stop)
        self.go_on(flow)
        return flow

    def go_on(self, flow, count=200):
        mark = min(flow.got) + count
        wait_for(lambda: min(flow.got) >= mark or flow.faults, "packets")

    def programs(self):
        """Which are on the interfaces."""
        return [netns.run("ip", "-d", "link", "show", "dev", name).split("prog/xdp id ")[1].split()[0] for name in ("c0", "p0")]

    def all_by_the_kernel(self, relay, flow):
        """Of all packets from the first one on, as the counters have it that go on from process to process. One in 65,536 is left to user space by chance."""
        kernel, user = relay.relayed()
        self.assertGreaterEqual(kernel, 2 * flow.sent - 4)
        self.assertLessEqual(user, 2 + 4)

    def report(self, flow):
        """For whoever reads the log: a machine that is busy makes any of them late."""
        print("%s: longest on the way, of %d: %s us" % (self.id(), len(flow.longest), [n // 1000 for n in sorted(flow.longest)[-3:]]))

    def test_the_program_goes_on(self):
        """Through five hand-overs in a row: a flow in the kernel is never out of it."""
        relay = self.start(workers=2)
        flow = self.flow(relay)
        programs = self.programs()
        for _ in range(5):
            relay = self.follow(relay, workers=2)
            # The old process is gone, and has taken nothing along of what the new one relies on.
            self.assertEqual(self.programs(), programs)
            self.go_on(flow)
        self.assertEqual(flow.finish(), [])
        self.assertEqual(self.programs(), programs)
        self.report(flow)
        self.all_by_the_kernel(relay, flow)
        self.assertEqual(relay.metric("relay_kernel_channels"), 1)
        self.assertEqual(relay.metric("relay_kernel_channels_left_total"), 0)
        # And all that comes later is like ever.
        client = self.client(relay, 6)
        self.assertEqual(self.exchange(relay, client, 6), (2 * len(SIZES), 0))
        flow.client.refresh(0)
        wait_for(lambda: relay.metric("relay_kernel_channels") == 1, "the flow's channel to go")
        relay.stop()
        self.assertNotIn(self.PROGRAM, netns.run("ip", "-d", "link", "show", "dev", "c0"))

    def test_another_program(self):
        """With other settings it is another one: it takes the old one's place on the interfaces when it knows all channels."""
        relay = self.start()
        flow = self.flow(relay)
        programs = self.programs()
        for n in range(3):
            relay = self.follow(relay, "--highest-port", str(50200 + n))
            self.assertTrue(relay.told("The program on p0 is replaced by that of this process"), relay.output())
            self.assertEqual(set(self.programs()) & set(programs), set())
            programs += self.programs()
            self.go_on(flow)
        self.assertEqual(flow.finish(), [])
        self.report(flow)
        self.all_by_the_kernel(relay, flow)
        self.assertEqual(relay.metric("relay_kernel_channels"), 1)
        self.assertEqual(relay.metric("relay_kernel_channels_left_total"), 0)

    def test_with_the_guard(self):
        """What the guard knows of clients is the process's: each has a program of its own."""
        self.GUARD = ()
        relay = self.start(workers=2)
        flow = self.flow(relay)
        programs = self.programs()
        for _ in range(3):
            relay = self.follow(relay, workers=2)
            self.assertTrue(relay.told("The program on p0 is replaced by that of this process"), relay.output())
            self.go_on(flow)
        self.assertEqual(flow.finish(), [])
        self.assertEqual(set(self.programs()) & set(programs), set())
        self.all_by_the_kernel(relay, flow)
        self.assertEqual(relay.metric("relay_kernel_channels"), 1)
        self.assertEqual(relay.metric("relay_kernel_channels_left_total"), 0)
        self.assertEqual(self.exchange(relay, self.client(relay, 6), 6), (2 * len(SIZES), 0))

    def test_many_channels(self):
        """They are listed piece by piece, while they come and go: each is told of once, and what goes through user space goes on."""
        self.GUARD = ()
        relay = self.start()
        clients, address = [self.client(relay, 4) for _ in range(3)], self.peer(4).getsockname()[0]
        for client in clients:
            for i in range(150):
                client.bind((address, 20000 + i))
        flow = self.flow(relay)
        self.assertEqual(relay.metric("relay_kernel_channels"), 451)
        left = 451
        for n in range(2):
            ends, bound = threading.Event(), []

            def come_and_go():
                while not ends.wait(0.001) and len(bound) < 400:
                    bound.append(clients[0].bind((address, 30000 + 1000 * n + len(bound))))
                clients[2 - n].refresh(0)

            thread = threading.Thread(target=come_and_go)
            thread.start()
            relay = self.follow(relay, "--highest-port", str(50200 + n))
            ends.set()
            thread.join()
            self.go_on(flow)
            left += len(bound) - 150
            wait_for(lambda: relay.metric("relay_kernel_channels") == left, "%d channels in the kernel" % left)
        self.assertEqual(flow.finish(), [])
        self.assertEqual(relay.metric("relay_kernel_channels_left_total"), 0)
        client = self.client(relay, 4)
        self.assertEqual(self.exchange(relay, client, 4), (2 * len(SIZES), 0))

    def test_without_capabilities(self):
        """What is adopted takes none."""
        relay = self.start()
        flow = self.flow(relay)
        relay = self.follow(relay, wrapper=lab.unprivileged("-all"))
        self.go_on(flow)
        self.assertEqual(flow.finish(), [])
        self.all_by_the_kernel(relay, flow)
        self.assertEqual(self.exchange(relay, self.client(relay, 4), 4), (2 * len(SIZES), 0))

    def test_a_successor_that_fails(self):
        """Nothing of what is in the kernel is lost with it."""
        relay = self.start()
        other = self.client(relay, 4)
        self.exchange(relay, other, 4, [])
        flow = self.flow(relay)
        port = flow.source[1]
        failed = Process([*relay.command, "--lowest-port", str(port + 1), "--highest-port", "50299"], clean_environment())
        self.assertEqual(failed.wait(), 1, failed.output())
        self.assertTrue(failed.find("there is an allocation at port [0-9]+, which is not from"), failed.output())
        self.go_on(flow)
        failed = Process([*relay.command, "--max-channels", "1"], clean_environment())
        self.assertEqual(failed.wait(), 1, failed.output())
        self.assertTrue(failed.find("more channels and permissions than --max-channels"), failed.output())
        self.go_on(flow)
        self.assertEqual(flow.finish(), [])
        self.assertEqual(relay.metric("relay_kernel_channels"), 2)
        kernel, _ = relay.relayed()
        self.assertGreaterEqual(kernel, 2 * flow.sent - 4)
        self.assertEqual(self.exchange(relay, other, 4), (2 * len(SIZES), 0))
        relay.stop()

    def test_what_has_ended_is_not_relayed_on(self):
        """A channel that the new process does not have any more: it refuses the peer."""
        relay = self.start()
        flow = self.flow(relay)
        other = self.client(relay, 4)
        self.exchange(relay, other, 4, [100])
        self.assertEqual(relay.metric("relay_kernel_channels"), 2)
        denied = "%s/32:%d" % self.peers[-1].getsockname()
        relay = self.follow(relay, "--deny-peer", denied)
        wait_for(lambda: relay.metric("relay_kernel_channels") == 1, "the channel to go")
        self.assertEqual(flow.finish(), [])

    def test_user_space_from_here(self):
        """A successor that is not to relay in the kernel."""
        relay = self.start()
        flow = self.flow(relay)
        relay = self.follow(relay, "--offload", "off")
        self.go_on(flow)
        self.assertEqual(flow.finish(), [])
        wait_for(lambda: self.PROGRAM not in netns.run("ip", "-d", "link", "show", "dev", "c0"), "the program to go")


class ByTcx(Handover):
    """The same at the ingress of the interfaces."""

    MODE, PROGRAM = "tcx", "prog/none"

    def programs(self):
        ids = [netns.run(PASSER, "--tcx-programs", name).split()[1:] for name in ("c0", "p0")]
        self.assertEqual([len(each) for each in ids], [1, 1])  # none is gone, and none is there beside it
        return [each[0] for each in ids]

    def test_another_mode(self):
        """One that is to relay by XDP does, beside the old one's program."""
        relay = self.start()
        flow = self.flow(relay)
        relay = self.follow(relay, "--offload", "xdp")
        self.go_on(flow)
        self.assertEqual(flow.finish(), [])
        self.assertTrue(relay.find(r"relayed in the kernel on c0, p0 \(native XDP"), relay.output())
        self.assertEqual(self.exchange(relay, self.client(relay, 4), 4), (2 * len(SIZES), 0))


if __name__ == "__main__":
    main()
