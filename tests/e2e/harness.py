# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the built relay for end-to-end tests."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECRET = "an end-to-end secret"
DEADLINE = 20.0


def wait_for(condition, what, timeout=DEADLINE):
    """Waits until condition() is true; polls, because what is waited for is another process."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("timed out waiting for " + what)
        time.sleep(0.01)


class Relay:
    """One firezone-relay on loopback, on a free port, with a port range of its own."""

    _next_range = None

    def __init__(self, binary, *args, v6=True, workers=1, ports=None, env=None, wrapper=()):
        self.secret_file = tempfile.NamedTemporaryFile("w", suffix=".secret")
        self.secret_file.write(SECRET + "\n")
        self.secret_file.flush()
        low, high = ports or self.port_range(200)
        command = list(wrapper) + [
            binary, "--public-ip4-addr", "127.0.0.1", "--bind-ip4-addr", "127.0.0.1", "--listen-port", "0",
            "--lowest-port", str(low), "--highest-port", str(high), "--workers", str(workers),
            "--auth-secret-file", self.secret_file.name, "--unauthenticated-rate", "0"]
        if v6:
            command += ["--public-ip6-addr", "::1", "--bind-ip6-addr", "::1"]
        command += args
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("FIREZONE_", "AUTH_"))}
        environment.update(env or {})
        self.lines = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                                        text=True, errors="replace")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.port = int(wait_for(lambda: self.find(r"Listening on \S+:(\d+),"), "the relay to listen").group(1))
        except AssertionError:
            self.process.kill()
            raise AssertionError("the relay did not start:\n" + "".join(self.lines))

    @classmethod
    def port_range(cls, count):
        """Ports that tests running beside this one are unlikely to use; a clash costs the relay a retry, no more."""
        if cls._next_range is None:
            cls._next_range = 10000 + (os.getpid() * 997) % 20000
        low = cls._next_range
        cls._next_range = low + count if low + 2 * count < 32000 else 10000
        return low, low + count - 1

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def find(self, pattern):
        for line in list(self.lines):
            match = re.search(pattern, line)
            if match:
                return match
        return None

    def credentials(self, ttl=3600, salt="e2e"):
        import base64
        import hashlib
        expiry = int(time.time()) + ttl
        digest = hashlib.sha256(("%d:%s:%s" % (expiry, SECRET, salt)).encode()).digest()
        return "%d:%s" % (expiry, salt), base64.b64encode(digest).decode().rstrip("=")

    def stop(self, immediately=True):
        """Ends the relay by signals and checks how it ended."""
        self.process.send_signal(signal.SIGTERM)
        if immediately:
            wait_for(lambda: self.find("no new allocations") or self.process.poll() is not None, "the first signal to be seen")
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        output = "".join(self.lines)
        assert status == 0, "exit status %d\n%s" % (status, output)
        for bad in ("Sanitizer", "runtime error", "panic", "Assertion"):
            assert bad not in output, output
        assert SECRET not in output, "the secret is in the log"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.process.kill()
            self.process.wait()
            sys.stderr.write("".join(self.lines[-50:]))


def free_udp_socket(family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    s.settimeout(DEADLINE)
    return s
