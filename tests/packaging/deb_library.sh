#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where libfzrelay-dev is installed: an example is built against it, shared and static, and needs of the packages what it has to. $1: the sources.
set -euo pipefail
source=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck disable=SC2046 # flags are words
cc -o "$folder/shared" "$source/examples/simulate.c" "$source/examples/memory_net.c" $(pkg-config --cflags --libs libfzrelay)
# shellcheck disable=SC2046
cc -o "$folder/static" "$source/examples/simulate.c" "$source/examples/memory_net.c" -Wl,-Bstatic $(pkg-config --cflags --libs --static libfzrelay) -Wl,-Bdynamic
"$folder/shared"
"$folder/static"
objdump -p "$folder/shared" | grep 'NEEDED *libfzrelay.so.0$'
if objdump -p "$folder/static" | grep 'NEEDED *libfzrelay'; then
  exit 1
fi
# Until 1.0 each minor release may break the ABI, which all have the soname 0: so a program needs this one, and none after it.
mkdir "$folder/debian"
printf 'Source: try\n\nPackage: try\nArchitecture: any\n' >"$folder/debian/control"
needs=$(cd "$folder" && dpkg-shlibdeps -O shared 2>/dev/null)
echo "$needs"
[[ $needs = *"libfzrelay0 (>= "* && $needs = *"libfzrelay0 (<< "* ]]
ls /usr/share/doc/libfzrelay-dev/examples/minimal_poll.c
