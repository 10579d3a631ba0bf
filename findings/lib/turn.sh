# shellcheck shell=bash
# Sourced by findings about TURN clients: start_server [METHOD [signed]] starts turn_server.py, sets port, and has its words in $dir/server.log.

[ -x /usr/bin/python3 ] || cannot "no python3"
start_server() {
  port=''
  /usr/bin/python3 "$lib/turn_server.py" "$@" >"$dir/server.log" &
  started+=($!)
  for _ in $(seq 100); do
    port=$(head -n 1 "$dir/server.log")
    [ -z "$port" ] || return 0
    sleep 0.05
  done
  cannot "turn_server.py did not start"
}
