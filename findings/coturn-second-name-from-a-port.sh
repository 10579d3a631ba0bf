#!/usr/bin/env bash
# coturn: who was refused under one name can't log in under another from the same port.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1)
# Guess:     a client whose Allocate gets 401 has no allocation, so with other credentials it may ask again from where it is. If they are wrong, too, it is
#            told 401.
# Behaviour: the server keeps the first name for the 5-tuple, though it was refused. To an Allocate with another one it answers 437 (Allocation Mismatch),
#            whether that is right or wrong. The first name with the right password is taken. From another port all is as one would guess.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/coturn.sh"

cat >"$dir/client.py" <<'END'
import hashlib
import hmac
import os
import socket
import struct
import sys

server = ("127.0.0.1", int(sys.argv[1]))


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def allocate(sock, user=None, password=None, nonce=None):
    """The code that is answered, 0 for a success, and the nonce."""
    body = attribute(0x19, bytes([17, 0, 0, 0]))
    if user:
        body += attribute(6, user) + attribute(0x14, b"example.org") + attribute(0x15, nonce)
    message = struct.pack("!HHI", 3, len(body) + (24 if user else 0), 0x2112A442) + os.urandom(12) + body
    if user:
        key = hashlib.md5(b":".join((user, b"example.org", password))).digest()
        message += attribute(8, hmac.new(key, message, "sha1").digest())
    sock.settimeout(5)
    sock.send(message)
    answer = sock.recv(2000)
    found, at = {}, 20
    while at < len(answer):
        kind, size = struct.unpack_from("!HH", answer, at)
        found.setdefault(kind, answer[at + 4:at + 4 + size])
        at += 4 + size + -size % 4
    code = found[9][2] * 100 + found[9][3] if 9 in found else 0
    return code, found.get(0x15, nonce)


def tries(*logins, new_ports=False):
    sock, codes, nonce = None, [], None
    for user, password in logins:
        if sock is None or new_ports:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect(server)
            nonce = allocate(sock)[1]
        code, nonce = allocate(sock, user, password, nonce)
        codes.append(str(code) if code else "success")
    return ", ".join(codes)


print("nobody, then alice:", tries((b"nobody", b"x"), (b"alice", b"wonderland")))
print("nobody, then somebody:", tries((b"nobody", b"x"), (b"somebody", b"x")))
print("alice with a wrong password, then the right one:", tries((b"alice", b"x"), (b"alice", b"wonderland")))
print("nobody, then alice from another port:", tries((b"nobody", b"x"), (b"alice", b"wonderland"), new_ports=True))
END

serve lt-cred-mech user=alice:wonderland
seen=$(/usr/bin/python3 "$dir/client.py" "$port")
stop
expected='nobody, then alice: 401, 437
nobody, then somebody: 401, 437
alice with a wrong password, then the right one: 401, success
nobody, then alice from another port: 401, success'
stated "$expected" "$seen"
