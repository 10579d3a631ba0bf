# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong on the way to a portal and with it."""
import email.utils
import json
import socket
import threading
import time
import unittest

from harness import (
    PATIENCE,
    TLS,
    TOKEN,
    Portal,
    PortalTest,
    RawPortal,
    Subject,
    accept_of,
    frame,
    free_port,
    join_raw,
    push,
    read_frame,
    read_request,
    reply,
    reset,
    serve_raw,
    timing,
    upgrade,
)


class Refusals(PortalTest):
    def test_a_token_that_is_not_taken_ends_the_process(self):
        portal = self.portal(refuse=lambda n: (401, [], b"Invalid token"))
        self.assert_fatal(self.subject(portal.url), "status 401: Invalid token$")
        self.assertEqual(portal.requests.qsize(), 2)  # the second time with the token in the query

    def test_body_repeats_the_token(self):
        portal = self.portal(refuse=lambda n: (401, [], f"token {TOKEN} and again {TOKEN[:40]}".encode()))
        self.assert_fatal(self.subject(portal.url), r"status 401: token \*+")

    def test_everything_else_is_retried(self):
        """Before the first join as after it, with one line that is more than debug."""
        for status in (400, 403, 404, 408, 426, 429, 500, 502, 503):
            with self.subTest(status=status):
                portal = self.portal(refuse=lambda n, s=status: (s, [], b"try %d" % n) if n < 5 else None)
                subject = self.subject(portal.url)
                for i in range(1, 5):
                    subject.wait(f"status {status}: try {i}.*{Subject.RETRY}")
                subject.wait(Subject.CONNECTED)
                said = [line for line in subject.output().splitlines() if "WARN" in line and "status" in line]
                self.assertEqual(len(said), 2 if status == 400 else 1, said)  # 400: the token goes into the query

    def retry_after(self, value):
        portal = self.portal(refuse=lambda n: (503, [("Retry-After", value())], b"") if n == 1 else None)
        subject = self.subject(portal.url)
        portal.request()
        start = time.monotonic()
        portal.request()
        waited = time.monotonic() - start
        subject.wait(Subject.CONNECTED)
        return waited

    def test_retry_after_seconds(self):
        waited = self.retry_after(lambda: "1")
        self.assertGreaterEqual(waited, 0.99)
        self.assertLess(waited, 4)

    def test_retry_after_date(self):
        waited = self.retry_after(lambda: email.utils.formatdate(time.time() + 2.5, usegmt=True))
        self.assertGreaterEqual(waited, 0.9)  # dates have whole seconds
        self.assertLess(waited, 6)

    def test_redirects_are_not_followed(self):
        other = self.portal()
        location = f"{other.url}/moved?token={TOKEN}"
        portal = self.portal(refuse=lambda n: (301, [("Location", location)], b"moved") if n < 4 else None)
        subject = self.subject(portal.url)
        subject.wait(f'WARN.*status 301, a redirect to "{other.url}/moved"; redirects are not followed; {Subject.RETRY}')
        subject.wait(Subject.CONNECTED)
        self.assertTrue(other.requests.empty())

    def test_login_pages_are_retried(self):
        portal = self.portal(refuse=lambda n: (200, [], b"<html>Please log in") if n < 3 else None)
        subject = self.subject(portal.url)
        subject.wait(f"WARN.*something else .*status 200: <html>Please log in; {Subject.RETRY}")
        subject.wait(Subject.CONNECTED)


class BadAnswers(PortalTest):
    def answers(self, make, pattern):
        """The first connection is answered by |make|(socket, request); the second one well."""

        def script(portal, peer, number):
            if number == 1:
                make(peer, read_request(peer))
            else:
                join_raw(peer)
                serve_raw(peer)

        subject = self.subject(self.raw(script).url)
        subject.wait(f"{pattern}.*{Subject.RETRY}")
        subject.wait(Subject.CONNECTED)

    HEAD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

    def test_wrong_accept(self):
        self.answers(
            lambda peer, _: peer.sendall((self.HEAD + "Sec-WebSocket-Accept: AAAA\r\n\r\n").encode()),
            "Sec-WebSocket-Accept is missing or wrong",
        )

    def test_no_upgrade(self):
        self.answers(
            lambda peer, request: peer.sendall(
                f"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept_of(request)}\r\n\r\n".encode()
            ),
            "does not upgrade",
        )

    def test_unasked_extension(self):
        self.answers(
            lambda peer, request: peer.sendall(
                (
                    self.HEAD + f"Sec-WebSocket-Accept: {accept_of(request)}\r\n"
                    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
                ).encode()
            ),
            "extension",
        )

    def test_oversized_line(self):
        self.answers(lambda peer, _: peer.sendall((self.HEAD + "X: " + "a" * 100000).encode()), "too long")

    def test_oversized_header(self):
        self.answers(lambda peer, _: peer.sendall((self.HEAD + "X: aaaaaaaaaaaaaaaa\r\n" * 5000).encode()), "too large")

    def test_not_http(self):
        self.answers(lambda peer, _: peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not begin as HTTP")

    def test_end_of_file(self):
        self.answers(lambda peer, _: peer.close(), "is empty")

    def test_end_within_header(self):
        self.answers(lambda peer, _: peer.sendall(self.HEAD.encode()), "ends within")

    def test_reset(self):
        self.answers(lambda peer, _: reset(peer), "reset")

    def test_slow_answer(self):
        def script(portal, peer, number):
            if number == 1:
                read_request(peer)
                for byte in b"HTTP/1.1 101 Sw" * 100:
                    peer.sendall(bytes([byte]))
                    if portal.stopping.wait(0.02):
                        return
            else:
                join_raw(peer)
                serve_raw(peer)

        subject = self.subject(self.raw(script).url, PORTAL_TIMING=timing(attempt="300ms"))
        subject.wait(f"took too long; {Subject.RETRY}")
        subject.wait(Subject.CONNECTED)

    def test_refusal_whose_body_never_ends(self):
        def script(portal, peer, number):
            read_request(peer)
            peer.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000\r\n\r\nno relay")
            portal.stopping.wait(30)

        self.assert_fatal(self.subject(self.raw(script).url), "status 401: no relay")

    def test_refusal_in_chunks(self):
        def script(portal, peer, number):
            read_request(peer)
            peer.sendall(b"HTTP/1.1 401 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n6;x=y\r\n token\r\n0\r\n\r\n")
            portal.stopping.wait(30)

        self.assert_fatal(self.subject(self.raw(script).url), "status 401: bad token$")

    def test_answer_byte_by_byte_with_messages_behind(self):
        def script(portal, peer, number):
            request = read_request(peer)
            text = self.HEAD + f"sec-websocket-accept:{accept_of(request)}\r\n\r\n"
            for byte in text.encode() + frame(1, push("init").encode()):
                peer.sendall(bytes([byte]))
            _, payload = read_frame(peer)
            peer.sendall(frame(1, reply(json.loads(payload)).encode()))
            serve_raw(peer)

        subject = self.subject(self.raw(script).url)
        subject.wait(Subject.INIT)
        subject.wait(Subject.CONNECTED)


class Endings(PortalTest):
    def comes_back(self, script, pattern, **env):
        """|script| runs on the first connection after the join; the second one is healthy, and nothing is lost between them."""

        begun, ended = threading.Event(), threading.Event()

        def whole(portal, peer, number):
            join_raw(peer)
            if number == 1:
                begun.wait(30)
                try:
                    script(peer)
                finally:
                    ended.set()
            else:
                serve_raw(peer)

        subject = self.subject(self.raw(whole).url, **env)
        subject.wait(Subject.INIT)
        begun.set()
        subject.wait(f"{pattern}.*{Subject.RETRY}")
        subject.wait(Subject.CONNECTED)
        self.assertNotRegex(subject.output().split("next try", 1)[1], Subject.INIT)
        self.assertTrue(ended.wait(PATIENCE), "the script on the first connection does not end")

    def test_close(self):
        self.comes_back(lambda peer: peer.sendall(frame(8, b"\x03\xe9going \x1b[1m away")), "close 1001: going \\?")

    def closes_for_now(self, code, text, words):
        """A close that IANA's registry has and wslay does not know: no breach of the protocol."""
        got = []

        def script(peer):
            peer.sendall(frame(8, code.to_bytes(2, "big") + text))
            got.append(read_frame(peer))

        self.comes_back(script, words)
        self.assertEqual(got, [(8, (1000).to_bytes(2, "big"))])

    def test_planned_restarts(self):
        self.closes_for_now(1012, b"", r"WARN.*the portal restarts and closed the WebSocket \(close 1012\)")
        self.closes_for_now(1013, b"full", r"WARN.*the portal is busy .*\(close 1013: full\)")
        self.closes_for_now(1014, b"", r"WARN.*gateway .*\(close 1014\)")

    def test_close_without_code(self):
        self.comes_back(lambda peer: peer.sendall(frame(8)), "close 1005")

    def test_close_is_answered(self):
        got = []

        def script(peer):
            peer.sendall(frame(8, b"\x03\xe8"))
            got.append(read_frame(peer))

        self.comes_back(script, "close 1000")
        self.assertEqual(got[0][0], 8)

    def test_end_of_file(self):
        self.comes_back(lambda peer: peer.shutdown(socket.SHUT_RDWR), "ended the connection")

    def test_reset(self):
        self.comes_back(reset, "reset")

    def test_half_open(self):
        self.comes_back(
            lambda peer: [read_frame(peer) for _ in range(4)],
            "did not answer three heartbeats",
            PORTAL_TIMING=timing(heartbeat="50ms"),
        )

    def test_phx_close_and_error(self):
        for event in ("phx_close", "phx_error"):
            with self.subTest(event=event):
                self.comes_back(
                    lambda peer, e=event: (peer.sendall(frame(1, push(e).encode())), read_frame(peer)),
                    "closed the channel",
                )

    def violation(self, data, pattern, code):
        got = []

        def script(peer):
            peer.sendall(data)
            while not got:
                opcode, payload = read_frame(peer)
                if opcode == 8:
                    got.append(int.from_bytes(payload[:2], "big"))

        # Of what is long the relay need not read the rest, and then the kernel may take back what it has said.
        for _ in range(3 if len(data) > 4096 else 1):
            self.comes_back(script, pattern)
            if got:
                break
        self.assertEqual(got, [code])

    def test_oversized_frame(self):
        self.violation(frame(1, b"x" * 65537), "larger than 64 KiB", 1009)

    def test_enormous_frame_is_refused_by_its_length(self):
        self.violation(b"\x81\x7f" + (1 << 62).to_bytes(8, "big") + b"x", "larger than 64 KiB", 1009)

    def test_oversized_by_fragments(self):
        data = frame(1, b"x" * 40000, fin=False) + frame(0, b"x" * 40000)
        self.violation(data, "larger than 64 KiB", 1009)

    def test_masked_frame(self):
        self.violation(b"\x81\x81\x00\x00\x00\x00x", "broke the WebSocket", 1002)

    def test_reserved_bits(self):
        self.violation(frame(1, b"x", rsv=4), "broke the WebSocket", 1002)

    def test_continuation_of_nothing(self):
        self.violation(frame(0, b"x"), "broke the WebSocket", 1002)

    def test_not_utf8(self):
        self.violation(frame(1, b"\xff\xfe"), "broke the WebSocket", 1007)


class Frames(PortalTest):
    def after_join(self, script):
        def whole(portal, peer, number):
            join_raw(peer, init=False)
            script(peer)
            serve_raw(peer)

        subject = self.subject(self.raw(whole).url)
        subject.wait(Subject.INIT)
        self.assertNotRegex(subject.output(), Subject.RETRY)

    def test_fragments_with_a_ping_between(self):
        text = push("init").encode()
        pongs = []

        def script(peer):
            for i, byte in enumerate(text):
                peer.sendall(frame(1 if i == 0 else 0, bytes([byte]), fin=False))
                if i % 10 == 0:
                    peer.sendall(frame(9, b"ping %d" % i))
                    pongs.append(read_frame(peer))
            peer.sendall(frame(0, b""))

        self.after_join(script)
        self.assertEqual(pongs[0], (10, b"ping 0"))
        self.assertEqual({opcode for opcode, _ in pongs}, {10})

    def test_largest_message(self):
        text = push("init", {"padding": "x" * 65000}).encode()
        self.after_join(lambda peer: peer.sendall(frame(1, text + b" " * (65536 - len(text)))))


class Names(PortalTest):
    def test_name_that_does_not_resolve(self):
        subject = self.subject("ws://no-such-host.invalid:1/")
        subject.wait(f"cannot look up no-such-host.invalid: .*{Subject.RETRY}", timeout=60)

    def test_localhost(self):
        portal = self.portal()
        self.subject(portal.url.replace("127.0.0.1", "LOCALHOST")).wait(Subject.CONNECTED)
        self.assertEqual(portal.request().headers["Host"], f"localhost:{portal.port}")

    def test_nobody_listens(self):
        port = free_port()
        subject = self.subject(f"{'wss' if TLS else 'ws'}://127.0.0.1:{port}")
        subject.wait(f"cannot connect to 127.0.0.1:{port}: Connection refused; {Subject.RETRY}")
        with Portal(port=port):
            subject.wait(Subject.CONNECTED)

    def test_bad_urls(self):
        for url in ("ftp://x", "wss://", "ws://a b", "ws://host:70000", "ws://u:p@host/", "ws://h\u00f6st/"):
            with self.subTest(url=url):
                self.assertEqual(self.subject(url).wait_exit(), 2)


class DieYoung(PortalTest):
    def test_joins_that_die_soon_come_ever_later(self):
        """Two relays with one secret throw each other out so; so does a portal that fails after each join. With the timing of real life."""

        def script(portal, peer, number):
            join_raw(peer)
            peer.sendall(frame(1, push("phx_close").encode()))

        raw = self.raw(script)
        subject = self.subject(raw.url, PORTAL_TIMING="")
        subject.wait("Listening on")
        end = time.monotonic() + 6
        while time.monotonic() < end:
            subject.wait(f"WARN.*closed the channel, soon after it had taken the join; {Subject.RETRY}")
        self.assertLessEqual(raw.count, 10)
        self.assertIsNone(subject.process.poll())


class Partition(PortalTest):
    def test_giving_up(self):
        subject = self.subject("ws://127.0.0.1:1", PORTAL_TIMING=timing(partition="400ms"))
        start = time.monotonic()
        self.assert_fatal(subject, "no connection to the portal for")
        self.assertLess(time.monotonic() - start, 10)

    def test_only_time_without_a_connection_counts(self):
        def script(portal, peer, number):
            join_raw(peer)
            if number < 6:
                portal.stopping.wait(0.9)  # all in all longer than the relay does without
                return
            serve_raw(peer)

        raw = self.raw(script)
        subject = self.subject(raw.url, PORTAL_TIMING=timing(partition="3s"))
        for _ in range(6):
            subject.wait(Subject.CONNECTED)


class Outage(PortalTest):
    def test_the_same_secret_after_it(self):
        with Portal() as portal:
            port = portal.port
            subject = self.subject(portal.url)
            first = portal.message()
            subject.wait(Subject.INIT)
        subject.wait(Subject.RETRY)
        with Portal(port=port) as portal:
            again = portal.message()
            subject.wait(Subject.CONNECTED)
        self.assertEqual(first["payload"], again["payload"])
        self.assertGreater(again["ref"], first["ref"])


if __name__ == "__main__":
    unittest.main()
