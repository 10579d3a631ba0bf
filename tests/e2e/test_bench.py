# SPDX-License-Identifier: Apache-2.0
"""fzr-bench sends as many requests as it is told to, and counts what came back."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

from harness import DEADLINE, Relay, main, wait_for
from stream_client import free_port
from watch import Metrics, endpoint

BINARY, BENCH = sys.argv.pop(1), sys.argv.pop(1)


class Server:
    """Takes Binding requests, and answers those whose number `answers` says yes to."""

    def __init__(self, answers):
        self.answers = answers
        self.taken = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve)

    def _serve(self):
        while True:
            data, source = self.socket.recvfrom(2048)
            if source == self.socket.getsockname():
                return
            number, self.taken = self.taken, self.taken + 1
            if self.answers(number):
                self.socket.sendto(struct.pack(">HH", 0x0101, 0) + data[4:20], source)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *ignored):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(DEADLINE)
        self.socket.close()


def bench(mode, port, *args):
    """Runs fzr-bench; returns its exit status and what it counted."""
    done = subprocess.run([BENCH, mode, "--server", "127.0.0.1:%d" % port, "--json", *args], stdout=subprocess.PIPE, check=False,
                          timeout=DEADLINE)
    return done.returncode, json.loads(done.stdout)


class Binding(unittest.TestCase):
    def run_against(self, answers, packets, *args):
        with Server(answers) as server:
            status, result = bench("binding", server.socket.getsockname()[1], "--packets", str(packets), "--seconds", "15", *args)
        self.assertEqual(server.taken, packets)
        self.assertEqual(result["answered"] + result["lost"], packets)
        return status, result

    def test_as_many_as_asked_for(self):
        for packets, args in ((1, ()), (10, ()), (64, ()), (500, ()), (7, ("--window", "1"))):
            with self.subTest(packets=packets):
                status, result = self.run_against(lambda number: True, packets, *args)
                self.assertEqual((status, result["answered"]), (0, packets))

    def test_what_is_lost_is_not_sent_again(self):
        status, result = self.run_against(lambda number: number % 4, 20, "--window", "8")
        self.assertEqual((status, result["lost"]), (0, 5))

    def test_nobody_answers(self):
        begin = time.monotonic()
        status, result = self.run_against(lambda number: False, 20)
        self.assertEqual((status, result["lost"]), (1, 20))
        self.assertLess(time.monotonic() - begin, 10, "it ends before its time is over")


class Relayed(unittest.TestCase):
    def test_an_address_that_the_host_does_not_have(self):
        """As behind a NAT: what can't be reached, why, and what to measure instead."""
        with Relay(BINARY, "--public-ip4-addr", "203.0.113.7", "--bind-ip4-addr", "127.0.0.1", "--allow-peer", "127.0.0.1", v4=None, v6=None,
                   probe=False) as relay:
            done = subprocess.run([BENCH, "relay", "--server", "127.0.0.1:%d" % relay.port, "--stamp-secret-file", relay.secret_file.name,
                                   "--packets", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                  timeout=DEADLINE)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stdout, r"peers at 127\.0\.0\.1 can't reach the relayed address 203\.0\.113\.7: (Invalid arg|Network is unr)")
            self.assertIn("--public-ip4-addr 127.0.0.1", done.stdout)


    def test_the_user_of_a_secret(self):
        with Relay(BINARY, "--auth", "rest", "--usage-log") as relay:
            secret = ["--rest-secret-file", relay.secret_file.name]
            for args, user in ((secret, "fzr-bench"), (secret + ["--user", "alice"], "alice"), (["--user", "bob"] + secret, "bob")):
                status, result = bench("allocate", relay.port, *args)
                self.assertEqual(status, 0, result)
                self.assertTrue(relay.told(r"Session began.*\b%s\b" % user), user)
            for args in (secret + ["--password", "x"], ["--stamp-secret-file", relay.secret_file.name, "--user", "alice"]):
                done = subprocess.run([BENCH, "allocate", "--server", "127.0.0.1:9", *args], capture_output=True, text=True, check=False,
                                      timeout=DEADLINE)
                self.assertEqual((done.returncode, done.stderr.count("not with")), (2, 1), done.stderr)

    def test_a_server_without_tls(self):
        """Its port of TCP is taken for one of TLS, and ends what is no message."""
        port = free_port()
        with Relay(BINARY, "--tcp-listen-port", str(port)) as relay:
            done = subprocess.run([BENCH, "relay", "--transport", "tls", "--server", "127.0.0.1:%d" % port, "--stamp-secret-file",
                                   relay.secret_file.name, "--packets", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False, timeout=DEADLINE)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("fzr-bench: socket: the server spoke no TLS in time", done.stdout)


class Refresh(unittest.TestCase):
    def test_as_many_as_asked_for(self):
        with Relay(BINARY) as relay:
            status, result = bench("refresh", relay.port, "--packets", "10", "--clients", "4", "--seconds", "15", "--stamp-secret-file",
                                   relay.secret_file.name)
            self.assertEqual((status, result["answered"], result["failed"]), (0, 10, 0))

            def told():
                return Metrics(endpoint(relay)).get("relay_responses_total", response_class="success", message_type="refresh")
            # And one each, to give the allocation back.
            wait_for(lambda: told() >= 14, "the relay to have told of all refreshes")


if __name__ == "__main__":
    main()
