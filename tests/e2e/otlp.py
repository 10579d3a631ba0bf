# SPDX-License-Identifier: Apache-2.0
"""An OpenTelemetry collector on a real gRPC server, and a reader of OTLP's messages that is independent of the relay's own .proto files:
field numbers are those of opentelemetry-proto 1.x."""

import re
import struct
import threading
import time
from concurrent import futures

import grpc

METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

# A message is {field number: (name, type, repeated)}; a type is a message, "text", "bytes", "int", "bool", "fixed", "sfixed" or "double".
ANY = {1: ("string", "text", False), 2: ("bool", "bool", False), 3: ("int", "int", False), 4: ("double", "double", False)}
KEY_VALUE = {1: ("key", "text", False), 2: ("value", ANY, False)}
RESOURCE = {1: ("attributes", KEY_VALUE, True)}
SCOPE = {1: ("name", "text", False), 2: ("version", "text", False)}
NUMBER = {2: ("start", "fixed", False), 3: ("time", "fixed", False), 4: ("double", "double", False), 6: ("int", "sfixed", False),
          7: ("attributes", KEY_VALUE, True)}
HISTOGRAM_POINT = {2: ("start", "fixed", False), 3: ("time", "fixed", False), 4: ("count", "fixed", False), 5: ("sum", "double", False),
                   6: ("bucket_counts", "fixed", True), 7: ("explicit_bounds", "double", True), 9: ("attributes", KEY_VALUE, True)}
SUM = {1: ("data_points", NUMBER, True), 2: ("temporality", "int", False), 3: ("monotonic", "bool", False)}
HISTOGRAM = {1: ("data_points", HISTOGRAM_POINT, True), 2: ("temporality", "int", False)}
METRIC = {1: ("name", "text", False), 2: ("description", "text", False), 3: ("unit", "text", False),
          5: ("gauge", {1: ("data_points", NUMBER, True)}, False), 7: ("sum", SUM, False), 9: ("histogram", HISTOGRAM, False)}
SCOPE_METRICS = {1: ("scope", SCOPE, False), 2: ("metrics", METRIC, True)}
METRICS_REQUEST = {1: ("resource_metrics", {1: ("resource", RESOURCE, False), 2: ("scope_metrics", SCOPE_METRICS, True)}, True)}
STATUS = {2: ("message", "text", False), 3: ("code", "int", False)}
SPAN = {1: ("trace_id", "bytes", False), 2: ("span_id", "bytes", False), 4: ("parent_span_id", "bytes", False), 5: ("name", "text", False),
        6: ("kind", "int", False), 7: ("start", "fixed", False), 8: ("end", "fixed", False), 9: ("attributes", KEY_VALUE, True),
        15: ("status", STATUS, False)}
SCOPE_SPANS = {1: ("scope", SCOPE, False), 2: ("spans", SPAN, True)}
TRACES_REQUEST = {1: ("resource_spans", {1: ("resource", RESOURCE, False), 2: ("scope_spans", SCOPE_SPANS, True)}, True)}


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        shift += 7
        if not data[at - 1] & 0x80:
            return value, at


def _scalar(kind, value):
    if kind == "text":
        return value.decode()
    if kind == "bool":
        return bool(value)
    if kind == "int":
        return value - (1 << 64) if value >> 63 else value
    if kind == "double":
        return struct.unpack("<d", value)[0]
    if kind == "sfixed":
        return struct.unpack("<q", value)[0]
    if kind == "fixed":
        return struct.unpack("<Q", value)[0]
    return bytes(value)


def decode(schema, data):
    """A message as a dictionary. Raises on fields that opentelemetry-proto does not have, or has with another type."""
    result = {name: [] for name, _, repeated in schema.values() if repeated}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        name, kind, repeated = schema[number]
        if wire == 0:
            assert kind in ("int", "bool"), name
            value, at = read_varint(data, at)
        elif wire == 1:
            assert kind in ("double", "fixed", "sfixed"), name
            value, at = data[at:at + 8], at + 8
        else:
            assert wire == 2, name
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, name
        if isinstance(kind, dict):
            value = decode(kind, value)
        elif wire == 2 and kind in ("double", "fixed", "sfixed"):
            assert repeated
            result[name] += [_scalar(kind, value[i:i + 8]) for i in range(0, len(value), 8)]
            continue
        else:
            value = _scalar(kind, value)
        if repeated:
            result[name].append(value)
        else:
            result[name] = value
    return result


def attributes(holder):
    """Attributes as a dictionary; no key may come twice."""
    result = {}
    for pair in holder["attributes"]:
        assert pair["key"] not in result, pair["key"]
        (result[pair["key"]],) = pair["value"].values()
    return result


UNITS = {"By": "bytes", "s": "seconds", "ms": "milliseconds", "1": ""}


def prometheus_name(metric):
    """Name and type that Prometheus, and the collector's exporter for it, give to a metric (otlptranslator, with suffixes)."""
    tokens = re.findall(r"[A-Za-z0-9]+", metric["name"])
    unit = metric.get("unit", "")
    unit = "" if unit.startswith("{") else UNITS.get(unit, unit)
    if unit and unit not in tokens:
        tokens.append(unit)
    if "gauge" in metric:
        return "_".join(tokens + (["ratio"] if metric.get("unit") == "1" else [])), "gauge"
    if "histogram" in metric:
        return "_".join(tokens), "histogram"
    if not metric["sum"].get("monotonic"):
        return "_".join(tokens), "gauge"
    return "_".join([token for token in tokens if token != "total"] + ["total"]), "counter"


def prometheus_labels(metric):
    """The labels of all its points."""
    (data,) = (metric[kind] for kind in ("sum", "gauge", "histogram") if kind in metric)
    return {re.sub("[^A-Za-z0-9]", "_", key) for point in data["data_points"] for key in attributes(point)}


def prometheus_series(request):
    """The series that Prometheus makes of an export, as (name, labels). Its job and instance say which resource they are of."""
    found = []
    for resource in request["resource_metrics"]:
        of = attributes(resource["resource"])
        target = {"job": of["service.namespace"] + "/" + of["service.name"], "instance": of["service.instance.id"]}
        for metric in (metric for scope in resource["scope_metrics"] for metric in scope["metrics"]):
            name, kind = prometheus_name(metric)
            for point in next(metric[k] for k in ("sum", "gauge", "histogram") if k in metric)["data_points"]:
                labels = {re.sub("[^A-Za-z0-9]", "_", key): str(value) for key, value in attributes(point).items()} | target
                if kind != "histogram":
                    found.append((name, labels))
                    continue
                found += [(name + end, labels) for end in ("_sum", "_count")]
                found += [(name + "_bucket", labels | {"le": "%g" % le}) for le in point["explicit_bounds"] + [float("inf")]]
    return found


def partial_success(rejected, message):
    text = message.encode()
    inner = bytes([0x08, rejected, 0x12, len(text)]) + text
    return bytes([0x0A, len(inner)]) + inner


class Collector:
    """Takes exports. `behave(path, context)` may return the answer's bytes, raise, abort the context, or wait."""

    def __init__(self, behave=None, port=0, credentials=None):
        self.behave = behave or (lambda path, context: b"")
        self.metrics = []
        self.traces = []
        self.metadata = []
        self.calls = []
        self.deadlines = []
        self.lock = threading.Lock()
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        self.server.add_generic_rpc_handlers((self,))
        where = "127.0.0.1:%d" % port
        self.port = self.server.add_secure_port(where, credentials) if credentials else self.server.add_insecure_port(where)
        assert self.port
        self.server.start()

    def service(self, details):
        """grpc.GenericRpcHandler: who answers a method."""
        if details.method not in (METRICS, TRACES):
            return None
        return grpc.unary_unary_rpc_method_handler(lambda data, context: self._take(details.method, data, context))

    def _take(self, path, data, context):
        with self.lock:
            self.calls.append((time.monotonic(), path))
            self.deadlines.append(context.time_remaining())
            self.metadata.append(dict(context.invocation_metadata()))
        answer = self.behave(path, context)
        with self.lock:
            if path == METRICS:
                self.metrics.append(decode(METRICS_REQUEST, data))
            else:
                self.traces.append(decode(TRACES_REQUEST, data))
        return answer

    @property
    def endpoint(self):
        return "127.0.0.1:%d" % self.port

    def spans(self):
        with self.lock:
            requests = list(self.traces)
        return [span for request in requests for resource in request["resource_spans"] for scope in resource["scope_spans"]
                for span in scope["spans"]]

    def last_metrics(self):
        """The newest metrics by name, or None."""
        with self.lock:
            if not self.metrics:
                return None
            (resource,) = self.metrics[-1]["resource_metrics"]
        (scope,) = resource["scope_metrics"]
        return {metric["name"]: metric for metric in scope["metrics"]}

    def stop(self, grace=0):
        self.server.stop(grace).wait()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.stop()
