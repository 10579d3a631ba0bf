# SPDX-License-Identifier: Apache-2.0
"""baresip (libre) rings itself by SIP, and what one says goes to the other through the relay: a tone, which that one writes to a file."""

import array
import math
import os
import re
import sys
import time
import unittest
import wave

import lab

lab.have("baresip")
lab.isolate()
MODULES = next((d for d in ("/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules") if os.path.isdir(d)), None)
NEEDED = ("aufile", "g711", "turn", "menu", "account")
APPLICATIONS = ("menu", "account")
for _module in NEEDED:
    if not MODULES or not os.path.exists(os.path.join(MODULES, _module + ".so")):
        lab.skip_all("baresip has no module %s here" % _module)
SECONDS = 4

CONFIG = """
sip_listen          {listen}
audio_source        aufile,{folder}/say.wav
audio_channels      1
rtp_ports           {ports}
rtcp_mux            yes
module_path         {modules}
"""


class Phone:
    """One baresip with a configuration of its own. `relay` is for its media: host, port, username and password, or None."""

    def __init__(self, test, name, host, port, relay, *arguments):
        self.name = name
        self.folder = os.path.join(test.lab.home, "%s-%s" % (test.id(), name))
        self.uri = "sip:%s@%s:%d" % (name, "[%s]" % host if ":" in host else host, port)
        os.makedirs(self.folder)
        config = CONFIG.format(listen=self.uri.split("@")[1], folder=self.folder, ports="%d-%d" % (port + 1000, port + 1100), modules=MODULES)
        self.write("config", config + "".join("module%s %s.so\n" % ("_app" if module in APPLICATIONS else "", module) for module in NEEDED))
        self.say(lab.LONG + 60)
        account = "<%s>;regint=0;answermode=auto;audio_codecs=pcmu" % self.uri
        if relay:
            server = "turn:[%s]:%d" if ":" in relay[0] else "turn:%s:%d"
            account += ';medianat=turn;stunserver="%s";stunuser="%s";stunpass="%s"' % (server % tuple(relay[:2]), *relay[2:])
        self.write("accounts", account + "\n")
        self.log = os.path.join(self.folder, "log")
        self.process = test.lab.start("baresip", "-f", self.folder, *arguments, log=self.log)
        test.addCleanup(test.lab.end, self.process)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def say(self, seconds):
        """Writes what this one has to say: a tone."""
        period = array.array("h", [round(12000 * math.sin(math.pi * i / 10)) for i in range(20)])
        with wave.open(os.path.join(self.folder, "say.wav"), "w") as f:
            f.setparams((1, 2, 8000, 0, "NONE", ""))
            f.writeframes((period * (400 * seconds)).tobytes())

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def talks(self):
        """Whether as much sound comes and leaves as PCMU has, by its own measurement."""
        found = re.findall(r"audio=(\d+)/(\d+) \(bit/s\)", self.said())
        return bool(found) and min(map(int, found[-1])) > 50000


class Baresip(lab.ClientTest):
    TALKS_TO_ITSELF = True

    def talk(self, right, family, _):
        if family == 6:
            raise unittest.SkipTest("over IPv6 baresip asks for an address of no family, gets an IPv4 one, and refuses its own offer of that")

        def relay():
            return (lab.SERVER[family], self.lab.relay.port, *self.lab.relay.credentials())
        host = lab.CLIENT[family]
        callee = Phone(self, "callee", host, 5070, relay() if right == "relay" else None)
        lab.wait_for(lambda: re.search(r"baresip is ready", callee.said()), "the callee to be ready", lab.PATIENCE)
        caller = Phone(self, "caller", host, 5060, relay(), "-e", "/dial " + callee.uri)
        # Where the sound comes from: the relay, for who is called; for who uses it, the address that the relay has it from.
        source = lab.SERVER[4] if right == "relay" else host
        seconds = max(SECONDS, lab.LONG)
        try:
            for phone, address in ((caller, source), (callee, lab.SERVER[4])):
                lab.wait_for(lambda: "receiving from " + address in phone.said(), "sound for the " + phone.name, lab.PATIENCE)
                lab.wait_for(phone.talks, "a steady flow", lab.PATIENCE)
            # 50 packets of 172 bytes a second, either way.
            self.relayed(seconds * 45 * 172 * 2 * (2 if right == "relay" else 1), seconds + lab.PATIENCE)
            time.sleep(max(0, self.begun + lab.LONG - time.monotonic()))
            for phone in (caller, callee):
                lab.wait_for(phone.talks, "a steady flow in the end")
        except AssertionError as error:
            self.fail("%s\n%s" % (error, re.sub(r"[^\n]*\r|\n\n+", "", caller.said() + callee.said())))


if __name__ == "__main__":
    lab.add_calls(Baresip)
    lab.main()
