#!/usr/bin/env bash
# coturn: what follows a # behind a value is a part of the value, of a secret, too.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1)
# Guess:     "static-auth-secret=north # of the old site" has the secret "north", for lines that begin with a # are comments.
# Behaviour: the secret is "north # of the old site", and credentials of "north" are refused, without a word about the line.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/coturn.sh"

# takes LINE SECRET...: whether credentials of each secret log in.
takes() {
  local line=$1 secret
  shift
  serve "use-auth-secret" "$line"
  for secret in "$@"; do
    timeout 30 "$root/usr/bin/turnutils_uclient" -v -O -c -m 1 -p "$port" -e 127.0.0.1 -r 9 -u joe -W "$secret" 127.0.0.1 >"$dir/client.log" 2>&1 || true
    echo "$line, credentials of <$secret>: $(grep -q "Received relay addr" "$dir/client.log" && echo "log in" || echo "do not")"
  done
  stop
}

seen=$(takes 'static-auth-secret=north # of the old site' 'north' 'north # of the old site')
expected='static-auth-secret=north # of the old site, credentials of <north>: do not
static-auth-secret=north # of the old site, credentials of <north # of the old site>: log in'
stated "$expected" "$seen"
