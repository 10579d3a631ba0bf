#!/usr/bin/env bash
# Linux: with IP_RECVERR, an ICMP error about one peer makes the next datagram to another peer fail.
#
# Version:   Linux 6.18.44
# Guess:     IP_RECVERR on an unconnected UDP socket puts ICMP errors, with the address that they are about, into the error queue, to be read
#            with MSG_ERRQUEUE; sending to others is not touched.
# Behaviour: the error is also left on the socket: the next sendto, to whomever, returns it (ECONNREFUSED), and its datagram is not
#            sent. The one after that goes. A server with one socket for many peers has to send again, or leave IP_RECVERR off; IPv6 does the same.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

seen=$(in_namespace <<'END'
import socket, subprocess

if subprocess.run(["ip", "link", "set", "lo", "up"]).returncode:
    raise SystemExit(77)

def attempt(function, *arguments):
    try:
        return function(*arguments)
    except OSError as e:
        return e.strerror

for family, host, level, option in ((socket.AF_INET, "127.0.0.1", socket.IPPROTO_IP, 11), (socket.AF_INET6, "::1", socket.IPPROTO_IPV6, 25)):
    for on in (0, 1):
        alive, gone, server = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(3))
        for sock in (alive, gone, server):
            sock.bind((host, 0))
        alive.setblocking(False)
        nobody = gone.getsockname()
        gone.close()
        server.setsockopt(level, option, on)
        server.sendto(b"1", nobody)
        print(host, "with" if on else "without", "RECVERR:", attempt(server.sendto, b"2", alive.getsockname()), "and",
              attempt(server.sendto, b"3", alive.getsockname()), "- arrived:", attempt(alive.recv, 9), attempt(alive.recv, 9))
END
)
expected="127.0.0.1 without RECVERR: 1 and 1 - arrived: b'2' b'3'
127.0.0.1 with RECVERR: Connection refused and 1 - arrived: b'3' Resource temporarily unavailable
::1 without RECVERR: 1 and 1 - arrived: b'2' b'3'
::1 with RECVERR: Connection refused and 1 - arrived: b'3' Resource temporarily unavailable"
stated "$expected" "$seen"
