# SPDX-License-Identifier: Apache-2.0
"""Clients behind one interface of the relay, peers behind another, and what happens between them."""

import os
import socket
import struct
import threading

from case import PASSER, SIZES, Case

import lab
import netns
from harness import wait_for

CLIENTS = ("10.77.1.2/24", "fd77:1::2/64")
PEERS = ("10.77.2.2/24", "fd77:2::2/64")
UDP_SEGMENT = 103


class BothSides(Case):
    """Clients behind c0, peers behind p0; the routing table decides."""

    interfaces = ("c0", "p0")
    offload = False
    far_takes_frames = True

    def setUp(self):
        super().setUp()
        self.client_end = self.end("c0", ("10.77.1.1/24", "fd77:1::1/64"), CLIENTS)
        self.peer_end = self.end("p0", ("10.77.2.1/24", "fd77:2::1/64"), PEERS)

    def end(self, name, near, far):
        end = lab.End(PASSER, offload=self.offload, far_takes_frames=self.far_takes_frames)
        self.addCleanup(end.close)
        netns.link(name, near, end.namespace, far)
        self.cleaned_link(name)
        lab.set_forwarding(name)
        end.start(far)
        return end

    def run_of_datagrams(self, relay):
        client = self.client(relay, 4)
        peer = self.peer(4)
        channel, source = self.meet(client, peer)
        # The same from both ends, so that it looks finished either way.
        parts = [self.payload(client, channel, peer, source, lambda n, i=i: bytes([n]) + bytes([i]) * 98 + bytes([n])) for i in range(40)]
        peer.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 100)
        peer.sendto(b"".join(parts), source)
        self.assertEqual(sorted(client.receive() for _ in parts), [(channel, part) for part in parts])
        client.socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 104)
        client.socket.send(b"".join(struct.pack(">HH", channel, 100) + part for part in parts))
        self.assertEqual(sorted(peer.recvfrom(65536) for _ in parts), [(part, source) for part in parts])

    # ---- under load ----

    def pump(self, client, channel, peer, source, stop):
        """Sends numbered packets until told to stop. Returns how many. Their sums are all the same: the number's complement is in them."""
        fill = self.payload(client, channel, peer, source, lambda n: struct.pack(">4sIIH", b"flow", 0, 0xFFFFFFFF, n) + bytes(86))[12:]
        n = 0
        while not stop.is_set():
            client.send(channel, struct.pack(">4sII", b"flow", n, 0xFFFFFFFF - n) + fill)
            n += 1
            if n % 16 == 0:
                stop.wait(0.005)
        return n

    def refresh_and_others_under_load(self, relay):
        """Nothing is lost while the channel is refreshed, and while others are bound and deleted all around it."""
        flow, other = self.client(relay, 4), self.client(relay, 4)
        peer = self.peer(4)
        channel, source = self.meet(flow, peer)
        reader, stop = netns.Reader(peer), threading.Event()
        self.addCleanup(reader.close)
        sent = []
        sender = threading.Thread(target=lambda: sent.append(self.pump(flow, channel, peer, source, stop)))
        sender.start()
        try:
            echo = self.peer(4)
            while len(reader.got) < 3000:
                flow.bind(peer.getsockname()[:2], channel)
                flow.refresh()
                self.meet(other, echo)
                other.refresh(0)
                other.allocate()
        finally:
            stop.set()
            sender.join()
        wait_for(lambda: len(reader.got) >= sent[0], "all %d packets" % sent[0])
        self.assertEqual([data[:8] for data in reader.got], [struct.pack(">4sI", b"flow", n) for n in range(sent[0])])
        self.assertGreaterEqual(sent[0], 3000)
        self.assertGreaterEqual(relay.in_kernel(), sent[0] - 100)

    def rebind_under_load(self, relay):
        """The same client's same channel, to one peer after another: what is meant for one never gets to another, and all arrives that
        is sent while the channel is bound, either way."""
        client = self.client(relay, 4)
        peers = [self.peer(4) for _ in range(2)]
        readers = [netns.Reader(peer) for peer in peers]
        for reader in readers:
            self.addCleanup(reader.close)
        expected = [0, 0]
        for turn in range(20):
            peer = peers[turn % 2]
            for n in range(20):
                peer.sendto(b"too early" + bytes(91), client.relayed[4])
            client.bind(peer.getsockname()[:2], 0x4000)
            up = [struct.pack(">4sI", b"to-%d" % (turn % 2), n) + bytes(92) for n in range(50)]
            down = [struct.pack(">4sI", b"from", turn * 50 + n) + bytes(92) for n in range(50)]
            for there, back in zip(up, down):
                client.send(0x4000, there)
                peer.sendto(back, client.relayed[4])
            expected[turn % 2] += len(up)
            # What was sent before it was bound is read before or after that, and the kernel may overtake it.
            received = []
            while len(received) < len(down):
                packet = client.receive()
                if not packet or not packet[1].startswith(b"too early"):
                    received.append(packet)
            self.assertEqual(sorted(received), [(0x4000, back) for back in down])
            # A request behind them in the same socket, whose answer says that they have been through.
            client.refresh(0)
            self.assertLessEqual({data[:9] for _, data in client.inbox}, {b"too early"})
            client.inbox.clear()
            for n in range(20):
                client.send(0x4000, b"nobody" + bytes(94))
                peer.sendto(b"too late" + bytes(92), client.relayed[4])
            client.allocate()
        wait_for(lambda: [len(reader.got) for reader in readers] == expected, "all packets, and no other")
        for index, reader in enumerate(readers):
            self.assertEqual({data[:4] for data in reader.got}, {b"to-%d" % index})
        self.assertEqual(relay.metric("relay_kernel_channels"), 0)
        self.assertGreater(relay.in_kernel("client_to_peer"), 0)
        self.assertGreater(relay.in_kernel("peer_to_client"), 0)

    # ---- junk ----

    def dropped(self, relay, reason):
        """In the kernel, and in user space."""
        return (relay.metric("relay_dropped_packets_total", reason=reason, datapath="kernel"),
                relay.metric("relay_dropped_packets_total", reason=reason, datapath=None))

    def junk(self, relay, in_kernel, family=4):
        """What user space would drop is dropped below it, and counted; live channels, and those who are new, get through."""
        client, peer, stranger, other = self.client(relay, family), self.peer(family), self.client_end.udp(family), self.peer(family)
        self.addCleanup(stranger.close)
        channel, source = self.meet(client, peer)
        to_relay = client.socket.getpeername()[:2]
        kinds = {"not_stun": (stranger, to_relay, b"SSH-2.0-" + bytes(92)),
                 "stun_cookie": (stranger, to_relay, bytes(2) + struct.pack(">H", 80) + bytes(96)),
                 "stun_not_request": (stranger, to_relay, struct.pack(">HHI", 0x0101, 80, 0x2112A442) + bytes(92)),
                 "channel_data_truncated": (stranger, to_relay, struct.pack(">HH", channel, 97) + bytes(96)),
                 "unknown_client": (stranger, to_relay, struct.pack(">HH", channel, 96) + bytes(96)),
                 "unknown_peer": (other, source[:2], bytes(100))}
        for reason, (s, to, payload) in kinds.items():
            before = self.dropped(relay, reason)
            for _ in range(50):
                s.sendto(payload, to)
            wait_for(lambda: sum(self.dropped(relay, reason)) >= sum(before) + 50, "all to be dropped for " + reason)
            after = self.dropped(relay, reason)
            self.assertEqual((after[0] - before[0], after[1] - before[1]), (50, 0) if in_kernel else (0, 50), reason)
        payload = self.payload(client, channel, peer, source, lambda n: bytes([n]) * 100)
        client.send(channel, payload)
        self.assertEqual(peer.recvfrom(65536), (payload, source))
        # Who was a stranger has a channel now, and so has the other peer.
        newcomer = self.client(relay, family)
        self.meet(newcomer, other)

    # ---- the end ----

    def expect_user_space(self, relay, warning):
        self.assertTrue(relay.find("WARN xdp: .*" + warning), relay.output())
        kernel, _ = self.exchange(relay, self.client(relay, 4), 4)
        self.assertEqual(kernel, 0)

    def expect_no_capabilities(self, relay):
        names = set()
        for task in os.listdir("/proc/%d/task" % relay.process.pid):
            with open("/proc/%d/task/%s/status" % (relay.process.pid, task), encoding="ascii") as file:
                status = dict(line.split(":\t", 1) for line in file.read().splitlines())
            names.add(status["Name"])
            for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
                self.assertEqual(int(status[kind], 16), 0, (status["Name"], kind))
        self.assertLessEqual({"firezone-relay", "relay-0", "log"}, names)
