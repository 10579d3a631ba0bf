#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What telemetry costs: the relay with everything on against the relay with everything off, in turns, in one run.

    telemetry.py BUILD-FOLDER packets [PAIRS [SECONDS]]    server CPU per relayed packet: on means logs at info into a pipe that is read,
                                                           metrics and traces to a gRPC collector, a scrape and metrics in each turn
    telemetry.py BUILD-FOLDER requests [PAIRS [SECONDS]]   10,000 Binding requests a second, with and without tracing: latency, memory,
                                                           spans; ever one relay at a time is loaded

A pair is two relays just started, one of either kind: where the loader puts a process shifts its cost by per cents, so it is drawn anew. They
take turns of SECONDS each: off on on off, or the other way round. Each pair has one say: the logarithm of its ratio. Printed are the mean of
all, and the interval that holds 95 of 100 means of pairs drawn again out of these (bootstrap). Beside it stands what noise does
not touch: the CPU time of the threads that do telemetry's work, and that of a relay with nothing to relay.

`requests` has ten rounds of turns with each pair, of whose 99th percentiles each kind has its median, and prints the median of the pairs, not
the mean: a machine that stands still for a millisecond multiplies a 99th percentile by ten. The relays have one core, worker and exporter
alike; the generator and the collector have another. With VERBOSE set each pair is printed. Needs python3-grpcio.
"""

import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from harness import Relay, wait_for  # noqa: E402
from otlp import Collector  # noqa: E402
from watch import Metrics, control_port, endpoint, request  # noqa: E402

RATE = 10000
LIMIT_CPU, LIMIT_P99 = 2, 10  # per cent
ROUNDS = 10  # of requests, for each pair
QUANTILES = ("p50", "p90", "p99")
SHAPES = (("1,280 B, 1 flow", ["--size", "1280"]), ("100 B, 50 flows", ["--size", "100", "--clients", "50", "--window", "200"]),
          ("1,280 B, 10,000/s", ["--size", "1280", "--clients", "10", "--rate", "10000"]))


class Counter:
    """fzr-collector: a collector that only counts, and takes next to nothing of the generator's core."""

    def __init__(self, build):
        self.process = subprocess.Popen([os.path.join(build, "tests/bench/fzr-collector")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.endpoint = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def counts(self):
        """How many messages, and how many bytes of them, it took."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def cpu_ns(pid):
    """CPU time of the threads of a process: of those that relay, and of the others, which are there to log, export and answer."""
    relaying = others = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, task), encoding="ascii") as file:
            name = file.read().strip()
        with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as file:
            used = int(file.read().split()[0])
        if name.startswith("relay-"):
            relaying += used
        else:
            others += used
    assert relaying, "no thread is a worker"
    return relaying, others


def resident(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024


class Sample:
    """Logarithms of ratios, one of each pair, and what stands for all of them: their mean, or their median where some pairs are far off."""

    def __init__(self, ratios, middle=statistics.fmean):
        self.logs = [math.log(ratio) for ratio in ratios]
        self.middle = middle

    @staticmethod
    def percent(log):
        return 100 * math.expm1(log)

    def interval(self, resamples=10000):
        draw = random.Random(1)
        middles = sorted(self.middle(draw.choices(self.logs, k=len(self.logs))) for _ in range(resamples))
        return middles[int(0.025 * resamples)], middles[int(0.975 * resamples)]

    def tell(self, what, limit):
        low, high = self.interval()
        verdict = "met" if self.percent(high) <= limit else "missed" if self.percent(low) > limit else "not decided"
        print("%s: %+.2f %% (95 %% of %d pairs: %+.2f to %+.2f; mean %+.2f, median %+.2f); bar %d %%: %s"
              % (what, self.percent(self.middle(self.logs)), len(self.logs), self.percent(low), self.percent(high),
                 self.percent(statistics.fmean(self.logs)), self.percent(statistics.median(self.logs)), limit, verdict), flush=True)


def cores(all_of_them=tuple(sorted(os.sched_getaffinity(0)))):
    """The relays' core, and all others: of those that there were at first, for this process gives up its own."""
    return all_of_them[:1], all_of_them[1:] or all_of_them


def start(binary, first, endpoint_of_collector=None, env=None):
    """A relay on the first core."""
    args = ("--otlp-grpc-endpoint", endpoint_of_collector) if endpoint_of_collector else ()
    return Relay(binary, *args, v6=None, env=env, wrapper=("taskset", "-c", "%d" % first[0]))


def set_filter(relay, directives):
    assert request(control_port(relay), "POST", "/log_filter?directives=" + directives)[0] == 200


def turns(i):
    """off on on off, or the other way round."""
    return (False, True, True, False) if i % 2 == 0 else (True, False, False, True)


class Use:
    """What relays of one kind used."""

    def __init__(self):
        self.relaying = self.others = self.packets = 0
        self.seconds = 0.0

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def per_packet(self):
        return (self.relaying + self.others) / self.packets


def relayed(relay):
    return Metrics(endpoint(relay)).total("relay_packets_total")


def load(build, relay, scraped, seconds, arguments):
    """Loads the relay and returns what it used within `seconds`, without what the beginning took."""
    use = Use()
    command = [os.path.join(build, "tests/bench/fzr-bench"), "relay", "--server", "127.0.0.1:%d" % relay.port, "--stamp-secret-file",
               relay.secret_file.name, "--seconds", "%g" % (seconds + 0.6)] + arguments
    before = relayed(relay)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as bench:
        wait_for(lambda: relayed(relay) > before + 1000, "packets")
        use.packets, cpu, begin = -relayed(relay), cpu_ns(relay.process.pid), time.monotonic()
        time.sleep(seconds / 2)
        if scraped:
            Metrics(endpoint(relay))
        time.sleep(begin + seconds - time.monotonic())
        use.seconds = time.monotonic() - begin
        use.relaying, use.others = (b - a for a, b in zip(cpu, cpu_ns(relay.process.pid)))
        use.packets += relayed(relay)
        assert bench.poll() is None, "the load ended too early"
    return use


def one_pair(build, collector, i, seconds, arguments):
    """What both kinds used, by whether telemetry was on."""
    binary, first = os.path.join(build, "cli/firezone-relay"), cores()[0]
    everything = {"RUST_LOG": "info", "OTEL_METRIC_EXPORT_INTERVAL": "%d" % (1000 * seconds)}
    with start(binary, first, collector.endpoint, everything) as on, start(binary, first) as off:
        set_filter(off, "off")
        uses = {True: Use(), False: Use()}
        for which in turns(i):
            uses[which].add(load(build, on if which else off, which, seconds, arguments))
    return uses


def idle(build, collector, seconds, count=5):
    """What telemetry takes where nothing is relayed: no noise of packets is in it, and all that the workers do for it."""
    binary, first = os.path.join(build, "cli/firezone-relay"), cores()[0]
    everything = {"RUST_LOG": "info", "OTEL_METRIC_EXPORT_INTERVAL": "%d" % (1000 * seconds)}
    uses = {True: Use(), False: Use()}
    with start(binary, first, collector.endpoint, everything) as on, start(binary, first) as off:
        set_filter(off, "off")
        before = {True: cpu_ns(on.process.pid), False: cpu_ns(off.process.pid)}
        for _ in range(count):
            time.sleep(seconds)
            Metrics(endpoint(on))
        for which, relay in ((True, on), (False, off)):
            uses[which].relaying, uses[which].others = ((b - a) / count / seconds for a, b in zip(before[which], cpu_ns(relay.process.pid)))
        set_filter(off, "info")
    print("nothing to relay, ms of CPU a second: off %.3f the workers, %.3f the others; on %.3f and %.3f"
          % tuple(value / 1e6 for which in (False, True) for value in (uses[which].relaying, uses[which].others)), flush=True)


def packets(build, pairs, seconds):
    os.sched_setaffinity(0, cores()[1])
    all_ratios = []
    with Counter(build) as collector:
        idle(build, collector, seconds)
        for name, arguments in SHAPES:
            ratios, relaying = [], []
            sums = {True: Use(), False: Use()}
            for i in range(pairs):
                uses = one_pair(build, collector, i, seconds, arguments)
                for which, sum_ in sums.items():
                    sum_.add(uses[which])
                ratios.append(uses[True].per_packet() / uses[False].per_packet())
                relaying.append(uses[True].relaying / uses[True].packets * uses[False].packets / uses[False].relaying)
                if os.environ.get("VERBOSE"):
                    print("  pair %d: off %.0f ns, on %.0f ns a packet, ratio %.4f, of the workers %.4f"
                          % (i + 1, uses[False].per_packet(), uses[True].per_packet(), ratios[-1], relaying[-1]), flush=True)
            on, off = sums[True], sums[False]
            print("%s: off %.0f ns, on %.0f ns a packet, %.0f packets/s" % (name, off.per_packet(), on.per_packet(), off.packets / off.seconds))
            Sample(ratios).tell("  all threads, CPU per packet", LIMIT_CPU)
            Sample(relaying).tell("  the workers alone", LIMIT_CPU)
            all_ratios += ratios
            more = on.others / on.seconds - off.others / off.seconds
            print("  the threads that log, export and answer: off %.2f ms, on %.2f ms a second; the difference is %.2f %% of the relay's CPU"
                  % (off.others / off.seconds / 1e6, on.others / on.seconds / 1e6,
                     100 * more * off.seconds / (off.relaying + off.others)), flush=True)
        Sample(all_ratios).tell("all of these together", LIMIT_CPU)
        print("the collector took " + collector.counts())


def pace(build, relay, seconds):
    """Latencies of requests at a steady rate."""
    first = ["nice", "-n", "-20"] if os.geteuid() == 0 else []  # a generator that is late may send fewer
    command = first + [os.path.join(build, "tests/bench/fzr-paced"), "127.0.0.1:%d" % relay.port, str(RATE), str(seconds)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def rounds_of(build, on, off, seconds, uses):
    """All that was measured in the turns of one pair of relays, by whether tracing was on."""
    measured = {True: [], False: []}
    for i in range(ROUNDS):
        for which in turns(i):
            relay = on if which else off
            before = cpu_ns(relay.process.pid)
            measured[which].append(pace(build, relay, seconds))
            after = cpu_ns(relay.process.pid)
            uses[which].relaying += after[0] - before[0]
            uses[which].others += after[1] - before[1]
            uses[which].packets += measured[which][-1]["answered"]
    return measured


def requests(build, pairs, seconds):
    os.sched_setaffinity(0, cores()[1])
    binary = os.path.join(build, "cli/firezone-relay")
    paced, ratios = {True: [], False: []}, {key: [] for key in QUANTILES}
    uses = {True: Use(), False: Use()}
    with Counter(build) as collector:
        for i in range(pairs):
            with start(binary, cores()[0], collector.endpoint) as on, start(binary, cores()[0]) as off:
                for relay in (on, off):
                    pace(build, relay, 0.2)
                measured = rounds_of(build, on, off, seconds, uses)
            for key, values in ratios.items():
                # Medians, for a machine that stands still for a millisecond multiplies one turn's 99th percentile by ten.
                without, with_ = (statistics.median(turn[key] for turn in measured[which]) for which in (False, True))
                values.append(with_ / without)
                if os.environ.get("VERBOSE"):
                    print("  pair %d: %s without %.1f us, with %.1f us" % (i + 1, key, without, with_), flush=True)
            for which, all_ in paced.items():
                all_ += measured[which]
        for key, values in ratios.items():
            without, with_ = (statistics.median(turn[key] for turn in paced[which]) for which in (False, True))
            print("%s: without %.1f us, with %.1f us" % (key, without, with_))
            Sample(values, statistics.median).tell("  with / without", LIMIT_P99)
        print("the worker's CPU time: %.2f us a request without, %.2f us with; that of the others: %.2f and %.2f us; the collector took %s"
              % (*(uses[which].relaying / uses[which].packets / 1000 for which in (False, True)),
                 *(uses[which].others / uses[which].packets / 1000 for which in (False, True)), collector.counts()))
        memory(build, "a collector that takes all", collector.endpoint)
    # One that takes nothing: the queues are full.
    go_on = threading.Event()
    with Collector(lambda path, context: go_on.wait(60) and b"") as stuck:
        memory(build, "a collector that takes none", stuck.endpoint)
        go_on.set()


def memory(build, what, endpoint_of_collector):
    """What tracing takes of memory while it goes on, and what becomes of the spans."""
    with start(os.path.join(build, "cli/firezone-relay"), cores()[0], endpoint_of_collector) as relay:
        sizes = [resident(relay.process.pid)]
        for _ in range(3):
            pace(build, relay, 3)
            sizes.append(resident(relay.process.pid))
        metrics = Metrics(endpoint(relay))
        print("%s: %.1f MiB resident at first, %s after each 3 s; of %d spans %d were dropped and counted"
              % (what, sizes[0] / 2**20, ", ".join("%.1f" % (size / 2**20) for size in sizes[1:]),
                 metrics.get("relay_responses_total", response_class="success", message_type="binding"),
                 metrics.get("relay_spans_dropped_total")), flush=True)


def main():
    if len(sys.argv) < 3 or sys.argv[2] not in ("packets", "requests"):
        sys.exit(__doc__)
    pairs = int(sys.argv[3]) if len(sys.argv) > 3 else 12
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 1
    {"packets": packets, "requests": requests}[sys.argv[2]](sys.argv[1], pairs, seconds)


if __name__ == "__main__":
    main()
