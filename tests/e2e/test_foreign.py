# SPDX-License-Identifier: Apache-2.0
"""Clients that nobody of this project wrote, as programs of their own: pion's and libre's TURN clients, and coturn's tools.

Arguments: the relay, then the path of the built pion program and of the libre program, or "-" where they could not be built."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from harness import DEADLINE, EchoPeers, Relay, main

BINARY, PION, LIBRE = sys.argv[1:4]
del sys.argv[1:4]
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))
V4, V6 = socket.AF_INET, socket.AF_INET6


def text_of(address):
    return ("[%s]:%d" if ":" in address[0] else "%s:%d") % address[:2]


def run_client(*command, timeout=3 * DEADLINE):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, check=False)
    return done.returncode, done.stdout


class Foreign(unittest.TestCase):
    user = None  # with its password, where that is in a file: with the stamp scheme there is none

    @classmethod
    def setUpClass(cls):
        more = ["--replace-allocation", "no", "--max-allocations-per-user", "0"]  # many clients of one user
        if cls.user:
            users = tempfile.NamedTemporaryFile("w", suffix=".users")
            cls.addClassCleanup(users.close)
            users.write("%s:%s\n" % cls.user)
            users.flush()
            more += ["--auth", "static", "--users-file", users.name]
        cls.relay = Relay(BINARY, *more, workers=WORKERS)
        cls.peers = EchoPeers(3)

    def login(self, salt=None):
        return self.user or self.relay.credentials(salt=salt)

    @classmethod
    def tearDownClass(cls):
        cls.peers.close()
        cls.relay.stop()

    def through(self, command, clients, packets):
        status, output = run_client(*command)
        self.assertEqual(status, 0, output)
        self.assertIn("%d of %d clients, %d packets each" % (clients, clients, packets), output)


@unittest.skipIf(PION == "-", "no Go or no pion/turn here")
class Pion(Foreign):
    def talk(self, clients, packets):
        user, password = self.login("pion")
        self.through([PION, "-server", text_of(self.relay.address()), "-user", user, "-password", password,
                      "-peers", ",".join(map(text_of, self.peers.addresses())), "-clients", str(clients),
                      "-packets", str(packets)], clients, packets)

    def test_one_client(self):
        self.talk(1, 300)

    def test_many_clients(self):
        self.talk(30, 60)

    def test_wrong_password(self):
        user, _ = self.login()
        status, output = run_client(PION, "-server", text_of(self.relay.address()), "-user", user, "-password", "wrong",
                                    "-peers", text_of(self.peers.addresses()[0]))
        self.assertEqual(status, 1, output)
        self.assertIn("0 of 1 clients", output)


class PionAmongUsers(Pion):
    """What RFC 8489 adds to challenges does not disturb it."""
    user = ("alice", "wonderland")


@unittest.skipIf(LIBRE == "-", "no libre here")
class Libre(Foreign):
    def talk(self, family, clients, packets):
        user, password = self.login("libre")
        self.through([LIBRE, text_of(self.relay.address(family)), user, password, str(clients), str(packets)] +
                     [text_of(a) for a in self.peers.addresses()], clients, packets)

    def test_one_client(self):
        self.talk(V4, 1, 300)

    def test_many_clients(self):
        self.talk(V4, 40, 60)

    def test_clients_over_ipv6(self):
        self.talk(V6, 20, 60)

    def test_wrong_password(self):
        user, _ = self.login()
        status, output = run_client(LIBRE, text_of(self.relay.address()), user, "wrong", "1", "1",
                                    text_of(self.peers.addresses()[0]))
        self.assertEqual(status, 1, output)
        self.assertIn("code 401", output)


class LibreAmongUsers(Libre):
    """Likewise."""
    user = ("alice", "wonderland")


@unittest.skipIf(not shutil.which("turnutils_stunclient"), "no coturn here")
class Coturn(Foreign):
    """turnutils_uclient picks channel numbers from RFC 5766's range, most of which RFC 8656 refuses: data goes in indications (-s)."""

    def test_binding(self):
        for family in (V4, V6):
            host, port = self.relay.address(family)
            status, output = run_client("turnutils_stunclient", "-p", str(port), host)
            self.assertEqual(status, 0, output)
            self.assertRegex(output, r"UDP reflexive addr: %s:\d+" % re.escape(host))

    def test_allocate_and_refresh(self):
        """How far it gets, and whether it asks for EVEN-PORT, the tool decides at random: several tries."""
        user, password = self.relay.credentials(salt="coturn")
        for family in (V4, V6):
            host, port = self.relay.address(family)
            for _ in range(60):
                _, output = run_client("turnutils_uclient", "-v", "-O", "-c", "-m", "1", "-u", user, "-w", password,
                                       "-e", "127.0.0.1", "-p", str(port), host)
                self.assertEqual(re.findall(r"error (\d+)", output), [], output)
                if "Received relay addr: " in output and re.search(r"refresh response received: *\n.*success", output):
                    break
            else:
                self.fail("never got as far as a refresh: " + output)


@unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
class CoturnWholeRuns(unittest.TestCase):
    """As it comes, but for the channel numbers: for each pair of its clients it asks for an even port with the next one reserved
    (EVEN-PORT), and for that by its token, from another socket of its, which may lead to another worker."""

    def run_through(self, *args, workers):
        with tempfile.NamedTemporaryFile("w", suffix=".users") as users:
            users.write("alice:wonderland\n")
            users.flush()
            with Relay(BINARY, "--auth", "static", "--users-file", users.name, "--relay-mode", "full", "--realm", "example.org",
                       workers=workers) as relay:
                host, port = relay.address()
                status, output = run_client("turnutils_uclient", "-p", str(port), "-u", "alice", "-w", "wonderland", "-s", *args,
                                            host, timeout=60)
                self.assertEqual(status, 0, output)
                self.assertEqual(re.findall(r"error (\d+)", output), [], output)
                sent, received = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)[-1]
                self.assertGreater(int(sent), 50)
                self.assertEqual(sent, received, output)
                self.assertIn("Total lost packets 0 ", output)
                return [int(p) for p in re.findall(r"Created new allocation.* port=(\d+)", relay.output())]

    def pairs(self, ports):
        return [p for p in ports if p % 2 == 0 and p + 1 in ports]

    def test_client_to_client(self):
        ports = self.run_through("-y", "-m", "2", "-n", "30", workers=1)
        self.assertGreaterEqual(len(self.pairs(ports)), 2, ports)

    def test_client_to_client_workers(self):
        ports = self.run_through("-y", "-m", "4", "-n", "30", workers=4)
        self.assertGreaterEqual(len(self.pairs(ports)), 2, ports)

    def test_without_pairs(self):
        self.run_through("-y", "-c", "-m", "2", "-n", "30", workers=1)


if __name__ == "__main__":
    main()
