# SPDX-License-Identifier: Apache-2.0
"""libnice's agents reach each other through the relay. What 0.1.21 has for TLS is plain TCP. Arguments: the relay, and the client built with libnice, or "-"."""

import sys

import lab

CLIENT = lab.program(sys.argv.pop(1))
if not CLIENT:
    lab.skip_all("no libnice to build with here")
lab.isolate()


class Nice(lab.ClientTest):
    INDICATIONS = lab.FIRST

    def talk(self, right, family, transport, count=400000):
        users = [self.lab.relay.credentials(), self.lab.relay.credentials() if right == "relay" else ("-", "-")]
        got = self.lab.result(CLIENT, lab.SERVER[family], str(self.lab.port(transport)), transport, *users[0], *users[1], lab.CLIENT[4], str(count), str(lab.LONG),
                              seconds=lab.PATIENCE + lab.LONG)
        self.assert_call(got, right, count, transport)


if __name__ == "__main__":
    lab.add_calls(Nice, streams=("tcp",))
    lab.main()
