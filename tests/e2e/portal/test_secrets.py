# SPDX-License-Identifier: Apache-2.0
"""Token and secret stay where they belong, whatever the portal says and whatever goes wrong. That no output of any test holds them is
checked by PortalTest for every subject; here is what provokes it."""
import http.client
import os
import resource
import shutil
import signal
import tempfile
import time
import unittest
import unittest.mock
import urllib.parse

from flows import Client, Flow, Refused, Timeout, credentials
from harness import (
    PATIENCE,
    SANITIZED,
    SECRET,
    TOKEN,
    TOLD_WITHIN,
    PortalTest,
    Subject,
    frame,
    join_raw,
    push,
    read_request,
    reply,
    timing,
)

# How long two relays with one secret are watched. PORTAL_SIDE_BY_SIDE=3600 for an hour.
SIDE_BY_SIDE = float(os.environ.get("PORTAL_SIDE_BY_SIDE", "1"))

FORMS = (TOKEN, urllib.parse.quote_plus(TOKEN), TOKEN[:20], SECRET, SECRET[:20])


def get(address, path):
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    connection.close()
    return body


class Told(PortalTest):
    """A portal that repeats what it was told, in every place that is shown."""

    def test_everything_a_portal_can_say(self):
        told = f"{TOKEN} {urllib.parse.quote_plus(TOKEN)} "
        secrets = [""]  # of the last join

        def script(portal, peer, number):
            if number in (3, 4):
                secrets.append(join_raw(peer)["payload"]["stamp_secret"])
            both = told + secrets[-1]
            if number == 1:
                peer.sendall(read_request(peer).replace(b"GET ", b"HTTP/1.1 503 ", 1) + both.encode())
            elif number == 2:
                read_request(peer)
                peer.sendall(f"HTTP/1.1 500 {both[:50]}\r\nX: {both}\r\nContent-Length: 0\r\n\r\n".encode())
            elif number == 3:
                peer.sendall(frame(1, push(both).encode()) + frame(1, push("x", {"y": both}, topic=both).encode()))
                peer.sendall(frame(1, push("disconnect", {"reason": both}).encode()))
                peer.sendall(frame(1, both.encode()) + frame(2, both.encode()))
                peer.sendall(frame(8, b"\x03\xe9" + both.encode()[:120]))
            elif number == 4:
                peer.sendall(frame(8, b"\x03\xe9" + secrets[-1].encode()))
            else:
                read_request(peer)
                location = f"https://{secrets[-1]}.example/{TOKEN}?token={TOKEN}"
                status = 302 if number == 5 else 401
                peer.sendall(f"HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())

        for style in ("human", "json", "google-cloud"):
            del secrets[1:]
            with self.subTest(style=style):
                subject = self.subject(self.raw(script).url, LOG_FORMAT=style)
                self.assert_fatal(subject, r"status 302, a redirect to .*\*{20}", r"status 503: .*\*{20}", "close 1001: ", r"close 1001: \*{20}")
                subject.close()
                for secret in secrets[1:]:
                    self.assertNotIn(secret, subject.output())
                    self.assertNotIn(secret[:20], subject.output())

    def test_error_reply(self):
        for what in ("token", "secret"):

            async def script(portal, connection, number, what=what):
                join = await portal.receive(connection)
                await portal.register(connection, join)
                said = TOKEN if what == "token" else portal.secrets[-1]
                await connection.send(reply(join, "error", {"reason": f"no {said} here"}))
                await portal.receive(connection)

            with self.subTest(what=what):
                self.assert_fatal(self.subject(self.portal(script).url), r"refused the login: no \*{20,} here")


class Shown(PortalTest):
    def test_process_and_metrics(self):
        subject = self.subject(self.portal().url)
        health = subject.wait(r"Health and metrics on http://(\S+)").group(1)
        flow = Flow(self, int(subject.wait(r"Listening on \S+:(\d+),").group(1)))
        flow.relay(20)
        with open(f"/proc/{subject.process.pid}/cmdline") as file:
            shown = file.read()
        for task in os.listdir(f"/proc/{subject.process.pid}/task"):
            with open(f"/proc/{subject.process.pid}/task/{task}/comm") as file:
                shown += file.read()
        shown += get(health, "/metrics") + get(health, "/healthz") + get(health, "/readyz")
        for form in FORMS:
            self.assertNotIn(form, shown)

    def test_token_as_argument_is_warned_about(self):
        subject = self.subject(self.portal().url, arguments=[TOKEN], FIREZONE_TOKEN="")
        subject.wait("given as an argument, where every user of this host can read it")
        subject.wait(Subject.CONNECTED)


class Mistakes(PortalTest):
    """Configuration that is refused: status 2, one line, nothing opened, no secret."""

    def refused(self, expected, arguments=(), **env):
        subject = self.subject(env.pop("url", "ws://127.0.0.1:1"), arguments=arguments, **env)
        self.assertEqual(subject.wait_exit(), 2, subject.output())
        lines = [line for line in subject.output().splitlines() if line.startswith("firezone-relay: ")]
        self.assertEqual(len(lines), 1, subject.output())
        self.assertIn(expected, lines[0])
        self.assertNotIn(" on http://", subject.output())

    def test_tokens(self):
        for token in (TOKEN + "\x07", TOKEN * 100, "\r\n", TOKEN + " " + TOKEN, TOKEN + "\u00e9"):
            self.refused("FIREZONE_TOKEN: invalid value '(not shown)': expected 1 to 3072 printable", FIREZONE_TOKEN=token)
        self.refused("TOKEN: invalid value '(not shown)'", arguments=[TOKEN + " " + TOKEN])
        self.refused("unknown option '--token'", arguments=["--token=" + TOKEN])
        self.refused("unexpected third argument", arguments=[TOKEN, "y", TOKEN])

    def test_secrets(self):
        self.refused("AUTH_SECRET: the secret is too long", AUTH_SECRET=SECRET * 4)

    def test_urls(self):
        for url in (f"ws://u:{TOKEN}@127.0.0.1:1", f"ftp://127.0.0.1?token={TOKEN}"):
            self.refused("(not shown)", url=url)
        self.refused("'ftp://127.0.0.1'", url="ftp://127.0.0.1")
        self.refused("MAX_PARTITION_TIME: invalid value '0'", MAX_PARTITION_TIME="0")

    def test_what_the_environment_may_hold(self):
        """Clients log in with credentials of long and strange secrets; the portal gets to see none of them."""
        secret = '"\\\x01\x7f\u00fc\U0001f600' + "\x02" * 200
        portal = self.portal()
        subject = self.subject(portal.url, AUTH_SECRET=secret)
        self.assert_made_secret(portal.message()["payload"]["stamp_secret"])
        Flow(self, int(subject.wait(r"Listening on \S+:(\d+),").group(1)), secret=secret).relay(20)


class Lives(PortalTest):
    """The portal makes a relay's id of its secret, and tells clients of a relay only when its id is new."""

    def start(self, portal, **env):
        subject = self.subject(portal.url, **env)
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        return subject, port

    def test_each_life_has_an_id_of_its_own(self):
        portal = self.portal()
        subject, port = self.start(portal)
        Flow(self, port).relay(20)
        start = time.monotonic()
        subject.process.kill()
        subject.wait_exit()
        subject.process.returncode = 0
        subject, port = self.start(portal)
        first, second = portal.secrets
        self.assertNotEqual(first, second)
        self.assert_made_secret(second)
        Flow(self, port, secret=second).relay(20)  # made by the portal
        took = time.monotonic() - start
        print(f"20 packets each way are back {took:.3f} s after the relay was killed")
        self.assertLess(took, TOLD_WITHIN)
        Flow(self, port).relay(20)  # made by the operator
        for secret in (first, SECRET[:-1]):
            with Client(("127.0.0.1", port), *credentials(secret=secret)) as client:
                client.retransmit = (1,)
                with self.assertRaises((Refused, Timeout)):
                    client.allocate()

    def test_two_relays_with_one_secret(self):
        portal = self.portal()
        # Who watches for long does so with the relay's own times: a portal in Python may well be late by 150 ms once in an hour.
        times = timing(heartbeat="50ms") if SIDE_BY_SIDE <= 1 else ""
        subjects = [self.start(portal, PORTAL_TIMING=times)[0] for _ in range(2)]
        end = time.monotonic() + SIDE_BY_SIDE
        heard = 0
        while heard < 20 or time.monotonic() < end:
            portal.message()
            heard += 1
        self.assertEqual(len(portal.relays), 2)
        self.assertEqual(portal.count, 2)
        for subject in subjects:
            self.assertNotRegex(subject.output(), Subject.RETRY)

    def test_without_a_secret(self):
        portal = self.portal()
        _, port = self.start(portal, AUTH_SECRET="")
        self.assert_made_secret(portal.secrets[0])
        Flow(self, port, secret=portal.secrets[0]).relay(20)

    def test_the_same_secret_at_each_join_of_a_life(self):
        portal, endings = self.bounced()
        subject, _ = self.start(portal, PORTAL_TIMING=timing(heartbeat="50ms"))
        for i in range(2):
            endings.append(i)
            subject.wait(Subject.RETRY)
            subject.wait(Subject.CONNECTED)
        self.assertEqual(len(set(portal.secrets)), 1)
        self.assertEqual(len(portal.secrets), 3)


class Core(PortalTest):
    """No core dump: the limit is 0, and the process is not one that can be dumped, should somebody raise the limit."""

    NOBODY = 65534

    def start(self):
        """The relay as a user that is not root, for whom the owner of /proc/PID tells whether it can be dumped."""
        directory, before, limit = tempfile.mkdtemp(), os.getcwd(), resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(shutil.rmtree, directory)
        self.addCleanup(os.chdir, before)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limit)
        os.chmod(directory, 0o777)
        os.chdir(directory)
        resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
        wrapper = f"setpriv --reuid={self.NOBODY} --regid={self.NOBODY} --clear-groups" if os.getuid() == 0 else ""
        with unittest.mock.patch.dict(os.environ, PORTAL_WRAPPER=wrapper):
            subject = self.subject(self.portal().url)
        try:
            subject.wait(Subject.INIT)
        except AssertionError:
            if "Permission denied" in subject.output():
                subject.process.returncode = 0
                self.skipTest("this build is not where others can run it")
            raise
        return subject

    def test_limit_is_0(self):
        subject = self.start()
        with open(f"/proc/{subject.process.pid}/limits") as file:
            self.assertRegex(file.read(), r"Max core file size +0 +0 ")
        with open(f"/proc/{subject.process.pid}/status") as file:
            self.assertRegex(file.read(), r"NoNewPrivs:\s+1\n")

    def test_memory_can_not_be_dumped(self):
        if SANITIZED:
            self.skipTest("sanitizers have to look at the process, which this forbids")
        subject = self.start()
        self.assertEqual(os.stat(f"/proc/{subject.process.pid}/mem").st_uid, 0)
        os.kill(subject.process.pid, signal.SIGABRT)
        subject.wait_exit()
        self.assertEqual(subject.process.returncode, -signal.SIGABRT)
        self.assertEqual(os.listdir("."), [])
        subject.process.returncode = 0


if __name__ == "__main__":
    unittest.main()
