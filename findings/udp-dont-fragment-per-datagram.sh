#!/usr/bin/env bash
# Linux: what forbids to fragment one datagram is a control message of IPv6 alone, and the wrong one is taken and ignored.
#
# Version:   Linux 6.18.44
# Guess:     IP_MTU_DISCOVER, like IP_TTL and IP_TOS, can be given with one datagram (sendmsg's control data), and so can IPv6's option; and
#            what a socket cannot do is refused.
# Behaviour: IP_MTU_DISCOVER as a control message is EINVAL on an IPv4 socket, and is taken and does nothing on an IPv6 one. IPV6_DONTFRAG works
#            on an IPv6 socket, and is taken and does nothing on an IPv4 one: the datagram goes in fragments. What works on both is UDP_SEGMENT
#            with the datagram's own length (see udp-segment-is-never-fragmented.sh).
# Seen:      see `expected` below (MTU 1500, datagrams of 1600 bytes).
. "$(dirname "$0")/lib/finding.sh"

seen=$(in_namespace <<'END'
import socket, struct, subprocess

for command in ("link add v0 type veth peer name v1", "address add 192.0.2.1/24 dev v0", "-6 address add 2001:db8::1/64 dev v0 nodad",
                "link set v0 up", "link set v1 up", "neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0",
                "-6 neighbour add 2001:db8::9 lladdr 02:00:00:00:00:09 dev v0"):
    if subprocess.run(["ip", *command.split()]).returncode:
        raise SystemExit(77)

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IPV6_DONTFRAG, UDP_SEGMENT = 10, 2, 62, 103
ways = (("nothing", []),
        ("IP_MTU_DISCOVER", [(socket.IPPROTO_IP, IP_MTU_DISCOVER, struct.pack("i", IP_PMTUDISC_DO))]),
        ("IPV6_DONTFRAG", [(socket.IPPROTO_IPV6, IPV6_DONTFRAG, struct.pack("i", 1))]),
        ("UDP_SEGMENT", [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 1600))]))
for family, host in ((socket.AF_INET, "192.0.2.9"), (socket.AF_INET6, "2001:db8::9")):
    for name, control in ways:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                result = "%d bytes in fragments" % sock.sendmsg([bytes(1600)], control, 0, (host, 9))
            except OSError as error:
                result = error.strerror
        print("IPv%d with %s: %s" % (4 if family == socket.AF_INET else 6, name, result))
END
)
expected="IPv4 with nothing: 1600 bytes in fragments
IPv4 with IP_MTU_DISCOVER: Invalid argument
IPv4 with IPV6_DONTFRAG: 1600 bytes in fragments
IPv4 with UDP_SEGMENT: Message too long
IPv6 with nothing: 1600 bytes in fragments
IPv6 with IP_MTU_DISCOVER: 1600 bytes in fragments
IPv6 with IPV6_DONTFRAG: Message too long
IPv6 with UDP_SEGMENT: Message too long"
stated "$expected" "$seen"
