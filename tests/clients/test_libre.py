# SPDX-License-Identifier: Apache-2.0
"""Clients of libre's TURN reach each other through the relay, over TCP and TLS. Arguments: the relay, and the client built with libre, or "-"."""

import sys
import threading
import unittest

import lab

CLIENT = lab.program(sys.argv.pop(1))
if not CLIENT:
    lab.skip_all("no libre to build with here")
lab.isolate()


class Libre(lab.ClientTest):
    def talk(self, transport, count=400):
        secure = (lab.NAME, self.lab.authority.ca) if transport == "tls" else ("-", "-")
        got = self.lab.result(CLIENT, lab.SERVER[4], str(self.lab.port(transport)), *secure, *self.lab.relay.credentials(),
                              *self.lab.relay.credentials(), str(count))
        self.assertEqual(got["back"], count)
        self.relayed(4 * got["bytes"], transport=transport)

    def talk_on(self, transport):
        """The same while relays take each other's place."""
        over = threading.Event()
        faults = []

        def take_over():
            try:
                # A handshake that is under way can't go along.
                while not over.wait(0.01) and self.passage.look().allocations() < 2:
                    pass
                while not over.wait(0.1):
                    self.lab.take_over()
                    faults.append(None)
            except AssertionError as error:
                faults.append(str(error))

        thread = threading.Thread(target=take_over)
        thread.start()
        try:
            self.talk(transport, 30000)
        finally:
            over.set()
            thread.join()
        self.assertEqual([f for f in faults if f], [])
        print("    %d hand-overs" % len(faults), flush=True)
        self.assertGreaterEqual(len(faults), 2)

    @unittest.skipIf(lab.COTURN, "of two relays")
    def test_hand_over_tcp(self):
        self.talk_on("tcp")

    @unittest.skipIf(lab.COTURN, "of two relays")
    def test_hand_over_tls(self):
        self.talk_on("tls")

    def test_over_tcp(self):
        self.talk("tcp")

    def test_over_tls(self):
        self.talk("tls")


if __name__ == "__main__":
    lab.main()
