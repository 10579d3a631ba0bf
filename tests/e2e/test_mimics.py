#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mimics of real clients against the built relay: what can happen to a call, and what it may cost.

By hand, each of them for 70 minutes, all at once, with a line for each and minute that says what was lost:

    MIMIC_SECONDS=4200 tests/e2e/test_mimics.py build/cli/firezone-relay build/tests/e2e/mimic_client Calls.test_each_of_them
"""

import os
import signal
import sys
import time
import unittest

import mimic
from harness import Relay, main, wait_for
from mimic import Mimic

BINARY, mimic.BINARY = sys.argv[1:3]
del sys.argv[1:3]
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
SECONDS = float(os.environ.get("MIMIC_SECONDS", "3"))


def watch(seconds):
    """Lets the calls go on. Not a wait for something: it is the time that is tried."""
    time.sleep(seconds)


def errors(report):
    return sum(count for code, count in report["codes"].items() if code != "0")


class Calls(unittest.TestCase):
    def relay(self, *args, **more):
        relay = Relay(BINARY, *args, workers=WORKERS, **more)
        self.addCleanup(relay.kill)
        return relay

    def call(self, relay, kind, ready=True, address=None, **credentials):
        call = Mimic(kind, address or relay.address(), relay.credentials(**credentials))
        self.addCleanup(call.close)
        if ready:
            call.expect("ready")
        return call

    def expect_data(self, call, least=20):
        """The next packets arrive, and all of those before that no report told of."""
        counts = {"arrived": 0, "lost": 0}

        def enough():
            report = call.report()
            for name in counts:
                counts[name] += report[name]
            return counts["arrived"] >= least
        wait_for(enough, "data of " + call.kind)
        self.assertEqual(counts["lost"], 0, (call.kind, counts))
        call.expect_nothing()
        return counts

    def test_firezone_behind_a_nat_that_gives_another_port_and_the_first_one_back(self):
        relay = self.relay()
        call = self.call(relay, "snownet")
        neighbour = self.call(relay, "snownet")
        self.expect_data(call)
        longest = 0
        for flip in range(20):
            start = time.monotonic()
            call.tell("flip")
            call.tell("refresh")
            call.expect("ready", 5)
            longest = max(longest, time.monotonic() - start)
            report = call.report()
            self.assertEqual(report["resets"], flip + 1)
            self.assertEqual(report["allocations"], flip + 2)
        self.assertLess(longest, 2)
        call.count_anew()
        self.expect_data(call)
        self.expect_data(neighbour)
        print("20 flips: all channels again after at most %.1f ms" % (longest * 1000))
        relay.stop()

    def test_firezone_behind_such_a_nat_when_the_relay_is_full(self):
        """What it has no longer makes room for what it gets: it is not told 508, which it would take for the end."""
        port, _ = Relay.port_range(1)
        relay = self.relay(ports=(port, port))
        call = self.call(relay, "snownet")
        for flip in range(4):
            call.tell("flip")
            call.tell("refresh")
            call.expect("ready")
            report = call.report()
            self.assertEqual(report["allocations"], flip + 2)
            self.assertNotIn("508", report["codes"])
            call.count_anew()
            self.expect_data(call)
        relay.stop()

    def test_firezone_when_its_credentials_run_out(self):
        relay = self.relay()
        call = self.call(relay, "snownet", ttl=2)

        def over():
            call.tell("refresh")
            call.report()
            return not call.events.empty()
        wait_for(over, "the credentials to run out")
        call.expect("needs credentials")
        self.expect_data(call)  # it goes on meanwhile
        start = time.monotonic()
        call.tell("login %s %s" % relay.credentials())
        call.expect("ready")
        seconds = time.monotonic() - start
        counts = {"arrived": 0, "lost": 0}

        def judged():
            """A report leaves the last half second, 50 rounds of two packets, to the next one."""
            report = call.report()
            for name in counts:
                counts[name] += report[name]
            return counts["arrived"] >= 200
        wait_for(judged, "what was sent before it logged in anew to be judged")
        # What was under way when the allocation ended; the slower the machine, the more that is. It sends nothing until it is ready.
        self.assertLessEqual(counts["lost"], 8 + 200 * seconds)
        call.count_anew()
        self.expect_data(call)
        relay.stop()

    def test_a_relay_that_is_stopped_for_three_seconds(self):
        relay = self.relay()
        calls = [self.call(relay, kind) for kind in ("snownet", "pion")]
        for call in calls:
            self.expect_data(call)
        relay.process.send_signal(signal.SIGSTOP)
        try:
            # What they ask now they ask again and again.
            for call in calls:
                call.tell("refresh")
            late = self.call(relay, "snownet", ready=False)
            watch(3)
        finally:
            relay.process.send_signal(signal.SIGCONT)
        for call in calls:
            counts = self.expect_data(call, least=800)
            print("%s: %d packets, none lost" % (call.kind, counts["arrived"]))
        late.expect("ready")
        for call in (*calls, late):
            self.expect_data(call)
            report = call.report()
            self.assertEqual((report["allocations"], report["resets"]), (1, 0))
            self.assertEqual(set(report["codes"]) - {"0", "401"}, set(), call.kind)
        relay.stop()

    def test_calls_go_on_while_the_relay_drains(self):
        relay = self.relay()
        call = self.call(relay, "snownet")
        relay.process.send_signal(signal.SIGTERM)
        wait_for(lambda: relay.find("no new allocations"), "the relay to drain")
        call.tell("refresh")
        self.expect_data(call)
        late = self.call(relay, "snownet", ready=False)
        self.expect_data(call, least=200)
        self.assertTrue(late.events.empty() or late.events.get().startswith("ended"), "a new call was taken")
        self.assertEqual(late.report()["allocations"], 0)
        relay.stop()

    def test_clients_that_ask_without_end_after_a_restart(self):
        """ice4j does, for it takes a signed 438 for a forgery. Its neighbours have the same /24."""
        relay = self.relay(ports=Relay.port_range(200))
        call = self.call(relay, "ice4j")
        address = relay.address()
        relay.kill()
        relay = self.relay("--listen-port", str(address[1]), ports=(relay.lowest, relay.highest))
        call.tell("refresh")
        start = time.monotonic()
        wait_for(lambda: errors(call.report()) >= 15, "it to ask again and again")
        neighbour = self.call(relay, "snownet")
        self.expect_data(neighbour, least=300)
        report = call.report()
        seconds = time.monotonic() - start
        self.assertLessEqual(errors(report), 10 * seconds + 2)
        relay.stop()

    def test_each_of_them(self):
        """Credentials run out after 100 s, and an allocation may outlive them."""
        relay = self.relay("--outlive-credentials")
        calls = [self.call(relay, kind, ttl=100) for kind in Mimic.KINDS]
        end, lost = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            watch(min(60, SECONDS))
            for call in calls:
                report = call.report()
                lost += report["lost"]
                print("%6.0f s  %-9s %d arrived, %d lost, longest gap %.0f ms, %s" % (
                    SECONDS - max(0, end - time.monotonic()), call.kind, report["arrived"], report["lost"],
                    report["longest_gap_ms"], report["codes"]), flush=True)
        self.assertEqual(lost, 0)
        for call in calls:
            self.expect_data(call)
            report = call.report()
            self.assertEqual(report["allocations"], 1, call.kind)
            self.assertEqual(set(report["codes"]) - {"0", "401"}, set(), call.kind)
        relay.stop()


if __name__ == "__main__":
    main()
