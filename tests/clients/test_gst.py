# SPDX-License-Identifier: Apache-2.0
"""gstreamer's webrtcbin calls itself through the relay: video and data."""

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

    def server(self, family):
        username, password = (urllib.parse.quote(text, safe="") for text in self.lab.relay.credentials())
        return ("turn://%s:%s@%s:%d" if family == 4 else "turn://%s:%s@[%s]:%d") % (username, password, lab.SERVER[family], self.lab.relay.port)

    def talk(self, right, family, count=100000):
        wanted = {"servers": [self.server(family), self.server(family) if right == "relay" else None], "bytes": count, "frames": FRAMES,
                  "seconds": lab.LONG}
        got = self.lab.result(sys.executable, os.path.join(lab.HERE, "gst_call.py"), json.dumps(wanted), seconds=lab.PATIENCE + lab.LONG)
        self.assert_call(got, right, count)
        self.assertGreaterEqual(got["frames"], FRAMES, got)


if __name__ == "__main__":
    lab.add_calls(Gst)
    lab.main()
