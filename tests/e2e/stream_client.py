# SPDX-License-Identifier: Apache-2.0
"""The client of firezone_client.py on a stream, with framing in plain Python, and free TCP ports."""

import re
import socket
import struct
import subprocess
import time

from firezone_client import Client
from harness import DEADLINE, EchoPeers

HEADER = {0: 20, 1: 4}


def free_port(host="127.0.0.1", family=socket.AF_INET):
    """A TCP port that nobody has, though somebody may take it: outside of what the kernel gives to connections."""
    for port in range(9000 + time.monotonic_ns() % 900, 10000):
        with socket.socket(family, socket.SOCK_STREAM) as s:
            try:
                s.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free TCP port")


def padded(message):
    return message + bytes(-len(message) % 4)


class Framed:
    """A connection that sends and gives whole messages."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""
        self.ended = False

    def send(self, message):
        self.connection.sendall(padded(message))

    def message(self, end):
        """The next message, without what pads it; None when none comes before `end`, or the connection ends."""
        while True:
            message = self.cut()
            left = end - time.monotonic()
            if message is not None or left <= 0 or self.ended:
                return message
            self.connection.settimeout(left)
            try:
                data = self.connection.recv(65536)
            except socket.timeout:
                return None
            except ConnectionError:
                data = b""
            self.ended = not data
            self.buffer += data

    def cut(self):
        """A whole message of what has been read; None: there is none."""
        if len(self.buffer) < 4:
            return None
        kind, length = self.buffer[0] >> 6, struct.unpack_from(">H", self.buffer, 2)[0]
        length += HEADER[kind]
        whole = length + -length % 4
        if len(self.buffer) < whole:
            return None
        message, self.buffer = self.buffer[:length], self.buffer[whole:]
        return message

    def wait_for_end(self, patience=20):
        """Whether the relay ends the connection in time, whatever comes before."""
        self.message_until_end(time.monotonic() + patience)
        return self.ended

    def message_until_end(self, end):
        while not self.ended and time.monotonic() < end:
            self.message(end)

    def close(self):
        self.connection.close()


class StreamClient(Client):
    """`wrap` makes of a connection what it talks on: TLS, say. `connection` is one that there is already."""

    def __init__(self, address, username, password, wrap=lambda s: s, source=None, connection=None):
        super().__init__(address, username, password)
        self.socket.close()
        connection = connection or socket.create_connection(address, timeout=20, source_address=source)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = Framed(wrap(connection))
        self.retransmit = (20,)  # streams lose nothing

    def _datagram(self, end):
        return self.socket.message(end)


def narrow(address):
    """A connection with small segments and a small window, so that what its client does not read lies with the relay."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448)
    connection.settimeout(20)
    connection.connect(address)
    return connection


def check_age(test, connect, rate=50000, seconds=6.0):
    """A client that takes a quarter of what is sent to it, |rate| bytes a second, gets it while it is new, and whole."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, connect() as client:
        sender.bind(("127.0.0.1", 0))
        client.allocate()
        channel = client.bind(sender.getsockname())
        begin = time.monotonic()
        sent = got = 0
        ages = []
        while (now := time.monotonic()) < begin + seconds:
            while sent < (now - begin) * rate * 4:
                sender.sendto(struct.pack(">d", now) * 125, client.relayed[4])
                sent += 1000
            # Reads no more than it is due: what is due later stays with the relay.
            while got < (now - begin) * rate and (data := client.receive(0.005)):
                test.assertEqual(data, (channel, data[1][:8] * 125))
                ages.append(time.monotonic() - struct.unpack(">d", data[1][:8])[0])
                got += 1000
            time.sleep(0.002)
        test.assertGreater(len(ages), rate * seconds / 1000 * 0.6)
        print("oldest: %.2f s of %d" % (max(ages), len(ages)), flush=True)
        test.assertLess(max(ages), 2.2)


def check_pion(test, program, transport):
    """pion's client, ten of them, over |transport|, tcp or tls."""
    user, password = test.relay.credentials(salt="pion")
    with EchoPeers(3) as peers:
        done = subprocess.run([program, "-transport", transport, "-server", "127.0.0.1:%d" % test.port, "-user", user, "-password", password,
                               "-peers", ",".join("%s:%d" % p for p in peers.addresses()), "-clients", "10", "-packets", "60"],
                              capture_output=True, text=True, timeout=3 * DEADLINE, check=False)
    test.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    test.assertIn("10 of 10 clients, 60 packets each", done.stdout)


def check_coturn(test, *flags):
    """coturn's client gets as far as a refresh. With -O it breaks off by itself now and then, so several tries."""
    user, password = test.relay.credentials(salt="coturn")
    for _ in range(60):
        done = subprocess.run(["turnutils_uclient", *flags, "-v", "-O", "-c", "-m", "1", "-u", user, "-w", password, "-e", "127.0.0.1",
                               "-p", str(test.port), "127.0.0.1"], capture_output=True, text=True, timeout=3 * DEADLINE, check=False)
        test.assertEqual(re.findall(r"error (\d+)", done.stdout), [], done.stdout)
        if "Received relay addr: " in done.stdout and re.search(r"refresh response received: *\n.*success", done.stdout):
            return
    test.fail("never got as far as a refresh: " + done.stdout)
