# SPDX-License-Identifier: Apache-2.0
"""The client of firezone_client.py on a stream, with framing in plain Python, and free TCP ports."""

import socket
import struct
import time

from firezone_client import Client

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
            message = self._cut()
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

    def _cut(self):
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
