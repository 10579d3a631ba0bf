#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What half-open TLS handshakes and slow senders cost others.

    half_open.py RELAY [CONNECTIONS [SECONDS]]    RELAY is the program: build/cli/firezone-relay; 1,000 and 6 s if nothing is said

A client on UDP and one on TLS send packets to an echo, one after another. In turns of a second there are CONNECTIONS beside them, or none: each has sent the
first half of a ClientHello, goes on with a byte every second, and comes again when the relay closes it. Prints median and 99th percentile of the times to
and fro, with and without them. On a machine that does nothing else they differ by no more than two runs do.
"""

import multiprocessing
import os
import resource
import select
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from authority import Authority  # noqa: E402
from firezone_client import Client  # noqa: E402
from harness import EchoPeers, Relay, wait_for  # noqa: E402
from stream_client import StreamClient, free_port  # noqa: E402
from watch import Metrics, endpoint  # noqa: E402

TURN = 1.0


def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def hello():
    outgoing = ssl.MemoryBIO()
    try:
        context().wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def crowd(port, count, stop, ready):
    """Keeps `count` connections half open until `stop` is set."""
    text = hello()
    half = len(text) // 2
    sent, poll = {}, select.epoll()

    def come():
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(text[:half])
        sent[s.fileno()] = [s, half, time.monotonic() + 1]
        poll.register(s.fileno(), select.EPOLLIN | select.EPOLLRDHUP)

    while len(sent) < count:
        come()
    ready.set()
    while not stop.is_set():
        for fd, _ in poll.poll(0.02):
            poll.unregister(fd)
            sent.pop(fd)[0].close()
            come()
        now = time.monotonic()
        for entry in sent.values():
            if entry[2] <= now and entry[1] < len(text) - 1:
                try:
                    entry[0].send(text[entry[1]:entry[1] + 1])
                except OSError:
                    pass
                entry[1] += 1
                entry[2] = now + 1


def measure(clients, times):
    """Takes the times of all `clients` for one turn."""
    end = time.monotonic() + TURN
    while time.monotonic() < end:
        for name, (client, channel) in clients.items():
            begin = time.monotonic()
            client.send(channel, b"x" * 200)
            assert client.receive() is not None
            times[name].append(time.monotonic() - begin)


def at(times, share):
    return sorted(times)[int(len(times) * share)] * 1e3


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 6
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    authority = Authority()
    authority.make("first")
    authority.put()
    port = free_port()
    with Relay(sys.argv[1], "--tls-listen-port", str(port), "--tls-cert", authority.cert, "--tls-key", authority.key, "--max-connections-per-prefix",
               "0", workers=1) as relay, EchoPeers(1) as peers, Client(relay.address(), *relay.credentials()) as udp, \
            StreamClient(("127.0.0.1", port), *relay.credentials(), wrap=context().wrap_socket) as tls:
        clients = {"udp": (udp, None), "tls": (tls, None)}
        for name, (client, _) in clients.items():
            client.allocate()
            clients[name] = (client, client.bind(peers.addresses()[0]))
        times = [{"udp": [], "tls": []}, {"udp": [], "tls": []}]
        for _ in range(max(1, int(seconds / 2 / TURN))):
            measure(clients, times[0])
            stop, ready = multiprocessing.Event(), multiprocessing.Event()
            beside = multiprocessing.Process(target=crowd, args=(port, count, stop, ready), daemon=True)
            beside.start()
            assert ready.wait(60)
            measure(clients, times[1])
            stop.set()
            beside.join()
            wait_for(lambda: Metrics(endpoint(relay)).get("relay_stream_connections", transport="tls") == 1, "them to be gone")
        for name in clients:
            print("%s: alone %.2f ms, 99 %% %.2f ms of %d; beside %d half-open handshakes %.2f ms, 99 %% %.2f ms of %d"
                  % (name, at(times[0][name], 0.5), at(times[0][name], 0.99), len(times[0][name]), count, at(times[1][name], 0.5),
                     at(times[1][name], 0.99), len(times[1][name])))
    authority.folder.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
