#!/usr/bin/env bash
# Linux: a datagram to a host on the link that does not answer ARP stays in the sender's buffer for three seconds.
#
# Version:   Linux 6.18.44
# Guess:     a datagram that waits for ARP is the kernel's affair, in a queue of a few packets for each neighbour (man 7 arp: unres_qlen, 3);
#            the UDP socket is done with it when sendto returns.
# Behaviour: it is charged to the socket until ARP has given up, three tries of a second. And unres_qlen follows from unres_qlen_bytes,
#            212992 in this version, as much as a socket's default buffer: one silent neighbour can hold back what goes to all
#            other destinations. A server that sends to hosts of its own link on behalf of others sets unres_qlen_bytes low.
# Seen:      see `expected` below; 832 bytes for a datagram of 1 byte, free again after 3.1 s.
. "$(dirname "$0")/lib/finding.sh"

seen=$(in_namespace <<'END'
import fcntl, socket, struct, subprocess, time

for command in ("link add v0 type veth peer name v1", "address add 192.0.2.1/24 dev v0", "link set v0 up", "link set v1 up",
                "neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0"):
    if subprocess.run(["ip", *command.split()]).returncode:
        raise SystemExit(77)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

def in_use():
    return struct.unpack("i", fcntl.ioctl(sock, 0x5411, bytes(4)))[0]  # SIOCOUTQ

sock.sendto(b"x", ("192.0.2.9", 9))
print("in use after a datagram to a known neighbour:", in_use() > 0)
sock.sendto(b"x", ("192.0.2.77", 9))
start = time.monotonic()
print("in use after one to a neighbour that is not there:", in_use() > 0)
while in_use() and time.monotonic() - start < 20:
    time.sleep(0.01)
print("free again after more than 2 s:", time.monotonic() - start > 2, "and less than 10 s:", time.monotonic() - start < 10)
END
)
expected='in use after a datagram to a known neighbour: False
in use after one to a neighbour that is not there: True
free again after more than 2 s: True and less than 10 s: True'
stated "$expected" "$seen"
