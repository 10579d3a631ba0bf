#!/usr/bin/env bash
# Linux: with IP_RECVERR, a socket whose error a send has reported stays ready, though there is nothing to read, and nobody asked.
#
# Version:   Linux 6.18.44
# Guess:     an ICMP error makes the socket ready once: who has seen it, as the result of a send or a receive, is done with it; and a socket that
#            is watched for nothing tells nothing.
# Behaviour: the error is in two places. The next call takes it off the socket (ip-recverr-and-other-peers.sh), but not out of the error queue.
#            Until that is read (MSG_ERRQUEUE), poll and epoll tell POLLERR, each time, asked or not, while a receive says EAGAIN. A server that
#            answers POLLERR by reading never sleeps again, and one that has paused reading a socket is woken by it all the same.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

seen=$(in_namespace <<'END'
import select, socket, subprocess

if subprocess.run(["ip", "link", "set", "lo", "up"]).returncode:
    raise SystemExit(77)

def attempt(function, *arguments):
    try:
        return function(*arguments)
    except OSError as e:
        return e.strerror

def ready(sock, events):
    poll = select.poll()
    poll.register(sock, events)
    found = poll.poll(0)
    return "POLLERR" if found and found[0][1] == select.POLLERR else found

for family, host, level, option in ((socket.AF_INET, "127.0.0.1", socket.IPPROTO_IP, 11), (socket.AF_INET6, "::1", socket.IPPROTO_IPV6, 25)):
    gone, server = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (gone, server):
        sock.bind((host, 0))
    nobody = gone.getsockname()
    gone.close()
    server.setblocking(False)
    server.setsockopt(level, option, 1)
    server.sendto(b"1", nobody)
    print(host, "the next send:", attempt(server.sendto, b"2", nobody))
    print("for reading:", ready(server, select.POLLIN), "for nothing:", ready(server, 0), "recv:", attempt(server.recv, 9),
          "and again:", ready(server, select.POLLIN))
    print("MSG_ERRQUEUE:", len(server.recvmsg(9, 512, socket.MSG_ERRQUEUE)[1]), "error, then:", ready(server, select.POLLIN))
END
)
expected="127.0.0.1 the next send: Connection refused
for reading: POLLERR for nothing: POLLERR recv: Resource temporarily unavailable and again: POLLERR
MSG_ERRQUEUE: 1 error, then: []
::1 the next send: Connection refused
for reading: POLLERR for nothing: POLLERR recv: Resource temporarily unavailable and again: POLLERR
MSG_ERRQUEUE: 1 error, then: []"
stated "$expected" "$seen"
