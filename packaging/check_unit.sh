#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit exposes next to nothing by systemd's own measure, and has no line that systemd does not know.
set -euo pipefail
unit=$1
systemd-analyze security --help 2>/dev/null | grep -q -- --offline || {
  echo "skipped: systemd-analyze security --offline is not here"
  exit 77
}
# 0 is a locked box, 100 is everything: what is left is the network, which a relay is about, and Unix sockets, by which one relay hands over to
# the next and systemd is told of it.
systemd-analyze security --offline=true --no-pager --threshold=14 "$unit"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# With what its head proposes for ports below 1024, which stands behind all else, as "systemctl edit" has it: one capability more, and no other.
mkdir "$root/port"
low="$root/port/${unit##*/}"
sed -n '/^# For a port below 1024/,/^# For the kernel/s/^#   \([A-Z][A-Za-z]*=.*\)/\1/p' "$unit" >"$root/low"
grep -q '^AmbientCapabilities=CAP_NET_BIND_SERVICE$' "$root/low"
sed "/^SystemCallErrorNumber=/r $root/low" "$unit" >"$low"
systemd-analyze security --offline=true --no-pager --threshold=17 "$low" | tail -n 1
if systemd-analyze security --offline=true --no-pager "$low" | grep '^✗ CapabilityBoundingSet=' | grep -v 'NET_(BIND_SERVICE|'; then
  echo "the lines for ports below 1024 give more than CAP_NET_BIND_SERVICE" >&2
  exit 1
fi
verify() { # the unit, with the lines of standard input added to its service
  sed "s,^\(Exec[A-Za-z]*\)=.*,\1=/bin/true,; /^Documentation=/d; /^DynamicUser=/r /dev/stdin" "$unit" >"$root/${unit##*/}"
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
