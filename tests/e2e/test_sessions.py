# SPDX-License-Identifier: Apache-2.0
"""Sessions are seen and ended at the control endpoint, and their usage is in the log."""

import grp
import http.client
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from firezone_client import Client, Refused
from harness import DEADLINE, EchoPeers, Relay, clean_environment, main
from stalled import Stalled
from stream_client import StreamClient, free_port
from watch import control_port, endpoint, request

BINARY = sys.argv.pop(1)
WORKERS = int(os.environ.get("FZT_WORKERS", "2"))
ID = r"[0-9a-f]{16}"


class Local(http.client.HTTPConnection):
    """HTTP to a socket in the file system."""

    def __init__(self, path):
        super().__init__("relay", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, method, target, body=None):
    return ask_all(path, method, target, body)[::2]


def ask_all(path, method, target, body=None):
    connection = Local(path)
    try:
        connection.request(method, target, body)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


class SessionsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "control")
        self.folder = folder.name
        self.peers = EchoPeers(2)
        self.addCleanup(self.peers.close)

    def relay(self, *args, **more):
        more.setdefault("workers", WORKERS)
        relay = Relay(BINARY, "--control-socket", self.path, *args, **more)
        self.addCleanup(lambda: relay.process.poll() is None and relay.kill())
        return relay

    def client(self, relay, salt):
        client = Client(relay.address(), *relay.credentials(salt=salt))
        self.addCleanup(client.close)
        client.allocate()
        return client

    def talk(self, client, peer, count, size):
        channel = client.bind(peer)
        for i in range(count):
            data = struct.pack(">I", i) + bytes(size - 4)
            client.send(channel, data)
            self.assertEqual(client.receive(), (channel, data[::-1]))

    def command(self, *args, status=0, env=None, at=None):
        done = subprocess.run([BINARY, "sessions", *(("--control-socket", self.path) if at is None else at), *args], capture_output=True, text=True,
                              check=False, timeout=DEADLINE, env=clean_environment(env))
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(bool(done.stderr), status != 0, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def listed(self, *args):
        return {s["user"]: s for s in map(json.loads, self.command("--json", *args).splitlines())}


class List(SessionsTest):
    def test_what_there_is(self):
        relay = self.relay()
        self.assertEqual(self.command().count("\n"), 1)
        one, two = self.client(relay, "alice"), self.client(relay, "bob")
        self.talk(one, self.peers.addresses()[0], 5, 100)
        self.talk(one, self.peers.addresses()[1], 1, 1000)
        sessions = self.listed()
        self.assertEqual(set(sessions), {"alice", "bob"})
        alice = sessions["alice"]
        self.assertRegex(alice["id"], "^%s$" % ID)
        self.assertEqual(alice["client"], "%s:%d" % one.socket.getsockname()[:2])
        self.assertEqual(alice["server"], "127.0.0.1:%d" % relay.port)
        self.assertEqual(alice["transport"], "udp")
        self.assertEqual(alice["relayed"], ["127.0.0.1:%d" % one.relayed[4][1], "[::1]:%d" % one.relayed[6][1]])
        self.assertEqual([alice[k] for k in ("channels", "packets_from_client", "bytes_from_client", "packets_to_client", "bytes_to_client")],
                         [2, 6, 1500, 6, 1500])
        self.assertLess(alice["age"], 60)
        self.assertTrue(540 < alice["left"] <= 610)
        self.assertLess(alice["worker"], WORKERS)
        self.assertEqual(sessions["bob"]["bytes_to_client"], 0)
        rows = self.command().splitlines()
        self.assertRegex(rows[0], "^ID .* USER$")
        row = next(line for line in rows if line.endswith("  alice"))
        self.assertRegex(row, r"^%s udp  127\.0\.0\.1:%d +127\.0\.0\.1:%d +0:\d\d +\d+:\d\d +2 +1500 +1500  alice$"
                         % (alice["id"], one.socket.getsockname()[1], one.relayed[4][1]))
        self.assertEqual(set(self.listed("--user", "bob")), {"bob"})
        self.assertEqual(set(self.listed("--user", "bo")), set())
        self.assertEqual(set(self.listed("--client", "127.0.0.1:%d" % two.socket.getsockname()[1])), {"bob"})
        self.assertEqual(set(self.listed("--client", "127.0.0.1")), {"alice", "bob"})
        self.assertEqual(set(self.listed("--client", "127.0.0.2")), set())
        self.assertEqual(ask(self.path, "GET", "/sessions?limit=1")[1].count("\n"), 1)
        relay.stop()

    def test_names_are_escaped(self):
        relay = self.relay()
        nasty = 'a"b\\c\u001b[31m\n\u202e end'
        self.client(relay, nasty)
        lines = self.command("--json").splitlines()
        self.assertEqual(len(lines), 1)
        self.assertEqual(json.loads(lines[0])["user"], nasty)
        self.assertTrue(lines[0].isprintable())
        row = self.command().splitlines()
        self.assertEqual(len(row), 2)
        self.assertTrue(row[1].isprintable())
        self.assertEqual(set(self.listed("--user", nasty)), {nasty})
        self.assertEqual(self.command("--end-user", nasty), "1 session ended\n")
        relay.stop()

    def test_many(self):
        """More than a worker tells of at once."""
        relay = self.relay(workers=1, port_count=200)
        clients = [self.client(relay, "many%d" % i) for i in range(180)]
        self.assertEqual(set(self.listed()), {"many%d" % i for i in range(180)})
        for limit, cut in ((179, "1"), (150, "1"), (128, "1"), (1, "1"), (180, None), (181, None)):
            status, headers, text = ask_all(self.path, "GET", "/sessions?limit=%d" % limit)
            self.assertEqual((status, text.count("\n"), headers["X-Sessions-Cut"]), (200, min(limit, 180), cut))
        self.assertIsNone(ask_all(self.path, "GET", "/sessions")[1]["X-Sessions-Cut"])
        self.assertEqual(self.command("--end-user", "many170"), "1 session ended\n")
        status, text = ask(self.path, "DELETE", "/sessions?client=127.0.0.1")
        self.assertEqual((status, json.loads(text)), (200, {"ended": 179}))
        self.assertEqual(self.listed(), {})
        self.assertEqual(len(clients), 180)
        relay.stop(immediately=False)


class End(SessionsTest):
    def test_one(self):
        relay = self.relay()
        one, two = self.client(relay, "alice"), self.client(relay, "bob")
        self.talk(one, self.peers.addresses()[0], 1, 100)
        sessions = self.listed()
        ended = self.command("--end", sessions["alice"]["id"])
        self.assertEqual(ended, "1 session ended\n")
        self.assertEqual(set(self.listed()), {"bob"})
        with self.assertRaises(Refused) as refused:
            one.refresh()
        self.assertEqual(refused.exception.code, 437)
        two.refresh()
        self.assertIn("no such session", self.command("--end", sessions["alice"]["id"], status=3))
        self.assertTrue(relay.told('Deleted allocation .* reason="this relay was told to end it"'))
        one.allocate()
        self.assertNotEqual(self.listed()["alice"]["id"], sessions["alice"]["id"])
        relay.stop()

    def test_all_of_a_user(self):
        relay = self.relay("--replace-allocation", "no")
        clients = [self.client(relay, "alice") for _ in range(5)] + [self.client(relay, "bob")]
        self.assertEqual(self.command("--end-user", "alice"), "5 sessions ended\n")
        self.assertEqual(set(self.listed()), {"bob"})
        self.assertIn("no such session", self.command("--end-user", "alice", status=3))
        clients[5].refresh()
        relay.stop()

    def test_a_worker_is_busy(self):
        """What the others have done is told all the same."""
        relay = self.relay("--replace-allocation", "no", workers=2)
        clients = [self.client(relay, "alice") for _ in range(12)]
        workers = [json.loads(line)["worker"] for line in self.command("--json").splitlines()]
        self.assertEqual((len(workers), set(workers)), (len(clients), {0, 1}))
        with Stalled(relay.process.pid, "relay-1"):
            self.assertEqual(ask(self.path, "GET", "/sessions")[0], 503)
            status, headers, text = ask_all(self.path, "GET", "/sessions?limit=%d" % workers.count(0))
            self.assertEqual((status, text.count("\n"), headers["X-Sessions-Cut"]), (200, workers.count(0), "1"))
            status, text = ask(self.path, "DELETE", "/sessions?user=alice")
            self.assertEqual((status, json.loads(text)), (503, {"ended": workers.count(0)}))
            self.assertIn("0 sessions ended, try again", self.command("--end-user", "alice", status=1))
        self.assertEqual(self.command("--end-user", "alice"), "%d session%s ended\n" % (workers.count(1), "s" if workers.count(1) > 1 else ""))
        relay.stop()

    def test_mistakes(self):
        relay = self.relay()
        self.client(relay, "alice")
        for method, target, status in (("DELETE", "/sessions", 400), ("DELETE", "/sessions?user=", 400), ("DELETE", "/sessions/", 400),
                                       ("DELETE", "/sessions/alice", 400), ("DELETE", "/sessions/0000000000000000", 400),
                                       ("DELETE", "/sessions/0000000000000001", 404), ("DELETE", "/sessions?user=alice&limit=1", 400),
                                       ("DELETE", "/sessions/0000000000000001/x", 400), ("GET", "/sessions/0000000000000001", 405),
                                       ("GET", "/sessions?limit=0", 400), ("GET", "/sessions?limit=x", 400), ("GET", "/sessions?client=x", 400),
                                       ("GET", "/sessions?format=xml", 400), ("POST", "/sessions", 405), ("GET", "/session", 404),
                                       ("GET", "/metrics", 404), ("GET", "/healthz", 404)):
            self.assertEqual(ask(self.path, method, target)[0], status, (method, target))
        self.assertEqual(set(self.listed()), {"alice"})
        self.command("--end", "x", status=2)
        self.command("--end", "0" * 16, status=2)
        relay.stop()


class Socket(SessionsTest):
    def test_nobody_else_may_open_it(self):
        relay = self.relay()
        mode = os.stat(self.path).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        self.assertEqual(ask(self.path, "POST", "/log_filter?directives=debug")[0], 200)
        # What is for whoever can reach the health port is not this.
        for port in (endpoint(relay),):
            for method in ("GET", "DELETE"):
                self.assertEqual(request(port, method, "/sessions")[0], 404)
        self.assertEqual(request(control_port(relay), "GET", "/sessions")[0], 200)
        relay.stop()
        self.assertFalse(os.path.exists(self.path))

    @unittest.skipUnless(os.geteuid() == 0, "takes root")
    def test_a_group_may(self):
        group = grp.getgrall()[-1]
        relay = self.relay("--control-group", group.gr_name)
        now = os.stat(self.path)
        self.assertEqual((stat.S_IMODE(now.st_mode), now.st_gid), (0o660, group.gr_gid))
        relay.stop()
        done = subprocess.run([BINARY, "--public-ip4-addr", "127.0.0.1", "--health-check-addr", "127.0.0.1:0", "--control-socket", self.path,
                               "--control-group", "no such group"], capture_output=True, text=True, check=False, timeout=DEADLINE,
                              env=clean_environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn("--control-group: there is no group 'no such group'", done.stdout)

    def test_a_dead_one_makes_way_and_a_live_one_does_not(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.path)
        relay = self.relay()  # nobody listens at what is there
        self.assertEqual(self.listed(), {})
        with self.assertRaisesRegex(AssertionError, "--control-socket: can't listen on .*: a relay listens there"):
            self.relay()
        self.assertEqual(self.listed(), {})
        relay.process.kill()
        relay.kill()
        self.assertTrue(os.path.exists(self.path))
        self.assertIn("no relay has its --control-socket there", self.command(status=1))
        self.relay().stop()
        with open(self.path, "w", encoding="ascii") as file:
            file.write("mine")
        with self.assertRaisesRegex(AssertionError, "it is no socket"):
            self.relay()
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")

    def test_where_it_is_by_default(self):
        relay = Relay(BINARY, workers=1, env={"RUNTIME_DIRECTORY": self.folder + ":/nonexistent"})
        self.assertEqual(self.listed(), {})
        self.command(at=(), env={"RUNTIME_DIRECTORY": self.folder})
        self.command(at=("--control-endpoint", "127.0.0.1:%d" % control_port(relay)))
        relay.stop()
        relay = Relay(BINARY, workers=1)
        self.assertFalse(relay.find("Control on the socket"))
        self.assertIn("/run/firezone-relay/control", self.command(at=(), status=1))
        self.assertIn("127.0.0.1:1:", self.command(at=("--control-endpoint", "127.0.0.1:1"), status=1))
        relay.stop()

    def test_a_list_that_is_cut(self):
        def serve(listener):
            for more in (b"X-Sessions-Cut: 1\r\n", b""):
                with listener.accept()[0] as s:
                    s.recv(4096)
                    s.sendall(b"HTTP/1.1 200 OK\r\n" + more + b"Content-Length: 4\r\n\r\none\n")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen()
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            for told in (True, False):
                done = subprocess.run([BINARY, "sessions", "--control-socket", self.path], capture_output=True, text=True, check=False,
                                      timeout=DEADLINE, env=clean_environment())
                self.assertEqual((done.returncode, done.stdout, "the list is cut" in done.stderr), (0, "one\n", told))
            thread.join()

    def test_what_answers_is_something_else(self):
        def serve(listener):
            for answer in (b"220 mail\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                           b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n\x1b[31m\n\n", b"", b"x" * 9000):
                with listener.accept()[0] as s:
                    s.recv(4096)
                    s.sendall(answer)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen()
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            for told in ("no relay's control endpoint", "no relay's control endpoint", "ended the connection", "can't ask", "ended the connection",
                         "no relay's control endpoint"):
                error = self.command(status=1)
                self.assertIn(told, error)
                self.assertTrue(error.strip().isprintable())
            thread.join()


class HandOver(SessionsTest):
    def hand_over(self, old, *args, **more):
        new = self.relay("--handover-socket", os.path.join(self.folder, "handover"), *args, ports=(old.lowest, old.highest), **more)
        self.assertEqual(old.wait(), 0, old.output())
        return new

    def test_the_socket_goes_along(self):
        """Whoever asks all the while is answered by one or the other, and the sessions are the same."""
        handover = os.path.join(self.folder, "handover")
        relay = self.relay("--handover-socket", handover)
        relay.told("Another process can take over")
        client = self.client(relay, "alice")
        self.talk(client, self.peers.addresses()[0], 3, 100)
        before = self.listed()["alice"]
        faults, ends = [], threading.Event()

        def poll():
            while not ends.is_set():
                try:
                    status, text = ask(self.path, "GET", "/sessions")
                    if status not in (200, 503) or (status == 200 and before["id"] not in text):
                        faults.append((status, text))
                except OSError as error:
                    faults.append(error)

        thread = threading.Thread(target=poll)
        thread.start()
        for _ in range(3):
            relay = self.hand_over(relay)
            relay.told("Another process can take over")
            self.talk(client, self.peers.addresses()[0], 1, 100)
        ends.set()
        thread.join()
        self.assertEqual(faults, [])
        after = self.listed()["alice"]
        self.assertEqual(after["id"], before["id"])
        self.assertEqual((after["packets_from_client"], after["bytes_to_client"]), (6, 600))
        self.assertEqual(self.command("--end", before["id"]), "1 session ended\n")
        relay.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_another_path(self):
        relay = self.relay("--handover-socket", os.path.join(self.folder, "handover"))
        relay.told("Another process can take over")
        client = self.client(relay, "alice")
        first, self.path = self.path, self.path + "2"
        relay = self.hand_over(relay)
        self.assertFalse(os.path.exists(first))
        self.assertEqual(set(self.listed()), {"alice"})
        client.refresh()
        relay.stop()

    def begin(self, *args):
        relay = self.relay("--handover-socket", os.path.join(self.folder, "handover"), *args)
        relay.told("Another process can take over")
        return relay, self.client(relay, "alice")

    def fails(self, old, why, *args):
        with self.assertRaisesRegex(AssertionError, why):
            self.relay("--handover-socket", os.path.join(self.folder, "handover"), *args, ports=(old.lowest, old.highest))
        self.assertTrue(old.told("did not take over"))

    def test_one_that_fails_leaves_the_socket(self):
        """Another program has a port that the successor was to have, too."""
        old, client = self.begin()
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            self.fails(old, "TCP port .* is taken", "--tcp-listen-port", port)
            self.assertEqual(set(self.listed()), {"alice"})
            first, self.path = self.path, self.path + "2"
            self.fails(old, "TCP port .* is taken", "--tcp-listen-port", port)
            self.assertFalse(os.path.exists(self.path))
            self.path = first
            self.assertEqual(set(self.listed()), {"alice"})
        client.refresh()
        relay = self.hand_over(old)
        self.assertEqual(set(self.listed()), {"alice"})
        relay.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_what_was_put_at_the_old_path_stays(self):
        old, _ = self.begin()
        first, self.path = self.path, self.path + "2"
        os.unlink(first)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(first)
            other.listen()
            relay = self.hand_over(old)
            self.assertTrue(os.path.exists(first))
            self.assertEqual(set(self.listed()), {"alice"})
        relay.stop()

    def test_a_file_that_is_gone(self):
        """Nobody reaches the old listener any more: there is a new one."""
        relay, _ = self.begin()
        os.unlink(self.path)
        relay = self.hand_over(relay)
        relay.told("Another process can take over")
        self.assertEqual(set(self.listed()), {"alice"})
        os.unlink(self.path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
            other.listen()
            self.fails(relay, "--control-socket: can't listen on .*: a relay listens there")
            self.assertTrue(os.path.exists(self.path))
        relay = self.hand_over(relay)  # what is there is dead by now
        self.assertEqual(set(self.listed()), {"alice"})
        relay.stop()
        self.assertFalse(os.path.exists(self.path))

    @unittest.skipUnless(os.geteuid() == 0, "takes root")
    def test_who_may_open_it_changes(self):
        group = grp.getgrall()[-1]
        own = (0o600, os.getegid())
        shared = (0o660, group.gr_gid)

        def now():
            found = os.stat(self.path)
            return stat.S_IMODE(found.st_mode), found.st_gid

        relay, _ = self.begin()
        self.assertEqual(now(), own)
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.fails(relay, "TCP port .* is taken", "--control-group", group.gr_name, "--tcp-listen-port", str(other.getsockname()[1]))
        self.assertEqual(now(), own)
        for args, expected in ((("--control-group", group.gr_name), shared), ((), own)):
            relay = self.hand_over(relay, *args)
            relay.told("Another process can take over")
            self.assertEqual(now(), expected)
            self.assertEqual(set(self.listed()), {"alice"})
        relay.stop()


class Usage(SessionsTest):
    def records(self, relay):
        found = []
        for line in relay.output().splitlines():
            record = json.loads(line)
            if record["target"] == "usage":
                self.assertEqual(record["level"], "INFO")
                found.append(record["fields"])
        return found

    def test_each_session_has_its_records(self):
        relay = self.relay("--usage-log", "--log-format", "json")
        clients = [self.client(relay, "user%d" % i) for i in range(6)]
        sums = [0, 0]
        for i, client in enumerate(clients):
            self.talk(client, self.peers.addresses()[i % 2], 1 + i, 50 + i)
            sums = [s + (1 + i) * (50 + i) for s in sums]
        clients[0].refresh(0)
        self.command("--end-user", "user1")
        relay.stop()
        records = self.records(relay)
        by = {m: [r for r in records if r["message"] == m] for m in ("Session began", "Session bound a channel", "Session ended")}
        self.assertEqual({m: len(r) for m, r in by.items()}, {m: 6 for m in by})
        self.assertEqual(len(records), 18)
        ended = {r["user"]: r for r in by["Session ended"]}
        self.assertEqual([ended["user%d" % i]["reason"] for i in range(3)],
                         ["its client gave it back", "this relay was told to end it", "the relay ended"])
        self.assertEqual([sum(r["bytes_from_client"] for r in ended.values()), sum(r["bytes_to_client"] for r in ended.values())], sums)
        self.assertEqual(ended["user5"]["packets_to_client"], 6)
        bound = next(r for r in by["Session bound a channel"] if r["user"] == "user3")
        self.assertEqual((bound["channel"], bound["peer"]), (0x4000, "%s:%d" % self.peers.addresses()[1]))
        for record in records:
            self.assertRegex(record["session"], "^%s$" % ID)
            self.assertEqual(record["transport"], "udp")
        for client in clients:
            self.assertNotIn(client.key.hex(), relay.output())

    def test_a_hand_over_ends_nothing(self):
        handover = os.path.join(self.folder, "handover")
        args = ("--handover-socket", handover, "--usage-log", "--log-format", "json")
        old = self.relay(*args)
        old.told("Another process can take over")
        client = self.client(old, "alice")
        self.talk(client, self.peers.addresses()[0], 4, 100)
        new = self.relay(*args, ports=(old.lowest, old.highest))
        self.assertEqual(old.wait(), 0)
        new.told("Another process can take over")
        self.talk(client, self.peers.addresses()[0], 4, 100)
        client.refresh(0)
        new.stop(immediately=False)
        self.assertEqual([r["message"] for r in self.records(old)], ["Session began", "Session bound a channel"])
        records = self.records(new)
        self.assertEqual([(r["message"], r["bytes_from_client"], r["session"]) for r in records],
                         [("Session ended", 800, self.records(old)[0]["session"])])

    def test_a_connection_that_ends(self):
        port = free_port()
        relay = self.relay("--usage-log", "--log-format", "json", "--tcp-listen-port", str(port))
        relay.told("Listening for clients on TCP port")
        client = StreamClient(("127.0.0.1", port), *relay.credentials(salt="alice"))
        client.allocate()
        self.talk(client, self.peers.addresses()[0], 3, 101)
        self.assertEqual((self.listed()["alice"]["transport"], self.listed()["alice"]["bytes_to_client"]), ("tcp", 303))
        client.close()
        self.assertTrue(relay.told("Session ended"))
        relay.stop(immediately=False)
        ended = self.records(relay)[-1]
        self.assertEqual((ended["reason"], ended["transport"], ended["bytes_from_client"]), ("its client's connection ended", "tcp", 303))

    def test_the_filter_is_asked(self):
        relay = self.relay("--usage-log", "--log-filter", "relay=info", env={"RUST_LOG": "relay=info"})
        self.assertTrue(relay.told("--usage-log: the log filter lets none of its records through"))
        self.client(relay, "alice")
        relay.stop()
        self.assertNotIn("Session", relay.output())
        relay = self.relay()
        self.client(relay, "alice")
        relay.stop()
        self.assertNotIn("Session", relay.output())


if __name__ == "__main__":
    main()
