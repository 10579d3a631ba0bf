# shellcheck shell=bash
# Sourced behind finding.sh: coturn 4.6.1 of Debian 12, with a configuration of the finding's.

unpack coturn=4.6.1-1 libevent-core-2.1-7=2.1.12-stable-8+deb12u1 libevent-extra-2.1-7=2.1.12-stable-8+deb12u1 \
  libevent-openssl-2.1-7=2.1.12-stable-8+deb12u1 libevent-pthreads-2.1-7=2.1.12-stable-8+deb12u1
export LD_LIBRARY_PATH=$root/usr/lib/$multiarch
for tool in turnserver turnutils_uclient; do
  ! ldd "$root/usr/bin/$tool" | grep -q "not found" || cannot "a library of $tool is missing"
done
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])') ||
  cannot "no /usr/bin/python3"

# serve LINE...: runs the server, on loopback at $port, with further lines of turnserver.conf, $tls instead of no-tls; stop ends it. Its log is $dir/server.log.
serve() {
  printf '%s\n' no-cli "${tls:-no-tls}" no-dtls listening-ip=127.0.0.1 relay-ip=127.0.0.1 "listening-port=$port" realm=example.org log-file=stdout simple-log \
    "pidfile=$dir/pid" "userdb=$dir/users" "$@" >"$dir/turnserver.conf"
  "$root/usr/bin/turnserver" -c "$dir/turnserver.conf" >"$dir/server.log" 2>&1 &
  server=$!
  started+=("$server")
  for _ in $(seq 100); do
    ! grep -q "IO method (admin thread)" "$dir/server.log" || break
    sleep 0.1
  done
}

stop() {
  kill "$server"
  wait "$server" 2>/dev/null || true
}
