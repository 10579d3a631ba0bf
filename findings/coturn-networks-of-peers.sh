#!/usr/bin/env bash
# coturn: denied-peer-ip with a network denies nothing, and the server runs.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1)
# Guess:     denied-peer-ip=127.0.0.0/8 is the network, or a mistake with which the server does not start.
# Behaviour: it is looked up as the name of a host; "Wrong address format" is in the log, and the server runs without that rule: peers of the network are
#            reached. Only an address, or a range with a dash (127.0.0.0-127.255.255.255), is understood.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/coturn.sh"

# reaches RULE: what becomes of data for a peer on loopback.
reaches() {
  serve "allow-loopback-peers" "user=alice:wonderland" "lt-cred-mech" "$1"
  timeout 30 "$root/usr/bin/turnutils_uclient" -s -c -n 2 -m 1 -p "$port" -e 127.0.0.1 -r 9 -u alice -w wonderland 127.0.0.1 >"$dir/client.log" 2>&1 || true
  echo "$1: $(grep -q 403 "$dir/client.log" && echo "refused" || echo "reached"), $(grep -c "Wrong address format" "$dir/server.log" || true) errors"
  stop
}

seen=$(reaches "denied-peer-ip=127.0.0.0-127.255.255.255"
  reaches "denied-peer-ip=127.0.0.0/8")
expected='denied-peer-ip=127.0.0.0-127.255.255.255: refused, 0 errors
denied-peer-ip=127.0.0.0/8: reached, 1 errors'
stated "$expected" "$seen"
