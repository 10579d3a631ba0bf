# SPDX-License-Identifier: Apache-2.0
"""The portal goes away and comes back while the relay is at work: who is relayed does not notice."""
import ctypes
import errno
import http.client
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

from flows import Client, Flow, Refused, credentials
from harness import (
    PATIENCE,
    Portal,
    PortalTest,
    Subject,
    frame,
    free_udp_port,
    join_raw,
    push,
    read_request,
    reply,
    reset,
    serve_raw,
    timing,
    upgrade,
)

# How long the portal stays away under load. PORTAL_AWAY=180 for minutes.
AWAY = float(os.environ.get("PORTAL_AWAY", "3"))

class Held:
    """Holds the threads of a relay that relay, and them alone, until released."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid):
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        self.threads = []
        for task in map(int, os.listdir(f"/proc/{pid}/task")):
            with open(f"/proc/{pid}/task/{task}/comm") as comm:
                if not comm.read().startswith("relay-"):
                    continue
            if self.ptrace(self.SEIZE, task, None, None) != 0:
                self.release()
                return
            self.threads.append(task)
            self.ptrace(self.INTERRUPT, task, None, None)
            os.waitpid(task, self.WALL)

    def release(self):
        for task in self.threads:
            self.ptrace(self.DETACH, task, None, None)
        self.threads = []


class Outage(PortalTest):
    def ready(self, health):
        connection = http.client.HTTPConnection(health, timeout=PATIENCE)
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        return status

    def metrics(self, health):
        connection = http.client.HTTPConnection(health, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def start(self, portal, **env):
        subject = self.subject(portal.url, RUST_LOG="info,portal=debug", **env)
        health = subject.wait(r"Health and metrics on http://(\S+)").group(1)
        return subject, health

    def test_nothing_is_open_before_init(self):
        async def script(portal, connection, number):
            await portal.join(connection, init=False)
            while not begin:
                await portal.receive(connection)  # heartbeats
            await connection.close()

        begin = []
        portal = self.portal(script)
        port = free_udp_port()
        subject, health = self.start(portal, PORTAL_TIMING=timing(heartbeat="50ms"), LISTEN_PORT=str(port))
        subject.wait(Subject.CONNECTED)
        self.assertEqual(self.ready(health), 503)
        self.assertNotIn("Listening on", subject.output())
        self.assertTrue(self.can_bind(port))
        subject.terminate()
        self.assertEqual(subject.wait_exit(), 0)

    def test_rules_that_changed_before_init(self):
        """A SIGHUP counts that comes while the portal has not said yet that relaying may begin."""
        begin = threading.Event()

        async def script(portal, connection, number):
            await portal.join(connection, init=False)
            said = False
            while True:
                await connection.send(reply(await portal.receive(connection)))  # heartbeats
                if begin.is_set() and not said:
                    await connection.send(push("init"))
                    said = True

        port = free_udp_port()
        portal = self.portal(script)
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:  # which nobody else may read
            subject, health = self.start(portal, PORTAL_TIMING=timing(heartbeat="50ms"), LISTEN_PORT=str(port), RELAY_CONFIG=file.name)
            subject.wait(Subject.CONNECTED)
            file.write("deny-peer = 127.0.0.1\n")
            file.flush()
            subject.process.send_signal(signal.SIGHUP)
            subject.wait("SIGHUP: there is 1 peer rule now")
            begin.set()
            subject.wait("Listening on")
            self.assertEqual(self.ready(health), 200)  # the thread that answers has told the workers
            with self.assertRaises(Refused) as refused:
                Flow(self, port, portal.secrets[0])
            self.assertEqual(refused.exception.code, 403)
            # And what comes later is told by what came then.
            file.truncate(0)
            subject.process.send_signal(signal.SIGHUP)
            subject.wait("SIGHUP: there are 0 peer rules now")
            Flow(self, port, portal.secrets[0]).relay(20)

    def can_bind(self, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError as error:
                self.assertEqual(error.errno, errno.EADDRINUSE)
                return False
        return True

    def test_sockets_open_with_init(self):
        port = free_udp_port()
        subject, health = self.start(self.portal(), LISTEN_PORT=str(port))
        subject.wait("Listening on")
        self.assertFalse(self.can_bind(port))
        self.assertEqual(self.ready(health), 200)

    def test_under_load(self):
        """The portal fails in all the ways it can, one after the other, while clients relay as fast as they can and refresh what they
        have. Every packet arrives, no allocation ends, nothing is dropped."""
        away, back = threading.Event(), threading.Event()

        def reset_at_once(peer):
            reset(peer)

        def no_http(peer):
            peer.sendall(b"\x00" * 1000)

        def unavailable(peer):
            read_request(peer)
            peer.sendall(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")

        def silent(peer):
            peer.recv(1 << 16)
            away.wait(0.3)
            peer.recv(1 << 16)

        def silent_after_upgrade(peer):
            upgrade(peer)
            peer.recv(1 << 16)
            back.wait(0.5)

        def garbage_frames(peer):
            upgrade(peer)
            peer.sendall(os.urandom(4096))

        def joins_and_closes(peer):
            join_raw(peer)
            peer.sendall(frame(1, push("phx_error").encode()))

        ways = (
            reset_at_once, no_http, unavailable, silent, silent_after_upgrade, garbage_frames, joins_and_closes,
        )

        def script(portal, peer, number):
            if number == 1:
                join_raw(peer)
                away.wait(PATIENCE)
                reset(peer)
            elif back.is_set():
                join_raw(peer)
                serve_raw(peer)
            else:
                ways[number % len(ways)](peer)

        raw = self.raw(script)
        quick = timing(attempt="200ms", join="200ms", backoff_first="10ms", backoff_max="30ms")
        subject, health = self.start(raw, PORTAL_TIMING=quick)
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        flows = [Flow(self, port) for _ in range(4)]
        failures, counts = [], []

        def load(flow):
            try:
                while not back.is_set():
                    flow.relay(200)
                    flow.keep_alive()
                flow.relay(200)
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)
            counts.append(flow.count)

        threads = [threading.Thread(target=load, args=(flow,)) for flow in flows]
        for thread in threads:
            thread.start()
        away.set()
        end = time.monotonic() + AWAY
        while time.monotonic() < end or raw.count < 3 * len(ways):
            subject.wait(Subject.RETRY)
        back.set()
        for thread in threads:
            thread.join(4 * PATIENCE)
        self.assertEqual(failures, [])
        subject.wait(Subject.CONNECTED)
        text = self.metrics(health)
        relayed = sum(int(n) for n in re.findall(r"^relay_packets_total\{.*\} (\d+)$", text, re.M))
        print(f"{raw.count} connections in {AWAY:.0f} s: {sum(counts)} packets sent, {relayed} relayed (both ways)")
        self.assertEqual(relayed, 2 * sum(counts))
        self.assertRegex(text, rf"relay_active_allocations {len(flows)}\n")
        self.assertRegex(text, rf"relay_active_channels {len(flows)}\n")
        for reason, count in re.findall(r'^relay_dropped_packets_total\{reason="(.*)"\} (\d+)$', text, re.M):
            self.assertEqual(int(count), 0, reason)
        self.assertNotRegex(subject.output(), "Deleted allocation|expired")

    def test_relaying_goes_on(self):
        portal = self.portal()
        subject, health = self.start(portal)
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        self.assertEqual(self.ready(health), 200)
        flow = Flow(self, port)
        flow.relay(200)
        portal.close()
        for _ in range(3):
            subject.wait(Subject.RETRY)
            flow.relay(500)
        other = Flow(self, port)  # new clients come as long as their credentials are good
        other.relay(100)
        self.assertEqual(self.ready(health), 503)
        again = Portal(port=portal.port)
        self.addCleanup(again.close)
        subject.wait(Subject.CONNECTED)
        join = again.message()
        self.assertEqual(join["payload"], {"stamp_secret": portal.secrets[0]})
        flow.relay(200)
        other.relay(100)
        for ignored in (signal.SIGHUP, signal.SIGPIPE):
            subject.process.send_signal(ignored)
            flow.relay(100)
            self.assertEqual(self.ready(health), 200)
        self.assertNotIn("Deleted allocation", subject.output())
        self.assertNotIn("expired", subject.output())
        self.drain(subject, health, again, flow, other)

    def drain(self, subject, health, portal, flow, other):
        """The shutdown: gone from the portal at once, but what lives is relayed to its end."""
        subject.terminate()
        self.assertEqual(portal.closes.get(timeout=PATIENCE)[0], 1000)
        subject.wait("no new allocations")
        self.assertEqual(self.ready(health), 503)
        flow.relay(100)
        late = Client(flow.client.socket.getpeername(), *credentials())
        self.addCleanup(late.close)
        with self.assertRaises(Refused) as refused:
            late.allocate()
        self.assertEqual(refused.exception.code, 508)
        flow.client.refresh(0)
        other.relay(100)
        self.assertIsNone(subject.process.poll())
        other.client.refresh(0)
        self.assertEqual(subject.wait_exit(), 0)

    def test_idle_allocations_do_not_hold_a_shutdown(self):
        """Firezone's clients never free an allocation that they leave; what still relays is waited for."""
        subject = self.subject(self.portal().url, arguments=["--drain-idle", "3s"], RUST_LOG="info")
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        busy, idle = Flow(self, port), Flow(self, port)
        idle.relay(20)
        subject.terminate()
        subject.wait("no new allocations")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            busy.relay(20)
            time.sleep(0.1)
        self.assertIsNone(subject.process.poll())
        self.assertEqual(subject.wait_exit(), 0)
        self.assertRegex(subject.output(), "INFO.*Nothing was relayed for 3 s: shutting down, with 2 idle allocations")

    def shutdown_timeout(self, value, least):
        portal = self.portal()
        subject, _ = self.start(portal, SHUTDOWN_TIMEOUT=value)
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        flow, other = Flow(self, port), Flow(self, port)
        other.client.bind(flow.peer.getsockname())
        flow.relay(20)
        start = time.monotonic()
        subject.terminate()
        self.assertEqual(subject.wait_exit(), 0)
        self.assertGreaterEqual(time.monotonic() - start, least)
        self.assertRegex(subject.output(), "WARN.*Shutdown timeout: cutting off 2 allocations with 3 channels")
        self.assertEqual(portal.closes.get(timeout=PATIENCE)[0], 1000)

    def test_shutdown_timeout(self):
        self.shutdown_timeout("1s", 1)

    def test_no_time_for_a_shutdown(self):
        self.shutdown_timeout("0", 0)

    def test_shutdown_with_a_portal_that_does_not_answer_the_close(self):
        closed = threading.Event()

        def script(portal, peer, number):
            join_raw(peer)
            while not closed.wait(0.01):
                pass
            portal.stopping.wait(PATIENCE)

        subject, _ = self.start(self.raw(script), PORTAL_TIMING=timing(close="100ms"))
        subject.wait("Listening on")
        subject.terminate()
        self.assertEqual(subject.wait_exit(), 0)
        closed.set()

    def test_workers_without_cpu_are_waited_for(self):
        """Workers that can't say how many allocations they have are not taken for idle."""
        portal = self.portal()
        subject, _ = self.start(portal)
        flow = Flow(self, int(subject.wait(r"Listening on \S+:(\d+),").group(1)))
        flow.relay(20)
        held = Held(subject.process.pid)
        if not held.threads:
            self.skipTest("no right to hold threads (ptrace)")
        subject.terminate()
        self.assertEqual(portal.closes.get(timeout=PATIENCE)[0], 1000)
        with self.assertRaises(subprocess.TimeoutExpired):
            subject.process.wait(1)
        held.release()
        flow.relay(20)
        flow.client.refresh(0)
        self.assertEqual(subject.wait_exit(), 0)

    def test_allocations_leave_descriptors_for_portal_and_health(self):
        portal, endings = self.bounced()
        limit = 100
        with unittest.mock.patch.dict(os.environ, PORTAL_WRAPPER=f"prlimit --nofile={limit}:{limit}"):
            subject, health = self.start(portal, PORTAL_TIMING=timing(heartbeat="50ms"))
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        clients = []
        try:
            with self.assertRaises(Refused) as refused:
                while len(clients) < 2 * limit:
                    clients.append(Client(("127.0.0.1", port), *credentials()))
                    self.addCleanup(clients[-1].close)
                    clients[-1].allocate()
            self.assertEqual(refused.exception.code, 508)
            self.assertGreater(len(clients), limit // 2 - 20)
            self.assertEqual(self.ready(health), 503)  # it is full, and can say so
            endings.append(True)
            subject.wait(Subject.RETRY)
            subject.wait(Subject.CONNECTED)
        finally:
            subject.terminate()

    def test_second_signal(self):
        portal = self.portal()
        subject, _ = self.start(portal)
        flow = Flow(self, int(subject.wait(r"Listening on \S+:(\d+),").group(1)))
        flow.relay(20)
        subject.terminate()
        subject.wait("no new allocations")
        subject.process.send_signal(signal.SIGINT)
        self.assertEqual(subject.wait_exit(), 0)

    def test_away_for_too_long(self):
        portal = self.portal()
        subject, _ = self.start(portal, PORTAL_TIMING=timing(partition="300ms"))
        subject.wait("Listening on")
        portal.close()
        self.assert_fatal(subject, "no connection to the portal")


if __name__ == "__main__":
    unittest.main()
