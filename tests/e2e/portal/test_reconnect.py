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


class Load(threading.Thread):
    """Relays until it is told to end; each packet has to arrive."""

    def __init__(self, flow):
        super().__init__(daemon=True)
        self.flow, self.done, self.failure = flow, threading.Event(), None
        self.start()

    def run(self):
        rounds = 0
        try:
            while not self.done.wait(0.005):
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


class Reconnect(PortalTest):
    def get(self, path):
        connection = http.client.HTTPConnection(self.health, timeout=PATIENCE)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body

    def script(self, portal, peer, number):
        way = self.way
        if way is not None:
            self.met += 1
            way(peer)
            return
        join_raw(peer)
        with self.lock:
            self.living.append(peer)
        serve_raw(peer)

    def cut(self):
        with self.lock:
            for peer in self.living:
                reset_later(peer)
            self.living.clear()

    def meet(self, subject, name, way, words):
        """Returns how long the relay took to come back, and how many tries met it."""
        self.way, self.met = way, 0
        self.cut()
        end = time.monotonic() + AWAY
        subject.wait(f"WARN.*({words}).*{Subject.RETRY}")
        said = len(subject.lines)
        self.assertEqual(self.get("/healthz")[0], 200)
        if way is not phx_error:  # which is a portal that is there, for a moment
            self.assertEqual(self.get("/readyz")[0], 503)
        while time.monotonic() < end or self.met < 3:
            time.sleep(0.02)
        wait = float(re.findall(r"next try in ([\d.]+) s", subject.output())[-1])
        met = self.met
        self.way, start = None, time.monotonic()
        while self.get("/readyz")[0] != 200 or not self.living:  # the log says the same ten times in ten seconds at most
            self.assertLess(time.monotonic(), start + wait + 10, subject.output()[-3000:])
            time.sleep(0.02)
        took = time.monotonic() - start
        self.assertLess(took, wait + 5)
        if way is not phx_error:  # there each one follows a join: a line each, with ever longer waits
            again = [line for line in subject.lines[said:] if line and "WARN" in line and re.search(words, line)]
            self.assertEqual(again, [], "said more than once")
        print(f"{name}: met {met} times in {max(AWAY, 0):.0f} s or more, back after {took:.1f} s")

    def test_nobody_notices(self):
        self.way, self.met, self.living, self.lock = None, 0, [], threading.Lock()
        raw = self.raw(self.script)
        subject = self.subject(
            raw.url, RUST_LOG="info,portal=debug", PORTAL_TIMING="" if AWAY else timing(backoff_first="20ms", backoff_max="100ms")
        )
        self.health = subject.wait(r"Health and metrics on http://(\S+)").group(1)
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        load = Load(Flow(self, port))
        for name, way, words in WAYS:
            with self.subTest(way=name):
                self.meet(subject, name, way, words)
        sent = load.end()
        self.assertIsNone(load.failure)
        status, text = self.get("/metrics")
        relayed = sum(int(n) for n in re.findall(r"^relay_packets_total\{.*\} (\d+)$", text, re.M))
        print(f"{sent} packets there and back: {2 * sent - relayed} of {2 * sent} lost")
        self.assertEqual(relayed, 2 * sent)
        self.assertGreater(sent, 200)
        for reason, count in re.findall(r'^relay_dropped_packets_total\{reason="(.*)"\} (\d+)$', text, re.M):
            self.assertEqual(int(count), 0, reason)
        self.assertNotRegex(subject.output(), "ERROR|Deleted allocation")


def reset_later(peer):
    """Ends a connection that another thread reads."""
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


if __name__ == "__main__":
    unittest.main()
