#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What idle connections take of the relay's memory, those of TLS after others have come and gone.

    idle_tls.py RELAY [CONNECTIONS [CHURN]]    RELAY is the program: build/cli/firezone-relay; 5,000 of both if nothing is said

Each kind of connection has a relay of its own: by TLS and TCP, with an allocation and without, and some that come by TLS and never say a byte. CHURN
connections of TLS come, shake hands, ask for something and go, a hundred at a time with those that stay between them; then CONNECTIONS are idle. Those
without an allocation are as many as may be, a quarter of the descriptors. Prints what each takes of the relay, all included, what that is made of, and
what the kernel has for it. The limit is 30 KiB for each connection of TLS.
"""

import os
import resource
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from authority import Authority  # noqa: E402
from harness import Relay, binding_request  # noqa: E402
from stream_client import StreamClient, free_port  # noqa: E402
from watch import Metrics, endpoint  # noqa: E402

LIMIT = 30 * 1024
AT_ONCE = 100
# What stays idle is let alone for so long, so that the relay can give back what it does not need.
SETTLE = 15
# Of these the kernel has one for a connection, or for the socket of an allocation.
CONNECTION = ("TCP", "sock_inode_cache", "dentry", "filp", "eventpoll_epi")
SOCKET = ("UDP",) + CONNECTION[1:]


def resident(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


def kernel_sizes():
    """Bytes of each of the kernel's objects, by name; nothing without root."""
    try:
        with open("/proc/slabinfo", encoding="ascii") as f:
            return {line.split()[0]: int(line.split()[3]) for line in f if not line.startswith(("slabinfo", "#"))}
    except PermissionError:
        return {}


class Crowd:
    """Clients of one relay. |kind| is "tls" or "tcp"."""

    def __init__(self, relay, kind, port):
        self.relay, self.kind, self.port = relay, kind, port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def wrap(self, connection):
        return self.context.wrap_socket(connection) if self.kind == "tls" else connection

    def silent(self):
        return StreamClient(("127.0.0.1", self.port), "", "")

    def session(self, allocates=False):
        client = StreamClient(("127.0.0.1", self.port), *self.relay.credentials(), wrap=self.wrap)
        if allocates:
            client.allocate()
        else:
            client.socket.send(binding_request()[0])
            assert client.socket.message(time.monotonic() + 20)
        return client


def measure(binary, authority, kind, state, count, churn):
    """Bytes each of |count| connections takes: of those there are at once, and after a while. |state| is what they are."""
    port = free_port()
    listens = ["--tls-listen-port", str(port), "--tls-cert", authority.cert, "--tls-key", authority.key] if kind == "tls" else ["--tcp-listen-port", str(port)]
    with Relay(binary, *listens, "--connection-idle", "1h", "--max-connections-per-prefix", "0", "--max-connections-without-allocation", "0", v6=None,
               ports=(20000, 20000 + count + 100), workers=1) as relay:
        crowd = Crowd(relay, kind, port)
        come = crowd.silent if state == "silent" else lambda: crowd.session(state == "allocated")
        crowd.session().close()
        before = resident(relay.process.pid)
        stay = []
        for at in range(0, max(count, churn), AT_ONCE):
            gone = [crowd.session() for _ in range(min(AT_ONCE, max(0, churn - at)))]
            stay += [come() for _ in range(min(AT_ONCE, max(0, count - at)))]
            for client in gone:
                client.close()
        peak = resident(relay.process.pid)
        settle = 1 if state == "silent" else SETTLE  # a handshake has ten seconds
        time.sleep(settle)
        idle = resident(relay.process.pid)
        figures = Metrics(endpoint(relay))
        open_now, allocations = figures.get("relay_stream_connections", transport=kind), figures.get("relay_client_allocations", transport=kind)
        assert (open_now, allocations) == (count, count if state == "allocated" else 0), (open_now, allocations)
        for client in stay[:100] if state != "silent" else []:
            client.socket.send(binding_request()[0])
            assert client.socket.message(time.monotonic() + 20)
        for client in stay:
            client.close()
    print("%s, %s: %d connections%s: %.1f KiB each at once, %.1f KiB after %d s" % (
        kind, state, count, " beside %d that came and went" % churn if churn else "", (peak - before) / count / 1024, (idle - before) / count / 1024, settle),
          flush=True)
    return (idle - before) / count


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    churn = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Of the descriptors the relay keeps some for itself, and gives a quarter of the others to connections without an allocation.
    strangers = min(count, (most - 1100) // 4)
    count = min(count, (most - 1100) // 2)
    authority = Authority()
    authority.make("first")
    authority.put()
    each = {(kind, state): measure(sys.argv[1], authority, kind, state, count if state == "allocated" else strangers, churn if kind == "tls" else 0)
            for kind, state in (("tls", "allocated"), ("tls", "established"), ("tcp", "allocated"), ("tcp", "established"), ("tls", "silent"))}
    authority.folder.cleanup()
    print("of an allocation over TLS: %.1f KiB connection, %.1f KiB TLS, %.1f KiB allocation and its socket" % (
        each["tcp", "established"] / 1024, (each["tls", "established"] - each["tcp", "established"]) / 1024,
        (each["tls", "allocated"] - each["tls", "established"]) / 1024))
    sizes = kernel_sizes()
    if all(name in sizes for name in CONNECTION + SOCKET):
        print("the kernel's objects, not in these: %.1f KiB for a connection, %.1f KiB for the socket of an allocation" % (
            sum(sizes[name] for name in CONNECTION) / 1024, sum(sizes[name] for name in SOCKET) / 1024))
    return 1 if strangers >= 4000 and max(each["tls", state] for state in ("allocated", "established", "silent")) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
