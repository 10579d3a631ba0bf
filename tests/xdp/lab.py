# SPDX-License-Identifier: Apache-2.0
"""Networks to relay in, with XDP: namespaces joined by veth, and an eye on every frame that arrives."""

import os
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.request

import netns
from harness import DEADLINE, Relay, wait_for

SOL_PACKET, PACKET_STATISTICS, PACKET_AUXDATA, PACKET_OUTGOING, SO_RCVBUFFORCE = 263, 6, 8, 4, 33
TP_STATUS_CSUMNOTREADY = 1 << 3
ETH_IPV4, ETH_IPV6, UDP = 0x0800, 0x86DD, 17


def missing(binary, passer):
    """Why XDP can't be tested here, or None."""
    if passer == "-":
        return "built without the kernel data path (clang, llvm-strip, libbpf)"
    if os.getuid() != 0:
        return "not root: BPF programs can't be loaded"
    release = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
    if release < (5, 18):
        return "Linux %d.%d has no xdp.frags, it takes 5.18" % release
    done = subprocess.run([passer], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else None


def ones_sum(data):
    """The one's complement sum of 16-bit words."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def looks_unfinished(source, destination, payload):
    """Whether the checksum of this datagram is by chance the pseudo header's sum, as one in 65,536 is. What a sender leaves to its device
    looks like that, so the program leaves it to user space."""
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    length = 8 + len(payload)
    addresses = socket.inet_pton(family, source[0]) + socket.inet_pton(family, destination[0])
    pseudo = ones_sum(addresses + struct.pack(">HH", UDP, length))
    check = 0xFFFF - ones_sum(struct.pack(">4H", pseudo, source[1], destination[1], length) + payload)
    return (check - pseudo) % 0xFFFF == 0


class Frame:
    """An Ethernet frame with UDP in it, taken apart; `fault` says what is wrong with its checksums, None if nothing is."""

    def __init__(self, data, unfinished):
        self.data, self.fault, self.payload = data, None, None
        kind = struct.unpack_from(">H", data, 12)[0]
        if kind == ETH_IPV4 and data[23] == UDP:
            self._ipv4(unfinished)
        elif kind == ETH_IPV6 and data[20] == UDP:
            self._ipv6(unfinished)

    def _ipv4(self, unfinished):
        header = self.data[14:14 + (self.data[14] & 15) * 4]
        length, self.ttl, self.tos = struct.unpack_from(">H", header, 2)[0], header[8], header[1]
        if ones_sum(header) != 0xFFFF:
            self.fault = "IPv4 header"
        if struct.unpack_from(">H", header, 6)[0] & 0x3FFF:
            return
        self._udp(header[12:20], self.data[14 + len(header):14 + length], unfinished, True)

    def _ipv6(self, unfinished):
        length, self.ttl = struct.unpack_from(">H", self.data, 18)[0], self.data[21]
        self.tos = (struct.unpack_from(">H", self.data, 14)[0] >> 4) & 0xFF
        self._udp(self.data[22:54], self.data[54:54 + length], unfinished, False)

    def _udp(self, addresses, datagram, unfinished, may_be_none):
        self.sport, self.dport, length, check = struct.unpack_from(">4H", datagram)
        self.payload = datagram[8:]
        if length != len(datagram):
            self.fault = "UDP length"
        elif check == 0:
            self.fault = None if may_be_none else "no UDP checksum"
        elif not unfinished and ones_sum(addresses + struct.pack(">HH", UDP, length) + datagram) != 0xFFFF:
            self.fault = "UDP checksum"


class Capture:
    """Every UDP frame that comes to an interface from now on."""

    def __init__(self, namespace, interface):
        with namespace.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        with namespace.inside():
            self.socket.bind((interface, 3))  # ETH_P_ALL
        self.socket.settimeout(0.1)
        self.frames, self.done, self.missed = [], False, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                data, extra, _, source = self.socket.recvmsg(65536, 256)
            except TimeoutError:
                if self.done:
                    return
                continue
            except OSError:
                return
            if source[2] == PACKET_OUTGOING or len(data) < 42:
                continue
            status = sum(struct.unpack_from("=I", value)[0] for level, kind, value in extra
                         if level == SOL_PACKET and kind == PACKET_AUXDATA)
            frame = Frame(data, bool(status & TP_STATUS_CSUMNOTREADY))
            if frame.payload is not None:
                self.frames.append(frame)

    def faults(self):
        """What is wrong with all that came, once there is no more to come."""
        self.close()
        return sorted({frame.fault for frame in self.frames if frame.fault} | ({"frames missed"} if self.missed else set()))

    def close(self):
        if self.done:
            return
        self.done = True
        self.thread.join(DEADLINE)
        self.missed = struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        self.socket.close()


class Passer:
    """A program that passes everything, on interfaces of a namespace (None: this one)."""

    def __init__(self, binary, namespace, *interfaces, tcx=False):
        enter = ["nsenter", "--net=" + namespace.path] if namespace else []
        self.process = subprocess.Popen(enter + [binary] + (["--tcx"] if tcx else []) + list(interfaces),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "attached\n":
            raise OSError("no passer on %s" % ", ".join(interfaces))

    def seen(self):
        """How many packets it has seen, of tcx alone."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def ip_of(address):
    return address.split("/")[0]


def without_dad(run):
    """IPv6 addresses of interfaces that are made from now on can be used at once."""
    run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.dad_transmits=0")


class End:
    """A namespace with one interface, far0, for clients or for peers."""

    def __init__(self, passer, offload=False, far_takes_frames=True):
        self.passer_binary, self.offload, self.far_takes_frames = passer, offload, far_takes_frames
        self.namespace = netns.Namespace()
        without_dad(self.namespace.run)
        self.passer = self.capture = None
        self.address = {}

    def start(self, addresses):
        """Once far0 is there and up."""
        self.address = {6 if ":" in a else 4: ip_of(a) for a in addresses}
        if not self.offload:
            self.namespace.run("ethtool", "-K", "far0", "tx", "off")
        if self.far_takes_frames:
            self.passer = Passer(self.passer_binary, self.namespace, "far0")
        self.capture = Capture(self.namespace, "far0")

    def udp(self, family):
        s = self.namespace.udp_socket(self.address[family])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.settimeout(DEADLINE)
        return s

    def close(self):
        if self.capture:
            self.capture.close()
        if self.passer:
            self.passer.close()
        self.namespace.close()


def unprivileged(capabilities):
    """What to put before a command so that it has these capabilities, as setpriv(1) writes them, and can get no other."""
    return ("setpriv", "--inh-caps", capabilities, "--ambient-caps", capabilities, "--bounding-set", capabilities)


def set_forwarding(interface, on=True, families=("ipv4", "ipv6")):
    for family in families:
        with open("/proc/sys/net/%s/conf/%s/forwarding" % (family, interface), "w", encoding="ascii") as file:
            file.write("1" if on else "0")


class XdpRelay(Relay):
    def __init__(self, binary, *args, **more):
        super().__init__(binary, *args, **more)
        self.metrics_url, self.scraped = None, 0.0

    def _scrape(self):
        """All metrics as they are now. The relay gives the same text to those who ask again within 100 ms."""
        if not self.metrics_url:
            self.metrics_url = wait_for(lambda: self.find(r"Health and metrics on (\S+)"), "the address").group(1) + "/metrics"
        time.sleep(max(0.0, self.scraped + 0.11 - time.monotonic()))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.metrics_url, timeout=DEADLINE) as answer:
            text = answer.read().decode()
        self.scraped = time.monotonic()
        return text

    def metric(self, name, text=None, **labels):
        """The sum of all series of `name` that have these labels; a label of None must not be there."""
        total = 0
        for line in (text or self._scrape()).splitlines():
            match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
            if not match:
                continue
            found = dict(re.findall(r'(\w+)="([^"]*)"', match.group(1) or ""))
            if all(found.get(key) == value for key, value in labels.items()):
                total += float(match.group(2))
        return int(total)

    def in_kernel(self, direction=None):
        labels = {"direction": direction} if direction else {}
        return self.metric("relay_packets_total", datapath="kernel", **labels)

    def relayed(self):
        """Packets in the kernel, and in user space."""
        text = self._scrape()
        return (self.metric("relay_packets_total", text, datapath="kernel"),
                self.metric("relay_packets_total", text, datapath=None))

    def in_kernel_and_too_large(self):
        text = self._scrape()
        return (self.metric("relay_packets_total", text, datapath="kernel"),
                self.metric("relay_kernel_passed_packets_total", text, reason="mtu"))

    def passed(self, reason):
        return self.metric("relay_kernel_passed_packets_total", reason=reason)
