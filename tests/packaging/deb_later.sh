#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes of the package $1 one of a later version, in the folder $2: the program says 0.2.9, the rest is the same.
set -euo pipefail
package=$1 folder=$2
mkdir -p "$folder"
dpkg-deb -R "$package" "$folder/tree"
version=$(dpkg-deb -f "$package" Version)
python3 - "$folder/tree/usr/bin/firezone-relay" "$version" <<'P'
import sys
path, version = sys.argv[1:]
with open(path, "rb") as file:
    data = file.read()
old = b"\0" + version.encode() + b"\0"
assert old in data
with open(path, "wb") as file:
    file.write(data.replace(old, b"\0" + version.encode()[:-1] + b"9\0"))
P
sed -i "s/^Version: .*/Version: ${version%?}9/" "$folder/tree/DEBIAN/control"
(cd "$folder/tree" && md5sum usr/bin/firezone-relay) >"$folder/sum"
sed -i "s,^.*  usr/bin/firezone-relay\$,$(cat "$folder/sum")," "$folder/tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -b "$folder/tree" "$folder/"
rm -rf "$folder/tree" "$folder/sum"
