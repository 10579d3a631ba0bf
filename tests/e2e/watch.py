# SPDX-License-Identifier: Apache-2.0
"""Reads what a relay tells about itself, over HTTP and in its log."""

import http.client
import re
from datetime import datetime

from harness import wait_for


def endpoint(relay, what="Health and metrics"):
    """Port of one of the relay's HTTP listeners, as it logs it."""
    return int(wait_for(lambda: relay.find(what + r" on http://\S+:(\d+)"), what).group(1))


def control_port(relay):
    return endpoint(relay, "Control")


def request(port, method, path, body=None, headers=None, timeout=20):
    """Status, headers and text of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def parse_metrics(text):
    """{name: {(("label", "value"), …): number}}"""
    metrics = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r'([a-z_]+)(?:\{(.*)\})? (\S+)', line)
        assert match, line
        labels = tuple(sorted(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match.group(2) or "")))
        values = metrics.setdefault(match.group(1), {})
        assert labels not in values, "twice: " + line
        values[labels] = float(match.group(3))
    return metrics


class Metrics:
    """One scrape."""

    def __init__(self, port):
        status, self.headers, self.text = request(port, "GET", "/metrics")
        assert status == 200, status
        self.values = parse_metrics(self.text)

    def get(self, name, **labels):
        """One value; 0 where that combination of labels has not happened yet."""
        return self.values[name].get(tuple(sorted(labels.items())), 0)

    def total(self, name):
        return sum(self.values[name].values())


def bytes_told(relay):
    """All that was relayed according to the lines with figures, as many as there are: each tells of the time since the one before."""
    pattern = r"^(\S+)Z  ?INFO relay: Allocations = (\d+) Channels = (\d+) Throughput = (\d+\.\d\d) (\S+)$"
    units = {"B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9}
    before = datetime.fromisoformat(relay.output().split("Z", 1)[0])
    total = 0
    for line in re.finditer(pattern, relay.output(), re.M):
        now = datetime.fromisoformat(line.group(1))
        total += float(line.group(4)) * units[line.group(5)] * (now - before).total_seconds()
        before = now
    return total
