#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What clients over TCP and TLS feel, and what their handshakes cost, in a network namespace of its own.

    streams.py BUILD handshakes [--servers relay,coturn] [--count N] [--rounds N] [--check]
    streams.py BUILD slow [--transport tcp|tls] [--pairs N] [--seconds S] [--realtime] [--check]
    streams.py BUILD bursts [--servers relay,coturn] [--count N] [--rtt MS] [--check]
    streams.py BUILD smoke

BUILD is the build directory. coturn where it is asked for; servers have one thread. Where there are two cores, servers have the second one.

handshakes: N full handshakes (10,000; of TLS 1.3 where the relay and fzr-bench have that, coturn 4.6 has not) in each round, with a certificate of ECDSA P-256 and of RSA-2048: how many a second, what each costs
the server, and its resident memory before and after each round; what failed, if anything has. Bars: 10,000 a minute, at what they cost of a core; the last round adds no more than 512 KiB.
slow: 100 clients get 20,000 packets of 1,000 B a second, in turns alone and beside a client that takes 100 kbit/s of the 4 Mbit/s that are sent to it.
Bars: the median of the 100 clients' 99th percentile is at most 1.1 times what it is alone; what the slow one gets is whole, in order and new.
bursts: a client over TCP behind a link of 50 ms there and back gets 100 packets of 1,200 B at once (a key frame of video) each second, and 50 a second of
200 B between them: how many do not come, how many of these for a socket's receive buffer was full, and when the last one of each burst does. Bar: the relay
loses none, and the last one is there, at the median, four round trips after the first was sent.
"""

import argparse
import base64
import fcntl
import hashlib
import heapq
import json
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from harness import clean_environment, wait_for  # noqa: E402
import netns  # noqa: E402
import stun  # noqa: E402
from stream_client import StreamClient, narrow  # noqa: E402

SECRET, USER, PASSWORD = "streams-streams-streams-streams", "bench", "bench"
PORT, TLS_PORT, LOWEST, HIGHEST = 4001, 4401, 20000, 29999
KINDS = {"ECDSA P-256": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "RSA-2048": ("-newkey", "rsa:2048")}
NEAR, FAR = "10.77.0.1", "10.77.0.2"


def on_core(last):
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[1 if last and len(cores) > 1 else 0])]


class Server:
    """A relay or coturn at `host`, with a certificate of its own."""

    def __init__(self, kind, options, host="127.0.0.1", key="ECDSA P-256"):
        self.kind, self.host = kind, host
        self.state = tempfile.TemporaryDirectory()
        cert, private = self.state.name + "/cert.pem", self.state.name + "/key.pem"
        subprocess.run(["openssl", "req", "-x509", *KINDS[key], "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", private, "-out", cert],
                       check=True, stderr=subprocess.DEVNULL)
        if kind == "coturn":
            self.credentials = USER, PASSWORD
            command = ["turnserver", "-n", "--listening-ip", host, "--relay-ip", host, "--listening-port", str(PORT), "--tls-listening-port",
                       str(TLS_PORT), "--cert", cert, "--pkey", private, "--min-port", str(LOWEST), "--max-port", str(HIGHEST),
                       "--lt-cred-mech", "--user", "%s:%s" % (USER, PASSWORD), "--realm", "firezone", "--no-dtls", "--no-tcp-relay",
                       "--relay-threads", "1", "--allow-loopback-peers", "--no-cli", "--no-stdout-log", "--simple-log", "--log-file",
                       "/dev/null", "--userdb", self.state.name + "/db", "--pidfile", self.state.name + "/pid"]
        else:
            expiry = int(time.time()) + 3600
            digest = hashlib.sha256(("%d:%s:bench" % (expiry, SECRET)).encode()).digest()
            self.credentials = "%d:bench" % expiry, base64.b64encode(digest).decode().rstrip("=")
            command = [options.build + "/cli/firezone-relay", "--public-ip4-addr", host, "--bind-ip4-addr", host, "--listen-port", str(PORT),
                       "--tcp-listen-port", str(PORT), "--tls-listen-port", str(TLS_PORT), "--tls-cert", cert, "--tls-key", private,
                       "--workers", "1", "--lowest-port", str(LOWEST), "--highest-port", str(HIGHEST), "--allow-peer", "127.0.0.0/8",
                       "--allow-peer", NEAR, "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0"]
        with open(self.state.name + "/log", "wb") as log:
            self.process = subprocess.Popen(on_core(True) + command, env=clean_environment({"AUTH_SECRET": SECRET}), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.state.name)
        wait_for(self.answers, "an answer of " + kind)

    def answers(self):
        assert self.process.poll() is None, self.log()
        try:
            socket.create_connection((self.host, TLS_PORT), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        """Its last lines."""
        with open(self.state.name + "/log", encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-20:])

    def login(self):
        """What fzr-bench is told: of the secret it makes a user for each client."""
        return ["--user", USER, "--password", PASSWORD] if self.kind == "coturn" else []

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.state.cleanup()


def generate(options, server, mode, transport, *arguments):
    port = TLS_PORT if transport == "tls" else PORT
    scheduler = ["chrt", "--fifo", "1"] if options.realtime else []
    command = [options.build + "/tests/bench/fzr-bench", mode, "--server", "%s:%d" % (server.host, port), "--transport", transport,
               "--pid", str(server.process.pid), "--json", *server.login(), *arguments]
    done = subprocess.run(scheduler + on_core(False) + command, stdout=subprocess.PIPE, text=True, check=False,
                          env=clean_environment({"AUTH_SECRET": SECRET}))
    figures = json.loads(done.stdout or "{}")
    # If a handshake has failed among others, that is judged where those are.
    if done.returncode and not figures.get("handshakes"):
        sys.exit("fzr-bench %s with %s failed, exit status %d: %s\n%s" % (mode, server.kind, done.returncode, figures, server.log()))
    return figures


# ---- handshakes ----


def handshakes(options):
    missed = []
    print("| server | certificate | handshakes | a second | CPU ms each | a minute of a core | resident MiB: before, after each round |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for key in KINDS:
        for kind in options.servers.split(","):
            server = Server(kind, options, key=key)
            try:
                rounds = [generate(options, server, "handshake", "tls", "--packets", str(options.count), "--window", "32", "--seconds", "900")
                          for _ in range(options.rounds)]
                failed = sum(r["failed"] for r in rounds)
                if failed:
                    print("%d handshakes with %s failed; the last lines of its log:\n%s" % (failed, kind, server.log()), file=sys.stderr)
            finally:
                server.stop()
            cost = statistics.median(r["server_cpu"] for r in rounds)
            memory = [rounds[0]["server_before"]] + [r["server_after"] for r in rounds]
            print("| %s | %s | %d | %.0f | %.2f | %.0f | %s |" % (kind, key, sum(r["handshakes"] for r in rounds),
                                                                 statistics.median(r["rate"] for r in rounds), cost / 1e6, 60e9 / cost,
                                                                 ", ".join("%.2f" % (m / 2**20) for m in memory)), flush=True)
            if kind == "relay" and (60e9 / cost < 10000 or failed):
                missed.append("handshakes with " + key)
            if kind == "relay" and options.rounds > 1 and memory[-1] - memory[-2] > 512 * 1024:
                missed.append("memory of handshakes with " + key)
    return missed


# ---- a slow client ----


class Slow(threading.Thread):
    """A client that takes `rate` bytes a second of many times as many, and looks at what it gets."""

    SIZE = 1000

    def __init__(self, server, transport, rate=12500, sent_rate=500000):
        super().__init__(daemon=True)
        self.rate, self.sent_rate = rate, sent_rate
        self.over = threading.Event()
        self.ages, self.wrong = [], None
        address = server.host, TLS_PORT if transport == "tls" else PORT
        connection = narrow(address)
        wrap = plain_context().wrap_socket if transport == "tls" else lambda s: s
        self.client = StreamClient(address, *server.credentials, wrap=wrap, connection=connection)
        self.client.allocate()
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.bind(("127.0.0.1", 0))
        self.channel = self.client.bind(self.sender.getsockname())

    def run(self):
        try:
            self._go_on()
        except (AssertionError, OSError) as error:
            self.wrong = repr(error)

    def _go_on(self):
        begin = time.monotonic()
        sent = got = last = 0
        while not self.over.is_set():
            due = time.monotonic() - begin
            while sent < due * self.sent_rate / self.SIZE:
                sent += 1
                self.sender.sendto(struct.pack(">Qd", sent, time.monotonic()) * (self.SIZE // 16) + bytes(self.SIZE % 16),
                                   self.client.relayed[4])
            while got < due * self.rate and (data := self.client.receive(0.002)):
                number, at = struct.unpack(">Qd", data[1][:16])
                assert data[0] == self.channel and data[1] == data[1][:16] * (self.SIZE // 16) + bytes(self.SIZE % 16), "damaged"
                assert number > last, "out of order"
                last = number
                got += self.SIZE
                self.ages.append(time.monotonic() - at)
            self.over.wait(0.002)

    def stop(self):
        self.over.set()
        self.join()
        self.sender.close()
        self.client.close()


def plain_context():
    import ssl  # pylint: disable=import-outside-toplevel
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def slow(options):
    missed, p99s, ages = [], {False: [], True: []}, []
    server = Server("relay", options)
    if options.realtime:
        subprocess.run(["chrt", "--fifo", "--all-tasks", "--pid", "1", str(server.process.pid)], check=True)
    load = ["--clients", "100", "--direction", "down", "--rate", "20000", "--size", "1000", "--seconds", str(options.seconds)]
    try:
        for pair in range(options.pairs):
            for beside in (False, True) if pair % 2 else (True, False):
                client = Slow(server, options.transport) if beside else None
                if client:
                    client.start()
                time.sleep(1.5)  # its queue is full; and of SCHED_FIFO the kernel has had as little to bear before either
                figures = generate(options, server, "relay", options.transport, *load)
                p99s[beside].append(figures["latency_p99"])
                if figures["lost"]:
                    missed.append("%d packets of others were lost" % figures["lost"])
                if client:
                    client.stop()
                    ages += client.ages
                    if client.wrong or len(client.ages) < 10:
                        missed.append("the slow client: %s, %d messages" % (client.wrong, len(client.ages)))
    finally:
        server.stop()
    alone, beside = (statistics.median(p99s[b]) for b in (False, True))
    ratios = sorted(b / a for a, b in zip(p99s[False], p99s[True]))
    print("%s, %d pairs: p99 of 100 clients alone %.0f us, beside a slow client %.0f: %.2f (each pair %.2f to %.2f, median %.2f); the slow one got %d "
          "messages, whole and in order, at most %.2f s old"
          % (options.transport.upper(), options.pairs, alone, beside, beside / alone, ratios[0], ratios[-1], statistics.median(ratios), len(ages),
             max(ages, default=0)), flush=True)
    if min(beside / alone, statistics.median(ratios)) > 1.1:
        missed.append("p99 beside a slow client")
    if max(ages, default=0) > 3:
        missed.append("what the slow client got was old")
    return missed


# ---- bursts ----


class Link(threading.Thread):
    """A link between this namespace and another one on which each packet is `delay` s under way, of two TUN devices: no kernel needs netem for it."""

    def __init__(self, far, delay):
        super().__init__(daemon=True)
        self.delay = delay
        self.over = threading.Event()
        self.fds = [self._device(name) for name in ("near0", "far0")]
        netns.run("ip", "addr", "add", NEAR + "/24", "dev", "near0")
        netns.run("ip", "link", "set", "near0", "up", "txqueuelen", "10000")
        netns.run("ip", "link", "set", "far0", "netns", str(far.pid))
        far.run("ip", "addr", "add", FAR + "/24", "dev", "far0")
        far.run("ip", "link", "set", "far0", "up", "txqueuelen", "10000")

    @staticmethod
    def _device(name):
        tun, no_header, set_interface = 0x0001, 0x1000, 0x400454CA
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, set_interface, struct.pack("16sH22x", name.encode(), tun | no_header))
        return fd

    def run(self):
        waits = []  # when, number, where, packet
        number = 0
        while not self.over.is_set():
            now = time.monotonic()
            while waits and waits[0][0] <= now:
                _, _, fd, packet = heapq.heappop(waits)
                try:
                    os.write(fd, packet)
                except OSError:
                    pass
            timeout = max(0, waits[0][0] - now) if waits else 0.05
            for fd in select.select(self.fds, [], [], timeout)[0]:
                there = self.fds[1 - self.fds.index(fd)]
                try:
                    while True:
                        packet = os.read(fd, 65536)
                        number += 1
                        heapq.heappush(waits, (time.monotonic() + self.delay, number, there, packet))
                except BlockingIOError:
                    pass

    def close(self):
        self.over.set()
        self.join()
        for fd in self.fds:
            os.close(fd)


class Viewer(StreamClient):
    """What coturn takes, too: it asks for one family, and for a nonce by a request that is not signed, nor is the answer."""

    def allocate(self):
        self.accept(self.request(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP)]))

    def request_once(self, method, attributes, transaction=None):
        if self.nonce:
            return super().request_once(method, attributes, transaction)
        transaction = stun.new_transaction()
        return self._exchange(stun.build(method, stun.REQUEST, transaction, list(attributes)), transaction, None)


class Film:
    """What a client gets of bursts: how many packets of each, and when the last one came."""

    BURST, LARGE, SMALL, EVERY = 100, 1200, 200, 0.02

    def __init__(self, server, far, count):
        with far.inside():
            self.client = Viewer((server.host, PORT), *server.credentials)
        self.client.allocate()
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.channel = self.client.bind(self.peer.getsockname())
        self.count = count
        self.came = [0] * count
        self.small = 0
        self.last = [0.0] * count
        self.begun = []

    def _send(self):
        small = 0
        begin = time.monotonic() + 0.5
        for burst in range(self.count):
            while (now := time.monotonic()) < begin + burst:
                time.sleep(min(self.EVERY, begin + burst - now))
                self.peer.sendto(struct.pack(">i", -1) + bytes(self.SMALL - 4), self.client.relayed[4])
                small += 1
            self.begun.append(time.monotonic())
            for _ in range(self.BURST):
                self.peer.sendto(struct.pack(">i", burst) + bytes(self.LARGE - 4), self.client.relayed[4])
        self.small_sent = small

    def run(self):
        sender = threading.Thread(target=self._send)
        sender.start()
        quiet = time.monotonic() + 3
        while sender.is_alive() or time.monotonic() < quiet:
            data = self.client.receive(0.1)
            if not data:
                continue
            quiet = time.monotonic() + 3
            burst = struct.unpack(">i", data[1][:4])[0]
            if burst < 0:
                self.small += 1
                continue
            self.came[burst] += 1
            self.last[burst] = time.monotonic() - self.begun[burst]
        sender.join()
        self.peer.close()
        self.client.close()
        return self


def buffer_errors():
    """Datagrams that were thrown away in this namespace, for there was no room where they were to wait."""
    with open("/proc/net/snmp", encoding="ascii") as file:
        names, values = [line.split() for line in file if line.startswith("Udp:")]
    return int(values[names.index("RcvbufErrors")])


def bursts(options):
    missed = []
    print("| server | bursts | packets of bursts that did not come | of others | receive buffers full | last of a burst, median ms | most |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in options.servers.split(","):
        far = netns.Namespace()
        link = Link(far, options.rtt / 2000)
        link.start()
        server = Server(kind, options, host=NEAR)
        before = buffer_errors()
        try:
            film = Film(server, far, options.count).run()
        finally:
            server.stop()
            link.close()
            far.close()
        lost = film.BURST * film.count - sum(film.came)
        print("| %s | %d | %d of %d | %d of %d | %d | %.0f | %.0f |"
              % (kind, film.count, lost, film.BURST * film.count, film.small_sent - film.small, film.small_sent, buffer_errors() - before,
                 1e3 * statistics.median(film.last), 1e3 * max(film.last)), flush=True)
        if kind == "relay" and (lost or statistics.median(film.last) > 4 * options.rtt / 1000):
            missed.append("bursts")
    return missed


def smoke(options):
    """Proves that all of this works, and nothing else."""
    options.servers, options.count, options.rounds, options.pairs, options.seconds = "relay", 20, 1, 1, 0.3
    handshakes(options)
    slow(options)
    options.count = 2
    if os.access("/dev/net/tun", os.R_OK | os.W_OK):
        bursts(options)
    return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=os.path.abspath)
    modes = {"handshakes": handshakes, "slow": slow, "bursts": bursts, "smoke": smoke}
    parser.add_argument("mode", choices=modes)
    parser.add_argument("--servers", default="relay,coturn")
    parser.add_argument("--count", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transport", choices=("tcp", "tls"), default="tcp")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.8)
    parser.add_argument("--rtt", type=float, default=50)
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    missing = netns.enter()
    if missing:
        print(missing)
        return 77
    netns.run("ip", "link", "set", "lo", "up")
    options.count = options.count or (10000 if options.mode == "handshakes" else 10)
    missed = modes[options.mode](options)
    for what in missed:
        print("missed: " + what)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
