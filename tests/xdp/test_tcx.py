# SPDX-License-Identifier: Apache-2.0
"""The kernel data path at tcx ingress, end to end."""

import fcntl
import os
import re
import socket
import struct
import subprocess
import threading
import unittest

from both_sides import BothSides, UDP_SEGMENT
from case import MISSING, PASSER, SIZES

import lab
import netns
from harness import main, wait_for

RELEASE = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
if not MISSING and RELEASE < (6, 6):
    MISSING = "Linux %d.%d has no tcx, it takes 6.6" % RELEASE


TCX = ("--offload", "tcx")


def programs(interface):
    """How many programs an interface has at tcx ingress."""
    return int(netns.run(PASSER, "--tcx-programs", interface).split()[0])


@unittest.skipIf(MISSING, MISSING)
class Tcx(BothSides):
    far_takes_frames = False  # it is sent by the stack: veth's other end needs no program

    def test_all_families(self):
        relay = self.relay(*TCX)
        self.assertTrue(relay.find(r"relayed in the kernel on c0, p0 \(tcx, by the routing table\)"), relay.output())
        self.all_families(relay)
        self.assertGreater(relay.metric("relay_packets_total", datapath="kernel", program="tcx"), 0)
        self.assertEqual(relay.metric("relay_packets_total", datapath="kernel", program="xdp"), 0)
        self.assertEqual((programs("c0"), programs("p0")), (1, 1))
        relay.stop()
        self.assertEqual((programs("c0"), programs("p0")), (0, 0))

    def test_large_packets(self):
        """On a link for them, and with GRO, for which drivers put a packet in several pieces."""
        for name, end in (("c0", self.client_end), ("p0", self.peer_end)):
            end.namespace.run("ip", "link", "set", "far0", "mtu", "9000")
            netns.run("ip", "link", "set", name, "mtu", "9000")
        relay = self.relay(*TCX)
        for family in (4, 6):
            sizes = (1400, 3000, 8000, 8900)
            self.assertEqual(self.exchange(relay, self.client(relay, 4), family, sizes), (2 * len(sizes), 0))

    def test_killed(self):
        relay = self.relay(*TCX)
        client = self.client(relay, 4)
        self.assertEqual(self.exchange(relay, client, 4), (2 * len(SIZES), 0))
        relay.kill()
        self.assertEqual((programs("c0"), programs("p0")), (0, 0))
        again = self.relay(*TCX, "--listen-port", str(relay.port))
        client.send(0x4000, bytes(100))
        wait_for(lambda: self.dropped(again, "unknown_client") == (1, 0), "the old channel's packet to be dropped")
        self.assertEqual((again.in_kernel(), again.metric("relay_kernel_channels")), (0, 0))

    def test_interface_goes_away(self):
        relay = self.relay(*TCX)
        netns.run("ip", "link", "del", "p0")
        wait_for(lambda: relay.in_kernel() or relay.find("p0 is gone, and the program with it"), "the warning")
        self.assertTrue(self.client(relay, 4).relayed)

    def test_programs_of_others(self):
        """Those before see all packets, and those behind what ours does not relay; each stays where it is."""
        before = lab.Passer(PASSER, None, "c0", tcx=True)
        self.addCleanup(before.close)
        relay = self.relay(*TCX)
        behind = lab.Passer(PASSER, None, "c0", tcx=True)
        self.addCleanup(behind.close)
        self.assertEqual(programs("c0"), 3)
        client, peer = self.client(relay, 4), self.peer(4)
        channel, source = self.meet(client, peer)
        payload = self.payload(client, channel, peer, source, lambda n: bytes([n]) * 100)
        seen = before.seen(), behind.seen()
        for _ in range(20):
            client.send(channel, payload)
            self.assertEqual(peer.recvfrom(65536), (payload, source))
        seen = before.seen() - seen[0], behind.seen() - seen[1]
        self.assertGreaterEqual(seen[0], 20)
        self.assertLess(seen[1], 10)  # neighbours, at most
        client.refresh()
        self.assertGreater(behind.seen(), 0)
        relay.stop()
        self.assertEqual(programs("c0"), 2)

    def test_tagged_frames(self):
        relay = self.relay(*TCX)
        client = self.client(relay, 4)
        self.assertEqual(self.exchange(relay, client, 4), (2 * len(SIZES), 0))
        frames = [frame.data for frame in self.client_end.capture.frames if len(frame.payload) == 104]
        tagged = frames[0][:12] + struct.pack(">HH", 0x8100, 7) + frames[0][12:]
        before = relay.passed("vlan")
        with self.client_end.namespace.inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            raw.bind(("far0", 0))
        with raw:
            raw.send(bytes(tagged[6:12] + tagged[:6] + tagged[12:]))
        wait_for(lambda: relay.passed("vlan") == before + 1, "the tagged frame to be passed")

    def test_vlan_interface(self):
        try:
            netns.run("ip", "link", "add", "link", "c0", "name", "c0.8", "type", "vlan", "id", "8")
        except OSError as error:
            self.skipTest(str(error))
        for name, end in (("c0", self.client_end), ("p0", self.peer_end)):
            third = 1 if name == "c0" else 2
            netns.run("ip", "addr", "flush", "dev", name)
            end.namespace.run("ip", "addr", "flush", "dev", "far0")
            for namespace, device, host in ((None, name, 1), (end.namespace, "far0", 2)):
                run = namespace.run if namespace else netns.run
                run("ip", "link", "add", "link", device, "name", device + ".7", "type", "vlan", "id", "7")
                run("ip", "addr", "add", "10.77.%d.%d/24" % (third, host), "dev", device + ".7")
                run("ip", "addr", "add", "fd77:%d::%d/64" % (third, host), "dev", device + ".7", "nodad")
                run("ip", "link", "set", device + ".7", "up")
            end.namespace.run("ip", "route", "replace", "default", "via", "10.77.%d.1" % third)
            end.namespace.run("ip", "-6", "route", "replace", "default", "via", "fd77:%d::1" % third)
            lab.set_forwarding(name + ".7")
            end.capture.close()
            end.capture = lab.Capture(end.namespace, "far0.7")
        self.interfaces = ("c0.7", "p0.7")
        relay = self.relay(*TCX)
        for family in (4, 6):
            self.assertEqual(self.exchange(relay, self.client(relay, family), family), (2 * len(SIZES), 0))

    # ---- runs ----

    def test_runs(self):
        """A sender that hands 40 datagrams to a device at once, which makes single ones of them: each is relayed."""
        relay = self.relay(*TCX)
        self.run_of_datagrams(relay)
        self.assertGreaterEqual(relay.in_kernel("peer_to_client"), 40)

    def test_runs_of_gro(self):
        """What the receiving end has made runs of is left to user space."""
        netns.run("ethtool", "-K", "c0", "gro", "on")
        relay = self.relay(*TCX)
        client, peer = self.client(relay, 4), self.peer(4)
        channel, source = self.meet(client, peer)
        part = self.payload(client, channel, peer, source, lambda n: bytes([n]) * 100)
        before = relay.passed("run")
        client.socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 104)
        for _ in range(20):
            client.socket.send((struct.pack(">HH", channel, 100) + part) * 40)
            self.assertEqual({peer.recvfrom(65536) for _ in range(40)}, {(part, source)})
        self.assertGreater(relay.passed("run"), before)

    # ---- under load ----

    def test_refresh_and_others_under_load(self):
        self.refresh_and_others_under_load(self.relay(*TCX))

    def test_rebind_under_load(self):
        self.rebind_under_load(self.relay(*TCX))

    # ---- junk ----

    def test_junk(self):
        for family in (4, 6):
            relay = self.relay(*TCX)
            self.junk(relay, True, family)
            relay.stop()

    def test_junk_to_any_address(self):
        """The addresses of the host are those of the relay, also one that comes later, and not one that went away."""
        relay = self.relay(*TCX, "--bind-ip4-addr", "0.0.0.0", "--bind-ip6-addr", "::", workers=3)
        self.junk(relay, True)
        stranger = self.client_end.udp(4)
        self.addCleanup(stranger.close)

        def comes_to(address):
            before = self.dropped(relay, "not_stun")
            stranger.sendto(b"SSH-2.0-" + bytes(92), (address, relay.port))
            wait_for(lambda: self.dropped(relay, "not_stun") != before, "the junk to be dropped")
            after = self.dropped(relay, "not_stun")
            return after[0] - before[0], after[1] - before[1]

        netns.run("ip", "addr", "add", "10.77.1.9/24", "dev", "c0")
        self.addCleanup(subprocess.run, ["ip", "addr", "del", "10.77.1.9/24", "dev", "c0"], check=False, stderr=subprocess.DEVNULL)
        wait_for(lambda: comes_to("10.77.1.9") == (1, 0), "the kernel to drop what comes there")

    def test_junk_without_the_guard(self):
        self.junk(self.relay(*TCX, "--flood-guard", "off"), False)

    def test_requests_over_the_rate(self):
        relay = self.relay(*TCX, "--unauthenticated-rate", "20")
        stranger = self.client_end.udp(4)
        self.addCleanup(stranger.close)
        self.strangers.add(stranger.getsockname()[1])
        request = struct.pack(">HHI", 1, 0, 0x2112A442) + bytes(12)
        before = self.dropped(relay, "rate_limited")
        for _ in range(400):
            stranger.sendto(request, ("10.77.1.1", relay.port))
        wait_for(lambda: sum(self.dropped(relay, "rate_limited")) >= sum(before) + 350, "most of them to be dropped")
        self.assertGreater(self.dropped(relay, "rate_limited")[0], 200)
        # Who has credentials gets in all the same.
        self.assertTrue(self.client(relay, 4).relayed)

    # ---- what may be missing: one warning, and user space relays ----

    def test_no_forwarding(self):
        lab.set_forwarding("c0", False)
        lab.set_forwarding("p0", False)
        relay = self.relay(*TCX)
        self.expect_user_space(relay, r"sysctl -w net.ipv4.conf.c0.forwarding=1, or, behind a single router, --offload-route swap")
        self.assertGreaterEqual(relay.passed("forwarding_off"), 2 * len(SIZES))

    def test_no_capability(self):
        for kept in ("-all", "-all,+bpf", "-all,+net_admin"):
            with self.subTest(capabilities=kept):
                relay = self.relay(*TCX, wrapper=lab.unprivileged(kept))
                self.expect_user_space(relay, "Give the relay CAP_BPF and CAP_NET_ADMIN")
                relay.stop()

    def test_two_capabilities_are_enough_and_are_given_up(self):
        relay = self.relay(*TCX, wrapper=lab.unprivileged("-all,+bpf,+net_admin"))
        self.assertEqual(self.exchange(relay, self.client(relay, 4), 4), (2 * len(SIZES), 0))
        self.expect_no_capabilities(relay)

    def test_no_ethernet(self):
        self.interfaces = ("lo",)
        self.expect_user_space(self.relay(*TCX), "lo is no Ethernet interface: relaying in user space on lo")


class Tap:
    """An interface whose driver has native XDP, and frames that come by it as long as somebody sends some."""

    def __init__(self, name):
        self.file = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.file, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
        netns.run("ip", "link", "set", name, "up")
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._send, daemon=True)

    def _send(self):
        while not self.stop.wait(0.005):
            os.write(self.file, b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + bytes(46))

    def close(self):
        self.stop.set()
        if self.thread.is_alive():
            self.thread.join()
        os.close(self.file)


@unittest.skipIf(MISSING, MISSING)
class Auto(BothSides):
    """Native XDP where it works, and else tcx: one line says which, and why."""

    far_takes_frames = False

    def said(self, *args, **more):
        relay = self.relay("--offload", "auto", *args, **more)
        return relay, wait_for(lambda: relay.find(r"INFO xdp: --offload auto: (.*)$"), "what was chosen").group(1)

    def tap(self, sends):
        tap = Tap("tap0")
        self.addCleanup(tap.close)
        if sends:
            tap.thread.start()
        self.interfaces = ("tap0",)

    def test_veth(self):
        relay, said = self.said()
        self.assertIn("tcx, for c0 is a veth", said)
        self.all_families(relay)

    def test_driver_that_has_it(self):
        self.tap(True)
        _, said = self.said(wrapper=lab.unprivileged("-all,+bpf,+net_admin"))
        self.assertEqual(said, "xdp, for all interfaces take it, and their packets can grow")

    def test_no_packet_to_try_with(self):
        self.tap(False)
        netns.run("sysctl", "-qw", "net.ipv6.conf.tap0.disable_ipv6=1")
        _, said = self.said()
        self.assertEqual(said, "tcx, for no packet came by tap0 within a second to try native XDP with")
        self.assertEqual(programs("tap0"), 1)

    def test_driver_that_has_none(self):
        self.interfaces = ("lo",)
        relay, said = self.said()
        self.assertIn("off, for lo takes no native XDP", said)
        self.expect_user_space(relay, "lo is no Ethernet interface")

    def test_no_capability(self):
        relay, said = self.said(wrapper=lab.unprivileged("-all"))
        self.assertTrue(said.startswith("off, for "), said)
        self.expect_user_space(relay, "Give the relay CAP_BPF and CAP_NET_ADMIN")


@unittest.skipIf(MISSING, MISSING)
class Offloading(BothSides):
    """Senders that leave sums and runs to their device: as the packets are not finished, user space relays, and nothing is lost."""

    offload = True

    def test_single_packets(self):
        relay = self.relay(*TCX)
        self.all_families(relay, (0, 2 * len(SIZES)))
        self.assertGreaterEqual(relay.passed("unfinished_checksum"), 8 * len(SIZES))
        self.assertTrue(relay.find("c0 is a veth: the kernel relays what comes with a finished checksum"), relay.output())

    def test_it_is_said_who_relays(self):
        """Once it shows that nearly nothing goes through the kernel."""
        relay = self.relay(*TCX)
        client = self.client(relay, 4)
        before = relay.relayed()
        while relay.passed("unfinished_checksum") < 100:
            self.assertFalse(relay.find("User space relays most packets"), relay.output())
            self.exchange(relay, client, 4)
        self.assertTrue(relay.told("WARN xdp: User space relays most packets: they come with unfinished checksums"), relay.output())
        self.assertGreaterEqual(relay.relayed()[1] - before[1], 100 - 20)
        self.assertEqual(relay.in_kernel(), 0)

    def test_runs(self):
        relay = self.relay(*TCX)
        self.run_of_datagrams(relay)
        self.assertEqual(relay.in_kernel(), 0)
        self.assertGreaterEqual(relay.passed("run"), 2)


if __name__ == "__main__":
    main()
