# SPDX-License-Identifier: Apache-2.0
"""docs/grafana-dashboard.json where the figures come by OTLP: two relays with one collector are two instances, and each panel finds series of
both under the names and labels that Prometheus makes of what they export."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import stun
from firezone_client import Client
from harness import EchoPeers, Relay, main, wait_for

try:
    import grpc
    import otlp
except ImportError:
    print("skipped: python3-grpcio is not installed")
    sys.exit(77)

BINARY = sys.argv.pop(1)
CERTS = sys.argv.pop(1)  # makes certificates in a folder
DASHBOARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/grafana-dashboard.json")
FAST = {"OTEL_METRIC_EXPORT_INTERVAL": "200"}
MATCHES = {"=": lambda pattern, value: pattern == value, "!=": lambda pattern, value: pattern != value,
           "=~": re.fullmatch, "!~": lambda pattern, value: not re.fullmatch(pattern, value)}


def selectors(query):
    """What a query looks up: [(name, [(label, operator, value)])]."""
    found = [(name, re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', labels)) for name, labels in re.findall(r"\b(\w+)\{([^}]*)\}", query)]
    assert len(found) == query.count("{") and found, query
    return found


class Panels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(DASHBOARD, encoding="utf-8") as file:
            cls.dashboard = json.load(file)
        cls.folder = tempfile.TemporaryDirectory()
        subprocess.run([CERTS, cls.folder.name], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def use(self, relay):
        """What the panels without an "at 0 from the start" need: something relayed, answered and refused."""
        with EchoPeers(1) as peers, Client(relay.address(), *relay.credentials()) as client:
            client.allocate()
            client.send(client.bind(peers.addresses()[0]), b"x")
            self.assertIsNotNone(client.receive())
            client.request_once(stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, stun.channel_value(0x4001)),
                                                    (stun.XOR_PEER_ADDRESS, ("127.0.0.1", 0))])
            client.refresh(0)

    def newest(self, collector):
        """The last export of each instance."""
        with collector.lock:
            requests = list(collector.metrics)
        return {otlp.attributes(r["resource_metrics"][0]["resource"])["service.instance.id"]: otlp.prometheus_series(r) for r in requests}

    def check(self, collector, **env):
        relays = [Relay(BINARY, v6=None, env={**FAST, **env}) for _ in range(2)]
        for relay in relays:
            self.addCleanup(relay.kill)
            self.use(relay)
        wait_for(lambda: len(self.newest(collector)) == 2, "two instances")
        have = len(collector.metrics)
        wait_for(lambda: len(collector.metrics) > have + 4, "more of both")
        series = self.newest(collector)
        self.assertEqual(len(series), 2)
        everything = [each for of_one in series.values() for each in of_one]
        keys = [(name, tuple(sorted(labels.items()))) for name, labels in everything]
        self.assertEqual(len(set(keys)), len(keys), "two series are one")
        panels = 0
        for panel in self.dashboard["panels"]:
            for query in (target["expr"] for target in panel["targets"]):
                grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
                for name, matchers in selectors(query):
                    matchers = [(label, how, ".+" if value.startswith("$") else value) for label, how, value in matchers]
                    self.assertLessEqual({"job", "instance"}, {label for label, *_ in matchers}, query)
                    found = [labels for other, labels in everything
                             if other == name and all(MATCHES[how](value, labels.get(label, "")) for label, how, value in matchers)]
                    self.assertEqual({labels["instance"] for labels in found}, set(series), (panel["title"], query))
                    for labels in found:
                        self.assertLessEqual(grouped, set(labels), (panel["title"], query))
                panels += 1
        self.assertGreater(panels, 20)
        # And what the variables of the dashboard are filled with.
        for name, label in (("relay_build_info", "job"), ("relay_build_info", "instance")):
            self.assertEqual(len({labels[label] for other, labels in everything if other == name}), 1 if label == "job" else 2)
        for relay in relays:
            relay.stop()

    def test_cleartext(self):
        with otlp.Collector() as collector:
            self.check(collector, OTLP_GRPC_ENDPOINT=collector.endpoint)

    def test_tls(self):
        def file(name):
            with open(os.path.join(self.folder.name, name), "rb") as content:
                return content.read()
        with otlp.Collector(credentials=grpc.ssl_server_credentials([(file("good.key"), file("good.pem"))])) as collector:
            self.check(collector, OTEL_EXPORTER_OTLP_ENDPOINT="https://localhost:%d" % collector.port,
                       OTEL_EXPORTER_OTLP_CERTIFICATE=os.path.join(self.folder.name, "ca.pem"))


if __name__ == "__main__":
    main()
