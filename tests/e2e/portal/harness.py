# SPDX-License-Identifier: Apache-2.0
"""A portal for tests, and the process that is to connect to it.

Portal speaks Phoenix Channels on python3-websockets. RawPortal leaves every byte to the test. Subject is the process under
test: portal_probe, or with PORTAL_SUBJECT the relay itself.
"""
import asyncio
import base64
import hashlib
import http
import json
import os
import queue
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import warnings

import websockets
from websockets.legacy.server import serve

TOKEN = "SFMyNTY.g2gDaAN-a+b/c=d~e.f&g_%41"
SECRET = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
# With it, every portal of a test speaks TLS.
TLS = "good" if os.environ.get("PORTAL_TLS") else None
# Whether the relay was built with a TLS library that has TLS 1.3.
TLS_1_3 = bool(os.environ.get("PORTAL_TLS_1_3"))
SANITIZED = bool(os.environ.get("PORTAL_SANITIZED"))
PATIENCE = int(os.environ.get("PORTAL_PATIENCE", "30"))  # seconds until a wait is given up; reached by failing tests only
TOLD_WITHIN = 10 if SANITIZED else 2  # seconds until clients that the portal tells of a relay's next life have data again
FAST = (
    "heartbeat=10s,join=10s,connect=5s,attempt=10s,backoff-first=20ms,backoff-max=80ms,partition=60s,close=2s"
)


def timing(**changes):
    parts = dict(part.split("=") for part in FAST.split(","))
    parts.update({name.replace("_", "-"): value for name, value in changes.items()})
    return ",".join(f"{name}={value}" for name, value in parts.items())


class Certs:
    """Certificates made once for all tests of a run."""

    directory = None

    @classmethod
    def path(cls, name):
        if cls.directory is None:
            cls.directory = tempfile.TemporaryDirectory()
            subprocess.run([os.environ["PORTAL_CERTS"], cls.directory.name], check=True)
        return os.path.join(cls.directory.name, name)

    @classmethod
    def server_context(cls, name, versions=None):
        """A server with certificate |name|; |versions|: the one that it speaks, or the least and the greatest."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cls.path(name + ".pem"), cls.path(name + ".key"))
        if versions is not None:
            least, greatest = versions if isinstance(versions, tuple) else (versions, versions)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = least
                context.maximum_version = greatest
            if least < ssl.TLSVersion.TLSv1_2:
                context.set_ciphers("ALL:@SECLEVEL=0")
        return context


class Request:
    def __init__(self, target, headers):
        self.target = target
        self.path, _, query = target.partition("?")
        self.query = urllib.parse.parse_qsl(query, keep_blank_values=True)
        self.headers = headers


class Portal:
    """A portal. |script| is a coroutine function called with (portal, connection, number) for each WebSocket; |refuse|, called
    with the request's number, returns None or what websockets' process_request may: (status, headers, body)."""

    def __init__(self, script=None, refuse=None, tls=TLS, port=0, versions=None, host="127.0.0.1"):
        self.script = script or phoenix
        self.host = host
        self.refuse = refuse
        self.context = Certs.server_context(tls, versions) if tls else None
        self.requests = queue.Queue()
        self.messages = queue.Queue()
        self.closes = queue.Queue()
        self.count = 0
        self.request_count = 0
        self.relays = {}  # id: the connection that joined with it last
        self.secrets = []  # of all joins, in order
        self.want_port = port or free_port()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        if not self.ready.wait(PATIENCE):
            raise TimeoutError("the test's portal does not start")
        scheme = "wss" if tls else "ws"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.stop = self.loop.create_future()
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self):
        async with serve(
            self._handle,
            self.host,
            self.want_port,
            ssl=self.context,
            process_request=self._request,
            ping_interval=None,
            compression=None,
            max_size=1 << 20,
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.stop

    async def _request(self, target, headers):
        self.requests.put(Request(target, headers))
        if self.refuse is not None:
            self.request_count += 1
            answer = self.refuse(self.request_count)
            return answer and (http.HTTPStatus(answer[0]), answer[1], answer[2])
        return None

    async def _handle(self, connection):
        self.count += 1
        try:
            await self.script(self, connection, self.count)
        except websockets.ConnectionClosed:
            pass
        await connection.wait_closed()
        self.closes.put((connection.close_code, connection.close_reason))

    async def receive(self, connection):
        """The next message, which is kept for the test, too."""
        message = json.loads(await connection.recv())
        self.messages.put(message)
        return message

    async def join(self, connection, init=True):
        """Answers the join as Phoenix does, then says init."""
        message = await self.receive(connection)
        await self.register(connection, message)
        await connection.send(reply(message))
        if init:
            await connection.send(push("init"))

    async def register(self, connection, message):
        """The id of a relay is the hash of its secret, and a second one with the same id takes the place of the first."""
        secret = message["payload"]["stamp_secret"]
        name = hashlib.sha256(secret.encode()).hexdigest()
        before = self.relays.get(name)
        self.relays[name] = connection
        self.secrets.append(secret)
        if before is not None and before.open:
            await before.send(push("phx_close"))

    def message(self, timeout=PATIENCE):
        return self.messages.get(timeout=timeout)

    def request(self, timeout=PATIENCE):
        return self.requests.get(timeout=timeout)

    def close(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(lambda: self.stop.done() or self.stop.set_result(None))
            self.thread.join(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def reply(message, status="ok", response=None):
    return json.dumps(
        {
            "topic": message["topic"],
            "event": "phx_reply",
            "payload": {"status": status, "response": response or {}},
            "ref": message["ref"],
        }
    )


def push(event, payload=None, topic="relay"):
    return json.dumps({"topic": topic, "event": event, "payload": payload or {}, "ref": None})


async def phoenix(portal, connection, number):
    """What a healthy portal does."""
    await portal.join(connection)
    while True:
        await connection.send(reply(await portal.receive(connection)))


class RawPortal:
    """Listens and calls |script| with (portal, socket, number) on a thread for each connection."""

    def __init__(self, script, tls=TLS, versions=None):
        self.script = script
        self.context = Certs.server_context(tls, versions) if tls else None
        self.count = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        scheme = "wss" if tls else "ws"
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            thread = threading.Thread(target=self._serve, args=(peer, self.count), daemon=True)
            thread.start()

    def _serve(self, peer, number):
        try:
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
            with peer:
                self.script(self, peer, number)
        except OSError:
            pass

    def close(self):
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_request(peer):
    data = b""
    while b"\r\n\r\n" not in data:
        more = peer.recv(4096)
        if not more:
            raise OSError("no request")
        data += more
    return data


def accept_of(request):
    key = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n", request).group(1)
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


def upgrade(peer):
    """Reads the request and answers it with a proper 101."""
    request = read_request(peer)
    peer.sendall(
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_of(request)}\r\n\r\n"
        ).encode()
    )
    return request


def frame(opcode, payload=b"", fin=True, rsv=0):
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if len(payload) < 126:
        head += bytes([len(payload)])
    elif len(payload) < 65536:
        head += b"\x7e" + struct.pack(">H", len(payload))
    else:
        head += b"\x7f" + struct.pack(">Q", len(payload))
    return head + payload


def read_exactly(peer, length):
    data = b""
    while len(data) < length:
        more = peer.recv(length - len(data))
        if not more:
            raise OSError("end of file")
        data += more
    return data


def read_frame(peer):
    """Returns (opcode, payload) of a client's frame; it has to be masked."""
    first, second = read_exactly(peer, 2)
    if not second & 0x80:
        raise AssertionError("a client's frame must be masked")
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", read_exactly(peer, 2))
    elif length == 127:
        (length,) = struct.unpack(">Q", read_exactly(peer, 8))
    mask = read_exactly(peer, 4)
    payload = read_exactly(peer, length)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def join_raw(peer, init=True):
    """Upgrades, answers the join, says init. Returns the join."""
    upgrade(peer)
    opcode, payload = read_frame(peer)
    message = json.loads(payload)
    assert opcode == 1 and message["event"] == "phx_join"
    peer.sendall(frame(1, reply(message).encode()))
    if init:
        peer.sendall(frame(1, push("init").encode()))
    return message


def serve_raw(peer):
    """Answers heartbeats until the end of file."""
    while True:
        opcode, payload = read_frame(peer)
        if opcode == 8:
            peer.sendall(frame(8, payload))
            return
        if opcode == 1:
            peer.sendall(frame(1, reply(json.loads(payload)).encode()))


def reset(peer):
    """Closes so that the other side sees a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


_kept_ports = []


def free_udp_port():
    """A port that is free now, and lies neither among those that the system hands out nor in the relay's range. As long as this process
    lives, others that ask here do not get it: they run beside this one, and the relay takes it only once the portal lets it."""
    while True:
        port = random.randrange(5000, 10000)
        kept = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                kept.bind(("127.0.0.1", port))
                probe.bind(("0.0.0.0", port))
            except OSError:
                kept.close()
                continue
        _kept_ports.append(kept)
        return port


def free_port():
    """The same for TCP. Who listens there can end and begin again: no connection gets the number meanwhile, not even one to itself."""
    while True:
        port = random.randrange(5000, 10000)
        kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            kept.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            kept.close()
            continue
        _kept_ports.append(kept)
        return port


class Subject:
    """The process under test; all it writes is kept."""

    CONNECTED = r"connected to the portal"
    INIT = r"relaying may begin"
    RETRY = r"next try in"

    def __init__(self, url, arguments=(), **env):
        environment = {
            "PATH": os.environ["PATH"],
            "FIREZONE_API_URL": url,
            "FIREZONE_TOKEN": TOKEN,
            "FIREZONE_NAME": "relay one",
            "AUTH_SECRET": SECRET,
            "PUBLIC_IP4_ADDR": "127.0.0.1",
            "PORTAL_TIMING": FAST,
            "LOG_LEVEL": "debug",
            "RUST_LOG": "trace",
            "NO_COLOR": "1",
            "LISTEN_PORT": str(free_udp_port()),
            "HEALTH_CHECK_ADDR": "127.0.0.1:0",
            "CONTROL_ENDPOINT": "127.0.0.1:0",
        }
        if TLS:
            environment["SSL_CERT_FILE"] = Certs.path("ca.pem")
        for name in os.environ:
            if name.endswith("SAN_OPTIONS"):
                environment[name] = os.environ[name]
        if "LD_PRELOAD" in env:
            environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        environment.update({name: value for name, value in env.items() if value is not None})
        program = os.environ.get("PORTAL_SUBJECT") or os.environ["PORTAL_PROBE"]
        wrapper = os.environ.get("PORTAL_WRAPPER", "").split()
        self.process = subprocess.Popen(
            wrapper + [program, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.lines = []
        self.seen = 0
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)
            self.changed.notify_all()

    def wait(self, pattern, timeout=PATIENCE):
        """Waits for a line that matches, after those of the waits before; returns the match."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                while self.seen < len(self.lines):
                    line = self.lines[self.seen]
                    if line is None:
                        raise AssertionError(f"ended before {pattern!r}:\n{self.output()}")
                    self.seen += 1
                    match = re.search(pattern, line)
                    if match:
                        return match
                if not self.changed.wait(end - time.monotonic()):
                    raise AssertionError(f"no {pattern!r}:\n{self.output()}")

    def output(self):
        return "\n".join(line for line in self.lines if line is not None)

    def wait_exit(self, timeout=PATIENCE):
        status = self.process.wait(timeout)
        self.thread.join(timeout)
        return status

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def close(self):
        for patience in (1, 10):  # one signal lets it wait for its clients, a second one does not
            if self.process.poll() is None:
                self.terminate()
                try:
                    self.process.wait(patience)
                except subprocess.TimeoutExpired:
                    pass
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        self.thread.join(PATIENCE)
        self.process.stdout.close()
        lines = self.output().split("\n")
        for i, line in enumerate(lines):  # a sanitizer's report is in the test's log, however the test ends
            if "Sanitizer" in line or "runtime error:" in line:
                sys.stderr.write("\n".join(lines[i : i + 100]) + "\n")
                break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class PortalTest(unittest.TestCase):
    """Looks after subjects: each must end cleanly and never have shown a secret."""

    portals = ()

    def subject(self, url, arguments=(), **env):
        subject = Subject(url, arguments, **env)
        self.addCleanup(self._finish, subject)
        return subject

    def portal(self, *args, **kwargs):
        portal = Portal(*args, **kwargs)
        self.portals = (*self.portals, portal)
        self.addCleanup(portal.close)
        return portal

    def raw(self, script, **options):
        portal = RawPortal(script, **options)
        self.addCleanup(portal.close)
        return portal

    def bounced(self):
        """A portal that ends each connection when the test says so. Returns it and the list to add to."""
        endings = []

        async def script(portal, connection, number):
            await portal.join(connection)
            while len(endings) < number:
                await connection.send(reply(await portal.receive(connection)))
            await connection.close()

        return self.portal(script), endings

    def _finish(self, subject):
        subject.close()
        output = subject.output()
        self.assertIn(subject.process.returncode, (0, 1, 2), output)
        self.assertNotIn("ERROR: ", output)  # of a sanitizer
        joined = [secret for portal in self.portals for secret in portal.secrets]
        for secret in (TOKEN, urllib.parse.quote_plus(TOKEN), TOKEN[:20], SECRET, SECRET[:20], *joined):
            self.assertNotIn(secret, output)

    def assert_made_secret(self, secret):
        """It is one that was made for this life of the relay, and not the operator's."""
        self.assertRegex(secret, r"^[0-9a-f]{64}$")
        self.assertNotEqual(secret, SECRET)

    def assert_fatal(self, subject, *patterns):
        self.assertEqual(subject.wait_exit(), 1, subject.output())
        for pattern in patterns:
            self.assertRegex(subject.output(), pattern)
