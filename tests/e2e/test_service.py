# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told (sd_notify), in which order and by whom, and the command that ExecReload= is: --take-over."""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from firezone_client import Client
from harness import DEADLINE, Process, Relay, answers_binding, clean_environment, free_udp_socket, main, wait_for

BINARY = sys.argv.pop(1)
SO_PASSCRED, SCM_CREDENTIALS = 16, 2


class Manager(threading.Thread):
    """Listens as systemd does: each message, and the process that it is of, as the kernel says."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
        self.socket.bind(address)
        self.stop_in, self.stop_out = os.pipe()
        self.messages = []
        self.seen = {}
        self.start()

    def run(self):
        while self.stop_in not in select.select([self.socket, self.stop_in], [], [])[0]:
            data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            sender = next(struct.unpack("iii", d)[0] for _, kind, d in ancillary if kind == SCM_CREDENTIALS)
            lines = dict(line.split("=", 1) for line in data.decode().split("\n"))
            if "MAINPID" in lines:
                self.seen[int(lines["MAINPID"])] = parent_of(lines["MAINPID"])
            self.messages.append((sender, lines))

    def said(self, sender, name, value=None):
        """Where in what was said |sender| says so, counted from 0; None if it does not."""
        for i, (pid, lines) in enumerate(list(self.messages)):
            if pid == sender and name in lines and value in (None, lines[name]):
                return i
        return None

    def heard(self, sender, name, value=None):
        wait_for(lambda: self.said(sender, name, value) is not None, "%s of %d" % (name, sender))
        return self.said(sender, name, value)

    def close(self):
        os.write(self.stop_out, b"x")
        self.join(DEADLINE)
        for fd in (self.stop_in, self.stop_out):
            os.close(fd)
        self.socket.close()


def parent_of(pid):
    try:
        with open("/proc/%s/status" % pid, encoding="ascii") as file:
            return int(re.search(r"^PPid:\s*(\d+)$", file.read(), re.M).group(1))
    except OSError:
        return None


class ServiceTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "handover")
        self.listen(os.path.join(self.folder.name, "notify"))

    def listen(self, address):
        self.manager = Manager(address)
        self.addCleanup(self.manager.close)
        self.env = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def relay(self, *args):
        relay = Relay(BINARY, "--handover-socket", self.path, *args, env=self.env, probe=False)
        self.addCleanup(relay.kill)
        return relay


class Life(ServiceTest):
    def follow(self):
        relay = self.relay()
        pid = relay.process.pid
        self.manager.heard(pid, "READY", "1")
        self.assertTrue(answers_binding(socket.AF_INET, relay.v4, relay.port, 0.5), "it is said to be ready")
        self.assertTrue(relay.told("Another process can take over"), "it can be reloaded at once")
        self.assertIsNone(self.manager.said(pid, "STOPPING"))
        relay.stop()
        self.assertLess(self.manager.said(pid, "READY"), self.manager.heard(pid, "STOPPING", "1"))
        self.assertIsNone(self.manager.said(pid, "MAINPID"))

    def test_a_path(self):
        self.follow()

    def test_an_abstract_address(self):
        self.listen("\0firezone-relay-test-%d" % os.getpid())
        self.follow()

    def test_a_manager_that_is_away(self):
        self.env = {"NOTIFY_SOCKET": os.path.join(self.folder.name, "nobody")}
        relay = self.relay()
        self.assertTrue(relay.told("The service manager at NOTIFY_SOCKET can't be told 'READY=1': No such file"))
        self.assertTrue(answers_binding(socket.AF_INET, relay.v4, relay.port))
        relay.stop()

    def test_what_is_no_address(self):
        self.env = {"NOTIFY_SOCKET": "vsock:2:1234"}
        relay = self.relay()
        relay.stop()
        self.assertFalse(relay.find("service manager"))

    def test_a_portal_that_is_away_is_not_waited_for(self):
        """It may be for hours, and what is to start after the relay has to."""
        env = dict(self.env, FIREZONE_TOKEN="t" * 40)
        relay = Process([BINARY, "--public-ip4-addr", "127.0.0.1", "--api-url", "ws://127.0.0.1:9/", "--health-check-addr", "127.0.0.1:0",
                         "--control-endpoint", "127.0.0.1:0"], clean_environment(env))
        self.addCleanup(relay.kill)
        self.assertTrue(relay.told("ealth"), relay.output())
        self.assertIsNone(self.manager.said(relay.process.pid, "READY"))
        ready = self.manager.heard(relay.process.pid, "READY")
        self.assertLess(ready, self.manager.heard(relay.process.pid, "STATUS", "Waiting for the portal"))


@unittest.skipUnless(os.geteuid() == 0, "takes root")
class Containers(unittest.TestCase):
    """Two processes that see nothing of each other but the folder of the socket, and have one network."""

    APART = ("unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child")

    def test_one_takes_over_from_the_other(self):
        with tempfile.TemporaryDirectory() as folder:
            old = Relay(BINARY, "--handover-socket", os.path.join(folder, "handover"), wrapper=self.APART)
            self.addCleanup(old.kill)
            old.told("Another process can take over")
            client, peer = Client(old.address(), *old.credentials()), free_udp_socket()
            client.allocate()
            channel = client.bind(peer.getsockname())
            refused = Process(old.command + ["--public-ip4-addr", "127.0.0.2"], clean_environment())
            self.assertEqual(refused.wait(), 1)
            self.assertTrue(refused.find("can't take over from a process in another container: --public-ip4-addr is"))
            self.assertTrue(old.told("A process in another container did not take over: --public-ip4-addr is"))
            new = Process(old.command, clean_environment())
            self.addCleanup(new.kill)
            self.assertEqual(old.wait(), 0, old.output())
            self.assertTrue(old.find("Handed over to a process in another container"))
            self.assertTrue(new.told("Took over from a process in another container"))
            client.send(channel, b"after it")
            self.assertEqual(peer.recvfrom(100), (b"after it", client.relayed[4]))
            client.close()
            peer.close()


class TakeOver(ServiceTest):
    def take_over(self, old, *args):
        """Runs the command. Returns its status and what was written, and by its relay."""
        with tempfile.TemporaryFile("w+", dir=self.folder.name) as output:
            command = list(old.command) + ["--take-over"] + list(args)
            status = subprocess.run(command, env=clean_environment(self.env), stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=subprocess.STDOUT, timeout=DEADLINE, check=False).returncode
            output.seek(0)
            return status, output.read()

    def end(self, pid, port):
        os.kill(pid, signal.SIGTERM)
        self.manager.heard(pid, "STOPPING")
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not os.path.exists("/proc/%d" % pid) or self.is_over(pid), "the successor to end")
        self.assertFalse(answers_binding(socket.AF_INET, "127.0.0.1", port, 0.1))

    def successors_of(self, command):
        """Processes with this command line that have another parent by now."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, encoding="ascii", errors="replace") as file:
                    words = file.read().split("\0")
            except OSError:
                continue
            if self.path in words and "--take-over" in words and parent_of(pid) not in (command.pid, os.getpid()):
                found.append(pid)
        return found

    @staticmethod
    def is_over(pid):
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z" # whoever is its parent now does not care

    def test_it_is_the_main_process_then(self):
        old = self.relay()
        self.manager.heard(old.process.pid, "READY")
        client, peer = Client(old.address(), *old.credentials()), free_udp_socket()
        client.allocate()
        channel = client.bind(peer.getsockname())
        before = time.monotonic()
        status, output = self.take_over(old)
        self.assertEqual(status, 0, output)
        self.assertEqual(old.wait(), 0)
        told = self.manager.heard(old.process.pid, "MAINPID")
        lines = self.manager.messages[told][1]
        new = int(lines["MAINPID"])
        self.addCleanup(lambda: os.path.exists("/proc/%d" % new) and os.kill(new, signal.SIGKILL))
        self.assertEqual(lines["READY"], "1")
        self.assertIn("process %d" % new, old.output())
        reloading = self.manager.said(old.process.pid, "RELOADING", "1")
        self.assertLess(reloading, told)
        begun = int(self.manager.messages[reloading][1]["MONOTONIC_USEC"]) / 1e6
        self.assertTrue(before <= begun <= time.monotonic(), (before, begun))
        self.manager.heard(new, "READY", "1")
        self.assertIsNone(self.manager.said(old.process.pid, "STOPPING"), "the service goes on")
        # systemd does not wait for the end of a main process that is another's child, but kills it at once.
        self.assertNotEqual(parent_of(new), os.getpid())
        self.assertEqual(self.manager.seen[new], parent_of(new), "it had its parent for good when the manager was told of it")
        client.send(channel, b"after it")
        self.assertEqual(peer.recvfrom(100), (b"after it", client.relayed[4]))
        # And by another one in turn.
        status, output = self.take_over(old)
        self.assertEqual(status, 0, output)
        third = int(self.manager.messages[self.manager.heard(new, "MAINPID")][1]["MAINPID"])
        self.end(third, old.port)
        client.close()
        peer.close()

    def test_what_can_not_take_over(self):
        old = self.relay()
        pid = old.process.pid
        status, output = self.take_over(old, "--public-ip4-addr", "127.0.0.2")
        self.assertEqual(status, 1)
        self.assertIn("--public-ip4-addr is 127.0.0.1 in the old relay and 127.0.0.2 in the new one", output)
        self.assertIsNone(self.manager.said(pid, "MAINPID"))
        old.stop()
        self.manager.heard(pid, "STOPPING")

    def test_what_goes_away_in_the_midst(self):
        """The manager knows that the old one has gone on."""
        old = self.relay()
        pid = old.process.pid
        client = Client(old.address(), *old.credentials())
        client.allocate()
        status, output = self.take_over(old, "--lowest-port", "40000", "--highest-port", "40001")
        self.assertEqual(status, 1)
        self.assertIn("there is an allocation at port", output)
        reloading = self.manager.heard(pid, "RELOADING")
        wait_for(lambda: any(s == pid and "READY" in lines for s, lines in self.manager.messages[reloading:]), "READY again")
        self.assertIsNone(self.manager.said(pid, "MAINPID"))
        self.assertIsNone(self.manager.said(pid, "STOPPING"))
        client.close()
        old.stop()

    def test_nobody_to_take_over_from(self):
        old = self.relay()
        status, output = self.take_over(old, "--handover-socket", self.path + ".else")
        self.assertEqual(status, 1)
        self.assertIn("--take-over: no relay answers at %s.else" % self.path, output)
        old.stop()

    def test_a_mistake_in_the_configuration(self):
        old = self.relay()
        status, output = self.take_over(old, "--listen-port", "none")
        self.assertEqual((status, output.count("\n")), (2, 1), output)
        status, output = self.take_over(old, "--handover-socket", "")
        self.assertEqual(status, 2)
        old.stop()

    def test_it_is_ended_while_it_waits(self):
        """The command's end, by whatever signal, does not matter for the relay."""
        old = self.relay()
        stop = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stop.connect(self.path) # the successor has to wait behind it
        command = subprocess.Popen(list(old.command) + ["--take-over"], env=clean_environment(self.env), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.successors_of(command), "the successor")
        command.terminate()
        command.wait(DEADLINE)
        stop.close()
        new = int(self.manager.messages[self.manager.heard(old.process.pid, "MAINPID")][1]["MAINPID"])
        self.assertEqual(old.wait(), 0)
        self.manager.heard(new, "READY")
        self.end(new, old.port)


if __name__ == "__main__":
    main()
