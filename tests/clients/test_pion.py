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

    def talk(self, right, family, transport, count=400000):
        if family == 6:
            raise unittest.SkipTest("pion/ice 2 asks its TURN servers from an IPv4 socket alone")
        servers = [self.lab.server(family, transport), self.lab.server(family, transport) if right == "relay" else None]
        wanted = {"servers": servers, "bytes": count, "seconds": lab.LONG}
        got = self.lab.result(CLIENT, json.dumps(wanted), seconds=lab.PATIENCE + lab.LONG, env={"SSL_CERT_FILE": self.lab.authority.ca})
        self.assert_call(got, right, count, transport)


if __name__ == "__main__":
    lab.add_calls(Pion, streams=("tcp", "tls"))
    lab.main()
