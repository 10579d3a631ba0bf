# SPDX-License-Identifier: Apache-2.0
"""Firezone's clients, as a mimic, while relays are killed and started again: the portal tells them of the new life."""
import time
import unittest

from flows import credentials
from harness import PATIENCE, SECRET, TOLD_WITHIN, PortalTest, Subject, free_udp_port
from mimic import Mimic


class Restarts(PortalTest):
    def start(self, portal, port, **env):
        """A relay that has joined."""
        joined = len(portal.secrets)
        subject = self.subject(portal.url, LISTEN_PORT=str(port), **env)
        subject.wait(r"Listening on \S+:(\d+),")
        self.assertEqual(len(portal.secrets), joined + 1)
        return subject

    def call(self, portal, port):
        call = Mimic("snownet", ("127.0.0.1", port), credentials(secret=portal.secrets[-1]))
        self.addCleanup(call.close)
        call.expect("ready")
        self.data(call)
        return call

    def data(self, call):
        """Its next packets arrive, and none of those that it reports of is lost."""
        arrived, end = 0, time.monotonic() + PATIENCE
        while arrived < 20:
            report = call.report()
            self.assertEqual(report["lost"], 0)
            arrived += report["arrived"]
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        call.expect_nothing()

    def kill(self, subject):
        subject.process.kill()
        subject.wait_exit()
        subject.process.returncode = 0

    def killed_and_started(self, secret):
        portal, port = self.portal(), free_udp_port()
        subject = self.start(portal, port, AUTH_SECRET=secret)
        call = self.call(portal, port)
        for life in range(2):
            start = time.monotonic()
            self.kill(subject)
            subject = self.start(portal, port, AUTH_SECRET=secret)
            self.assertEqual(len(set(portal.secrets)), life + 2, "the portal can not tell that it is another life")
            call.tell("login %s %s" % credentials(secret=portal.secrets[-1]))
            call.tell("begin")
            call.expect("ready")
            call.count_anew()  # what was lost between the lives
            while not call.report()["arrived"] and time.monotonic() < start + PATIENCE:
                time.sleep(0.001)
            took = time.monotonic() - start
            print(f"data again {took:.3f} s after the relay was killed")
            self.assertLess(took, TOLD_WITHIN)
            self.data(call)

    def test_with_a_secret_of_the_operator(self):
        self.killed_and_started(SECRET)

    def test_without(self):
        self.killed_and_started("")

    def test_the_other_one_with_the_same_secret_lives_on(self):
        portal = self.portal()
        ports = [free_udp_port() for _ in range(2)]
        subjects, calls = [], []
        for i, port in enumerate(ports):
            ranges = {"LOWEST_PORT": str(50000 + 1000 * i), "HIGHEST_PORT": str(50999 + 1000 * i)}
            subjects.append(self.start(portal, port, **ranges))
            calls.append(self.call(portal, port))
        self.assertEqual(len(portal.relays), 2)
        self.kill(subjects[0])
        self.start(portal, ports[0], LOWEST_PORT="50000", HIGHEST_PORT="50999")
        calls[0].tell("login %s %s" % credentials(secret=portal.secrets[-1]))
        calls[0].tell("begin")
        calls[0].expect("ready")
        calls[0].count_anew()
        for call in calls:
            self.data(call)
        self.assertEqual(calls[1].report()["resets"], 0)
        self.assertNotRegex(subjects[1].output(), Subject.RETRY)

    def test_two_relays_of_which_one_is_full(self):
        """Whoever comes to it first hears nothing of it, and takes the other one; who is in stays, with another port, too."""
        portal = self.portal()
        full, room, only = free_udp_port(), free_udp_port(), str(free_udp_port())
        self.start(portal, full, LOWEST_PORT=only, HIGHEST_PORT=only)
        of_full = portal.secrets[-1]
        inside = self.call(portal, full)
        self.start(portal, room)
        of_room = portal.secrets[-1]
        late = []
        for _ in range(6):
            late.append(Mimic("snownet", ("127.0.0.1", full), credentials(secret=of_full)))
            self.addCleanup(late[-1].close)
        self.data(inside)
        for call in late:
            call.expect("ended: no answer")
            call.tell(f"relay {room}")
            call.tell("login %s %s" % credentials(secret=of_room))
            call.tell("begin")
        for call in late:
            call.expect("ready")
            self.data(call)
        for _ in range(2):
            inside.tell("flip")
            inside.tell("refresh")
            inside.expect("ready")
            inside.count_anew()
            self.data(inside)


if __name__ == "__main__":
    unittest.main()
