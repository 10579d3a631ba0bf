# SPDX-License-Identifier: Apache-2.0
"""Configurations of coturn as those who use it recommend them, written anew from their keys: each is translated, the relay is started from the
result, and clients log in as the application that hands out credentials would have them. And no key that the coturn of this machine knows is left out.

Arguments: the relay, and the folder of the configurations."""

import asyncio
import base64
import hashlib
import hmac
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

from aioice import turn

from harness import DEADLINE, EchoPeers, PortBlock, Process, clean_environment, main, wait_for

BINARY, FOLDER = sys.argv[1:3]
del sys.argv[1:3]
LOOK = 3


class Sink(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.received.put_nowait(data)


def by_secret(secret, name="{expiry}:{user}"):
    """What an application makes of the secret that it shares with the relay."""
    username = name.format(expiry=int(time.time()) + 86400, user="alice")
    return username, base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()


# Who logs in, what the status is, and what is said to want a look.
CASES = {
    "synapse": (by_secret("S3cretOfSynapseAndItsRelay0000000000000000000000000000000", "{expiry}:@{user}:matrix.example.org"), LOOK, ["total-quota"]),
    "synapse-tls": (by_secret("another-secret-of-a-homeserver", "{expiry}:@{user}:matrix.example.org"), 0, []),
    "matrix-in-containers": (by_secret("f00dc0ffee"), LOOK, ["total-quota"]),
    # Prosody's modules: a name of the expiry alone.
    "jitsi-meet": (by_secret("eFgHiJkLmNoPqRsT", "{expiry}"), 0, []),
    "prosody": (by_secret("a secret with blanks in it", "{expiry}"), 0, []),
    "nextcloud-talk": (by_secret("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "{expiry}:V2VibG9n+/="), 0, []),
    "nextcloud-talk-tls": (by_secret("fedcba9876543210"), LOOK, ["total-quota"]),
    "bigbluebutton": (by_secret("bbb5ecretOf16hex", "{expiry}:w_abcdefgh"), 0, []),
    "kurento": (("media", "5server"), 0, []),
    "openvidu-redis": (None, LOOK, ["redis-userdb"]),
    "mattermost-calls": (by_secret("the-secret-of-the-calls-plugin"), 0, []),
    "rocket-chat": (("rocket", "chat#2024"), 0, []),
    "home-assistant": (("doorbell", '"ding dong"'), 0, []),
    "livekit-beside-coturn": (("sfu", "a-long-password-of-the-sfu"), 0, []),
    "coturn-secret": (by_secret("south"), LOOK, ["alternate-server"]),
    "coturn-users": (("bayaz", "first of the magi"), 0, []),
    "behind-nat": (by_secret("aws-and-others"), 0, []),
    "haproxy-in-front": (by_secret("behind-a-proxy-of-ours"), LOOK, ["tcp-proxy-port"]),
    "pixel-streaming": (("PixelStreamingUser", "AnotherTURNintheroad"), LOOK, ["allow-loopback-peers"]),
    "metrics-in-a-container": (("turn", "turn"), LOOK, ["prometheus"]),
    "kolab": (by_secret("uzYguvIl9tpZFMuQOE78DpOi6Jc7VFSD0UAnvgMsg5n4e74MgIf6vQvbc6LWzZjz"), 0, []),
    "doorbell-tls-alone": (by_secret("ring-ring-ring-ring"), LOOK, ["no-udp", "allow-loopback-peers"]),
}


def read(name):
    with open(os.path.join(FOLDER, name + ".conf"), encoding="utf-8") as f:
        return f.read()


def import_coturn(text, *args):
    """Status, what was printed, and what was complained of."""
    done = subprocess.run([BINARY, "import-coturn", *args, "-"], input=text, capture_output=True, text=True, check=False, timeout=DEADLINE,
                          env=clean_environment())
    return done.returncode, done.stdout, done.stderr


def lines_of(text):
    """The lines of a turnserver.conf that say something: (number, key)."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, re.split(r"[ \t=]", line.strip(), maxsplit=1)[0]


def has_public_address(text):
    return re.search(r"^(external-ip|(listening|relay)-ip)[ =](?!0\.0\.0\.0|::|127\.)", text, re.M)


class Translation(unittest.TestCase):
    def test_each_line_is_done_or_named(self):
        for name, (_, status, looks) in CASES.items():
            with self.subTest(name):
                text = read(name)
                address = [] if has_public_address(text) else ["--public-ip4-addr", "203.0.113.1"]
                got, out, err = import_coturn(text, *address)
                named = re.findall(r"^# (?:LOOK: )?line (\d+), (\S+): \S", out, re.M)
                self.assertEqual(sorted(named), sorted((str(n), key) for n, key in lines_of(text)))
                self.assertEqual([key for _, key in re.findall(r"^# LOOK: line (\d+), (\S+):", out, re.M)], looks)
                self.assertEqual(got, status, out)
                self.assertEqual(bool(err), status == LOOK, err)
                for secret in re.findall(r"(?:password|userdb)[ =](.+)", text):
                    self.assertNotIn(secret.strip('"'), out)

    def test_every_file_is_a_case(self):
        self.assertEqual({name[:-len(".conf")] for name in os.listdir(FOLDER)}, set(CASES))

    @unittest.skipIf(not shutil.which("turnserver"), "no coturn here")
    def test_all_keys_of_the_coturn_here(self):
        """As its own help lists them. A line with any of them is named, and none is one that coturn is said not to have."""
        done = subprocess.run(["turnserver", "--help"], capture_output=True, text=True, check=False, timeout=DEADLINE)
        keys = set(re.findall(r"(?:^|[ ,])--([A-Za-z][A-Za-z0-9_-]+)", done.stdout + done.stderr, re.M))
        keys -= {"version", "help", "no_dtls"}  # what is not for a file, and a slip of its help's
        self.assertGreater(len(keys), 100)
        for key in sorted(keys):
            _, out, _ = import_coturn("realm=x\n%s=1\n" % key)
            self.assertRegex(out, r"(?m)^# (?:LOOK: )?line 2, %s: \S" % re.escape(key))
            self.assertNotIn("coturn has no such key", out, key)

    def test_status(self):
        with tempfile.TemporaryDirectory() as folder:
            for text, status in ((b"", 2), (b"# nothing\n", 2), (b"frobnicate\n", 2), (b"realm=x\0y\n", 2), (b"\x7fELF\x02\x01\x01\0\0", 2)):
                path = os.path.join(folder, "turnserver.conf")
                with open(path, "wb") as f:
                    f.write(text)
                done = subprocess.run([BINARY, "import-coturn", path], capture_output=True, text=True, check=False, timeout=DEADLINE, env=clean_environment())
                self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (status, "", 1), (text, done.stderr))
        for arguments in ([], ["/nonexistent/turnserver.conf"], ["a", "b"], ["--workers", "1", "a"]):
            done = subprocess.run([BINARY, "import-coturn", *arguments], capture_output=True, text=True, check=False, timeout=DEADLINE, env=clean_environment())
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)

    def test_a_user_with_a_blank_behind_is_left_out(self):
        status, out, _ = import_coturn("lt-cred-mech\nrealm=x\nexternal-ip=203.0.113.1\nuser=alice:wonderland \nuser=bob:builder\n")
        self.assertEqual(status, LOOK)
        self.assertRegex(out, r"(?m)^# LOOK: line 4, user: this user is left out: .*blanks")
        self.assertEqual(re.findall(r"(?m)^(?:# LOOK.*|user = .*)", out)[0], "user = bob:builder")
        # One thing, said once.
        self.assertIn(" 1 thing wants a look", out)
        self.assertNotIn("wonderland", out)

    def test_what_is_missing_is_said(self):
        status, out, _ = import_coturn("lt-cred-mech\nrealm=x\n")
        self.assertEqual(status, LOOK)
        self.assertRegex(out, r"(?m)^# LOOK: .*public-ip4-addr")
        self.assertRegex(out, r"(?m)^# LOOK: .*users-file")
        # Once each, and as many as the head says.
        self.assertEqual(re.findall(r"(?m)^# LOOK", out), ["# LOOK"] * 2, out)
        self.assertIn(" 2 things want a look", out)


def certificate(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=relay.example",
                    "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=DEADLINE)
    return cert, key


def on_loopback(text, port, low, high, cert, key):
    """The same, with addresses, ports and files of the test's."""
    values = {"listening-port": port, "tls-listening-port": port + 1, "min-port": low, "max-port": high, "cert": cert, "pkey": key}
    for name, value in values.items():
        text, count = re.subn(r"(?m)^%s[ =].*$" % name, "%s=%s" % (name, value), text)
        if not count and (name not in ("tls-listening-port", "cert", "pkey") or (name == "tls-listening-port" and "cert=" in text)):
            text += "%s=%s\n" % (name, value)
    text = re.sub(r"(?m)^external-ip[ =][^/\n]*(/.*)?$", lambda m: "external-ip=127.0.0.1" + ("/127.0.0.1" if m.group(1) else ""), text)
    return re.sub(r"(?m)^((?:listening|relay)-ip)[ =](?!0\.0\.0\.0|::).*$", r"\1=127.0.0.1", text)


async def relays(login, peer, port, **how):
    """Data goes to `peer` and back."""
    transport, sink = await asyncio.wait_for(turn.create_turn_endpoint(
        Sink, server_addr=("127.0.0.1", port), username=login[0], password=login[1], **how), DEADLINE)
    try:
        for i in range(3):
            transport.sendto(b"%d of three" % i, peer)
            assert await asyncio.wait_for(sink.received.get(), DEADLINE) == (b"%d of three" % i)[::-1]
    finally:
        transport.close()
        await asyncio.sleep(0)


class Relaying(unittest.TestCase):
    def probe(self, url, login, *more):
        """The relay passes the probe, with what the application would log in with."""
        done = subprocess.run([BINARY, "probe", url, "--username", login[0], *more], capture_output=True, text=True, check=False, timeout=DEADLINE,
                              env=clean_environment({"PROBE_PASSWORD": login[1]}))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertRegex(done.stdout, r"(?m)^works: ")

    def run_one(self, name, login):
        low, high = PortBlock.take(40)
        self.addCleanup(PortBlock.give_back, low)
        with tempfile.TemporaryDirectory() as folder, EchoPeers() as peers:
            text = on_loopback(read(name), low, low + 2, high, *certificate(folder))
            _, out, _ = import_coturn(text, *([] if "external-ip" in text else ["--public-ip4-addr", "127.0.0.1"]))
            path = os.path.join(folder, "relay.conf")
            more = ["--allow-peer", "127.0.0.1"]  # where the peers of the test are
            if login is None:  # whom its database knows
                login = ("from", "the database")
                with open(os.path.join(folder, "users"), "w", encoding="ascii") as f:
                    f.write("from:the database\n")
                more += ["--users-file", os.path.join(folder, "users")]
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
                f.write(out)
            checked = subprocess.run([BINARY, "--check-config", "--config", path, *more], capture_output=True, text=True, check=False, timeout=DEADLINE,
                                     env=clean_environment())
            self.assertEqual((checked.returncode, checked.stdout), (0, "OK\n"), checked.stderr)
            relay = Process([BINARY, "--config", path, "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0", "--workers", "1",
                             "--unauthenticated-rate", "0", *more], clean_environment())
            try:
                wait_for(lambda: relay.find("Listening on ") or relay.process.poll() is not None, "the relay to start")
                self.assertIsNone(relay.process.poll(), relay.output())
                peer = peers.addresses()[0]
                asyncio.run(relays(login, peer, low))
                self.assertEqual(bool(relay.find("Listening for clients on TCP port %d" % low)), not re.search("^no-tcp$", text, re.M))
                if relay.find("Listening for clients on TCP port"):
                    asyncio.run(relays(login, peer, low, transport="tcp"))
                self.assertEqual(bool(relay.find("Listening for clients of TLS")), "cert=" in text)
                if "cert=" in text:
                    asyncio.run(relays(login, peer, low + 1, transport="tcp", ssl=ssl._create_unverified_context()))
                self.probe("turn:127.0.0.1:%d" % low, login)
                if relay.find("Listening for clients on TCP port"):
                    self.probe("turn:127.0.0.1:%d?transport=tcp" % low, login)
                if "cert=" in text:
                    self.probe("turns:127.0.0.1:%d" % (low + 1), login, "--insecure")
            except BaseException:
                sys.stderr.write(out + relay.output())
                raise
            finally:
                relay.kill()


def add(name, login):
    def test(self):
        self.run_one(name, login)
    setattr(Relaying, "test_" + name.replace("-", "_"), test)


for each, (who, _, _) in CASES.items():
    add(each, who)


if __name__ == "__main__":
    main()
