# SPDX-License-Identifier: Apache-2.0
"""Several workers, one relay: clients spread over them, one shared pool of ports, stopping under load. This is the run for the
thread sanitizer."""

import os
import random
import socket
import sys
import threading
import time
import unittest

import stun
from firezone_client import Client, Refused
from harness import DEADLINE, EchoPeers, Process, Relay, clean_environment, main, wait_for

BINARY = sys.argv.pop(1)
V4, V6 = socket.AF_INET, socket.AF_INET6


def new_client(relay, family=V4, salt=None):
    return Client(relay.address(family), *relay.credentials(salt=salt))


def workers_of(pid, count):
    """The threads that relay, name to thread id, once there are `count`."""
    found = {}
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, task), encoding="ascii") as stat:
            name = stat.read().split("(", 1)[1].rsplit(")", 1)[0]
        if name.startswith("relay-"):
            found[name] = int(task)
    return found if len(found) == count else None


class Talker(threading.Thread):
    """A client in a thread of its own: allocates, binds, talks, deletes, several times over."""

    def __init__(self, relay, peers, index, rounds, turns):
        super().__init__(daemon=True)
        self.relay, self.peers, self.index, self.rounds, self.turns = relay, peers, index, rounds, turns
        self.error = None
        self.echoed = 0

    def run(self):
        try:
            for _ in range(self.rounds):
                self._round(random.Random(self.index))
        except Exception as error:  # handed to the test, which raises it
            self.error = error

    def _round(self, rng):
        with new_client(self.relay, V6 if self.index % 2 else V4, "talker%d" % self.index) as client:
            client.allocate()
            channels = [client.bind(peer) for family in (V4, V6) for peer in self.peers.addresses(family)]
            for turn in range(self.turns):
                payload = rng.randbytes(rng.randrange(1300))
                channel = channels[turn % len(channels)]
                client.send(channel, payload)
                got = client.receive()
                assert got == (channel, payload[::-1]), "turn %d: lost or changed" % turn
                self.echoed += 1
            client.refresh()
            client.refresh(0)


class Workers(unittest.TestCase):
    def talk(self, workers, clients, rounds, turns):
        with Relay(BINARY, workers=workers) as relay, EchoPeers(2, (V4, V6)) as peers:
            talkers = [Talker(relay, peers, i, rounds, turns) for i in range(clients)]
            for talker in talkers:
                talker.start()
            for talker in talkers:
                talker.join(6 * DEADLINE)
                self.assertFalse(talker.is_alive(), "a client hangs")
                if talker.error:
                    raise talker.error
            self.assertEqual(sum(t.echoed for t in talkers), clients * rounds * turns)

    def test_two_workers(self):
        self.talk(2, 12, 3, 20)

    def test_four_workers(self):
        self.talk(4, 24, 3, 20)

    def test_four_ports_are_four_allocations_whoever_asks(self):
        """The pool is shared: no worker sits on ports that another one's client needs."""
        for _ in range(3):
            with Relay(BINARY, workers=4, port_count=4) as relay:
                clients = [new_client(relay, salt="c%d" % i) for i in range(12)]
                allowed, codes = [], []
                for client in clients:
                    try:
                        client.allocate()
                        allowed.append(client)
                    except Refused as error:
                        codes.append(error.code)
                self.assertEqual(len(allowed), 4)
                self.assertEqual(codes, [508] * 8)
                self.assertEqual({c.relayed[4][1] for c in allowed}, set(range(relay.lowest, relay.highest + 1)))
                refused = [c for c in clients if c not in allowed]
                # A port that one worker gives back is there for a client of another.
                for turn, client in enumerate(refused):
                    loser = allowed.pop(0)
                    freed = loser.relayed[4][1]
                    loser.refresh(0)
                    client.allocate()
                    self.assertEqual(client.relayed[4][1], freed, turn)
                    allowed.append(client)
                for client in clients:
                    client.close()

    def test_four_ports_under_a_rush(self):
        with Relay(BINARY, workers=4, port_count=4) as relay:
            results = []
            clients = [new_client(relay, salt="r%d" % i) for i in range(16)]
            barrier = threading.Barrier(len(clients))

            def rush(client):
                client.nonce = client.request_once(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP)]).get(stun.NONCE)
                barrier.wait(DEADLINE)
                try:
                    client.allocate()
                    results.append(client.relayed[4][1])
                except Refused as error:
                    results.append(-error.code)
            threads = [threading.Thread(target=rush, args=(c,), daemon=True) for c in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(2 * DEADLINE)
            self.assertEqual(sorted(r for r in results if r > 0), list(range(relay.lowest, relay.highest + 1)))
            self.assertEqual([r for r in results if r < 0], [-508] * 12)
            for client in clients:
                client.close()

    def test_threads_are_named_and_pinned(self):
        allowed = sorted(os.sched_getaffinity(0))
        for pinned in (False, True):
            with Relay(BINARY, *(["--pin-workers"] if pinned else []), workers=3) as relay:
                # Names are given, and CPUs chosen, right after the threads begin.
                names = wait_for(lambda: workers_of(relay.process.pid, 3), "three threads with names")
                self.assertEqual(sorted(names), ["relay-0", "relay-1", "relay-2"])
                for i in range(3):
                    want = [allowed[i % len(allowed)]] if pinned else allowed
                    wait_for(lambda: sorted(os.sched_getaffinity(names["relay-%d" % i])) == want,  # pylint: disable=cell-var-from-loop
                             "worker %d to be on CPU %s" % (i, want))
                self.assertEqual(sorted(os.sched_getaffinity(relay.process.pid)), allowed)

    def test_stop_while_packets_flow(self):
        for immediately in (True, False):
            relay = Relay(BINARY, workers=4)
            stop = threading.Event()
            with EchoPeers(1, (V4, V6)) as peers:
                clients = []
                for i in range(8):
                    client = new_client(relay, V6 if i % 2 else V4, "s%d" % i)
                    client.allocate()
                    clients.append((client, client.bind(peers.addresses()[0])))

                def flood(client, channel):
                    while not stop.is_set():
                        try:
                            client.send(channel, b"x" * 1000)
                            client.receive(0.001)
                        except OSError:
                            return
                threads = [threading.Thread(target=flood, args=pair, daemon=True) for pair in clients]
                for thread in threads:
                    thread.start()
                time.sleep(0.2)  # load for a while: there is nothing to wait for
                try:
                    if not immediately:
                        relay.process.terminate()
                        wait_for(lambda: relay.find("no new allocations"), "the relay to drain")
                        stop.set()
                        for thread in threads:
                            thread.join(DEADLINE)
                        for client, _ in clients:
                            client.inbox.clear()
                            client.refresh(0)
                        self.assertEqual(relay.wait(), 0, relay.output())
                    else:
                        relay.stop()
                finally:
                    stop.set()
                    relay.kill()
                    for thread in threads:
                        thread.join(DEADLINE)
                    for client, _ in clients:
                        client.close()
            self.assertNotIn("Sanitizer", relay.output())

    def test_second_relay_on_the_same_port_is_refused(self):
        for workers in (1, 2):
            with Relay(BINARY, workers=2) as relay:
                second = Process([BINARY, "--public-ip4-addr", "127.0.0.1", "--bind-ip4-addr", "127.0.0.1",
                                  "--listen-port", str(relay.port), "--workers", str(workers),
                                  "--lowest-port", "9000", "--highest-port", "9009",
                                  "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0"],
                                 clean_environment({"AUTH_SECRET": "other"}))
                self.assertEqual(second.wait(), 1, second.output())
                self.assertIn(str(relay.port), second.output())
                with new_client(relay) as client:
                    client.allocate()


if __name__ == "__main__":
    main()
