# SPDX-License-Identifier: Apache-2.0
"""Users bind as many channels as they can: the relay's memory stays within what --max-channels stands for, and it says so."""

import re
import sys
import unittest
import urllib.request

from firezone_client import Client, Refused
from harness import Relay, is_sanitized, main

BINARY = sys.argv.pop(1)
LIMIT, EACH = 8000, 3000
CHANNEL_BYTES = 256


def resident(relay):
    with open("/proc/%d/statm" % relay.process.pid, encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096


def metrics(relay):
    where = relay.find(r"Health and metrics on (\S+)").group(1)
    with urllib.request.urlopen(where + "/metrics", timeout=20) as answer:
        return answer.read().decode()


class MemoryBound(unittest.TestCase):
    def test_channels_of_all_clients(self):
        with Relay(BINARY, "--max-channels", str(LIMIT), workers=2) as relay:
            before, bound, refused = resident(relay), 0, 0
            for _ in range(4):
                with Client(relay.address(), *relay.credentials()) as client:
                    client.allocate()
                    for n in range(EACH):
                        try:
                            client.bind(("127.0.0.1", 20000 + n))
                            bound += 1
                        except Refused as error:
                            self.assertEqual(error.code, 508)
                            refused += 1
                            if refused >= 200:
                                break
            self.assertEqual(bound, LIMIT)
            # A few allocations and what the C library keeps come on top.
            if not is_sanitized(BINARY):
                self.assertLess(resident(relay) - before, LIMIT * CHANNEL_BYTES + (1 << 20))
            self.assertTrue(relay.told("WARN.*as many channels as --max-channels allows"))
            self.assertEqual(len(re.findall("WARN.*as many channels as --max-channels allows", relay.output())), 1)
            self.assertRegex(metrics(relay), r'relay_memory_refusals_total\{reason="max_channels"\} %d\n' % refused)
            self.assertTrue(relay.told(r"Room for %d channels at most \(--max-channels\)" % LIMIT), relay.output())

    def test_few_ports_are_the_tighter_bound(self):
        with Relay(BINARY, "--max-channels-per-allocation", "100", port_count=11) as relay:
            self.assertTrue(relay.told(r"Room for 1100 channels at most \(ports, --max-channels-per-allocation\)"), relay.output())
        with Relay(BINARY, "--max-channels-per-allocation", "100", "--max-permissions-per-allocation", "10", "--relay-mode", "full", port_count=11) as relay:
            self.assertTrue(relay.told(r"Room for 1210 channels and permissions at most \(ports, --max-channels-per-allocation, "
                                       r"--max-permissions-per-allocation\)"), relay.output())


if __name__ == "__main__":
    main()
