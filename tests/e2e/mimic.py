# SPDX-License-Identifier: Apache-2.0
"""Runs mimics of real clients, with their peers, against a relay: see mimic_client.c."""

import json
import os
import queue
import subprocess
import threading

BINARY = os.environ.get("MIMIC_CLIENT", "")
PATIENCE = float(os.environ.get("PORTAL_PATIENCE", "30"))


class Mimic:
    KINDS = ("snownet", "pion", "ice4j", "webrtc-rs", "libjuice", "aiortc", "werift")

    def __init__(self, kind, address, credentials, interval_ms=10):
        self.kind = kind
        self.process = subprocess.Popen(
            [BINARY, kind, address[0], str(address[1]), *credentials, str(interval_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = queue.Queue()
        self.reports = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith("{"):
                self.reports.put(json.loads(line))
            else:
                self.events.put(line)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def expect(self, event, timeout=PATIENCE):
        """The next thing that happens to it has to be `event`."""
        try:
            got = self.events.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError("%s: no %r within %g s: %s" % (self.kind, event, timeout, self.report())) from None
        if got != event:
            raise AssertionError("%s: %r instead of %r: %s" % (self.kind, got, event, self.report()))

    def expect_nothing(self):
        if not self.events.empty():
            raise AssertionError("%s: %r" % (self.kind, self.events.get()))

    def report(self):
        """What came and what was lost since the last report, but for the last half second."""
        self.tell("report")
        return self.reports.get(timeout=PATIENCE)

    def count_anew(self):
        """What it has sent until now is in no report: some of it was under way when it moved or gave an allocation up, and the relay
        need not bring that back. Reports alone don't get past it, for they leave the last half second to the next one."""
        self.tell("anew")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.thread.join()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()
