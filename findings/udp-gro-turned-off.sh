#!/usr/bin/env bash
# Linux: after UDP_GRO is turned off, merged datagrams that wait are read as one, and nothing tells their borders.
#
# Version:   Linux 6.18.44
# Guess:     without UDP_GRO each recvmsg gives one datagram; turning it off makes that true from then on, or what waits still comes with
#            its UDP_GRO control message.
# Behaviour: what was queued merged stays merged, and the control message with the segments' size comes only while the option is on: three
#            datagrams of 100, 100 and 50 bytes are read as one of 250. A socket that is handed on to code that does not know UDP_GRO
#            has to be emptied first.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

seen=$(in_namespace <<'END'
import socket, struct, subprocess

UDP_SEGMENT, UDP_GRO = 103, 104
if subprocess.run(["ip", "link", "set", "lo", "up"]).returncode:
    raise SystemExit(77)
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
receiver.settimeout(5)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

def send():
    sender.sendmsg([bytes(250)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 100))], 0, receiver.getsockname())

def receive():
    data, control, _, _ = receiver.recvmsg(1000, 100)
    return f"{len(data)} bytes, {'segments of ' + str(struct.unpack('i', control[0][2])[0]) if control else 'no control message'}"

send()
print("never on:", receive(), "then", receive(), "then", receive())
receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
send()
print("on:", receive())
send()
receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 0)
print("turned off with this in the queue:", receive())
END
)
expected='never on: 100 bytes, no control message then 100 bytes, no control message then 50 bytes, no control message
on: 250 bytes, segments of 100
turned off with this in the queue: 250 bytes, no control message'
stated "$expected" "$seen"
