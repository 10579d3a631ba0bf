#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What live flows feel of destinations that answer neither ARP nor neighbour discovery, on a segment in network namespaces of its own.

    neighbours.py RELAY [--servers relay,coturn] [--cases vanished,forged] [--family 4|6] [--workers N] [--seconds S] [--rounds N]
                  [--dead N] [--forged RATE] [--qlen BYTES] [--send-buffer BYTES] [--check]

RELAY is the built firezone-relay, which runs as an ordinary user without capabilities. 8 clients with a channel each converse with their
peers, 100 packets a second each way and flow. `vanished`: 24 more clients, each with an allocation and a channel, are gone from the segment,
while their peers go on sending 50 packets a second each. `forged`: Binding requests come from unused addresses of the segment, 3,000 a
second out of three /24 (IPv6: three /48), so that the default limit for strangers lets them through. In turns the kernel knows where these
hosts are, so that what is sent to them goes nowhere without waiting, and does not: the machine has the same to do both times. Prints packets
lost, and latencies from the call that sends to the kernel's receive timestamp; with --check the status is 1 unless the relay lost none and
kept its p99 within twice what it is with known neighbours, in the median of the rounds. --qlen sets the kernel's bound of what waits for a
neighbour [default: left as it is, 212,992]. --send-buffer 212992 [default] is what a kernel grants whose wmem_max is as it comes; 0: what
the relay asks for itself. Needs root; coturn where it is asked for. Bounded: 3 rounds of twice 4 seconds a case, 90,000 packets.
"""

import argparse
import base64
import hashlib
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
import netns  # noqa: E402
import stun  # noqa: E402
from harness import clean_environment, wait_for  # noqa: E402

MISSING = netns.enter()
SECRET, USER, PASSWORD, REALM = "neighbours-neighbours-neighbours", "bench", "bench", "firezone"
PORT, LIVE, LIVE_RATE, DEAD_RATE = 3478, 8, 100, 50
SO_TIMESTAMPNS = 35
NET = {4: "10.66.%d.%d", 6: "fd66:0:%x::%x"}
PREFIX = {4: 16, 6: 32}
FORGED_NETS = (201, 202, 203)


def address(family, net, host):
    return NET[family] % (net, host)


class Client:
    """As much of a TURN client as makes an allocation with a channel, of either server."""

    def __init__(self, namespace, own, server, credentials):
        self.socket = namespace.udp_socket(own)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.server, self.user, self.nonce, self.key = server, credentials[0], None, None
        self.realm_key = lambda realm: stun.key_of(credentials[0], realm, credentials[1])
        family = stun.IPV6 if ":" in own else stun.IPV4
        answer = self.request(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP),
                                              (stun.REQUESTED_ADDRESS_FAMILY, stun.family_value(family))])
        self.relayed = answer.address(stun.XOR_RELAYED_ADDRESS)

    def exchange(self, request, transaction):
        for _ in range(8):
            self.socket.sendto(request, self.server)
            while select.select([self.socket], [], [], 1)[0]:
                data = self.socket.recv(2000)
                if data[8:20] == transaction:
                    return stun.Message(data)
        raise AssertionError("no answer")

    def request(self, method, attributes):
        for _ in range(4):
            transaction, full = stun.new_transaction(), list(attributes)
            if self.nonce:
                full += [(stun.USERNAME, self.user.encode()), (stun.REALM, self.realm), (stun.NONCE, self.nonce)]
            answer = self.exchange(stun.build(method, stun.REQUEST, transaction, full, self.key), transaction)
            if not answer.error():
                return answer
            if answer.error() not in (401, 438):
                raise AssertionError("error %d" % answer.error())
            self.nonce, self.realm = answer.get(stun.NONCE), answer.get(stun.REALM)
            self.key = self.realm_key(self.realm.decode())
        raise AssertionError("no allocation")

    def bind(self, peer):
        self.request(stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, stun.channel_value(0x4000)), (stun.XOR_PEER_ADDRESS, peer)])


class Scene:
    """The server's namespace is this one; all others live in one beyond a veth, each with an address of its own."""

    def __init__(self, family, qlen):
        self.family, self.far = family, netns.Namespace()
        netns.run("ip", "link", "set", "lo", "up")
        prefix = PREFIX[family]
        self.server_host, self.peer_host = address(family, 0, 1), address(family, 0, 2)
        netns.link("seg0", ["%s/%d" % (self.server_host, prefix)], self.far, ["%s/%d" % (self.peer_host, prefix)])
        if qlen:
            with open("/proc/sys/net/ipv%d/neigh/seg0/unres_qlen_bytes" % family, "w", encoding="ascii") as file:
                file.write(str(qlen))
        self.added = set()

    def add(self, host):
        if host not in self.added:
            self.far.run("ip", "addr", "add", "%s/%d" % (host, PREFIX[self.family]), "dev", "far0", *(["nodad"] if self.family == 6 else []))
            self.added.add(host)

    def remove(self, hosts):
        for host in hosts:
            self.far.run("ip", "addr", "del", "%s/%d" % (host, PREFIX[self.family]), "dev", "far0")
            self.added.discard(host)
        netns.run("ip", "neigh", "flush", "dev", "seg0")

    def know(self, hosts, known):
        """Has the kernel know, or not know, where these hosts are: frames for them go to somebody who is not there."""
        line = "neigh replace %s lladdr 02:00:00:00:00:99 nud permanent dev seg0\n" if known else "neigh del %s dev seg0\n"
        with tempfile.NamedTemporaryFile("w") as batch:
            batch.write("".join(line % host for host in hosts))
            batch.flush()
            netns.run("ip", "-batch", batch.name)

    def close(self):
        self.far.close()
        netns.run("ip", "link", "del", "seg0")


class Server:
    def __init__(self, kind, options, scene):
        host = scene.server_host
        self.kind = kind
        self.state = tempfile.TemporaryDirectory()
        env = clean_environment({"AUTH_SECRET": SECRET})
        if kind == "relay":
            command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                       os.path.abspath(options.relay), "--public-ip%d-addr" % scene.family, host, "--listen-port", str(PORT),
                       "--workers", str(options.workers), "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0"]
            if options.send_buffer:
                command += ["--send-buffer", str(options.send_buffer)]
        else:
            command = ["turnserver", "-n", "--listening-ip", host, "--relay-ip", host, "--listening-port", str(PORT), "--lt-cred-mech",
                       "--user", "%s:%s" % (USER, PASSWORD), "--realm", REALM, "--no-cli", "--no-tls", "--no-dtls", "--no-tcp",
                       "--no-tcp-relay", "--relay-threads", "1", "--no-stdout-log", "--simple-log", "--log-file", "/dev/null",
                       "--userdb", self.state.name + "/db", "--pidfile", self.state.name + "/pid"]
        with open(self.state.name + "/log", "wb") as log:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.address = host, PORT
        probe = scene.far.udp_socket(scene.peer_host)
        probe.settimeout(0.2)

        def answers():
            try:
                probe.sendto(stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), []), self.address)
                return probe.recv(1000)
            except TimeoutError:
                assert self.process.poll() is None, self.log()
                return False
        wait_for(answers, "an answer of " + kind)
        probe.close()

    def credentials(self, user):
        """Of the relay's users each has one allocation: a new one ends the older."""
        if self.kind != "relay":
            return USER, PASSWORD
        expiry = int(time.time()) + 3600
        digest = hashlib.sha256(("%d:%s:%s" % (expiry, SECRET, user)).encode()).digest()
        return "%d:%s" % (expiry, user), base64.b64encode(digest).decode().rstrip("=")

    def log(self):
        with open(self.state.name + "/log", encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.state.cleanup()


class Flows(threading.Thread):
    """LIVE conversations: counts what arrives, and takes the kernel's word for when it did."""

    def __init__(self, scene, server):
        super().__init__(daemon=True)
        self.ends, self.poll, self.sent, self.done = [], select.epoll(), 0, False
        self.latencies = {"up": [], "down": []}
        self.server = server.address
        for i in range(LIVE):
            host = address(scene.family, 1, i + 1)
            scene.add(host)
            client = Client(scene.far, host, server.address, server.credentials("live%d" % i))
            peer = scene.far.udp_socket(scene.peer_host)
            peer.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            client.bind(peer.getsockname()[:2])
            self.ends.append((client, peer))
        self.by_fd = {}
        for client, peer in self.ends:
            self.by_fd[client.socket.fileno()] = client.socket, "down", 4
            self.by_fd[peer.fileno()] = peer, "up", 0
        for fd in self.by_fd:
            self.poll.register(fd, select.EPOLLIN)
        self.start()

    def run(self):
        while not self.done:
            for fd, _ in self.poll.poll(0.1):
                s, direction, skip = self.by_fd[fd]
                try:
                    data, control, _, _ = s.recvmsg(2000, 64, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    continue
                if len(data) < 200:
                    continue
                sent = struct.unpack_from(">Q", data, skip)[0]
                seconds, nanoseconds = struct.unpack("qq", control[0][2][:16])
                self.latencies[direction].append(seconds * 1000000000 + nanoseconds - sent)

    def converse(self, seconds):
        """Returns (packets lost, packets sent, sorted latencies in ms) of each direction."""
        for list_ in self.latencies.values():
            list_.clear()
        turns, begin = int(seconds * LIVE_RATE), time.monotonic()
        for turn in range(turns):
            for i, (client, peer) in enumerate(self.ends):
                at = begin + (turn + i / LIVE) / LIVE_RATE
                wait = at - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                client.socket.sendto(stun.channel_data(0x4000, struct.pack(">Q", time.time_ns()) + bytes(192)), self.server)
                peer.sendto(struct.pack(">Q", time.time_ns()) + bytes(192), client.relayed)
        total = turns * LIVE
        end = time.monotonic() + 5
        while time.monotonic() < end and min(len(list_) for list_ in self.latencies.values()) < total:
            time.sleep(0.05)
        return {d: (total - len(list_), total, sorted(x / 1e6 for x in list_)) for d, list_ in self.latencies.items()}

    def close(self):
        self.done = True
        self.join()
        for client, peer in self.ends:
            client.socket.close()
            peer.close()
        self.poll.close()


def in_a_process(function):
    """Runs function() in a child until stopped, so that it does not share an interpreter with what is measured."""
    pid = os.fork()
    if not pid:
        try:
            function()
        finally:
            os._exit(1)
    return pid


def stop_process(pid):
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def paced(rate, send):
    begin, i = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begin) * rate)
        while i < due:
            send(i)
            i += 1
        time.sleep(0.001)


def vanished(scene, server, options):
    """Clients that allocate, bind and vanish. Returns who they are, and what their peers do."""
    hosts = [address(scene.family, 2, i + 1) for i in range(options.dead)]
    peer, relayed = scene.far.udp_socket(scene.peer_host), []
    for i, host in enumerate(hosts):
        scene.add(host)
        client = Client(scene.far, host, server.address, server.credentials("gone%d" % i))
        client.bind(peer.getsockname()[:2])
        relayed.append(client.relayed)
        client.socket.close()
    scene.remove(hosts)
    return hosts, lambda: paced(DEAD_RATE * len(relayed), lambda i: peer.sendto(bytes(1000), relayed[i % len(relayed)]))


def checksum(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


def forged(scene, server, options):
    """Binding requests of nobody, in raw datagrams. Returns of whom, and what sends them."""
    version = scene.family
    inet = socket.AF_INET6 if version == 6 else socket.AF_INET
    with scene.far.inside():
        raw = socket.socket(inet, socket.SOCK_RAW, socket.IPPROTO_RAW)
    to = socket.inet_pton(inet, scene.server_host)
    packets, hosts = [], [address(version, net, host) for net in FORGED_NETS for host in range(1, 251)]
    for host in range(1, 251):
        for net in FORGED_NETS:
            source = socket.inet_pton(inet, address(version, net, host))
            payload = stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), [])
            udp = struct.pack(">HHHH", 40000, PORT, 8 + len(payload), 0)
            pseudo = source + to + struct.pack(">II" if version == 6 else ">xBH", *((8 + len(payload), 17) if version == 6 else
                                                                                    (17, 8 + len(payload))))
            udp = udp[:6] + struct.pack(">H", checksum(pseudo + udp + payload))
            if version == 6:
                header = struct.pack(">IHBB", 6 << 28, 8 + len(payload), 17, 64) + source + to
            else:
                header = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0) + source + to
            packets.append(header + udp + payload)
    return hosts, lambda: paced(options.forged, lambda i: raw.sendto(packets[i % len(packets)], (scene.server_host, 0)))


CASES = {"vanished": vanished, "forged": forged}


def quantile(sorted_values, q):
    return sorted_values[min(len(sorted_values) - 1, int(q * len(sorted_values)))] if sorted_values else float("inf")


def tell(what, results):
    print("  %-8s" % what, end="")
    for d in ("down", "up"):
        latencies = sorted(x for r in results for x in r[d][2])
        print("  %s: lost %5d of %d, p50 %7.3f p99 %8.3f ms" % (d, sum(r[d][0] for r in results), sum(r[d][1] for r in results),
                                                                quantile(latencies, 0.5), quantile(latencies, 0.99)), end="")
    print(flush=True)


def converse(scene, flows, hosts, act, seconds, known):
    scene.know(hosts, known)
    pid = in_a_process(act)
    result = flows.converse(seconds)
    stop_process(pid)
    return result


def measure(kind, case, options):
    """Returns whether the bar was met."""
    print("%s, %s, IPv%d:" % (kind, case, options.family), flush=True)
    scene = Scene(options.family, options.qlen)
    server = Server(kind, options, scene)
    try:
        flows = Flows(scene, server)
        hosts, act = CASES[case](scene, server, options)
        tell("without", [flows.converse(options.seconds)])
        rounds = [[converse(scene, flows, hosts, act, options.seconds, known) for known in (True, False)] for _ in range(options.rounds)]
        tell("known", [known for known, _ in rounds])
        tell("unknown", [unknown for _, unknown in rounds])
        flows.close()
    finally:
        if options.verbose:
            print(server.log())
        server.stop()
        scene.close()
    lost = sum(unknown[d][0] for _, unknown in rounds for d in unknown)
    ratio = {d: statistics.median(quantile(unknown[d][2], 0.99) / quantile(known[d][2], 0.99) for known, unknown in rounds)
             for d in ("up", "down")}
    met = lost == 0 and max(ratio.values()) <= 2
    print("  %d of others lost; p99 unknown / known, the rounds' median: up %.2f, down %.2f%s" %
          (lost, ratio["up"], ratio["down"], "" if kind != "relay" else "; bars met" if met else "; bars missed"), flush=True)
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("relay")
    parser.add_argument("--servers", default="relay,coturn")
    parser.add_argument("--cases", default="vanished,forged")
    parser.add_argument("--family", type=int, choices=(4, 6), default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dead", type=int, default=24)
    parser.add_argument("--forged", type=int, default=3000)
    parser.add_argument("--qlen", type=int, default=0)
    parser.add_argument("--send-buffer", type=int, default=212992)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if MISSING or os.getuid():
        print("neighbours.py: needs root and network namespaces: %s" % MISSING)
        return 77
    met = True
    for case in options.cases.split(","):
        for kind in options.servers.split(","):
            met &= measure(kind, case, options) or kind != "relay"
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
