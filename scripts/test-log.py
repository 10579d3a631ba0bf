#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What test.sh has to know of meson's logs (meson-logs/testlog.json: one test a line).

    test-log.py failed LOG TESTS     each test that failed or timed out, a line: "again" or "no", suite, name. "again": it may be tried
                                     once more. TESTS is what "meson introspect --tests" prints
    test-log.py passed LOG           status 0 if one test was run, and passed
    test-log.py tell LOG NAME        the end of the log of this test, in a few lines

A test may be tried again if it waits for deadlines while others run beside it, and nothing crashed: what a sanitizer, an assertion or the
C library's allocator found is there, whether it shows the next time or not."""

import json
import re
import sys

# End to end: these tests drive real sockets, programs and kernels against deadlines. Others do not depend on the time of day.
AGAIN = ("e2e", "clients", "xdp", "bench-smoke")
SANITIZERS = re.compile("AddressSanitizer|LeakSanitizer|ThreadSanitizer|MemorySanitizer|UndefinedBehavior|runtime error:")
# What a program of ours says or leaves that died of a fault; Python's own "AssertionError: " of a test that fails is none of it.
# The last is a test that compared the status of a relay that it had stopped.
CRASHES = re.compile(SANITIZERS.pattern + r"|Assertion (failed:|.* failed)|stack smashing|double free|corrupted|"
                     r"(free|realloc|munmap_chunk)\(\): invalid|(exit|ended with) status -\d+|AssertionError: -(4|5|6|7|8|11|31) != 0\b")
TOLD = re.compile("(FAIL|ERROR): ")
LINES, FIRST, WIDTH = 15, 5, 300


def read(log):
    with open(log, encoding="utf-8", errors="replace") as file:
        return [json.loads(line) for line in file if line.strip()]


def output(result):
    return (result.get("stdout") or "") + (result.get("stderr") or "")


def crashed(result):
    """A test that meson ended, for its time was up, died by a signal, too."""
    return CRASHES.search(output(result)) or (result["result"] != "TIMEOUT" and (result.get("returncode") or 0) < 0)


def is_named(result, name):
    """Meson puts project and suites before the name, or behind the suites, depending on its release."""
    return re.search("(^|[ /:])" + re.escape(name) + "$", result["name"]) is not None


def described(result, tests):
    """Suite and name of a result; a test may be in several suites, and several tests of different suites may have one name."""
    words = re.split("[ :+/]", result["name"])
    found = [(suite, test["name"]) for test in tests if is_named(result, test["name"]) for suite in test["suite"]
             if suite.split(":")[-1] in words]
    return max(found, key=lambda one: (len(one[1]), one[0].split(":")[-1] in AGAIN), default=("", result["name"]))


def failed(log, tests):
    with open(tests, encoding="utf-8") as file:
        tests = json.load(file)
    for result in read(log):
        if result["result"] not in ("FAIL", "TIMEOUT", "ERROR"):
            continue
        suite, name = described(result, tests)
        again = suite.split(":")[-1] in AGAIN and not crashed(result)
        print("again" if again else "no", suite or "-", name, sep="\t")


def passed(log):
    return [result["result"] for result in read(log)] == ["OK"]


def tell(log, name):
    """What names a test case or a crash is told wherever it is; of the rest the end."""
    for result in read(log):
        if not is_named(result, name):
            continue
        lines = [line[:WIDTH] for line in output(result).splitlines() if line.strip()]
        heads = [line for line in lines[:-LINES] if TOLD.match(line) or CRASHES.search(line)][:FIRST]
        took = "%s after %.0f s" % (result["result"], result["duration"])
        for line in [took] + heads + ["..."] * (len(lines) > LINES) + lines[-LINES:]:
            print("    " + line)


def main():
    verb, *rest = sys.argv[1:]
    return 1 if {"failed": failed, "passed": passed, "tell": tell}[verb](*rest) is False else 0


if __name__ == "__main__":
    sys.exit(main())
