#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What live flows feel of a flood of strangers whose requests come from another /24 each, on loopback.

    strangers.py BUILD [--servers relay,coturn,PATH] [--kinds forged,long,...] [--rate N] [--live N] [--seconds S] [--check]

BUILD is the build directory; a PATH is another build's firezone-relay, to set it against. 8 clients with a channel each converse with their
peers, N packets of 1,000 bytes a second in all (--live, 20,000), first without strangers, then beside each kind of them (fzr-strangers tells
which there are) at --rate (100,000) requests a second. Meanwhile new clients from other networks send a right first Allocate each: the column
"new" says how many of them got an answer. Servers have one thread and, if this is root, run as an ordinary user. Prints what
of the live packets was lost, their latency, what share of one core the server took, and for each stranger's request how much of it.
With --check the status is 1 unless the relay lost less than 1 % beside `forged`, and answered all new clients beside `one`. Needs two cores that are idle; coturn where it is asked
for. Bounded: S seconds a case (5), some 600,000 packets each.
"""

import argparse
import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from harness import clean_environment, port_is_free, wait_for  # noqa: E402
import stun  # noqa: E402

SECRET, USER, PASSWORD = "strangers-strangers-strangers", "bench", "bench"
LOWEST, HIGHEST, CLIENTS, SIZE, LEAD = 40000, 40999, 8, 1000, 0.5
BAR = 1.0


def stamp():
    expiry = int(time.time()) + 3600
    digest = hashlib.sha256(("%d:%s:bench" % (expiry, SECRET)).encode()).digest()
    return "%d:bench" % expiry, base64.b64encode(digest).decode().rstrip("=")


class Server:
    def __init__(self, kind, options):
        self.kind = kind
        self.state = tempfile.TemporaryDirectory()
        os.chmod(self.state.name, 0o777)
        port = next(p for p in range(39000, 39100) if port_is_free(p))
        self.address = "127.0.0.1:%d" % port
        if kind == "coturn":
            self.credentials = USER, PASSWORD
            command = ["turnserver", "-n", "--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--listening-port", str(port),
                       "--min-port", str(LOWEST), "--max-port", str(HIGHEST), "--lt-cred-mech", "--user", "%s:%s" % (USER, PASSWORD),
                       "--realm", "firezone", "--no-tls", "--no-dtls", "--no-tcp", "--no-tcp-relay", "--relay-threads", "1",
                       "--allow-loopback-peers", "--cli-password", "bench", "--no-stdout-log", "--simple-log", "--log-file", "/dev/null",
                       "--userdb", self.state.name + "/db", "--pidfile", self.state.name + "/pid"]
        else:
            self.credentials = stamp()
            relay = options.build + "/cli/firezone-relay" if kind == "relay" else kind
            command = [os.path.abspath(relay), "--public-ip4-addr", "127.0.0.1", "--listen-port", str(port), "--workers", "1",
                       "--lowest-port", str(LOWEST), "--highest-port", str(HIGHEST), "--allow-peer", "127.0.0.0/8",
                       "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0"]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"] + command
        with open(self.state.name + "/log", "wb") as log:
            self.process = subprocess.Popen(command, env=clean_environment({"AUTH_SECRET": SECRET}), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.state.name)
        wait_for(self.answers, "an answer of " + kind)

    def answers(self):
        assert self.process.poll() is None, open(self.state.name + "/log", encoding="utf-8", errors="replace").read()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            host, port = self.address.split(":")
            s.sendto(stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), []), (host, int(port)))
            try:
                return s.recv(1000)
            except (TimeoutError, ConnectionRefusedError):
                return False

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.state.cleanup()


class Newcomers(threading.Thread):
    """Clients from a network each, one after the other, that send their first Allocate: no nonce, but what else it takes."""

    def __init__(self, server):
        super().__init__()
        self.address, self.credentials = server.address, server.credentials
        self.came = self.answered = 0
        self.over = threading.Event()

    def run(self):
        host, port = self.address.split(":")
        user, password = self.credentials
        attributes = [(stun.REQUESTED_TRANSPORT, stun.UDP), (stun.USERNAME, user.encode()), (stun.REALM, b"firezone")]
        request = stun.build(stun.ALLOCATE, stun.REQUEST, stun.new_transaction(), attributes, stun.key_of(user, "firezone", password))
        while not self.over.wait(0.1):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind(("127.253.%d.1" % (self.came % 250), 0))
                s.settimeout(0.5)
                s.sendto(request, (host, int(port)))
                self.came += 1
                try:
                    self.answered += bool(s.recv(1000))
                except (TimeoutError, ConnectionRefusedError):
                    pass


def measure(server, kind, options):
    """Returns (live flows' figures, requests that strangers sent, new clients, those that got an answer) of one case."""
    user, password = server.credentials
    # Of the secret fzr-bench makes a user for each client, where it is one of ours.
    login = ["--user", user, "--password", password] if server.kind == "coturn" else []
    tools = options.build + "/tests/bench/"
    live = [tools + "fzr-bench", "relay", "--server", server.address, "--clients", str(CLIENTS), "--direction", "both", "--rate",
            str(options.live), "--size", str(SIZE), "--seconds", str(options.seconds + 2 * LEAD), "--pid",
            str(server.process.pid), "--json"] + login
    with subprocess.Popen(live, stdout=subprocess.PIPE, text=True, env=clean_environment({"AUTH_SECRET": SECRET})) as flows:
        sent = 0
        newcomers = Newcomers(server)
        if kind:
            time.sleep(LEAD)
            newcomers.start()
            extra = [user, password] if kind == "known" else []
            flood = subprocess.run([tools + "fzr-strangers", server.address, kind, str(options.rate), str(options.seconds)] + extra,
                                   stdout=subprocess.PIPE, check=True, text=True)
            newcomers.over.set()
            newcomers.join()
            sent = json.loads(flood.stdout)["sent"]
        figures = json.loads(flows.communicate()[0])
    return figures, sent, newcomers.came, newcomers.answered


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=os.path.abspath)
    parser.add_argument("--servers", default="relay")
    parser.add_argument("--kinds", default="forged,one,long,known,anonymous,binding")
    parser.add_argument("--rate", type=int, default=100000)
    parser.add_argument("--live", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    failed = False
    print("| server | strangers | a second | live lost | p50 us | p99 us | of a core | us each | new |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in options.servers.split(","):
        alone = 0
        for kind in [""] + options.kinds.split(","):
            server = Server(name, options)
            try:
                figures, strangers, came, answered = measure(server, kind, options)
            finally:
                server.stop()
            lost = 100 * figures["lost"] / max(figures["sent"], 1)
            cpu = figures["server_cpu"] * figures["received"] / 1e9
            each = "%.2f" % ((cpu - alone) / strangers * 1e6) if strangers else "-"
            alone = alone or cpu
            print("| %s | %s | %.0f | %.3f %% | %.0f | %.0f | %.0f %% | %s | %d of %d |"
                  % (name, kind or "none", strangers / options.seconds, lost, figures["latency_p50"], figures["latency_p99"],
                     100 * cpu / (options.seconds + 2 * LEAD), each, answered, came), flush=True)
            failed = failed or (name == "relay" and ((kind == "forged" and lost >= BAR) or (kind == "one" and answered < came)))
    return 1 if failed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
