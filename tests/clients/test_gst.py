# SPDX-License-Identifier: Apache-2.0
"""gstreamer's webrtcbin calls itself through the relay: video and data. Its libnice has no TLS."""

import json
import os
import subprocess
import sys
import urllib.parse

import lab

NEEDED = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC
Gst.init(None)
missing = [e for e in "webrtcbin nicesrc vp8enc videotestsrc rtpvp8pay dtlssrtpdec sctpdec rtpbin".split() if not Gst.ElementFactory.find(e)]
raise SystemExit("no " + ", ".join(missing) if missing else 0)
"""
tried = subprocess.run([sys.executable, "-c", NEEDED], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       check=False)
if tried.returncode:
    lab.skip_all("not all of gstreamer is here: " + (tried.stdout.strip().splitlines() or ["?"])[-1])
lab.isolate()
FRAMES = 30


class Gst(lab.ClientTest):
    INDICATIONS = lab.FIRST

    def server(self, family, transport):
        username, password = (urllib.parse.quote(text, safe="") for text in self.lab.relay.credentials())
        host = lab.SERVER[family] if family == 4 else "[%s]" % lab.SERVER[family]
        return lab.URLS[transport].replace(":", "://%s:%s@", 1) % (username, password, host, self.lab.port(transport))

    def talk(self, right, family, transport, count=100000):
        servers = [self.server(family, transport), self.server(family, transport) if right == "relay" else None]
        wanted = {"servers": servers, "bytes": count, "frames": FRAMES, "seconds": lab.LONG}
        got = self.lab.result(sys.executable, os.path.join(lab.HERE, "gst_call.py"), json.dumps(wanted), seconds=lab.PATIENCE + lab.LONG)
        self.assert_call(got, right, count, transport)
        self.assertGreaterEqual(got["frames"], FRAMES, got)


if __name__ == "__main__":
    lab.add_calls(Gst, streams=("tcp",))
    lab.main()
