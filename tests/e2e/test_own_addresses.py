# SPDX-License-Identifier: Apache-2.0
"""A host of many addresses, all of which the relay's sockets have: no client reaches what else listens there. In a network namespace."""

import sys
import unittest

import netns
from firezone_client import Client, Refused
from harness import Relay, main

BINARY = sys.argv.pop(1)
ADDRESSES = 150


class OwnAddresses(unittest.TestCase):
    def test_each_is_out_of_reach(self):
        netns.run("ip", "link", "set", "lo", "up")
        for n in range(1, ADDRESSES + 1):
            netns.run("ip", "addr", "add", "10.99.0.%d/32" % n, "dev", "lo")
        with Relay(BINARY, "--bind-ip4-addr", "0.0.0.0", "--allow-peer", "10.0.0.0/8", v6=None) as relay:
            with Client(relay.address(), *relay.credentials()) as client:
                client.allocate()
                for n in range(1, ADDRESSES + 1):
                    with self.assertRaises(Refused, msg="10.99.0.%d" % n) as refused:
                        client.bind(("10.99.0.%d" % n, 22))
                    self.assertEqual(refused.exception.code, 403)
                # The next one is another host's, as far as the relay knows.
                client.bind(("10.99.0.%d" % (ADDRESSES + 1), 22))


if __name__ == "__main__":
    MISSING = netns.enter()
    if MISSING:
        print("skipped: " + MISSING)
        sys.exit(77)
    main()
