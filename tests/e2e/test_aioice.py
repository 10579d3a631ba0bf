# SPDX-License-Identifier: Apache-2.0
"""aioice's TURN client against the built relay: many clients, both families, data both ways, byte for byte."""

import asyncio
import os
import random
import sys
import unittest

from aioice import turn

from harness import DEADLINE, Relay, main

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "1"))


class Echo(asyncio.DatagramProtocol):
    """A peer: sends everything back, reversed."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data[::-1], addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()
        self.lost = asyncio.Event()

    def datagram_received(self, data, addr):
        self.received.put_nowait((data, addr))

    def connection_lost(self, error):
        self.lost.set()


async def talk(relay, host, peers, count, seed):
    rng = random.Random(seed)
    username, password = relay.credentials(salt="client%d" % seed)
    transport, client = await turn.create_turn_endpoint(
        Client, server_addr=(host, relay.port), username=username, password=password, lifetime=600)
    try:
        for i in range(count):
            data = rng.randbytes(rng.choice([0, 1, 3, 4, 100, 1200]) or 1)
            peer = peers[i % len(peers)]
            transport.sendto(data, peer)
            got, source = await asyncio.wait_for(client.received.get(), DEADLINE)
            assert got == data[::-1], "data was changed"
            assert source[:2] == peer[:2], "%r came from %r" % (peer, source)
    finally:
        transport.close()
        # It deletes its allocation first.
        await asyncio.wait_for(client.lost.wait(), DEADLINE)


async def echo_peers(host, n):
    loop = asyncio.get_running_loop()
    transports = [(await loop.create_datagram_endpoint(Echo, local_addr=(host, 0)))[0] for _ in range(n)]
    return transports, [t.get_extra_info("sockname")[:2] for t in transports]


async def many(relay, host, clients, count):
    transports, peers = await echo_peers(host, 3)
    await asyncio.gather(*(talk(relay, host, peers, count, seed) for seed in range(clients)))
    for transport in transports:
        transport.close()


class Aioice(unittest.TestCase):
    def test_one_client(self):
        with Relay(BINARY, workers=WORKERS) as relay:
            asyncio.run(many(relay, "127.0.0.1", 1, 30))

    def test_many_clients(self):
        with Relay(BINARY, workers=WORKERS) as relay:
            asyncio.run(many(relay, "127.0.0.1", 40, 12))

    def test_client_over_ipv6(self):
        # aioice has no IPv6 allocations: an IPv6 client reaches IPv4 peers.
        async def run(relay):
            transports, peers = await echo_peers("127.0.0.1", 2)
            await asyncio.gather(*(talk(relay, "::1", peers, 10, seed) for seed in range(5)))
            for transport in transports:
                transport.close()
        with Relay(BINARY, workers=WORKERS) as relay:
            asyncio.run(run(relay))

    def test_wrong_password_is_refused(self):
        async def run(relay):
            username, _ = relay.credentials()
            with self.assertRaises(Exception) as caught:
                await asyncio.wait_for(turn.create_turn_endpoint(
                    Client, server_addr=("127.0.0.1", relay.port), username=username, password="wrong"), DEADLINE)
            self.assertIn("401", str(caught.exception))
        with Relay(BINARY, workers=WORKERS) as relay:
            asyncio.run(run(relay))


if __name__ == "__main__":
    main()
