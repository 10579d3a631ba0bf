#!/usr/bin/env bash
# haproxy: a plain TCP health check never gets as far as the server's accept().
#
# Version:   haproxy 2.6.12 (Debian 12: haproxy 2.6.12-1+deb12u4)
# Guess:     `check` on a server line connects and closes, so the server sees a connection that ends without a byte, each interval: it can count
#            them, has to expect them where it requires a PROXY header, and is called up if it does not accept connections any more.
# Behaviour: haproxy answers the SYN-ACK with a reset in place of the ACK. The kernel drops the half-open connection, and accept() never returns
#            it; a program that hangs, whose socket still listens, is up. With check-send-proxy, or with send-proxy-v2 and no port of its own for
#            checks, each check is a whole connection, with a header of the command LOCAL.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4
export LD_LIBRARY_PATH=$root/usr/lib/$multiarch HAPROXY=$root/usr/sbin/haproxy
! ldd "$HAPROXY" | grep -q "not found" || cannot "a library of haproxy is missing"
export HAPROXY_CONFIG=$dir/haproxy.cfg
seen=$(in_namespace <<'END'
import os, socket, subprocess, threading, time

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
listener = socket.create_server(("127.0.0.1", 1000))
got = []


def accept():
    while True:
        connection = listener.accept()[0]
        connection.settimeout(5)
        try:
            got.append(connection.recv(100))
        except OSError as error:
            got.append(repr(error))
        connection.close()


threading.Thread(target=accept, daemon=True).start()
for options in ("check", "check send-proxy-v2"):
    with open(os.environ["HAPROXY_CONFIG"], "w", encoding="ascii") as f:
        f.write("global\n  log stdout format raw local0\ndefaults\n  mode tcp\n  log global\n  timeout connect 3s\n  timeout client 3s\n  timeout server 3s\n"
                "listen front\n  bind 127.0.0.1:2000\n  server back 127.0.0.1:1000 %s inter 50ms fall 1 rise 1\n" % options)
    got.clear()
    haproxy = subprocess.Popen([os.environ["HAPROXY"], "-db", "-f", os.environ["HAPROXY_CONFIG"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    end = time.monotonic() + 3
    while time.monotonic() < end and len(got) < 5:
        time.sleep(0.05)
    haproxy.terminate()
    log = haproxy.communicate()[0].decode()
    print("%s: the server is %s; accepted: %s" % (options, "down" if "DOWN" in log else "up", got[0].hex() if got else "nothing in 3 s"))
END
)
expected='check: the server is up; accepted: nothing in 3 s
check send-proxy-v2: the server is up; accepted: 0d0a0d0a000d0a515549540a20000000'
stated "$expected" "$seen"
