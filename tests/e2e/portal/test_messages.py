# SPDX-License-Identifier: Apache-2.0
"""What the relay says to a portal that behaves, and what it does about what the portal says."""
import asyncio
import http.client
import json
import queue
import re
import signal
import threading
import time
import unittest
import urllib.request

from flows import Flow
from harness import PATIENCE, SECRET, TOKEN, Portal, PortalTest, Subject, free_port, push, reply, timing


class Login(PortalTest):
    def test_request_and_join(self):
        portal = self.portal()
        subject = self.subject(portal.url + "/base/?old=query#fragment", PUBLIC_IP6_ADDR="::1")
        request = portal.request()
        self.assertEqual(request.path, "/base/relay/websocket")
        self.assertEqual(
            request.query,
            [("name", "relay one"), ("ipv4", "127.0.0.1"), ("ipv6", "::1"), request.query[3]],
        )
        self.assertEqual(request.query[3][0], "port")
        self.assertIn("?name=relay+one&ipv4=127.0.0.1&ipv6=%3A%3A1&port=", request.target)
        self.assertRegex(request.headers["User-Agent"], r"^relay/\d+\.\d+\.\d+")
        self.assertEqual(request.headers["X-Authorization"], "Bearer " + TOKEN)
        self.assertEqual(request.headers["Host"], f"127.0.0.1:{portal.port}")
        join = portal.message()
        self.assert_made_secret(join["payload"].pop("stamp_secret"))
        self.assertEqual(join, {"topic": "relay", "event": "phx_join", "payload": {}, "ref": 0})
        subject.wait(Subject.CONNECTED)
        subject.wait(Subject.INIT)

    def test_in_the_place_of_firezones_relay(self):
        """Its variables, all of them: the portal and those who read the log find what they know."""
        portal = self.portal()
        subject = self.subject(
            portal.url, AUTH_SECRET="", PORTAL_TIMING="", LOG_LEVEL="", NO_COLOR="", RUST_LOG="info,relay_proto::server=debug,phoenix_channel=debug",
            PUBLIC_IP6_ADDR="::1", FIREZONE_NAME="relay-1", LOWEST_PORT="51000", HIGHEST_PORT="51099", LOG_FORMAT="json", TELEMETRY="true",
            EBPF_INT4_ADDR="127.0.0.1", EBPF_INT6_ADDR="::1", EBPF_ATTACH_MODE="driver", OTLP_GRPC_ENDPOINT="127.0.0.1:9")
        port = subject.wait(r"Listening for incoming traffic on UDP port (\d+)").group(1)
        self.assertEqual(portal.request().target, f"/relay/websocket?name=relay-1&ipv4=127.0.0.1&ipv6=%3A%3A1&port={port}")
        self.assertEqual(set(portal.message()["payload"]), {"stamp_secret"})
        Flow(self, int(port), secret=portal.secrets[0]).close()
        subject.terminate()
        subject.wait("SIGTERM: no new allocations")
        subject.process.send_signal(signal.SIGINT)
        self.assertEqual(subject.wait_exit(), 0)
        lines = [json.loads(line) for line in subject.output().splitlines()]
        for line in lines:
            self.assertEqual((list(line), list(line["fields"])[0]), (["timestamp", "level", "fields", "target"], "message"))
        messages = [line["fields"]["message"] for line in lines]
        self.assertEqual(messages[-1], "Goodbye!")
        for message in (f"Listening for incoming traffic on UDP port {port}", "Created new allocation", "Successfully bound channel"):
            self.assertIn(message, messages)
        # Each that has no effect is named once, and nothing else of this is a warning.
        without_effect = [line["fields"]["message"] for line in lines if "has no effect" in line["fields"]["message"]]
        self.assertEqual([message.split()[0] for message in without_effect], ["--ebpf-attach-mode", "--ebpf-int4-addr", "--ebpf-int6-addr"])

    def test_what_does_not_belong_to_the_token_is_dropped(self):
        """Kubernetes' secrets and files end with newlines, editors begin files with a BOM. No name is sent that was not given."""
        for token in ("abcdef\n", "abc\r\ndef\n", "\ufeffabcdef", " \tabcdef \n\n"):
            with self.subTest(token=token):
                portal = self.portal()
                subject = self.subject(portal.url, FIREZONE_TOKEN=token, FIREZONE_NAME="")
                request = portal.request()
                self.assertEqual([name for name, _ in request.query], ["ipv4", "port"])
                self.assertEqual(request.headers["X-Authorization"], "Bearer abcdef")
                subject.wait(Subject.CONNECTED)
                self.assertEqual("looks wrong: it has more than one line" in subject.output(), "\r" in token)

    def test_a_token_in_quotes_is_warned_of(self):
        portal = self.portal()
        subject = self.subject(portal.url, FIREZONE_TOKEN="'abcdef'\n", AUTH_SECRET=f'"{SECRET}"')
        self.assertEqual(portal.request().headers["X-Authorization"], "Bearer 'abcdef'")
        subject.wait("WARN.*secret of AUTH_SECRET looks wrong: it stands in quotes")
        subject.wait("WARN.*token looks wrong: it stands in quotes")
        subject.wait(Subject.CONNECTED)

    def test_token_in_the_query_where_the_portal_wants_it_there(self):
        """The portal of before reads the query alone."""

        def refuse(number):
            return None if requests[-1].query[0] == ("token", TOKEN) else (status, [], b"missing token")

        for status in (400, 401):
            requests = []
            portal = self.portal(refuse=refuse)
            portal.requests.put = requests.append
            with self.subTest(status=status):
                subject = self.subject(portal.url)
                subject.wait(f"WARN.*status {status}: missing token; the next try has the token in the URL")
                subject.wait(Subject.CONNECTED)
                self.assertEqual([request.query[0][0] for request in requests], ["name", "token"])
                self.assertEqual({request.headers["X-Authorization"] for request in requests}, {"Bearer " + TOKEN})

    def test_another_port_than_clients_expect_is_warned_of(self):
        subject = self.subject(self.portal().url)
        subject.wait(r"WARN.*--listen-port is \d+: .*3478")
        subject.wait(Subject.CONNECTED)

    def test_standalone_is_said(self):
        subject = self.subject("ws://127.0.0.1:1", FIREZONE_TOKEN="", FIREZONE_NAME="", FIREZONE_API_URL="")
        subject.wait("INFO.*standalone, without a portal")
        subject.wait("Listening on")

    def test_init_does_not_come(self):
        async def script(portal, connection, number):
            await portal.join(connection, init=False)
            while True:
                await connection.send(reply(await portal.receive(connection)))

        subject = self.subject(self.portal(script).url, PORTAL_TIMING=timing(init="300ms"))
        subject.wait(Subject.CONNECTED)
        subject.wait("WARN.*said nothing of init for .*relaying begins all the same")
        subject.wait("Listening on")
        self.assertNotRegex(subject.output(), Subject.RETRY)

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

    def test_the_interval_is_an_option(self):
        portal = self.portal()
        self.subject(portal.url, arguments=["--heartbeat-interval", "1s"], PORTAL_TIMING="")
        self.assertEqual(portal.message()["event"], "phx_join")
        times = []
        for _ in range(2):
            self.assertEqual(portal.message()["event"], "heartbeat")
            times.append(time.monotonic())
        self.assertGreater(times[1] - times[0], 0.5)
        self.assertLess(times[1] - times[0], 8)

    def test_silence_is_noticed(self):
        async def script(portal, connection, number):
            await portal.join(connection)
            while number == 1:
                await portal.receive(connection)
            while True:
                await connection.send(reply(await portal.receive(connection)))

        portal = self.portal(script)
        subject = self.subject(portal.url, PORTAL_TIMING=timing(heartbeat="50ms"))
        subject.wait("did not answer three heartbeats")
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

        self.after(first, "did not answer three heartbeats", PORTAL_TIMING=timing(heartbeat="50ms"))

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

    def test_ready_while_new_clients_can_come(self):
        """Ready from init on, but for while the portal is away; alive all the time."""

        async def script(portal, connection, number):
            await portal.join(connection, init=False)
            if number == 1:
                await connection.send(reply(await portal.receive(connection)))
                await connection.send(push("init"))
                await asyncio.get_running_loop().run_in_executor(None, leave.wait, PATIENCE)
                return await connection.close()
            while True:
                await connection.send(reply(await portal.receive(connection)))

        leave, back = threading.Event(), threading.Event()
        portal = self.portal(script, refuse=lambda n: None if n == 1 or back.is_set() else (403, [], b""))
        port = free_port()
        subject = self.subject(
            portal.url, HEALTH_CHECK_ADDR=f"127.0.0.1:{port}", PORTAL_TIMING=timing(heartbeat="300ms")
        )
        subject.wait(Subject.CONNECTED)
        self.assertEqual((self.status(port, "/readyz"), self.status(port, "/healthz")), (503, 200))
        subject.wait(Subject.INIT)
        subject.wait("Listening on")
        self.assertEqual((self.status(port, "/readyz"), self.status(port, "/healthz")), (200, 200))
        leave.set()
        subject.wait("status 403")
        self.assertEqual((self.status(port, "/readyz"), self.status(port, "/healthz")), (503, 200))
        back.set()
        subject.wait(Subject.CONNECTED)
        self.assertEqual((self.status(port, "/readyz"), self.status(port, "/healthz")), (200, 200))

    def test_standalone_is_ready(self):
        port = free_port()
        subject = self.subject(
            "ws://127.0.0.1:1",
            HEALTH_CHECK_ADDR=f"127.0.0.1:{port}",
            **dict.fromkeys(("FIREZONE_TOKEN", "FIREZONE_NAME", "FIREZONE_API_URL"), ""),
        )
        subject.wait("Listening on")
        self.assertEqual((self.status(port, "/readyz"), self.status(port, "/healthz")), (200, 200))

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


if __name__ == "__main__":
    unittest.main()
