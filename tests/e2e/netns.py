# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for tests: no root is needed where the kernel lets users make their own, and nothing is left behind."""

import contextlib
import ctypes
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading

from harness import DEADLINE

CLONE_NEWNET = 0x40000000
INSIDE = "FZT_INSIDE_NETNS"


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode:
        raise OSError("%s: %s" % (" ".join(command), done.stdout.strip()))
    return done.stdout


def batch(lines):
    """Many commands of ip(8) at once."""
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)


def enter():
    """Starts this script again inside a namespace of its own. Returns None there, or what is missing here."""
    if os.environ.get(INSIDE):
        return None
    for tool in ("unshare", "nsenter", "ip", "tc"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            return "no " + tool
    how = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--net", "--user", "--map-root-user"]
    try:
        run(*how, "true")
    except OSError as error:
        return "no network namespaces: %s" % error
    os.environ[INSIDE] = "1"
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    sys.stdout.flush()
    os.execvp(how[0], how + [sys.executable] + sys.orig_argv[1:])
    return "unreachable"


class Namespace:
    """A further namespace, held by a process that does nothing, and ends when this one does."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat >/dev/null"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not self.holder.stdout.readline():
            raise OSError("no further network namespace")
        self.pid = self.holder.pid
        self.path = "/proc/%d/ns/net" % self.pid
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command):
        return run("nsenter", "--net=" + self.path, *command)

    @contextlib.contextmanager
    def inside(self):
        """Sockets made by this thread within the block belong to the namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", "rb") as before, open(self.path, "rb") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if libc.setns(before.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns back")

    def udp_socket(self, address):
        with self.inside():
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, 0))
        return s

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdin.close()
        self.holder.stdout.close()


def link(name, near, far_namespace, far):
    """A veth pair: `name` here with the addresses `near`, "far0" in the other namespace with `far`, and a default route back."""
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "far0", "netns", str(far_namespace.pid))
    for address in near:
        run("ip", "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
    for address in far:
        far_namespace.run("ip", "addr", "add", address, "dev", "far0", *(["nodad"] if ":" in address else []))
    run("ip", "link", "set", name, "up")
    far_namespace.run("ip", "link", "set", "far0", "up")
    for address in near:
        family = "-6" if ":" in address else "-4"
        far_namespace.run("ip", family, "route", "add", "default", "via", address.split("/")[0])


class Reader(threading.Thread):
    """Takes all that comes to a socket."""

    def __init__(self, s):
        super().__init__(daemon=True)
        self.socket, self.got, self.done = s, [], False
        s.settimeout(0.1)
        self.start()

    def run(self):
        while not self.done:
            try:
                self.got.append(self.socket.recv(65536))
            except TimeoutError:
                pass
            except OSError:
                return

    def close(self):
        self.done = True
        self.join(DEADLINE)


def numbered(i, size):
    """A packet of `size` bytes that tells which one it is, and whether it was changed."""
    return struct.pack(">I", i) + bytes((i + j) & 0xFF for j in range(8)) + bytes(size - 12)


def shape(verb, device, bits):
    """Makes `device` slow: `bits` a second. `verb` is "add" or "change"."""
    run("tc", "qdisc", verb, "dev", device, "root", "tbf", "rate", str(bits), "burst", "5000", "limit", "4000000")


def backlog(device):
    """Bytes waiting in the kernel for a shaped link."""
    found = re.search(r"backlog (\d+)([KM]?)b", run("tc", "-s", "qdisc", "show", "dev", device))
    return int(found.group(1)) * {"": 1, "K": 1 << 10, "M": 1 << 20}[found.group(2)]


def unread(port, version):
    """Bytes in the receive buffer of the socket of this port, here."""
    with open("/proc/self/net/udp" + ("6" if version == 6 else ""), encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == port:
                return int(fields[4].split(":")[1], 16)
    raise AssertionError("there is no socket of port %d" % port)
