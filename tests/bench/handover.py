#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long packets wait while one process takes the place of another, and whether any is lost.

    handover.py [--relay PROGRAM]... [--steady PROGRAM] [--count N] [--clients N] [--rate N] [--workers N] [--generators N] [--quiet S]

One relay takes over from another, --count times in a row, while --clients clients, each with an allocation and a channel, and their peers send --rate packets
a second in all. Of several --relay programs the second and later ones take their turn four times in all, and hand over to the first one again. Prints what
each hand-over came to, and at the end how long the longest packet of each took: median, 99th percentile, longest; beside it the same of as many
stretches of time without a hand-over, which is what the machine and the generators are good for. Exit status 1 if a packet was lost, altered or out of order.

Takes root: it makes a network namespace of its own, since that many clients and peers need more ports than a system has to spare. On a machine
that does nothing else. A generator takes up two descriptors for each client: more of them if the limit of open files is low.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("BUILD", "build")
LOWEST, HIGHEST, PORT = 1100, 19999, 1078
DEADLINE = 60
SKIPPED = 77


def enter_namespace():
    if os.environ.get("HANDOVER_NAMESPACE"):
        return
    os.environ["HANDOVER_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable] + sys.argv)


def set_up_namespace():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("%d 65000" % (HIGHEST + 1))


class Program:
    """A process whose lines are kept, and waited for."""

    def __init__(self, command, **more):
        self.lines, self.changed = [], threading.Condition()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, **more)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)
            self.changed.notify_all()

    def told(self, pattern, after=0):
        """The match of the first line from number `after` on that has `pattern`."""
        end = time.monotonic() + DEADLINE
        with self.changed:
            while True:
                for line in self.lines[after:]:
                    found = line is not None and re.search(pattern, line)
                    if found:
                        return found
                if (self.lines and self.lines[-1] is None) or time.monotonic() > end:
                    raise SystemExit("%s was not told in:\n%s" % (pattern, "\n".join(str(s) for s in self.lines)))
                self.changed.wait(1)

    def memory(self):
        """kB. What processes share, the program itself, counts once for all of them."""
        with open("/proc/%d/smaps_rollup" % self.process.pid, encoding="ascii") as file:
            return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


class Relay(Program):
    def __init__(self, program, folder, workers, group):
        environment = {"RUST_LOG": "warn,relay=debug", "PATH": os.environ["PATH"]}
        super().__init__([program, "--public-ip4-addr", "127.0.0.1", "--bind-ip4-addr", "127.0.0.1", "--listen-port", str(PORT), "--lowest-port", str(LOWEST),
                          "--highest-port", str(HIGHEST), "--workers", str(workers), "--auth-secret-file", folder + "/secret", "--unauthenticated-rate", "0",
                          "--health-check-addr", "127.0.0.1:1080", "--control-endpoint", "127.0.0.1:1081", "--handover-socket", folder + "/handover",
                          "--allow-peer", "127.0.0.0/8", "--log-format", "human"], stderr=subprocess.STDOUT, env=environment, preexec_fn=group.enter)
        self.told("Another process can take over")


class Steady(Program):
    """A generator."""

    def __init__(self, program, folder, clients, rate, number):
        # Clients are other machines: those here take no CPU that the relay can use.
        super().__init__(["nice", "-n", "10", program, "127.0.0.1:%d" % PORT, folder + "/secret", str(clients), str(rate), "127.0.1.%d" % (number + 1)])
        self.seen = 0

    def report(self, end=False):
        if end:
            self.process.stdin.close()
        else:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        found = self.told(r"^\{.*", self.seen)
        with self.changed:
            self.seen = self.lines.index(found.group(0), self.seen) + 1
        return json.loads(found.group(0))


def add(reports):
    """The reports of all generators about one stretch of time."""
    total = {key: sum(r[key] for r in reports) for key in ("sent", "received", "reordered", "damaged", "unsent", "missing")}
    total["worst_ms"] = max(r["worst_ms"] for r in reports)
    total["over"] = [sum(n) for n in zip(*(r["over"] for r in reports))]
    return total


def kernel():
    """kB of slabs, and pages of UDP."""
    with open("/proc/meminfo", encoding="ascii") as file:
        slab = int(re.search(r"^Slab:\s+(\d+)", file.read(), re.M).group(1))
    with open("/proc/net/sockstat", encoding="ascii") as file:
        udp = re.search(r"^UDP: inuse (\d+) mem (\d+)", file.read(), re.M)
    return slab, int(udp.group(1)), int(udp.group(2))


class Group:
    """A control group of the relays', by which the kernel says what they take in all, with its own memory for their sockets."""

    HIERARCHIES = (("/sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.max_usage_in_bytes"),
                   ("/sys/fs/cgroup", "memory.current", "memory.peak"))

    def __init__(self):
        self.path = None
        for top, now, most in self.HIERARCHIES:
            path = "%s/handover-bench-%d" % (top, os.getpid())
            try:
                os.mkdir(path)
            except OSError:
                continue
            if os.path.exists(os.path.join(path, now)) and os.path.exists(os.path.join(path, most)):
                self.path, self.now_name, self.most_name = path, now, most
                return
            os.rmdir(path)

    def enter(self):
        """The calling process, before it is the relay."""
        if self.path:
            with open(self.path + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")

    def _read(self, name):
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return int(file.read()) // 1024

    def now(self):
        return self._read(self.now_name) if self.path else 0

    def most(self):
        return self._read(self.most_name) if self.path else 0

    def forget_most(self):
        """Only where that can be done."""
        try:
            with open(os.path.join(self.path or "", self.most_name), "w", encoding="ascii") as file:
                file.write("0")
        except OSError:
            pass

    def remove(self):
        end = time.monotonic() + DEADLINE
        while self.path and time.monotonic() < end:
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)


class Sampler(threading.Thread):
    """The most memory that relays take together, kB."""

    def __init__(self, relays):
        super().__init__(daemon=True)
        self.relays, self.most, self.slab, self.ends = relays, 0, 0, False
        self.start()

    def run(self):
        while not self.ends:
            try:
                self.most = max(self.most, sum(r.memory() for r in list(self.relays) if r.process.poll() is None))
            except (OSError, AttributeError):
                pass
            self.slab = max(self.slab, kernel()[0])
            time.sleep(0.02)


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def summary(name, values):
    print("%-32s median %6.1f  p99 %6.1f  longest %6.1f ms" % (name, quantile(values, 0.5), quantile(values, 0.99), max(values)))


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder, self.group = args, folder, Group()
        self.relays = [self.start(0)]
        self.generators = [Steady(args.steady, folder, args.clients // args.generators, args.rate / args.generators, i) for i in range(args.generators)]
        for g in self.generators:
            g.told("^ready")
        self.with_, self.without, self.paused, self.cpus, self.faults = [], [], [], [], 0

    def start(self, which):
        return Relay(self.args.relay[which], self.folder, self.args.workers, self.group)

    def stretch(self, end=False):
        total = add([g.report(end) for g in self.generators])
        self.faults += total["reordered"] + total["damaged"]
        return total

    def which(self, number):
        """Which program takes over as number `number`: another one four times, evenly."""
        every = max(2, self.args.count // 4)
        others = len(self.args.relay) - 1
        return 1 + (number // every) % others if others and number % every == every // 2 else 0

    def hand_over(self, number):
        time.sleep(self.args.quiet)
        self.without.append(self.stretch()["worst_ms"])
        old = self.relays[-1]
        new = self.start(self.which(number))
        self.relays.append(new)
        times = old.told("after ([0-9.]+) ms without reading")
        old.process.wait(DEADLINE)
        time.sleep(self.args.quiet)
        total = self.stretch()
        self.with_.append(total["worst_ms"])
        self.paused.append(float(times.group(1)))
        phases = [self.cpu(old, "saving"), self.cpu(new, "loading"), self.cpu(new, "beginning")]
        self.cpus.append(sum(phases))
        print("%3d: longest %6.1f ms, paused %6.1f ms, over 20 ms %6d of %6d, program %d; CPU of a worker %s ms; %s" %
              (number + 1, total["worst_ms"], self.paused[-1], total["over"][4], total["received"], self.which(number),
               " + ".join("%.1f" % p for p in phases), old.told("Hand-over: (.*)").group(1)), flush=True)
        self.relays.pop(0)

    def cpu(self, relay, what):
        """ms of a worker's CPU, which other programs on the machine do not take part in."""
        return float(relay.told(r"worker's CPU.* %s took ([0-9.]+) ms" % what if what != "beginning" else r"and beginning ([0-9.]+) ms").group(1))

    def run(self):
        time.sleep(2)
        self.stretch()
        before = self.relays[-1].memory(), self.relays[-1].descriptors(), kernel()
        whole = self.group.now()
        self.group.forget_most()
        sampler = Sampler(self.relays)
        for number in range(self.args.count):
            self.hand_over(number)
        sampler.ends = True
        last = self.relays[-1]
        print("memory of the relay: %d kB before, %d kB after, %d kB of both at most; descriptors: %d before, %d after" %
              (before[0], last.memory(), sampler.most, before[1], last.descriptors()))
        print("kernel: slabs %d kB, UDP sockets %d, pages %d before; %d kB, %d, %d after; slabs %d kB at most" % (before[2] + kernel() + (sampler.slab,)))
        if self.group.path:
            print("with the kernel's for their sockets, and files in memory: %d kB before, %d kB after, %d kB at most, which is %.2f of before" %
                  (whole, self.group.now(), self.group.most(), self.group.most() / whole))
        end = self.stretch(True)
        summary("longest packet of a hand-over", self.with_)
        summary("paused", self.paused)
        summary("CPU of a worker for it", self.cpus)
        summary("longest packet without one", self.without)
        print("lost %d, out of order or altered %d, of the last stretch %d packets" % (end["missing"], self.faults, end["received"]))
        last.process.kill()
        last.process.wait(DEADLINE)
        self.group.remove()
        return 1 if end["missing"] or self.faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relay", action="append", default=[])
    parser.add_argument("--steady", default=BUILD + "/tests/bench/fzr-steady")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16384)
    parser.add_argument("--rate", type=int, default=100000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--generators", type=int, default=2)
    parser.add_argument("--quiet", type=float, default=0.5, help="seconds before and after each hand-over")
    args = parser.parse_args()
    args.relay = args.relay or [BUILD + "/cli/firezone-relay"]
    if os.geteuid():
        print("it takes root")
        return SKIPPED
    enter_namespace()
    set_up_namespace()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/secret", "w", encoding="ascii") as file:
            file.write("a secret of the bench\n")
        return Bench(args, folder).run()


if __name__ == "__main__":
    sys.exit(main())
