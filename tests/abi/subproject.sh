#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A project with this one as its Meson subproject builds the library alone, and links it.
set -euo pipefail
source=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root/subprojects/firezone-relay"
for part in meson.build meson_options.txt include lib pkgconfig; do
  cp -r "$source/$part" "$root/subprojects/firezone-relay"
done
cp "$source"/examples/simulate.c "$source"/examples/memory_net.[ch] "$root"
cat >"$root/meson.build" <<'END'
project('embedder', 'c', default_options: ['c_std=c11'], meson_version: '>= 1.0.1')
subproject('firezone-relay')
executable('simulate', 'simulate.c', 'memory_net.c', dependencies: dependency('libfzrelay'))
END
# Not what the tests' own build was configured with.
unset MESON_SOURCE_ROOT MESON_BUILD_ROOT
if ! { meson setup "$root/build" "$root" && ninja -C "$root/build"; } >"$root/log" 2>&1; then
  tail -n 30 "$root/log" >&2
  exit 1
fi
"$root/build/simulate" >/dev/null
