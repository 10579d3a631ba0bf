# SPDX-License-Identifier: Apache-2.0
"""Logs, GET /metrics and POST /log_filter of the built relay, while traffic flows; and readers that are slow, gone or hostile."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import stun
from firezone_client import Client
from harness import DEADLINE, EchoPeers, Relay, answers_binding, clean_environment, main, sanitizers_report, wait_for
from watch import Metrics, bytes_told, control_port, endpoint, parse_metrics, request

BINARY = sys.argv.pop(1)
DASHBOARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/grafana-dashboard.json")
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
V4 = socket.AF_INET
TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"

# Every metric there is, with its type.
NAMES = {
    "relay_active_allocations": "gauge", "relay_active_channels": "gauge", "relay_responses_total": "counter",
    "relay_active_permissions": "gauge", "relay_indications_total": "counter",
    "relay_allocations_moved_total": "counter", "relay_peer_errors_total": "counter",
    "relay_data_relayed_bytes_total": "counter", "relay_packets_total": "counter", "relay_packet_size_bytes": "histogram",
    "relay_dropped_packets_total": "counter", "relay_memory_refusals_total": "counter", "relay_send_queue_packets": "gauge", "relay_portal_connected": "gauge", "relay_portal_configured": "gauge",
    "relay_full": "gauge",
    "relay_build_info": "gauge", "relay_log_lines_dropped_total": "counter", "relay_spans_dropped_total": "counter",
    "relay_worker_cpu_seconds_total": "counter", "relay_worker_packets_total": "counter", "relay_worker_allocations": "gauge",
    "relay_client_allocations": "gauge", "relay_stream_connections": "gauge", "relay_stream_connections_accepted_total": "counter",
    "relay_stream_connections_ended_total": "counter", "relay_stream_dropped_messages_total": "counter", "relay_stream_queue_bytes": "gauge",
    "process_cpu_seconds_total": "counter", "process_open_fds": "gauge", "process_max_fds": "gauge",
    "process_virtual_memory_bytes": "gauge", "process_resident_memory_bytes": "gauge", "process_start_time_seconds": "gauge",
}

# Numbers that worker CPU and relayed packets of the whole, and the answers with 508, say better.
SHOWN_BY_OTHERS = {"relay_worker_packets_total", "relay_memory_refusals_total"}


def new_client(relay):
    return Client(relay.address(), *relay.credentials())


class Prometheus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(BINARY, workers=WORKERS)
        cls.port = endpoint(cls.relay)

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()

    def scrape(self):
        # The relay gives scrapes within 0.1 s the same text.
        time.sleep(0.12)
        return Metrics(self.port)

    def test_format_and_names(self):
        metrics = self.scrape()
        self.assertEqual(metrics.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertLessEqual(set(NAMES.items()), set(re.findall(r"^# TYPE (\S+) (\S+)$", metrics.text, re.M)))
        version = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
        self.assertEqual(metrics.get("relay_build_info", version=version), 1)
        self.assertEqual(metrics.get("relay_portal_connected"), 0)
        self.assertEqual(metrics.get("relay_portal_configured"), 0)
        self.assertEqual(metrics.get("relay_full"), 0)
        self.assertGreater(metrics.get("process_start_time_seconds"), time.time() - 600)
        self.assertGreater(metrics.get("process_cpu_seconds_total"), -1)
        self.assertEqual(len(metrics.values["relay_send_queue_packets"]), WORKERS)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool(self):
        with EchoPeers(1) as peers, new_client(self.relay) as client:
            client.allocate()
            client.send(client.bind(peers.addresses()[0]), b"x" * 99)
            self.assertIsNotNone(client.receive())
            result = subprocess.run(["promtool", "check", "metrics"], input=self.scrape().text, capture_output=True, text=True, check=False)
            client.refresh(0)
        self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_values_are_true(self):
        before = self.scrape()
        with EchoPeers(1) as peers, new_client(self.relay) as client:
            for _ in range(3):
                client.binding()
            client.allocate()
            channels = [client.bind(peers.addresses()[0]), client.bind(("127.0.0.1", 9))]
            for size in (0, 1, 100, 101, 1200, 1500, 1501):
                client.send(channels[0], bytes(size))
                self.assertEqual(client.receive(), (channels[0], bytes(size)))
            client.socket.send(b"\x00\x01garbage of a request")
            client.socket.send(stun.channel_data(0x4fff, b"no such channel"))
            client.binding()  # it follows them, so they have been seen
            during = self.scrape()
            client.refresh(0)
            after = self.scrape()

        def grown(name, then=during, **labels):
            return then.get(name, **labels) - before.get(name, **labels)
        self.assertEqual(during.get("relay_active_allocations"), 1)
        self.assertEqual(during.get("relay_active_channels"), 2)
        self.assertEqual(during.total("relay_worker_allocations"), 1)
        self.assertEqual(after.get("relay_active_allocations"), 0)
        self.assertEqual(after.get("relay_active_channels"), 0)
        for direction in ("client_to_peer", "peer_to_client"):
            self.assertEqual(grown("relay_packets_total", direction=direction), 7)
            self.assertEqual(grown("relay_data_relayed_bytes_total", direction=direction), 4403)
        for le, count in (("100", 6), ("200", 8), ("1100", 8), ("1200", 10), ("1500", 12), ("+Inf", 14)):
            self.assertEqual(grown("relay_packet_size_bytes_bucket", le=le), count, le)
        self.assertEqual(grown("relay_packet_size_bytes_sum"), 2 * 4403)
        self.assertEqual(grown("relay_packet_size_bytes_count"), 14)
        self.assertEqual(during.total("relay_worker_packets_total") - before.total("relay_worker_packets_total"), 14)
        for message, count in (("binding", 4), ("allocate", 1), ("channelbind", 2)):
            self.assertEqual(grown("relay_responses_total", response_class="success", message_type=message), count, message)
        self.assertEqual(grown("relay_responses_total", response_class="error", message_type="allocate", error_code="401"), 1)
        self.assertEqual(grown("relay_responses_total", after, response_class="success", message_type="refresh"), 1)
        self.assertEqual(during.total("relay_dropped_packets_total") - before.total("relay_dropped_packets_total"), 2)
        self.assertGreater(grown("relay_worker_cpu_seconds_total", worker="0") + during.total("relay_worker_cpu_seconds_total"), 0)
        self.assertEqual(during.total("relay_send_queue_packets"), 0)


class Dashboard(unittest.TestCase):
    """docs/grafana-dashboard.json against a relay: it asks for nothing that there is not."""

    @classmethod
    def setUpClass(cls):
        with open(DASHBOARD, encoding="utf-8") as file:
            cls.dashboard = json.load(file)
        cls.queries = [target["expr"] for panel in cls.dashboard["panels"] for target in panel["targets"]]

    def test_names_and_labels_exist(self):
        with Relay(BINARY, v6=None) as relay, new_client(relay) as client:
            client.allocate()
            metrics = Metrics(endpoint(relay)).values
            client.refresh(0)
        used = set()
        for query in self.queries:
            names = set(re.findall(r"\b(?:relay|process)_[a-z_]+", query))
            self.assertTrue(names, query)
            self.assertLessEqual(names, set(metrics), query)
            used |= names
            known = {label for name in names for labels in metrics[name] for label, _ in labels} | {"job", "instance"}
            asked = set(re.findall(r"([a-z_]+)=~?\"", query))
            for group in re.findall(r"by \(([^)]*)\)", query):
                asked |= set(group.split(", "))
            self.assertLessEqual(asked, known, query)
        # And it shows everything that is the relay's own.
        shown = {name.replace("_bucket", "") for name in used}
        self.assertEqual({name for name in NAMES if name.startswith("relay_") and name not in SHOWN_BY_OTHERS} - shown, set())

    def test_shape(self):
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(set(ids)), len(ids))
        taken = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            self.assertTrue(panel["title"] and panel["description"])
            taken |= cells
        variables = {variable["name"] for variable in self.dashboard["templating"]["list"]}
        self.assertLessEqual(set(re.findall(r"\$([a-z]+)", " ".join(self.queries))), variables)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_queries_are_promql(self):
        rules = [{"record": "query:%d" % i, "expr": query.replace("$__rate_interval", "1m")} for i, query in enumerate(self.queries)]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            result = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Http(unittest.TestCase):
    """Both listeners, with what may come from a network."""

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(BINARY, v6=None, workers=WORKERS)
        cls.health, cls.control = endpoint(cls.relay), control_port(cls.relay)

    @classmethod
    def tearDownClass(cls):
        cls.relay.stop()

    def tearDown(self):
        self.assertEqual(self.set_filter("info")[0], 200)

    def set_filter(self, directives):
        return request(self.control, "POST", "/log_filter?directives=" + directives)

    def logged(self, pattern):
        return len(re.findall(pattern, self.relay.output(), re.M))

    def test_filter_takes_effect(self):
        line = r"DEBUG relay: Answered request sender=%s method=binding"
        self.assertTrue(answers_binding(V4, *self.relay.address()))
        quiet = self.logged(line % r"\S+")
        status, _, text = self.set_filter("warn,relay=debug")
        self.assertEqual((status, text), (200, "warn,relay=debug\n"))
        # The workers learn it by themselves; each has to be asked until it knows.
        with socket.socket(V4, socket.SOCK_DGRAM) as client:
            client.connect(self.relay.address())
            client.settimeout(DEADLINE)

            def told():
                client.send(stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), []))
                client.recv(2048)
                return self.relay.find(line % ("127.0.0.1:%d" % client.getsockname()[1]))
            wait_for(told, "a debug line")
            self.assertEqual(quiet, 0)

    def test_directives_in_the_body(self):
        status, _, text = request(self.control, "POST", "/log_filter", "error,portal=trace")
        self.assertEqual((status, text), (200, "error,portal=trace\n"))
        status, _, text = request(self.control, "POST", "/log_filter?directives=relay%3Ddebug%2Cinfo", "ignored")
        self.assertEqual((status, text), (200, "info,relay=debug\n"))

        # As a form, which is what curl -d makes of it.
        for body, filter_ in (("directives=warn", "warn"), ("directives=info%2Crelay%3Ddebug", "info,relay=debug"),
                              ("directives=error,portal=trace&more=x", "error,portal=trace")):
            status, _, text = request(self.control, "POST", "/log_filter", body, {"Content-Type": "application/x-www-form-urlencoded"})
            self.assertEqual((status, text), (200, filter_ + "\n"), body)

    def test_each_change_is_logged(self):
        for directives in ("off", "error", "off,portal=trace", "info"):
            self.assertEqual(self.set_filter(directives)[0], 200)
            wait_for(lambda: self.relay.find(r'INFO control: Changed the log filter filter="?%s"?$' % directives), "the change to " + directives)

    def test_filters_that_let_nothing_through(self):
        warning = r"The log filter is off for every target of the relay \(relay, portal, otlp, xdp, control, log, usage\), so nothing is logged\n$"
        for directives in ("portal=off", "relay=off,portal=off", "off,wiring=trace"):
            status, _, text = self.set_filter(directives)
            self.assertEqual(status, 200)
            self.assertRegex(text, "^off,.*\nwarning: " + warning)
            wait_for(lambda: self.relay.find(r'INFO control: Changed the log filter filter="%s"$' % text.splitlines()[0]), "the change")
        wait_for(lambda: self.relay.find("WARN control: " + warning), "the warning")
        # All of these can be meant.
        for directives in ("off", "info,wiring=trace", "off,xdp=error", "info,portal=off"):
            status, _, text = self.set_filter(directives)
            self.assertEqual((status, text.count("\n")), (200, 1), text)

    def test_wrong_directives_change_nothing(self):
        self.assertEqual(self.set_filter("warn,relay=debug")[0], 200)
        for directives in ("relay=loud", "inof", "info,inof", "wiring=trace", "directives=info", "info,%0a=x", "info,x[y]=debug", "a=b=c", "info," + "t" * 60 + "=info", "info%00debug"):
            status, _, text = self.set_filter(directives)
            self.assertEqual(status, 400, directives[:80])
            self.assertEqual(text.count("\n"), 1, text)
        for path, body in (("/log_filter", None), ("/log_filter?directives=", None), ("/log_filter?other=info", None),
                           ("/log_filter", "info\0debug"), ("/log_filter", "directives="),
                           ("/log_filter", "directives=info%00debug")):
            status, _, text = request(self.control, "POST", path, body)
            self.assertEqual((status, text), (400, "expected ?directives=info,relay=debug\n"), path)
        status, _, text = request(self.control, "POST", "/log_filter", "x," * 5000)
        self.assertEqual(status, 400)
        self.assertIn("too long", text)
        self.assertEqual(self.set_filter("warn,relay=debug%0a2026-01-01T00:00:00.000000Z%20ERROR%20relay:%20forged")[0], 400)
        self.assertEqual(self.logged("^2026-01-01"), 0)

    def test_404_and_405(self):
        for port, paths in ((self.health, {"/healthz": "GET, HEAD", "/readyz": "GET, HEAD", "/metrics": "GET, HEAD"}),
                            (self.control, {"/log_filter": "POST"})):
            for path, allowed in paths.items():
                for method in ("DELETE", "PUT", "POST" if "GET" in allowed else "GET"):
                    status, headers, _ = request(port, method, path)
                    self.assertEqual((status, headers["Allow"]), (405, allowed), (method, path))
            for path in ("/", "/nothing", "/metrics/", "/log_filter/x", "/%00", "/healthz%2f"):
                self.assertEqual(request(port, "GET", path)[0], 404, path)
        self.assertEqual(request(self.health, "POST", "/log_filter?directives=off")[0], 404)
        self.assertEqual(request(self.control, "GET", "/metrics")[0], 404)
        status, headers, text = request(self.health, "HEAD", "/metrics")
        self.assertEqual((status, text), (200, ""))

    def test_limits(self):
        for port in (self.health, self.control):
            for headers, body in (({"X": "y" * 9000}, None), ({}, "x" * 20000)):
                try:
                    status = request(port, "POST", "/log_filter?directives=info", body, headers)[0]
                except (OSError, EOFError, ValueError):
                    status = None  # it may just hang up
                self.assertIn(status, (None, 400, 413, 431))
            self.assertEqual(request(port, "GET", "/")[0], 404)

    def check_alive(self):
        """All is answered, and soon."""
        begin = time.monotonic()
        self.assertTrue(answers_binding(V4, *self.relay.address()))
        self.assertEqual(request(self.health, "GET", "/healthz")[0], 200)
        self.assertEqual(self.set_filter("info")[0], 200)
        parse_metrics(request(self.health, "GET", "/metrics")[2])
        self.assertLess(time.monotonic() - begin, 5)

    def test_clients_that_never_finish(self):
        fds = self.fds()
        beginnings = (b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                      b"POST /log_filter HTTP/1.1\r\nContent-Length: 16000\r\n\r\ninfo")
        clients = []
        for port in (self.health, self.control):
            for i in range(100):
                s = socket.create_connection(("127.0.0.1", port), DEADLINE)
                s.sendall(beginnings[i % len(beginnings)])
                clients.append(s)
        for _ in range(3):
            self.check_alive()
            for s in clients:
                try:
                    s.send(b"x")
                except OSError:
                    pass
        # More than 64 and 16 are not kept: the oldest go.
        wait_for(lambda: self.fds() - fds <= 64 + 16 + 4, "the oldest to be closed")
        for s in clients:
            s.close()
        wait_for(lambda: self.fds() - fds <= 4, "the rest to be closed")

    def fds(self):
        """As the relay counts its own: it can't be dumped, so that only root sees them from outside."""
        return int(Metrics(self.health).get("process_open_fds"))

    def test_clients_that_never_read(self):
        clients = []
        for port in (self.health, self.control):
            for _ in range(20):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                s.connect(("127.0.0.1", port))
                s.setblocking(False)
                clients.append(s)
        before = Metrics(self.health).get("process_resident_memory_bytes")
        for s in clients:
            try:
                for _ in range(200):
                    s.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass  # or it was one too many
        for _ in range(3):
            self.check_alive()
        self.assertLess(Metrics(self.health).get("process_resident_memory_bytes") - before, 64 << 20)
        for s in clients:
            s.close()
        self.check_alive()

    def test_garbage(self):
        for port in (self.health, self.control):
            for data in (os.urandom(3000), b"\0" * 3000, b"GET\r\n\r\n", b"GET " + b"/" * 9000, b"\r\n" * 3000,
                         b"GET /metrics HTTP/9.9\r\n\r\n", b"POST /log_filter HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                         b"POST /log_filter HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
                         b"GET /%zz?%=& HTTP/1.0\r\n\r\n"):
                with socket.create_connection(("127.0.0.1", port), DEADLINE) as s:
                    try:
                        s.sendall(data)
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536):
                            pass
                    except OSError:
                        pass
            self.check_alive()


class Formats(unittest.TestCase):
    """What a relay that is used writes, in each format."""

    def use(self, *args, env=None):
        with Relay(BINARY, "--deny-peer", "127.0.0.77/32", *args, env=env, workers=WORKERS) as relay:
            with new_client(relay) as client:
                client.allocate()
                client.bind(("127.0.0.1", 9), client.bind(("127.0.0.1", 9)))
                client.request_once(stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, stun.channel_value(0x4001)),
                                                        (stun.XOR_PEER_ADDRESS, ("127.0.0.77", 7)),
                                                        (stun.SOFTWARE, b'"}\n{"level":"ERROR"')])
                client.refresh()
                client.refresh(0)
                wait_for(lambda: relay.find("Deleted allocation"), "the last line")
                client.where = "%s:%d" % client.socket.getsockname()
            for _ in range(30):
                self.assertEqual(request(control_port(relay), "POST", "/log_filter?directives=info")[0], 200)
        return relay.output().splitlines(), client

    def check_flat(self, lines, client, level_key, time_key):
        objects = [json.loads(line) for line in lines]
        for each in objects:
            self.assertEqual(list(each)[:4], [time_key, level_key, "target", "message"])
        return self.check_objects(objects, client, level_key, time_key)

    def check_objects(self, objects, client, level_key, time_key):
        for each in objects:
            self.assertRegex(each[time_key], "^%s$" % TIMESTAMP)
        mine = {each["message"]: each for each in objects if each.get("sender") == client.where}
        created = mine["Created new allocation"]
        self.assertEqual(created[level_key], "INFO")
        # The fields that Firezone's relay has come first, as there.
        fields = [key for key in created if key not in (time_key, level_key, "target", "message")]
        self.assertEqual(fields[:5], ["sender", "port", "first_relay_address", "second_relay_address", "lifetime"])
        self.assertEqual((created["port"], created["lifetime"], created["username"]),
                         (client.relayed[4][1] if client.relayed else created["port"], "600s", client.username))
        self.assertEqual((created["first_relay_address"], created["second_relay_address"]), ("127.0.0.1", "::1"))
        bound = mine["Successfully bound channel"]
        fields = [key for key in bound if key not in (time_key, level_key, "target", "message")]
        self.assertEqual(fields[:4], ["sender", "allocation", "peer", "channel"])
        self.assertEqual((bound["allocation"], bound["peer"], bound["channel"]), (created["port"], "127.0.0.1:9", 0x4000))
        self.assertLessEqual({"Refreshed allocation", "Deleted allocation"}, set(mine))
        self.assertEqual(mine["Deleted allocation"]["allocation"], created["port"])
        self.assertIn("Goodbye!", [each["message"] for each in objects])
        self.assertIn("Listening for incoming traffic on UDP port ", " ".join(each["message"] for each in objects))
        return objects, mine

    def test_json(self):
        lines, client = self.use("--log-format", "json", env={"RUST_LOG": "debug"})
        objects = [json.loads(line) for line in lines]
        for each in objects:
            self.assertEqual(list(each), ["timestamp", "level", "fields", "target"])
            self.assertEqual(list(each["fields"])[0], "message")
        flat = [{"timestamp": each["timestamp"], "level": each["level"], "target": each["target"], **each["fields"]} for each in objects]
        self.check_used(*self.check_objects(flat, client, "level", "timestamp"))

    def test_json_flat(self):
        lines, client = self.use("--log-format", "json-flat", env={"RUST_LOG": "debug"})
        self.check_used(*self.check_flat(lines, client, "level", "timestamp"))

    def check_used(self, objects, mine):
        again, bound = mine["Refreshed channel binding"], mine["Successfully bound channel"]
        self.assertEqual(again["level"], "DEBUG")
        self.assertEqual([again[key] for key in ("sender", "allocation", "peer", "channel")],
                         [bound[key] for key in ("sender", "allocation", "peer", "channel")])
        self.assertEqual(mine["Refused peer"]["level"], "DEBUG")
        self.assertEqual(mine["Refused peer"]["software"], '"}\n{"level":"ERROR"')
        self.assertEqual(mine["Refused request"]["error"], 401)
        # Lines that repeat are counted.
        changed = [each for each in objects if each["message"] == "Changed the log filter"]
        self.assertEqual(len(changed), 11)
        self.assertEqual(changed[-1]["repeated"], 20)

    def test_why_requests_are_refused(self):
        """For the log alone, at debug: what operators ask when a client is told no more than a number."""
        peer = (stun.XOR_PEER_ADDRESS, ("127.0.0.1", 9))
        with Relay(BINARY, v6=None, env={"RUST_LOG": "debug"}) as relay, new_client(relay) as client, new_client(relay) as wrong:
            def refused(code, reason, method, attributes, by=client, signed=True):
                transaction = stun.new_transaction()
                full = attributes + [(stun.USERNAME, by.username.encode()), (stun.REALM, b"firezone")] + ([(stun.NONCE, by.nonce)] if by.nonce else [])
                request = stun.build(method, stun.REQUEST, transaction, full, by.key)
                self.assertEqual(by._exchange(request, transaction, by.key if signed else None).error(), code, reason)
                wait_for(lambda: relay.find(r"DEBUG relay: Refused request sender=127\.0\.0\.1:%d .*error=%d username=\"?%s\"? .*reason=\"%s\"$" % (
                    by.socket.getsockname()[1], code, re.escape(by.username), reason)), reason)
            refused(401, "it has no nonce, as the first request .*", stun.ALLOCATE, [])
            client.nonce = b"of another life"
            refused(438, "the nonce is not of this life of the relay, .*", stun.ALLOCATE, [])
            client.allocate()
            refused(437, "the client has an allocation, .*", stun.ALLOCATE, [])
            refused(400, r"there is no CHANNEL-NUMBER \(0x000c\)", stun.CHANNEL_BIND, [peer])
            refused(400, r"a wrong value, .*: CHANNEL-NUMBER \(0x000c\)", stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, stun.channel_value(1)), peer])
            refused(420, r"unknown, or not supported: attribute \(0x7777\)", stun.REFRESH, [(0x7777, b"")])
            client.bind(("127.0.0.1", 9), 0x4000)
            refused(400, "the channel has another peer, or .*", stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, stun.channel_value(0x4001)), peer])
            refused(443, "the allocation has no relayed address of that family", stun.CHANNEL_BIND, [
                (stun.CHANNEL_NUMBER, stun.channel_value(0x4002)), (stun.XOR_PEER_ADDRESS, ("::1", 9))])
            client.refresh(0)
            refused(437, "the client has no allocation, .*", stun.REFRESH, [])
            refused(400, r"a wrong value, .*: EVEN-PORT \(0x0018\)", stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, stun.UDP), (0x0018, b"")])
            wrong.nonce = wrong.request_once(stun.ALLOCATE, []).get(stun.NONCE)
            wrong.set_credentials(wrong.username, "of somebody else")
            refused(401, "a wrong password", stun.REFRESH, [], wrong, False)
            wrong.set_credentials("nobody", "")
            refused(401, "a username of nobody, or not of the form expiry:salt.*", stun.REFRESH, [], wrong, False)
            wrong.set_credentials(*relay.credentials(ttl=-60))
            refused(401, "the credential has expired", stun.REFRESH, [], wrong)

    def test_google_cloud(self):
        lines, client = self.use("--log-format", "google-cloud", "--google-cloud-project-id", "p")
        objects, mine = self.check_flat(lines, client, "severity", "time")
        self.assertNotIn("Refused peer", mine)
        # Nothing is traced without a collector.
        self.assertNotIn("googleapis", "".join(lines))

    def test_human(self):
        lines, client = self.use("--telemetry", env={"FIREZONE_LOG": "info,relay_proto::server=debug"})
        for line in lines:
            self.assertRegex(line, "^%s  ?(ERROR|WARN|INFO|DEBUG) [a-z]+: " % TIMESTAMP)
        text = "\n".join(lines)
        self.assertIn("INFO relay: Created new allocation sender=%s port=" % client.where, text)
        self.assertIn(r'software="\"}\n{\"level\":\"ERROR\""', text)
        self.assertNotIn("\x1b", text)
        self.assertEqual(text.count("--telemetry: there is no crash reporting to turn on"), 1)

    def test_figures_every_ten_seconds(self):
        with Relay(BINARY, v6=None) as relay, EchoPeers(1) as peers, new_client(relay) as client:
            client.allocate()
            channel = client.bind(peers.addresses()[0])
            for _ in range(50):
                client.send(channel, bytes(1000))
                client.receive()
            wait_for(lambda: bytes_told(relay) >= 90000, "the figures", 3 * DEADLINE)
            self.assertLess(bytes_told(relay), 130000)
            self.assertTrue(relay.told(r"INFO relay: Allocations = 1 Channels = 1 Throughput = "), relay.output())

    def test_wrong_settings(self):
        result = subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", "--log-format", "xml"], capture_output=True, text=True,
                                env=clean_environment(), timeout=DEADLINE, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, "log-format.*xml.*human.*json.*google-cloud")
        with Relay(BINARY, v6=None, env={"RUST_LOG": "info,relay=loud"}) as relay:
            self.assertTrue(relay.told(r'WARN log: Skipped a directive of the log filter directive="relay=loud" problem='))
        result = subprocess.run([BINARY, "--public-ip4-addr", "192.0.2.1", "--bind-ip4-addr", "192.0.2.1", "--health-check-addr", "127.0.0.1:0",
                                 "--control-endpoint", "127.0.0.1:0"], capture_output=True, text=True,
                                env=clean_environment({"RUST_LOG": "portal=off"}), timeout=DEADLINE, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"^\S+ +WARN log: The log filter is off for every target of the relay \(.*\), so nothing is logged\n$")
        # A slip is not meant to silence it.
        for slip in ("inof", "relay=inof", "rely=info"):
            with Relay(BINARY, v6=None, env={"RUST_LOG": slip}) as relay:
                self.assertTrue(relay.told(r'WARN log: Skipped a directive of the log filter directive="?%s"? problem=' % slip.replace("=info", "")))
                self.assertTrue(relay.told("INFO relay: "))


class Reader:
    """A relay whose standard output is ours to read, or not."""

    def __init__(self, env=None, shell=None):
        port = Relay.port_range(20)
        self.low = port[0]
        with socket.socket(V4, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            tcp.bind(("127.0.0.1", 0))
            self.address, self.health = udp.getsockname(), tcp.getsockname()[1]
        command = [BINARY, "--listen-port", str(self.address[1]), "--health-check-addr", "127.0.0.1:%d" % self.health,
                   "--control-endpoint", "127.0.0.1:0", "--public-ip4-addr", "127.0.0.1", "--bind-ip4-addr", "127.0.0.1",
                   "--lowest-port", str(port[0]), "--highest-port", str(port[1]), "--workers", "1", "--unauthenticated-rate", "0"]
        if shell:
            command = ["sh", "-c", shell, "sh"] + command
        self.errors = tempfile.TemporaryFile("w+", errors="replace")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
                                        env=clean_environment(env))
        try:
            wait_for(lambda: answers_binding(V4, *self.address, 0.2), "the relay")
        except AssertionError:
            self.kill()
            raise

    def bindings(self, count):
        with socket.socket(V4, socket.SOCK_DGRAM) as s:
            s.connect(self.address)
            s.settimeout(DEADLINE)
            for batch in range(count // 50):
                for i in range(50):
                    # Each line another one: equal lines would be held back.
                    software = (stun.SOFTWARE, b"request %d of %d" % (i, batch))
                    s.send(stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), [software]))
                for _ in range(50):
                    s.recv(2048)

    def dropped(self):
        return Metrics(self.health).get("relay_log_lines_dropped_total")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._close()

    def end(self):
        self.process.terminate()
        status = self.process.wait(DEADLINE)
        self._close()
        return status

    def _close(self):
        self.process.stdout.close()
        if not self.errors.closed:
            self.errors.seek(0)
            sys.stderr.write("".join(sanitizers_report(self.errors.readlines())))
            self.errors.close()


class Readers(unittest.TestCase):
    """Readers of standard output that stall or go away: nothing stops, lines are dropped and counted."""

    def reader(self, **more):
        reader = Reader({"RUST_LOG": "debug"}, **more)
        self.addCleanup(reader.kill)
        return reader

    def test_full_pipe(self):
        relay = self.reader()
        begin = time.monotonic()
        relay.bindings(40000)
        self.assertLess(time.monotonic() - begin, 60)
        wait_for(lambda: relay.dropped() > 0, "dropped lines")
        dropped = relay.dropped()
        # When somebody reads again: whole lines, and the number of those that are missing.
        told = seen = 0
        while told < dropped:
            line = relay.process.stdout.readline().decode()
            self.assertRegex(line, "^%s .*\n$" % TIMESTAMP)
            match = re.search(r"WARN log: Dropped log lines: .* lines=(\d+)$", line)
            told += int(match.group(1)) if match else 0
            seen += "Answered request" in line
        self.assertEqual(told, dropped)
        self.assertGreaterEqual(told + seen, 40000)
        self.assertEqual(relay.end(), 0)

    def test_end_with_a_full_pipe(self):
        relay = self.reader()
        relay.bindings(2000)
        begin = time.monotonic()
        self.assertEqual(relay.end(), 0)
        self.assertLess(time.monotonic() - begin, 8)

    def test_reader_goes_away(self):
        relay = self.reader()
        relay.process.stdout.close()
        relay.bindings(1000)
        wait_for(lambda: relay.dropped() >= 1000, "dropped lines")
        self.assertEqual(relay.end(), 0)

    def test_no_standard_output_at_all(self):
        relay = self.reader(shell='exec "$@" >&- 2>&- <&-')
        relay.bindings(1000)
        wait_for(lambda: relay.dropped() >= 1000, "dropped lines")
        for fd in ("0", "1", "2") if os.getuid() == 0 else ():  # the relay can't be dumped: only root sees what it has open
            self.assertEqual(os.readlink("/proc/%d/fd/%s" % (relay.process.pid, fd)), "/dev/null")
        self.assertEqual(relay.end(), 0)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main()
