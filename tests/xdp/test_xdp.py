# SPDX-License-Identifier: Apache-2.0
"""The kernel data path end to end, clients and peers on two interfaces of the relay."""

import os
import re
import socket
import subprocess
import unittest

from both_sides import BothSides
from case import BINARY, MISSING, PASSER, RELAY, SIZES

import lab
import netns
import watch
from harness import DEADLINE, main, wait_for

try:
    import otlp
except ImportError:
    otlp = None


@unittest.skipIf(MISSING, MISSING)
class TwoInterfaces(BothSides):
    """By XDP."""

    def attached(self, name):
        return '"xdp"' in netns.run("ip", "-j", "link", "show", "dev", name)

    def test_native(self):
        relay = self.relay("--offload", "xdp")
        self.assertTrue(relay.find(r"relayed in the kernel on c0, p0 \(native XDP, by the routing table\)"), relay.output())
        self.all_families(relay)
        relay.stop()
        self.assertFalse(self.attached("c0") or self.attached("p0"))

    def test_generic(self):
        relay = self.relay("--offload", "xdp-generic")
        self.assertTrue(relay.find(r"relayed in the kernel on c0, p0 \(generic XDP, by the routing table\)"), relay.output())
        self.all_families(relay)
        relay.stop()

    def test_all_addresses_and_several_workers(self):
        """Bound to all addresses, so that the routing table says from where to relay; workers fill the maps side by side."""
        relay = self.relay("--offload", "auto", "--bind-ip4-addr", "0.0.0.0", "--bind-ip6-addr", "::", workers=3)
        for _ in range(2):
            self.all_families(relay)
        self.assertEqual(relay.metric("relay_kernel_channels"), 8)

    def test_peers_see_what_was_announced(self):
        """Bound to nothing in particular: what leaves by p0 has the announced address all the same, not p0's own, and what is sent there
        comes back; in the kernel as in user space."""
        for mode in ("off", "xdp", "xdp-generic", "tcx"):
            relay = lab.XdpRelay(BINARY, "--offload", mode, *(flag for name in self.interfaces for flag in ("--offload-interface", name)),
                                 "--public-ip4-addr", RELAY[4], "--public-ip6-addr", RELAY[6], v4=None, v6=None,
                                 ports=(50000, 50199), probe=False)
            self.addCleanup(lambda relay=relay: relay.process.poll() is None and relay.stop())
            sizes = [100, 1001]
            wanted = (0, 2 * len(sizes)) if mode == "off" else (2 * len(sizes), 0)
            for client_family in (4, 6):
                client = self.client(relay, client_family)
                for peer_family in (4, 6):
                    with self.subTest(mode=mode, client=client_family, peer=peer_family):
                        self.assertEqual(client.relayed[peer_family][0], RELAY[peer_family])
                        self.assertEqual(self.exchange(relay, client, peer_family, sizes), wanted)
                        self.assertEqual(self.last_source, client.relayed[peer_family])
            relay.stop()

    def test_a_peer_becomes_the_hosts_own(self):
        """An address that comes to the host: a channel to a service on it ends, one to a port for allocations leaves the kernel."""
        relay = self.relay("--offload", "xdp")
        for family, address, bits in ((4, "10.77.2.9", "/24"), (6, "fd77:2::9", "/64")):
            with self.subTest(family=family):
                client = self.client(relay, 4)
                channels = [client.bind((address, port)) for port in (9999, 50150)]
                wait_for(lambda: relay.metric("relay_kernel_channels") == 2, "both channels to be in the kernel")
                left = relay.metric("relay_kernel_channels_left_total", reason="own_address")
                netns.run("ip", "addr", "add", address + bits, "dev", "p0")
                wait_for(lambda: relay.metric("relay_kernel_channels") == 0, "both channels to leave it")
                self.assertEqual(relay.metric("relay_kernel_channels_left_total", reason="own_address") - left, 1)
                with socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as there:
                    there.bind((address, 50150))
                    there.settimeout(DEADLINE)
                    for channel in channels:
                        client.send(channel, bytes([channel & 1]) * 100)
                    self.assertEqual(there.recv(200), bytes([channels[1] & 1]) * 100)
                client.refresh(0)

    def test_small_frames_and_names_of_old(self):
        relay = self.relay(env={"EBPF_OFFLOADING": "c0", "EBPF_ATTACH_MODE": "driver", "EBPF_INT4_ADDR": "10.77.1.1"})
        client = self.client(relay, 4)
        sizes = (0, 1, 2, 13, 14, 17, 18, 19)
        # Up at least 18 bytes, down at least 14, else the frame would be shorter than 60.
        self.assertEqual(self.exchange(relay, client, 4, sizes), (2 + 4, 6 + 4))
        self.assertEqual(relay.passed("short_frame") % 10, 0)

    def test_own_address_to_relay_from(self):
        """Bound to all addresses, and told to relay from the clients' side: user space does not, but the kernel does."""
        relay = self.relay("--offload", "xdp", "--bind-ip4-addr", "0.0.0.0", env={"EBPF_INT4_ADDR": "10.77.1.1"})
        client, peer = self.client(relay, 4), self.peer(4)
        channel, _ = self.meet(client, peer)
        payload = self.payload(client, channel, peer, client.relayed[4], lambda n: bytes([n]) * 100)
        before, elsewhere = relay.in_kernel(), relay.passed("other_destination")
        client.send(channel, payload)
        self.assertEqual(peer.recvfrom(65536), (payload, client.relayed[4]))
        peer.sendto(payload, client.relayed[4])
        self.assertEqual(client.receive(), (channel, payload))
        self.assertEqual(relay.in_kernel() - before, 2)
        # The entry is for that address: what is sent to another one is for user space.
        peer.sendto(payload, ("10.77.2.1", client.relayed[4][1]))
        self.assertEqual(client.receive(), (channel, payload))
        self.assertEqual(relay.passed("other_destination") - elsewhere, 1)

    def test_mtu(self):
        """A client link of 1,400: down, 1,368 bytes fit with IPv4."""
        netns.run("ip", "link", "set", "c0", "mtu", "1400")
        self.client_end.namespace.run("ip", "link", "set", "far0", "mtu", "1400")
        for mode in ("xdp", "xdp-generic", "tcx"):
            with self.subTest(mode=mode):
                relay = self.relay("--offload", mode)
                self.sizes_around_the_mtu(relay)
                relay.stop()

    def sizes_around_the_mtu(self, relay):
        client = self.client(relay, 4)
        peer = self.peer(4)
        channel, source = self.meet(client, peer)
        for size, kernel in ((1367, 1), (1368, 1), (1369, 0), (1460, 0)):
            before, too_large = relay.in_kernel(), relay.passed("mtu")
            payload = self.payload(client, channel, peer, source, lambda _, size=size: os.urandom(size))
            peer.sendto(payload[::-1], source)
            self.assertEqual(client.receive(), (channel, payload[::-1]))
            self.assertEqual((relay.in_kernel() - before, relay.passed("mtu") - too_large), (kernel, 1 - kernel), size)

    def test_mtu_of_a_route(self):
        """What is larger than the route takes is for user space, which makes fragments of it; locked or not, which the routing table makes
        a difference of when it is asked by the program."""
        for lock in ((), ("lock",)):
            for end, device in ((self.client_end, "c0"), (self.peer_end, "p0")):
                for family, bits in ((4, "/32"), (6, "/128")):
                    netns.run("ip", "-%d" % family, "route", "replace", end.address[family] + bits, "dev", device, "mtu", *lock, "1300")
            relay = self.relay("--offload", "xdp")
            for families in ((4, 4), (6, 6)) if lock else ((4, 4), (4, 6), (6, 4), (6, 6)):
                with self.subTest(lock=lock, families=families):
                    self.sizes_around_a_route(relay, *families)
            relay.stop()

    def sizes_around_a_route(self, relay, client_family, peer_family):
        client, peer = self.client(relay, client_family), self.peer(peer_family)
        channel, source = self.meet(client, peer)
        headers = {4: 28, 6: 48}
        for way, largest in (("up", 1300 - headers[peer_family]), ("down", 1300 - headers[client_family] - 4)):
            for size, kernel in ((largest, 1), (largest + 1, 0), (1400, 0)):
                before = relay.in_kernel_and_too_large()
                payload = self.payload(client, channel, peer, source, lambda _, size=size: os.urandom(size))
                if way == "up":
                    client.send(channel, payload)
                    self.assertEqual(peer.recvfrom(65536), (payload, source))
                else:
                    peer.sendto(payload[::-1], source)
                    self.assertEqual(client.receive(), (channel, payload[::-1]))
                after = relay.in_kernel_and_too_large()
                self.assertEqual((after[0] - before[0], after[1] - before[1]), (kernel, 1 - kernel), (way, size))

    def test_runs(self):
        """A sender that hands the kernel 40 datagrams at once: each is relayed."""
        relay = self.relay("--offload", "xdp")
        self.run_of_datagrams(relay)
        self.assertGreaterEqual(relay.in_kernel("peer_to_client"), 40)

    # ---- under load ----

    def test_refresh_and_others_under_load(self):
        self.refresh_and_others_under_load(self.relay("--offload", "xdp"))

    def test_refresh_and_others_under_load_generic(self):
        self.refresh_and_others_under_load(self.relay("--offload", "xdp-generic"))

    def test_rebind_under_load(self):
        self.rebind_under_load(self.relay("--offload", "xdp"))

    def test_rebind_under_load_generic(self):
        self.rebind_under_load(self.relay("--offload", "xdp-generic"))

    # ---- junk ----

    def test_junk(self):
        for family in (4, 6):
            relay = self.relay("--offload", "xdp")
            self.junk(relay, True, family)
            relay.stop()

    # ---- figures ----

    def share_exported(self, collector):
        """The kernel's points of the newest metrics: {name: {direction or reason or None: value}}."""
        found = {}
        for name, metric in (collector.last_metrics() or {}).items():
            for point in (metric.get("sum") or metric.get("gauge") or {"data_points": []})["data_points"]:
                attributes = otlp.attributes(point)
                program = attributes.pop("program", None)
                if attributes.pop("datapath", None) == "kernel" or name.startswith("relay.kernel."):
                    self.assertEqual(program, "xdp")
                    found.setdefault(name, {})[attributes.popitem()[1] if attributes else None] = point["int"]
        return found

    @unittest.skipUnless(otlp, "python3-grpcio is not installed")
    def test_figures(self):
        """What the kernel relays is in OpenTelemetry's metrics, and in the log's line of every ten seconds."""
        sizes = [1280] * 50 + [150] * 7
        with otlp.Collector() as collector:
            relay = self.relay("--offload", "xdp", "--otlp-grpc-endpoint", collector.endpoint, env={"OTEL_METRIC_EXPORT_INTERVAL": "200"})
            self.assertEqual(self.exchange(relay, self.client(relay, 4), 4, sizes), (2 * len(sizes), 0))
            share = {"data_relayed_bytes": {None: relay.metric("relay_data_relayed_bytes_total", datapath="kernel")},
                     "relay.packets": {way: relay.in_kernel(way) for way in ("client_to_peer", "peer_to_client")}}
            share["relay.data.relayed"] = {way: relay.metric("relay_data_relayed_bytes_total", datapath="kernel", direction=way)
                                 for way in share["relay.packets"]}
            for way in share["relay.data.relayed"]:
                self.assertGreaterEqual(share["relay.packets"][way], len(sizes))
                self.assertGreaterEqual(share["relay.data.relayed"][way], sum(sizes))
            share["relay.kernel.channels"] = {None: 1}
            wait_for(lambda: share.items() <= self.share_exported(collector).items(), "the same figures by OTLP")
            exported = self.share_exported(collector)
            self.assertGreater(exported["relay.kernel.passed.packets"]["not_channel_data"], 0)
            self.assertIn("relay.kernel.channels_left", collector.last_metrics())
            (ours, kernels) = collector.last_metrics()["relay.packet.size"]["histogram"]["data_points"]
            self.assertEqual((otlp.attributes(ours), otlp.attributes(kernels)), ({"relay.datapath": "userspace"}, {"relay.datapath": "xdp", "datapath": "kernel", "program": "xdp"}))
            self.assertEqual((kernels["count"], kernels["sum"]),
                             (sum(share["relay.packets"].values()), float(share["data_relayed_bytes"][None])))
            self.assertEqual((kernels["bucket_counts"][12], kernels["bucket_counts"][1]), (2 * 50, 2 * 7))
            wait_for(lambda: watch.bytes_told(relay) >= 1.8 * sum(sizes), "the figures in the log", 2 * DEADLINE)
            self.assertLess(watch.bytes_told(relay), 2.5 * sum(sizes))
            relay.stop()

    # ---- the end ----

    def test_killed(self):
        relay = self.relay("--offload", "xdp")
        client = self.client(relay, 4)
        self.assertEqual(self.exchange(relay, client, 4), (2 * len(SIZES), 0))
        self.assertTrue(self.attached("c0") and self.attached("p0"))
        relay.kill()
        self.assertFalse(self.attached("c0") or self.attached("p0"))
        # The next one begins with nothing: its predecessor's channel is none of its own.
        again = self.relay("--offload", "xdp", "--listen-port", str(relay.port))
        client.send(0x4000, bytes(100))
        wait_for(lambda: self.dropped(again, "unknown_client") == (1, 0), "the old channel's packet to be dropped")
        self.assertEqual((again.in_kernel(), again.metric("relay_kernel_channels")), (0, 0))
        client = self.client(again, 4)
        self.assertEqual(self.exchange(again, client, 4), (2 * len(SIZES), 0))

    def test_interface_goes_away(self):
        relay = self.relay("--offload", "xdp")
        netns.run("ip", "link", "del", "p0")
        wait_for(lambda: relay.in_kernel() or relay.find("p0 is gone, and the program with it"), "the warning")
        self.assertTrue(self.client(relay, 4).relayed)

    # ---- what may be missing: one warning, and user space relays ----

    def test_no_forwarding(self):
        lab.set_forwarding("c0", False)
        lab.set_forwarding("p0", False)
        relay = self.relay("--offload", "xdp")
        self.assertTrue(relay.find(r"sysctl -w net.ipv6.conf.p0.accept_ra=2 net.ipv6.conf.p0.forwarding=1 \(without accept_ra=2 "), relay.output())
        self.expect_user_space(relay, r"sysctl -w net.ipv4.conf.c0.forwarding=1, or, behind a single router, --offload-route swap")
        self.assertGreaterEqual(relay.passed("forwarding_off"), 2 * len(SIZES))
        self.assertTrue(relay.find(r"INFO xdp: The program is attached \(native XDP\); channels are relayed in user space until forwarding is on$"))
        self.assertIsNone(relay.find("Channels are relayed in the kernel"), relay.output())

    def test_forwarding_of_one_family(self):
        lab.set_forwarding("c0", False, families=("ipv4",))
        lab.set_forwarding("p0", False)
        relay = self.relay("--offload", "xdp")
        self.assertTrue(relay.find(r"WARN xdp: net.ipv4.conf.c0.forwarding is off, so no IPv4 routes can be looked up"), relay.output())
        self.assertIsNone(relay.find(r"net.ipv6.conf.c0.forwarding is off"))
        self.assertTrue(relay.find(r"INFO xdp: Channels are relayed in the kernel on c0 \(to IPv6 only\) \(native XDP, by the routing table\)$"),
                        relay.output())
        client = self.client(relay, 4)
        self.assertEqual(self.exchange(relay, client, 4), (0, 2 * len(SIZES)))
        self.assertEqual(self.exchange(relay, client, 6), (len(SIZES), len(SIZES)))

    def test_no_capability(self):
        for kept in ("-all", "-all,+bpf", "-all,+net_admin"):
            with self.subTest(capabilities=kept):
                relay = self.relay("--offload", "xdp", wrapper=lab.unprivileged(kept))
                self.expect_user_space(relay, "Give the relay CAP_BPF and CAP_NET_ADMIN")
                relay.stop()

    def test_two_capabilities_are_enough_and_are_given_up(self):
        relay = self.relay("--offload", "xdp", wrapper=lab.unprivileged("-all,+bpf,+net_admin"))
        self.assertEqual(self.exchange(relay, self.client(relay, 4), 4), (2 * len(SIZES), 0))
        self.expect_no_capabilities(relay)

    def test_program_of_another(self):
        passer = lab.Passer(PASSER, None, "c0")
        self.addCleanup(passer.close)
        relay = self.relay("--offload", "xdp")
        self.expect_user_space(relay, "c0 has another XDP program, which stays")
        self.assertTrue(self.attached("c0"))

    def test_no_such_interface(self):
        self.interfaces = ("nowhere0",)
        self.expect_user_space(self.relay("--offload", "auto"), "There is no interface nowhere0 .*none of its packets is relayed in the kernel")

    def test_veth(self):
        """What it takes at the other end is not to be seen from here: it is said for each, once."""
        warning = r"WARN xdp: (c0|p0) is a veth: .*; --offload tcx needs neither$"
        relay = self.relay("--offload", "xdp")
        self.assertEqual([m.group(1) for m in (re.search(warning, line) for line in list(relay.lines)) if m], ["c0", "p0"], relay.output())
        relay.stop()
        for mode in ("auto", "tcx", "xdp-generic"):
            relay = self.relay("--offload", mode)
            self.assertIsNone(relay.find(" is a veth: what the kernel sends by it is lost"), relay.output())
            relay.stop()

    def test_veth_whose_other_end_has_gro(self):
        """That will do for what goes from one interface to another."""
        for end in (self.client_end, self.peer_end):
            end.passer.close()
            end.passer = None
            end.namespace.run("ethtool", "-K", "far0", "gro", "on")
        relay = self.relay("--offload", "xdp")
        self.assertEqual(self.exchange(relay, self.client(relay, 4), 4), (2 * len(SIZES), 0))

    def test_driver_without_xdp(self):
        self.interfaces = ("lo",)
        relay = self.relay("--offload", "xdp")
        self.expect_user_space(relay, "The driver of lo does not take the program")

    def test_bandwidth_limit(self):
        relay = self.relay("--offload", "xdp", "--max-bandwidth-per-allocation", "100000000",
                           wrapper=lab.unprivileged("-all,+bpf,+net_admin"))
        self.expect_user_space(relay, "can't keep to --max-bandwidth-per-allocation")
        self.expect_no_capabilities(relay)

    def test_mistakes(self):
        done = subprocess.run([BINARY, "--public-ip4-addr", RELAY[4], "--offload", "xdp"], capture_output=True, text=True, check=False,
                              timeout=DEADLINE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--offload: no interface is set", done.stderr)


@unittest.skipIf(MISSING, MISSING)
class Offloading(TwoInterfaces):
    """Senders that leave sums and runs to their device: as the frames are not finished, user space relays, and nothing is lost."""

    offload = True

    def test_native(self):
        relay = self.relay("--offload", "xdp")
        self.all_families(relay, (0, 2 * len(SIZES)))
        self.assertGreaterEqual(relay.passed("unfinished_checksum"), 8 * len(SIZES))

    def test_generic(self):
        relay = self.relay("--offload", "xdp-generic")
        self.all_families(relay, (0, 2 * len(SIZES)))
        self.assertGreaterEqual(relay.passed("unfinished_checksum"), 8 * len(SIZES))

    def test_runs(self):
        for mode in ("xdp", "xdp-generic", "tcx"):
            with self.subTest(mode=mode):
                relay = self.relay("--offload", mode)
                self.run_of_datagrams(relay)
                self.assertEqual(relay.in_kernel(), 0)
                relay.stop()


# What has nothing to do with the senders.
for name in dir(TwoInterfaces):
    if name.startswith("test_") and name not in ("test_native", "test_generic", "test_runs"):
        setattr(Offloading, name, None)


if __name__ == "__main__":
    main()
