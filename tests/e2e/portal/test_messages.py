# SPDX-License-Identifier: Apache-2.0
"""What the relay says to a portal that behaves, and what it does about what the portal says."""
import asyncio
import http.client
import json
import queue
import re
import socket
import threading
import time
import unittest
import urllib.request

from harness import PATIENCE, SECRET, TOKEN, Portal, PortalTest, Subject, free_port, push, reply, timing


class Login(PortalTest):
    def test_request_and_join(self):
        portal = self.portal()
        subject = self.subject(portal.url + "/base/?old=query#fragment", PUBLIC_IP6_ADDR="::1")
        request = portal.request()
        self.assertEqual(request.path, "/base/relay/websocket")
        self.assertEqual(
            request.query,
            [("token", TOKEN), ("name", "relay one"), ("ipv4", "127.0.0.1"), ("ipv6", "::1"), request.query[4]],
        )
        self.assertEqual(request.query[4][0], "port")
        self.assertIn("name=relay+one&ipv4=127.0.0.1&ipv6=%3A%3A1&port=", request.target)
        self.assertRegex(request.headers["User-Agent"], r"^relay/\d+\.\d+\.\d+")
        self.assertEqual(request.headers["X-Authorization"], "Bearer " + TOKEN)
        self.assertEqual(request.headers["Host"], f"127.0.0.1:{portal.port}")
        self.assertEqual(
            portal.message(),
            {"topic": "relay", "event": "phx_join", "payload": {"stamp_secret": SECRET}, "ref": 0},
        )
        subject.wait(Subject.CONNECTED)
        subject.wait(Subject.INIT)

    def test_line_ends_in_the_token_are_dropped(self):
        portal = self.portal()
        self.subject(portal.url, FIREZONE_TOKEN="abc\r\ndef\n", FIREZONE_NAME="")
        request = portal.request()
        self.assertEqual([name for name, _ in request.query], ["token", "name", "ipv4", "port"])
        self.assertEqual(request.query[:2], [("token", "abcdef"), ("name", socket.gethostname())])
        self.assertEqual(request.headers["X-Authorization"], "Bearer abcdef")

    def test_init_before_the_reply(self):
        async def script(portal, connection, number):
            message = await portal.receive(connection)
            await connection.send(push("init"))
            await connection.send(reply(message))
            await portal.receive(connection)

        subject = self.subject(self.portal(script).url)
        subject.wait(Subject.INIT)
        subject.wait(Subject.CONNECTED)

    def test_ref_as_string(self):
        async def script(portal, connection, number):
            message = await portal.receive(connection)
            message["ref"] = str(message["ref"])
            await connection.send(reply(message))
            await portal.receive(connection)

        self.subject(self.portal(script).url).wait(Subject.CONNECTED)

    def test_login_errors_end_the_process(self):
        for reason in ("unmatched topic", "invalid_version", "disabled", 'odd "\u00fc\U0001f600" reason', None):

            async def script(portal, connection, number, reason=reason):
                message = await portal.receive(connection)
                await connection.send(reply(message, "error", {"reason": reason} if reason else {}))
                await portal.receive(connection)

            with self.subTest(reason=reason), Portal(script) as portal:
                subject = self.subject(portal.url)
                self.assert_fatal(subject, "refused the login: ")
                if reason and '"' not in reason:
                    self.assertIn(reason, subject.output())

    def test_token_expired(self):
        async def script(portal, connection, number):
            await portal.join(connection)
            await connection.send(push("disconnect", {"reason": "something_else"}))
            await connection.send(push("disconnect", {"reason": "token_expired"}, topic="relay"))
            await portal.receive(connection)

        self.assert_fatal(self.subject(self.portal(script).url), "token_expired")


class Heartbeats(PortalTest):
    def test_heartbeats_and_refs(self):
        portal = self.portal()
        subject = self.subject(portal.url, PORTAL_TIMING=timing(heartbeat="30ms"))
        self.assertEqual(portal.message()["event"], "phx_join")
        for ref in range(1, 6):
            self.assertEqual(
                portal.message(), {"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": ref}
            )
        self.assertNotRegex(subject.output(), Subject.RETRY)

    def test_silence_is_noticed(self):
        async def script(portal, connection, number):
            await portal.join(connection)
            while number == 1:
                await portal.receive(connection)
            while True:
                await connection.send(reply(await portal.receive(connection)))

        portal = self.portal(script)
        subject = self.subject(portal.url, PORTAL_TIMING=timing(heartbeat="50ms", reply="50ms"))
        subject.wait("did not answer a heartbeat in time")
        subject.wait(Subject.CONNECTED)
        refs = [portal.message()["ref"] for _ in range(4)]
        self.assertEqual(refs, sorted(set(refs)))

    def test_join_is_not_answered(self):
        async def script(portal, connection, number):
            if number > 1:
                await portal.join(connection)
            await portal.receive(connection)
            await portal.receive(connection)

        subject = self.subject(self.portal(script).url, PORTAL_TIMING=timing(join="50ms"))
        subject.wait("did not answer the join in time")
        subject.wait(Subject.CONNECTED)


class Noise(PortalTest):
    def test_what_is_not_understood_is_passed_over(self):
        noise = [
            "",
            "{",
            "[]",
            "null",
            '"text"',
            '{"topic":"relay"}',
            '{"event":7,"topic":"relay"}',
            '{"event" "init"}',
            push("no_such_event", {"a": [1, 2, {"b": None}]}),
            push("init", topic="other"),
            push("phx_close", topic="other"),
            push("phx_reply", {"status": "ok", "response": {}}),
            json.dumps({"topic": "relay", "event": "phx_reply", "payload": {"status": "error"}, "ref": 77}),
            "[" * 10000,
            json.dumps({"event": "x", "list": list(range(5000))}),
            b"\x00\xff binary",
        ]

        async def script(portal, connection, number):
            message = await portal.receive(connection)
            for text in noise:
                await connection.send(text)
            await connection.send(reply(message))
            for text in noise:
                await connection.send(text)
            await connection.send(push("init"))
            while True:
                await connection.send(reply(await portal.receive(connection)))

        portal = self.portal(script)
        subject = self.subject(portal.url, PORTAL_TIMING=timing(heartbeat="30ms"))
        subject.wait(Subject.INIT)
        for _ in range(3):
            portal.message()
        self.assertEqual(portal.count, 1)
        self.assertNotRegex(subject.output(), Subject.RETRY)


class Library(PortalTest):
    """What the library's WebSocket can do to the relay's, with a healthy portal at the second try."""

    def after(self, first, comes_back, **env):
        done = queue.Queue()

        async def script(portal, connection, number):
            if number == 1:
                await portal.join(connection, init=False)
                done.put(await first(connection))
            else:
                await portal.join(connection)
            while True:
                await connection.send(reply(await portal.receive(connection)))

        portal = self.portal(script)
        subject = self.subject(portal.url, **env)
        subject.wait(Subject.CONNECTED)
        if comes_back:
            subject.wait(f"{comes_back}.*{Subject.RETRY}")
            subject.wait(Subject.CONNECTED)
        subject.wait(Subject.INIT)
        self.assertEqual(portal.count, 2 if comes_back else 1)
        if not comes_back:
            self.assertNotRegex(subject.output(), Subject.RETRY)
        return portal, done

    def test_close(self):
        async def first(connection):
            await connection.close(1001, "going away")

        portal, _ = self.after(first, "close 1001: going away")
        self.assertEqual(portal.closes.get(timeout=PATIENCE), (1001, "going away"))

    def test_end_of_file(self):
        async def first(connection):
            connection.transport.close()
            await connection.wait_closed()

        self.after(first, "ended the connection")

    def test_reset(self):
        async def first(connection):
            connection.transport.abort()
            await connection.wait_closed()

        self.after(first, "ended the connection|the connection failed")

    def test_half_open(self):
        """The portal's side lives, but says nothing any more."""

        async def first(connection):
            await connection.wait_closed()

        self.after(first, "did not answer a heartbeat", PORTAL_TIMING=timing(heartbeat="50ms", reply="100ms"))

    def test_channel_closed(self):
        for event in ("phx_close", "phx_error"):

            async def first(connection, event=event):
                await connection.send(push(event))
                await connection.wait_closed()

            with self.subTest(event=event):
                self.after(first, "closed the channel")

    def test_oversized_message(self):
        async def first(connection):
            await connection.send("x" * 65537)
            await connection.wait_closed()

        portal, _ = self.after(first, "larger than 64 KiB")
        self.assertEqual(portal.closes.get(timeout=PATIENCE)[0], 1009)

    def test_fragments_with_pings_between(self):
        async def first(connection):
            pongs = []

            async def fragments():
                for character in push("init"):
                    yield character
                    pongs.append(await connection.ping())

            await connection.send(fragments())
            for pong in pongs:
                await pong
            return len(pongs)

        _, done = self.after(first, None)
        self.assertEqual(done.get(timeout=PATIENCE), len(push("init")))

    def test_largest_message_and_unknown_ones(self):
        async def first(connection):
            for text in ("{", push("x"), json.dumps({"event": "disconnect", "payload": {"reason": 7}}), b"binary"):
                await connection.send(text)
            text = push("init", {"padding": "x" * 65000})
            await connection.send(text + " " * (65536 - len(text)))

        self.after(first, None)


class Shutdown(PortalTest):
    def test_close_1000(self):
        portal = self.portal()
        subject = self.subject(portal.url)
        subject.wait(Subject.INIT)
        subject.terminate()
        self.assertEqual(portal.closes.get(timeout=30)[0], 1000)
        self.assertEqual(subject.wait_exit(), 0)

    def test_during_an_attempt(self):
        subject = self.subject("ws://127.0.0.1:1", PORTAL_TIMING=timing(backoff_first="10s", backoff_max="20s"))
        subject.wait(Subject.RETRY)
        subject.terminate()
        self.assertEqual(subject.wait_exit(), 0)


class Health(PortalTest):
    def status(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
        return status

    def test_ready_after_init_alive_until_heartbeats_end(self):
        async def script(portal, connection, number):
            await portal.join(connection, init=False)
            await connection.send(reply(await portal.receive(connection)))
            await connection.send(push("init"))
            await portal.receive(connection)

        portal = self.portal(script)
        port = free_port()
        subject = self.subject(
            portal.url, HEALTH_CHECK_ADDR=f"127.0.0.1:{port}", PORTAL_TIMING=timing(heartbeat="300ms")
        )
        subject.wait(Subject.CONNECTED)
        self.assertEqual(self.status(port, "/readyz"), 503)
        self.assertEqual(self.status(port, "/healthz"), 200)
        subject.wait(Subject.INIT)
        self.assertEqual(self.status(port, "/readyz"), 200)
        self.assertEqual(self.status(port, "/healthz"), 200)

    def test_metric_of_the_portals_state(self):
        """0 until the portal has answered the join, 1 while it is there, 0 when it is gone, 1 when it is back."""
        answer, leave, come_back = threading.Event(), threading.Event(), threading.Event()

        async def until(event):
            await asyncio.get_running_loop().run_in_executor(None, event.wait, PATIENCE)

        async def script(portal, connection, number):
            message = await portal.receive(connection)
            await until(answer if number == 1 else come_back)
            await connection.send(reply(message))
            await connection.send(push("init"))
            if number == 1:
                await until(leave)
                await connection.close(1001, "going away")
                return
            while True:
                await connection.send(reply(await portal.receive(connection)))

        portal = self.portal(script)
        port = free_port()
        subject = self.subject(portal.url, HEALTH_CHECK_ADDR=f"127.0.0.1:{port}")
        self.assertEqual(portal.message()["event"], "phx_join")
        self.wait_for_state(port, 0)
        answer.set()
        subject.wait(Subject.INIT)
        self.wait_for_state(port, 1)
        leave.set()
        subject.wait(Subject.RETRY)
        self.wait_for_state(port, 0)
        come_back.set()
        subject.wait(Subject.CONNECTED)
        self.wait_for_state(port, 1)

    def wait_for_state(self, port, wanted):
        """Scrapes may be 0.1 s old."""
        end = time.monotonic() + PATIENCE
        while True:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
                state = re.search(r"^relay_portal_connected (\d)$", response.read().decode(), re.M)
            if int(state.group(1)) == wanted:
                return
            self.assertLess(time.monotonic(), end, f"the portal's state stays {state.group(1)}")
            time.sleep(0.02)

    def test_too_long_without_a_heartbeat(self):
        """The next heartbeat comes later than the last may be old: not alive meanwhile, but ready."""
        portal = self.portal()
        port = free_port()
        subject = self.subject(
            portal.url, HEALTH_CHECK_ADDR=f"127.0.0.1:{port}", PORTAL_TIMING=timing(heartbeat="1s", health="200ms")
        )
        subject.wait(Subject.INIT)
        self.assertEqual(self.status(port, "/healthz"), 200)  # none was sent yet
        portal.message()
        for _ in range(2):
            self.assertEqual(portal.message()["event"], "heartbeat")
            self.assertEqual(self.status(port, "/healthz"), 200)
            end = time.monotonic() + PATIENCE
            while self.status(port, "/healthz") != 400:
                self.assertLess(time.monotonic(), end)
            self.assertEqual(self.status(port, "/readyz"), 200)


if __name__ == "__main__":
    unittest.main()
