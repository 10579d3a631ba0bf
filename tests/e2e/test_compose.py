# SPDX-License-Identifier: Apache-2.0
"""The networks of Firezone's own compose file, 203.0.113.0/24 and 203:0:113::/64: a documentation prefix, and one that IANA has given to
nobody. Clients and gateways there reach each other through a relay there, without any rule. In network namespaces."""

import sys
import unittest

import netns
from firezone_client import Client, Refused
from harness import Relay, main, wait_for

BINARY = sys.argv.pop(1)
RELAY4, RELAY6 = "203.0.113.30", "203:0:113::30"
GATEWAY4, GATEWAY6 = "203.0.113.100", "203:0:113::100"


class Compose(unittest.TestCase):
    def setUp(self):
        netns.run("ip", "link", "set", "lo", "up")
        self.far = netns.Namespace()
        self.addCleanup(self.far.close)
        netns.link("near0", [RELAY4 + "/24", RELAY6 + "/64"], self.far, [GATEWAY4 + "/24", GATEWAY6 + "/64"])

    def test_gateways_are_in_reach(self):
        with Relay(BINARY, v4=RELAY4, v6=RELAY6, env={"RUST_LOG": "debug"}) as relay:
            with self.far.inside():
                client = Client(relay.address(), *relay.credentials())
            with client:
                client.allocate()
                for host, relayed in ((GATEWAY4, client.relayed[4]), (GATEWAY6, client.relayed[6])):
                    with self.far.udp_socket(host) as gateway:
                        gateway.settimeout(20)
                        channel = client.bind(gateway.getsockname()[:2])
                        client.send(channel, b"there")
                        data, source = gateway.recvfrom(100)
                        self.assertEqual((data, source[:2]), (b"there", relayed))
                        gateway.sendto(b"and back", relayed)
                        self.assertEqual(client.receive(), (channel, b"and back"))
                # A host candidate of a network behind: refused, and the log says how to reach it.
                with self.assertRaises(Refused) as refused:
                    client.bind(("172.28.0.100", 52625))
                self.assertEqual(refused.exception.code, 403)
                wait_for(lambda: relay.find(r"peer=172\.28\.0\.100:52625 .*--allow-peer 172\.28\.0\.100 would open it"), "the line")


if __name__ == "__main__":
    MISSING = netns.enter()
    if MISSING:
        print("skipped: " + MISSING)
        sys.exit(77)
    main()
