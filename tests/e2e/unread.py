# SPDX-License-Identifier: Apache-2.0
"""What requests cost whose answers nobody reads: for the tests and for tests/bench/unread.py."""

import select
import socket
import time

from watch import Metrics

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def resident(port):
    """Bytes of the relay whose health port this is."""
    return Metrics(port).get("process_resident_memory_bytes")


def pour(port, connections, seconds):
    """Sends requests one behind the other on so many connections and reads nothing. Returns the connections, and the bytes that went out."""
    sockets = []
    for _ in range(connections):
        s = socket.create_connection(("127.0.0.1", port), 10)
        s.setblocking(False)
        sockets.append(s)
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for s in select.select([], sockets, [], 0.05)[1]:
            try:
                sent += s.send(REQUEST * 500)
            except BlockingIOError:
                pass
    return sockets, sent
