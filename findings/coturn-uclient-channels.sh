#!/usr/bin/env bash
# coturn: turnutils_uclient takes most of its channel numbers from the range that RFC 8656 reserves.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1)
# Guess:     a test client of 2022 asks for channels of 0x4000 to 0x4FFF (RFC 8656, 12; since 2020), best from the first one up.
# Behaviour: it draws them from 0x4000 to 0x7FFF, as RFC 5766 had it: three of four are reserved now. A server that goes by RFC 8656
#            answers 400 to those. 64 channels are bound here; that fewer than 16 of them are reserved
#            has a chance of less than 1e-15. No option changes it; it can be told to use no channels (-s).
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack coturn=4.6.1-1 libevent-core-2.1-7=2.1.12-stable-8+deb12u1 libevent-extra-2.1-7=2.1.12-stable-8+deb12u1
. "$lib/turn.sh"
start_server
export LD_LIBRARY_PATH=$root/usr/lib/$multiarch
! ldd "$root/usr/bin/turnutils_uclient" | grep -q "not found" || cannot "a library of turnutils_uclient is missing"
timeout 30 "$root/usr/bin/turnutils_uclient" -c -m 64 -n 1 -u user -w password -p "$port" -e 127.0.0.1 -r 9 127.0.0.1 >/dev/null 2>&1 || true
seen=$(awk -F'0x' '/^ChannelBind: success/ && !seen[$2]++ { n++; if (substr($2, 1, 1) >= 5) reserved++ }
  END { print "more than 32 channels:", (n > 32 ? "yes" : "no"); print "16 or more of them reserved:", (reserved >= 16 ? "yes" : "no") }' "$dir/server.log")
expected='more than 32 channels: yes
16 or more of them reserved: yes'
stated "$expected" "$seen"
