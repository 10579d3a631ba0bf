#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What idle TLS connections take of the relay's memory, after others have come and gone.

    idle_tls.py RELAY [CONNECTIONS [CHURN]]    RELAY is the program: build/cli/firezone-relay; 5,000 of both if nothing is said

CHURN connections come, shake hands, ask for something and go, a hundred at a time with those that stay between them. Then CONNECTIONS are idle, each with an
established session; and as many more that never said a byte, as far as descriptors go (ulimit -n: 8 for each of CONNECTIONS). Prints what each kind takes, all included. The limit is 30 KiB for each of the former.
"""

import os
import resource
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from authority import Authority  # noqa: E402
from harness import Relay, binding_request  # noqa: E402
from stream_client import free_port  # noqa: E402
from watch import Metrics, endpoint  # noqa: E402

LIMIT = 30 * 1024
AT_ONCE = 100
# What stays idle is let alone for so long, so that the relay can give back what it does not need.
SETTLE = 15


def resident(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


class Crowd:
    def __init__(self, port):
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def session(self):
        s = self.context.wrap_socket(self.connect())
        s.sendall(binding_request()[0])
        assert s.recv(2048)
        return s


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    churn = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    # Of the descriptors the relay gives a quarter to connections without an allocation.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(count, most * 23 // 100)
    silent_count = min(count, most * 23 // 100 - count)
    authority = Authority()
    authority.make("first")
    authority.put()
    port = free_port()
    with Relay(sys.argv[1], "--tls-listen-port", str(port), "--tls-cert", authority.cert, "--tls-key", authority.key, "--connection-idle", "1h",
               "--max-connections-per-prefix", "0", "--max-connections-without-allocation", "0", "--unauthenticated-rate", "0", workers=1) as relay:
        crowd = Crowd(port)
        pid = relay.process.pid
        crowd.session().close()
        before = resident(pid)
        stay = []
        for at in range(0, max(count, churn), AT_ONCE):
            gone = [crowd.session() for _ in range(min(AT_ONCE, max(0, churn - at)))]
            stay += [crowd.session() for _ in range(min(AT_ONCE, max(0, count - at)))]
            for s in gone:
                s.close()
        peak = resident(pid)
        time.sleep(SETTLE)
        idle = resident(pid)
        silent = [crowd.connect() for _ in range(silent_count)]
        time.sleep(1)
        quiet = resident(pid)
        open_now = Metrics(endpoint(relay)).get("relay_stream_connections", transport="tls")
        assert open_now == len(stay) + len(silent), open_now
        for s in stay[:100]:
            s.sendall(binding_request()[0])
            assert s.recv(2048)
        for s in stay + silent:
            s.close()
    each = (idle - before) / count
    print("%d connections beside %d that came and went: %.1f KiB each at once, %.1f KiB after %d s, limit %d; %.1f KiB each for those that are silent"
          % (count, churn, (peak - before) / count / 1024, each / 1024, SETTLE, LIMIT / 1024, (quiet - idle) / max(1, silent_count) / 1024))
    authority.folder.cleanup()
    return 1 if count >= 4000 and each > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
