# SPDX-License-Identifier: Apache-2.0
"""A network between two namespaces in which anything can go wrong: two tun devices, and a thread that hands each packet from one to the
other, by way of functions that may drop it, change it, or send something back. Nothing of a firewall is needed of the kernel."""

import contextlib
import fcntl
import os
import select
import struct
import threading

import netns

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
UDP, TCP, ICMP = 17, 6, 1


def missing():
    """What keeps a wire from being made here, or None."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return "no tun devices: %s" % error
    return None


def checksum(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data[:len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Packet:
    """An IPv4 packet on its way; others are `other`, and go through. `inwards`: from the client's side to the relay's."""

    def __init__(self, data, inwards):
        self.data, self.inwards = bytearray(data), inwards
        self.other = data[0] >> 4 != 4 or len(data) < 28 or data[0] != 0x45
        self.protocol = None if self.other else data[9]
        self.udp, self.tcp = self.protocol == UDP, self.protocol == TCP

    def _address(at):  # pylint: disable=no-self-argument
        def get(self):
            return ".".join(map(str, self.data[at:at + 4]))

        def put(self, text):
            self.data[at:at + 4] = bytes(map(int, text.split(".")))
            self._mend()
        return property(get, put)

    def _port(at):  # pylint: disable=no-self-argument
        def get(self):
            return struct.unpack_from(">H", self.data, at)[0]

        def put(self, number):
            struct.pack_into(">H", self.data, at, number)
            self._mend()
        return property(get, put)

    source, target = _address(12), _address(16)
    source_port, target_port = _port(20), _port(22)

    def _mend(self):
        """The sums of the header, and of UDP or TCP behind it."""
        self.data[10:12] = b"\0\0"
        self.data[10:12] = struct.pack(">H", checksum(bytes(self.data[:20])))
        at = {UDP: 26, TCP: 36}.get(self.protocol)
        if at:
            self.data[at:at + 2] = b"\0\0"
            pseudo = bytes(self.data[12:20]) + struct.pack(">BBH", 0, self.protocol, len(self.data) - 20)
            self.data[at:at + 2] = struct.pack(">H", checksum(pseudo + bytes(self.data[20:])) or 0xFFFF)

    def has_port_of(self, ports):
        """Of the relay's side."""
        return (self.target_port if self.inwards else self.source_port) in ports

    def __len__(self):
        return len(self.data)


class Wire:
    """`near` here, `far` in the other namespace: names of devices that lead to each other. `rule` gets each Packet of IPv4 and returns it, or None
    to lose it."""

    def __init__(self, far_namespace, near="near0", far="far0"):
        self.rule = lambda packet: packet
        self.near = self._device(near)
        with far_namespace.inside():
            self.far = self._device(far)
        self.end, self.ending = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        """Once both devices are up: nothing can be read of one that is not."""
        self.thread.start()

    @staticmethod
    def _device(name):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        return fd

    def _run(self):
        while True:
            ready = select.select([self.near, self.far, self.end], [], [])[0]
            if self.end in ready:
                return
            for fd in ready:
                with contextlib.suppress(BlockingIOError):
                    self._pass(os.read(fd, 65536), fd)

    def _pass(self, data, fd):
        packet = Packet(data, fd == self.far)
        if not packet.other:
            packet = self.rule(packet)
        if packet is not None:
            with contextlib.suppress(OSError):
                os.write(self.near if fd == self.far else self.far, bytes(packet.data))

    def close(self):
        os.write(self.ending, b"x")
        self.thread.join()
        for fd in (self.near, self.far, self.end, self.ending):
            os.close(fd)


def addresses(device, addrs, namespace=None):
    """Gives the device its addresses, and makes it the way to everywhere."""
    do = namespace.run if namespace else netns.run
    do("ip", "link", "set", device, "up")
    for address in addrs:
        do("ip", "addr", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
    for family in {"-6" if ":" in address else "-4" for address in addrs}:
        do("ip", family, "route", "add", "default", "dev", device)
