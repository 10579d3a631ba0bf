# SPDX-License-Identifier: Apache-2.0
"""scripts/test-log.py: which tests are tried again, and what is told of those that fail."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = sys.argv.pop(1)
TESTS = [
    {"name": "e2e-bench", "suite": ["relay:e2e"]},
    {"name": "bench", "suite": ["relay:unit"]},
    {"name": "both", "suite": ["relay:abi", "relay:xdp"]},
    {"name": "twice", "suite": ["relay:unit"]},
    {"name": "twice", "suite": ["relay:bench-smoke"]},
]


class TestLog(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def log(self, *results):
        return self.write("log.json", "".join(json.dumps({"duration": 1.0, "stdout": "", **result}) + "\n" for result in results))

    def script(self, *args):
        return subprocess.run([sys.executable, SCRIPT, *args], stdout=subprocess.PIPE, text=True, check=False)

    def failed(self, *results):
        done = self.script("failed", self.log(*results), self.write("tests.json", json.dumps(TESTS)))
        self.assertEqual(done.returncode, 0)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def test_what_waits_for_deadlines_is_tried_again(self):
        for name, expected in (("relay:e2e / e2e-bench", ["again", "relay:e2e", "e2e-bench"]),
                               ("e2e - relay:e2e-bench", ["again", "relay:e2e", "e2e-bench"]),
                               ("relay:unit / bench", ["no", "relay:unit", "bench"]),
                               ("relay:abi+xdp / both", ["again", "relay:xdp", "both"]),
                               ("relay:unit / twice", ["no", "relay:unit", "twice"]),
                               ("relay:bench-smoke / twice", ["again", "relay:bench-smoke", "twice"]),
                               ("of another kind", ["no", "-", "of another kind"])):
            for result in ("FAIL", "TIMEOUT", "ERROR"):
                self.assertEqual(self.failed({"name": name, "result": result}), [expected])

    def test_what_passes_or_is_skipped_is_not(self):
        self.assertEqual(self.failed({"name": "relay:e2e / e2e-bench", "result": "OK"}, {"name": "relay:unit / bench", "result": "SKIP"}), [])

    def test_what_a_sanitizer_reports_is_never_tried_again(self):
        for report in ("==7==ERROR: AddressSanitizer: heap-use-after-free", "WARNING: ThreadSanitizer: data race",
                       "==7==ERROR: LeakSanitizer: detected memory leaks", "a.c:1:2: runtime error: signed integer overflow",
                       "UndefinedBehaviorSanitizer:DEADLYSIGNAL"):
            for stream in ("stdout", "stderr"):
                failed = self.failed({"name": "relay:e2e / e2e-bench", "result": "FAIL", stream: "it said: " + report + "\nmore"})
                self.assertEqual(failed, [["no", "relay:e2e", "e2e-bench"]])

    def test_crashes_are_never_tried_again(self):
        for told in ("firezone-relay: ../lib/turn/channel.c:12: fzri_channel_end: Assertion `c->number' failed.",
                     "Assertion failed: c->number (../lib/turn/channel.c: fzri_channel_end: 12)",
                     "*** stack smashing detected ***: terminated", "free(): double free detected in tcache 2",
                     "double free or corruption (!prev)", "malloc(): corrupted top size", "corrupted size vs. prev_size",
                     "free(): invalid pointer", "munmap_chunk(): invalid pointer", "AssertionError: exit status -11",
                     "AssertionError: the relay did not start: it ended with status -6", "AssertionError: -11 != 0"):
            for result in ("FAIL", "TIMEOUT"):
                failed = self.failed({"name": "relay:e2e / e2e-bench", "result": result, "returncode": 1, "stdout": "it said: " + told + "\nmore"})
                self.assertEqual(failed, [["no", "relay:e2e", "e2e-bench"]], told)

    def test_a_test_that_fails_by_itself_is(self):
        for told in ("AssertionError: timed out waiting for an answer", "AssertionError: False is not true : \"Assertion\"",
                     "    raise AssertionError(\"the relay does not end\")", "AssertionError: exit status 1", "AssertionError: -1 != 0",
                     "AssertionError: 'x' != 'y'\nFAILED (failures=1)"):
            failed = self.failed({"name": "relay:e2e / e2e-bench", "result": "FAIL", "returncode": 1, "stderr": told})
            self.assertEqual(failed, [["again", "relay:e2e", "e2e-bench"]], told)

    def test_a_test_that_died_by_a_signal_is_not(self):
        """But for one that meson has killed, since its time was up."""
        for result, status, expected in (("FAIL", -11, "no"), ("ERROR", -6, "no"), ("FAIL", 1, "again"), ("TIMEOUT", -15, "again"), ("TIMEOUT", -9, "again")):
            self.assertEqual(self.failed({"name": "relay:e2e / e2e-bench", "result": result, "returncode": status}),
                             [[expected, "relay:e2e", "e2e-bench"]], (result, status))

    def test_passed(self):
        for results, status in ((["OK"], 0), (["FAIL"], 1), (["SKIP"], 1), (["TIMEOUT"], 1), ([], 1), (["OK", "OK"], 1)):
            log = self.log(*({"name": "relay:e2e / e2e-bench", "result": result} for result in results))
            self.assertEqual(self.script("passed", log).returncode, status, results)

    def test_what_is_told_is_the_end_and_what_failed(self):
        lines = ["first", "FAIL: test_x (Y)"] + ["%d " % i + 500 * "x" for i in range(1000)] + ["AssertionError: 1 != 2"]
        log = self.log({"name": "relay:e2e / e2e-bench", "result": "FAIL", "stderr": "\n".join(lines)})
        told = self.script("tell", log, "e2e-bench").stdout.splitlines()
        self.assertEqual([line.strip() for line in told[:3]], ["FAIL after 1 s", "FAIL: test_x (Y)", "..."])
        self.assertEqual(told[-1].strip(), "AssertionError: 1 != 2")
        self.assertEqual(len(told), 3 + 15)
        self.assertLess(max(map(len, told)), 310)
        self.assertEqual(self.script("tell", log, "bench").stdout, "")

    def test_a_crash_is_told_wherever_it_is(self):
        line = "firezone-relay: a.c:12: f: Assertion `x' failed."
        log = self.log({"name": "relay:e2e / e2e-bench", "result": "FAIL", "stderr": "\n".join([line] + ["more"] * 100)})
        self.assertIn(line, [told.strip() for told in self.script("tell", log, "e2e-bench").stdout.splitlines()])


if __name__ == "__main__":
    unittest.main()
