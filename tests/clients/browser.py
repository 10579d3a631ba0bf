# SPDX-License-Identifier: Apache-2.0
"""Browsers without a window, spoken to in their own remote protocols: Chromium's over a pipe, Firefox's over a socket."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time

from harness import wait_for
from lab import NAME, PATIENCE, SERVER, WRONG_NAME


def trust(database, authority):
    """Has a browser's database of certificates know an authority, where there is a tool for that."""
    if not shutil.which("certutil"):
        return
    os.makedirs(database, exist_ok=True)
    for how in (["-N", "--empty-password"], ["-A", "-n", "tests", "-t", "C,,", "-i", authority.ca]):
        subprocess.run(["certutil", "-d", "sql:" + database, *how], check=True, stdin=subprocess.DEVNULL)


class Chromium:
    """Chromium's DevTools protocol: JSON that ends with a NUL, on descriptors 3 and 4."""

    PROGRAMS = ("chromium", "chromium-browser")

    def __init__(self, lab, *args):
        self.lab, self.number, self.buffer = lab, 0, b""
        self.profile = tempfile.mkdtemp(prefix="chromium-", dir=lab.home)
        trust(os.path.join(lab.home, ".pki", "nssdb"), lab.authority)
        theirs_in, self.to = os.pipe()
        self.come, theirs_out = os.pipe()
        # bash (dash knows descriptors of one digit alone) puts the pipes where the browser expects them.
        self.process = lab.start(
            "bash", "-c", 'in=$1 out=$2; shift 2; eval "exec 3<&$in 4>&$out"; exec "$@"', "sh", str(theirs_in), str(theirs_out),
            shutil.which(self.PROGRAMS[0]) or shutil.which(self.PROGRAMS[1]), "--headless=new", "--no-sandbox", "--remote-debugging-pipe",
            "--user-data-dir=" + self.profile, "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-breakpad", "--disable-background-timer-throttling",
            "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows", "--autoplay-policy=no-user-gesture-required",
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--allow-file-access-from-files",
            # Else its own addresses are names that only multicast DNS knows.
            "--disable-features=WebRtcHideLocalIpsWithMdns",
            # It looks up those of relays with a dot behind, connects without one, and waits long for either.
            "--host-resolver-rules=" + ",".join("MAP %s %s,MAP %s. %s" % (2 * (name, SERVER[4])) for name in (NAME, WRONG_NAME)), *args, "about:blank",
            pass_fds=(theirs_in, theirs_out), log=self.profile + ".log")
        os.close(theirs_in)
        os.close(theirs_out)
        target = wait_for(self._page, "Chromium to have a page", PATIENCE)
        self.session = self.command("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

    def _page(self):
        pages = [t for t in self.command("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        return pages[0]["targetId"] if pages else None

    def command(self, method, params=None, session=None):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self.buffer:
                if not select.select([self.come], [], [], max(0, end - time.monotonic()))[0]:
                    raise AssertionError("Chromium does not answer %s\n%s" % (method, self.log()))
                more = os.read(self.come, 1 << 16)
                if not more:
                    raise AssertionError("Chromium has ended\n" + self.log())
                self.buffer += more
            text, self.buffer = self.buffer.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError("Chromium refuses %s: %s" % (method, answer["error"]))
                return answer["result"]

    def open(self, url):
        self.command("Page.navigate", {"url": "about:blank"}, self.session)
        self.command("Page.navigate", {"url": url}, self.session)

    def evaluate(self, expression):
        """The value of a JavaScript expression, which JSON can hold."""
        got = self.command("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}, self.session)
        if "exceptionDetails" in got:
            raise AssertionError("%s: %s" % (expression, got["exceptionDetails"].get("exception", got)))
        return got["result"].get("value")

    def screenshot(self):
        return self.command("Page.captureScreenshot", {"format": "png"}, self.session)["data"]

    def log(self):
        with open(self.profile + ".log", encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def close(self):
        self.lab.end(self.process)
        os.close(self.to)
        os.close(self.come)


class Firefox:
    """Firefox's Marionette: "length:JSON" over TCP."""

    PROGRAMS = ("firefox-esr", "firefox")
    PREFERENCES = {
        "marionette.port": 0,
        "media.peerconnection.ice.obfuscate_host_addresses": False,
        "media.navigator.streams.fake": True,
        "media.navigator.permission.disabled": True,
        "media.autoplay.default": 0,
        "dom.timeout.throttling_delay": -1,
        "dom.min_background_timeout_value": 4,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "app.update.disabledForTesting": True,
        "browser.shell.checkDefaultBrowser": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "toolkit.telemetry.enabled": False,
        "browser.safebrowsing.update.enabled": False,
        "extensions.update.enabled": False,
        "services.settings.server": "data:,",
        # The one that would be fetched for H.264.
        "media.gmp-manager.updateEnabled": False,
        # All names are the relay's.
        "network.dns.forceResolve": SERVER[4],
    }

    def __init__(self, lab, preferences=None):
        self.lab, self.number, self.buffer = lab, 0, b""
        self.profile = tempfile.mkdtemp(prefix="firefox-", dir=lab.home)
        trust(self.profile, lab.authority)
        with open(self.profile + "/user.js", "w", encoding="utf-8") as f:
            for name, value in {**self.PREFERENCES, **(preferences or {})}.items():
                f.write("user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value)))
        self.process = lab.start(shutil.which(self.PROGRAMS[0]) or shutil.which(self.PROGRAMS[1]), "--headless", "--marionette", "--no-remote",
                                 "--profile", self.profile, log=self.profile + ".log",
                                 env={"MOZ_CRASHREPORTER_DISABLE": "1", "MOZ_DISABLE_CONTENT_SANDBOX": "1"})
        port = wait_for(self._port, "Firefox to listen", PATIENCE)
        with lab.far.inside():
            self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self._message()
        self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"timeouts": {"script": PATIENCE * 1000}}}})

    def _port(self):
        if self.process.poll() is not None:
            raise AssertionError("Firefox has ended\n" + self.log())
        found = re.search(r"Listening on port (\d+)", self.log())
        return int(found.group(1)) if found else None

    def _message(self):
        while True:
            length, colon, rest = self.buffer.partition(b":")
            if colon and len(rest) >= int(length):
                self.buffer = rest[int(length):]
                return json.loads(rest[:int(length)])
            try:
                more = self.socket.recv(1 << 16)
            except TimeoutError:
                raise AssertionError("Firefox does not answer\n" + self.log()) from None
            if not more:
                raise AssertionError("Firefox has ended\n" + self.log())
            self.buffer += more

    def command(self, name, params=None):
        self.number += 1
        text = json.dumps([0, self.number, name, params or {}]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        while True:
            kind, number, error, result = self._message()
            if kind == 1 and number == self.number:
                if error:
                    raise AssertionError("Firefox refuses %s: %s" % (name, error))
                return result

    def open(self, url):
        self.command("WebDriver:Navigate", {"url": "about:blank"})
        self.command("WebDriver:Navigate", {"url": url})

    def evaluate(self, expression):
        return self.command("WebDriver:ExecuteScript", {"script": "return (%s);" % expression, "args": [], "sandbox": None})["value"]

    def screenshot(self):
        return self.command("WebDriver:TakeScreenshot", {"full": True})["value"]

    def log(self):
        with open(self.profile + ".log", encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def close(self):
        self.socket.close()
        self.lab.end(self.process)
