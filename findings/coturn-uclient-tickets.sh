#!/usr/bin/env bash
# coturn: turnutils_uclient takes a MOBILITY-TICKET for text.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1)
# Guess:     a client gives back a MOBILITY-TICKET (RFC 8016, 3.3: encrypted, of any length) as it got it.
# Behaviour: it gives back what stands before the first byte that is 0, and of a ticket that begins with one nothing: a server that
#            makes tickets of encrypted bytes refuses one in eight of 32 bytes (400, or 437 without a ticket). One of more than 32 bytes it
#            does not keep at all. coturn's own tickets are text. It also sends each Refresh with a ticket twice, as one
#            transaction, 10 ms apart: a server that wants another nonce for the new address answers 438 twice, and is not to blame.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack coturn=4.6.1-1 libevent-core-2.1-7=2.1.12-stable-8+deb12u1 libevent-extra-2.1-7=2.1.12-stable-8+deb12u1
. "$lib/turn.sh"
start_server
export LD_LIBRARY_PATH=$root/usr/lib/$multiarch
! ldd "$root/usr/bin/turnutils_uclient" | grep -q "not found" || cannot "a library of turnutils_uclient is missing"
timeout 10 "$root/usr/bin/turnutils_uclient" -M -s -c -n 1 -m 1 -u user -w password -p "$port" \
  -e 127.0.0.1 -r 9 127.0.0.1 >/dev/null 2>&1 || true
seen=$(sed -n 's/^\([A-Z][a-z]*\): success.*, \(ticket of [0-9]* bytes\).*/\1 with a \2/p' "$dir/server.log" | head -n 3)
expected='Allocate with a ticket of 0 bytes
Refresh with a ticket of 6 bytes
Refresh with a ticket of 6 bytes'
stated "$expected" "$seen"
