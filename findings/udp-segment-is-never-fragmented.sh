#!/usr/bin/env bash
# Linux: a datagram that goes as it is, in fragments, is refused with UDP_SEGMENT, even if it is the only segment.
#
# Version:   Linux 6.18.44
# Guess:     UDP_SEGMENT of n bytes does what a sendto for each n bytes would do; and a message of one segment is no different from one
#            without UDP_SEGMENT.
# Behaviour: a sendto of more than the link's MTU takes is sent in fragments (path MTU discovery is left at its default). With a UDP_SEGMENT
#            over what the MTU takes, sendmsg fails with EMSGSIZE, though nothing asked for "don't fragment", also if the message is as long as
#            the segment. Whoever forwards datagrams of unknown size in batches needs a way without UDP_SEGMENT for the large ones.
# Seen:      see `expected` below (MTU 1500: 1472 bytes of UDP payload).
. "$(dirname "$0")/lib/finding.sh"

seen=$(in_namespace <<'END'
import socket, struct, subprocess

for command in ("link add v0 type veth peer name v1", "address add 192.0.2.1/24 dev v0", "link set v0 up", "link set v1 up",
                "neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0"):
    if subprocess.run(["ip", *command.split()]).returncode:
        raise SystemExit(77)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
UDP_SEGMENT = 103

def send(length, segment):
    control = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", segment))] if segment else []
    try:
        return f"{sock.sendmsg([bytes(length)], control, 0, ('192.0.2.9', 9))} sent"
    except OSError as e:
        return e.strerror

print("1473 bytes, no UDP_SEGMENT:", send(1473, 0))
print("2 x 1472 bytes:", send(2944, 1472))
print("2 x 1473 bytes:", send(2946, 1473))
print("1 x 1473 bytes:", send(1473, 1473))
END
)
expected='1473 bytes, no UDP_SEGMENT: 1473 sent
2 x 1472 bytes: 2944 sent
2 x 1473 bytes: Message too long
1 x 1473 bytes: Message too long'
stated "$expected" "$seen"
