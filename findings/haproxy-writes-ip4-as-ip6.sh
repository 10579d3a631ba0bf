#!/usr/bin/env bash
# haproxy: behind one socket for both families, PROXY headers have IPv4 clients as IPv6.
#
# Version:   haproxy 2.6.12 (Debian 12: haproxy 2.6.12-1+deb12u4)
# Guess:     send-proxy-v2 says of a client that came over IPv4 that it is TCP over IPv4 (0x11), with addresses of four bytes, as the text of the
#            protocol has it; and version 1 says TCP4.
# Behaviour: with `bind :::PORT v4v6` it is TCP over IPv6 (0x21), and TCP6, with addresses such as ::ffff:127.0.0.1. A server that takes that as it
#            stands counts all IPv4 clients as those of one /48 or /64, and tells them an IPv6 address as their own.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4
export LD_LIBRARY_PATH=$root/usr/lib/$multiarch HAPROXY=$root/usr/sbin/haproxy
! ldd "$HAPROXY" | grep -q "not found" || cannot "a library of haproxy is missing"
export HAPROXY_CONFIG=$dir/haproxy.cfg
seen=$(in_namespace <<'END'
import os, socket, subprocess, time

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
listener = socket.create_server(("127.0.0.1", 1000))
listener.settimeout(10)
with open(os.environ["HAPROXY_CONFIG"], "w", encoding="ascii") as f:
    f.write("defaults\n  mode tcp\n  timeout connect 3s\n  timeout client 3s\n  timeout server 3s\n")
    for port, bind in ((2000, "127.0.0.1:2000"), (2001, ":::2001 v4v6")):
        for more, how in ((0, "send-proxy-v2"), (10, "send-proxy")):
            f.write("listen l%d\n  bind %s\n  server back 127.0.0.1:1000 %s\n" % (port + more, bind.replace(str(port), str(port + more)), how))
haproxy = subprocess.Popen([os.environ["HAPROXY"], "-db", "-f", os.environ["HAPROXY_CONFIG"]])


def connect(port):
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


connect(2000).close()
listener.accept()
try:
    for port, bind in ((2000, "bind 127.0.0.1"), (2001, "bind ::: v4v6")):
        client = connect(port)
        data = listener.accept()[0].recv(200)
        old = connect(port + 10)
        line = listener.accept()[0].recv(200).decode().split()
        source = data[16:20] if data[13] == 0x11 else data[16:32]
        print("%s: 0x%02x, from %s; version 1: %s, from %s" % (
            bind, data[13], socket.inet_ntop(socket.AF_INET if len(source) == 4 else socket.AF_INET6, source), *line[1:3]))
finally:
    haproxy.terminate()
    haproxy.wait()
END
)
expected='bind 127.0.0.1: 0x11, from 127.0.0.1; version 1: TCP4, from 127.0.0.1
bind ::: v4v6: 0x21, from ::ffff:127.0.0.1; version 1: TCP6, from ::ffff:127.0.0.1'
stated "$expected" "$seen"
