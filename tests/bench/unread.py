#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What requests to the health port cost whose answers nobody reads, in memory of the relay.

    unread.py RELAY [CONNECTIONS [SECONDS]]    RELAY is the program: build/cli/firezone-relay; 20 connections and 5 s if nothing is said

Prints how many bytes were sent and how much the relay grew, and how long health checks took meanwhile. The limit for 20 is 2 MiB.
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from harness import Relay  # noqa: E402
from unread import pour, resident  # noqa: E402
from watch import endpoint, request  # noqa: E402

LIMIT = 2 << 20


def main():
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 5
    with Relay(sys.argv[1]) as relay:
        port = endpoint(relay)
        before = resident(port)
        sockets, sent = pour(port, connections, seconds)
        begin = time.monotonic()
        status = request(port, "GET", "/healthz")[0]
        took = time.monotonic() - begin
        grown = resident(port) - before
        for s in sockets:
            s.close()
    print("%d connections, %.1f MB of requests in %.0f s: the relay grew by %.2f MiB; /healthz: %d in %.1f ms"
          % (connections, sent / 1e6, seconds, grown / 2**20, status, took * 1e3))
    return 1 if connections <= 20 and grown >= LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
