# SPDX-License-Identifier: Apache-2.0
"""STUN and TURN messages (RFC 8489, RFC 8656) in plain Python, written apart from the relay's own codec."""

import base64
import hashlib
import hmac
import os
import socket
import struct
import zlib

COOKIE = 0x2112A442
HEADER = 20

BINDING, ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND = 0x001, 0x003, 0x004, 0x008, 0x009
REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3

USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES = 0x0006, 0x0008, 0x0009, 0x000A
CHANNEL_NUMBER, LIFETIME, XOR_PEER_ADDRESS, REALM, NONCE = 0x000C, 0x000D, 0x0012, 0x0014, 0x0015
XOR_RELAYED_ADDRESS, REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT = 0x0016, 0x0017, 0x0019
XOR_MAPPED_ADDRESS, ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE = 0x0020, 0x8000, 0x8001
SOFTWARE, FINGERPRINT = 0x8022, 0x8028
MESSAGE_INTEGRITY_SHA256, PASSWORD_ALGORITHM, USERHASH, PASSWORD_ALGORITHMS = 0x001C, 0x001D, 0x001E, 0x8002

MD5, SHA256 = 1, 2  # algorithms of keys
OFFERS_ALGORITHMS, OFFERS_ANONYMITY = 1 << 23, 1 << 22  # STUN security features: bit 0 of 24 is the highest

IPV4, IPV6 = 1, 2
UDP = struct.pack(">B3x", 17)


def key_of(username, realm, password, algorithm=MD5):
    """The key of long-term credentials (RFC 8489 section 9.2.2)."""
    digest = hashlib.sha256 if algorithm == SHA256 else hashlib.md5
    return digest(b":".join(part.encode() for part in (username, realm, password))).digest()


def userhash(username, realm):
    """What stands for a username (RFC 8489 section 14.4)."""
    return hashlib.sha256(b":".join(part.encode() for part in (username, realm))).digest()


def features_of(nonce):
    """What a server says in the nonce that it offers (RFC 8489 section 9.2), or None."""
    if len(nonce) < 13 or not nonce.startswith(b"obMatJos2"):
        return None
    return int.from_bytes(base64.b64decode(nonce[9:13], validate=True), "big")


def algorithms_of(value):
    """The numbers in a PASSWORD-ALGORITHMS."""
    found, at = [], 0
    while at < len(value):
        algorithm, size = struct.unpack_from(">HH", value, at)
        found.append(algorithm)
        at += 4 + size + -size % 4
    return found


def login(challenge, username, password):
    """What the 401 or 438 `challenge` asks for, as section 9.2.5 has a client do it: (attributes, key, is_sha256), the last of which
    says by which of the two HMACs the request is to be signed."""
    realm, nonce = challenge.get(REALM), challenge.get(NONCE)
    offered, features = challenge.get(PASSWORD_ALGORITHMS), features_of(nonce) or 0
    if features & OFFERS_ALGORITHMS and offered is None:
        raise ValueError("somebody has taken PASSWORD-ALGORITHMS out of the answer")
    hidden = features & OFFERS_ANONYMITY
    attributes = [(USERHASH, userhash(username, realm.decode())) if hidden else (USERNAME, username.encode()),
                  (REALM, realm), (NONCE, nonce)]
    algorithm = MD5
    if offered is not None:
        algorithm = next(a for a in algorithms_of(offered) if a in (MD5, SHA256))
        attributes += [(PASSWORD_ALGORITHMS, offered), (PASSWORD_ALGORITHM, struct.pack(">HH", algorithm, 0))]
    return attributes, key_of(username, realm.decode(), password, algorithm), offered is not None


def message_type(method, kind):
    """Interleaves method and class as RFC 8489 section 5 draws it."""
    return (method & 0xF) | (kind & 1) << 4 | (method & 0x70) << 1 | (kind & 2) << 7 | (method & 0xF80) << 2


def split_type(number):
    method = number & 0xF | (number >> 1) & 0x70 | (number >> 2) & 0xF80
    return method, (number >> 4) & 1 | (number >> 7) & 2


def family_value(family):
    return struct.pack(">B3x", family)


def number(value):
    return struct.pack(">I", value)


def channel_value(channel):
    return struct.pack(">HH", channel, 0)


def xor_address(address, transaction):
    host, port = address[:2]
    if ":" in host:
        family, raw = IPV6, socket.inet_pton(socket.AF_INET6, host)
    else:
        family, raw = IPV4, socket.inet_pton(socket.AF_INET, host)
    mask = struct.pack(">I", COOKIE) + transaction
    return struct.pack(">BBH", 0, family, port ^ COOKIE >> 16) + bytes(a ^ b for a, b in zip(raw, mask))


def read_xor_address(value, transaction):
    _, family, port = struct.unpack_from(">BBH", value)
    if len(value) != (8 if family == IPV4 else 20):
        raise ValueError("address of %d bytes" % len(value))
    mask = struct.pack(">I", COOKIE) + transaction
    raw = bytes(a ^ b for a, b in zip(value[4:], mask))
    return socket.inet_ntop(socket.AF_INET if family == IPV4 else socket.AF_INET6, raw), port ^ COOKIE >> 16


def build(method, kind, transaction, attributes, key=None, fingerprint=False, is_sha256=False):
    """A message of (type, value) pairs, with MESSAGE-INTEGRITY, or with MESSAGE-INTEGRITY-SHA256, if `key` is given. A value is bytes
    or an address, which gets masked with the transaction id."""
    attributes = [(t, xor_address(v, transaction) if isinstance(v, tuple) else v) for t, v in attributes]
    body = b"".join(struct.pack(">HH", t, len(v)) + v + bytes(-len(v) % 4) for t, v in attributes)

    def header(more):
        return struct.pack(">HHI", message_type(method, kind), len(body) + more, COOKIE) + transaction
    if key is not None and is_sha256:
        mac = hmac.new(key, header(36) + body, hashlib.sha256).digest()
        body += struct.pack(">HH", MESSAGE_INTEGRITY_SHA256, len(mac)) + mac
    elif key is not None:
        mac = hmac.new(key, header(24) + body, hashlib.sha1).digest()
        body += struct.pack(">HH", MESSAGE_INTEGRITY, len(mac)) + mac
    if fingerprint:
        crc = zlib.crc32(header(8) + body) ^ 0x5354554E
        body += struct.pack(">HHI", FINGERPRINT, 4, crc)
    return header(0) + body


class Message:
    """A parsed message. Raises ValueError if it is none."""

    def __init__(self, data):
        if len(data) < HEADER or data[0] > 3:
            raise ValueError("no STUN message")
        kind, length, cookie = struct.unpack_from(">HHI", data)
        if cookie != COOKIE or length % 4 or HEADER + length != len(data):
            raise ValueError("malformed STUN message")
        self.data = data
        self.method, self.kind = split_type(kind)
        self.transaction = data[8:20]
        self.attributes = []
        at = HEADER
        while at < len(data):
            if len(data) - at < 4:
                raise ValueError("attribute header cut off")
            t, size = struct.unpack_from(">HH", data, at)
            if at + 4 + size > len(data):
                raise ValueError("attribute cut off")
            self.attributes.append((t, data[at + 4:at + 4 + size], at))
            at += 4 + size + -size % 4

    def get(self, kind):
        """The value of the first attribute of this type, or None."""
        return next((v for t, v, _ in self.attributes if t == kind), None)

    def all(self, kind):
        return [v for t, v, _ in self.attributes if t == kind]

    def error(self):
        """The error code, 0 for a success."""
        value = self.get(ERROR_CODE)
        return value[2] % 8 * 100 + value[3] if value else 0

    def address(self, kind):
        value = self.get(kind)
        return read_xor_address(value, self.transaction) if value else None

    def addresses(self, kind):
        return [read_xor_address(value, self.transaction) for value in self.all(kind)]

    def lifetime(self):
        value = self.get(LIFETIME)
        return struct.unpack(">I", value)[0] if value else None

    def is_signed(self):
        return self.get(MESSAGE_INTEGRITY) is not None

    def verify(self, key):
        """Whether MESSAGE-INTEGRITY is there and made with `key`."""
        for t, value, at in self.attributes:
            if t == MESSAGE_INTEGRITY:
                signed = self.data[:2] + struct.pack(">H", at - HEADER + 24) + self.data[4:at]
                return hmac.compare_digest(value, hmac.new(key, signed, hashlib.sha1).digest())
        return False

    def verify_sha256(self, key):
        """Whether a whole MESSAGE-INTEGRITY-SHA256 is there and made with `key`."""
        for t, value, at in self.attributes:
            if t == MESSAGE_INTEGRITY_SHA256:
                signed = self.data[:2] + struct.pack(">H", at - HEADER + 36) + self.data[4:at]
                return hmac.compare_digest(value, hmac.new(key, signed, hashlib.sha256).digest())
        return False

    def fingerprint_is_right(self):
        for t, value, at in self.attributes:
            if t == FINGERPRINT:
                covered = self.data[:2] + struct.pack(">H", at - HEADER + 8) + self.data[4:at]
                return value == struct.pack(">I", zlib.crc32(covered) ^ 0x5354554E)
        return False


def new_transaction():
    return os.urandom(12)


def channel_data(channel, payload):
    return struct.pack(">HH", channel, len(payload)) + payload


def read_channel_data(data):
    """Channel number and payload, or None if it is no ChannelData."""
    if len(data) < 4 or not 0x40 <= data[0] <= 0x4F:
        return None
    channel, length = struct.unpack_from(">HH", data)
    return (channel, data[4:4 + length]) if length <= len(data) - 4 else None
