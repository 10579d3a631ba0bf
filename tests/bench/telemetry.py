#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What telemetry costs: the relay with everything on against the relay with everything off, in turns, in one run.

    telemetry.py BUILD-FOLDER packets [ROUNDS [SECONDS]]    server CPU per relayed packet: on means logs at info into a pipe that is read,
                                                            metrics each second and traces to a gRPC collector, a scrape each second
    telemetry.py BUILD-FOLDER requests [ROUNDS [SECONDS]]   10,000 Binding requests a second, with and without tracing: latency, memory,
                                                            spans; ever one relay at a time is loaded

Prints each round, and the medians. Needs python3-grpcio.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
# pylint: disable=wrong-import-position
from harness import Relay  # noqa: E402
from otlp import Collector  # noqa: E402
from watch import Metrics, control_port, endpoint, request  # noqa: E402

RATE = 10000


class Counter:
    """A collector that only counts, in a process of its own that runs when nothing else wants to (SCHED_IDLE): in earnest it has a machine
    of its own."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__, "-", "collect"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.process.kill()
        self.process.wait()

    def counts(self):
        """How many messages, and how many bytes of them, it took."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


class Counting(Collector):
    def _take(self, path, data, context):
        with self.lock:
            self.calls.append((path, len(data)))
        return b""


def collect():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with Counting() as collector:
        print(collector.endpoint, flush=True)
        for _ in sys.stdin:
            for kind in ("Metrics", "Trace"):
                sizes = [size for path, size in collector.calls if kind in path]
                print("%s: %d messages, %d bytes; " % (kind, len(sizes), sum(sizes)), end="")
            print(flush=True)


def cpu_ns(pid):
    """CPU time of all threads of a process."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def main_cpu_ns(pid):
    """CPU time of the main thread, which exports."""
    with open("/proc/%d/task/%d/schedstat" % (pid, pid), encoding="ascii") as file:
        return int(file.read().split()[0])


def resident(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024


class Scraper:
    """A scrape each second while `going`."""

    def __init__(self, port):
        self.port = port
        self.going = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            self.going.wait()
            Metrics(self.port)
            time.sleep(1)


def packets(build, rounds, seconds):
    bench = os.path.join(build, "tests/bench/fzr-bench")
    shapes = (("1,280 B, 1 flow", ["--size", "1280"]), ("100 B, 50 flows", ["--size", "100", "--clients", "50", "--window", "200"]),
              ("1,280 B, 10,000/s", ["--size", "1280", "--clients", "10", "--rate", "10000"]))
    binary = os.path.join(build, "cli/firezone-relay")
    with Counter() as collector, \
            Relay(binary, "--otlp-grpc-endpoint", collector.endpoint, v6=None,
                  env={"RUST_LOG": "info", "OTEL_METRIC_EXPORT_INTERVAL": "1000"}) as on, \
            Relay(binary, v6=None, env={"RUST_LOG": "info"}) as off:
        silence(off)
        scraper = Scraper(endpoint(on))
        secret = on.secret_file.name

        def measure(relay, arguments):
            if relay is on:
                scraper.going.set()
            before = cpu_ns(relay.process.pid)
            result = subprocess.run([bench, "relay", "--server", "127.0.0.1:%d" % relay.port, "--stamp-secret-file", secret, "--json",
                                     "--seconds", str(seconds)] + arguments, check=True, capture_output=True, text=True)
            used = cpu_ns(relay.process.pid) - before
            scraper.going.clear()
            return used / json.loads(result.stdout)["received"]
        for name, arguments in shapes:
            ratios, costs = [], {on: [], off: []}
            for i in range(rounds):
                for relay in ((off, on), (on, off))[i % 2]:
                    costs[relay].append(measure(relay, arguments))
                ratios.append(costs[on][-1] / costs[off][-1])
                print("%s, round %d: off %.0f ns, on %.0f ns a packet, ratio %.4f"
                      % (name, i + 1, costs[off][-1], costs[on][-1], ratios[-1]), flush=True)
            medians = statistics.median(costs[on]) / statistics.median(costs[off])
            print("%s: median of ratios %+.2f %%, ratio of medians %+.2f %%, of minima %+.2f %%"
                  % (name, 100 * (statistics.median(ratios) - 1), 100 * (medians - 1), 100 * (min(costs[on]) / min(costs[off]) - 1)),
                  flush=True)
        print("the collector took " + collector.counts())


def silence(relay):
    """No more lines from this relay: its filter is off, from here on."""
    assert request(control_port(relay), "POST", "/log_filter?directives=off")[0] == 200


def requests(build, rounds, seconds):
    paced = os.path.join(build, "tests/bench/fzr-paced")
    binary = os.path.join(build, "cli/firezone-relay")
    with Counter() as collector, Relay(binary, "--otlp-grpc-endpoint", collector.endpoint, v6=None) as on, Relay(binary, v6=None) as off:
        results = {on: [], off: []}
        sizes = []
        for i in range(rounds):
            for relay in ((off, on), (on, off))[i % 2]:
                result = subprocess.run([paced, "127.0.0.1:%d" % relay.port, str(RATE), str(seconds)], check=True, capture_output=True, text=True)
                results[relay].append(json.loads(result.stdout))
            sizes.append(resident(on.process.pid))
            print("round %d: without %s" % (i + 1, results[off][-1]))
            print("         with    %s, %.1f MiB resident" % (results[on][-1], sizes[-1] / 2**20), flush=True)
        for key in ("p50", "p90", "p99"):
            values = {relay: [one[key] for one in results[relay]] for relay in results}
            a, b = statistics.median(values[on]), statistics.median(values[off])
            pairs = statistics.median(x / y for x, y in zip(values[on], values[off]))
            print("%s: without %.0f us, with %.0f us (%+.1f %%); median of the rounds' ratios %+.1f %%"
                  % (key, b, a, 100 * (a / b - 1), 100 * (pairs - 1)))
        metrics = Metrics(endpoint(on))
        answered = metrics.get("relay_responses_total", response_class="success", message_type="binding")
        dropped = metrics.get("relay_spans_dropped_total")
        print("%d requests were traced; %d spans dropped and counted; the collector took %s" % (answered, dropped, collector.counts()))
        print("the exporting thread used %.1f us a span" % (main_cpu_ns(on.process.pid) / answered / 1000))
        print("resident memory with tracing: %.1f MiB after the first round, %.1f MiB after the last" % (sizes[0] / 2**20, sizes[-1] / 2**20))
        # The same with a collector that takes nothing: the queues are full, everything is dropped and counted.
        go_on = threading.Event()
        with Collector(lambda path, context: go_on.wait(60) and b"") as stuck, \
                Relay(binary, "--otlp-grpc-endpoint", stuck.endpoint, v6=None) as relay:
            before = resident(relay.process.pid)
            for i in range(2):
                result = subprocess.run([paced, "127.0.0.1:%d" % relay.port, str(RATE), str(seconds)], check=True, capture_output=True, text=True)
                metrics = Metrics(endpoint(relay))
                print("stuck collector: %s, %d spans dropped, memory %+.1f MiB"
                      % (json.loads(result.stdout), metrics.get("relay_spans_dropped_total"), (resident(relay.process.pid) - before) / 2**20))
            go_on.set()


def main():
    if sys.argv[2:] == ["collect"]:
        collect()
        return
    if len(sys.argv) < 3 or sys.argv[2] not in ("packets", "requests"):
        sys.exit(__doc__)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 9
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 3
    {"packets": packets, "requests": requests}[sys.argv[2]](sys.argv[1], rounds, seconds)


if __name__ == "__main__":
    main()
