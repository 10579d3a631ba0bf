#!/usr/bin/env bash
# Installs what is missing, builds the relay, and runs it standalone on loopback, with credentials to try it with: for browsers, WebRTC servers
# and whatever else is a TURN client. Firezone's clients are served without --auth, see README.
#
#   scripts/run.sh             run until Ctrl-C
#   scripts/run.sh --check     start it, prove that it relays, and stop it
#
# The relay's port is 3478; RELAY_PORT=N chooses another, 0 any free one. RELAY_ADDRESS=192.0.2.7, an IPv4 address of this machine (hostname -I has
# them), has it listen there instead of on loopback: for other machines, and for Firefox, which asks no relay at a loopback address.
set -euo pipefail
cd "$(dirname "$0")/.."

check=false
case "${1:-}" in
"") ;;
--check) check=true ;;
-h | --help)
  sed -n '2,10s/^# \{0,1\}//p' "$0"
  exit 0
  ;;
*)
  echo "run.sh: unknown argument '$1'; see --help" >&2
  exit 2
  ;;
esac
port=${RELAY_PORT:-3478} address=${RELAY_ADDRESS:-127.0.0.1}

scripts/install-deps.sh build

echo "== building (build/)"
if [ ! -f build/build.ninja ]; then
  meson setup build -Dbuildtype=release -Dtests=false >/dev/null
fi
ninja -C build --quiet

state=$(mktemp -d)
relay=
stop() {
  trap - EXIT
  if [ -n "$relay" ]; then
    # The first signal has it wait for allocations to end, a second one does not; two at once may count as one.
    while kill -TERM "$relay" 2>/dev/null; do
      sleep 0.1
    done
    wait "$relay" 2>/dev/null || true
  fi
  rm -rf "$state"
}
trap stop EXIT
trap 'exit 0' INT TERM

secret="$state/secret" users="$state/users" password=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
(umask 077 && od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$secret" && echo "test:$password" >"$users")

ipv6=()
if [[ $address = 127.* && -e /proc/sys/net/ipv6/conf/lo/disable_ipv6 && $(cat /proc/sys/net/ipv6/conf/lo/disable_ipv6) = 0 ]]; then
  ipv6=(--public-ip6-addr ::1 --bind-ip6-addr ::1)
fi

echo "== starting the relay on $address"
: >"$state/log" # it is looked at before the relay's shell may have opened it
build/cli/firezone-relay --public-ip4-addr "$address" --bind-ip4-addr "$address" "${ipv6[@]}" \
  --health-check-addr 127.0.0.1:0 --control-endpoint 127.0.0.1:0 --listen-port "$port" \
  --auth rest,static --auth-secret-file "$secret" --users-file "$users" >"$state/log" &
relay=$!
for _ in $(seq 100); do
  if grep -q 'Listening on' "$state/log" || ! kill -0 "$relay" 2>/dev/null; then
    break
  fi
  sleep 0.05
done
if ! grep -q 'Listening on' "$state/log"; then
  cat "$state/log" >&2
  echo "run.sh: the relay did not start; if its port is taken: RELAY_PORT=0 $0; RELAY_ADDRESS has to be this machine's" >&2
  exit 1
fi

port=$(sed -n "s/.*Listening on $address:\([0-9]*\),.*/\1/p" "$state/log")

prove=(build/tests/bench/fzr-bench relay --server "$address:$port" --user test --rest-secret-file "$secret" --clients 1 --packets 10)
see="See it relay ten packets"
if [[ $address != 127.* ]]; then
  # Its users reach no peers on loopback, where those of the generator are.
  prove=(build/tests/bench/fzr-bench allocate --server "$address:$port" --user test --rest-secret-file "$secret" --clients 1)
  see="See it give an allocation"
fi
if $check; then
  echo "== ${see/See it/having it}"
  "${prove[@]}"
  exit 0
fi

health=$(sed -n 's/.*Health and metrics on //p' "$state/log")
control=$(sed -n 's/.*Control on http/http/p' "$state/log")

servers=$(build/cli/firezone-relay credentials --auth rest --user you --auth-secret-file "$secret" --format webrtc \
  --public-ip4-addr "$address" --listen-port "$port")
firefox=
if [[ $address = 127.* ]]; then
  own=$(ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' || true)
  firefox=".
Firefox asks no relay at 127.0.0.1; for that start this with an address of this machine: RELAY_ADDRESS=${own:-192.0.2.7} $0"
fi

cat <<END

The relay runs, for any TURN client:

    username: test
    password: $password
    server:   $address:$port (UDP)
    health:   $health/healthz
    metrics:  $health/metrics
    control:  curl -X POST '$control/log_filter?directives=debug'

$see, from another terminal in $PWD:

    ${prove[*]}

What a page gives to a browser as iceServers, valid for a day; examples/webrtc/index.html is such a page$firefox:

    $servers

Stop it with Ctrl-C. Its log follows.

END
tail -n +1 -f --pid="$relay" "$state/log" &
wait "$relay"
