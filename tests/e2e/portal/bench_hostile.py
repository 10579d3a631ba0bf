# SPDX-License-Identifier: Apache-2.0
"""What a hostile portal costs the data path: the same relay under the same load, by turns while its portal is silent and while it
sends garbage as fast as it is taken. For each kind of garbage the medians, over all pairs, of CPU time of the workers' threads for a
relayed packet and of throughput, and the median of the pairs' ratios.

    meson test --benchmark portal-hostile --verbose      PAIRS=20 for more of them
"""
import json
import os
import select
import statistics
import subprocess
import threading

from harness import SECRET, RawPortal, Subject, frame, join_raw, push, reset, timing

PAIRS = int(os.environ.get("PAIRS", "10"))
GARBAGE = {
    "pings": frame(9) * 4096,
    "malformed": frame(1, b"[" * 60000),
    "costly": frame(1, json.dumps({"event": "x", "list": [{"a": [0] * 10}] * 180}).encode()) * 4,
    "unknown": frame(1, push("no_such_thing").encode()) * 100,
    "no websocket": os.urandom(65536),
}


def workers_cpu(pid):
    """Nanoseconds of CPU of the threads that relay."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as comm:
            if not comm.read().startswith("relay-"):
                continue
        with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total


def load(subject, port):
    """A second of load. Returns (CPU ns a packet, packets a second)."""
    before = workers_cpu(subject.process.pid)
    done = subprocess.run(
        [os.environ["FZR_BENCH"], "relay", "--server", f"127.0.0.1:{port}", "--clients", "4", "--seconds", "1", "--json"],
        env={"AUTH_SECRET": SECRET},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures = json.loads(done.stdout)
    return (workers_cpu(subject.process.pid) - before) / figures["received"], figures["rate"]


def compare(name, chunk):
    flooding, silent = threading.Event(), threading.Event()
    view = memoryview(chunk)

    def script(portal, peer, number):
        join_raw(peer)
        peer.setblocking(False)
        silent.set()
        while not flooding.wait(0.05):
            if portal.stopping.is_set():
                return
        silent.clear()
        at = 0
        while flooding.is_set():
            if select.select([], [peer], [], 0.05)[1]:
                at = (at + peer.send(view[at:])) % len(view)
        reset(peer)  # what it has not read is gone, too

    quiet_log = {"RUST_LOG": "warn,portal=off,relay=info", "PORTAL_TIMING": timing(heartbeat="10m")}
    with RawPortal(script) as portal, Subject(portal.url, **quiet_log) as subject:
        port = int(subject.wait(r"Listening on \S+:(\d+),").group(1))
        load(subject, port)
        figures = {True: [], False: []}
        for pair in range(PAIRS):
            for hostile in (pair % 2 == 0, pair % 2 == 1):
                if hostile:
                    flooding.set()
                else:
                    flooding.clear()
                    silent.wait()
                figures[hostile].append(load(subject, port))
        flooding.clear()
    cells = []
    for i in (0, 1):
        without, with_it = ([f[i] for f in figures[h]] for h in (False, True))
        ratio = statistics.median(h / s for h, s in zip(with_it, without))
        cells.append((statistics.median(without), statistics.median(with_it), ratio))
    print(
        f"{name:13} CPU ns/packet {cells[0][0]:6.0f} {cells[0][1]:6.0f} ratio {cells[0][2]:.3f}   "
        f"packets/s {cells[1][0]:8.0f} {cells[1][1]:8.0f} ratio {cells[1][2]:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    print(f"{PAIRS} pairs, silent portal first", flush=True)
    for garbage_name, garbage in GARBAGE.items():
        compare(garbage_name, garbage)
