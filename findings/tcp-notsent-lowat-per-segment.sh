#!/usr/bin/env bash
# Linux: TCP_NOTSENT_LOWAT does not bound what a socket takes that it has not sent.
#
# Version:   Linux 6.18.44
# Guess:     with TCP_NOTSENT_LOWAT of 4,096, EAGAIN comes once some 4 KiB wait unsent, whatever is written at a time.
# Behaviour: the kernel looks where a new segment begins, and fills the last one without looking. With GSO that is as large as half of the receiver's
#            largest window, up to 64 KiB: so much waits unsent, at 100 kbit/s for seconds. Who wants to drop what gets old has to look by
#            himself (SIOCOUTQNSD), or to write little at each POLLOUT, which comes below half of the mark.
# Seen:      see `expected` below; 32,768 bytes in writes of 100, 47,616 in one write, 4,096 to a receiver with a window of 4 KiB.
. "$(dirname "$0")/lib/finding.sh"

seen=$(in_namespace <<'END'
import fcntl, socket, struct, subprocess

LOWAT, TCP_NOTSENT_LOWAT, SIOCOUTQNSD = 4096, 25, 0x894B
if subprocess.run(["ip", "link", "set", "lo", "up"]).returncode:
    raise SystemExit(77)

def unsent(at_once, window):
    with socket.socket() as listener, socket.socket() as sender:
        if window:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sender.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, LOWAT)
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sender.connect(listener.getsockname())
        sender.setblocking(False)
        with listener.accept()[0]:  # who reads nothing
            try:
                while True:
                    sender.send(bytes(at_once))
            except BlockingIOError:
                return struct.unpack("i", fcntl.ioctl(sender, SIOCOUTQNSD, bytes(4)))[0]

print("unsent at EAGAIN, in writes of 100 bytes: more than six times the mark", unsent(100, None) > 6 * LOWAT)
print("in one large write: more than six times the mark", unsent(1 << 20, None) > 6 * LOWAT)
print("to a small window: less than twice the mark", unsent(1 << 20, 4096) < 2 * LOWAT)
END
)
expected='unsent at EAGAIN, in writes of 100 bytes: more than six times the mark True
in one large write: more than six times the mark True
to a small window: less than twice the mark True'
stated "$expected" "$seen"
