# SPDX-License-Identifier: Apache-2.0
"""The kernel data path end to end, everybody behind one interface of the relay: a router, or a switch."""

import unittest

from case import MISSING, PASSER, RELAY, SIZES, Case

import lab
import netns
from firezone_client import Client
from harness import main


@unittest.skipIf(MISSING, MISSING)
class BehindRouter(Case):
    """One interface, and everybody behind the router at its other end."""

    interfaces = ("r0",)

    def setUp(self):
        super().setUp()
        self.router = netns.Namespace()
        lab.without_dad(self.router.run)
        self.addCleanup(self.router.close)
        netns.run("ip", "link", "add", "r0", "type", "veth", "peer", "name", "far0", "netns", str(self.router.pid))
        self.cleaned_link("r0")
        for family, near, far in (("-4", "10.77.1.1/24", "10.77.1.254/24"), ("-6", "fd77:1::1/64", "fd77:1::fe/64")):
            netns.run("ip", "addr", "add", near, "dev", "r0", *(["nodad"] if family == "-6" else []))
            self.router.run("ip", "addr", "add", far, "dev", "far0", *(["nodad"] if family == "-6" else []))
        netns.run("ip", "link", "set", "r0", "up")
        self.router.run("ip", "link", "set", "far0", "up")
        netns.run("ip", "route", "add", "default", "via", "10.77.1.254")
        netns.run("ip", "-6", "route", "add", "default", "via", "fd77:1::fe")
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        passer = lab.Passer(PASSER, self.router, "far0")
        self.addCleanup(passer.close)
        self.client_end = self.end("rc", "10.77.3", "fd77:3:")
        self.peer_end = self.end("rp", "10.77.4", "fd77:4:")

    def end(self, name, net4, net6):
        end = lab.End(PASSER)
        self.addCleanup(end.close)
        self.router.run("ip", "link", "add", name, "type", "veth", "peer", "name", "far0", "netns", str(end.namespace.pid))
        for namespace, device, host in ((self.router, name, "1"), (end.namespace, "far0", "2")):
            namespace.run("ip", "addr", "add", "%s.%s/24" % (net4, host), "dev", device)
            namespace.run("ip", "addr", "add", "%s:%s/64" % (net6, host), "dev", device, "nodad")
            namespace.run("ip", "link", "set", device, "up")
        end.namespace.run("ip", "route", "add", "default", "via", net4 + ".1")
        end.namespace.run("ip", "-6", "route", "add", "default", "via", net6 + ":1")
        end.start(["%s.2/24" % net4, "%s:2/64" % net6])
        return end

    def run_with(self, *args):
        relay = self.relay(*args)
        self.all_families(relay)
        # Two routers and the relay on the way, each of which takes one off.
        hops = {frame.ttl for frame in self.peer_end.capture.frames if len(frame.payload) in SIZES}
        self.assertEqual(hops, {61})
        relay.stop()

    def test_swap(self):
        self.run_with("--offload", "xdp", "--offload-route", "swap")

    def test_swap_generic(self):
        self.run_with("--offload", "xdp-generic", "--offload-route", "swap")

    def test_swap_and_a_client_on_the_relays_own_host(self):
        """What comes for it from a peer has to stay here, not to go back to the router."""
        relay = self.relay("--offload", "xdp", "--offload-route", "swap")
        for family in (4, 6):
            with Client((RELAY[family], relay.port), *relay.credentials()) as client:
                client.allocate()
                self.assertEqual(self.exchange(relay, client, family), (0, 2 * len(SIZES)))
        self.assertEqual(relay.metric("relay_kernel_channels"), 0)

    def test_swap_tcx(self):
        self.run_with("--offload", "tcx", "--offload-route", "swap")

    def test_by_the_routing_table_tcx(self):
        lab.set_forwarding("r0")
        self.run_with("--offload", "tcx")

    def test_by_the_routing_table(self):
        lab.set_forwarding("r0")
        self.run_with("--offload", "xdp")

    def test_by_the_routing_table_generic(self):
        lab.set_forwarding("r0")
        self.run_with("--offload", "xdp-generic")


@unittest.skipIf(MISSING, MISSING)
class Bridge(Case):
    """Relay, clients and peers on one segment: each packet has to go to another station than it came from."""

    interfaces = ("r0",)

    def setUp(self):
        super().setUp()
        self.switch = netns.Namespace()
        lab.without_dad(self.switch.run)
        self.addCleanup(self.switch.close)
        self.switch.run("ip", "link", "add", "br0", "type", "bridge")
        self.switch.run("ip", "link", "set", "br0", "up")
        netns.run("ip", "link", "add", "r0", "type", "veth", "peer", "name", "far0", "netns", str(self.switch.pid))
        self.cleaned_link("r0")
        netns.run("ip", "addr", "add", "10.77.1.1/24", "dev", "r0")
        netns.run("ip", "addr", "add", "fd77:1::1/64", "dev", "r0", "nodad")
        netns.run("ip", "link", "set", "r0", "up")
        lab.set_forwarding("r0")
        self.switch.run("ip", "link", "set", "far0", "master", "br0", "up")
        passer = lab.Passer(PASSER, self.switch, "far0")
        self.addCleanup(passer.close)
        self.client_end = self.end("sc", "2")
        self.peer_end = self.end("sp", "3")

    def end(self, name, host):
        end = lab.End(PASSER)
        self.addCleanup(end.close)
        self.switch.run("ip", "link", "add", name, "type", "veth", "peer", "name", "far0", "netns", str(end.namespace.pid))
        self.switch.run("ip", "link", "set", name, "master", "br0", "up")
        addresses = ("10.77.1.%s/24" % host, "fd77:1::%s/64" % host)
        for address in addresses:
            end.namespace.run("ip", "addr", "add", address, "dev", "far0", *(["nodad"] if ":" in address else []))
        end.namespace.run("ip", "link", "set", "far0", "up")
        end.start(addresses)
        return end

    def test_native(self):
        relay = self.relay("--offload", "xdp")
        self.all_families(relay)
        relay.stop()

    def test_tcx(self):
        relay = self.relay("--offload", "tcx")
        self.all_families(relay)
        relay.stop()

    def test_generic(self):
        relay = self.relay("--offload", "xdp-generic")
        self.all_families(relay)
        relay.stop()


if __name__ == "__main__":
    main()
