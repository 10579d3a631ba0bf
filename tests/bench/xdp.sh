#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the kernel data path costs, on veth in network namespaces of its own, and prints Markdown tables. Needs root.
#
#   tests/bench/xdp.sh [OPTIONS]
#
#   --build DIR        where this was built [default: build]
#   --repetitions N    of each case, the variants taking turns; the tables have the medians [default: 3]
#   --seconds S        a measurement's length [default: 1]
#   --raw FILE         write each measurement there
#   --smoke            a run of a few seconds that proves that this script works, and nothing else
#   --help             this text
#
# The relay's end of the link has a threaded NAPI, pinned to one core together with the relay; its CPU time and the relay's are what is
# counted. The generator has another core. "frames" are made in the kernel and handed over as a driver does; "sockets" are
# fzr-bench's, whose packets veth has to copy into pages before XDP sees them.
set -euo pipefail

build=build repetitions=3 seconds=1 raw='' smoke=false
while [ $# -gt 0 ]; do
  case "$1" in
  --build) build=$2 && shift ;;
  --repetitions) repetitions=$2 && shift ;;
  --seconds) seconds=$2 && shift ;;
  --raw) raw=$2 && shift ;;
  --smoke) smoke=true repetitions=1 seconds=0.1 ;;
  -h | --help)
    sed -n '3,16s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "xdp.sh: unknown argument '$1'; see --help" >&2
    exit 2
    ;;
  esac
  shift
done
export PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ]; then
  echo "xdp.sh: needs root" >&2
  exit 77
fi
for tool in ip ethtool taskset; do
  if ! command -v $tool >/dev/null; then
    echo "xdp.sh: no $tool here" >&2
    exit 77
  fi
done
if [ ! -x "$build/tests/bench/xdp-bench" ]; then
  echo "xdp.sh: $build has no kernel data path" >&2
  exit 77
fi

near=fzxr$$ far=fzxg$$
state=$(mktemp -d)
mkfifo "$state/hold" # what nobody writes to
results=$state/results
server_pid='' stub_pids=()
stop_server() {
  if [ -n "$server_pid" ]; then
    kill -KILL "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
  fi
  server_pid=''
}
stop_stubs() {
  local pid
  for pid in "${stub_pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  stub_pids=()
}
# shellcheck disable=SC2317 # called by the trap
cleanup() {
  trap - EXIT
  stop_server
  stop_stubs
  if [ -n "${holder:-}" ]; then kill "$holder" 2>/dev/null || true; fi
  ip netns del "$near" 2>/dev/null || true
  ip netns del "$far" 2>/dev/null || true
  rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# ---- the network: client and one peer by zc0-zg0, another peer by zp0-zh0 ----

server_core=0 generator_core=1
if [ "$(nproc)" -lt 2 ]; then generator_core=0; fi
in_near() { ip netns exec "$near" "$@"; }
in_far() { ip netns exec "$far" "$@"; }

make_link() {
  local near_if=$1 far_if=$2 net=$3
  ip link add "$near_if" netns "$near" numtxqueues 1 numrxqueues 1 type veth peer name "$far_if" netns "$far" numtxqueues 1 numrxqueues 1
  in_near ip addr add "$net.1/24" dev "$near_if"
  in_far ip addr add "$net.2/24" dev "$far_if"
  in_far ip addr add "$net.3/24" dev "$far_if"
  in_near ethtool -K "$near_if" gro on
  in_far ethtool -K "$far_if" gro on
  in_near ip link set "$near_if" up
  in_far ip link set "$far_if" up
  in_near sh -c "echo 1 >/sys/class/net/$near_if/threaded; echo 1 >/proc/sys/net/ipv4/conf/$near_if/forwarding"
  in_far sh -c "echo 1 >/sys/class/net/$far_if/threaded"
  local mac
  mac=$(in_far cat "/sys/class/net/$far_if/address")
  in_near ip neigh replace "$net.2" lladdr "$mac" dev "$near_if" nud permanent
  in_near ip neigh replace "$net.3" lladdr "$mac" dev "$near_if" nud permanent
  mac=$(in_near cat "/sys/class/net/$near_if/address")
  in_far ip neigh replace "$net.1" lladdr "$mac" dev "$far_if" nud permanent
}
ip netns add "$near"
ip netns add "$far"
in_near ip link set lo up
in_far ip link set lo up
make_link zc0 zg0 10.99.1
make_link zp0 zh0 10.99.2
to_mac=$(in_near cat /sys/class/net/zc0/address)
ip netns exec "$near" sleep infinity &
holder=$!

# The thread that does an interface's NAPI; it may be made anew when a program comes or goes.
napi_of() { pgrep -n "^napi/$1-"; }
pin() {
  local interface
  for interface in zc0 zp0; do taskset -cp $server_core "$(napi_of $interface)" >/dev/null; done
  for interface in zg0 zh0; do taskset -cp $generator_core "$(napi_of $interface)" >/dev/null; done
}
cpu_of() { # of all threads of the processes
  local pid total=0
  for pid in "$@"; do
    total=$((total + $(cat /proc/"$pid"/task/*/schedstat | awk '{ n += $1 } END { printf "%d", n }')))
  done
  echo $total
}

# ---- servers ----

export AUTH_SECRET=xdp-bench-xdp-bench-xdp-bench-xdp
wait_for_line() {
  for _ in $(seq 200); do
    if grep -q "$1" "$state/log"; then return 0; fi
    if [ -n "$server_pid" ] && ! kill -0 "$server_pid" 2>/dev/null; then break; fi
    sleep 0.02
  done
  echo "xdp.sh: '$1' did not come:" >&2
  cat "$state/log" >&2
  return 1
}
start_relay() {
  : >"$state/log"
  ip netns exec "$near" taskset -c $server_core "$build/cli/firezone-relay" --public-ip4-addr 10.99.1.1 --bind-ip4-addr 10.99.1.1 --listen-port 3478 \
    --lowest-port 50000 --highest-port 50999 --workers 1 --unauthenticated-rate 0 --health-check-addr 127.0.0.1:0 \
    --control-endpoint 127.0.0.1:0 "$@" >"$state/log" 2>&1 &
  server_pid=$!
  wait_for_line 'Listening on'
  if [[ " $* " == *" native "* || " $* " == *" generic "* ]]; then wait_for_line 'relayed in the kernel'; fi
}
start_coturn() {
  : >"$state/log"
  ip netns exec "$near" taskset -c $server_core turnserver -n --listening-ip 10.99.1.1 --relay-ip 10.99.1.1 --listening-port 3478 --min-port 50000 \
    --max-port 50999 --lt-cred-mech --user bench:bench --realm bench --no-cli --no-tls --no-dtls --no-tcp --no-tcp-relay \
    --relay-threads 1 --no-stdout-log --simple-log --log-file /dev/null --userdb "$state/turndb" --pidfile "$state/turn.pid" \
    >"$state/log" 2>&1 &
  server_pid=$!
  for _ in $(seq 200); do
    if in_near ss -lunH "sport = :3478" | grep -q 3478; then return 0; fi
    sleep 0.02
  done
  return 1
}
start_stub() { # namespace mode interface
  local out=$state/stub.$RANDOM
  mkfifo "$out"
  ip netns exec "$1" "$build/tests/xdp/xdp-stub" ${2:+"$2"} "$3" 0<>"$state/hold" >"$out" &
  stub_pids+=($!)
  grep -q attached "$out"
}


# ---- cases ----

note() { # section variant size metric value
  echo "$1|$2|$3|$4|$5" >>"$results"
}
field() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p"; }

# frames SECTION VARIANT SIZE PER ARGS...: PER is what a packet is counted by, "in" or "back".
frames() {
  local section=$1 variant=$2 size=$3 per=$4 out
  shift 4
  pin
  out=$(in_far taskset -c $generator_core "$build/tests/bench/xdp-bench" --interface zg0 --near zc0 --near-pid $holder \
    --napi-pid "$(napi_of zc0)" --to-mac "$to_mac" --size "$size" --seconds "$seconds" "$@")
  note "$section" "$variant" "$size" ns "$(awk -v c="$(field cpu_ns <<<"$out")" -v n="$(field "$per" <<<"$out")" 'BEGIN { printf "%.0f", n ? c / n : 0 }')"
  note "$section" "$variant" "$size" rate "$(awk -v n="$(field "$per" <<<"$out")" -v s="$(field seconds <<<"$out")" 'BEGIN { printf "%.0f", n / s }')"
}
relayed_frames() { # SECTION VARIANT SIZE PER PEER BACK ARGS...
  local section=$1 variant=$2 size=$3 per=$4 peer=$5 back=$6
  shift 6
  frames "$section" "$variant" "$size" "$per" --server 10.99.1.1:3478 --peer "$peer" --back "$back" --relay-pid "$server_pid" \
    --user "$(sed -n 's/^username: *//p' "$state/login")" --password "$(sed -n 's/^password: *//p' "$state/login")" "$@"
}

sockets() { # SECTION VARIANT SIZE LOGIN...
  local section=$1 variant=$2 size=$3 napi before after out
  shift 3
  pin
  mapfile -t napi < <(pgrep "^napi/zc0-")
  before=$(cpu_of "${napi[@]}" "$server_pid")
  out=$(in_far taskset -c $generator_core "$build/tests/bench/fzr-bench" relay --server 10.99.1.1:3478 --peer 10.99.1.2 --direction both \
    --window 64 --size "$size" --seconds "$seconds" --json "$@")
  after=$(cpu_of "${napi[@]}" "$server_pid")
  note "$section" "$variant" "$size" ns "$(awk -v c=$((after - before)) -v n="$(field received <<<"$out")" 'BEGIN { printf "%.0f", n ? c / n : 0 }')"
  note "$section" "$variant" "$size" rate "$(field rate <<<"$out" | sed 's/\..*//')"
}
sender_offload() { in_far ethtool -K zg0 tx "$1" >/dev/null; }

saturated() {
  local size=$1
  start_stub "$near" --drop zc0
  frames saturated 'DROP, no work' "$size" in
  stop_stubs
  start_stub "$near" --swap zc0
  frames saturated 'MAC swap + TX, no TURN' "$size" in
  stop_stubs
  start_relay --xdp native --xdp-interface zc0 --xdp-route swap
  relayed_frames saturated 'native, TX (swap), up' "$size" in 10.99.1.3:9999 zg0
  relayed_frames saturated 'native, TX (swap), down' "$size" in 10.99.1.3:9999 zg0 --down
  stop_server
  start_relay --xdp native --xdp-interface zc0 --xdp-interface zp0
  relayed_frames saturated 'native, TX (fib), up' "$size" in 10.99.1.3:9999 zg0
  relayed_frames saturated 'native, REDIRECT (fib), up' "$size" in 10.99.2.3:9999 zh0
  stop_server
  start_relay --xdp generic --xdp-interface zc0 --xdp-route swap
  relayed_frames saturated 'generic, TX (swap), up' "$size" in 10.99.1.3:9999 zg0
  stop_server
}

diluted() {
  local size=$1
  start_relay --xdp native --xdp-interface zc0 --xdp-route swap
  relayed_frames diluted 'native' "$size" back 10.99.1.3:9999 zg0 --rate 120000
  stop_server
  start_relay --xdp generic --xdp-interface zc0 --xdp-route swap
  relayed_frames diluted 'generic' "$size" back 10.99.1.3:9999 zg0 --rate 120000
  stop_server
  start_relay --xdp off
  relayed_frames diluted 'user space' "$size" back 10.99.1.3:9999 zg0 --rate 120000
  stop_server
}

socket_senders() {
  local size=$1 login=(--stamp-secret-file "$state/secret")
  sender_offload off
  start_relay --xdp native --xdp-interface zc0 --xdp-route swap
  start_stub "$far" '' zg0
  sockets sockets 'native' "$size" "${login[@]}"
  stop_stubs
  stop_server
  start_relay --xdp generic --xdp-interface zc0 --xdp-route swap
  sockets sockets 'generic' "$size" "${login[@]}"
  stop_server
  sender_offload on
  start_relay --xdp off
  sockets sockets 'user space' "$size" "${login[@]}"
  stop_server
  # Unfinished sums: the program leaves every packet to user space.
  start_relay --xdp native --xdp-interface zc0 --xdp-route swap
  sockets sockets 'user space, native attached but idle' "$size" "${login[@]}"
  stop_server
  start_relay --xdp generic --xdp-interface zc0 --xdp-route swap
  sockets sockets 'user space, generic attached but idle' "$size" "${login[@]}"
  stop_server
  if command -v turnserver >/dev/null; then
    start_coturn
    sockets sockets 'coturn' "$size" --user bench --password bench
    stop_server
  fi
}

printf '%s' "$AUTH_SECRET" >"$state/secret"
"$build/cli/firezone-relay" credentials >"$state/login"
sizes='100 1280'
if $smoke; then sizes=100; fi
# Sockets before frames: after these, part of an interface's work was seen outside of its NAPI thread, where it is not counted.
for section in socket_senders saturated diluted; do
  for repetition in $(seq "$repetitions"); do
    for size in $sizes; do
      echo "xdp.sh: $section, repetition $repetition of $repetitions, $size B" >&2
      "$section" "$size"
    done
  done
done
if [ -n "$raw" ]; then cp "$results" "$raw"; fi

# ---- tables ----

sort -t'|' -k1,1 -k2,2 -k3,3n -k4,4 -k5,5n -s "$results" | awk -F'|' -v sizes="$sizes" '
function median(key,   n) { n = count[key]; return n % 2 ? v[key, (n + 1) / 2] : (v[key, n / 2] + v[key, n / 2 + 1]) / 2 }
function ns(section, variant, size) { return median(section "|" variant "|" size "|ns") }
function cell(section, variant, size,   key) {
  key = section "|" variant "|" size "|ns"
  return sprintf(" %d (%d-%d) | %d |", median(key), v[key, 1], v[key, count[key]], median(section "|" variant "|" size "|rate"))
}
function bar(text, value, limit, unit) {
  printf "| %s | %.2f%s | %.2f%s | %s |\n", text, value, unit, limit, unit, value <= limit ? "met" : "**missed**"
}
{
  key = $1 "|" $2 "|" $3 "|" $4
  v[key, ++count[key]] = $5
}
END {
  split(sizes, size, " ")
  split("saturated;DROP, no work;MAC swap + TX, no TURN;native, TX (swap), up;native, TX (swap), down;native, TX (fib), up;native, REDIRECT (fib), up;generic, TX (swap), up;diluted;native;generic;user space;sockets;native;generic;user space;user space, native attached but idle;user space, generic attached but idle;coturn", row, ";")
  title["saturated"] = "frames, as many as go"; title["diluted"] = "frames, diluted"; title["sockets"] = "sockets"
  printf "| source | variant |"
  for (s = 1; s in size; s++) printf " %s B: CPU ns per packet (least-most) | packets/s |", size[s]
  printf "\n| --- | --- |"
  for (s = 1; s in size; s++) printf " ---: | ---: |"
  print ""
  for (r = 1; r in row; r++) {
    if (row[r] in title) { section = row[r]; continue }
    if (!((section "|" row[r] "|" size[1] "|ns") in count)) continue
    printf "| %s | %s |", title[section], row[r]
    for (s = 1; s in size; s++) printf "%s", cell(section, row[r], size[s])
    print ""
  }
  print "\n| bar | measured | limit | |\n| --- | ---: | ---: | --- |"
  for (s = 1; s in size; s++) {
    b = size[s]
    bar(b " B: native TX above MAC swap + TX, up", ns("saturated", "native, TX (swap), up", b) - ns("saturated", "MAC swap + TX, no TURN", b), 150, " ns")
    bar(b " B: native TX above MAC swap + TX, down", ns("saturated", "native, TX (swap), down", b) - ns("saturated", "MAC swap + TX, no TURN", b), 150, " ns")
    bar(b " B: REDIRECT above TX", ns("saturated", "native, REDIRECT (fib), up", b) - ns("saturated", "native, TX (swap), up", b), 300, " ns")
    bar(b " B: diluted frames, native / user space", ns("diluted", "native", b) / ns("diluted", "user space", b), 0.4, "")
    bar(b " B: sockets, native / user space", ns("sockets", "native", b) / ns("sockets", "user space", b), 0.8, "")
    if (("sockets|coturn|" b "|ns") in count) bar(b " B: sockets, native / coturn", ns("sockets", "native", b) / ns("sockets", "coturn", b), 0.35, "")
    bar(b " B: attached but idle / not attached", ns("sockets", "user space, native attached but idle", b) / ns("sockets", "user space", b), 1.05, "")
  }
}'
