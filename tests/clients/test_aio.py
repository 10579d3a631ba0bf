# SPDX-License-Identifier: Apache-2.0
"""aioice and aiortc (Python) call themselves through the relay."""

import importlib.util
import json
import os
import sys
import unittest

import lab

if not importlib.util.find_spec("aioice"):
    lab.skip_all("no python3-aioice here")
lab.isolate()


class Aio(lab.ClientTest):
    def talk(self, library, right, family, transport, count=200000):
        if not importlib.util.find_spec(library):
            raise unittest.SkipTest("SKIP: no python3-%s here" % library)

        def server():
            return [lab.SERVER[family], self.lab.port(transport), transport, *self.lab.relay.credentials()]
        wanted = {"library": library, "servers": [server(), server() if right == "relay" else None], "bytes": count, "seconds": lab.LONG}
        got = self.lab.result(sys.executable, os.path.join(lab.HERE, "aio_call.py"), json.dumps(wanted), seconds=lab.PATIENCE + lab.LONG,
                              env={"SSL_CERT_FILE": self.lab.authority.ca})
        self.assert_call(got, right, count, transport)
        if library == "aiortc":
            self.assertGreaterEqual(got["frames"], 15, got)


if __name__ == "__main__":
    for _library in ("aioice", "aiortc"):
        lab.add_calls(Aio, _library, streams=("tcp", "tls"))
    lab.main()
