#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the kernel data path costs, on veth in network namespaces of its own, and prints Markdown tables. Needs root.
#
#   tests/bench/xdp.sh [OPTIONS]
#
#   --build DIR        where this was built [default: build]
#   --repetitions N    of each case, the variants taking turns; the tables have the medians [default: 3]
#   --seconds S        a measurement's length [default: 1]
#   --sections A,B     of socket_senders, saturated, diluted, singles, junk, flood, tap [default: all]
#   --nice N           run all that takes part with this niceness [default: 0]
#   --raw FILE         write each measurement there
#   --smoke            a run of half a minute that proves that this script works, and nothing else
#   --help             this text
#
# The relay's end of the link has a threaded NAPI, pinned to one core together with the relay; its CPU time and the relay's are what is
# counted. The generator has another core. "frames" are made in the kernel and handed over as a driver does; "sockets" are
# fzr-bench's, whose packets veth has to copy into pages before XDP sees them. "bare forwarder" is fzr-floor with GRO and GSO: it looks
# nothing up. "singles" are diluted frames of 16 channels at random without UDP checksums, which nobody makes runs of; "junk" is
# neither STUN nor ChannelData, at 1,000,000 frames a second. "runs" are sockets that send with UDP_SEGMENT. "flood" is a flow of 2,000 packets a
# second beside junk: how late they are, and how many are lost. "tap": frames are written to a tap of the relay's, and relayed to that tap, which drops
# them, as nobody reads; a write is what is measured.
set -euo pipefail

build=build sections='socket_senders saturated diluted singles junk flood tap' repetitions=3 seconds=1 raw='' smoke=false niceness=0
while [ $# -gt 0 ]; do
  case "$1" in
  --build | --repetitions | --seconds | --sections | --nice | --raw)
    if [ $# -lt 2 ]; then
      echo "xdp.sh: $1 takes a value; see --help" >&2
      exit 2
    fi
    ;;&
  --build) build=$2 && shift ;;
  --repetitions) repetitions=$2 && shift ;;
  --seconds) seconds=$2 && shift ;;
  --nice) niceness=$2 && shift ;;
  --raw) raw=$2 && shift ;;
  --sections) sections=${2//,/ } && shift ;;
  --smoke) smoke=true repetitions=1 seconds=0.1 ;;
  -h | --help)
    sed -n '3,23s/^# \{0,1\}//p' "$0"
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
for tool in ip tc ethtool taskset; do
  if ! command -v $tool >/dev/null; then
    echo "xdp.sh: no $tool here" >&2
    exit 77
  fi
done
if [ ! -x "$build/tests/bench/xdp-bench" ]; then
  echo "xdp.sh: no tests/bench/xdp-bench in $build: built without tests, or without the kernel data path" >&2
  exit 77
fi

if [ "$niceness" != 0 ]; then
  renice -n "$niceness" -p $$ >/dev/null
  # Where sessions have equal shares of the machine, niceness counts within each of them alone.
  if [ -f /proc/$$/autogroup ]; then echo "$niceness" >/proc/$$/autogroup; fi
fi

near=fzxr$$ far=fzxg$$ zc=zc$$ zg=zg$$ zp=zp$$ zh=zh$$ zt=zt$$ # namespaces and their interfaces
state=$(mktemp -d)
mkfifo "$state/hold" # what nobody writes to
results=$state/results
server_pid='' passer_pids=()
stop_server() {
  if [ -n "$server_pid" ]; then
    kill -KILL "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
  fi
  server_pid=''
}
stop_passers() {
  local pid
  for pid in "${passer_pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  passer_pids=()
}
# shellcheck disable=SC2317 # called by the trap
cleanup() {
  trap - EXIT
  stop_server
  stop_passers
  if [ -n "${holder:-}" ]; then kill "$holder" 2>/dev/null || true; fi
  ip netns del "$near" 2>/dev/null || true
  ip netns del "$far" 2>/dev/null || true
  rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# ---- the network: client and one peer by $zc and $zg, another peer by $zp and $zh ----

server_core=0 generator_core=1 floor_port=26000
if [ "$(nproc)" -lt 2 ]; then generator_core=0; fi
far_core=$generator_core # of the far end's NAPI threads
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
  raise_link "$near_if" "$far_if" "$net"
  in_near sh -c "echo 1 >/sys/class/net/$near_if/threaded; echo 1 >/proc/sys/net/ipv4/conf/$near_if/forwarding"
  in_far sh -c "echo 1 >/sys/class/net/$far_if/threaded"
}
# Takes a link up, after down where it was: each end's receiving side is then made anew.
raise_link() {
  local near_if=$1 far_if=$2 net=$3 mac
  in_near ip link set "$near_if" down
  in_far ip link set "$far_if" down
  in_near ip link set "$near_if" up
  in_far ip link set "$far_if" up
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
make_link $zc $zg 10.99.1
make_link $zp $zh 10.99.2
to_mac=$(in_near cat /sys/class/net/$zc/address)
if ! pgrep "^napi/$zc-" >/dev/null; then
  echo "xdp.sh: the kernel's threads can't be seen here (in a container?), and so not what they cost" >&2
  exit 77
fi
ip netns exec "$near" sleep infinity &
holder=$!

# The thread that does an interface's NAPI; it is made anew when a program comes or goes. Threads of the kernel are in no namespace: the
# interfaces' names are this run's alone.
napi_of() { pgrep -n "^napi/$1-"; }
# What each measurement needs: without TSO at the sending end a veth pair hands all packets to the receiving end's NAPI; otherwise those of
# sockets are received on the sender's core, by whoever runs there, and nobody counts them. Programs that come and go set TSO and undo threads.
settle() {
  local end netns interface core
  for end in "$near $zc $server_core" "$near $zp $server_core" "$far $zg $far_core" "$far $zh $far_core"; do
    read -r netns interface core <<<"$end"
    ip netns exec "$netns" ethtool -K "$interface" tso off gro on >/dev/null 2>&1
    ip netns exec "$netns" sh -c "echo 1 >/sys/class/net/$interface/threaded"
    taskset -cp "$core" "$(napi_of "$interface")" >/dev/null
    renice -n "$niceness" -p "$(napi_of "$interface")" >/dev/null
  done
}
# Receive interrupts so far: with threads there are next to none. Work done in them would be in nobody's figures.
interrupts() { awk '$1 == "NET_RX:" { for (i = 2; i <= NF; i++) n += $i; print n }' /proc/softirqs; }
cpu_of() { # of all threads of the processes
  local pid total=0
  for pid in "$@"; do
    total=$((total + $(cat /proc/"$pid"/task/*/schedstat | awk '{ n += $1 } END { printf "%.0f", n }')))
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
# As systemd starts it: nobody, with just the capabilities given.
confine() { # CAPABILITIES, as setpriv has them
  confined=(setpriv --reuid 65534 --clear-groups --no-new-privs "--inh-caps=-all,$1" "--ambient-caps=-all,$1" "--bounding-set=-all,$1")
}
confined=()
start_relay() {
  : >"$state/log"
  ip netns exec "$near" taskset -c $server_core "${confined[@]}" "$build/cli/firezone-relay" --public-ip4-addr 10.99.1.1 --bind-ip4-addr 10.99.1.1 --listen-port 3478 \
    --lowest-port 50000 --highest-port 50999 --workers 1 --unauthenticated-rate 0 --health-check-addr 127.0.0.1:0 \
    --control-endpoint 127.0.0.1:0 "$@" >"$state/log" 2>&1 &
  server_pid=$!
  wait_for_line 'Listening on'
  if [[ " $* " == *" xdp "* || " $* " == *" xdp-generic "* || " $* " == *" tcx "* ]]; then wait_for_line 'relayed in the kernel'; fi
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
start_floor() {
  ip netns exec "$near" taskset -c $server_core "$build/tests/bench/fzr-floor" --port $floor_port --address 10.99.1.1 --remote 10.99.1.2 \
    --gro --gso &
  server_pid=$!
  for _ in $(seq 200); do
    if in_near ss -lunH "sport = :$((floor_port + 1))" | grep -q $((floor_port + 1)); then return 0; fi
    sleep 0.02
  done
  return 1
}
start_passer() { # namespace mode interface
  local out=$state/passer.$RANDOM
  mkfifo "$out"
  ip netns exec "$1" "$build/tests/xdp/xdp-passer" ${2:+"$2"} "$3" 0<>"$state/hold" >"$out" &
  passer_pids+=($!)
  grep -q attached "$out"
}


# ---- cases ----

note() { # section variant size metric value
  echo "$1|$2|$3|$4|$5|$repetition" >>"$results"
}
field() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p"; }

# frames SECTION VARIANT SIZE ARGS...: what a frame that came in costs. The far end does not take back all that is relayed: its ring holds
# 256, and the generator keeps its core busy.
frames() {
  local section=$1 variant=$2 size=$3 out in attempt
  shift 3
  # Where a program came or went while packets came, veth now and then takes nothing in any more, until the link is taken down and up. That is no
  # measurement: it is made again.
  for attempt in 1 2 3; do
    settle
    if out=$(in_far taskset -c $generator_core "$build/tests/bench/xdp-bench" --interface $zg --near $zc --near-pid $holder \
      --napi-pid "$(napi_of $zc)" --to-mac "$to_mac" --size "$size" --seconds "$seconds" "$@"); then
      break
    fi
    if [ "$attempt" = 3 ]; then
      echo "xdp.sh: $variant, $size B: no frame was taken in, three times: $out" >&2
      exit 1
    fi
    raise_link $zc $zg 10.99.1
    raise_link $zp $zh 10.99.2
  done
  in=$(field in <<<"$out")
  note "$section" "$variant" "$size" ns "$(awk -v c="$(field cpu_ns <<<"$out")" -v n="$in" 'BEGIN { printf "%.0f", n ? c / n : 0 }')"
  note "$section" "$variant" "$size" rate "$(awk -v n="$in" -v s="$(field seconds <<<"$out")" 'BEGIN { printf "%.0f", n / s }')"
  note "$section" "$variant" "$size" back "$(awk -v b="$(field back <<<"$out")" -v n="$in" 'BEGIN { printf "%.3f", n ? b / n : 0 }')"
  case "$variant" in
  native* | generic* | tcx*)
    if ! $smoke && awk -v r="$(field relay_ns <<<"$out")" -v n="$in" 'BEGIN { exit !(r > 50 * n + 2000000) }'; then
      echo "xdp.sh: $variant, $size B: frames went to user space: $out" >&2
      exit 1
    fi
    ;;
  esac
}
relayed_frames() { # SECTION VARIANT SIZE PEER BACK ARGS...
  local section=$1 variant=$2 size=$3 peer=$4 back=$5
  shift 5
  frames "$section" "$variant" "$size" --server 10.99.1.1:3478 --peer "$peer" --back "$back" --relay-pid "$server_pid" \
    --user "$(sed -n 's/^username: *//p' "$state/login")" --password "$(sed -n 's/^password: *//p' "$state/login")" "$@"
}

sockets() { # SECTION VARIANT SIZE PORT LOGIN...
  local section=$1 variant=$2 size=$3 port=$4 napi before after out
  shift 4
  settle
  mapfile -t napi < <(pgrep "^napi/$zc-")
  stray=$(interrupts)
  before=$(cpu_of "${napi[@]}" "$server_pid")
  out=$(in_far taskset -c $generator_core "$build/tests/bench/fzr-bench" relay --server "10.99.1.1:$port" --peer 10.99.1.2 --direction both \
    --window 64 --size "$size" --seconds "$seconds" --json "$@")
  after=$(cpu_of "${napi[@]}" "$server_pid")
  stray=$(($(interrupts) - stray))
  note "$section" "$variant" "$size" ns "$(awk -v c=$((after - before)) -v n="$(field received <<<"$out")" 'BEGIN { printf "%.0f", n ? c / n : 0 }')"
  note "$section" "$variant" "$size" rate "$(field rate <<<"$out" | sed 's/\..*//')"
  if ! $smoke && awk -v i="$stray" -v n="$(field received <<<"$out")" 'BEGIN { exit !(i > 0.05 * n + 500) }'; then
    echo "xdp.sh: $variant, $size B: $stray receive interrupts, whose work is in no figure: $out" >&2
    exit 1
  fi
}
sender_offload() { in_far ethtool -K $zg tx "$1" >/dev/null; }

saturated() {
  local size=$1
  start_passer "$near" --drop $zc
  frames saturated 'DROP, no work' "$size"
  stop_passers
  start_passer "$near" --swap $zc
  frames saturated 'MAC swap + TX, no TURN' "$size"
  stop_passers
  start_relay --offload xdp --offload-interface $zc --offload-route swap
  relayed_frames saturated 'native, TX (swap), up' "$size" 10.99.1.3:9999 $zg
  relayed_frames saturated 'native, TX (swap), down' "$size" 10.99.1.3:9999 $zg --down
  stop_server
  confine +bpf,+net_admin
  start_relay --offload xdp --offload-interface $zc --offload-route swap
  relayed_frames saturated 'the same, only CAP_BPF and CAP_NET_ADMIN' "$size" 10.99.1.3:9999 $zg
  stop_server
  confine +bpf,+net_admin,+perfmon
  start_relay --offload xdp --offload-interface $zc --offload-route swap
  relayed_frames saturated 'the same, and CAP_PERFMON' "$size" 10.99.1.3:9999 $zg
  stop_server
  confined=()
  start_relay --offload xdp --offload-interface $zc --offload-interface $zp
  relayed_frames saturated 'native, TX (fib), up' "$size" 10.99.1.3:9999 $zg
  relayed_frames saturated 'native, REDIRECT (fib), up' "$size" 10.99.2.3:9999 $zh
  stop_server
  start_relay --offload xdp-generic --offload-interface $zc --offload-route swap
  relayed_frames saturated 'generic, TX (swap), up' "$size" 10.99.1.3:9999 $zg
  stop_server
}

# Few frames come at once here, so that the far end is to be woken for every few that leave. On the other core that would be an interrupt through
# the hypervisor, most of what is measured; a network card is told by a write to a register. So its thread runs on this core, uncounted.
diluted() {
  local size=$1 far_core=$server_core
  start_relay --offload xdp --offload-interface $zc --offload-route swap
  relayed_frames diluted 'native' "$size" 10.99.1.3:9999 $zg --rate 120000
  stop_server
  start_relay --offload xdp-generic --offload-interface $zc --offload-route swap
  relayed_frames diluted 'generic' "$size" 10.99.1.3:9999 $zg --rate 120000
  stop_server
  start_relay --offload off
  relayed_frames diluted 'user space' "$size" 10.99.1.3:9999 $zg --rate 120000
  stop_server
  start_floor
  # Clients' ports begin 300 above the forwarder's (floor.h).
  frames diluted 'bare forwarder' "$size" --server 10.99.1.1:$floor_port --client 10.99.1.2:$((floor_port + 300)) --peer 10.99.1.3:9999 \
    --back $zg --relay-pid "$server_pid" --rate 120000
  stop_server
}

# As diluted: 120,000 frames a second, the far end's thread on this core, uncounted.
singles() {
  local size=$1 far_core=$server_core mode
  start_passer "$near" --tcx-drop $zc
  frames singles 'tcx DROP, no work' "$size" --rate 120000 --single
  stop_passers
  for mode in off tcx xdp; do
    local name=native
    case $mode in
    off) name='user space' ;;
    tcx) name=tcx ;;
    esac
    start_relay --offload $mode --offload-interface $zc --offload-interface $zp
    relayed_frames singles "$name, up" "$size" 10.99.1.3:9984 $zg --rate 120000 --single
    relayed_frames singles "$name, down" "$size" 10.99.1.3:9984 $zg --rate 120000 --single --down
    stop_server
  done
}

junk() {
  local size=$1 mode
  local far_core=$server_core
  start_passer "$near" --drop $zc
  frames junk 'native DROP, no work' "$size" --rate 1000000 --single --junk
  stop_passers
  start_passer "$near" --tcx-drop $zc
  frames junk 'tcx DROP, no work' "$size" --rate 1000000 --single --junk
  stop_passers
  for mode in off tcx xdp; do
    local name=native
    case $mode in
    off) name='user space' ;;
    tcx) name=tcx ;;
    esac
    start_relay --offload $mode --offload-interface $zc --offload-interface $zp
    frames junk "$name, junk" "$size" --server 10.99.1.1:3478 --client 10.99.1.2:4000 --peer 10.99.1.3:9999 --relay-pid "$server_pid" \
      --rate 1000000 --single --junk
    stop_server
  done
}

# Nobody reads what is sent by the tap: once its queue is full it is dropped, by the driver.
make_tap() {
  if [ -e "$state/tap" ]; then return 0; fi
  in_near ip tuntap add dev $zt mode tap
  in_near ip link set $zt up
  in_near tc qdisc replace dev $zt root noqueue
  : >"$state/tap"
}
tap() {
  local size=$1
  make_tap
  start_passer "$near" --tcx-drop $zt
  frames tap 'tcx DROP, no work' "$size" --tap $zt --server 10.99.1.1:3478 --client 10.99.1.2:4000 --peer 10.99.1.3:9984
  stop_passers
  start_passer "$near" --tcx-back $zt
  frames tap 'tcx, sent back as it is' "$size" --tap $zt --server 10.99.1.1:3478 --client 10.99.1.2:4000 --peer 10.99.1.3:9984
  stop_passers
  start_relay --offload tcx --offload-interface $zt --offload-route swap
  relayed_frames tap 'tcx, up' "$size" 10.99.1.3:9984 '' --single --tap $zt
  relayed_frames tap 'tcx, down' "$size" 10.99.1.3:9984 '' --single --tap $zt --down
  stop_server
}

# A live flow of sockets beside junk of $size bytes. All that takes part goes before other work of the machine. The flow's ends have a core of their own; the
# junk's source has what the relay and its end of the link leave of theirs, so that it sends as much as they can take in, up to 1,000,000 frames a second.
frames_in() { in_near sed -n "s/^ *$zc: *[0-9]* *\([0-9]*\).*/\1/p" /proc/net/dev; }
live() {
  local variant=$1 size=$2 out before
  before=$(frames_in)
  out=$(in_far chrt --fifo 3 taskset -c $generator_core "$build/tests/bench/fzr-bench" relay --server 10.99.1.1:3478 --peer 10.99.1.2 --direction both \
    --rate 2000 --size 200 --seconds "$flood_seconds" --json --stamp-secret-file "$state/secret")
  note flood "$variant" "$size" p99 "$(field latency_p99 <<<"$out")"
  note flood "$variant" "$size" rate "$(awk -v n=$(($(frames_in) - before)) -v s="$flood_seconds" 'BEGIN { printf "%.0f", n / s }')"
  note flood "$variant" "$size" lost "$(awk -v s="$(field sent <<<"$out")" -v r="$(field received <<<"$out")" 'BEGIN { printf "%.4f", s ? 100 * (s - r) / s : 100 }')"
}
flood() {
  local size=$1 mode name pid source flood_seconds=$seconds
  if ! $smoke; then flood_seconds=2; fi
  sender_offload off
  for mode in off tcx; do
    name=tcx
    if [ $mode = off ]; then name='user space'; fi
    start_relay --offload $mode --offload-interface $zc
    settle
    chrt --fifo --all-tasks --pid 2 "$server_pid"
    chrt --fifo --pid 2 "$(napi_of $zc)"
    chrt --fifo --pid 4 "$(napi_of $zg)" # else the flow's ends keep it from what comes for them
    live "$name, alone" "$size"
    ip netns exec "$far" nice -n -20 taskset -c $server_core "$build/tests/bench/xdp-bench" --interface $zg --near $zc --near-pid $holder --to-mac "$to_mac" \
      --size "$size" --server 10.99.1.1:3478 --client 10.99.1.2:4000 --peer 10.99.1.3:9999 --rate 1000000 --single --junk \
      --seconds 60 >"$state/flood" &
    source=$!
    sleep 0.5
    live "$name, beside junk" "$size"
    kill -KILL $source 2>/dev/null || true
    wait $source 2>/dev/null || true
    stop_server
  done
  sender_offload on
}

socket_senders() {
  local size=$1 login=(--stamp-secret-file "$state/secret")
  sender_offload off
  start_relay --offload xdp --offload-interface $zc --offload-route swap
  start_passer "$far" '' $zg
  sockets sockets 'native' "$size" 3478 "${login[@]}"
  stop_passers
  stop_server
  start_relay --offload xdp-generic --offload-interface $zc --offload-route swap
  sockets sockets 'generic' "$size" 3478 "${login[@]}"
  stop_server
  sender_offload on
  start_relay --offload off
  sockets sockets 'user space' "$size" 3478 "${login[@]}"
  sockets sockets 'runs, user space' "$size" 3478 "${login[@]}" --gso
  stop_server
  # Unfinished sums: the program leaves every packet to user space.
  start_relay --offload xdp --offload-interface $zc --offload-route swap
  sockets sockets 'user space, native attached but idle' "$size" 3478 "${login[@]}"
  stop_server
  start_relay --offload xdp-generic --offload-interface $zc --offload-route swap
  sockets sockets 'user space, generic attached but idle' "$size" 3478 "${login[@]}"
  stop_server
  start_relay --offload tcx --offload-interface $zc --offload-route swap
  sockets sockets 'user space, tcx attached but idle' "$size" 3478 "${login[@]}"
  sockets sockets 'runs, tcx attached' "$size" 3478 "${login[@]}" --gso
  stop_server
  start_floor
  sockets sockets 'bare forwarder' "$size" $floor_port --floor
  stop_server
  if command -v turnserver >/dev/null; then
    start_coturn
    sockets sockets 'coturn' "$size" 3478 --user bench --password bench
    stop_server
  fi
}

printf '%s' "$AUTH_SECRET" >"$state/secret"
"$build/cli/firezone-relay" credentials >"$state/login"
sizes='100 1280'
if $smoke; then sizes=100; fi
for section in $sections; do
  for repetition in $(seq "$repetitions"); do
    for size in $sizes; do
      echo "xdp.sh: $section, repetition $repetition of $repetitions, $size B" >&2
      "$section" "$size"
    done
  done
done
if [ -n "$raw" ]; then cp "$results" "$raw"; fi

# ---- tables ----

# A bar is the median of what each repetition gives by itself: the machine's pace may change between two of them.
awk -F'|' -v sizes="$sizes" -v repetitions="$repetitions" '
function sort_numbers(list, n,   i, j, one) {
  for (i = 2; i <= n; i++) {
    one = list[i]
    for (j = i - 1; j >= 1 && list[j] > one; j--) list[j + 1] = list[j]
    list[j + 1] = one
  }
}
function middle(list, n) {
  sort_numbers(list, n)
  return !n ? 0 : n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
function collect(list, key,   r, n) {
  for (r = 1; r <= repetitions; r++) if ((key, r) in v) list[++n] = v[key, r]
  return n + 0
}
function ns(section, variant, size) { return section "|" variant "|" size "|ns" }
function cell(section, variant, size,   list, n, mid) {
  n = collect(list, ns(section, variant, size))
  mid = sprintf("%d (%d-%d)", middle(list, n), list[1], list[n])
  n = collect(list, section "|" variant "|" size "|rate")
  return sprintf(" %s | %d |", mid, middle(list, n))
}
function difference(text, a, b, limit,   r, n, list) {
  for (r = 1; r <= repetitions; r++) if ((a, r) in v && (b, r) in v) list[++n] = v[a, r] - v[b, r]
  if (n) bar(text, middle(list, n), list[1], list[n], limit, "%.0f ns")
}
function ratio(text, a, b, limit,   r, n, list) {
  for (r = 1; r <= repetitions; r++) if ((a, r) in v && v[b, r] > 0) list[++n] = v[a, r] / v[b, r]
  if (n) bar(text, middle(list, n), list[1], list[n], limit, "%.3f")
}
function bar(text, value, least, most, limit, format) {
  printf "| %s | " format " (" format " to " format ") | " format " | %s |\n", text, value, least, most, limit, value <= limit ? "met" : "**missed**"
}
{ v[$1 "|" $2 "|" $3 "|" $4, $6] = $5 }
END {
  split(sizes, size, " ")
  split("saturated;DROP, no work;MAC swap + TX, no TURN;native, TX (swap), up;the same, only CAP_BPF and CAP_NET_ADMIN;the same, and CAP_PERFMON;native, TX (swap), down;native, TX (fib), up;native, REDIRECT (fib), up;generic, TX (swap), up;diluted;native;generic;user space;bare forwarder;sockets;native;generic;user space;user space, native attached but idle;user space, generic attached but idle;user space, tcx attached but idle;runs, user space;runs, tcx attached;bare forwarder;coturn;singles;tcx DROP, no work;native, up;native, down;tcx, up;tcx, down;user space, up;user space, down;junk;native DROP, no work;tcx DROP, no work;native, junk;tcx, junk;user space, junk;tap;tcx DROP, no work;tcx, sent back as it is;tcx, up;tcx, down", row, ";")
  title["saturated"] = "frames, as many as go"; title["diluted"] = "frames, diluted"; title["sockets"] = "sockets"; title["singles"] = "frames, singly"; title["junk"] = "junk"; title["tap"] = "frames, to a tap"
  printf "| source | variant |"
  for (s = 1; s in size; s++) printf " %s B: CPU ns per packet (least-most) | packets/s |", size[s]
  printf "\n| --- | --- |"
  for (s = 1; s in size; s++) printf " ---: | ---: |"
  print ""
  for (r = 1; r in row; r++) {
    if (row[r] in title) { section = row[r]; continue }
    if (!collect(list, ns(section, row[r], size[1]))) continue
    printf "| %s | %s |", title[section], row[r]
    for (s = 1; s in size; s++) printf "%s", cell(section, row[r], size[s])
    print ""
  }
  print "\n| bar | measured (least to most) | limit | |\n| --- | ---: | ---: | --- |"
  for (s = 1; s in size; s++) {
    b = size[s]
    bare = ns("saturated", "MAC swap + TX, no TURN", b)
    difference(b " B: native TX above MAC swap + TX, up", ns("saturated", "native, TX (swap), up", b), bare, 150)
    difference(b " B: native TX above MAC swap + TX, down", ns("saturated", "native, TX (swap), down", b), bare, 150)
    difference(b " B: REDIRECT above TX", ns("saturated", "native, REDIRECT (fib), up", b), ns("saturated", "native, TX (swap), up", b), 300)
    native = ns("diluted", "native", b)
    ratio(b " B: diluted frames, native / user space", native, ns("diluted", "user space", b), 0.4)
    ratio(b " B: diluted frames, native / bare forwarder", native, ns("diluted", "bare forwarder", b), 0.4)
    native = ns("sockets", "native", b)
    ratio(b " B: sockets, native / user space", native, ns("sockets", "user space", b), 0.8)
    ratio(b " B: sockets, native / coturn", native, ns("sockets", "coturn", b), 0.35)
    for (way = 1; way <= 2; way++) {
      to = way == 1 ? "up" : "down"
      ratio(b " B: singles, tcx / user space, " to, ns("singles", "tcx, " to, b), ns("singles", "user space, " to, b), 0.2)
      difference(b " B: tap, tcx above DROP, " to, ns("tap", "tcx, " to, b), ns("tap", "tcx DROP, no work", b), 150)
      difference(b " B: tap, tcx above what is sent back as it is, " to, ns("tap", "tcx, " to, b), ns("tap", "tcx, sent back as it is", b), 150)
    }
    difference(b " B: junk, tcx above DROP", ns("junk", "tcx, junk", b), ns("junk", "tcx DROP, no work", b), 150)
    difference(b " B: junk, native above DROP", ns("junk", "native, junk", b), ns("junk", "native DROP, no work", b), 150)
    for (way = 1; way <= 2; way++) {
      from = way == 1 ? "tcx" : "user space"
      ratio(b " B: a live flow beside junk that " from " drops: p99, to alone", "flood|" from ", beside junk|" b "|p99", "flood|" from ", alone|" b "|p99", 2)
      n = collect(list, "flood|" from ", beside junk|" b "|lost")
      if (!n) continue
      bar(b " B: a live flow beside junk that " from " drops: lost, percent", middle(list, n), list[1], list[n], 0.1, "%.3f")
      n = collect(list, "flood|" from ", beside junk|" b "|rate")
      printf "| %s B: frames a second that came in then | %d (%d to %d) | - | |\n", b, middle(list, n), list[1], list[n]
    }
    ratio(b " B: runs, tcx attached / user space", ns("sockets", "runs, tcx attached", b), ns("sockets", "runs, user space", b), 1.05)
    ratio(b " B: tcx attached but idle / not attached", ns("sockets", "user space, tcx attached but idle", b), ns("sockets", "user space", b), 1.02)
    ratio(b " B: attached but idle / not attached", ns("sockets", "user space, native attached but idle", b), ns("sockets", "user space", b), 1.05)
  }
}' "$results"
