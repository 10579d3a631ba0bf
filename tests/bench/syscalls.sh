#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Counts the system calls that receive and send, and those for memory, per 1,000 relayed packets, under strace, and fails when there are more than were
# committed. Waiting (epoll_wait) is not counted: how often the relay sleeps is up to the scheduler. But it has to sleep for packets to come together
# where they come fast, and never where they come singly.
#
#   tests/bench/syscalls.sh RELAY FZR-BENCH
#
# A count does not depend on the machine's speed as a time would, but on how many packets wait when the relay looks: so the
# generator holds the relay (SIGSTOP) while it sends a window, and the relay finds all of it. Exit status 77: can't be run.
set -euo pipefail

# A new figure is worth a commit when it is lower, and a reason when it is higher.
limit_percent=110
figures() {
  cat <<'END'
gso-1-up       41   --gso --window 64
gso-1-down     41   --gso --window 64 --direction down
plain-1-up     68   --window 64
plain-1-down   68   --window 64 --direction down
plain-100-up   1042 --clients 100 --window 100
plain-100-down 1052 --clients 100 --window 100 --direction down
tcp-100-up     175  --transport tcp --gso --clients 100 --window 1600
tcp-100-down   240  --transport tcp --gso --clients 100 --window 1600 --direction down
END
}

relay=$1 bench=$2 packets=20000
command -v strace >/dev/null || exit 77
if [ -z "${FZR_SYSCALLS_INSIDE:-}" ]; then
  export FZR_SYSCALLS_INSIDE=1
  for how in "-n" "-rn"; do
    if unshare "$how" ip link set lo up 2>/dev/null; then
      exec unshare "$how" "$0" "$@"
    fi
  done
  echo "syscalls.sh: no network namespace of its own" >&2
  exit 77
fi
ip link set lo up

state=$(mktemp -d)
tracer='' traced=''
# shellcheck disable=SC2317 # called by the trap
cleanup() {
  trap - EXIT
  if [ -n "$traced" ]; then kill -KILL "$traced" 2>/dev/null || true; fi
  if [ -n "$tracer" ]; then wait "$tracer" 2>/dev/null || true; fi
  rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
export AUTH_SECRET=count-count-count-count-count-count
strace -f -c -o "$state/count" true 2>/dev/null || exit 77

# Starts the relay under strace with the arguments.
start() {
  strace -f -c -o "$state/count" "$@" "$relay" --public-ip4-addr 127.0.0.1 --bind-ip4-addr 127.0.0.1 --listen-port 4001 --tcp-listen-port 4001 \
    --workers 1 --allow-peer 127.0.0.0/8 --unauthenticated-rate 0 --health-check-addr 127.0.0.1:4004 \
    --control-endpoint 127.0.0.1:4005 >"$state/log" 2>&1 &
  tracer=$!
  for _ in $(seq 100); do
    if "$bench" binding --server 127.0.0.1:4001 --packets 1 --window 1 --seconds 0.2 >/dev/null 2>&1; then break; fi
    sleep 0.05
  done
  read -r traced <"/proc/$tracer/task/$tracer/children"
}

stop() {
  kill -TERM "$traced"
  wait "$tracer" || true
  tracer='' traced=''
}

# Runs the relay under strace with one load; prints its system calls per 1,000 packets.
count() {
  local clients=1
  case "$*" in *"--clients 100"*) clients=100 ;; esac
  start
  "$bench" relay --server 127.0.0.1:4001 --json --seconds 60 --packets $((packets / clients)) --pid "$traced" --in-steps "$@" >"$state/json"
  stop
  local received
  received=$(sed 's/.*"received":\([0-9]*\).*/\1/' "$state/json")
  awk -v packets="$received" '$NF ~ /^(recv|send|madvise|ioctl)/ { n += $4 } END { printf "%d\n", n * 1000 / packets + 0.5 }' "$state/count"
}

# How often the relay sleeps for packets to come together, with one load.
sleeps() {
  start -e trace=clock_nanosleep
  "$bench" relay --server 127.0.0.1:4001 --json --seconds 60 --packets "$packets" "$@" >"$state/json"
  stop
  awk '$NF == "clock_nanosleep" { n = $4 } END { print n + 0 }' "$state/count"
}

status=0
while read -r name figure arguments; do
  best=
  for _ in 1 2 3; do
    # shellcheck disable=SC2086
    found=$(count $arguments)
    if [ -z "$best" ] || [ "$found" -lt "$best" ]; then best=$found; fi
    if [ $((best * 100)) -le $((figure * limit_percent)) ]; then break; fi
  done
  echo "$name: $best system calls per 1,000 packets, committed $figure"
  if [ $((best * 100)) -gt $((figure * limit_percent)) ]; then
    echo "$name: more than $limit_percent % of the committed figure; by call:" >&2
    head -12 "$state/count" >&2
    status=1
  fi
done < <(figures)

fast=$(sleeps --window 64) single=$(sleeps --window 1)
echo "sleeps for packets to come together: $fast with 64 in flight, $single with one"
if [ "$fast" = 0 ] || [ "$single" != 0 ]; then status=1; fi
exit "$status"
