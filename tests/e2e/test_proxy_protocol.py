# SPDX-License-Identifier: Apache-2.0
"""Clients behind a load balancer that says by a PROXY header who they are: haproxy, in front of TCP and of TLS, and headers made by hand."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import stun
from authority import Authority, context
from harness import DEADLINE, EchoPeers, Process, Relay, binding_request, main, wait_for
from stream_client import Framed, StreamClient, check_pion, free_port
from watch import Metrics, endpoint

BINARY, PION = sys.argv[1:3]
del sys.argv[1:3]
IDLE = 2
# Where balancers have their connections from; those from 127.0.0.1 are clients of their own.
BALANCER = "127.0.0.3"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def header(client, server=("203.0.113.1", 443), more=b""):
    """That of a connection over TCP, with `more` behind the addresses."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    block = b"".join(socket.inet_pton(family, end[0]) for end in (client, server)) + struct.pack(">HH", client[1], server[1]) + more
    return SIGNATURE + bytes([0x21, 0x11 if family == socket.AF_INET else 0x21]) + struct.pack(">H", len(block)) + block


class Haproxy(Process):
    """haproxy with these sections, each text as haproxy has it, behind what all have."""

    COMMON = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""

    def __init__(self, folder, sections):
        config = os.path.join(folder, "haproxy.cfg")
        with open(config, "w", encoding="ascii") as f:
            f.write("global\n  maxconn 500\n  log stdout format raw local0 info\n" + self.COMMON + "".join(sections))
        super().__init__([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", config])

    def wait_until_it_listens(self, *addresses):
        for address in addresses:
            wait_for(lambda: self.process.poll() is not None or can_connect(address), "haproxy to listen")
        assert self.process.poll() is None, self.output()


def can_connect(address):
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def passage(name, bind, server):
    return "listen %s\n  bind %s\n  server relay %s\n" % (name, bind, server)


def ports(count):
    """Free ports, no two of them the same."""
    found = []
    while len(found) < count:
        port = free_port()
        if port not in found:
            found.append(port)
    return found


class Behind(unittest.TestCase):
    workers = 2
    args = ()
    env = None

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.der = cls.authority.make("relay")
        cls.authority.put()
        cls.tcp, cls.tls = ports(2)
        cls.relay = Relay(BINARY, "--tcp-listen-port", str(cls.tcp), "--tls-listen-port", str(cls.tls), "--tls-cert", cls.authority.cert, "--tls-key",
                          cls.authority.key, *cls.args, workers=cls.workers, env=cls.env or {"PROXY_PROTOCOL": BALANCER + ",127.0.0.64/26"})
        cls.metrics_port = endpoint(cls.relay)

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()
        cls.authority.folder.cleanup()

    def scrape(self):
        time.sleep(0.12)  # the relay gives scrapes within 0.1 s the same text
        return Metrics(self.metrics_port)

    def ended(self, reason, transport="tcp"):
        return self.scrape().get("relay_stream_connections_ended_total", transport=transport, reason=reason)

    def wait_for_ended(self, reason, count, transport="tcp"):
        wait_for(lambda: self.ended(reason, transport) >= count, "a connection to end for " + reason)

    def connections(self):
        return self.scrape().total("relay_stream_connections")

    def balancer(self, data=b"", port=None, source=BALANCER):
        """A connection from where balancers are, on which `data` was sent."""
        connection = socket.create_connection(("127.0.0.1", port or self.tcp), timeout=DEADLINE, source_address=(source, 0))
        self.addCleanup(connection.close)
        connection.sendall(data)
        return connection

    def client(self, connection):
        client = StreamClient(connection.getpeername(), *self.relay.credentials(), connection=connection)
        self.addCleanup(client.close)
        return client

    def check_session(self, client, mapped):
        with EchoPeers(1) as peers:
            client.allocate()
            self.assertEqual(client.mapped[:2], mapped[:2])
            channel = client.bind(peers.addresses()[0])
            for size in (0, 1, 1200, 8000):
                data = os.urandom(size)
                client.send(channel, data)
                self.assertEqual(client.receive(), (channel, data[::-1]), size)

    def check_binding(self, connection):
        """Asks by `connection` who it is, and returns that."""
        framed = Framed(connection)
        request, kind, rest = binding_request()
        framed.send(request)
        answer = framed.message(time.monotonic() + DEADLINE)
        self.assertEqual((answer[:2], answer[4:20]), (kind, rest))
        return stun.Message(answer).address(stun.XOR_MAPPED_ADDRESS)


@unittest.skipIf(not shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"), "no haproxy here")
class BehindHaproxy(Behind):
    args = ("--replace-allocation", "no", "--max-allocations-per-user", "0")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(cls.authority.path("both.pem"), "w", encoding="ascii") as both:
            for path in (cls.authority.cert, cls.authority.key):
                with open(path, encoding="ascii") as f:
                    both.write(f.read())
        names = ("plain", "dual", "tls", "ended", "old", "bare")
        cls.ports = dict(zip(names, (ports(len(names)))))
        from_there = " source %s send-proxy-v2" % BALANCER
        tcp, tls = "127.0.0.1:%d" % cls.tcp, "127.0.0.1:%d" % cls.tls
        sections = [
            passage("plain", "127.0.0.1:%d,[::1]:%d" % (cls.ports["plain"], cls.ports["plain"]), tcp + from_there),
            passage("dual", ":::%d v4v6" % cls.ports["dual"], tcp + from_there),
            # It looks into the hello for the name, and puts in all that it can.
            "listen tls\n  bind 127.0.0.1:%d\n  tcp-request inspect-delay 5s\n  tcp-request content accept if { req.ssl_hello_type 1 }\n"
            "  unique-id-format %%[uuid()]\n  server relay %s%s proxy-v2-options crc32c,unique-id\n" % (cls.ports["tls"], tls, from_there),
            # It ends TLS itself.
            passage("ended", "127.0.0.1:%d ssl crt %s" % (cls.ports["ended"], cls.authority.path("both.pem")),
                    tcp + from_there + " proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c"),
            passage("old", "127.0.0.1:%d" % cls.ports["old"], tcp + " source %s send-proxy" % BALANCER),
            passage("bare", "127.0.0.1:%d" % cls.ports["bare"], tcp + " source " + BALANCER),
        ]
        cls.haproxy = Haproxy(cls.authority.folder.name, sections)
        try:
            cls.haproxy.wait_until_it_listens(*[("127.0.0.1", port) for port in cls.ports.values()])
        except BaseException:
            cls.haproxy.kill()
            cls.relay.kill()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.haproxy.kill()
        super().tearDownClass()

    def connect(self, name, host="127.0.0.1"):
        connection = socket.create_connection((host, self.ports[name]), timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def test_tcp(self):
        """The client's own address, also where client and relay have one of another family to the balancer."""
        for host in ("127.0.0.1", "::1"):
            connection = self.connect("plain", host)
            with self.client(connection) as client:
                self.check_session(client, connection.getsockname())
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "the allocations to end with their connections")

    def test_dual(self):
        """One socket for both families writes IPv4 as IPv6: the relay takes it for what it is."""
        for host in ("127.0.0.1", "::1"):
            connection = self.connect("dual", host)
            with self.client(connection) as client:
                self.check_session(client, connection.getsockname())

    def test_tls(self):
        """Passed through: the header first, with a checksum that haproxy made, then the client's TLS to the relay."""
        connection = self.connect("tls")
        wrapped = context().wrap_socket(connection, server_hostname="relay.example")
        self.assertEqual(wrapped.getpeercert(binary_form=True), self.der)
        with self.client(wrapped) as client:
            self.check_session(client, wrapped.getsockname())
            self.assertEqual(self.scrape().get("relay_stream_connections", transport="tls"), 1)

    def test_tls_that_it_ends(self):
        connection = self.connect("ended")
        wrapped = context().wrap_socket(connection, server_hostname="relay.example")
        with self.client(wrapped) as client:
            self.check_session(client, wrapped.getsockname())
            self.assertEqual(self.scrape().get("relay_stream_connections", transport="tcp"), 1)

    def test_reset(self):
        """A client that breaks off takes its allocation with it."""
        client = self.client(self.connect("plain"))
        client.allocate()
        client.socket.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "the allocation to end")

    def test_version_1_and_none(self):
        """Either ends the connection, and one of them, once a minute, is told of as a warning."""
        for name in ("old", "bare"):
            before = self.ended("proxy_header")
            connection = self.connect(name)
            connection.sendall(binding_request()[0])
            self.assertTrue(Framed(connection).wait_for_end(), name)
            self.wait_for_ended("proxy_header", before + 1)
        start = r"WARN relay: A load balancer's connection was closed proxy=127\.0\.0\.3:\d+ transport=tcp error="
        self.assertTrue(self.relay.told(start + '"(its PROXY header is one of version 1: version 2 is required|it does not begin with a PROXY header)'))

    @unittest.skipIf(PION == "-", "no Go or no pion/turn here")
    def test_pion(self):
        self.port = self.ports["plain"]
        check_pion(self, PION, "tcp")
        self.port = self.ports["tls"]
        check_pion(self, PION, "tls")

    def gone(self):
        """Those that the other side ended; haproxy resets what it has looked at."""
        return self.ended("client") + self.ended("error")

    def test_health_checks(self):
        """They have a header of their own: no fault. (Those that only connect do not get as far as a listener: haproxy resets before it would say ACK.)"""
        port = free_port()
        checks = "listen %s\n  bind 127.0.0.1:%d\n  server relay 127.0.0.1:%d source " + BALANCER + " check inter 50ms fall 1 rise 3 %s\n"
        before, bad = self.gone(), self.ended("proxy_header")
        with tempfile.TemporaryDirectory() as folder:
            for how in ("check-send-proxy send-proxy-v2", "check-send-proxy send-proxy-v2 proxy-v2-options crc32c"):
                haproxy = Haproxy(folder, [checks % ("checked", port, self.tcp, how)])
                try:
                    at = self.gone()
                    wait_for(lambda: self.gone() >= at + 5, "five checks: " + how)
                    self.assertFalse(haproxy.find("DOWN"), haproxy.output())
                finally:
                    haproxy.kill()
        self.assertGreaterEqual(self.gone(), before + 10)
        self.assertEqual(self.ended("proxy_header"), bad)


class ByHand(Behind):
    args = ("--connection-idle", "%ds" % IDLE, "--max-connections-per-prefix", "20")

    def test_who_may(self):
        """Who is not named talks as ever, and gets nowhere with a header."""
        with socket.create_connection(("127.0.0.1", self.tcp), timeout=DEADLINE) as connection:
            self.assertEqual(self.check_binding(connection), connection.getsockname())
        for port, transport, reason in ((self.tcp, "tcp", "no_message"), (self.tls, "tls", "handshake")):
            before = self.ended(reason, transport)
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
                connection.sendall(header(("198.51.100.1", 1)) + binding_request()[0])
                self.assertTrue(Framed(connection).wait_for_end())
            self.wait_for_ended(reason, before + 1, transport)
        for source in ("127.0.0.64", "127.0.0.127"):
            self.assertEqual(self.check_binding(self.balancer(header(("198.51.100.1", 7)), source=source)), ("198.51.100.1", 7))
        self.assertTrue(self.relay.told(r"Connections from 127\.0\.0\.64/26 have to begin with a PROXY header"))

    def test_any_cut(self):
        """The header in two pieces, cut anywhere, with a message right behind it."""
        whole = header(("2001:db8::5", 4321), ("2001:db8::1", 443), b"\x04\x00\x03abc")
        request, kind, rest = binding_request()
        for at in range(1, len(whole) + 8, 5):
            connection = self.balancer()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall((whole + request)[:at])
            time.sleep(0.005)
            connection.sendall((whole + request)[at:])
            answer = Framed(connection).message(time.monotonic() + DEADLINE)
            self.assertEqual((answer[:2], answer[4:20]), (kind, rest), at)
            self.assertEqual(stun.Message(answer).address(stun.XOR_MAPPED_ADDRESS), ("2001:db8::5", 4321))
            connection.close()

    def test_own_connection(self):
        """The balancer speaks for itself, or for who has no address here: its own one counts."""
        for data in (LOCAL, LOCAL[:14] + b"\x00\x05junk!", SIGNATURE + b"\x21\x00\x00\x00", SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)):
            connection = self.balancer(data)
            self.assertEqual(self.check_binding(connection), connection.getsockname())
            connection.close()

    def test_silent(self):
        """Who only looks whether the port is open has done nothing wrong."""
        before, bad = self.ended("client"), self.ended("proxy_header")
        self.balancer().close()
        self.wait_for_ended("client", before + 1)
        self.assertEqual(self.ended("proxy_header"), bad)

    def test_late(self):
        before, begin = self.ended("proxy_header_timeout", "tls"), time.monotonic()
        whole = header(("198.51.100.1", 2))
        silent, slow = self.balancer(port=self.tls), self.balancer(port=self.tls)
        for byte in whole[:-1]:
            slow.sendall(bytes([byte]))
            time.sleep(IDLE / 40)
        self.assertTrue(Framed(silent).wait_for_end() and Framed(slow).wait_for_end())
        self.assertGreaterEqual(time.monotonic() - begin, IDLE * 0.9)
        self.wait_for_ended("proxy_header_timeout", before + 2, "tls")
        self.assertTrue(self.relay.told("A load balancer's connection was closed"))

    def test_handshake_is_of_the_same_time(self):
        """A header that took most of the time leaves little for the handshake."""
        before, begin = self.ended("handshake_timeout", "tls"), time.monotonic()
        whole = header(("198.51.100.1", 3))
        slow = self.balancer(whole[:-1], port=self.tls)
        wait_for(lambda: time.monotonic() - begin > IDLE * 0.75, "most of the time")
        slow.sendall(whole[-1:])
        self.assertTrue(Framed(slow).wait_for_end())
        self.assertLess(time.monotonic() - begin, IDLE * 1.5)
        self.wait_for_ended("handshake_timeout", before + 1, "tls")

    def test_limit_is_the_clients(self):
        """A prefix has its limit, whoever passes its connections on; another one has its own."""
        connections = [self.balancer(header(("198.51.100.%d" % i, 1000 + i))) for i in range(20)]
        for c in connections:
            self.check_binding(c)
        before = self.ended("prefix_full")
        self.assertTrue(Framed(self.balancer(header(("198.51.100.200", 1)))).wait_for_end())
        self.wait_for_ended("prefix_full", before + 1)
        self.assertEqual(self.check_binding(self.balancer(header(("192.0.2.200", 1)))), ("192.0.2.200", 1))
        for c in connections:
            c.close()
        wait_for(lambda: self.connections() == 0, "all to be gone")

    def test_log(self):
        """Lines about a client name it, not the balancer."""
        self.balancer(header(("192.0.2.77", 7700)) + b"GET / HTTP/1.1\r\n\r\n", port=self.tls)
        self.assertTrue(self.relay.told(r"A TLS handshake failed client=192\.0\.2\.77:7700"))


class Twice(Behind):
    """Two connections of one client's address and port to one of the balancer's, as two balancers or networks with the same addresses may have."""

    args = ("--replace-allocation", "no", "--max-allocations-per-user", "0")

    def pair(self):
        pair = [self.client(self.balancer(header(("198.51.100.9", 9000)))) for _ in range(2)]
        for client in pair:
            client.retransmit = (DEADLINE,)
        return pair

    def is_open(self, client):
        try:
            return client.binding() == ("198.51.100.9", 9000)
        except Exception:  # pylint: disable=broad-except
            return False


class TwiceInOneWorker(Twice):
    workers = 1

    def test_newest(self):
        """The newer one ends the older, and its allocation: that client has gone."""
        former = self.client(self.balancer(header(("198.51.100.9", 9000))))
        former.allocate()
        newer = self.client(self.balancer(header(("198.51.100.9", 9000))))
        self.check_session(newer, ("198.51.100.9", 9000))
        self.assertTrue(former.socket.wait_for_end())
        self.assertEqual(self.scrape().get("relay_active_allocations"), 1)
        newer.close()
        wait_for(lambda: self.scrape().get("relay_active_allocations") == 0, "the allocation to end")


class TwiceInTwoWorkers(Twice):
    def test_each_for_itself(self):
        """Where another worker has the older one, both live, each with an allocation and data of its own, and end by themselves."""
        with EchoPeers(1) as peers:
            for _ in range(64):
                former, newer = self.pair()
                newer.binding()
                former.retransmit = (0.5,)
                if self.is_open(former):
                    break
            else:
                self.fail("the kernel gave one worker all connections")
            channels = []
            for client in (former, newer):
                client.allocate()
                channels.append(client.bind(peers.addresses()[0]))
            self.assertNotEqual(former.relayed, newer.relayed)
            for i, client in enumerate((former, newer)):
                client.send(channels[i], b"I am %d" % i)
            for i, client in enumerate((former, newer)):
                self.assertEqual(client.receive(), (channels[i], (b"I am %d" % i)[::-1]))
            newer.close()
            wait_for(lambda: self.scrape().get("relay_active_allocations") == 1, "one of them to end")
            former.send(channels[0], b"still here")
            self.assertEqual(former.receive(), (channels[0], b"ereh llits"))


if __name__ == "__main__":
    main()
