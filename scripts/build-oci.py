#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a container image of a relay that has been built, in the format of OCI, without a container engine.

  meson setup build-image -Dbuildtype=release -Dtests=false && ninja -C build-image
  scripts/build-oci.py build-image/cli/firezone-relay image         a folder, in the OCI image layout
  scripts/build-oci.py build-image/cli/firezone-relay image.tar     the same as one file, for "podman load" or "skopeo copy oci-archive:image.tar ..."

In it are the program and the shared libraries that it needs, as they are on this machine, the certificates of authorities, and nothing else: no
shell. It runs as the user 65532. The same program and libraries make the same bytes: no time is in it but SOURCE_DATE_EPOCH, or that of the last commit.
Needs Python's own library, ldd and strip, and no root."""

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

USER = 65532
NAME = "firezone-relay"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
MACHINES = {3: "386", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64"}
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n%s:x:%d:%d::/nonexistent:/sbin/nologin\n" % (NAME, USER, USER),
    "etc/group": "root:x:0:\n%s:x:%d:\n" % (NAME, USER),
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def fail(text):
    sys.exit("build-oci.py: " + text)


def said(*command):
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    except FileNotFoundError:
        fail("there is no %s" % command[0])
    except subprocess.CalledProcessError as error:
        fail("%s: %s" % (" ".join(command), error.stderr.strip()))


def architecture(program):
    with open(program, "rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF":
        fail("'%s' is no program" % program)
    machine = struct.unpack((">" if head[5] == 2 else "<") + "H", head[18:20])[0]
    return MACHINES.get(machine) or fail("no name for the machine %d" % machine)


def libraries(program):
    """The shared libraries of |program|, its loader among them, as paths that are no links' targets: where the loader looks for them."""
    found = []
    for line in said("ldd", program).splitlines():
        if "not found" in line:
            fail("%s: %s" % (program, line.strip()))
        path = re.search(r"(/\S+) \(0x", line)
        if path:
            found.append(path.group(1))
    return found


def package_of(path):
    """(name, dpkg's record, copyright) of the package of Debian that a library is of; None elsewhere."""
    if not shutil.which("dpkg-query"):
        return None
    # A library of /usr/lib may be known as one of /lib.
    for name in (os.path.realpath(path), path, re.sub(r"^/usr", "", os.path.realpath(path))):
        owner = subprocess.run(["dpkg-query", "-S", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
        if owner:
            package = owner.split(": ")[0]
            record = said("dpkg-query", "-s", package)
            return package.split(":")[0], re.sub(r"(?m)^(Conffiles|Description):.*\n( .*\n)*", "", record), "/usr/share/doc/%s/copyright" % package.split(":")[0]
    return None


class Layer:
    """A tar whose bytes depend on nothing but what is in it."""

    def __init__(self, time):
        self.time = time
        self.entries = {}

    def add(self, name, data=None, mode=0o644, user=0):
        """A file, or a folder without |data|; and the folders that it is in."""
        parts = name.split("/")
        for i in range(1, len(parts)):
            if "/".join(parts[:i]) not in self.entries:
                self.entries["/".join(parts[:i])] = (None, 0o755, 0)
        self.entries[name] = (data, mode, user)

    def copy(self, path, name=None, mode=0o644):
        with open(path, "rb") as file:
            self.add(name or path.lstrip("/"), file.read(), mode)

    def compressed(self):
        """(the layer, its digest before it was compressed)"""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name in sorted(self.entries):
                data, mode, user = self.entries[name]
                info = tarfile.TarInfo(name)
                info.mtime, info.mode, info.uid, info.gid = self.time, mode, user, user
                info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
                info.size = len(data or b"")
                tar.addfile(info, io.BytesIO(data or b""))
        plain = out.getvalue()
        return gzip.compress(plain, 9, mtime=0), digest(plain)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def surroundings(program, time):
    """What the program needs of this machine."""
    layer = Layer(time)
    for name, text in TEXTS.items():
        layer.add(name, text.encode())
    layer.copy(CERTIFICATES)
    if os.path.exists("/etc/os-release"):
        layer.copy("/etc/os-release", "etc/os-release")
    for path in libraries(program):
        layer.copy(path, mode=0o755)
        package = package_of(path)
        if package:
            # Whose licenses want to go along; and scanners find the versions there.
            layer.add("var/lib/dpkg/status.d/" + package[0], package[1].encode())
            layer.copy(package[2])
    return layer


def stripped(program):
    with tempfile.NamedTemporaryFile() as out:
        said("strip", "-o", out.name, program)
        with open(out.name, "rb") as file:
            return file.read()


def relay(program, source, time):
    layer = Layer(time)
    layer.add("usr/bin/" + NAME, stripped(program), 0o755)
    for name in ("LICENSE", "LICENSES/BSD-3-Clause.txt"):
        layer.copy(os.path.join(source, name), "usr/share/doc/%s/%s" % (NAME, os.path.basename(name)))
    # For the socket of a hand-over: what mounts an empty volume there gives it the folder's owner, or has to say fsGroup.
    layer.add("run/" + NAME, mode=0o700, user=USER)
    layer.add("tmp", mode=0o1777)
    return layer


def write_layout(folder, program, source, time):
    """The image layout's files."""
    blobs = os.path.join(folder, "blobs/sha256")
    os.makedirs(blobs)

    def blob(data, kind):
        with open(os.path.join(blobs, digest(data)[7:]), "wb") as file:
            file.write(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest(data), "size": len(data)}

    def text(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    version = said(program, "--version").split()[1]
    created = said("date", "-u", "-d", "@%d" % time, "+%Y-%m-%dT%H:%M:%SZ").strip()
    labels = {
        "org.opencontainers.image.title": NAME,
        "org.opencontainers.image.description": "STUN and TURN relay over UDP, TCP and TLS",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.created": created,
    }
    layers = [layer.compressed() for layer in (surroundings(program, time), relay(program, source, time))]
    config = text({
        "architecture": architecture(program),
        "os": "linux",
        "created": created,
        "config": {
            "User": "%d:%d" % (USER, USER),
            "Entrypoint": ["/usr/bin/" + NAME],
            "ExposedPorts": {"3478/udp": {}},
            "Env": ["PATH=/usr/bin"],
            "StopSignal": "SIGTERM",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [plain for _, plain in layers]},
        "history": [{"created": created, "created_by": "scripts/build-oci.py"} for _ in layers],
    })
    manifest = text({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(config, "config.v1+json"),
        "layers": [blob(data, "layer.v1.tar+gzip") for data, _ in layers],
        "annotations": labels,
    })
    entry = blob(manifest, "manifest.v1+json")
    # What it is called once it is loaded: by skopeo; and by podman and containerd.
    name = "%s:%s" % (NAME, version)
    entry["annotations"] = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": "localhost/" + name}
    entry["platform"] = {"architecture": architecture(program), "os": "linux"}
    for name, value in (("index.json", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}),
                        ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(text(value))
    return digest(manifest), sum(len(data) for data, _ in layers)


def pack(folder, path, time):
    layer = Layer(time)
    for at, _, names in os.walk(folder):
        for name in names:
            layer.copy(os.path.join(at, name), os.path.relpath(os.path.join(at, name), folder))
    plain = gzip.decompress(layer.compressed()[0])
    with open(path, "wb") as file:
        file.write(plain)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the relay, as it was built")
    parser.add_argument("out", help="a folder that is not there yet, or a name that ends with .tar")
    arguments = parser.parse_args()
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.exists(arguments.out):
        fail("'%s' is there already" % arguments.out)
    if not os.path.exists(CERTIFICATES):
        fail("there is no %s: install ca-certificates" % CERTIFICATES)
    time = int(os.environ.get("SOURCE_DATE_EPOCH") or said("git", "-c", "safe.directory=*", "-C", source, "log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as folder:
        manifest, size = write_layout(folder, arguments.program, source, time)
        if arguments.out.endswith(".tar"):
            pack(folder, arguments.out, time)
        else:
            shutil.copytree(folder, arguments.out)
    print("%s: %s, %.1f MB of layers" % (arguments.out, manifest, size / 1e6))


if __name__ == "__main__":
    main()
