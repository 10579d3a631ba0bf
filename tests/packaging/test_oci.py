# SPDX-License-Identifier: Apache-2.0
"""scripts/build-oci.py: the image is what OCI says, the same each time, small, readable for others' tools, and relays as a user that is not root."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from harness import SECRET, PortBlock, Process, answers_binding, clean_environment, main, wait_for  # noqa: E402

import socket  # noqa: E402

SCRIPT, BINARY = sys.argv.pop(1), sys.argv.pop(1)
MOST = 15_000_000
# What a container runtime does: a root of the image alone, with a /proc, and the image's user, who has no capability.
RUNTIME = """set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
root=$1 user=$2
shift 2
exec chroot --userspec "$user" --groups= "$root" "$@"
"""


def build(out):
    done = subprocess.run([SCRIPT, BINARY, out], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


def tree(folder):
    """{path: (mode, content)} of all files and folders."""
    found = {}
    for at, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(at, name)
            data = None
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    data = file.read()
            found[os.path.relpath(path, folder)] = (os.stat(path).st_mode, data)
    return found


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.image = os.path.join(cls.folder.name, "image")
        build(cls.image)
        cls.index = cls.json("index.json")
        cls.manifest = json.loads(cls.blob(cls.index["manifests"][0]))
        cls.config = json.loads(cls.blob(cls.manifest["config"]))
        cls.root = os.path.join(cls.folder.name, "root")
        os.mkdir(cls.root)
        for layer in cls.manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(cls.blob(layer))) as tar:
                # Nothing of it may leave the folder, nor be anything but files and folders.
                for member in tar.getmembers():
                    assert not member.name.startswith("/") and ".." not in member.name.split("/") and (member.isfile() or member.isdir()), member.name
                tar.extractall(cls.root)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def json(cls, name):
        with open(os.path.join(cls.image, name), encoding="utf-8") as file:
            return json.load(file)

    @classmethod
    def blob(cls, descriptor):
        """What a descriptor names, if it is what it says."""
        kind, name = descriptor["digest"].split(":")
        with open(os.path.join(cls.image, "blobs", kind, name), "rb") as file:
            data = file.read()
        assert kind == "sha256" and hashlib.sha256(data).hexdigest() == name and len(data) == descriptor["size"], descriptor
        return data

    def test_the_layout(self):
        self.assertEqual(self.json("oci-layout"), {"imageLayoutVersion": "1.0.0"})
        self.assertEqual(self.index["schemaVersion"], 2)
        plain = ["sha256:" + hashlib.sha256(gzip.decompress(self.blob(layer))).hexdigest() for layer in self.manifest["layers"]]
        self.assertEqual(self.config["rootfs"], {"type": "layers", "diff_ids": plain})
        self.assertEqual(self.config["architecture"], self.index["manifests"][0]["platform"]["architecture"])
        used = {d["digest"][7:] for d in self.manifest["layers"] + [self.manifest["config"]] + self.index["manifests"]}
        self.assertEqual(set(os.listdir(os.path.join(self.image, "blobs/sha256"))), used)
        self.assertRegex(self.config["config"]["User"], r"^[1-9]\d*:[1-9]\d*$")
        self.assertLess(sum(os.path.getsize(os.path.join(at, n)) for at, _, names in os.walk(self.image) for n in names), MOST)

    def test_it_is_the_same_each_time(self):
        again = os.path.join(self.folder.name, "again")
        build(again)
        self.assertEqual(tree(again), tree(self.image))

    def test_one_file(self):
        path = os.path.join(self.folder.name, "image.tar")
        build(path)
        with tarfile.open(path) as tar:
            files = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}
        self.assertEqual(files, {name: data for name, (_, data) in tree(self.image).items() if data is not None})

    def test_what_is_in_it(self):
        with open(os.path.join(self.root, "etc/passwd"), encoding="ascii") as file:
            self.assertIn("firezone-relay:x:%s:" % self.config["config"]["User"], file.read())
        with open(os.path.join(self.root, "etc/ssl/certs/ca-certificates.crt"), encoding="ascii") as file:
            self.assertIn("BEGIN CERTIFICATE", file.read())
        for name in os.listdir(os.path.join(self.root, "var/lib/dpkg/status.d")) if shutil.which("dpkg-query") else []:
            self.assertTrue(os.path.exists(os.path.join(self.root, "usr/share/doc", name, "copyright")), name)
            with open(os.path.join(self.root, "var/lib/dpkg/status.d", name), encoding="utf-8") as file:
                self.assertRegex(file.read(), r"(?m)^Package: %s\n(.*\n)*Version: \S" % re.escape(name))

    @unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
    def test_skopeo_reads_it(self):
        name = "oci:%s" % self.image
        told = json.loads(subprocess.run(["skopeo", "inspect", name], check=True, stdout=subprocess.PIPE).stdout)
        self.assertEqual(told["Digest"], self.index["manifests"][0]["digest"])
        self.assertEqual(told["Layers"], [layer["digest"] for layer in self.manifest["layers"]])
        # It looks at each blob when it makes another format of it.
        subprocess.run(["skopeo", "copy", "--insecure-policy", name, "docker-archive:%s/docker.tar:relay:try" % self.folder.name], check=True,
                       stdout=subprocess.DEVNULL)

    @unittest.skipUnless(shutil.which("umoci"), "umoci is not installed")
    def test_umoci_unpacks_it(self):
        bundle = os.path.join(self.folder.name, "bundle")
        version = self.index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        rootless = [] if os.geteuid() == 0 else ["--rootless"]
        subprocess.run(["umoci", "unpack", "--image", "%s:%s" % (self.image, version)] + rootless + [bundle], check=True, stdout=subprocess.DEVNULL)
        self.assertTrue(tree(os.path.join(bundle, "rootfs")) == tree(self.root), "what umoci has unpacked is something else")
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            process = json.load(file)["process"]
        self.assertEqual(process["args"], ["/usr/bin/firezone-relay"])
        self.assertEqual("%(uid)d:%(gid)d" % process["user"], self.config["config"]["User"])

    @unittest.skipUnless(os.geteuid() == 0, "not root: a root of its own can't be made")
    def test_it_relays(self):
        root = os.path.join(self.folder.name, "run")
        subprocess.run(["cp", "-a", self.root, root], check=True)
        os.mkdir(os.path.join(root, "proc"))
        lowest, highest = PortBlock.take(20)
        self.addCleanup(PortBlock.give_back, lowest)
        environment = clean_environment({
            "PUBLIC_IP4_ADDR": "127.0.0.1", "BIND_IP4_ADDR": "127.0.0.1", "LISTEN_PORT": "0", "LOWEST_PORT": str(lowest), "HIGHEST_PORT": str(highest),
            "AUTH_SECRET": SECRET, "HEALTH_CHECK_ADDR": "127.0.0.1:0",
            "HANDOVER_SOCKET": "/run/firezone-relay/handover", "CONTROL_SOCKET": "/run/firezone-relay/control",
        })
        command = ["unshare", "--mount", "sh", "-c", RUNTIME, "sh", root, self.config["config"]["User"]] + self.config["config"]["Entrypoint"]
        relay = Process(command, environment)
        try:
            port = int(wait_for(lambda: relay.find(r"Listening on \S+:(\d+),"), "the relay to listen").group(1))
            wait_for(lambda: answers_binding(socket.AF_INET, "127.0.0.1", port, 0.2), "an answer to a Binding request")
            with open("/proc/%d/status" % relay.process.pid, encoding="ascii") as file:
                status = file.read()
            user, group = self.config["config"]["User"].split(":")
            self.assertRegex(status, r"(?m)^Uid:\s+%s\s+%s\s" % (user, user))
            self.assertRegex(status, r"(?m)^Gid:\s+%s\s" % group)
            self.assertRegex(status, r"(?m)^CapEff:\s+0+$")
            wait_for(lambda: os.path.exists(os.path.join(root, "run/firezone-relay/handover")), "the socket of a hand-over")
            # Its probe, which is the same program, sends data through it and back.
            probe = subprocess.run(command + ["probe", "turn:127.0.0.1:%d" % port], env=clean_environment({"AUTH_SECRET": SECRET}), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(probe.returncode, 0, probe.stdout)
            self.assertRegex(probe.stdout.splitlines()[-1], "^works")
            sessions = subprocess.run(command + ["sessions"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(sessions.returncode, 0, sessions.stdout)
        finally:
            relay.kill()


if __name__ == "__main__":
    main()
