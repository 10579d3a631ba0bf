# SPDX-License-Identifier: Apache-2.0
"""WebRTC libraries of npm call themselves through the relay: werift, @roamhq/wrtc (libwebrtc) and node-datachannel (libdatachannel, libjuice).

Arguments: the relay, and a folder into which npm installs what package-lock.json says, unless it is there already."""

import fcntl
import filecmp
import json
import os
import shutil
import subprocess
import sys

import lab

FOLDER = sys.argv.pop(1)
HERE = os.path.join(lab.HERE, "npm")


def install():
    """Installs what the lock file names. Returns what is in the way of that, or None."""
    os.makedirs(FOLDER, exist_ok=True)
    done = os.path.join(FOLDER, "installed-lock.json")
    with open(os.path.join(FOLDER, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(done) and filecmp.cmp(done, os.path.join(HERE, "package-lock.json"), shallow=False):
            return None
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, name), FOLDER)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000"]
        try:
            subprocess.run(command, cwd=FOLDER, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        except subprocess.CalledProcessError as error:
            return "npm can't install the libraries here: " + (error.stdout.decode(errors="replace").strip().splitlines() or ["?"])[-1]
        except subprocess.TimeoutExpired:
            return "npm does not come to an end here"
        shutil.copy(os.path.join(HERE, "package-lock.json"), done)
    return None


if not os.environ.get(lab.netns.INSIDE):
    lab.have("node", "npm")
    why = install()
    if why:
        lab.skip_all(why)
lab.isolate()


# What they know beside UDP. node-datachannel 0.33.4 connects nowhere for a server by TCP or TLS: its binary is made with libjuice.
STREAMS = {"werift": ("tcp", "tls"), "wrtc": ("tcp",), "datachannel": ()}


class Npm(lab.ClientTest):
    def talk(self, library, right, family, transport, count=400000):
        servers = [self.lab.server(family, transport), self.lab.server(family, transport) if right == "relay" else None]
        wanted = {"library": library, "servers": servers, "bytes": count, "seconds": lab.LONG}
        got = self.lab.result("node", os.path.join(HERE, "call.js"), json.dumps(wanted), seconds=lab.PATIENCE + lab.LONG, folder=FOLDER,
                              env={"NODE_EXTRA_CA_CERTS": self.lab.authority.ca})
        # werift checks through channels.
        self.INDICATIONS = 0 if library == "werift" else lab.FIRST
        self.assert_call(got, right, count, transport)


if __name__ == "__main__":
    for _library in STREAMS:
        lab.add_calls(Npm, _library, streams=STREAMS[_library])
    lab.main()
