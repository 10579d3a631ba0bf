# SPDX-License-Identifier: Apache-2.0
"""A browser calls itself through the relay, by the page of examples/webrtc: video and data, to a relayed address and to one of a host, over
IPv4 and IPv6.

Arguments: the relay, the page, and the browser: Chromium or Firefox."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import unittest
import urllib.parse

import lab

PAGE, NAME = sys.argv[1:3]
del sys.argv[1:3]

import browser
from harness import clean_environment

lab.isolate()
Browser = {"chromium": browser.Chromium, "firefox": browser.Firefox}[NAME]
if not any(shutil.which(p) for p in Browser.PROGRAMS):
    lab.skip_all("no %s here" % " or ".join(Browser.PROGRAMS))


class Browsers(lab.ClientTest):
    ARGS = ("--auth", "rest")
    # Firefox never binds a channel.
    INDICATIONS = {"chromium": lab.FIRST, "firefox": lab.ALL}[NAME]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser(cls.lab)
        cls.addClassCleanup(lambda: cls.browser.close())

    def figures(self):
        """Those of the page, which may be loading still."""
        return json.loads(self.browser.evaluate("JSON.stringify(window.figures || {state: 'loading'})"))

    def servers(self, family, transport, host=None):
        """What the page is to be given, as its README says."""
        if lab.COTURN:
            return json.dumps([self.lab.server(family, transport, host)])
        made = subprocess.run([lab.BINARY, "credentials", "--auth", "rest", "--format", "webrtc", "--listen-port", str(self.lab.relay.port),
                               "--public-ip%d-addr" % family, lab.SERVER[family], "--auth-secret-file", self.lab.relay.secret_file.name],
                              env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
        return json.dumps([{**json.loads(made)[0], "urls": self.lab.server(family, transport, host)["urls"]}])

    def call(self, family=4, transport="udp", host=None, **form):
        """Has the page call as `form` says. Firefox asks no relay for TLS that is not named."""
        form = {"servers": self.servers(family, transport, host or (lab.NAME if transport == "tls" else None)), **form}
        self.browser.open("file://" + PAGE + "#" + urllib.parse.urlencode(form, quote_via=urllib.parse.quote))

    def until(self, condition, seconds):
        """The page's figures, when they satisfy `condition`."""
        end = time.monotonic() + seconds
        while True:
            got = self.figures()
            if got["state"].startswith("failed") or time.monotonic() > end:
                self.fail("%s\n%s" % (json.dumps(got, indent=1), self.lab.relay.output()[-4000:]))
            if condition(got):
                return got
            time.sleep(0.2)

    def talk(self, right, enough, at_least, family=4, transport="udp", **form):
        """A call in which `enough` comes true, in the long run not before its time, and `at_least` bytes are relayed."""
        self.call(family, transport, right=right, **form)
        got = self.until(lambda f: f["state"] == "connected" and all(f["pairs"] or [None]) and enough(f), lab.PATIENCE + lab.LONG)
        if lab.LONG:
            got = self.goes_on(got)
        left, other = got["pairs"]
        self.assertEqual(left["local"]["type"], "relay", got)
        self.assertEqual(other["local"]["type"], "relay" if right == "relay" else "host", got)
        self.assertIn(left["remote"]["type"], ("relay", "prflx") if right == "relay" else ("host", "prflx"), got)
        self.assertEqual(got["wrong"], 0, got)
        # By its own account it comes to the relay so.
        self.assertEqual([end["local"].get("by") for end in got["pairs"] if end["local"]["type"] == "relay"], [transport] * (1 + (right == "relay")), got)
        self.relayed(at_least, transport=transport)

    def goes_on(self, got):
        """Until the time is over, something has to come all the time."""
        end = time.monotonic() + lab.LONG
        while time.monotonic() < end:
            before = got
            got = self.until(lambda f: f["back"] > before["back"] and (not before["frames"] or f["frames"] > before["frames"]), 20)
            time.sleep(1)
        return got

    def test_data_relay_to_relay(self):
        self.talk("relay", lambda f: f["bytes"] >= 3e6, 12e6, pace="fast", video="no")

    def test_data_relay_to_host(self):
        self.talk("direct", lambda f: f["bytes"] >= 3e6, 6e6, pace="fast", video="no")

    def test_video_relay_to_relay(self):
        self.talk("relay", lambda f: f["frames"] >= 60 and f["back"] >= 40, 100000, video="yes")

    def test_video_relay_to_host(self):
        self.talk("direct", lambda f: f["frames"] >= 60 and f["back"] >= 40, 100000, video="yes")

    def test_over_ipv6(self):
        self.talk("relay", lambda f: f["frames"] >= 30 and f["back"] >= 20, 60000, family=6, video="yes")

    def test_data_over_tcp(self):
        self.talk("relay", lambda f: f["bytes"] >= 3e6, 12e6, transport="tcp", pace="fast", video="no")

    def test_video_over_tcp(self):
        self.talk("direct", lambda f: f["frames"] >= 60 and f["back"] >= 40, 100000, transport="tcp", video="yes")

    @unittest.skipIf(not shutil.which("certutil"), "no certutil (libnss3-tools) here")
    def test_data_over_tls(self):
        self.talk("relay", lambda f: f["bytes"] >= 3e6, 12e6, transport="tls", pace="fast", video="no")

    @unittest.skipIf(not shutil.which("certutil"), "no certutil (libnss3-tools) here")
    def test_video_over_tls(self):
        self.talk("relay", lambda f: f["frames"] >= 60 and f["back"] >= 40, 100000, transport="tls", video="yes")

    def talk_on(self, transport):
        """Video goes on while three relays, one after the other, take the place of the one before."""
        at = [20, 40, 60]

        def enough(figures):
            if at and figures["frames"] >= at[0]:
                at.pop(0)
                self.lab.take_over()
            return not at and figures["frames"] >= 120 and figures["back"] >= 80

        self.talk("relay", enough, 200000, transport=transport, video="yes")

    @unittest.skipIf(lab.COTURN, "of two relays")
    def test_hand_over_udp(self):
        self.talk_on("udp")

    @unittest.skipIf(lab.COTURN, "of two relays")
    def test_hand_over_tcp(self):
        self.talk_on("tcp")

    @unittest.skipIf(lab.COTURN or not shutil.which("certutil"), "of two relays, and certutil (libnss3-tools)")
    def test_hand_over_tls(self):
        self.talk_on("tls")

    def test_a_certificate_without_its_name_is_refused(self):
        self.call(transport="tls", host=lab.WRONG_NAME, right="relay", video="no")
        ended = '^relay_stream_connections_ended_total.*"tls"'
        lab.wait_for(lambda: self.passage.look().since(ended) >= 1, "a connection to end", lab.PATIENCE)
        self.assertEqual(self.passage.allocations(), 0)
        # With TLS 1.3 a client refuses the certificate when the handshake is over for the relay.
        if self.passage.since(ended + '.*"handshake"'):
            self.assertTrue(self.lab.relay.told("A TLS handshake failed"))

    @unittest.skipUnless(NAME == "chromium" and os.environ.get("CALL_PICTURE"), "draws examples/webrtc/call.png, where CALL_PICTURE names it")
    def test_picture(self):
        self.browser.command("Emulation.setDeviceMetricsOverride", {"width": 960, "height": 880, "deviceScaleFactor": 1, "mobile": False},
                             self.browser.session)
        self.call(right="relay", video="yes")
        self.until(lambda f: f["state"] == "connected" and f["frames"] >= 150 and f["back"] >= 100, lab.PATIENCE)
        with open(os.environ["CALL_PICTURE"], "wb") as file:
            file.write(base64.b64decode(self.browser.screenshot()))

    def test_a_wrong_password_is_told(self):
        wrong = {**self.lab.server(), "credential": "wrong"}
        self.call(servers=json.dumps([wrong]), right="relay", video="no")
        got = self.until(lambda f: f.get("errors"), lab.PATIENCE)
        self.assertIn("401", got["errors"][0])


if __name__ == "__main__":
    lab.main()
