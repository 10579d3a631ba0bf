# SPDX-License-Identifier: Apache-2.0
"""README's own steps, word for word, on a host with a global address: "Run it for real", "Measure it" and what can be tried of "Through firewalls". In a network namespace.

Only where the programs are and where the secret goes is otherwise than a reader has it, and the measuring is shorter."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import netns
import stun
from firezone_client import Client, Refused
from harness import DEADLINE, Process, main, wait_for

BINARY, BENCH, SOURCE = (os.path.abspath(sys.argv.pop(1)) for _ in range(3))
ADDRESS = "203.0.113.7"
SECRET = "/etc/firezone-relay.secret"


def steps(heading):
    """The lines of the first block of commands below `heading`, without comments."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as readme:
        section = readme.read().split("\n## %s\n" % heading)[1].split("\n## ")[0]
    lines = [re.sub(r"\s+# .*", "", line) for line in re.search(r"```sh\n(.*?)```", section, re.S).group(1).splitlines()]
    return [line for line in lines if line]


def steps_through_firewalls():
    """Those for trying it on one machine: the section's last block."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as readme:
        section = readme.read().split("\n### Through firewalls\n")[1].split("\n### ")[0]
    return [re.sub(r"\s+# .*", "", line) for line in re.findall(r"```sh\n(.*?)```", section, re.S)[-1].splitlines()]


def only(lines, beginning):
    found = [line for line in lines if line.startswith(beginning)]
    assert len(found) == 1, (beginning, lines)
    return found[0]


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        netns.run("ip", "link", "set", "lo", "up")
        netns.run("ip", "addr", "add", ADDRESS + "/32", "dev", "lo")
        cls.folder = tempfile.TemporaryDirectory()
        cls.secret = os.path.join(cls.folder.name, "secret")
        cls.env = dict(os.environ, PATH=os.pathsep.join([os.path.dirname(BINARY), os.path.dirname(BENCH), os.environ["PATH"]]))
        cls.run_it, cls.measure = steps("Run it for real"), steps("Measure it")
        made = cls.shell(only(cls.run_it, "(umask 077;"))
        assert made.returncode == 0 and os.path.getsize(cls.secret) == 64, made.stdout
        assert os.stat(cls.secret).st_mode & 0o777 == 0o600

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def literal(cls, command):
        assert SECRET in command or command.startswith("fzr-bench binding"), command
        return command.replace(SECRET, cls.secret)

    @classmethod
    def shell(cls, command, **more):
        return subprocess.run(["bash", "-c", cls.literal(command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=cls.env, timeout=DEADLINE, check=False, **more)

    def relay(self, command):
        relay = Process(["bash", "-c", "exec " + self.literal(command)], dict(self.env, PATH=self.env["PATH"]))
        self.addCleanup(relay.kill)
        wait_for(lambda: relay.find("Listening on") or relay.process.poll() is not None, "the relay to listen")
        self.assertIsNone(relay.process.poll(), relay.output())
        return relay

    def stop(self, relay):
        """One signal: it ends by itself, because no allocation is left."""
        begin = time.monotonic()
        relay.process.send_signal(signal.SIGTERM)
        self.assertEqual(relay.wait(), 0, relay.output())
        self.assertLess(time.monotonic() - begin, 5, relay.output())
        self.assertIn("No allocations left", relay.output())

    def bench(self, mode, *more):
        return self.shell(" ".join((only(self.measure, "fzr-bench " + mode), "--seconds 1") + more))

    def test_run_it_for_real(self):
        relay = self.relay(only(self.run_it, "firezone-relay --public"))
        credentials = self.shell(only(self.run_it, "firezone-relay credentials"))
        self.assertEqual(credentials.returncode, 0, credentials.stdout)
        self.assertRegex(credentials.stdout, r"\d{10}:\S+")
        self.stop(relay)

    def test_measure_it(self):
        relay = self.relay(only(self.measure, "firezone-relay"))
        for mode in ("relay", "binding"):
            done = self.bench(mode)
            self.assertEqual(done.returncode, 0, done.stdout + relay.output())
            self.assertNotIn("refused", done.stdout)
        self.stop(relay)

    @unittest.skipUnless(shutil.which("openssl"), "no openssl here")
    def test_through_firewalls(self):
        lines = steps_through_firewalls()
        there = tempfile.TemporaryDirectory()
        self.addCleanup(there.cleanup)
        self.assertEqual(self.run_command(only(lines, "openssl req"), there.name).returncode, 0)
        relay = self.relay("env -C %s " % there.name + only(lines, "firezone-relay"))
        done = self.shell(only(lines, "fzr-bench relay"))
        self.assertIn("All 10 packets of 1280 bytes came through the relay", done.stdout, relay.output())
        verified = self.run_command(only(lines, "openssl s_client"), there.name)
        self.assertRegex(verified.stdout, r"Verif[a-z ]+: (0 \()?[oO][kK]")
        self.assertEqual(verified.returncode, 0, verified.stdout)
        self.stop(relay)

    def embedded(self, change=lambda source, section: source):
        """Starts the relay that stands there, as it stands there or changed; returns it and the command that README has for it."""
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as readme:
            section = readme.read().split("\n## Embed it\n")[1].split("\n## ")[0]
        program, built = (os.path.join(self.folder.name, name) for name in ("relay.c", "relay"))
        with open(program, "w", encoding="utf-8") as out:
            out.write(change(re.search(r"```c\n(.*?)```", section, re.S).group(1), section))
        library = os.path.join(os.path.dirname(BENCH), "..", "..", "lib", "libfzrelay.a")
        made = subprocess.run(["cc", program, "-I", os.path.join(SOURCE, "include"), library, "-lmbedcrypto", "-o", built],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False)
        if "__asan_" in made.stdout or "__ubsan_" in made.stdout or "__tsan_" in made.stdout or "__gcov_" in made.stdout:
            self.skipTest("the library was built with instruments")
        self.assertEqual(made.returncode, 0, made.stdout)
        relay = Process([built], self.env)
        self.addCleanup(relay.kill)
        command = re.search(r"`(fzr-bench allocate [^`]*)`", section).group(1) + " --seconds 1"
        def allocates():
            done = self.run_command(command)
            self.assertIsNone(relay.process.poll(), relay.output())
            return done.returncode == 0 and done.stdout
        print(wait_for(allocates, "allocations on README's relay"))
        return relay, command

    def run_command(self, command, folder=None):
        return subprocess.run(["bash", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.env,
                              timeout=DEADLINE, check=False)

    def test_embed_it(self):
        _, command = self.embedded()
        # The host's own address is out of reach, with nothing said about it.
        done = self.run_command(command.replace("allocate", "relay"))
        self.assertIn("403 Forbidden", done.stdout)
        self.assertIn("fzr_config.peer_rules", done.stdout)

    def test_embed_it_and_see_it_relay(self):
        """On loopback, or with the rule that README has for it."""
        def with_rule(source, section):
            rule = re.search(r"`(fzr_peer_rule rule; [^`]*)`", section).group(1)
            return source.replace("  fzr_udp_config adapter", "  %s\n  fzr_udp_config adapter" % rule)

        for change in (lambda source, section: source.replace(ADDRESS, "127.0.0.1"), with_rule):
            relay, command = self.embedded(change)
            done = self.run_command(command.replace("allocate", "relay"))
            relay.kill()
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_what_the_embedded_relay_keeps_out_of_reach(self):
        """No line of it is about the host's addresses, and yet: all of them, and the ports at which relays listen."""
        self.out_of_reach(["203.0.113.8", "198.51.100.4"], ["198.51.100.5", "198.51.100.6"], ("192.0.2.77", 5000), "")

    def test_what_it_keeps_out_of_reach_with_ipv6(self):
        self.out_of_reach(["203.0.113.8", "2001:db8:7::1", "2001:db8:7::2"], ["2001:db8:7::3", "198.51.100.5"], ("2001:db8:8::8", 5000),
                          '  fzr_addr_parse("2001:db8:7::1", &config.public_ip6);\n')

    def out_of_reach(self, there, later, foreign, more):
        """`there` are addresses of the host from the start on, beside those of loopback and the public one."""
        for address in there:
            self.add_address(address)
        own = ["127.0.0.1", "127.1.2.3", ADDRESS] + (["::1"] if more else []) + there
        relay, command = self.embedded(lambda source, section: source.replace("  fzr_udp_config adapter", more + "  fzr_udp_config adapter"))
        username, password = re.search(r"--user (\w+) --password (\w+)", command).groups()
        with Client(("127.0.0.1", 3478), username, password) as client:
            self.first_nonce(client)
            client.allocate()
            self.assertEqual(sorted(client.relayed), [4, 6] if more else [4])
            for address in own:
                for port in (22, 3478, 5000):
                    self.assertTrue(self.is_refused(client, (address, port)), (address, port))
            self.assertTrue(self.is_refused(client, (foreign[0], 3478)))
            client.bind(foreign)
            client.bind((later[0], 5000))
            for address in later:
                self.add_address(address)
                wait_for(lambda peer=(address, 5001): self.is_refused(client, peer), "%s to be out of reach" % address)
                self.assertTrue(self.is_refused(client, (address, 22)), address)
            # The channel that was bound before is gone, and does not come back; the foreign one goes on.
            self.assertTrue(self.is_refused(client, (later[0], 5000)))
            client.bind(foreign)
        self.assertIsNone(relay.process.poll(), relay.output())

    def first_nonce(self, client):
        """That of a 401, which nobody can sign: as clients other than Firezone's begin."""
        transaction = stun.new_transaction()
        request = stun.build(stun.ALLOCATE, stun.REQUEST, transaction, [(stun.REQUESTED_TRANSPORT, stun.UDP)])
        answer = client._exchange(request, transaction, None)
        self.assertEqual((answer.error(), answer.get(stun.REALM)), (401, b"firezone"))
        client.nonce = answer.get(stun.NONCE)

    def add_address(self, address):
        prefix = ("%s/128" if ":" in address else "%s/32") % address
        netns.run("ip", "addr", "add", prefix, "dev", "lo")
        self.addCleanup(netns.run, "ip", "addr", "del", prefix, "dev", "lo")

    def is_refused(self, client, peer):
        try:
            client.bind(peer)
        except Refused as error:
            self.assertEqual(error.code, 403, peer)
            return True
        return False

    def test_measuring_a_relay_that_was_not_told(self):
        """403, and both sides say what would help. What fzr-bench had allocated is given back."""
        relay = self.relay(only(self.run_it, "firezone-relay --public"))
        done = self.bench("relay")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("403 Forbidden", done.stdout)
        self.assertIn("--allow-peer 127.0.0.1", done.stdout)
        wait_for(lambda: relay.find(r"INFO relay: A user asked for a peer out of reach .* peer=127\.0\.0\.1:\d+ .*"
                                    r"--allow-peer 127\.0\.0\.1 would open it"), "the relay's own line of it")
        self.assertEqual(relay.output().count("peer out of reach"), 1)
        self.stop(relay)

    def test_an_interrupted_bench_gives_back_what_it_has(self):
        relay = self.relay(only(self.measure, "firezone-relay"))
        bench = Process(["bash", "-c", "exec " + self.literal(only(self.measure, "fzr-bench relay")) + " --seconds 60"], self.env)
        self.addCleanup(bench.kill)
        wait_for(lambda: relay.output().count("Successfully bound channel") == 100,
                 "all its clients to be there")
        bench.process.send_signal(signal.SIGINT)
        bench.wait()
        self.stop(relay)


if __name__ == "__main__":
    MISSING = netns.enter()
    if MISSING:
        print("skipped: " + MISSING)
        sys.exit(77)
    main()
