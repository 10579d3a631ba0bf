#!/usr/bin/env bash
# coturn: with use-auth-secret, users of the configuration can't log in, and nothing says so.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1)
# Guess:     turnserver takes use-auth-secret and user= together without a word, with lt-cred-mech, too: so both log in.
# Behaviour: only time-limited credentials of the secret do. A user, whose password is right, is told 401 again and again; the server's log has
#            "Cannot find credentials of user" for a name that stands in its configuration. Whoever has both needs two servers.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/coturn.sh"

# with WHAT LINE...: what the server answers to a user and to a credential of the secret, if turnserver.conf has the lines.
with() {
  local what=$1
  shift
  serve user=alice:wonderland "$@"
  echo "$what: a user $(allocates -u alice -w wonderland), a credential of the secret $(allocates -u joe -W north)"
  stop
}

allocates() {
  timeout 30 "$root/usr/bin/turnutils_uclient" -v -O -c -m 1 -p "$port" -e 127.0.0.1 -r 9 "$@" 127.0.0.1 >"$dir/client.log" 2>&1 || true
  grep -q "Received relay addr" "$dir/client.log" && echo "logs in" || echo "does not"
}

seen=$(with users lt-cred-mech
  with both lt-cred-mech use-auth-secret static-auth-secret=north)
expected='users: a user logs in, a credential of the secret does not
both: a user does not, a credential of the secret logs in'
stated "$expected" "$seen"
