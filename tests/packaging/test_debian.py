# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: built out of a copy of this tree, without a word of lintian's that is an error, and with what they have to have in them.
scripts/test-packages.sh installs, upgrades and purges them."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = sys.argv.pop(1)
TOOLS = ("dpkg-buildpackage", "dh", "lintian", "git", "help2man")


def read(name):
    with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
        return file.read()


class Versions(unittest.TestCase):
    """There is one, and all have it."""

    def test_versions(self):
        version = re.search(r"(?m)^  version: '([^']+)',$", read("meson.build")).group(1)
        major, minor, _ = version.split(".")
        self.assertEqual(re.match(r"firezone-relay \(([^)]+)\)", read("debian/changelog")).group(1), version)
        # Until 1.0 a minor release may break the ABI, whose name stays: a program needs this minor release, and none after it.
        self.assertEqual(major, "0")
        self.assertEqual(read("debian/libfzrelay0.symbols"),
                         "libfzrelay.so.0 libfzrelay0 #MINVER#, libfzrelay0 (<< 0.%d~)\n* Build-Depends-Package: libfzrelay-dev\n"
                         " (symver)FZRELAY_0.%s 0.%s.0\n" % (int(minor) + 1, minor, minor))
        chart = read("packaging/kubernetes/chart/Chart.yaml")
        self.assertEqual(re.findall(r"(?m)^(?:version|appVersion): \"?([^\"\n]+)\"?$", chart), [version, version])
        self.assertIn("image: registry.example/firezone-relay:%s\n" % version, read("packaging/kubernetes/relay.yaml"))


@unittest.skipUnless(all(shutil.which(tool) for tool in TOOLS), "missing: " + ", ".join(t for t in TOOLS if not shutil.which(t)))
class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        tree = os.path.join(cls.folder, "tree")
        git = ["git", "-c", "safe.directory=*", "-C", SOURCE, "ls-files", "-z"]
        for name in subprocess.run(git, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0"):
            if name and os.path.lexists(os.path.join(SOURCE, name)):
                os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
                shutil.copy2(os.path.join(SOURCE, name), os.path.join(tree, name), follow_symlinks=False)
        ours = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "DESTDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS")
        environment = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("MESON")}
        cls.run_in(tree, ["dpkg-buildpackage", "-us", "-uc", "-b"], {**environment, "DEB_BUILD_OPTIONS": "nocheck noautodbgsym", "DEB_BUILD_PROFILES": "nocheck"})

    @classmethod
    def run_in(cls, at, command, environment=None):
        done = subprocess.run(command, cwd=at, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, "%s: status %d\n%s" % (command[0], done.returncode, done.stdout[-8000:])
        return done.stdout

    def package(self, name):
        path, = glob.glob(os.path.join(self.folder, name + "_*.deb"))
        return path

    def files(self, name):
        """{path: (rights, owner)}"""
        lines = self.run_in(self.folder, ["dpkg-deb", "-c", self.package(name)]).splitlines()
        return {line.split(None, 5)[5].split(" -> ")[0].lstrip("."): tuple(line.split(None, 2)[:2]) for line in lines}

    def field(self, name, field):
        return self.run_in(self.folder, ["dpkg-deb", "-f", self.package(name), field]).strip()

    def test_lintian(self):
        changes, = glob.glob(os.path.join(self.folder, "*.changes"))
        said = self.run_in(self.folder, ["lintian", "--fail-on", "error,warning"] + (["--allow-root"] if os.geteuid() == 0 else []) + [changes])
        self.assertNotIn("unused override", said)

    def test_the_relay(self):
        files = self.files("firezone-relay")
        unit = [path for path in files if re.fullmatch(r"(/usr)?/lib/systemd/system/firezone-relay\.service", path)]
        self.assertEqual(len(unit), 1)
        for path in ("/usr/bin/firezone-relay", "/usr/bin/fzr-bench", "/usr/share/man/man1/firezone-relay.1.gz", "/usr/share/man/man1/fzr-bench.1.gz",
                     "/usr/libexec/firezone-relay/docker-init-relay.sh"):
            self.assertIn(path, files)
        # What root alone need read, and nothing that holds a secret from the start.
        self.assertEqual(files["/etc/firezone-relay.env"], ("-rw-------", "root/root"))
        self.assertEqual([p for p in files if p.startswith("/etc/") and not p.endswith("/")], ["/etc/firezone-relay.env"])
        # It relays in the kernel, too, and has the library's code in it.
        self.assertIn("libbpf", self.field("firezone-relay", "Depends"))
        self.assertNotIn("libfzrelay0", self.field("firezone-relay", "Depends"))

    def test_an_upgrade_is_a_hand_over(self):
        """Nothing in the scripts restarts the relay, and it is stopped when it is removed alone."""
        control = os.path.join(self.folder, "control")
        self.run_in(self.folder, ["dpkg-deb", "-e", self.package("firezone-relay"), control])
        text = {}
        for name in ("postinst", "prerm", "postrm"):
            with open(os.path.join(control, name), encoding="utf-8") as file:
                text[name] = file.read()
        for script in text.values():
            self.assertNotRegex(script, r"deb-systemd-invoke\b.*\b(restart|try-restart|\$_dh_action)")
        self.assertFalse(os.path.exists(os.path.join(control, "preinst")))
        self.assertIn("deb-systemd-invoke reload firezone-relay.service", text["postinst"])
        self.assertEqual(re.findall(r"deb-systemd-invoke (.*)", text["prerm"]), ["stop firezone-relay.service"])

    def test_the_library(self):
        self.assertTrue([p for p in self.files("libfzrelay0") if re.fullmatch(r"/usr/lib/[^/]+/libfzrelay\.so\.0", p)])
        files = self.files("libfzrelay-dev")
        for pattern in (r"/usr/include/firezone_relay/firezone_relay\.h", r"/usr/lib/[^/]+/libfzrelay\.so", r"/usr/lib/[^/]+/libfzrelay\.a",
                        r"/usr/lib/[^/]+/pkgconfig/libfzrelay\.pc", r"/usr/share/doc/libfzrelay-dev/examples/minimal_poll\.c"):
            self.assertTrue([p for p in files if re.fullmatch(pattern, p)], pattern)
        version = self.field("libfzrelay0", "Version")
        self.assertIn("libfzrelay0 (= %s)" % version, self.field("libfzrelay-dev", "Depends"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
