#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit exposes next to nothing by systemd's own measure, and has no line that systemd does not know.
set -euo pipefail
unit=$1
systemd-analyze security --help 2>/dev/null | grep -q -- --offline || {
  echo "skipped: systemd-analyze security --offline is not here"
  exit 77
}
# 0 is a locked box, 100 is everything: what is left is the network, which a relay is about.
systemd-analyze security --offline=true --no-pager --threshold=12 "$unit"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
verify() { # the unit, with the lines of standard input added to its service
  sed "s|^ExecStart=.*|ExecStart=/bin/true|; /^Documentation=/d; /^DynamicUser=/r /dev/stdin" "$unit" >"$root/${unit##*/}"
  local complaints
  complaints=$(systemd-analyze verify --man=no "$root/${unit##*/}" 2>&1 | grep -F "${unit##*/}" || true)
  if [ -n "$complaints" ]; then
    echo "$complaints" >&2
    exit 1
  fi
}
verify </dev/null
# And what its head proposes to add.
sed -n 's/^#   \([A-Z][A-Za-z]*=.*\)/\1/p' "$unit" >"$root/proposed"
grep -q '^LoadCredential=' "$root/proposed"
verify <"$root/proposed"
