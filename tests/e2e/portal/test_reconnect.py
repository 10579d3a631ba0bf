# SPDX-License-Identifier: Apache-2.0
"""A reconnect meets what portals and the proxies before them say in bad moments, for a while each: nobody who is relayed notices, the log says
what it was, and the relay is back within its backoff.

With PORTAL_AWAY_EACH=60 for a minute each, with the timing of real life (the benchmark portal-reconnect does so)."""
import http.client
import os
import re
import socket
import threading
import time
import unittest

from flows import Flow
from harness import PATIENCE, PortalTest, Subject, frame, join_raw, read_frame, read_request, reset, serve_raw, timing, upgrade

AWAY = float(os.environ.get("PORTAL_AWAY_EACH", "0"))  # 0: as long as three tries take


def answer(status, body=b"", headers=""):
    def way(peer):
        read_request(peer)
        peer.sendall(f"HTTP/1.1 {status} x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return way


def close(code):
    def way(peer):
        upgrade(peer)
        read_frame(peer)  # the join
        peer.sendall(frame(8, code.to_bytes(2, "big")))
        read_frame(peer)

    return way


def close_at_once(peer):
    read_request(peer)
    reset(peer)


def phx_error(peer):
    join_raw(peer)
    peer.sendall(frame(1, b'{"topic":"relay","event":"phx_error","payload":{},"ref":null}'))
    read_frame(peer)


# What is met, and what the log says of it.
WAYS = (
    ("403", answer(403, b"Forbidden"), "status 403: Forbidden"),
    ("404", answer(404, b"no route"), "status 404: no route"),
    ("302", answer(302, headers="Location: https://login.example/x\r\n"), "a redirect to .https://login.example/x.; redirects are not"),
    ("502", answer(502, b"Bad Gateway"), "status 502: Bad Gateway"),
    ("500", answer(500), "status 500"),
    ("1012", close(1012), r"the portal restarts and closed the WebSocket \(close 1012\)"),
    ("1013", close(1013), r"the portal is busy and closed the WebSocket until later \(close 1013\)"),
    ("login", answer(200, b"<html>Log in"), "not a portal, but something else .* status 200: <html>Log in"),
    ("reset", close_at_once, "the connection failed: Connection reset"),
    ("phx_error", phx_error, "the portal closed the channel, soon after it had taken the join"),
)


def end_of(peer):
    """Ends a connection that another thread reads."""
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Load(threading.Thread):
    """Relays until it is told to end; each packet has to arrive."""

    def __init__(self, flow):
        super().__init__(daemon=True)
        self.flow, self.done, self.failure = flow, threading.Event(), None
        self.start()

    def run(self):
        rounds = 0
        try:
            while not self.done.wait(0.1 if AWAY else 0.005):
                self.flow.relay(20)
                rounds += 1
                if rounds % 200 == 0:
                    self.flow.keep_alive()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def end(self):
        self.done.set()
        self.join(4 * PATIENCE)
        return self.flow.count


class Scene:
    """A relay that is at work, with a portal that has its bad moment of one kind."""

    def __init__(self, test, name, way, words):
        self.test, self.name, self.way, self.words = test, name, way, words
        self.bad, self.met, self.living, self.lock = False, 0, [], threading.Lock()
        raw = test.raw(self.script)
        quick = timing(backoff_first="20ms", backoff_max="100ms")
        self.subject = test.subject(raw.url, RUST_LOG="info,portal=debug", PORTAL_TIMING="" if AWAY else quick)
        self.health = self.subject.wait(r"Health and metrics on http://(\S+)").group(1)
        self.load = Load(Flow(test, int(self.subject.wait(r"Listening on \S+:(\d+),").group(1))))

    def script(self, portal, peer, number):
        if self.bad:
            self.met += 1
            self.way(peer)
            return
        join_raw(peer)
        with self.lock:
            self.living.append(peer)
        serve_raw(peer)

    def get(self, path):
        connection = http.client.HTTPConnection(self.health, timeout=PATIENCE)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body

    def begin(self):
        self.bad = True
        with self.lock:
            for peer in self.living:
                end_of(peer)
            self.living.clear()
        self.subject.wait(f"WARN.*({self.words}).*{Subject.RETRY}")

    def last(self):
        """It stays bad for its time, or for three tries. That was said once."""
        said, until = len(self.subject.lines), time.monotonic() + AWAY
        self.test.assertEqual(self.get("/healthz")[0], 200)
        if self.way is not phx_error:  # which is a portal that is there, for a moment, so that each time has a line
            self.test.assertEqual(self.get("/readyz")[0], 503)
        while time.monotonic() < until or self.met < 3:
            time.sleep(0.02)
        again = [line for line in self.subject.lines[said:] if line and "WARN" in line and re.search(self.words, line)]
        if self.way is not phx_error:
            self.test.assertEqual(again, [], "said more than once")

    def come_back(self):
        """Returns how long that took: no longer than the relay had said."""
        wait = float(re.findall(r"next try in ([\d.]+) s", self.subject.output())[-1])
        self.bad, start = False, time.monotonic()
        while self.get("/readyz")[0] != 200 or not self.living:  # the log says the same ten times in ten seconds at most
            self.test.assertLess(time.monotonic(), start + wait + PATIENCE, self.subject.output()[-3000:])
            time.sleep(0.02)
        took = time.monotonic() - start
        self.test.assertLess(took, wait + 5)
        return took

    def account(self):
        """All that was sent was relayed. Returns how many packets, both ways."""
        sent = 2 * self.load.end()
        self.test.assertIsNone(self.load.failure)
        _, text = self.get("/metrics")
        relayed = sum(int(n) for n in re.findall(r"^relay_packets_total\{.*\} (\d+)$", text, re.M))
        self.test.assertEqual(relayed, sent)
        self.test.assertGreater(sent, 200)
        for reason, count in re.findall(r'^relay_dropped_packets_total\{reason="(.*)"\} (\d+)$', text, re.M):
            self.test.assertEqual(int(count), 0, reason)
        self.test.assertNotRegex(self.subject.output(), "ERROR|Deleted allocation")
        return sent

    def play(self):
        start = time.monotonic()
        self.begin()
        self.last()
        bad = time.monotonic() - start
        took = self.come_back()
        print(f"{self.name}: {self.met} tries met it in {bad:.1f} s, back after {took:.1f} s, 0 of {self.account()} packets lost")


class Reconnect(PortalTest):
    def one(self, name, way, words, failures):
        try:
            Scene(self, name, way, words).play()
        except BaseException as error:  # pylint: disable=broad-except
            failures.append((name, error))

    def test_nobody_notices(self):
        """One after the other, or, where each takes a minute, all at once."""
        failures = []
        threads = [threading.Thread(target=self.one, args=(*way, failures)) for way in WAYS]
        for thread in threads:
            thread.start()
            if not AWAY:
                thread.join()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    unittest.main()
