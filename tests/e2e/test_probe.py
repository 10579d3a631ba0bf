# SPDX-License-Identifier: Apache-2.0
"""firezone-relay probe: it says that a relay works that does, ours and coturn, and of one that does not what is wrong with it. The network is between
two namespaces, and goes wrong as networks do (wire.py). Each set-up is named within ten seconds."""

import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import netns
import stun
import wire
from harness import DEADLINE, Process, clean_environment, main, make_credentials, wait_for

BINARY, CLOCK_AHEAD = sys.argv[1:3]
del sys.argv[1:3]

# As of the outside world, so that no rule about private networks is met.
RELAY, RELAY6, CLIENT, CLIENT6 = "203.0.113.7", "2001:db8:7::7", "198.51.100.4", "2001:db8:4::4"
OWN, NOBODY = "203.0.113.17", "203.0.113.99"  # the former on the relay's loopback interface, now and then
PORT, TLS_PORT = 3478, 5349
RANGE = range(50000, 50100)
SECRET = "a secret of the probe's test"
# The statuses of the words.
REACH, LOGIN, REFUSED, DATA = 3, 4, 5, 6
PATIENCE = 10.0

FAR = NET = None


def set_up():
    """This namespace is the relay's, the other one the client's."""
    global FAR, NET
    FAR = netns.Namespace()
    netns.run("ip", "link", "set", "lo", "up")
    NET = wire.Wire(FAR)
    wire.addresses("near0", [RELAY + "/32", RELAY6 + "/128"])
    wire.addresses("far0", [CLIENT + "/32", CLIENT6 + "/128"], FAR)
    NET.start()


class Folder:
    """Files with secrets and certificates, in one place until the end."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with

    def path(self, name):
        return os.path.join(self.temporary.name, name)

    def write(self, name, text):
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def certificate(self, name, *more, names="DNS:relay.example,IP:" + RELAY):
        """One that signs itself. Returns the files of it and of its key."""
        cert, key = self.path(name + ".pem"), self.path(name + ".key")
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                               cert, "-subj", "/CN=relay.example", "-addext", "subjectAltName=" + names, *(more or ("-days", "2"))],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        return cert, key


FILES = Folder()


class Relay(Process):
    """Ours, of the outside world."""

    def __init__(self, *args, binary=BINARY, public=(RELAY, RELAY6), ports=RANGE, secret=SECRET):
        command = [binary, "--lowest-port", str(ports[0]), "--highest-port", str(ports[-1]), "--workers", "1", "--health-check-addr",
                   "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0", "--listen-port", str(PORT)]
        for address in public:
            command += ["--public-ip6-addr" if ":" in address else "--public-ip4-addr", address]
        if secret:
            command += ["--auth-secret-file", FILES.write("relay.secret", secret + "\n")]
        super().__init__(command + list(args), clean_environment())
        try:
            wait_for(lambda: self.find(r"Listening on |Listening for "), "the relay to listen")
        except AssertionError as error:
            self.kill()
            raise AssertionError("%s\n%s" % (error, self.output())) from None

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.kill()


class Coturn(Process):
    def __init__(self, *args, listen=RELAY):
        super().__init__(["turnserver", "-n", "-L", listen, "-E", listen, "-p", str(PORT), "--min-port", str(RANGE[0]), "--max-port", str(RANGE[-1]),
                          "-r", "realm", "--no-dtls", "--no-cli", "--log-file", "stdout", "--pidfile", "", "--db", "/dev/null/none", *args])
        wait_for(lambda: self.find("IO method \\(admin thread\\)|listener opened on") or self.process.poll() is not None, "coturn to listen")
        time.sleep(0.3)  # its workers listen some time behind that line

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.kill()


class Probe:
    """One run, from the client's side, or `at_relay`, on the relay's own host."""

    def __init__(self, url, *args, secret=SECRET, env=None, at_relay=False):
        command = [*([] if at_relay else ["nsenter", "--net=" + FAR.path]), BINARY, "probe", url, *args]
        if secret:
            command += ["--auth-secret-file", FILES.write("probe.secret", secret)]
        began = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=3 * PATIENCE, env=clean_environment(env))
        self.took = time.monotonic() - began
        self.status, self.output, self.errors = done.returncode, done.stdout, done.stderr
        self.line = self.output.strip().splitlines()[-1] if self.output.strip() else ""
        self.word = self.line.split(":")[0]


def turn(host=RELAY, port=PORT, transport="udp"):
    return "turn:%s:%d?transport=%s" % ("[%s]" % host if ":" in host else host, port, transport)


class Case(unittest.TestCase):
    def setUp(self):
        NET.rule = lambda packet: packet

    def tearDown(self):
        NET.rule = lambda packet: packet

    def probe(self, word, status, *args, says=(), **more):
        """Runs it, and it says `word`, with all of `says` in its last line."""
        done = Probe(*(args or (turn(),)), **more)
        self.assertEqual((done.word, done.status, done.errors), (word, status, ""), done.output + done.errors)
        for part in says:
            self.assertIn(part, done.line, done.output)
        self.assertLess(done.took, PATIENCE, done.output)
        self.assertNotIn(SECRET, done.output)
        return done


class Works(Case):
    def test_over_udp_by_each_family(self):
        with Relay():
            done = self.probe("works", 0, says=("IPv4 and IPv6",))
            self.assertEqual(len(re.findall(r"^  ok +login .* relayed address ", done.output, re.M)), 2, done.output)
            self.assertEqual(len(re.findall(r"^  ok +data +(?:there and back|to the peer and from it), up to 1200 bytes", done.output, re.M)), 4)
            self.assertNotRegex(done.output, r"(?m)^  (FAIL|note|-)")
            self.probe("works", 0, turn(RELAY6), says=("by IPv6, to IPv4 and IPv6",))
            self.assertIn("Send indications do not come through", done.line)
        with Relay("--relay-mode", "full"):
            self.assertNotIn("Send indications", self.probe("works", 0).line)

    def test_over_tcp_and_tls(self):
        cert, key = FILES.certificate("good")
        with Relay("--tcp-listen-port", str(PORT), "--tls-listen-port", str(TLS_PORT), "--tls-cert", cert, "--tls-key", key):
            self.probe("works", 0, turn(transport="tcp"), says=("over TCP",))
            self.probe("works", 0, "turns:%s:%d" % (RELAY, TLS_PORT), "--ca-file", cert, says=("over TLS",))
            self.probe("works", 0, "turns:%s" % RELAY, "--insecure", says=("over TLS", "the certificate was not looked at"))
            self.probe("tls", REACH, "turns:%s" % RELAY, says=("certificate",))

    def test_nothing_is_left_behind(self):
        """A user who may have two allocations can be probed with again and again."""
        with Relay("--auth", "static", "--users-file", FILES.write("users", "alice:wonderland\n"), "--max-allocations-per-user", "2", secret=None):
            for _ in range(3):
                self.probe("works", 0, turn(), "--username", "alice", secret=None, env={"PROBE_PASSWORD": "wonderland"})

    def test_all_ways_to_log_in(self):
        users = FILES.write("users", "alice:wonderland\nbob:0x%s\n" % "8493fbc53ba582fb4c044c456bdc40eb")
        with Relay("--auth", "rest,static", "--users-file", users, "--realm", "example.org"):
            self.probe("works", 0, turn(), "--auth", "rest")
            self.probe("works", 0, turn(), "--auth", "rest", "--user", "carol", "--realm", "example.org")
            self.probe("works", 0, turn(), "--username", "alice", "--password-file", FILES.write("password", "wonderland\n"), secret=None)
            self.probe("works", 0, turn(), "--auth", "static", "--users-file", users, "--user", "alice", secret=None)
            config = FILES.write("relay.conf", "public-ip4-addr = %s\nauth = rest,static\nauth-secret = %s\nuser = alice:wonderland\n" % (RELAY, SECRET))
            self.probe("works", 0, turn(), "--config", config, secret=None)
            self.probe("works", 0, turn(), "--config", config, "--user", "alice", secret=None)
            self.probe("works", 0, turn(), "--config", config, secret=None, env={"PROBE_PASSWORD": "of another run"})

    def test_one_allocation_a_user(self):
        """A second client can't be had: then what was not tried is told."""
        username, password = make_credentials(SECRET)
        with Relay():
            self.probe("works", 0, turn(), "--username", username, secret=None, env={"PROBE_PASSWORD": password}, says=("one allocation",))
        with Relay("--auth", "static", "--users-file", FILES.write("users", "alice:wonderland\n"), "--max-allocations-per-user", "1", secret=None):
            self.probe("works", 0, turn(), "--username", "alice", secret=None, env={"PROBE_PASSWORD": "wonderland"}, says=("486",))

    def test_on_the_relays_own_host(self):
        """There its rules depend on the peer's port, which the kernel picks: of the range for allocations, or any other. The verdict does not."""
        ports = "/proc/sys/net/ipv4/ip_local_port_range"
        with open(ports, encoding="ascii") as f:
            before = f.read()

        def pick(text):
            with open(ports, "w", encoding="ascii") as f:
                f.write(text)
        self.addCleanup(pick, before)
        netns.run("ip", "addr", "add", OWN + "/32", "dev", "lo")
        self.addCleanup(netns.run, "ip", "addr", "del", OWN + "/32", "dev", "lo")
        with Relay("--relay-mode", "full", public=(OWN, RELAY6), ports=range(49152, 65536)):
            for text in ("20000 20100", "49152 49352", "20000 20100", "65300 65500"):
                pick(text)
                for url in (turn(OWN), turn(RELAY6)):
                    done = self.probe("works", 0, url, at_relay=True, says=("not tried from this host", "probe from outside"))
                    self.assertEqual(len(re.findall(r"^  ok +data +there and back", done.output, re.M)), 2, done.output)
                    self.assertNotIn("to the peer", done.output)
        # On loopback all ports are the users' but the relay's own.
        with Relay("--relay-mode", "full", public=("127.0.0.1",)):
            done = self.probe("works", 0, turn("127.0.0.1"), at_relay=True)
            self.assertIn("to the peer and from it", done.output)
            self.assertNotIn("outside", done.line)

    def test_binding_alone(self):
        with Relay():
            self.probe("works", 0, "stun:%s:%d" % (RELAY, PORT), secret=None, says=("Binding is answered",))


class Unreached(Case):
    def test_nothing_listens(self):
        self.probe("nothing-listens", REACH, says=("UDP port %d" % PORT, "is the relay running"))

    def test_dropped_without_a_word(self):
        NET.rule = lambda p: None if p.has_port_of([PORT]) and p.inwards else p
        with Relay("--tcp-listen-port", str(PORT)):
            self.probe("no-answer", REACH, says=("firewall", "port %d" % PORT))

    def test_udp_is_dropped_and_tcp_is_not(self):
        NET.rule = lambda p: None if p.udp and p.has_port_of([PORT]) and p.inwards else p
        with Relay("--tcp-listen-port", str(PORT)):
            self.probe("no-answer", REACH, says=("TCP is answered there",))

    def test_only_the_answers_are_lost(self):
        NET.rule = lambda p: None if p.udp and p.has_port_of([PORT]) and not p.inwards else p
        with Relay():
            self.probe("no-answer", REACH, says=("or the answers from it",))

    def test_tcp_is_closed_and_udp_works(self):
        with Relay():
            self.probe("nothing-listens", REACH, turn(transport="tcp"), says=("TCP port", "UDP is answered there"))

    def test_tcp_is_dropped_and_udp_works(self):
        NET.rule = lambda p: None if p.tcp else p
        with Relay("--tcp-listen-port", str(PORT)):
            self.probe("no-answer", REACH, turn(transport="tcp"), says=("UDP is answered there",))

    def test_answers_come_from_another_address(self):
        def rule(p):
            if p.udp and not p.inwards and p.has_port_of([PORT]):
                p.source = NOBODY
            return p
        NET.rule = rule
        with Relay():
            self.probe("answer-from-elsewhere", REACH, says=(NOBODY,))

    def test_a_web_server_is_there(self):
        with http.server.ThreadingHTTPServer((RELAY, PORT), http.server.BaseHTTPRequestHandler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.probe("not-stun", REACH, turn(transport="tcp"))
            server.shutdown()

    def test_certificates(self):
        for name, more, names, says in (("old", ("-not_before", "20200101000000Z", "-not_after", "20200201000000Z"), "IP:" + RELAY, "expired"),
                                        ("other", (), "DNS:other.example", "another name")):
            try:
                cert, key = FILES.certificate(name, *more, names=names)
            except AssertionError:  # OpenSSL 3.0 can't make one that is over already
                cert, key = expired()
            with Relay("--tls-listen-port", str(TLS_PORT), "--tls-cert", cert, "--tls-key", key):
                self.probe("tls", REACH, "turns:%s:%d" % (RELAY, TLS_PORT), "--ca-file", cert, says=(says,))

    def test_no_tls_is_spoken_there(self):
        with Relay("--tcp-listen-port", str(TLS_PORT)):
            done = self.probe("tls", REACH, "turns:%s:%d" % (RELAY, TLS_PORT), says=("no TLS at port %d" % TLS_PORT,))
            self.assertNotIn("certificate", done.line)


def expired():
    """A certificate of two days ago, by the clock of a certificate authority in a file: `openssl ca` takes times, where `req` does not."""
    cert, key = FILES.path("expired.pem"), FILES.path("expired.key")
    request = FILES.path("expired.csr")
    config = FILES.write("ca.conf", "[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=%s\ndatabase=%s\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
                         "x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=IP:%s\n"
                         % (FILES.temporary.name, FILES.write("index", ""), RELAY))
    for command in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=r"],
                    ["ca", "-batch", "-selfsign", "-config", config, "-keyfile", key, "-in", request, "-out", cert, "-notext", "-startdate",
                     "20200101000000Z", "-enddate", "20200201000000Z"]):
        done = subprocess.run(["openssl", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
    return cert, key


class Login(Case):
    def test_another_secret(self):
        """Over each transport: each of the logins that are tried then has a connection of its own."""
        cert, key = FILES.certificate("another")
        with Relay("--tcp-listen-port", str(PORT), "--tls-listen-port", str(TLS_PORT), "--tls-cert", cert, "--tls-key", key):
            for args in ((turn(),), (turn(transport="tcp"),), ("turns:%s:%d" % (RELAY, TLS_PORT), "--ca-file", cert)):
                self.probe("login", LOGIN, *args, secret="another secret than the relay's", says=("no credentials of this secret",))

    def test_another_way_to_make_credentials(self):
        with Relay():
            self.probe("scheme", LOGIN, turn(), "--auth", "rest", says=("--auth stamp",))

    def test_the_clock_is_ahead(self):
        with Relay(binary=CLOCK_AHEAD):
            self.probe("clock", LOGIN, turn(), "--ttl", "1h", says=("clock is ahead",))
            self.probe("clock", LOGIN, turn(), "--ttl", "1d", says=("clock is ahead",))

    def test_credentials_are_over(self):
        username, password = make_credentials(SECRET, ttl=-60)
        with Relay():
            self.probe("expired", LOGIN, turn(), "--username", username, secret=None, env={"PROBE_PASSWORD": password}, says=("have expired at",))

    def test_another_password(self):
        with Relay("--auth", "static", "--users-file", FILES.write("users", "alice:wonderland\n"), secret=None):
            self.probe("login", LOGIN, turn(), "--username", "alice", secret=None, env={"PROBE_PASSWORD": "wonderlamp"}, says=("username and password",))

    def test_another_realm(self):
        with Relay("--auth", "static", "--users-file", FILES.write("users", "bob:0x8493fbc53ba582fb4c044c456bdc40eb\n"), "--realm", "new.example",
                   secret=None):
            self.probe("realm", LOGIN, turn(), "--realm", "old.example", "--username", "bob", secret=None, env={"PROBE_PASSWORD": "x"},
                       says=("'new.example'", "'old.example'"))


def allocation(username, password):
    """A socket that has one."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((RELAY, PORT))
    s.settimeout(DEADLINE)
    attributes = [(stun.REQUESTED_TRANSPORT, stun.UDP)]
    s.send(stun.build(stun.ALLOCATE, stun.REQUEST, stun.new_transaction(), attributes))
    more, key, is_sha256 = stun.login(stun.Message(s.recv(2048)), username, password)
    s.send(stun.build(stun.ALLOCATE, stun.REQUEST, stun.new_transaction(), attributes + more, key, is_sha256=is_sha256))
    answer = stun.Message(s.recv(2048))
    assert answer.kind == stun.SUCCESS, answer.attributes
    return s


class Refused(Case):
    def test_peers(self):
        with Relay("--deny-peer", "0.0.0.0/0"):
            self.probe("peers-refused", REFUSED, says=("403", RELAY))
        with Relay("--deny-peer", CLIENT + "/32"):
            self.probe("peers-refused", REFUSED, says=("403", CLIENT))

    def test_no_port_is_left(self):
        with Relay(ports=range(50000, 50001)):
            self.probe("no-room", REFUSED, says=("508", "range of ports"))

    def test_quota(self):
        with Relay("--auth", "static", "--users-file", FILES.write("users", "alice:wonderland\n"), "--max-allocations-per-user", "1", secret=None), \
             allocation("alice", "wonderland"):
            self.probe("no-room", REFUSED, turn(), "--username", "alice", secret=None, env={"PROBE_PASSWORD": "wonderland"}, says=("486",))


class Data(Case):
    def test_public_address_of_nobody(self):
        with Relay(public=(NOBODY,)):
            self.probe("wrong-address", DATA, says=(NOBODY, "--public-ip4-addr"))

    def test_private_public_address(self):
        with Relay(public=("10.0.0.5",)):
            self.probe("wrong-address", DATA, says=("10.0.0.5", "nobody outside"))

    def test_range_is_closed(self):
        NET.rule = lambda p: None if p.udp and p.inwards and p.has_port_of(RANGE) else p
        with Relay():
            self.probe("range-closed", DATA, says=("firewall", "inwards"))

    def test_range_is_closed_both_ways(self):
        NET.rule = lambda p: None if p.udp and p.has_port_of(RANGE) else p
        with Relay():
            self.probe("range-closed", DATA, says=("both directions",))

    def test_range_is_closed_outwards(self):
        NET.rule = lambda p: None if p.udp and not p.inwards and p.has_port_of(RANGE) else p
        with Relay():
            self.probe("range-closed-outwards", DATA, says=("out of its firewall",))

    def test_its_address_does_not_lead_back_to_it(self):
        """What it sends to its own address is lost, as behind a NAT without hairpin."""
        for command in ("add pref 20 lookup local", "add pref 10 from %s to %s blackhole" % (RELAY, RELAY), "del pref 0"):
            netns.run("ip", "rule", *command.split())
        self.addCleanup(netns.run, "ip", "rule", "del", "pref", "20")
        self.addCleanup(netns.run, "ip", "rule", "del", "pref", "10")
        self.addCleanup(netns.run, "ip", "rule", "add", "pref", "0", "lookup", "local")
        with Relay():
            self.probe("no-hairpin", DATA, says=("hairpin",))

    def test_large_packets_are_lost(self):
        NET.rule = lambda p: None if p.udp and len(p) > 1000 else p
        with Relay():
            self.probe("mtu", DATA, says=("1200 bytes", "MTU"))

    def test_a_nat_at_the_relay_changes_the_source(self):
        def rule(p):
            if p.udp and not p.inwards and p.has_port_of(RANGE):
                p.source_port = p.source_port + 5000
            return p
        NET.rule = rule
        with Relay():
            self.probe("wrong-source", DATA, says=("changes its source",))

    def test_a_nat_that_gives_another_port_each_time(self):
        ports, next_port = {}, iter(range(20000, 30000))

        def rule(p):
            if p.udp and p.inwards and p.has_port_of([PORT]):
                new = next(next_port)
                ports[new] = p.source_port
                p.source_port = new
            elif p.udp and not p.inwards and p.target_port in ports:
                p.target_port = ports[p.target_port]
            return p
        NET.rule = rule
        with Relay():
            done = Probe(turn())
            self.assertIn((done.word, done.status), (("stale-nonce", LOGIN), ("nat-changes", DATA)), done.output)
            self.assertIn("NAT", done.line)
            self.assertLess(done.took, PATIENCE)


@unittest.skipIf(not shutil.which("turnserver"), "no coturn here")
class OfCoturn(Case):
    STATIC = ("--lt-cred-mech", "-u", "alice:wonderland")
    ALICE = {"secret": None, "env": {"PROBE_PASSWORD": "wonderland"}}

    def test_it_works(self):
        cert, key = FILES.certificate("coturn")
        with Coturn(*self.STATIC, "--tls-listening-port", str(TLS_PORT), "--cert", cert, "--pkey", key):
            for url in (turn(), turn(transport="tcp")):
                done = self.probe("works", 0, url, "--username", "alice", **self.ALICE)
                self.assertNotIn("Send indications", done.line)
            self.probe("works", 0, "turns:%s:%d" % (RELAY, TLS_PORT), "--ca-file", cert, "--username", "alice", **self.ALICE)
            self.probe("login", LOGIN, turn(), "--username", "alice", secret=None, env={"PROBE_PASSWORD": "x"})
        with Coturn("--use-auth-secret", "--static-auth-secret", SECRET):
            self.probe("works", 0, turn(), "--auth", "rest")
            self.probe("login", LOGIN, turn(), "--auth", "rest", secret="another secret than coturn's")
            self.probe("scheme", LOGIN, turn(), "--auth", "stamp", says=("--auth rest",))

    def test_it_tells_of_its_private_address(self):
        """Behind a NAT of one address to one, and nobody has told it."""
        inside = "10.9.9.9"

        def rule(p):
            if p.inwards and p.target == RELAY:
                p.target = inside
            elif not p.inwards and p.source == inside:
                p.source = RELAY
            return p
        # The last address of a device takes the routes with it.
        netns.run("ip", "addr", "add", inside + "/32", "dev", "near0")
        netns.run("ip", "addr", "del", RELAY + "/32", "dev", "near0")
        self.addCleanup(netns.run, "ip", "addr", "del", inside + "/32", "dev", "near0")
        self.addCleanup(netns.run, "ip", "addr", "add", RELAY + "/32", "dev", "near0")
        NET.rule = rule
        with Coturn(*self.STATIC, listen=inside):
            self.probe("wrong-address", DATA, turn(), "--username", "alice", says=(inside, "external-ip"), **self.ALICE)
        with Coturn(*self.STATIC, "--external-ip", "%s/%s" % (RELAY, inside), listen=inside):
            self.probe("works", 0, turn(), "--username", "alice", **self.ALICE)

    def test_peers_and_room(self):
        with Coturn(*self.STATIC, "--denied-peer-ip", "0.0.0.0-255.255.255.255"):
            self.probe("peers-refused", REFUSED, turn(), "--username", "alice", says=("403",), **self.ALICE)
        with Coturn(*self.STATIC, "--user-quota", "1"):
            self.probe("works", 0, turn(), "--username", "alice", says=("486",), **self.ALICE)


class Command(Case):
    def test_mistakes(self):
        for args, part in ((["turn:"], "URL"), ([], "URL: none is named"), (["http://x"], "turn:relay.example:3478"), (["turn:x"], "none is set"),
                           (["turn:x", "--password", "p"], "--password-file or PROBE_PASSWORD"), (["turn:x", "--username", "u"], "--password-file"),
                           (["turn:x", "--ca-file", "f", "--username", "u"], "no TLS"), (["turns:x?transport=udp"], "DTLS"),
                           (["turn:x", "turn:y"], "second argument")):
            done = subprocess.run([BINARY, "probe", *args], capture_output=True, text=True, check=False, timeout=DEADLINE, env=clean_environment())
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), (args, done.stderr))
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    lacking = netns.enter() or wire.missing()
    if lacking:
        print("skipped: " + lacking)
        sys.exit(77)
    set_up()
    main()
