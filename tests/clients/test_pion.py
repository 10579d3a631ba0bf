# SPDX-License-Identifier: Apache-2.0
"""pion/webrtc (Go) calls itself through the relay. Arguments: the relay, and the built client, or "-"."""

import json
import sys
import unittest

import lab

CLIENT = lab.program(sys.argv.pop(1))
if not CLIENT:
    lab.skip_all("no Go or no pion/webrtc to build with here")
lab.isolate()


class Pion(lab.ClientTest):
    INDICATIONS = lab.FIRST

    def talk(self, right, family, count=400000):
        if family == 6:
            raise unittest.SkipTest("pion/ice 2 asks its TURN servers from an IPv4 socket alone")
        wanted = {"servers": [self.lab.server(family), self.lab.server(family) if right == "relay" else None], "bytes": count,
                  "seconds": lab.LONG}
        self.assert_call(self.lab.result(CLIENT, json.dumps(wanted), seconds=lab.PATIENCE + lab.LONG), right, count)


if __name__ == "__main__":
    lab.add_calls(Pion)
    lab.main()
