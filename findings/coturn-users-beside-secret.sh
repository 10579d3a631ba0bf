#!/usr/bin/env bash
# coturn: with use-auth-secret, users of the configuration can't log in, and nothing says so.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1)
# Guess:     turnserver takes use-auth-secret and user= together without a word, with lt-cred-mech, too: so both log in.
# Behaviour: only time-limited credentials of the secret do. A user, whose password is right, is told 401 again and again; the server's log has
#            "Cannot find credentials of user" for a name that stands in its configuration. Whoever has both needs two servers.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack coturn=4.6.1-1 libevent-core-2.1-7=2.1.12-stable-8+deb12u1 libevent-extra-2.1-7=2.1.12-stable-8+deb12u1 \
  libevent-openssl-2.1-7=2.1.12-stable-8+deb12u1 libevent-pthreads-2.1-7=2.1.12-stable-8+deb12u1
export LD_LIBRARY_PATH=$root/usr/lib/$multiarch
for tool in turnserver turnutils_uclient; do
  ! ldd "$root/usr/bin/$tool" | grep -q "not found" || cannot "a library of $tool is missing"
done
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])') ||
  cannot "no /usr/bin/python3"

# with WHAT OPTION...: what the server answers to a user and to a credential of the secret, if it has the options.
with() {
  local what=$1 pid
  shift
  "$root/usr/bin/turnserver" -n --no-cli --no-tls --no-dtls -L 127.0.0.1 -E 127.0.0.1 -p "$port" --realm example.org --user alice:wonderland \
    "$@" --log-file stdout --simple-log --pidfile "$dir/pid" --userdb "$dir/users" >"$dir/server.log" 2>&1 &
  pid=$!
  started+=("$pid")
  for _ in $(seq 100); do
    ! grep -q "IO method (admin thread)" "$dir/server.log" || break
    sleep 0.1
  done
  echo "$what: a user $(allocates -u alice -w wonderland), a credential of the secret $(allocates -u joe -W north)"
  kill "$pid"
  wait "$pid" 2>/dev/null || true
}

allocates() {
  timeout 30 "$root/usr/bin/turnutils_uclient" -v -O -c -m 1 -p "$port" -e 127.0.0.1 -r 9 "$@" 127.0.0.1 >"$dir/client.log" 2>&1 || true
  grep -q "Received relay addr" "$dir/client.log" && echo "logs in" || echo "does not"
}

seen=$(with users --lt-cred-mech
  with both --lt-cred-mech --use-auth-secret --static-auth-secret=north)
expected='users: a user logs in, a credential of the secret does not
both: a user does not, a credential of the secret logs in'
stated "$expected" "$seen"
