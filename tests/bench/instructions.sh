#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Counts the instructions that the engine takes for each packet, and the UDP adapter with it for a turn that finds one datagram, in user
# mode, under valgrind, and fails when there are more than 110 % of what was committed. A count does not depend on the machine's speed or
# load.
#
#   tests/bench/instructions.sh FZR-BENCH-ENGINE FZR-BENCH-TURN
#
# The figures are of gcc 12 at -O2, the default build; a build that is not optimised can't be compared. Exit status 77: can't be run.
set -euo pipefail

# A new figure is worth a commit when it is lower, and a reason when it is higher. The bar is what no figure may reach, whatever
# was committed: 150 for packets of a run, 400 for packets at random.
limit_percent=110
figures() {
  cat <<'END'
up-gro      16   150
up-run      126  150
up-random   339  400
up-single   430  -
down-gro    8    150
down-run    101  150
down-random 266  400
down-single 358  400
send-gro    64   150
send-run    199  -
send-random 734  -
send-single 819  -
data-gro    44   150
data-run    196  -
data-random 498  -
data-single 597  -
binding     1332 -
refresh     20617 -
bind        21943 -
bind+journal 22790 -
turn-up     1514 -
turn-down   1594 -
END
}

engine=$1 turn=$2 allocations=200 packets=8000 requests=640 turns=500
command -v valgrind >/dev/null || exit 77
valgrind --tool=callgrind --callgrind-out-file=/dev/null true 2>/dev/null || exit 77

count() {
  local n=$packets command
  case "$1" in binding | refresh | bind | bind+journal) n=$requests ;; turn-*) n=$turns ;; esac
  case "$1" in
    turn-*) command=("$turn" "${1#turn-}" "$n") ;;
    bind | bind+journal) command=("$engine" --case channel-bind --allocations "$allocations" --packets "$n") ;;
    *) command=("$engine" --case "$1" --allocations "$allocations" --packets "$n") ;;
  esac
  [[ $1 != *+journal ]] || command+=(--journal)
  valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no --toggle-collect='bench_measured*' \
    "${command[@]}" 2>&1 >/dev/null |
    awk -v n="$n" '/Collected/ { printf "%d\n", $NF / n + 0.5; found = 1 } END { exit !found }'
}

status=0
while read -r name figure bar; do
  if ! found=$(count "$name"); then
    echo "instructions.sh: '$name' could not be counted" >&2
    exit 1
  fi
  echo "$name: $found instructions per packet, committed $figure, bar $bar"
  if [ $((found * 100)) -gt $((figure * limit_percent)) ]; then
    echo "$name: more than $limit_percent % of the committed figure" >&2
    status=1
  fi
  if [ "$bar" != - ] && [ "$found" -gt "$bar" ]; then
    echo "$name: more than the bar" >&2
    status=1
  fi
done < <(figures)
exit "$status"
