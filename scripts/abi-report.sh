#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reports how the library's ABI differs from that of the last release: functions, types and layouts, by abidiff, of what the public headers
# say. Both are built here, with the debugging information that abidiff reads. A report, no test: until 1.0 the ABI may change.
#
#   scripts/abi-report.sh [REVISION]     compares with REVISION, or with the newest tag v…; needs abidiff (Debian: abigail-tools)
#
# Exit status 0: compatible, or there is nothing to compare with; 1: functions or types were added or changed; 2: something that programs use
# has changed or gone, so that the soname has to change with a release; 3: it could not be found out.
set -euo pipefail
cd "$(dirname "$0")/.."

old=${1:-$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null || true)}
if [ -z "$old" ]; then
  echo "abi-report.sh: no release has been tagged (v…), so there is nothing to compare with"
  exit 0
fi
command -v abidiff >/dev/null || {
  echo "abi-report.sh: needs abidiff: apt-get install abigail-tools" >&2
  exit 3
}
git rev-parse --verify --quiet "$old^{commit}" >/dev/null || {
  echo "abi-report.sh: there is no revision '$old'" >&2
  exit 3
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Builds the sources in $1 and installs the library into $1/root.
build() {
  local what
  for what in cli examples tests; do
    grep -q "'$what'" "$1/meson_options.txt" && echo "-D$what=$([ $what = cli ] && echo disabled || echo false)"
  done >"$1/options"
  if ! {
    xargs meson setup "$1/build" "$1" --buildtype=debug --prefix=/usr --libdir=lib <"$1/options" &&
      ninja -C "$1/build" && DESTDIR=$1/root meson install -C "$1/build" --no-rebuild
  } >"$1/log" 2>&1; then
    tail -n 30 "$1/log" >&2
    exit 3
  fi
}

mkdir "$work/old" "$work/new"
git archive "$old" | tar -x -C "$work/old"
# What is here, changes that are not committed included.
# shellcheck disable=SC2016
git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' - |
  tar -c --null -T - | tar -x -C "$work/new"
build "$work/old"
build "$work/new"

echo "abi-report.sh: $old, and what is here"
status=0
abidiff --headers-dir1 "$work/old/root/usr/include" --headers-dir2 "$work/new/root/usr/include" \
  "$work/old/root/usr/lib/libfzrelay.so" "$work/new/root/usr/lib/libfzrelay.so" || status=$?
# abidiff's bits: 1 and 2 it failed, 4 there are changes, 8 incompatible ones.
if [ $((status & 3)) -ne 0 ]; then
  exit 3
elif [ $((status & 8)) -ne 0 ]; then
  exit 2
elif [ "$status" -ne 0 ]; then
  exit 1
fi
echo "abi-report.sh: no difference"
