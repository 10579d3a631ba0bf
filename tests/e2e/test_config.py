# SPDX-License-Identifier: Apache-2.0
"""A relay that is started from a file of options, which is looked at before, and read anew while it runs."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from aioice import turn

from harness import DEADLINE, EchoPeers, PortBlock, Process, clean_environment, main, wait_for

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))


class Sink(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.received.put_nowait(data)


class FromFile(Process):
    """A relay whose options are all in a file, on loopback."""

    def __init__(self, folder, text):
        self.path = os.path.join(folder, "relay.conf")
        self.low, self.high = PortBlock.take(20)
        self.base = ("public-ip4-addr = 127.0.0.1\nlisten-port = 0\nlowest-port = %d\nhighest-port = %d\nworkers = %d\n"
                     "health-check-addr = 127.0.0.1:0\ncontrol-endpoint = 127.0.0.1:0\nunauthenticated-rate = 0\n"
                     % (self.low, self.high, WORKERS))
        self.write(text)
        super().__init__([BINARY, "--config", self.path], clean_environment())
        self.port = int(wait_for(lambda: self.find(r"Listening on \S+:(\d+),"), "the relay to listen").group(1))

    def write(self, text):
        fresh = self.path + ".new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            f.write(self.base + text)
        os.rename(fresh, self.path)

    def hang_up(self, *patterns):
        seen = [len(re.findall(p, self.output(), re.M)) for p in patterns]
        self.process.send_signal(signal.SIGHUP)
        for pattern, count in zip(patterns, seen):
            wait_for(lambda: len(re.findall(pattern, self.output(), re.M)) > count, pattern + "\n" + self.output())

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.wait()
        finally:
            self.kill()
            PortBlock.give_back(self.low)


async def relays_to(relay, user, password, peer):
    """Whether `user` can log in, and data comes back from `peer`."""
    transport, sink = await asyncio.wait_for(turn.create_turn_endpoint(
        Sink, server_addr=("127.0.0.1", relay.port), username=user, password=password), DEADLINE)
    try:
        transport.sendto(b"there and back", peer)
        return await asyncio.wait_for(sink.received.get(), 1.0) == b"kcab dna ereht"
    except (turn.stun.TransactionFailed, asyncio.TimeoutError):
        return False
    finally:
        transport.close()
        await asyncio.sleep(0)


def relays(relay, user, password, peer):
    try:
        return asyncio.run(relays_to(relay, user, password, peer))
    except turn.stun.TransactionFailed:
        return False


def check(text, *args, mode=0o600):
    """What --check-config says of a file: status, standard output, lines on standard error."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "relay.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("FOLDER", folder))
        os.chmod(path, mode)
        done = subprocess.run([BINARY, "--check-config", "--config", path, *args], capture_output=True, text=True, check=False, timeout=DEADLINE,
                              env=clean_environment())
        return done.returncode, done.stdout, [line.replace(folder, "FOLDER") for line in done.stderr.splitlines()]


class Check(unittest.TestCase):
    GOOD = "public-ip4-addr = 192.0.2.1\nauth = rest,static\nauth-secret = a secret of enough bytes\nuser = alice:wonderland\n"

    def test_ok(self):
        self.assertEqual(check(self.GOOD), (0, "OK\n", []))
        # Something else may have the port.
        self.assertEqual(check(self.GOOD, "--health-check-addr", "192.0.2.77:1"), (0, "OK\n", []))

    def test_warnings_are_no_mistakes(self):
        status, out, lines = check(self.GOOD + "tls-cert = /nowhere\n", mode=0o644)
        self.assertEqual((status, out, len(lines)), (0, "OK\n", 2), lines)
        self.assertRegex(lines[0], r"WARN relay: Everybody on this host can read FOLDER/relay.conf, and the secrets in it: chmod o-r")
        self.assertRegex(lines[1], r"WARN relay: --tls-cert has no effect: --tls-listen-port is not set")
        self.assertEqual(check("public-ip4-addr = 192.0.2.1\nrealm = x\n", mode=0o644)[2][0].count("Everybody"), 0)

    def test_all_mistakes(self):
        status, out, lines = check("public-ip4-addr = 192.0.2.1\nauth = rest,static\nlisten-prt = 1\nauth-secret-file = FOLDER/none\nuser = alice\n"
                                   "lowest-port = x\nuser = bob:builder\nuser = carol:\ntls-listen-port = 5349\ntls-cert = FOLDER/cert\ntls-key = FOLDER/key\n")
        self.assertEqual((status, out), (2, ""))
        self.assertEqual([re.sub("^firezone-relay: ", "", line)[:60] for line in lines],
                         [text[:60] for text in ("FOLDER/relay.conf:3: unknown option 'listen-prt': expected listen-port, perhaps",
                          "FOLDER/relay.conf:6: lowest-port: invalid value 'x': expected a port from 1 to 65535",
                          "--auth-secret-file: can't read 'FOLDER/none' (No such file or directory): expected",
                          "--config: FOLDER/relay.conf:8: 'carol' has no password: expected user:password or",
                          "--config: FOLDER/relay.conf:5: there is no colon: expected user:password or",
                          "FOLDER/relay.conf:10: tls-cert: can't read 'FOLDER/cert': No such file or directory")], lines)
        # Elsewhere it is the option.
        lines = check(self.GOOD, "--tls-listen-port", "5349", "--tls-cert", "/nowhere", "--tls-key", "/nowhere")[2]
        self.assertEqual(lines, ["firezone-relay: --tls-cert: can't read '/nowhere': No such file or directory"])

    def test_the_command_line_alone(self):
        done = subprocess.run([BINARY, "--check-config", "--public-ip4-addr", "192.0.2.1", "--auth", "rest"], capture_output=True, text=True, check=False,
                              timeout=DEADLINE, env=clean_environment({"AUTH_SECRET": "a secret of enough bytes"}))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "OK\n", ""))
        done = subprocess.run([BINARY, "--check-config"], capture_output=True, text=True, check=False, timeout=DEADLINE, env=clean_environment())
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1))


class Reload(unittest.TestCase):
    def test_what_counts_at_once(self):
        start = "auth = static\nuser = alice:wonderland\nallow-peer = 127.0.0.1\n"
        with tempfile.TemporaryDirectory() as folder, EchoPeers() as peers, FromFile(folder, start) as relay:
            peer = peers.addresses()[0]
            self.assertTrue(relay.told(r"Options are read from \S+relay.conf, too"))
            self.assertTrue(relays(relay, "alice", "wonderland", peer))
            self.assertFalse(relays(relay, "bob", "builder", peer))
            # Users and a filter, and what takes a restart; comments and order are nothing.
            relay.write("# more\nuser = bob:builder\nauth = static\nallow-peer = 127.0.0.1\nlog-filter = debug\nmobility\nmax-channels = 1000\n")
            relay.hang_up(r"secrets and users are read anew; there is 1 user$", r"SIGHUP: the log filter is another one filter=debug",
                          r"WARN relay: SIGHUP: changed in the file, and it takes a restart or a hand-over: --mobility, --max-channels$")
            wait_for(lambda: relays(relay, "bob", "builder", peer), "the workers to take it")
            self.assertFalse(relays(relay, "alice", "wonderland", peer))
            wait_for(lambda: relay.find(" DEBUG relay: "), "a line of the new filter")
            self.assertNotIn("peer rules now", relay.output())
            # Peer rules.
            relay.write(start + "deny-peer = 127.0.0.1\n")
            relay.hang_up(r"SIGHUP: there are 2 peer rules now", r"SIGHUP: the log filter is another one filter=info")
            wait_for(lambda: not relays(relay, "alice", "wonderland", peer), "the workers to take it")
            self.assertEqual(relay.output().count("takes a restart"), 1)
            # A mistake changes nothing.
            relay.write("user = carol:x\nallow-peer = 127.0.0.1\nlowst-port = 3\n")
            relay.hang_up(r"ERROR relay: SIGHUP: \S+relay.conf:11: unknown option 'lowst-port': expected lowest-port, perhaps; all stays as it was")
            self.assertFalse(relays(relay, "carol", "x", peer))
            relay.write(start)
            relay.hang_up(r"SIGHUP: there is 1 peer rule now")
            wait_for(lambda: relays(relay, "alice", "wonderland", peer), "the workers to take it")

    def test_another_certificate(self):
        """Of other files, which the file of options names from now on."""
        def make(folder, name):
            paths = [os.path.join(folder, name + end) for end in (".cert", ".key")]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                            "-keyout", paths[1], "-out", paths[0]], check=True, capture_output=True, timeout=DEADLINE)
            return "tls-cert = %s\ntls-key = %s\n" % tuple(paths)

        def subject():
            done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port], input="", capture_output=True, text=True, check=False, timeout=DEADLINE)
            return re.search(r"subject=CN = (\S+)", done.stdout).group(1)
        with tempfile.TemporaryDirectory() as folder:
            first, second = make(folder, "first"), make(folder, "second")
            port = PortBlock.take(1)[0]
            self.addCleanup(PortBlock.give_back, port)
            start = "tls-listen-port = %d\n" % port
            with FromFile(folder, start + first) as relay:
                self.assertEqual(subject(), "first")
                relay.write(start + second)
                relay.hang_up("SIGHUP: the certificate is read anew")
                wait_for(lambda: subject() == "second", "the workers to take it")
                relay.write(start + second.replace("second.key", "first.key"))
                relay.hang_up(r"ERROR relay: SIGHUP: \S+relay\.conf:\d+: tls-cert .*relay\.conf:\d+: tls-key .*; the certificate that there was stays")
                self.assertEqual(subject(), "second")

    def test_secrets(self):
        def made(secret):
            done = subprocess.run([BINARY, "credentials", "--auth", "rest"], capture_output=True, text=True, check=True, timeout=DEADLINE,
                                  env=clean_environment({"AUTH_SECRET": secret}))
            return re.findall(r": +(\S+)\n", done.stdout)[:2]
        old, new = "the old secret of this test", "the new # secret of this test"
        with tempfile.TemporaryDirectory() as folder, EchoPeers() as peers, \
                FromFile(folder, "auth = rest\nallow-peer = 127.0.0.1\nauth-secret = %s\n" % old) as relay:
            peer = peers.addresses()[0]
            self.assertTrue(relays(relay, *made(old), peer))
            relay.write("auth = rest\nallow-peer = 127.0.0.1\nauth-secret = '%s'\nauth-second-secret = %s\n" % (new, old))
            relay.hang_up("secrets are read anew")
            wait_for(lambda: relays(relay, *made(new), peer), "the workers to take it")
            self.assertTrue(relays(relay, *made(old), peer))
            relay.write("auth = rest\nallow-peer = 127.0.0.1\nauth-secret = '%s'\n" % new)
            relay.hang_up("secrets are read anew")
            wait_for(lambda: not relays(relay, *made(old), peer), "the workers to take it")
            for secret in (old, new):
                self.assertNotIn(secret, relay.output())


if __name__ == "__main__":
    main()
