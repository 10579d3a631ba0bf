#!/usr/bin/env bash
# aioice: a nonce that turns stale between the first two Allocate requests ends the allocation.
#
# Version:   aioice 0.8.0 (Debian 12: python3-aioice 0.8.0-1)
# Guess:     438 is answered by another try with the new nonce (RFC 8489, 9.2.5), whatever came before it: aioice does so in a ChannelBind.
# Behaviour: a request is repeated once. The first Allocate has used that up with its 401, as each does that knows no nonce yet; a 438
#            then raises TransactionFailed, and the candidate is not gathered. Servers that change nonces often, or several behind one
#            address, meet this; a server may take a nonce of just before instead.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack python3-aioice=0.8.0-1 python3-dnspython=2.3.0-1+deb12u1 python3-netifaces=0.11.0-2+b1
. "$lib/turn.sh"
export PYTHONPATH=$root/usr/lib/python3/dist-packages
/usr/bin/python3 -c 'import aioice.turn' 2>/dev/null || cannot "this Python does not take Debian 12's python3-netifaces"
cat >"$dir/client.py" <<'END'
import asyncio, sys
from aioice import stun, turn

async def main():
    try:
        relayed, _ = await turn.create_turn_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", int(sys.argv[1])), "user", "password")
        print("client: allocated")
        await relayed._TurnTransport__inner_protocol.channel_bind(0x4000, ("127.0.0.1", 9))
    except stun.TransactionFailed as e:
        print("client: TransactionFailed,", e)

asyncio.run(main())
END
seen=$(
  for stale in nowhere Allocate ChannelBind; do
    start_server "$stale"
    echo "nonce stale in: $stale"
    timeout 30 /usr/bin/python3 "$dir/client.py" "$port"
    tail -n +2 "$dir/server.log"
    kill "${started[-1]}"
  done
)
expected='nonce stale in: nowhere
client: allocated
Allocate: success, integrity right, fingerprint right
ChannelBind: success, integrity right, fingerprint right, channel 0x4000
nonce stale in: Allocate
client: TransactionFailed, STUN transaction failed (438 - error)
Allocate: 438, integrity right, fingerprint right
nonce stale in: ChannelBind
client: allocated
Allocate: success, integrity right, fingerprint right
ChannelBind: 438, integrity right, fingerprint right, channel 0x4000
ChannelBind: success, integrity right, fingerprint right, channel 0x4000'
stated "$expected" "$seen"
