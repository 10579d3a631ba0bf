"""A TURN server of a few lines for the findings: it relays nothing, it answers and says on standard output what was asked.

turn_server.py [METHOD [signed]]: prints its port, then a line for each request that came with MESSAGE-INTEGRITY:
its method, the answer, whether MESSAGE-INTEGRITY and FINGERPRINT are right, its CHANNEL-NUMBER if it has one, and how long its
MOBILITY-TICKET is. An Allocate with that gets a ticket of 13 bytes, of which the seventh is 0.
User "user", password "password", realm "example.org". The first request of METHOD with MESSAGE-INTEGRITY
gets 438 and another nonce; the 438 has MESSAGE-INTEGRITY if "signed".
"""

import hashlib
import hmac
import socket
import struct
import sys
import zlib

COOKIE = 0x2112A442
KEY = hashlib.md5(b"user:example.org:password").digest()
NAMES = {1: "Binding", 3: "Allocate", 4: "Refresh", 8: "CreatePermission", 9: "ChannelBind"}


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def attributes(message):
    at = 20
    while at + 4 <= len(message):
        kind, length = struct.unpack_from("!HH", message, at)
        yield at, kind, message[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4


def with_length(message, length):
    return message[:2] + struct.pack("!H", length) + message[4:]


def answer(request, kind, body, key):
    message = struct.pack("!HH", kind, len(body) + (24 if key else 0)) + request[4:20] + body
    if key:
        message += attribute(8, hmac.new(key, message, "sha1").digest())
    return message


def xor_address(address):
    host = struct.unpack("!I", socket.inet_aton(address[0]))[0]
    return struct.pack("!BBHI", 0, 1, address[1] ^ (COOKIE >> 16), host ^ COOKIE)


def error(request, method, code, extra=b"", key=None):
    body = attribute(9, struct.pack("!HBB", 0, code // 100, code % 100) + b"error") + extra
    return answer(request, method | 0x110, body, key)


def main():
    stale = sys.argv[1:]
    nonce = b"nonce-1"
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    while True:
        request, source = sock.recvfrom(2048)
        if len(request) < 20 or request[0] & 0xFE:
            continue  # ChannelData, indications
        method = struct.unpack_from("!H", request)[0]
        found = {kind: (at, value) for at, kind, value in attributes(request)}
        realm = attribute(0x14, b"example.org") + attribute(0x15, nonce)
        if method == 1:
            sock.sendto(answer(request, 0x101, attribute(0x20, xor_address(source)), None), source)
            continue
        if 8 not in found:
            sock.sendto(error(request, method, 401, realm), source)
            continue
        at, value = found[8]
        right = hmac.new(KEY, with_length(request, at + 4)[:at], "sha1").digest() == value
        fingerprint = "absent"
        if 0x8028 in found:
            at, value = found[0x8028]
            crc = zlib.crc32(with_length(request, at - 12)[:at]) ^ 0x5354554E
            fingerprint = "right" if struct.pack("!I", crc) == value else "wrong"
        if found[0x15][1] != nonce or NAMES.get(method) in stale:
            stale = []
            nonce = b"nonce-2"
            realm = attribute(0x14, b"example.org") + attribute(0x15, nonce)
            said, reply = "438", error(request, method, 438, realm, KEY if "signed" in sys.argv else None)
        elif not right:
            said, reply = "401", error(request, method, 401, realm)
        else:
            body = attribute(0x0D, struct.pack("!I", 600))
            if method == 3:
                body += attribute(0x16, xor_address(("127.0.0.1", 50000))) + attribute(0x20, xor_address(source))
                if 0x8030 in found:
                    body += attribute(0x8030, b"before\0behind")
            said, reply = "success", answer(request, method | 0x100, body, KEY)
        line = f"{NAMES.get(method, method)}: {said}, integrity {'right' if right else 'wrong'}, fingerprint {fingerprint}"
        if 0x0C in found:
            line += f", channel 0x{struct.unpack_from('!H', found[0x0C][1])[0]:04X}"
        if 0x8030 in found:
            line += f", ticket of {len(found[0x8030][1])} bytes"
        if 0x18 in found:
            line += ", asks for EVEN-PORT"
        print(line, flush=True)
        sock.sendto(reply, source)


main()
