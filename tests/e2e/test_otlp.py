# SPDX-License-Identifier: Apache-2.0
"""Metrics and traces by OTLP/gRPC: to a real gRPC server, and to ones that are away, slow, hostile or of another opinion."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

import stun
from firezone_client import Client, Refused
from harness import DEADLINE, EchoPeers, Process, Relay, answers_binding, clean_environment, main, wait_for
from watch import Metrics, endpoint

try:
    import grpc
    import otlp
    from otlp import METRICS, TRACES, Collector
except ImportError:
    print("skipped: python3-grpcio is not installed")
    sys.exit(77)

BINARY = sys.argv.pop(1)
CERTS = sys.argv.pop(1) if len(sys.argv) > 1 and os.path.exists(sys.argv[1]) else None  # makes certificates in a folder
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
FAST = {"OTEL_METRIC_EXPORT_INTERVAL": "200"}
V4 = socket.AF_INET


def bindings(relay, count):
    """Sends `count` Binding requests, some at a time, and waits for each one's answer."""
    with socket.socket(V4, socket.SOCK_DGRAM) as s:
        s.connect(relay.address())
        s.settimeout(DEADLINE)
        left, waiting = count, 0
        while left or waiting:
            while left and waiting < 64:
                s.send(stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), []))
                left, waiting = left - 1, waiting + 1
            s.recv(2048)
            waiting -= 1


class WhatIsExported(unittest.TestCase):
    """One relay that does a bit of everything, and a collector that takes it all."""

    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        env = {"OTEL_SERVICE_NAME": "my relay", "RUST_LOG": "debug",
               "OTEL_RESOURCE_ATTRIBUTES": "cloud.region=eu%2Dwest,service.namespace=ours,broken,service.name=not this", **FAST}
        cls.relay = Relay(BINARY, "--otlp-grpc-endpoint", cls.collector.endpoint, "--log-format", "google-cloud",
                          "--google-cloud-project-id", "proj", "--deny-peer", "127.0.0.77/32", workers=WORKERS, env=env)
        cls.begin = time.time()
        with EchoPeers(1) as peers, Client(cls.relay.address(), *cls.relay.credentials()) as client:
            cls.drive(client, peers.addresses()[0])
            cls.address = "%s:%d" % client.socket.getsockname()
            cls.port = client.relayed[4][1]
            cls.peer = "%s:%d" % peers.addresses()[0]
            client.refresh(0)
        cls.end = time.time()
        wait_for(lambda: cls.spans("handle_refresh_request") and cls.span_count() >= 7, "the spans")
        cls.wanted = cls.collector.metrics and len(cls.collector.metrics)
        wait_for(lambda: len(cls.collector.metrics) > cls.wanted + 1, "metrics after that")

    @classmethod
    def drive(cls, client, peer):
        client.binding()
        client.allocate()
        channel = client.bind(peer)
        for i in range(10):
            client.send(channel, bytes(150))
            assert client.receive() == (channel, bytes(150)), i
        cls.transaction = stun.new_transaction()
        attributes = [(stun.SOFTWARE, b"tests \xff\n1.0"), (stun.CHANNEL_NUMBER, stun.channel_value(0x4abc)),
                      (stun.XOR_PEER_ADDRESS, ("127.0.0.77", 7))]
        assert client.request_once(stun.CHANNEL_BIND, attributes, cls.transaction).error() == 403
        client.request(stun.CREATE_PERMISSION, [(stun.XOR_PEER_ADDRESS, peer)])

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()
        cls.collector.stop()

    @classmethod
    def spans(cls, name):
        """Attributes and span of each span of this name, from our client."""
        found = [(otlp.attributes(span), span) for span in cls.collector.spans() if span["name"] == name]
        return [pair for pair in found if pair[0].get("sender") == cls.address]

    @classmethod
    def span_count(cls):
        return sum(otlp.attributes(span).get("sender") == cls.address for span in cls.collector.spans())

    def test_metadata(self):
        self.assertTrue(all(0 < left <= 10 for left in self.collector.deadlines), self.collector.deadlines)
        self.assertRegex(self.collector.metadata[0]["user-agent"], r"^firezone-relay/\d")

    def test_resource(self):
        for request in (self.collector.metrics[0]["resource_metrics"], self.collector.traces[0]["resource_spans"]):
            attributes = otlp.attributes(request[0]["resource"])
            self.assertEqual(attributes["service.name"], "my relay")
            self.assertEqual(attributes["service.namespace"], "ours")
            self.assertEqual(attributes["cloud.region"], "eu-west")
            self.assertEqual(attributes["telemetry.sdk.language"], "c")
            self.assertLessEqual({"telemetry.sdk.name", "telemetry.sdk.version", "service.version"}, set(attributes))
            self.assertEqual(attributes["host.name"], socket.gethostname())
            self.assertEqual(uuid.UUID(attributes["service.instance.id"]).version, 4)
        self.assertTrue(self.relay.told("Skipped a part of OTEL_RESOURCE_ATTRIBUTES.*broken"))

    def value(self, name, **attributes):
        """The value of the one point with these attributes; checks that it is a cumulative sum."""
        metric = self.collector.last_metrics()[name]
        self.assertEqual(metric["sum"]["temporality"], 2, name)
        (point,) = [p for p in metric["sum"]["data_points"] if otlp.attributes(p) == attributes]
        self.assertGreater(point["start"], 1e9 * (self.begin - 60))
        self.assertGreater(point["time"], point["start"])
        return point["int"]

    def test_metrics(self):
        kinds = {name: (metric.get("unit", ""), metric.get("sum", {}).get("monotonic", False))
                 for name, metric in self.collector.last_metrics().items()}
        self.assertEqual(kinds["allocations_total"], ("", False))
        self.assertEqual(kinds["responses_total"], ("", True))
        self.assertEqual(kinds["data_relayed_bytes"], ("b", True))
        self.assertEqual(kinds["relay.active_allocations"], ("{allocation}", False))
        self.assertEqual(kinds["relay.active_channels"], ("{channel}", False))
        self.assertEqual(kinds["relay.packets"], ("{packet}", True))
        self.assertEqual(kinds["relay.data.relayed"], ("By", True))
        self.assertEqual(kinds["relay.send_queue.packets"], ("{packet}", False))
        self.assertEqual(kinds["relay.dropped.packets"], ("{packet}", True))
        self.assertEqual(self.value("allocations_total"), 0)
        self.assertEqual(self.value("relay.active_channels"), 0)
        self.assertEqual(self.value("data_relayed_bytes"), 20 * 150)
        for direction in ("client_to_peer", "peer_to_client"):
            self.assertEqual(self.value("relay.packets", direction=direction), 10)
            self.assertEqual(self.value("relay.data.relayed", direction=direction), 1500)
        for worker in range(WORKERS):
            self.assertEqual(self.value("relay.send_queue.packets", worker=worker), 0)
        self.assertEqual(self.value("responses_total", response_class="success", message_type="allocate"), 1)
        self.assertEqual(self.value("responses_total", response_class="error", message_type="allocate", error_code=401), 1)
        self.assertEqual(self.value("responses_total", response_class="error", message_type="channelbind", error_code=403), 1)
        self.assertEqual(self.value("responses_total", response_class="success", message_type="channelbind"), 1)
        self.assertEqual(self.value("responses_total", response_class="success", message_type="createpermission"), 1)
        self.assertEqual(self.value("responses_total", response_class="success", message_type="refresh"), 1)
        (size,) = self.collector.last_metrics()["relay.packet.size"]["histogram"]["data_points"]
        self.assertEqual(size["explicit_bounds"], [100.0 * i for i in range(1, 16)])
        self.assertEqual(size["bucket_counts"], [0, 20] + 14 * [0])
        self.assertEqual((size["count"], size["sum"]), (20, 3000.0))
        self.assertEqual(otlp.attributes(size), {"relay.datapath": "userspace"})
        self.assertEqual(self.value("relay.responses", response_class="success", message_type="allocate"), 1)
        # What has not happened has been there from the start.
        first = {metric["name"]: metric for metric in self.collector.metrics[0]["resource_metrics"][0]["scope_metrics"][0]["metrics"]}
        for name in ("responses_total", "relay.responses"):
            self.assertIn({"response_class": "error", "message_type": "allocate", "error_code": 508},
                          [otlp.attributes(point) for point in first[name]["sum"]["data_points"]])
            self.assertEqual(self.value(name, response_class="error", message_type="allocate", error_code=508), 0)

    def test_names_are_those_of_metrics_in_prometheus(self):
        """By Prometheus's rules, all that is exported has the name, type and labels that GET /metrics has it under; and the three names that
        Firezone's dashboards know are there besides."""
        scrape = Metrics(endpoint(self.relay))
        scraped = dict(re.findall(r"^# TYPE (\S+) (\S+)$", scrape.text, re.M))
        exported = self.collector.last_metrics().values()
        translated = dict(otlp.prometheus_name(metric) for metric in exported)
        for name in ("allocations_total", "responses_total", "data_relayed_bytes_b_total"):
            self.assertIn(name, translated)
            del translated[name]
        self.assertEqual(translated, scraped)
        for metric in exported:
            name, kind = otlp.prometheus_name(metric)
            if name in scraped:
                series = scrape.values[name + ("_sum" if kind == "histogram" else "")]
                labels = {label for labels in series for label, _ in labels}
                self.assertEqual(otlp.prometheus_labels(metric) - {"relay_datapath"}, labels, name)

    def test_interval(self):
        times = [when for when, path in self.collector.calls if path == METRICS]
        self.assertGreater(times[2] - times[1], 0.1)

    def test_every_request_has_a_span(self):
        (success,) = [pair for pair in self.spans("handle_allocate_request") if "error_code" not in pair[0]]
        self.assertEqual(success[0]["allocation"], self.port)
        (bound,) = [pair for pair in self.spans("handle_channel_bind_request") if "error_code" not in pair[0]]
        self.assertEqual(bound[0]["peer"], self.peer)
        self.assertEqual(bound[0]["channel"], 0x4000)
        (permitted,) = self.spans("handle_create_permission_request")
        self.assertEqual(permitted[0]["peer"], self.peer)
        self.assertEqual(len(self.spans("handle_binding_request")), 1)
        self.assertEqual(len(self.spans("handle_refresh_request")), 1)
        for _, span in (success, bound, permitted):
            self.assertNotIn("status", span)
        everything = self.collector.spans()
        self.assertEqual(len({span["span_id"] for span in everything}), len(everything))
        for span in everything:
            self.assertEqual((len(span["trace_id"]), len(span["span_id"])), (16, 8))
            self.assertLessEqual(span["start"], span["end"])
            self.assertLess(self.begin - 60, span["start"] / 1e9)
            self.assertLess(span["end"] / 1e9, self.end + 60)
            self.assertRegex(otlp.attributes(span)["tid"], "^[0-9a-f]{24}$")

    def test_errors(self):
        (first,) = [pair for pair in self.spans("handle_allocate_request") if "error_code" in pair[0]]
        self.assertEqual(first[0]["error_code"], 401)
        self.assertEqual(first[1]["status"]["code"], 2)
        (refused,) = [pair for pair in self.spans("handle_channel_bind_request") if "error_code" in pair[0]]
        self.assertEqual(refused[0], {"sender": self.address, "tid": self.transaction.hex(), "software": "tests \ufffd\n1.0",
                                      "peer": "127.0.0.77:7", "allocation": self.port, "channel": 0x4abc, "error_code": 403})
        self.assertEqual(refused[1]["status"]["code"], 2)

    def test_lines_name_their_span(self):
        (span,) = [pair[1] for pair in self.spans("handle_channel_bind_request") if "error_code" in pair[0]]
        lines = [json.loads(line) for line in self.relay.output().splitlines()]
        (line,) = [line for line in lines if line["message"] == "Refused peer" and line["sender"] == self.address]
        self.assertEqual(line["logging.googleapis.com/trace"], "projects/proj/traces/" + span["trace_id"].hex())
        self.assertEqual(line["logging.googleapis.com/spanId"], span["span_id"].hex())
        self.assertEqual(line["severity"], "DEBUG")


class Collectors(unittest.TestCase):
    """Collectors that make trouble."""

    def relay(self, where, *args, env=None, **more):
        relay = Relay(BINARY, "--otlp-grpc-endpoint", where, *args, env={**FAST, **(env or {})}, **more)
        self.addCleanup(relay.kill)
        return relay

    def collector(self, behave=None, port=0):
        collector = Collector(behave, port)
        self.addCleanup(collector.stop)
        return collector

    def dropped(self, relay):
        return Metrics(endpoint(relay)).get("relay_spans_dropped_total")

    def test_absent_and_then_there(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
            relay = self.relay("127.0.0.1:%d" % port)
            wait_for(lambda: relay.find("WARN otlp: The collector did not take metrics status=UNAVAILABLE"), "the warning")
            with Client(relay.address(), *relay.credentials()) as client:
                client.allocate()
                client.refresh(0)
        collector = self.collector(port=port)
        wait_for(lambda: collector.metrics and collector.spans(), "metrics and spans")
        wait_for(lambda: relay.find("The collector takes metrics again"), "word of it")
        self.assertIn("handle_allocate_request", {span["name"] for span in collector.spans()})
        relay.stop(immediately=False)

    def test_restarted(self):
        first = Collector()
        relay = self.relay(first.endpoint)
        wait_for(lambda: first.metrics, "metrics")
        port = first.port
        first.stop()
        second = self.collector(port=port)
        wait_for(lambda: second.metrics, "metrics at the new one")
        relay.stop(immediately=False)

    def test_slow(self):
        """Nothing is held up; spans that find the queue full are dropped and counted; memory is bounded."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        collector = self.collector(lambda path, context: go_on.wait(DEADLINE) and b"")
        relay = self.relay(collector.endpoint, v6=None)
        bindings(relay, 6000)
        wait_for(lambda: self.dropped(relay) > 0, "dropped spans")
        before = Metrics(endpoint(relay)).get("process_resident_memory_bytes")
        bindings(relay, 20000)
        wait_for(lambda: self.dropped(relay) > 20000, "the rest to be dropped")
        after = Metrics(endpoint(relay)).get("process_resident_memory_bytes")
        self.assertLess(after - before, 4 << 20)
        go_on.set()
        wait_for(lambda: len(collector.spans()) >= 2048, "what was kept")
        relay.stop(immediately=False)
        # Each span of each request either came or was counted: what the last one said, and what came with the flush.
        counts = collector.last_metrics()
        responses = sum(p["int"] for p in counts["responses_total"]["sum"]["data_points"])
        (lost,) = [p["int"] for p in counts["relay.spans_dropped"]["sum"]["data_points"]]
        self.assertEqual(len(collector.spans()) + lost, responses)

    def test_unavailable_is_tried_again(self):
        refused = []

        def behave(path, context):
            if path == TRACES and len(refused) < 2:
                refused.append(time.monotonic())
                context.abort(grpc.StatusCode.UNAVAILABLE, "busy\n2026-01-01T00:00:00Z ERROR forged")
            return b""
        collector = self.collector(behave)
        relay = self.relay(collector.endpoint, v6=None)
        bindings(relay, 512)
        wait_for(lambda: len(collector.spans()) >= 512, "the spans")
        took = [when for when, path in collector.calls if path == TRACES]
        self.assertGreater(took[1] - took[0], 0.7)
        self.assertGreater(took[2] - took[1], 1.4)
        self.assertTrue(relay.told(r'did not take spans status=UNAVAILABLE reason="busy\\n2026-01-01T00:00:00Z ERROR forged" '
                                   r'attempt=1 retry_ms=\d+$'))
        self.assertFalse(relay.find("^2026-01-01T00:00:00Z"))
        self.assertEqual(self.dropped(relay), 0)
        relay.stop(immediately=False)
        ids = [span["span_id"] for span in collector.spans()]
        self.assertEqual(len(set(ids)), len(ids))

    def test_pushback_is_honoured(self):
        def behave(path, context):
            if path == TRACES and sum(p == TRACES for _, p in collector.calls) == 1:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", "2600"),))
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
            return b""
        collector = self.collector(behave)
        relay = self.relay(collector.endpoint, v6=None)
        bindings(relay, 512)
        wait_for(lambda: len(collector.spans()) >= 512, "the spans")
        first, second = [when for when, path in collector.calls if path == TRACES][:2]
        self.assertGreaterEqual(second - first, 2.5)
        relay.stop(immediately=False)

    def test_refusal_is_not_tried_again(self):
        def behave(path, context):
            if path == TRACES:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not like this")
            return b""
        collector = self.collector(behave)
        relay = self.relay(collector.endpoint, v6=None)
        bindings(relay, 512)
        wait_for(lambda: relay.find(r'did not take spans status=INVALID_ARGUMENT reason="not like this" attempt=1 lost=512'),
                 "the warning")
        wait_for(lambda: self.dropped(relay) == 512, "them to be counted")
        self.assertEqual(sum(path == TRACES for _, path in collector.calls), 1)
        relay.stop()

    def test_partial_success(self):
        collector = self.collector(lambda path, context: otlp.partial_success(3, "too\nlong") if path == TRACES else b"")
        relay = self.relay(collector.endpoint, v6=None)
        bindings(relay, 512)
        wait_for(lambda: relay.find(r'The collector did not take all spans rejected=3 reason="too\\nlong"'), "the warning")
        wait_for(lambda: self.dropped(relay) == 3, "them to be counted")
        self.assertEqual(sum(path == TRACES for _, path in collector.calls), 1)
        relay.stop()

    def test_warnings_are_told_once(self):
        """Nothing rejected and a text: the collector took it and has something to say, which is no loss."""
        texts = ["old version", "old version", "old version", "other words"]
        taken = []

        def behave(path, context):
            if path != METRICS:
                return b""
            taken.append(path)
            return otlp.partial_success(0, texts[min(len(taken), len(texts)) - 1])
        collector = self.collector(behave)
        relay = self.relay(collector.endpoint, v6=None)
        wait_for(lambda: len(collector.metrics) > len(texts) + 2, "metrics")
        self.assertEqual(re.findall(r"WARN otlp: The collector warns of metrics reason=\"(.*)\"", relay.output()), ["old version", "other words"])
        self.assertIsNone(relay.find("did not take"), relay.output())
        relay.stop()

    def test_two_relays_are_two_instances(self):
        collector = self.collector()
        relays = [self.relay(collector.endpoint, v6=None) for _ in range(2)]
        mine = self.relay(collector.endpoint, v6=None, env={"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=mine"})

        def instances():
            with collector.lock:
                requests = list(collector.metrics)
            return {otlp.attributes(request["resource_metrics"][0]["resource"])["service.instance.id"] for request in requests}
        wait_for(lambda: len(instances()) == 3, "three instances")
        self.assertIn("mine", instances())
        for relay in relays + [mine]:
            relay.stop()

    def sums(self, collector, name):
        """(temporality, start, time, value) of the first point of each export."""
        with collector.lock:
            requests = list(collector.metrics)
        found = []
        for request in requests:
            for metric in request["resource_metrics"][0]["scope_metrics"][0]["metrics"]:
                if metric["name"] == name:
                    point = metric["sum"]["data_points"][0]
                    found.append((metric["sum"]["temporality"], point["start"], point["time"], point.get("int", point.get("double"))))
        return found

    def test_temporality(self):
        """Deltas add up to what happened, each begins where the one before ended, and one that was not taken is in the next."""
        for preference, of_responses, of_cpu in (("delta", 1, 1), ("LowMemory", 1, 2), ("cumulative", 2, 2), ("", 2, 2), ("often", 2, 2)):
            refused = []

            def behave(path, context, refused=refused):
                if path == METRICS:
                    refused.append(len(refused) % 3 == 1)
                    if refused[-1]:
                        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
                return b""
            collector = self.collector(behave)
            relay = self.relay(collector.endpoint, v6=None, env={"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": preference})
            self.assertEqual(bool(relay.find("TEMPORALITY_PREFERENCE problem=.it is none of")), preference == "often")
            bindings(relay, 30)
            wait_for(lambda: len(collector.metrics) >= 2, "metrics")
            bindings(relay, 12)
            have = len(collector.metrics)
            wait_for(lambda: len(collector.metrics) >= have + 2, "more metrics")
            relay.stop()
            told = self.sums(collector, "relay.responses")
            self.assertEqual({kind for kind, *_ in told}, {of_responses}, preference)
            self.assertEqual({kind for kind, *_ in self.sums(collector, "relay.worker.cpu")}, {of_cpu}, preference)
            self.assertEqual({kind for kind, *_ in self.sums(collector, "relay.active_channels")}, {2}, preference)
            counted = [value for *_, value in told]
            # One Binding request more is the harness's, which asks whether the relay is there; it may ask again.
            self.assertGreaterEqual(sum(counted) if of_responses == 1 else counted[-1], 43, counted)
            self.assertLess(sum(counted) if of_responses == 1 else counted[-1], 60, counted)
            self.assertIn(True, refused)
            for (_, start, when, _), (_, next_start, next_when, _) in zip(told, told[1:]):
                self.assertEqual(next_start, when if of_responses == 1 else start)
                self.assertGreater(next_when, when)

    def told_over_hand_overs(self, preference, behave=None):
        """Three relays, each of which takes the place of the one before, and ends or is stopped. What they told: resource and (temporality, start, time,
        value) of Binding requests, of the worker's CPU, and how many requests were sent."""
        collector = self.collector(behave)
        with tempfile.TemporaryDirectory() as folder:
            arguments = ("--handover-socket", os.path.join(folder, "handover"))
            env = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": preference}
            relay = self.relay(collector.endpoint, *arguments, v6=None, env=env, probe=False)
            sent = 0
            for _ in range(3):
                relay.told("Another process can take over")
                bindings(relay, 40)
                sent += 40
                have = len(collector.metrics)
                wait_for(lambda: len(collector.metrics) >= have + 2, "metrics")
                bindings(relay, 7) # told of by the next one, or not before the end
                sent += 7
                after = self.relay(collector.endpoint, *arguments, v6=None, env=env, probe=False, ports=(relay.lowest, relay.highest)) if _ < 2 else None
                if after:
                    self.assertEqual(relay.wait(), 0, relay.output())
                    relay = after
            relay.stop()
        with collector.lock:
            resources = [otlp.attributes(request["resource_metrics"][0]["resource"]) for request in collector.metrics]
        return resources, self.sums(collector, "relay.responses"), self.sums(collector, "relay.worker.cpu"), sent

    def test_cumulative_over_hand_overs(self):
        """To a collector it is one relay, that counts since the first one began; but what a process counts of its own begins with it."""
        resources, told, cpu, sent = self.told_over_hand_overs("cumulative")
        self.assertEqual(len({r["service.instance.id"] for r in resources}), 1)
        self.assertEqual(len({start for _, start, _, _ in told}), 1)
        self.assertEqual([value for *_, value in told], sorted(value for *_, value in told))
        self.assertEqual(told[-1][3], sent)
        self.assertEqual(len({start for _, start, _, _ in cpu}), 3)
        for _, (_, start, _, value), (_, next_start, _, next_value) in zip(cpu, cpu, cpu[1:]):
            self.assertTrue(next_start > start or (next_start == start and next_value >= value), cpu)
        times = [when for _, _, when, _ in told]
        self.assertEqual(times, sorted(times), "nobody tells what is old")

    def test_deltas_over_hand_overs(self):
        """Each begins where the one before ended, in whichever process, and they add up: nothing is told twice, or by nobody."""
        resources, told, cpu, sent = self.told_over_hand_overs("delta")
        self.assertEqual(len({r["service.instance.id"] for r in resources}), 1)
        told.sort(key=lambda point: point[2]) # the last one of a process is on its way while the next one begins
        self.assertEqual(sum(value for *_, value in told), sent, told)
        for (_, _, when, _), (_, start, *_) in zip(told, told[1:]):
            self.assertEqual(start, when)
        self.assertEqual(len({start for _, start, _, _ in cpu}), len(cpu))

    def test_deltas_over_hand_overs_where_some_are_not_taken(self):
        """What was not taken before a hand-over is in the last one of that process."""
        refused = []

        def behave(path, context):
            if path == METRICS:
                refused.append(len(refused) % 2 == 0)
                if refused[-1]:
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
            return b""
        _, told, _, sent = self.told_over_hand_overs("lowmemory", behave)
        # One in two is refused, so the last one of a process may be, which nobody can tell again.
        self.assertLessEqual(sum(value for *_, value in told), sent)
        self.assertGreaterEqual(sum(value for *_, value in told), 3 * 40)

    def test_compressed_answers(self):
        """A server that compresses for those who did not say that they could read it: it took what it was sent."""
        def behave(path, context):
            context.set_compression(grpc.Compression.Gzip)
            return otlp.partial_success(0, "a warning " * 8) if path == TRACES else b""
        collector = self.collector(behave)
        relay = self.relay(collector.endpoint, v6=None)
        bindings(relay, 512)
        wait_for(lambda: relay.find("The collector took spans and answered compressed"), "the line")
        wait_for(lambda: len(collector.metrics) >= 2, "more metrics")
        self.assertEqual(self.dropped(relay), 0)
        self.assertIsNone(relay.find("did not take"), relay.output())
        self.assertEqual(sum(path == TRACES for _, path in collector.calls), 1)
        relay.stop()

    def test_ended_at_any_moment_of_the_flush(self):
        """Nothing is left behind (sanitizers tell), whatever the connection to the collector was about to do."""
        collector = self.collector()
        for i in range(25):
            relay = self.relay(collector.endpoint, v6=None)
            relay.process.send_signal(signal.SIGTERM)
            time.sleep(i / 5000)  # another moment each time
            relay.process.send_signal(signal.SIGTERM)
            self.assertEqual(relay.wait(), 0, relay.output())

    def test_answers_that_make_no_sense(self):
        collector = self.collector(lambda path, context: b"\xff" * (70000 if path == TRACES else 10))
        relay = self.relay(collector.endpoint, v6=None)
        bindings(relay, 512)
        wait_for(lambda: relay.find("took metrics, but its answer makes no sense"), "word of the metrics")
        wait_for(lambda: relay.find("did not take spans status=RESOURCE_EXHAUSTED"), "word of the spans")
        relay.stop()

    def test_resets_and_garbage(self):
        """A peer that closes, resets, says nothing of HTTP/2, or far too much."""
        settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        tricks = [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", os.urandom(5000), settings + bytes([255, 255, 255, 0, 0, 0, 0, 0, 1]),
                  settings + bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + bytes(8), settings * 3000]
        for i, trick in enumerate(tricks):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                listener.settimeout(DEADLINE)
                relay = self.relay("127.0.0.1:%d" % listener.getsockname()[1], v6=None)
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(DEADLINE)
                    connection.recv(24)
                    connection.sendall(trick)
                    if i % 2:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                wait_for(lambda: relay.find("did not take metrics status=UNAVAILABLE"), "the warning")
            if not trick:
                self.assertTrue(relay.told("reason=.* before it said anything: if TLS is spoken there"), relay.output())
            if trick.startswith(b"HTTP/1.1"):
                self.assertTrue(relay.told("reason=.an HTTP/1 server answers there, no gRPC: .* 4317"), relay.output())
            self.assertTrue(answers_binding(V4, *relay.address()))
            self.assertEqual(Metrics(endpoint(relay)).total("relay_active_allocations"), 0)
            relay.stop()

    def test_floods_of_one_that_never_reads(self):
        """Answers are kept up to a bound, and then the connection ends."""
        settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        ping = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + bytes(8)
        # The address sanitizer, where it is built in, would keep what has been freed.
        env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0",
               "OTEL_EXPORTER_OTLP_TIMEOUT": "60000"}
        for flood in (ping, settings):
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                listener.settimeout(DEADLINE)
                relay = self.relay("127.0.0.1:%d" % listener.getsockname()[1], env=env, v6=None)
                connection, _ = listener.accept()
                before = Metrics(endpoint(relay)).get("process_resident_memory_bytes")
                with connection:
                    connection.settimeout(DEADLINE)
                    connection.sendall(settings)
                    # The relay takes them in pieces: no piece alone is a flood.
                    piece, sent = flood * 200, 0
                    with self.assertRaises(ConnectionError):
                        while sent < 32 << 20:
                            connection.sendall(piece)
                            sent += len(piece)
                    after = Metrics(endpoint(relay)).get("process_resident_memory_bytes")
                self.assertLess(after - before, 4 << 20)
                wait_for(lambda: relay.find("did not take metrics status=UNAVAILABLE reason=.*[Ff]lood"), "the warning")
            relay.stop()

    def test_endless_frames_are_read_at_a_pace(self):
        """The thread that reads them has the portal to serve, too."""
        for tls in (False, True):
            with self.subTest(tls=tls), socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as folder:
                listener.settimeout(DEADLINE)
                subprocess.run([CERTS, folder], check=True)
                where = "%slocalhost:%d" % ("https://" if tls else "", listener.getsockname()[1])
                relay = self.relay(where, v6=None, env={"SSL_CERT_FILE": os.path.join(folder, "ca.pem")})
                connection, _ = listener.accept()
                if tls:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(os.path.join(folder, "good.pem"), os.path.join(folder, "good.key"))
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    connection.settimeout(0.1)
                    connection.sendall(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
                    piece, sent, end = bytes([0, 0, 0, 0xfa, 0, 0, 0, 0, 0]) * 1820, 0, time.monotonic() + 2
                    while time.monotonic() < end:
                        try:
                            sent += connection.send(piece)
                        except (TimeoutError, socket.timeout):
                            pass
                    # Sockets' buffers hold the most of it.
                    self.assertLess(sent, 16 << 20)
                    self.assertTrue(answers_binding(V4, *relay.address()))
                relay.stop()

    def test_flush_at_exit(self):
        collector = self.collector()
        relay = self.relay(collector.endpoint, v6=None, env={"OTEL_METRIC_EXPORT_INTERVAL": ""})
        with Client(relay.address(), *relay.credentials()) as client:
            client.allocate()
            client.refresh(0)
        relay.stop(immediately=False)
        self.assertEqual(len(collector.metrics), 1)
        (bytes_,) = collector.last_metrics()["allocations_total"]["sum"]["data_points"]
        self.assertEqual(bytes_["int"], 0)
        names = [span["name"] for span in collector.spans()]
        self.assertEqual(names.count("handle_allocate_request"), 2)
        self.assertEqual(names.count("handle_refresh_request"), 1)

    def test_flush_does_not_wait_for_long(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        collector = self.collector(lambda path, context: go_on.wait(DEADLINE) and b"")
        relay = self.relay(collector.endpoint, env={"OTEL_METRIC_EXPORT_INTERVAL": ""})
        start = time.monotonic()
        relay.stop(immediately=False)
        self.assertLess(time.monotonic() - start, 6)
        self.assertTrue(relay.told("Gave up sending the last metrics"))


DATA, RST_STREAM, SETTINGS, WINDOW_UPDATE = 0, 3, 4, 8
ACK = END_STREAM = 1
INITIAL_WINDOW_SIZE, REFUSED_STREAM = 4, 7


class TinyWindows(unittest.TestCase):
    """A collector that takes a few bytes at a time: messages are cut anywhere, gRPC's prefix of five bytes, too."""

    def frame(self, kind, flags, stream, payload=b""):
        return b"\0" + struct.pack(">HBBI", len(payload), kind, flags, stream) + payload

    def read(self, connection, size):
        data = b""
        while len(data) < size:
            got = connection.recv(size - len(data))
            self.assertTrue(got, "the relay closed the connection")
            data += got
        return data

    def take_message(self, connection, room):
        """Reads frames until a request has ended, giving room for as much again whenever none is left. Returns its stream and body."""
        body, left = b"", room
        while True:
            head = self.read(connection, 9)
            size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
            payload = self.read(connection, size)
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(self.frame(SETTINGS, ACK, 0))
            if kind != DATA:
                continue
            self.assertLessEqual(size, left)
            body, left = body + payload, left - size
            if flags & END_STREAM:
                return stream, body
            if left == 0:
                left = room
                more = struct.pack(">I", room)
                connection.sendall(self.frame(WINDOW_UPDATE, 0, stream, more) + self.frame(WINDOW_UPDATE, 0, 0, more))

    def test_cut_anywhere(self):
        for room in (1, 2, 3, 7, 1000):
            with self.subTest(room=room), socket.create_server(("127.0.0.1", 0)) as listener:
                listener.settimeout(DEADLINE)
                relay = Relay(BINARY, "--otlp-grpc-endpoint", "127.0.0.1:%d" % listener.getsockname()[1], v6=None, env=FAST)
                self.addCleanup(relay.kill)
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(DEADLINE)
                    self.read(connection, 24)
                    # The first request was sent before the relay could know of the window. It is refused; the next one knows.
                    connection.sendall(self.frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, room)))
                    stream, _ = self.take_message(connection, 65535)
                    connection.sendall(self.frame(RST_STREAM, 0, stream, struct.pack(">I", REFUSED_STREAM)))
                    _, body = self.take_message(connection, room)
                relay.kill()
                self.assertEqual(body[0], 0)
                self.assertEqual(int.from_bytes(body[1:5], "big"), len(body) - 5)
                request = otlp.decode(otlp.METRICS_REQUEST, body[5:])
                names = {m["name"] for m in request["resource_metrics"][0]["scope_metrics"][0]["metrics"]}
                self.assertIn("allocations_total", names)


@unittest.skipUnless(shutil.which("nghttpd") or os.path.exists("/usr/sbin/nghttpd"), "nghttpd is not installed")
class RawHttp2(unittest.TestCase):
    """What is on the wire, as an HTTP/2 server that knows nothing of gRPC sees it."""

    def test_headers(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        with tempfile.TemporaryDirectory() as root:
            program = shutil.which("nghttpd") or "/usr/sbin/nghttpd"
            server = Process([program, "-v", "--no-tls", "-a", "127.0.0.1", "-d", root, str(port)], dict(os.environ))
            self.addCleanup(server.kill)

            def up():
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return True
                except OSError:
                    return False
            wait_for(up, "nghttpd")
            relay = Relay(BINARY, "--otlp-grpc-endpoint", "localhost:%d" % port, env=FAST)
            self.addCleanup(relay.kill)
            wait_for(lambda: relay.find('did not take metrics status=UNIMPLEMENTED reason="HTTP status 404"'), "the answer")
            relay.stop()
        text = re.sub(r"\x1b\[[0-9;]*m", "", server.output())
        for header in (":method: POST", ":scheme: http", ":path: " + METRICS, ":authority: localhost:%d" % port, "te: trailers",
                       "content-type: application/grpc", "grpc-timeout: 10000m"):
            self.assertIn(header, text)
        self.assertIn("SETTINGS_ENABLE_PUSH(0x02):0", text)


class Options(unittest.TestCase):
    def run_relay(self, endpoint_text, env=None):
        return subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", "--otlp-grpc-endpoint", endpoint_text], capture_output=True,
                              text=True, env=clean_environment(env), timeout=DEADLINE, check=False)

    def test_wrong_endpoints(self):
        for text in ("nohost", "host:0", "https://host:4317/path", "::1:4317", "ftp://host:4317"):
            result = self.run_relay(text)
            self.assertEqual(result.returncode, 2, text)
            self.assertRegex(result.stderr, r"^firezone-relay: .*otlp-grpc-endpoint.*%s.*\n$" % re.escape(text))

    def test_wrong_interval_is_warned_about(self):
        with Collector() as collector, Relay(BINARY, "--otlp-grpc-endpoint", collector.endpoint,
                                             env={"OTEL_METRIC_EXPORT_INTERVAL": "1 minute"}) as relay:
            self.assertTrue(relay.told('not honoured name=OTEL_METRIC_EXPORT_INTERVAL problem="it is no number.*value="1 minute"'))

    def test_standard_variables(self):
        """Where the option is not given they say where to, what, how, and with which headers; what nobody honours is named once."""
        with Collector() as collector:
            env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + collector.endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "Api-Key=a%20b%2C, X-Tenant = t",
                   "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_BSP_SCHEDULE_DELAY": "100",
                   "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TIMEOUT": "7000", **FAST}
            with Relay(BINARY, v6=None, env=env) as relay:
                bindings(relay, 512)
                wait_for(lambda: collector.metrics and collector.spans(), "metrics and spans")
                self.assertTrue(relay.told("set and not honoured names=\"OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_BSP_SCHEDULE_DELAY\"$")
                                or relay.find("set and not honoured names=\"OTEL_BSP_SCHEDULE_DELAY, OTEL_EXPORTER_OTLP_COMPRESSION\"$"),
                                relay.output())
                self.assertNotIn("a b,", relay.output())
                for metadata in collector.metadata:
                    self.assertEqual((metadata["api-key"], metadata["x-tenant"]), ("a b,", "t"))
                self.assertTrue(all(6 < left <= 7 for left in collector.deadlines), collector.deadlines)

    def test_what_is_exported_may_be_chosen(self):
        for variables, metrics, traces in (({"OTEL_METRICS_EXPORTER": "none"}, False, True), ({"OTEL_TRACES_EXPORTER": "none"}, True, False),
                                           ({"OTEL_TRACES_SAMPLER": "always_off"}, True, False),
                                           ({"OTEL_METRICS_EXPORTER": "prometheus"}, False, True)):
            with Collector() as collector:
                with Relay(BINARY, "--otlp-grpc-endpoint", collector.endpoint, v6=None, env={**variables, **FAST}) as relay:
                    bindings(relay, 512)
                    wait_for(lambda: bool(collector.metrics) >= metrics and bool(collector.spans()) >= traces, "what is wanted")
                self.assertEqual((bool(collector.metrics), bool(collector.spans())), (metrics, traces), variables)

    def test_metrics_and_traces_to_two_collectors(self):
        with Collector() as one, Collector() as other:
            env = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://" + one.endpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": other.endpoint,
                   "OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "k=v", **FAST}
            with Relay(BINARY, v6=None, env=env) as relay:
                bindings(relay, 512)
                wait_for(lambda: one.metrics and other.spans(), "metrics and spans")
            self.assertEqual((one.spans(), other.metrics), ([], []))
            self.assertNotIn("k", one.metadata[0])
            self.assertEqual(other.metadata[0]["k"], "v")

    def test_nothing_is_exported_where_it_is_said(self):
        with Collector() as collector:
            where = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + collector.endpoint, **FAST}
            for more, line in (({"OTEL_SDK_DISABLED": "True"}, None),
                               ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "OTLP_PROTOCOL problem=.only grpc is spoken"),
                               ({"OTEL_METRICS_EXPORTER": "console", "OTEL_TRACES_EXPORTER": "none"}, "METRICS_EXPORTER problem=.only otlp"),
                               ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:x"}, "OTLP_ENDPOINT problem=.the port is not")):
                with Relay(BINARY, v6=None, env={**where, **more}) as relay:
                    begin = time.monotonic()
                    bindings(relay, 600)  # more than a batch of spans
                    wait_for(lambda: time.monotonic() - begin > 0.7, "three intervals and more")
                    self.assertIsNone(relay.find("Exporting"), relay.output())
                    if line:
                        self.assertEqual(len(re.findall(line, relay.output())), 1, relay.output())
            self.assertEqual(collector.calls, [])

    def test_the_option_wins(self):
        with Collector() as collector, Collector() as other:
            env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + other.endpoint, "OTEL_SDK_DISABLED": "true", **FAST}
            with Relay(BINARY, "--otlp-grpc-endpoint", collector.endpoint, v6=None, env=env) as relay:
                wait_for(lambda: collector.metrics, "metrics")
                for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED"):
                    self.assertEqual(len(re.findall("name=%s problem=.it has no effect" % name, relay.output())), 1, relay.output())
            self.assertEqual(other.calls, [])


@unittest.skipUnless(CERTS, "the maker of certificates was not given")
class Tls(unittest.TestCase):
    """A collector as hosted ones are: TLS, and a header that says who sends."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        subprocess.run([CERTS, cls.folder.name], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def file(self, name):
        return os.path.join(self.folder.name, name)

    def collector(self, name="good", behave=None):
        with open(self.file(name + ".key"), "rb") as key, open(self.file(name + ".pem"), "rb") as chain:
            return Collector(behave, credentials=grpc.ssl_server_credentials([(key.read(), chain.read())]))

    def test_metrics_and_spans_arrive(self):
        def behave(path, context):
            if dict(context.invocation_metadata()).get("authorization") != "Bearer s3cret":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            return b""
        for env in ({"OTEL_EXPORTER_OTLP_CERTIFICATE": self.file("ca.pem")}, {"SSL_CERT_FILE": self.file("ca.pem")}):
            env.update(FAST)
            with self.collector(behave=behave) as collector:
                env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "https://localhost:%d" % collector.port
                with Relay(BINARY, v6=None, env={**env, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret"}) as relay:
                    for batches in (1, 2, 3):  # never more at once than there is room for
                        bindings(relay, 512)
                        wait_for(lambda: len(collector.spans()) >= 512 * batches, "spans")  # pylint: disable=cell-var-from-loop
                    wait_for(lambda: len(collector.metrics) > 2, "metrics")
                    self.assertNotIn("s3cret", relay.output())
                    relay.stop(immediately=False)
                # With what the flush brought, nothing is missing, unless the machine was so busy that the relay had to give up on something.
                counts = collector.last_metrics()
                dropped = counts["relay.spans_dropped"]["sum"]["data_points"][0]["int"]
                answers = sum(p["int"] for p in counts["responses_total"]["sum"]["data_points"])
                if not re.search("WARN otlp: (Gave up sending|.* lost=)", relay.output()):
                    arrived = {span["span_id"] for span in collector.spans()}  # a message may come twice, when its answer came late
                    self.assertEqual(len(arrived) + dropped, answers)
                if "WARN otlp" not in relay.output():
                    self.assertEqual(dropped, 0)
        with self.collector(behave=behave) as collector:
            env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "https://localhost:%d" % collector.port
            with Relay(BINARY, v6=None, env=env) as relay:
                wait_for(lambda: relay.find('did not take metrics status=UNAUTHENTICATED reason="who are you\\?"'), "the refusal")

    def test_by_the_option(self):
        with self.collector() as collector, Relay(BINARY, "--otlp-grpc-endpoint", "https://localhost:%d" % collector.port, v6=None,
                                                  env={"SSL_CERT_FILE": self.file("ca.pem"), **FAST}):
            wait_for(lambda: collector.metrics, "metrics")

    def test_certificates_are_verified(self):
        for name, problem in (("expired", "certificate has expired"), ("other", "certificate is for another name")):
            with self.collector(name) as collector, Relay(BINARY, "--otlp-grpc-endpoint", "https://localhost:%d" % collector.port, v6=None,
                                                          env={"SSL_CERT_FILE": self.file("ca.pem"), **FAST}) as relay:
                wait_for(lambda: relay.find("did not take metrics status=UNAVAILABLE reason=.TLS: .*" + problem), problem)
                self.assertEqual(collector.calls, [])

    def test_an_authority_that_nobody_knows(self):
        """Who has signed his certificate himself is not believed, whatever his name is."""
        with self.collector("self") as collector, Relay(BINARY, "--otlp-grpc-endpoint", "https://localhost:%d" % collector.port, v6=None,
                                                        env={"SSL_CERT_FILE": self.file("ca.pem"), **FAST}) as relay:
            wait_for(lambda: relay.find("did not take metrics status=UNAVAILABLE reason=.TLS: .*"), "the refusal")
            self.assertTrue(relay.told("reason=.TLS: .*(trust|signed|authority|CA)"), relay.output())
            self.assertEqual(collector.calls, [])

    def test_address_literals(self):
        """An address is looked for among the certificate's addresses."""
        for name, problem in (("good", None), ("other", "certificate is for another name")):
            with self.collector(name) as collector, Relay(BINARY, "--otlp-grpc-endpoint", "https://127.0.0.1:%d" % collector.port, v6=None,
                                                          env={"SSL_CERT_FILE": self.file("ca.pem"), **FAST}) as relay:
                if problem:
                    wait_for(lambda: relay.find("did not take metrics status=UNAVAILABLE reason=.TLS: .*" + problem), problem)
                    self.assertEqual(collector.calls, [])
                else:
                    wait_for(lambda: collector.metrics, "metrics")

    def test_headers_in_cleartext_are_warned_about(self):
        secret = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret", "SSL_CERT_FILE": self.file("ca.pem"), **FAST}
        with self.collector() as tls, Collector() as plain:
            for where, expected in (("https://localhost:%d" % tls.port, False), ("localhost:%d" % plain.port, True)):
                with Relay(BINARY, "--otlp-grpc-endpoint", where, v6=None, env=secret) as relay:
                    self.assertEqual(bool(relay.find("WARN otlp: The headers that go with metrics and traces to .* can be read")), expected)
                    self.assertNotIn("s3cret", relay.output())

    def test_without_an_authority_the_variables_export_nothing(self):
        """They may have been meant for all programs of the host: the relay says what is wrong, and relays."""
        for variables, problem in (({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nonexistent"},
                                    "metrics and traces: OTEL_EXPORTER_OTLP_CERTIFICATE: no CA certificate found in /nonexistent"),
                                   ({"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/nonexistent", "SSL_CERT_FILE": self.file("ca.pem")},
                                    "traces: OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: no CA certificate found in /nonexistent"),
                                   ({"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": ""},
                                    "metrics and traces: no CA certificate found in SSL_CERT_FILE=/nonexistent")):
            with self.collector() as collector:
                env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://localhost:%d" % collector.port, **variables, **FAST}
                with Relay(BINARY, v6=None, env=env) as relay:
                    self.assertTrue(relay.told("WARN otlp: Can't export " + problem), relay.output())
                    self.assertTrue(answers_binding(V4, *relay.address()))
                    self.assertEqual(bool(relay.find("Exporting metrics to")), "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" in variables)

    def test_no_authority_is_an_error_of_the_start(self):
        done = subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", "--otlp-grpc-endpoint", "https://localhost:1",
                               "--health-check-addr", "127.0.0.1:0", "--control-endpoint", "127.0.0.1:0"], capture_output=True, text=True,
                              env=clean_environment({"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": ""}), timeout=DEADLINE, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr, "firezone-relay: --otlp-grpc-endpoint: no CA certificate found in SSL_CERT_FILE=/nonexistent\n")
        env = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nonexistent"}
        done = subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", "--otlp-grpc-endpoint", "https://localhost:1"], capture_output=True,
                              text=True, env=clean_environment(env), timeout=DEADLINE, check=False)
        self.assertEqual((done.returncode, done.stderr), (2, "firezone-relay: --otlp-grpc-endpoint: OTEL_EXPORTER_OTLP_CERTIFICATE: "
                                                          "no CA certificate found in /nonexistent\n"))

    def test_tickets_and_frames_in_one_piece(self):
        """What comes together with a message of TLS's own is read, though nothing follows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("good.pem"), self.file("good.key"))
        context.set_alpn_protocols(["h2"])
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(DEADLINE)
            relay = Relay(BINARY, "--otlp-grpc-endpoint", "https://localhost:%d" % listener.getsockname()[1], v6=None,
                          env={"SSL_CERT_FILE": self.file("ca.pem"), **FAST})
            self.addCleanup(relay.kill)
            connection, _ = listener.accept()
        with connection:
            connection.settimeout(DEADLINE / 2)

            def more(step):
                while True:
                    try:
                        return step()
                    except ssl.SSLWantReadError:
                        if outgoing.pending:
                            connection.sendall(outgoing.read())
                        incoming.write(connection.recv(65536))
            more(server.do_handshake)
            # Tickets, where there are any, wait in `outgoing`.
            server.write(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
            connection.sendall(outgoing.read())
            seen = b""
            while bytes([0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]) not in seen:
                seen += more(lambda: server.read(65536))

    def test_wrong_kinds_of_server_are_named(self):
        with self.collector() as tls, Collector() as plain:
            for where, reason in (("localhost:%d" % tls.port, "https://"), ("https://localhost:%d" % plain.port, "http://")):
                with Relay(BINARY, "--otlp-grpc-endpoint", where, v6=None, env={"SSL_CERT_FILE": self.file("ca.pem"), **FAST}) as relay:
                    wait_for(lambda: relay.find("did not take metrics status=UNAVAILABLE reason=.*(%s)" % reason), reason)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main()
