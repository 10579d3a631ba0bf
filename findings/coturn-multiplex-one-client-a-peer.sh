#!/usr/bin/env bash
# coturn: with --multiplex-peer a peer is one client's.
#
# Version:   coturn 4.18.0 (Debian unstable: coturn 4.18.0-1)
# Guess:     --multiplex-peer, "peer-side multiplexing relay mode", changes on which port clients' peers see them; two clients may reach one
#            peer (a media server, say), as everywhere.
# Behaviour: sessions are told apart by the peer's address and port, so the second client's ChannelBind to a peer that another has is answered
#            400. Without the option it succeeds.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

use_debian unstable
unpack coturn=4.18.0-1 libc6 libevent-core-2.1-7t64 libevent-extra-2.1-7t64 libevent-openssl-2.1-7t64 libevent-pthreads-2.1-7t64 libhiredis1.1.0 \
  libmariadb3 libpq5 libsqlite3-0 libssl3t64 libsystemd0 libzstd1 zlib1g libcap2 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libcom-err2 libkrb5support0 \
  libkeyutils1 libldap2 libsasl2-2
libraries=$root/usr/lib/$multiarch
cat >"$dir/clients.py" <<'END'
import hashlib
import hmac
import os
import socket
import struct
import sys

COOKIE = 0x2112A442
KEY = hashlib.md5(b"user:example.org:password").digest()
server = ("127.0.0.1", int(sys.argv[1]))


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def ask(sock, method, body, nonce=None):
    if nonce is not None:
        body += attribute(6, b"user") + attribute(0x14, b"example.org") + attribute(0x15, nonce)
    message = struct.pack("!HHI", method, len(body) + (24 if nonce is not None else 0), COOKIE) + os.urandom(12) + body
    if nonce is not None:
        message += attribute(8, hmac.new(KEY, message, "sha1").digest())
    for _ in range(50):
        sock.sendto(message, server)
        try:
            answer = sock.recv(2048)
            break
        except TimeoutError:
            pass
    found, at = {}, 20
    while at + 4 <= len(answer):
        kind, length = struct.unpack_from("!HH", answer, at)
        found[kind] = answer[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4
    code = found[9][2] * 100 + found[9][3] if 9 in found else 0
    return code, found


peer = struct.pack("!BBHI", 0, 1, 40000 ^ (COOKIE >> 16), 0x7F000001 ^ COOKIE)
kept = []
for name in "first", "second":
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0.2)
    udp = attribute(0x19, bytes([17, 0, 0, 0]))
    nonce = ask(sock, 3, udp)[1][0x15]
    words = [ask(sock, 3, udp, nonce)[0]]
    words.append(ask(sock, 9, attribute(0xC, b"\x40\x00\0\0") + attribute(0x12, peer), nonce)[0])
    print("%s client: %s" % (name, ", ".join("%s %s" % (what, code or "success") for what, code in zip(("Allocate", "ChannelBind"), words))))
    kept.append(sock)
END
# run WORDS PORT [OPTION...]
run() {
  local words=$1 listen=$2
  shift 2
  echo "$words:"
  "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$root/usr/bin/turnserver" -n --listening-ip 127.0.0.1 --relay-ip 127.0.0.1 \
    --listening-port "$listen" --lt-cred-mech --user user:password --realm example.org --allow-loopback-peers --no-tls --relay-threads 1 \
    --userdb "$dir/users" --pidfile "$dir/pid" --log-file "$dir/log" "$@" >/dev/null 2>&1 &
  started+=("$!")
  /usr/bin/python3 "$dir/clients.py" "$listen"
}
run "one port each" 34781 >"$dir/seen"
run "--multiplex-peer" 34783 --multiplex-peer --multiplex-peer-port 34790 >>"$dir/seen"
expected='one port each:
first client: Allocate success, ChannelBind success
second client: Allocate success, ChannelBind success
--multiplex-peer:
first client: Allocate success, ChannelBind success
second client: Allocate success, ChannelBind 400'
stated "$expected" "$(cat "$dir/seen")"
