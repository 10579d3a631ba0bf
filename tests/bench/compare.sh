#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares this relay with coturn, a pion/turn server and bare forwarders on loopback, and prints one Markdown table.
#
#   tests/bench/compare.sh [OPTIONS]
#
#   --build DIR        where this was built [default: build]
#   --servers A,B,...  of relay, coturn, coturn-multiplex, pion, floor, floor-gso, floor-gro-gso [default: all that are installed]
#   --coturn PROGRAM   coturn's turnserver; coturn-multiplex wants version 4.17 or newer [default: turnserver]
#   --cases REGEX      only the cases whose name matches
#   --repetitions N    of each case, the servers taking turns; the table has the medians [default: 3]
#   --seconds S        a measurement's length [default: 0.5]
#   --allocations N    kept at a time when their cost is measured [default: 10000, fewer if descriptors do not suffice]
#   --idle N           idle ones beside which others are measured [default: 16000, likewise]
#   --nice N           run servers and generator with this niceness (negative ones need root) [default: 0]
#   --realtime         measure packets and latency under SCHED_FIFO, so that other work of the machine hardly counts (needs root)
#   --raw FILE         write each measurement there
#   --smoke            a run of a few seconds that proves that this script works, and nothing else
#   --help             this text
#
# Servers run on one core and the generator on another, in a network namespace of their own where that is allowed. Rows of TCP are of relay, coturn
# (both modes) and the floors, those of TLS of relay and coturn, each with the same certificate made for it. coturn-multiplex is its fastest mode, which is no standard
# one: all clients' peers see one port, and one socket sends to all of them. floor forwards datagram by datagram, floor-gso sends runs with UDP_SEGMENT,
# floor-gro-gso receives with UDP_GRO, too.
set -euo pipefail

build=build wanted='' cases=. repetitions=3 seconds=0.5 allocations=10000 idle=16000 coturn=turnserver raw='' smoke=false niceness=0 realtime=false
original=("$@")
while [ $# -gt 0 ]; do
  case "$1" in
  --build) build=$2 && shift ;;
  --servers) wanted=${2//,/ } && shift ;;
  --cases) cases=$2 && shift ;;
  --repetitions) repetitions=$2 && shift ;;
  --seconds) seconds=$2 && shift ;;
  --allocations) allocations=$2 && shift ;;
  --idle) idle=$2 && shift ;;
  --coturn) coturn=$2 && shift ;;
  --nice) niceness=$2 && shift ;;
  --realtime) realtime=true ;;
  --raw) raw=$2 && shift ;;
  --smoke) smoke=true repetitions=1 seconds=0.1 allocations=50 idle=100 ;;
  -h | --help)
    sed -n '3,24s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "compare.sh: unknown argument '$1'; see --help" >&2
    exit 2
    ;;
  esac
  shift
done

# A namespace of its own: nobody else's ports, and nobody else's packets.
if [ -z "${FZR_COMPARE_INSIDE:-}" ]; then
  export FZR_COMPARE_INSIDE=1
  for how in "-n" "-rn"; do
    if unshare "$how" ip link set lo up 2>/dev/null; then
      exec unshare "$how" "$0" "${original[@]}"
    fi
  done
fi
ip link set lo up 2>/dev/null || true
ulimit -n "$(ulimit -Hn)"

bench=$build/tests/bench/fzr-bench
here=$(dirname "$0")
state=$(mktemp -d)
results=$state/results
declare -A pids
# shellcheck disable=SC2317 # called by the trap
cleanup() {
  trap - EXIT
  for server in "${!pids[@]}"; do
    stop "$server"
  done
  remove_group
  rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
if [ "$niceness" != 0 ]; then renice -n "$niceness" -p $$ >/dev/null; fi

# ---- the machine ----

mapfile -t cores < <(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r a b; do seq "$a" "${b:-$a}"; done)
generator_cores=${cores[0]} server_cores=${cores[1]:-${cores[0]}}
scheduler=''
generate() { $scheduler taskset -c "$generator_cores" "$bench" "$@"; }

# ---- the servers ----

dual='' # not empty: servers that are started have IPv6, too
# None of these ports is one that the system hands out: no peer of the generator may have the number of a server's own port.
low=5000 high=24999
export AUTH_SECRET=compare-compare-compare-compare!
declare -A port=([relay]=4001 [coturn]=4002 [coturn-multiplex]=4004 [pion]=4003 [floor]=26000 [floor-gso]=27000 [floor-gro-gso]=28000
  [1-worker]=4006 [2-workers]=4007)
tls_port_of() { echo $((port[$1] + 400)); }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -keyout "$state/key.pem" -out "$state/cert.pem" 2>"$state/openssl.log" || { cat "$state/openssl.log" >&2 && exit 1; }

# 4.17 and newer have no DTLS and no CLI unless they are asked for, and do not know the options against them.
coturn_options=''
coturn_options='--no-dtls --no-cli'
if [[ $("$coturn" --help 2>&1 || true) = *multiplex-peer* ]]; then coturn_options='--log-min-level error'; fi
command_of() {
  local p=${port[$1]}
  case "$1" in
  relay | *-worker*)
    local workers=${1%%-*}
    echo "$build/cli/firezone-relay --public-ip4-addr 127.0.0.1 --bind-ip4-addr 127.0.0.1 ${dual:+--public-ip6-addr ::1 --bind-ip6-addr ::1} --listen-port $p" \
      "--lowest-port $low --highest-port $high --workers ${workers/relay/1} --allow-peer 127.0.0.0/8 --unauthenticated-rate 0" \
      "--tcp-listen-port $p --tls-listen-port $(tls_port_of "$1") --tls-cert $state/cert.pem --tls-key $state/key.pem" \
      "--relay-mode full --health-check-addr 127.0.0.1:$((p + 100)) --control-endpoint 127.0.0.1:$((p + 200))"
    ;;
  coturn | coturn-multiplex)
    local mode=''
    if [ "$1" = coturn-multiplex ]; then mode="--multiplex-peer --multiplex-peer-port 3480 --udp-gso"; fi
    echo "$coturn -n --listening-ip 127.0.0.1 --relay-ip 127.0.0.1 ${dual:+--relay-ip ::1} --listening-port $p --min-port $low" \
      "--max-port $high --lt-cred-mech --user bench:bench --realm bench --allow-loopback-peers $coturn_options $mode" \
      "--tls-listening-port $(tls_port_of "$1") --cert $state/cert.pem --pkey $state/key.pem --no-tcp-relay --relay-threads 1 --no-stdout-log --simple-log --log-file /dev/null" \
      "--userdb $state/turndb-$1 --pidfile $state/turnserver-$1.pid"
    ;;
  pion) echo "$build/tests/bench/pion_server --listen 127.0.0.1:$p --min-port $low --max-port $high" ;;
  floor) echo "$build/tests/bench/fzr-floor --clients 100 --port $p" ;;
  floor-gso) echo "$build/tests/bench/fzr-floor --clients 100 --port $p --gso" ;;
  floor-gro-gso) echo "$build/tests/bench/fzr-floor --clients 100 --port $p --gso --gro" ;;
  *)
    echo "compare.sh: unknown server '$1'; see --help" >&2
    exit 2
    ;;
  esac
}

# What the generator is told about a server, for clients of $transport.
transport=udp
login_of() {
  local at=${port[$1]}
  if [ "$transport" = tls ]; then at=$(tls_port_of "$1"); fi
  case "$1" in
  relay | *-worker*) echo "--server 127.0.0.1:$at --transport $transport" ;;
  floor*) echo "--server 127.0.0.1:$at --transport $transport --floor" ;;
  *) echo "--server 127.0.0.1:$at --transport $transport --user bench --password bench" ;;
  esac
}

answers() {
  local mode="binding --window 1"
  case "$1" in floor*) mode=relay ;; esac
  # shellcheck disable=SC2046,SC2086
  generate $mode $(login_of "$1") --packets 1 --seconds 0.2 >/dev/null 2>&1
}

# A memory control group, which counts what the kernel keeps for a process, too: where processes are put into it, and its usage.
group='' group_usage='' group_shell=()
make_group() {
  local parent
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    parent=/sys/fs/cgroup/$(sed -n 's/^0:://p' /proc/self/cgroup)
    group_usage=memory.current
  else
    parent=/sys/fs/cgroup/memory/$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
    group_usage=memory.usage_in_bytes
  fi
  group=$parent/fzr-compare-$$
  if mkdir "$group" 2>/dev/null && [ -f "$group/$group_usage" ]; then
    # shellcheck disable=SC2016 # expanded by that shell
    group_shell=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
    return
  fi
  rmdir "$group" 2>/dev/null || true
  group=''
}
remove_group() {
  if [ -n "$group" ]; then rmdir "$group" 2>/dev/null || true; fi
  group='' group_shell=()
}

start() {
  # shellcheck disable=SC2046,SC2086
  GOMAXPROCS=1 $scheduler taskset -c "$server_cores" "${group_shell[@]}" $(command_of "$1") >"$state/$1.log" 2>&1 &
  pids[$1]=$!
  for _ in $(seq 100); do
    if answers "$1"; then
      return 0
    fi
    if ! kill -0 "${pids[$1]}" 2>/dev/null; then
      break
    fi
    sleep 0.05
  done
  echo "compare.sh: $1 does not answer:" >&2
  cat "$state/$1.log" >&2
  return 1
}

stop() {
  local pid=${pids[$1]:-}
  unset "pids[$1]"
  if [ -n "$pid" ]; then
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  fi
}

if [ -z "$wanted" ]; then
  wanted=relay
  if command -v "$coturn" >/dev/null; then wanted="$wanted coturn"; fi
  if [[ $coturn_options != *--no-dtls* ]]; then wanted="$wanted coturn-multiplex"; fi
  if [ -x "$build/tests/bench/pion_server" ]; then wanted="$wanted pion"; fi
  wanted="$wanted floor floor-gso floor-gro-gso"
fi
turn_servers=$(tr ' ' '\n' <<<"$wanted" | grep -v ^floor)

# ---- measuring ----

status=0

# Appends what one run of the generator told: repetition, case, server, metric, value.
measure() {
  local repetition=$1 name=$2 server=$3 mode=$4
  shift 4
  local tries=3
  # shellcheck disable=SC2046
  until generate "$mode" $(login_of "$server") --pid "${pids[$server]}" --json "$@" >"$state/json" 2>"$state/errors"; do
    echo "compare.sh: '$name' failed with $server: $(cat "$state/errors")" >&2
    # A server may still hold an allocation of the same client port, or have lost too much.
    tries=$((tries - 1))
    if [ "$tries" != 0 ]; then continue; fi
    echo "compare.sh: what $server said last:" >&2
    tail -n 20 "$state/$server.log" >&2
    case "$server" in relay | *-worker*) status=1 ;; esac
    return
  done
  tr ',{}' '\n' <"$state/json" | awk -F: -v OFS='\t' -v r="$repetition" -v c="$name" -v s="$server" \
    'NF == 2 && $1 != "\"mode\"" { gsub(/"/, "", $1); print r, c, s, $1, $2 }' >>"$results"
}

# compare NAME SERVERS MODE ARGUMENTS...: the servers take turns.
compare() {
  local name=$1 servers=$2
  shift 2
  if ! grep -Eq -- "$cases" <<<"$name"; then return; fi
  echo "$name" >&2
  for repetition in $(seq "$repetitions"); do
    for server in $servers; do
      measure "$repetition" "$name" "$server" "$@" --seconds "$seconds"
    done
  done
}

# The same with Send and Data indications; the relay's channels are measured again, right beside.
# compare_indications NAME ARGUMENTS...
compare_indications() {
  local name=$1
  shift
  if ! grep -Eq -- "$cases" <<<"indications, $name"; then return; fi
  echo "indications, $name" >&2
  for repetition in $(seq "$repetitions"); do
    for server in $wanted; do
      measure "$repetition" "indications, $name" "$server" relay --indications "$@" --seconds "$seconds"
      if [ "$server" = relay ]; then measure "$repetition" "channels, $name" relay relay "$@" --seconds "$seconds"; fi
    done
  done
}

# A flow of 100 packets/s each way, alone or, with ARGUMENTS, beside one client at full blast: how much later are its packets?
# beside NAME ARGUMENTS...
beside() {
  local name=$1 blaster='' before=$scheduler
  shift
  if ! grep -Eq -- "$cases" <<<"$name"; then return; fi
  echo "$name" >&2
  for repetition in $(seq "$repetitions"); do
    if [ $# -gt 0 ]; then
      # Not by generate: the signal that ends it is for the program, not for a shell around it.
      # shellcheck disable=SC2046
      $scheduler taskset -c "$generator_cores" "$bench" relay $(login_of relay) --seconds 60 --json "$@" >/dev/null &
      blaster=$!
      sleep 0.2 # it has its allocation by then
    fi
    # The flow that is measured must not wait for the generator's own other one.
    if [ -n "$scheduler" ]; then scheduler="chrt --fifo 3"; fi
    measure "$repetition" "$name" relay relay --direction both --rate 200 --seconds "$quiet_seconds"
    scheduler=$before
    if [ -n "$blaster" ]; then
      kill -INT "$blaster" 2>/dev/null || true
      wait "$blaster" || true
    fi
  done
}

# Allocations are made in servers that have done nothing else yet: their memory is new, no client's port was known before, and no
# other server holds ports of the same range.
compare_allocations() {
  local name=$1
  shift
  if ! grep -Eq -- "$cases" <<<"$name"; then return; fi
  echo "$name" >&2
  for repetition in $(seq "$repetitions"); do
    for server in $turn_servers; do
      start "$server"
      measure "$repetition" "$name" "$server" allocate --clients "$allocations" "$@"
      stop "$server"
    done
  done
}

# One flow, and Allocate with ChannelBind, $when: alone, or beside others. coturn remembers 5-tuples of allocations that are gone, so neither
# happens twice in one process.
measure_crowd() {
  local repetition=$1 name=$2 server=$3 when=$4
  shift 4
  measure "$repetition" "$name: a flow, $when" "$server" relay --seconds "$seconds" "$@"
  measure "$repetition" "$name: Allocate and ChannelBind, $when" "$server" allocate --clients $((idle / 32)) --channel
}

# The others are $idle allocations that do nothing, each with a channel.
compare_crowd() {
  local name=$1 holder
  shift
  if ! grep -Eq -- "$cases" <<<"$name"; then return; fi
  echo "$name" >&2
  if $realtime; then scheduler="chrt --fifo 1"; fi
  for repetition in $(seq "$repetitions"); do
    for server in $turn_servers; do
      start "$server"
      measure_crowd "$repetition" "$name" "$server" alone "$@"
      stop "$server"
      start "$server"
      # Not by generate: the signal that ends it is for the program.
      # shellcheck disable=SC2046
      taskset -c "$generator_cores" "$bench" allocate $(login_of "$server") --json --clients "$idle" --channel --hold >"$state/held" 2>"$state/errors" &
      holder=$!
      while [ ! -s "$state/held" ] && kill -0 "$holder" 2>/dev/null; do sleep 0.1; done
      if grep -q '"failed":0[,}]' "$state/held"; then
        measure_crowd "$repetition" "$name" "$server" beside "$@"
      else
        echo "compare.sh: $server does not keep $idle allocations: $(cat "$state/held" "$state/errors")" >&2
      fi
      kill -KILL "$holder" 2>/dev/null || true
      wait "$holder" 2>/dev/null || true
      stop "$server"
    done
  done
  scheduler=''
}

quiet_seconds=4
if $smoke; then quiet_seconds=0.3; fi
descriptors=$(($(ulimit -n) - 200))
if [ "$allocations" -gt "$descriptors" ]; then allocations=$descriptors; fi
if [ "$idle" -gt $((descriptors - 1000)) ]; then idle=$((descriptors - 1000)); fi
: >"$results"
for server in $wanted; do
  start "$server"
done
in_real_time() {
  if ! $realtime; then return; fi
  scheduler="chrt --fifo 1"
  for server in $wanted; do chrt --fifo --all-tasks --pid 1 "${pids[$server]}"; done
}
in_usual_time() {
  scheduler=''
  for server in $wanted; do chrt --other --all-tasks --pid 0 "${pids[$server]}"; done
}

in_real_time
sizes="100 1280" directions="up down"
if $smoke; then sizes=1280 directions=up; fi
for size in $sizes; do
  for direction in $directions; do
    common="--direction $direction --size $size"
    # shellcheck disable=SC2086
    {
      compare "GSO sender, 1 client, $size B, $direction" "$wanted" relay --gso --window 64 $common
      compare "GSO sender, 100 clients, $size B, $direction" "$wanted" relay --gso --clients 100 --window 1600 $common
      compare "plain sender, 1 client, $size B, $direction" "$wanted" relay --window 64 $common
      compare "plain sender, 100 clients, $size B, $direction" "$wanted" relay --clients 100 --window 100 $common
      compare_indications "GSO sender, 1 client, $size B, $direction" --gso --window 64 $common
      compare_indications "GSO sender, 100 clients, $size B, $direction" --gso --clients 100 --window 1600 $common
      compare_indications "plain sender, 1 client, $size B, $direction" --window 64 $common
      compare_indications "plain sender, 100 clients, $size B, $direction" --clients 100 --window 100 $common
    }
  done
done
directions="both up down"
if $smoke; then directions=both; fi
for transport in tcp tls; do
  like='relay|coturn.*'
  if [ "$transport" = tcp ]; then like="$like|floor.*"; fi
  stream_servers=$(tr ' ' '\n' <<<"$wanted" | grep -xE "$like" || true)
  for direction in $directions; do
    common="--clients 100 --direction $direction --size 1280"
    # shellcheck disable=SC2086
    {
      compare "${transport^^}, runs, 100 clients, 1280 B, $direction" "$stream_servers" relay --gso --window 1600 $common
      if ! $smoke; then
        compare "${transport^^}, single packets, 100 clients, 1280 B, $direction" "$stream_servers" relay --window 100 $common
      fi
    }
  done
done
transport=udp
in_usual_time
# Workers are compared on all cores, which the generator shares; only with each other.
pinned=("$generator_cores" "$server_cores") generator_cores=$(IFS=, && echo "${cores[*]}") server_cores=$generator_cores
start 1-worker && start 2-workers
compare "workers, GSO sender, 100 clients" "1-worker 2-workers" relay --gso --clients 100 --window 1600
compare "workers, plain sender, 100 clients" "1-worker 2-workers" relay --clients 100 --window 100
stop 1-worker && stop 2-workers
generator_cores=${pinned[0]} server_cores=${pinned[1]}
in_real_time
compare "latency at 20,000 packets/s" "$wanted" relay --rate 20000
if [[ " $wanted " = *" relay "* ]]; then
  beside "100 packets/s alone"
  beside "100 packets/s beside a GSO sender" --gso --window 64 --size 1280
  beside "100 packets/s beside a plain sender" --window 64 --size 1280
fi
in_usual_time
compare "Binding, 64 in flight" "$turn_servers" binding
compare "Refresh, 64 in flight" "$turn_servers" refresh --clients 64
for server in $turn_servers; do
  stop "$server"
done
compare_allocations "Allocate cycle"
compare_allocations memory --channel
make_group
# Both families take two sockets each.
dual=yes allocations=$((allocations / 2))
if [ -n "$group" ]; then compare_allocations "all memory" --channel --relay-both --usage-file "$group/$group_usage"; fi
remove_group
dual=''
compare_crowd crowd --window 64
if [ -n "$raw" ]; then cp "$results" "$raw"; fi

# ---- the table ----

echo "$(uname -sr), $(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1); generator on core" \
  "$generator_cores, servers on core $server_cores; medians of $repetitions runs of $seconds s; $((allocations * 2)) allocations, half of them with both families"
echo
awk -F'\t' -v servers="$wanted" -v idle="$idle" -v smoke="$smoke" -f "$here/compare.awk" "$results"
exit "$status"
