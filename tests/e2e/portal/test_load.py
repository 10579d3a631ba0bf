# SPDX-License-Identifier: Apache-2.0
"""What a hostile portal and many reconnects cost. PORTAL_RECONNECTS sets how many (10000 takes half a minute)."""
import http.client
import json
import os
import re
import socket
import threading
import time
import unittest

from harness import (
    SANITIZED,
    Certs,
    PortalTest,
    Subject,
    frame,
    join_raw,
    push,
    read_frame,
    reply,
    timing,
    upgrade,
)

RECONNECTS = int(os.environ.get("PORTAL_RECONNECTS", "100" if SANITIZED else "500"))


def memory(pid, field):
    """A field of /proc/PID/status, in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(rf"^{field}:\s+(\d+)", status.read(), re.M).group(1))


def descriptors(health):
    """How many the process has open, as it says itself: it can't be dumped, so that only root sees them from outside."""
    connection = http.client.HTTPConnection(health, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return int(re.search(r"^process_open_fds (\d+)", text, re.M).group(1))


def cpu_seconds(pid):
    """Of all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


class Reconnects(PortalTest):
    def check(self, portal, url, count, connected, **env):
        subject = self.subject(url, LOG_LEVEL="info", RUST_LOG="info,portal=warn", **env)
        pid = subject.process.pid
        health = subject.wait(r"Health and metrics on http://(\S+)").group(1)
        patience = max(120, count / 10)
        wait_until(lambda: connected() > count // 5, patience)
        memory_before, fds_before = memory(pid, "VmRSS"), descriptors(health)
        wait_until(lambda: connected() > count + count // 5, patience)
        memory_after, fds_after = memory(pid, "VmRSS"), descriptors(health)
        self.assertIsNone(subject.process.poll())
        self.assertLess(fds_after, fds_before + 4)  # those of an attempt
        print(f"{count} reconnects: RSS {memory_before} -> {memory_after} KiB, {fds_before} -> {fds_after} descriptors")
        if not SANITIZED:
            self.assertLess(memory_after - memory_before, 512)

    def test_plain(self):
        def script(portal, peer, number):
            join_raw(peer)

        portal = self.raw(script)
        quick = timing(backoff_first="1ms", backoff_max="2ms")
        self.check(portal, portal.url, RECONNECTS, lambda: portal.count, PORTAL_TIMING=quick)

    def test_tls(self):
        async def script(portal, connection, number):
            await portal.join(connection)
            await connection.close()

        portal = self.portal(script, tls="good")
        quick = timing(backoff_first="1ms", backoff_max="2ms")
        self.check(
            portal,
            portal.url.replace("127.0.0.1", "localhost"),
            RECONNECTS // 5,
            lambda: portal.count,
            PORTAL_TIMING=quick,
            SSL_CERT_FILE=Certs.path("ca.pem"),
        )


def wait_until(condition, timeout=120):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited too long")
        time.sleep(0.01)


class Hostile(PortalTest):
    def flood(self, chunk, seconds=2.0):
        """Sends |chunk| again and again as fast as it is taken. Returns the CPU share of the process meanwhile."""
        begin, gone = threading.Event(), threading.Event()

        def script(portal, peer, number):
            join_raw(peer)
            if number > 1:
                portal.stopping.wait(60)
                return
            begin.wait(60)
            try:
                while not portal.stopping.is_set():
                    peer.sendall(chunk)
            finally:
                gone.set()

        portal = self.raw(script)
        subject = self.subject(portal.url, LOG_LEVEL="info", RUST_LOG="info")
        subject.wait("Listening on")
        pid = subject.process.pid
        memory_before, cpu_before, start = memory(pid, "VmRSS"), cpu_seconds(pid), time.monotonic()
        begin.set()
        time.sleep(seconds)
        share = (cpu_seconds(pid) - cpu_before) / (time.monotonic() - start)
        growth = memory(pid, "VmHWM") - memory_before
        print(f"{self.id().rpartition('.')[2]}: {100 * share:.1f} % of a CPU, {growth} KiB")
        self.assertIsNone(subject.process.poll())
        if not SANITIZED:
            self.assertLess(growth, 1024)
            # All of it is the main thread's. Were there one CPU alone, the workers would lose no more than this.
            self.assertLess(share, 0.02)

    def test_empty_messages(self):
        self.flood(frame(1) * 4096)

    def test_malformed_messages(self):
        self.flood(frame(1, b"[" * 60000))

    def test_costly_messages(self):
        self.flood(frame(1, json.dumps({"event": "x", "list": [{"a": [0] * 10}] * 180}).encode()) * 4)

    def test_unknown_events(self):
        self.flood(frame(1, push("no_such_thing").encode()) * 100)

    def test_pings(self):
        self.flood(frame(9) * 4096)

    def test_one_endless_message(self):
        self.flood(frame(0, b"", fin=False) * 4096)

    def test_tiny_fragments(self):
        self.flood(frame(1, b"", fin=False) + frame(0, b"x", fin=False) * 60000 + frame(0, b"", fin=True))

    def test_largest_messages(self):
        self.flood(frame(1, b"x" * 65536))

    def test_random_bytes(self):
        self.flood(os.urandom(65536))

    def test_nobody_reads_the_pongs(self):
        """The peer sends pings and never reads: the relay stops reading, notices by its heartbeat, and comes back."""

        def script(portal, peer, number):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            join_raw(peer)
            if number > 1:
                portal.stopping.wait(60)
                return
            while True:
                peer.sendall(frame(9, b"x" * 125) * 100)

        portal = self.raw(script)
        subject = self.subject(portal.url, LOG_LEVEL="info", PORTAL_TIMING=timing(heartbeat="500ms"))
        subject.wait(Subject.CONNECTED)
        subject.wait(Subject.RETRY)
        subject.wait(Subject.CONNECTED)


if __name__ == "__main__":
    unittest.main()
