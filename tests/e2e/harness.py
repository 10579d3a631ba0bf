# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the built relay, and the helpers around it, for end-to-end tests."""

import base64
import fcntl
import hashlib
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SECRET = "an end-to-end secret"
DEADLINE = 20.0
# Exit status that meson takes for "skipped".
SKIPPED = 77

# What a sanitizer, the C library or a crash handler would print.
BAD_OUTPUT = ("Sanitizer", "runtime error", "Assertion", "stack smashing", "double free", "corrupted",
              "(): invalid")


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


def sanitizers_report(lines):
    """The lines from the first one on in which a sanitizer of the compiler's found a fault, a hundred at most."""
    for i, line in enumerate(lines):
        if "Sanitizer" in line or "runtime error:" in line:
            return lines[i:i + 100]
    return []


def is_sanitized(binary):
    """Whether a sanitizer is in it, which keeps what has been freed, and more beside."""
    with open(binary, "rb") as f:
        program = f.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def make_credentials(secret=SECRET, ttl=3600, salt="e2e"):
    """Stamp credentials: user name and password that a relay with this secret takes for `ttl` more seconds."""
    expiry = int(time.time()) + ttl
    digest = hashlib.sha256(("%d:%s:%s" % (expiry, secret, salt)).encode()).digest()
    return "%d:%s" % (expiry, salt), base64.b64encode(digest).decode().rstrip("=")


class PortBlock:
    """Ports that no other test of this machine has at the same time: a block of the numbers below the ephemeral ones,
    held by a file lock for as long as this process lives."""

    FIRST, SIZE, COUNT = 10000, 200, 110
    _taken = {}

    @classmethod
    def take(cls, count):
        """Returns lowest and highest of `count` ports, all of which could be bound just now."""
        assert count <= cls.SIZE
        for low in cls._blocks():
            if all(port_is_free(port) for port in range(low, low + count)):
                return low, low + count - 1
        raise AssertionError("no free block of ports")

    @classmethod
    def _blocks(cls):
        where = os.path.join(tempfile.gettempdir(), "fzr-e2e-ports.%d" % os.getuid())
        while True:
            os.makedirs(where, mode=0o700, exist_ok=True)
            # Who is root in a user namespace alone finds the folder of the real one.
            if os.access(where, os.W_OK | os.X_OK):
                break
            where += ".user"
        start = (os.getpid() * 7) % cls.COUNT
        for i in range(cls.COUNT):
            block = (start + i) % cls.COUNT
            if block in cls._taken:
                continue
            fd = os.open(os.path.join(where, "%d" % block), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            cls._taken[block] = fd
            yield cls.FIRST + block * cls.SIZE

    @classmethod
    def give_back(cls, low):
        fd = cls._taken.pop((low - cls.FIRST) // cls.SIZE, None)
        if fd is not None:
            os.close(fd)


def port_is_free(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            try:
                s.bind((host, port))
            except OSError:
                return False
    return True


def binding_request():
    """A STUN Binding request and the bytes its success begins with."""
    transaction = os.urandom(12)
    rest = struct.pack(">I", 0x2112A442) + transaction
    return struct.pack(">HH", 0x0001, 0) + rest, struct.pack(">H", 0x0101), rest


def answers_binding(family, host, port, patience=DEADLINE):
    """Sends one Binding request and says whether a success comes back."""
    request, kind, rest = binding_request()
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(patience)
        try:
            s.connect((host, port))
            s.send(request)
            answer = s.recv(2048)
        except OSError:
            return False
    return answer[:2] == kind and answer[4:20] == rest


class Process:
    """A program that is read while it runs."""

    def __init__(self, command, env=None):
        self.command = command
        self.lines = []
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=env, text=True, errors="replace")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def output(self):
        return "".join(list(self.lines))

    def find(self, pattern):
        for line in list(self.lines):
            match = re.search(pattern, line)
            if match:
                return match
        return None

    def told(self, pattern):
        """What it writes is read by another thread: finds also what is on its way."""
        end = time.monotonic() + DEADLINE
        while not self.find(pattern) and time.monotonic() < end:
            time.sleep(0.01)
        return self.find(pattern)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._close()

    def wait(self):
        status = self.process.wait(DEADLINE)
        self._close()
        return status

    def _close(self):
        self.reader.join(DEADLINE)
        self.process.stdout.close()
        # However the test ends, and whatever it looks at.
        sys.stderr.write("".join(sanitizers_report(self.lines)))


class Relay(Process):
    """One firezone-relay on loopback, on a free port, with a port range of its own.

    `v4` and `v6` say which families it offers; `ports` is a pair that overrides the range, `port_count` how many it takes;
    `args` are further arguments, `env` further variables. `wrapper` stands before the command, such as "ip netns exec x".
    """

    users = 0

    def __init__(self, binary, *args, v4="127.0.0.1", v6="::1", workers=1, ports=None, port_count=200, env=None,
                 wrapper=(), probe=True):
        self.secret_file = tempfile.NamedTemporaryFile("w", suffix=".secret")
        self.secret_file.write(SECRET + "\n")
        self.secret_file.flush()
        self.v4 = "127.0.0.1" if v4 is True else v4
        self.v6 = "::1" if v6 is True else v6
        self.block = None if ports else PortBlock.take(port_count)
        self.lowest, self.highest = ports or self.block
        command = list(wrapper) + [
            binary, "--listen-port", "0", "--lowest-port", str(self.lowest), "--highest-port", str(self.highest),
            "--workers", str(workers), "--auth-secret-file", self.secret_file.name, "--unauthenticated-rate", "0",
            "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0"]
        if self.v4:
            command += ["--public-ip4-addr", self.v4, "--bind-ip4-addr", self.v4]
        if self.v6:
            command += ["--public-ip6-addr", self.v6, "--bind-ip6-addr", self.v6]
        command += args
        super().__init__(command, clean_environment(env))
        try:
            self.port = int(wait_for(self._listening, "the relay to listen").group(1))
            if probe:
                for family, host in ((socket.AF_INET, self.v4), (socket.AF_INET6, self.v6)):
                    if host:
                        wait_for(lambda: answers_binding(family, host, self.port, 0.2), "an answer to a Binding request")
        except AssertionError as error:
            self.kill()
            raise AssertionError("the relay did not start: %s\n%s" % (error, self.output())) from None

    def _listening(self):
        if self.process.poll() is not None:
            raise AssertionError("it ended with status %d" % self.process.returncode)
        return self.find(r"Listening on \S+:(\d+),")

    @classmethod
    def port_range(cls, count):
        """Lowest and highest of `count` ports that no other test uses."""
        return PortBlock.take(count)

    def address(self, family=socket.AF_INET):
        return (self.v4 if family == socket.AF_INET else self.v6), self.port

    def credentials(self, ttl=3600, salt=None):
        """Of a user of their own, unless `salt` names one: a new allocation of a user ends the one before."""
        if salt is None:
            Relay.users += 1
            salt = "user%d" % Relay.users
        return make_credentials(SECRET, ttl, salt)

    def stop(self, immediately=True):
        """Ends the relay by signals and checks how it ended. Without `immediately` it has to end by itself, because no
        allocation is left."""
        self.process.send_signal(signal.SIGTERM)
        if immediately:
            wait_for(lambda: self.find("no new allocations") or self.process.poll() is not None,
                     "the first signal to be seen")
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the relay does not end\n" + self.output()) from None
        self._release()
        output = self.output()
        assert status == 0, "exit status %d\n%s" % (status, output)
        for bad in BAD_OUTPUT:
            assert bad not in output, output
        assert SECRET not in output, "the secret is in the log"

    def _release(self):
        self.secret_file.close()
        if self.block:
            PortBlock.give_back(self.block[0])
            self.block = None

    def kill(self):
        super().kill()
        self._release()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill()
            sys.stderr.write("".join(self.lines[-50:]))


def clean_environment(more=None):
    """The environment without what would configure a relay."""
    ours = ("FIREZONE_", "HANDOVER_", "NOTIFY_", "AUTH_", "USERS_FILE", "RELAY_", "ALTERNATE_", "TCP_LISTEN", "TLS_", "PUBLIC_IP",
            "BIND_IP", "EBPF_", "XDP", "OFFLOAD", "FLOOD_GUARD", "PROXY_", "RUST_LOG", "OTEL_", "OTLP_",
            "LOG_FORMAT", "NO_COLOR", "CONTROL_", "USAGE_LOG", "RUNTIME_DIRECTORY")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment.update(more or {})
    return environment


def free_udp_socket(family=socket.AF_INET, host=None):
    """At a port that nobody listens at over TCP, either: a relay refuses channels to the ports of its own health checks."""
    host = host or ("127.0.0.1" if family == socket.AF_INET else "::1")
    while True:
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((host, 0))
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, s.getsockname()[1]))
            except OSError:
                s.close()
                continue
        s.settimeout(DEADLINE)
        return s


class EchoPeers:
    """Peers in a thread of their own that send every datagram back, with `change` applied to it."""

    def __init__(self, count=1, families=(socket.AF_INET,), change=lambda data: data[::-1]):
        self.change = change
        self.selector = selectors.DefaultSelector()
        self.sockets = [free_udp_socket(family) for family in families for _ in range(count)]
        self.wake_in, self.wake_out = socket.socketpair()
        self.selector.register(self.wake_out, selectors.EVENT_READ)
        for s in self.sockets:
            s.setblocking(False)
            self.selector.register(s, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def addresses(self, family=socket.AF_INET):
        return [s.getsockname()[:2] for s in self.sockets if s.family == family]

    def _run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.wake_out:
                    return
                self._echo(key.fileobj)

    def _echo(self, s):
        try:
            for _ in range(64):
                data, source = s.recvfrom(65536)
                s.sendto(self.change(data), source)
        except OSError:
            pass

    def close(self):
        self.wake_in.send(b"x")
        self.thread.join(DEADLINE)
        for s in self.sockets + [self.wake_in, self.wake_out]:
            s.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()


def main():
    """Runs the tests of the calling script; meson is told if all were skipped, and why."""
    program = unittest.main(module="__main__", verbosity=2, exit=False)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun and len(result.skipped) >= result.testsRun:
        print("skipped: " + "; ".join(sorted({reason for _, reason in result.skipped})))
        sys.exit(SKIPPED)
