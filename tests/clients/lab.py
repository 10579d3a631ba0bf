# SPDX-License-Identifier: Apache-2.0
"""What the tests of real clients share: a relay in full mode in a network namespace of its own, the clients in another, and a look at what
went through. Each test program of this folder is started by meson with the built relay as first argument.

Environment: CLIENTS_SECONDS=780 makes each call last 13 minutes, in which permissions and channels are refreshed. CLIENTS_COTURN=1
tries the clients against coturn's server in the relay's place: is it they, or the relay?"""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

import netns
from harness import DEADLINE, SKIPPED, Process, Relay, is_sanitized, main, wait_for

BINARY = sys.argv.pop(1)
COTURN = bool(os.environ.get("CLIENTS_COTURN"))
LONG = int(os.environ.get("CLIENTS_SECONDS", "0"))
SANITIZED = is_sanitized(BINARY)
# How long a call may take to come about, on a busy machine.
PATIENCE = 60 if not SANITIZED else 120
SERVER = {4: "203.0.113.1", 6: "2001:db8::1"}
CLIENT = {4: "203.0.113.2", 6: "2001:db8::2"}
# Where the relay listens for clients that come by streams.
TCP_PORT, TLS_PORT = 3478, 5349
# The relay's name, which no resolver knows, and one that is not in its certificate.
NAME, WRONG_NAME = "relay.example", "wrong.example"
URLS = {"udp": "turn:%s:%d?transport=udp", "tcp": "turn:%s:%d?transport=tcp", "tls": "turns:%s:%d?transport=tcp"}
PR_SET_CHILD_SUBREAPER = 36


def skip_all(why):
    print("SKIP: " + why)
    sys.exit(SKIPPED)


def program(path):
    """The path of a client that meson built, from any folder; None if it could not."""
    return None if path == "-" else os.path.abspath(path)


def isolate():
    """Goes on in a network namespace of its own, and adopts what clients leave behind, so that it can be ended."""
    why = netns.enter()
    if why:
        skip_all(why)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(of):
    """All processes below `of`, the nearest first."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError), open("/proc/%s/stat" % entry, encoding="ascii", errors="replace") as stat:
                children.setdefault(int(stat.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found = [of]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


class Coturn(Process):
    """coturn's server, where the relay would be: for comparison by hand."""

    def __init__(self, authority):
        self.port = TCP_PORT
        super().__init__(["turnserver", "-n", "-L", SERVER[4], "-L", SERVER[6], "-p", str(TCP_PORT), "--tls-listening-port", str(TLS_PORT),
                          "--cert", authority.cert, "--pkey", authority.key, "--lt-cred-mech", "-u", "user:password", "-r", "realm",
                          "--no-dtls", "--no-cli", "--log-file", "stdout", "--pidfile", "", "--db", "/dev/null/none"])
        time.sleep(1)

    def credentials(self):
        return "user", "password"

    def stop(self):
        self.kill()


class Authority:
    """One that nobody knows, and a certificate of it for the relay's addresses."""

    def __init__(self, folder):
        self.folder = folder
        self.ca, self.cert, self.key = self._path("ca.pem"), self._path("cert.pem"), self._path("key.pem")
        names = ",".join(["DNS:" + NAME, *("IP:" + address for address in SERVER.values())])
        self._make("-x509", "-keyout", self._path("ca.key"), "-out", self.ca, "-subj", "/CN=An authority for tests",
                   "-addext", "keyUsage=critical,keyCertSign")
        self._make("-x509", "-CA", self.ca, "-CAkey", self._path("ca.key"), "-keyout", self.key, "-out", self.cert, "-subj", "/CN=relay",
                   "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth", "-addext", "subjectAltName=" + names)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _make(self, *what):
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", *what],
                       check=True, stdin=subprocess.DEVNULL, capture_output=True)


class Lab:
    """A relay at SERVER, and a namespace at CLIENT in which programs are started."""

    def __init__(self, *args):
        self.far = netns.Namespace()
        netns.run("ip", "link", "set", "lo", "up")
        netns.link("near0", [SERVER[4] + "/24", SERVER[6] + "/64"], self.far, [CLIENT[4] + "/24", CLIENT[6] + "/64"])
        # libnice gathers nothing while the device has an address that can't be bound yet.
        wait_for(lambda: self.far.run("ip", "-6", "-o", "addr", "show", "dev", "far0", "scope", "link", "-tentative").strip(),
                 "the addresses to be there")
        self.home = tempfile.mkdtemp(prefix="fzr-client-")
        self.authority = Authority(self.home)
        self.args = args
        self.relay = Coturn(self.authority) if COTURN else self.start_relay()

    def close(self):
        try:
            self.relay.stop()
        finally:
            self.far.close()
            for _ in range(3):
                for pid in descendants(os.getpid()):
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.05)
            shutil.rmtree(self.home, ignore_errors=True)

    def start_relay(self, **more):
        return Relay(BINARY, "--relay-mode", "full", "--replace-allocation", "no", "--max-allocations-per-user", "0", "--tcp-listen-port", str(TCP_PORT),
                     "--tls-listen-port", str(TLS_PORT), "--tls-cert", self.authority.cert, "--tls-key", self.authority.key,
                     "--handover-socket", os.path.join(self.home, "handover"), *self.args, v4=SERVER[4], v6=SERVER[6], **more)

    def take_over(self):
        """A new relay takes the place of the one that there is."""
        old = self.relay
        old.told("Another process can take over")
        self.relay = self.start_relay(ports=(old.lowest, old.highest))
        self.relay.block, old.block = old.block, None
        status = old.wait()
        if status != 0 or not old.find("Handed over to process"):
            raise AssertionError("status %s\n%s" % (status, old.output()))

    def server(self, family=4, transport="udp", host=None):
        """An ICE server as WebRTC's API takes it, with credentials of a user of its own. The relay is reached by `transport`, at `host`."""
        username, credential = self.relay.credentials()
        host = host or (SERVER[family] if family == 4 else "[%s]" % SERVER[family])
        return {"urls": URLS[transport] % (host, self.port(transport)), "username": username, "credential": credential}

    def port(self, transport):
        """Where the relay listens for clients that come by `transport`."""
        return {"udp": self.relay.port, "tcp": TCP_PORT, "tls": TLS_PORT}[transport]

    def environment(self, more=None):
        """Of a client: nothing of who runs the tests is read or written."""
        inherited = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TMPDIR")}
        return {**inherited, "HOME": self.home, "XDG_RUNTIME_DIR": self.home, **(more or {})}

    def start(self, *command, log, env=None, folder=None, **more):
        """Starts a client there, in a session of its own. What it says goes to the file `log`."""
        with open(log, "w", encoding="utf-8") as output:
            return subprocess.Popen(["nsenter", "--net=" + self.far.path, *command], env=self.environment(env), cwd=folder or self.home,
                                    start_new_session=True, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **more)

    def end(self, process):
        """Ends a client and all that it started."""
        below = descendants(process.pid)
        for pid in [process.pid, *below]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def run(self, *command, seconds=PATIENCE, **more):
        """Runs a client to its end, and returns what it printed. It has to exit with 0, and within `seconds`."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as output:
            process = self.start(*command, log=output.name, **more)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = "none within %d s" % seconds
            finally:
                self.end(process)
            said = output.read()
        if status != 0:
            raise AssertionError("%s: status %s\n%s" % (" ".join(command), status, said[-6000:]))
        return said

    def result(self, *command, **more):
        """The last line of a client's output, which is JSON."""
        said = self.run(*command, **more)
        found = re.findall(r"^\{.*\}$", said, re.MULTILINE)
        if not found:
            raise AssertionError("%s said no result\n%s" % (" ".join(command), said[-6000:]))
        return json.loads(found[-1])

    def counters(self):
        """The relay's own figures: name with labels to value."""
        if COTURN:
            return {}
        where = self.relay.find(r"Health and metrics on (\S+)").group(1)
        with urllib.request.urlopen(where + "/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) ([-+.eE\d]+)$", text, re.MULTILINE)}


# A client that has its first packets in indications, and then channels; and one that knows no channels.
FIRST, ALL = 1e-6, 0.99


class Passage:
    """What goes through the relay between two looks at its figures. Those of one look belong together: traffic goes on."""

    def __init__(self, lab):
        self.lab, self.before = lab, lab.counters()
        self.now = self.before

    def look(self):
        self.now = self.lab.counters()
        return self

    def since(self, pattern):
        """By how much the figures whose name has `pattern` in it have grown, together."""
        return sum(value - self.before.get(name, 0) for name, value in self.now.items() if re.search(pattern, name))

    def bytes(self):
        return self.since(r"^relay_data_relayed_bytes_total")

    def packets(self):
        return self.since(r"^relay_packets_total")

    def indications(self):
        """Packets that came in Send and those that left in Data indications."""
        return tuple(self.since('^relay_indications_total.*"%s"' % kind) for kind in ("send", "data"))

    def allocations(self):
        return self.since('^relay_responses_total.*"success".*"allocate"')

    def connections(self, transport):
        """Those that came. An allocation made on one has it for itself."""
        return self.since('^relay_stream_connections_accepted_total.*"%s"' % transport)


class ClientTest(unittest.TestCase):
    """A test with a lab of its own class."""

    # Further arguments of the relay.
    ARGS = ()
    # Which part of the packets comes in Send or leaves in Data indications, at least: 0 for clients that have a channel for the first already.
    INDICATIONS = 0
    # Whether the client needs its own host's loopback device.
    TALKS_TO_ITSELF = False

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(*cls.ARGS)
        cls.addClassCleanup(cls.lab.close)

    def setUp(self):
        self.passage = Passage(self.lab)
        self.begun = time.monotonic()

    def tearDown(self):
        if not COTURN and not self.lab.relay.process.poll() is None:
            self.fail("the relay has ended")

    def relayed(self, at_least, seconds=DEADLINE, transport="udp"):
        """The relay's figures have to show that `at_least` bytes of payload went through it since the test began, within `seconds`, of clients
        that came by `transport` alone."""
        if COTURN:
            return
        wait_for(lambda: self.passage.look().bytes() >= at_least,
                 "%d bytes to be relayed; %d were" % (at_least, self.passage.look().bytes()), seconds)
        sends, datas = self.passage.indications()
        print("    %s: %.1f s, %d bytes relayed, %d packets, of which %d Send and %d Data indications" %
              (self.id().split(".", 1)[1], time.monotonic() - self.begun, self.passage.bytes(), self.passage.packets(), sends, datas), flush=True)
        self.assertGreaterEqual(sends + datas, self.INDICATIONS * self.passage.packets())
        self.assertGreaterEqual(self.passage.allocations(), 1)
        for stream in ("tcp", "tls"):
            came = self.passage.connections(stream)
            self.assertTrue(came >= self.passage.allocations() if stream == transport else not came, "%d connections by %s" % (came, stream))

    def assert_call(self, got, right, count, transport="udp"):
        """What a client says of its call: candidates in use, bytes that came back, none of them wrong; and the relay's figures of them."""
        (local, remote), (other, _) = got["pairs"]
        self.assertEqual(local, "relay", got)
        self.assertEqual(other, "relay" if right == "relay" else "host", got)
        self.assertIn(remote, ("relay", "prflx") if right == "relay" else ("host", "prflx"), got)
        self.assertEqual(got["wrong"], 0, got)
        self.assertGreaterEqual(got["bytes"], count, got)
        # There and back, twice through the relay where both ends use it.
        self.relayed(count * (4 if right == "relay" else 2), transport=transport)


def add_calls(case, *which, streams=()):
    """Gives a ClientTest that has talk() the tests that all have; with |which| in the name and as first arguments. By `streams`, "tcp" and
    "tls", its client can reach a relay, too."""
    calls = [("relay_to_relay", ("relay", 4, "udp")), ("relay_to_host", ("direct", 4, "udp")), ("over_ipv6", ("relay", 6, "udp"))]
    for name, arguments in calls + [("over_" + stream, ("relay", 4, stream)) for stream in streams]:
        def test(self, arguments=arguments):
            # Some use their own addresses, too, whatever they are told. They do not reach themselves there; the relay does.
            self.lab.far.run("ip", "link", "set", "lo", "down" if arguments[0] == "direct" and not self.TALKS_TO_ITSELF else "up")
            self.talk(*which, *arguments)
        setattr(case, "_".join(["test", *which, name]), test)


def have(*programs):
    """Skips the whole test program unless all are there."""
    for program in programs:
        if not shutil.which(program):
            skip_all("no %s here" % program)
