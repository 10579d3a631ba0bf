#!/usr/bin/env bash
# Linux: where a process has threads, every doubling of its table of descriptors waits for all CPUs.
#
# Version:   Linux 6.18.44
# Guess:     socket(), accept(), dup() and recvmsg() with SCM_RIGHTS take microseconds, whatever number they give.
# Behaviour: the table begins with 64 places and doubles. With one thread that takes microseconds. With two, whoever gets descriptor 256, 512,
#            1,024, … first waits for an RCU grace period (synchronize_rcu in expand_fdtable, fs/file.c): mostly 8 to 30 ms, seconds where
#            kernel threads get little CPU. MSG_DONTWAIT and O_NONBLOCK change nothing. Who takes 16,384 sockets from another process
#            waits nine times. One fcntl(F_DUPFD) to the highest number, before there are threads, makes the table as long as it has to be.
# Seen:      see `expected` below; medians of the six doublings from 256 to 8,192, as more or less than a millisecond.
. "$(dirname "$0")/lib/finding.sh"

seen=$(/usr/bin/python3 - <<'END'
import os, resource, statistics, threading, time

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 < hard < 9000:
    raise SystemExit(77)
DOUBLINGS = [256 << i for i in range(6)]

def child(name, threads, reserve):
    if os.fork():
        os.wait()
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if reserve:
        import fcntl
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD, 8999))
    for _ in range(threads - 1):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    times = {}
    while max(times, default=0) < DOUBLINGS[-1]:
        begun = time.perf_counter()
        fd = os.dup(0)
        times[fd] = time.perf_counter() - begun
    slow = statistics.median(times[fd] for fd in DOUBLINGS) > 0.001
    usual = statistics.median(times.values()) > 0.001
    print(f"{name}: a doubling takes {'more' if slow else 'less'} than 1 ms, other numbers {'more' if usual else 'less'}", flush=True)
    os._exit(0)

child("one thread", 1, False)
child("two threads", 2, False)
child("two threads, room made before", 2, True)
END
)
expected='one thread: a doubling takes less than 1 ms, other numbers less
two threads: a doubling takes more than 1 ms, other numbers less
two threads, room made before: a doubling takes less than 1 ms, other numbers less'
stated "$expected" "$seen"
