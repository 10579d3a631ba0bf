# SPDX-License-Identifier: Apache-2.0
"""How clients log in: users with passwords of their own and time-limited credentials, with clients that nobody of this project
wrote (aioice's TURN client and coturn's turnutils_uclient), and what becomes of them when files are read anew."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from aioice import turn

from harness import DEADLINE, EchoPeers, PortBlock, Relay, clean_environment, main, wait_for
from watch import Metrics, endpoint

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))
REALM = "example.org"
OLD, NEW = "the old secret of this test", "the new secret of this test"


class Sink(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.received.put_nowait(data)


class File:
    """A file of a test's, with what may be written anew."""

    def __init__(self, text):
        fd, self.name = tempfile.mkstemp(prefix="fzr-auth-")
        os.close(fd)
        self.write(text)

    def write(self, text):
        with open(self.name, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        os.unlink(self.name)


async def turn_endpoint(relay, username, password):
    return await asyncio.wait_for(turn.create_turn_endpoint(
        Sink, server_addr=relay.address(), username=username, password=password), DEADLINE)


async def exchange(transport, sink, peer, count=3):
    for i in range(count):
        transport.sendto(b"%d." % i * 50, peer)
        assert await asyncio.wait_for(sink.received.get(), DEADLINE) == (b"%d." % i * 50)[::-1]


def relays(relay, username, password):
    """Whether it takes these: then data goes there and back."""
    async def run():
        try:
            transport, sink = await turn_endpoint(relay, username, password)
        except Exception as error:  # pylint: disable=broad-except  (aioice has several)
            assert "401" in str(error), error
            return False
        try:
            await exchange(transport, sink, peers.addresses()[0])
        finally:
            transport.close()
            await asyncio.sleep(0)
        return True
    with EchoPeers() as peers:
        return asyncio.run(run())


def made(*args, env=None):
    done = subprocess.run([BINARY, "credentials", "--format", "json", "--realm", REALM, *args], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=20, env=clean_environment(env))
    return json.loads(done.stdout)


def uclient(relay, *args, tries=10):
    """Whether it allocates and refreshes. With -O, which spares it the data, it breaks off at random: hence several tries."""
    host, port = relay.address()
    for _ in range(tries):
        done = subprocess.run(["turnutils_uclient", "-v", "-O", "-c", "-m", "1", "-e", "127.0.0.1", "-r", "9", "-p", str(port), *args, host],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        if "Received relay addr: " in done.stdout and re.search(r"refresh response received: *\n.*success", done.stdout):
            return True
    return False


def hang_up(relay, answer):
    before = relay.output().count("SIGHUP: ")
    relay.process.send_signal(signal.SIGHUP)
    wait_for(lambda: relay.output().count("SIGHUP: ") > before, "the signal to be seen")
    assert re.search(answer, relay.output().rsplit("SIGHUP: ", 1)[1]), relay.output()


class Users(unittest.TestCase):
    TEXT = "# people\n\nalice:wonderland\nbob:0x%s\nZo\u00eb: a b:c \n"

    def setUp(self):
        # printf %s bob:example.org:builder | md5sum
        self.users = File(self.TEXT % "b70615a74a524becc6960f540634bb00")
        self.addCleanup(os.unlink, self.users.name)

    def relay(self, *args, **more):
        return Relay(BINARY, "--auth", "static", "--realm", REALM, "--users-file", self.users.name, *args, workers=WORKERS, **more)

    def test_aioice(self):
        with self.relay() as relay:
            self.assertTrue(relay.told(r"Clients log in by --auth static, realm 'example.org', 3 users in --users-file, 64 allocations a user at most$"))
            self.assertTrue(relay.told(r"Relay mode full \(the default with --auth static\)"))
            self.assertTrue(relay.told(r":5 looks wrong: blanks beside the colon"))
            self.assertTrue(relays(relay, "alice", "wonderland"))
            self.assertTrue(relays(relay, "bob", "builder"))
            self.assertTrue(relays(relay, "Zo\u00eb", " a b:c"))
            self.assertFalse(relays(relay, "alice", "wonder"))
            self.assertFalse(relays(relay, "carol", "wonderland"))
            self.assertNotIn("wonderland", relay.output())

    @unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
    def test_uclient(self):
        with self.relay() as relay:
            self.assertTrue(uclient(relay, "-u", "alice", "-w", "wonderland"))
            self.assertTrue(uclient(relay, "-u", "bob", "-w", "builder"))
            self.assertFalse(uclient(relay, "-u", "bob", "-w", "wonderland", tries=3))

    @unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
    def test_uclient_sends_indications(self):
        """Full mode, as it is the default here."""
        with self.relay() as relay, EchoPeers(change=lambda data: data) as peers:
            host, port = peers.addresses()[0]
            done = subprocess.run(["turnutils_uclient", "-s", "-c", "-n", "5", "-e", host, "-r", str(port), "-p", str(relay.port), "-u", "alice",
                                   "-w", "wonderland", "127.0.0.1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
            self.assertIn("tot_recv_msgs=5", done.stdout)
            self.assertIn("Total lost packets 0 ", done.stdout)
            metrics = Metrics(endpoint(relay))
            self.assertEqual([metrics.get("relay_indications_total", message_type=kind) for kind in ("send", "data")], [5, 5])

    @unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
    def test_uclient_moves(self):
        """With its ticket, which it takes for text (RFC 8016)."""
        with self.relay("--mobility") as relay, EchoPeers(change=lambda data: data) as peers:
            host, port = peers.addresses()[0]
            done = subprocess.run(["turnutils_uclient", "-M", "-s", "-c", "-m", "8", "-n", "2", "-e", host, "-r", str(port), "-p", str(relay.port),
                                   "-u", "alice", "-w", "wonderland", "127.0.0.1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60, check=False)
            self.assertNotRegex(done.stdout, r"error \d")
            self.assertIn("Total lost packets 0 ", done.stdout)
            wait_for(lambda: relay.output().count("Moved allocation") >= 8, "the lines of eight moves")

    def test_credentials(self):
        with self.relay() as relay:
            alice = made("--auth", "static", "--user", "alice", "--users-file", self.users.name)
            self.assertEqual(alice, {"username": "alice", "password": "wonderland", "realm": REALM})
            self.assertTrue(relays(relay, alice["username"], alice["password"]))
            for user, why in (("bob", "the key alone"), ("carol", "there is no 'carol'")):
                done = subprocess.run([BINARY, "credentials", "--auth", "static", "--users-file", self.users.name, "--user", user],
                                      capture_output=True, text=True, check=False, timeout=20, env=clean_environment())
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(why, done.stderr)

    def test_read_anew_while_alice_talks(self):
        async def run(relay, peer):
            transport, sink = await turn_endpoint(relay, "alice", "wonderland")
            await exchange(transport, sink, peer)
            self.users.write("alice:wonderland\ncarol:c\n")
            hang_up(relay, "secrets and users are read anew; there are 2 users")
            await exchange(transport, sink, peer)
            # A mistake changes nothing.
            self.users.write("alice:wonderland\ncarol\n")
            hang_up(relay, re.escape("--users-file: %s:2: there is no colon: expected user:password or user:0xKEY; "
                                     "the secrets and users that there were stay" % self.users.name))
            await exchange(transport, sink, peer)
            # Who is gone is not cut off.
            self.users.write("carol:c\n")
            hang_up(relay, "there is 1 user$")
            await exchange(transport, sink, peer)
            transport.close()
            await asyncio.sleep(0)
        with self.relay() as relay, EchoPeers() as peers:
            self.assertTrue(relays(relay, "bob", "builder"))
            self.assertFalse(relays(relay, "carol", "c"))
            asyncio.run(run(relay, peers.addresses()[0]))
            wait_for(lambda: relays(relay, "carol", "c"), "the workers to take it")
            self.assertFalse(relays(relay, "bob", "builder"))
            self.assertFalse(relays(relay, "alice", "wonderland"))


class Start(unittest.TestCase):
    """A pipe is waited for at the start; a signal that comes meanwhile is not lost, and finds that it can't be read a second time."""

    def test_a_pipe(self):
        low, high = PortBlock.take(10)
        with tempfile.TemporaryDirectory() as folder:
            pipe = os.path.join(folder, "users")
            os.mkfifo(pipe)
            with subprocess.Popen([BINARY, "--public-ip4-addr", "127.0.0.1", "--listen-port", "0", "--lowest-port", str(low), "--highest-port", str(high),
                                   "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0", "--auth", "static",
                                   "--max-allocations-per-user", "0", "--users-file", pipe],
                                  stdout=subprocess.PIPE, text=True, env=clean_environment()) as relay:
                try:
                    with open("/proc/%d/status" % relay.pid, encoding="ascii") as status:
                        def holds():
                            status.seek(0)
                            return int(re.search(r"SigBlk:\s*([0-9a-f]+)", status.read()).group(1), 16) & 1 << signal.SIGTERM - 1
                        wait_for(holds, "it to hold signals")
                    relay.send_signal(signal.SIGHUP)
                    with open(pipe, "w", encoding="ascii") as users:
                        users.write("alice:wonderland\n")
                    lines = []
                    for line in relay.stdout:
                        lines.append(line)
                        if "SIGHUP: " in line:
                            break
                    self.assertRegex(lines[-1], "--users-file: can't read .*it is no regular file.*; the secrets and users that there were stay")
                    self.assertRegex("".join(lines), r"1 user in --users-file, any number of allocations a user\n")
                    relay.send_signal(signal.SIGTERM)
                    self.assertIn("Goodbye!", relay.stdout.read())
                    self.assertEqual(relay.wait(DEADLINE), 0)
                finally:
                    relay.kill()
        PortBlock.give_back(low)


class Rest(unittest.TestCase):
    def relay(self, *args, env=None):
        return Relay(BINARY, "--auth", "rest", "--realm", REALM, *args, workers=WORKERS, env=env)

    def test_aioice(self):
        with File(NEW) as new, File(b"\xef\xbb\xbf " + OLD.encode() + b"\r\n\n") as old:
            with self.relay("--auth-secret-file", new.name, "--auth-second-secret-file", old.name) as relay:
                for secret in (NEW, OLD):
                    one = made("--auth", "rest", "--user", "joe", "--ttl", "1h", env={"AUTH_SECRET": secret})
                    self.assertRegex(one["username"], r"^\d+:joe$")
                    self.assertTrue(relays(relay, one["username"], one["password"]))
                    self.assertFalse(relays(relay, one["username"] + "x", one["password"]))
                other = made("--auth", "rest", env={"AUTH_SECRET": "another secret of this test"})
                self.assertFalse(relays(relay, other["username"], other["password"]))
                # The old one's time is over.
                new.write(NEW + "\n")
                old.write(NEW)
                hang_up(relay, "secrets are read anew")
                wait_for(lambda: not relays(relay, one["username"], one["password"]), "the workers to take it")

    def test_a_secret_is_changed_without_a_restart(self):
        """As docs/from-coturn.md says it: the second file is absent, then has the old one, then is empty, or gone."""
        none = "--auth-second-secret-file is empty or absent: there is no second secret"
        old, new = (made("--auth", "rest", "--user", "joe", env={"AUTH_SECRET": s}) for s in (OLD, NEW))
        def takes(one):
            return relays(relay, one["username"], one["password"])
        with File(OLD) as first, tempfile.TemporaryDirectory() as folder:
            second = os.path.join(folder, "second")
            with self.relay("--auth-secret-file", first.name, "--auth-second-secret-file", second) as relay:
                self.assertTrue(relay.told(none))
                self.assertTrue(takes(old))
                for count, end in ((2, lambda: os.truncate(second, 0)), (3, lambda: os.unlink(second))):
                    shutil.copy(first.name, second)
                    first.write(NEW if count == 2 else "a third secret of this test")
                    hang_up(relay, "secrets are read anew")
                    wait_for(lambda: takes(new), "the workers to take it")
                    self.assertEqual(takes(old), count == 2)
                    end()
                    hang_up(relay, "secrets are read anew")
                    self.assertEqual(relay.output().count(none), count)
                    wait_for(lambda: not takes(old if count == 2 else new), "the workers to take it")
                    self.assertEqual(takes(new), count == 2)

    @unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
    def test_uclient(self):
        with self.relay(env={"AUTH_SECOND_SECRET": OLD}) as relay, open(relay.secret_file.name, encoding="ascii") as first:
            self.assertTrue(uclient(relay, "-u", "joe", "-W", first.read().strip()))
            self.assertTrue(uclient(relay, "-u", "joe", "-W", OLD))
            self.assertFalse(uclient(relay, "-u", "joe", "-W", NEW, tries=3))

    def test_beside_users(self):
        with File("gateway:always here\n") as users, File(NEW) as secret:
            with Relay(BINARY, "--auth", "static,rest", "--realm", REALM, "--users-file", users.name, "--auth-secret-file", secret.name,
                       workers=WORKERS) as relay:
                self.assertTrue(relay.told(r"Clients log in by --auth rest,static, realm 'example.org', 1 user in"))
                joe = made("--auth", "rest", "--user", "joe", env={"AUTH_SECRET": NEW})
                self.assertTrue(relays(relay, joe["username"], joe["password"]))
                self.assertTrue(relays(relay, "gateway", "always here"))
                self.assertFalse(relays(relay, "gateway", joe["password"]))
                if shutil.which("turnutils_uclient"):
                    self.assertTrue(uclient(relay, "-u", "joe", "-W", NEW))
                    self.assertTrue(uclient(relay, "-u", "gateway", "-w", "always here"))


class Stamp(unittest.TestCase):
    """What is the default."""

    def test_mode(self):
        with Relay(BINARY, workers=WORKERS) as relay:
            self.assertTrue(relay.told(r"Clients log in by --auth stamp, realm 'firezone'$"))
            self.assertTrue(relay.told(r"Relay mode channels \(the default with --auth stamp\).*--relay-mode full"))
        with Relay(BINARY, "--relay-mode", "full", workers=WORKERS) as relay:
            self.assertTrue(relay.told(r"Relay mode full \(--relay-mode\)"))

    def test_a_secret_is_read_anew(self):
        with File(OLD) as secret, Relay(BINARY, "--auth-secret-file", secret.name, "--realm", REALM, workers=WORKERS) as relay:
            old, new = (made(env={"AUTH_SECRET": s}) for s in (OLD, NEW))
            self.assertTrue(relays(relay, old["username"], old["password"]))
            secret.write("\n")
            hang_up(relay, "--auth-secret-file: .*: expected .*; the secrets and users that there were stay")
            self.assertTrue(relays(relay, old["username"], old["password"]))
            secret.write(NEW)
            hang_up(relay, "secrets are read anew")
            wait_for(lambda: relays(relay, new["username"], new["password"]), "the workers to take it")
            self.assertFalse(relays(relay, old["username"], old["password"]))
            found = wait_for(lambda: relay.find(r" INFO relay: A client could not log in sender=127\.0\.0\.1:\d+ .*"), "a line that says why").group()
            self.assertTrue(found.endswith(' reason="a wrong password"'), found)
            self.assertIn("username=%s count=" % old["username"], found.replace('"', ""))
            for text in (OLD, NEW, old["password"], new["password"]):
                self.assertNotIn(text, relay.output())


@unittest.skipIf(not shutil.which("turnutils_uclient"), "no coturn here")
class Alternate(unittest.TestCase):
    """A relay that has enough of them sends new clients to another one."""

    def test_uclient_follows(self):
        async def run(first, second):
            transport, sink = await turn_endpoint(first, "alice", "wonderland")
            self.assertTrue(uclient(first, "-u", "alice", "-w", "wonderland"))
            wait_for(lambda: len(re.findall("Created new allocation", second.output())) > 0, "the other one to get it")
            await exchange(transport, sink, peers.addresses()[0])
            transport.close()
            await asyncio.sleep(0)
        with File("alice:wonderland\n") as users, EchoPeers() as peers:
            common = ["--auth", "static", "--users-file", users.name]
            with Relay(BINARY, *common, workers=WORKERS) as second:
                other = "%s:%d" % second.address()
                with Relay(BINARY, *common, "--alternate-server", other, "--alternate-over", "1", workers=WORKERS) as first:
                    self.assertTrue(first.told("New clients are sent to %s while .*, and from 1 allocations on" % re.escape(other)))
                    asyncio.run(run(first, second))
                    self.assertTrue(first.told("Created new allocation"))
                    self.assertEqual(len(re.findall("Created new allocation", first.output())), 1)


class Mistakes(unittest.TestCase):
    """Are one line on standard error and status 2."""

    def complaint(self, *args, env=None):
        done = subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", *args], capture_output=True, text=True, check=False, timeout=20,
                              env=clean_environment(env))
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)
        return done.stderr

    def test_options(self):
        self.assertIn("--auth: invalid value 'stamp,static': expected stamp alone, or rest,static",
                      self.complaint("--auth", "stamp,static", "--users-file", "/x"))
        self.assertIn("--auth-secret-file, AUTH_SECRET: none is set", self.complaint("--auth", "rest"))
        self.assertIn("--users-file: none is set", self.complaint("--auth", "static"))
        self.assertIn("--auth: not with a portal", self.complaint("--auth", "rest", env={"FIREZONE_TOKEN": "x", "AUTH_SECRET": OLD}))
        self.assertIn("RELAY_MODE: invalid value 'fast': expected channels or full", self.complaint(env={"RELAY_MODE": "fast"}))
        self.assertIn("--auth-second-secret-file: can't read",
                      self.complaint("--auth-second-secret-file", "/", env={"AUTH_SECRET": OLD}))

    def test_files(self):
        self.assertIn("--users-file: can't read '/nowhere' (No such file or directory)",
                      self.complaint("--auth", "static", "--users-file", "/nowhere"))
        with File(b"alice:a\n\nb\xf6b:b\n") as users:
            self.assertIn("--users-file: %s:3: the name is not UTF-8" % users.name, self.complaint("--auth", "static", "--users-file", users.name))


if __name__ == "__main__":
    main()
