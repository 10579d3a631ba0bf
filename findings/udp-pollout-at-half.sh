#!/usr/bin/env bash
# Linux: a UDP socket whose buffer has room is not writable for poll until half of it is free.
#
# Version:   Linux 6.18.44
# Guess:     after EAGAIN, POLLOUT comes as soon as the next sendto would succeed, and a socket that takes datagrams is writable.
# Behaviour: sendto succeeds while less than SO_SNDBUF is in use, POLLOUT comes below half of it. On a slow link (here 400 kbit/s)
#            both are far apart: sendto works again within a moment, POLLOUT comes when half of the queue has left. A sender that waits for
#            POLLOUT sends in bursts of half a buffer, and what waits in its own queue meanwhile may get old.
# Seen:      see `expected` below; half of the buffer took half a second.
. "$(dirname "$0")/lib/finding.sh"

need tc
seen=$(in_namespace <<'END'
import fcntl, select, socket, struct, subprocess, time

for command in ("ip link add v0 type veth peer name v1", "ip address add 192.0.2.1/24 dev v0", "ip link set v0 up", "ip link set v1 up",
                "ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0", "tc qdisc add dev v0 root tbf rate 400kbit burst 2000 limit 1000000"):
    if subprocess.run(command.split()).returncode:
        raise SystemExit(77)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50000)
sock.setblocking(False)
size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
poll = select.poll()
poll.register(sock, select.POLLOUT)

def in_use():
    return struct.unpack("i", fcntl.ioctl(sock, 0x5411, bytes(4)))[0]  # SIOCOUTQ

def send():
    try:
        return sock.sendto(bytes(1000), ("192.0.2.9", 9)) == 1000
    except BlockingIOError:
        return False

while send():
    pass
print("EAGAIN with the buffer full:", in_use() >= size)
until = time.monotonic() + 10
sent_while_not_writable = False
while time.monotonic() < until:
    if poll.poll(10):
        break
    if in_use() < size:
        sent_while_not_writable = sent_while_not_writable or send()
print("sendto succeeded while poll said not writable:", sent_while_not_writable)
# From here on nothing is added.
while not poll.poll(1) and time.monotonic() < until:
    pass
print("in use at POLLOUT: less than half", in_use() < size / 2, "and more than a third", in_use() > size / 3)
END
)
expected='EAGAIN with the buffer full: True
sendto succeeded while poll said not writable: True
in use at POLLOUT: less than half True and more than a third True'
stated "$expected" "$seen"
