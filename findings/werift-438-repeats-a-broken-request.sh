#!/usr/bin/env bash
# werift: no allocation survives a change of the server's nonce.
#
# Version:   werift 0.25.2 (npm); 0.20.0 repeats the request in the same way
# Guess:     438 makes the client repeat the request with the new nonce and a fresh MESSAGE-INTEGRITY over it (RFC 8489, 9.2.5). The 438 itself
#            need not be signed: the server may, but does not have to, sign it (9.2.4).
# Behaviour: a 438 without MESSAGE-INTEGRITY is ignored, and the request is sent again as it was until it times out. With one, the
#            request is repeated, but HMAC and CRC are computed over a message that still has the old ones in it: both are wrong, and
#            any server answers 401. So ChannelBind, Refresh and CreatePermission fail for good. A server that wants to keep these clients
#            has nonces that live as long as the allocation.
# Seen:      see `expected` below; retransmissions are left out.
. "$(dirname "$0")/lib/finding.sh"

need npm node
. "$lib/turn.sh"
(cd "$dir" && npm install --ignore-scripts --no-audit --no-fund werift@0.25.2 >npm.log 2>&1) || cannot "npm install werift@0.25.2"
cat >"$dir/client.js" <<'END'
const { createTurnClient } = require("werift");
setTimeout(() => {
  console.log("client: no answer in 3 s");
  process.exit();
}, 3000);
(async () => {
  const address = ["127.0.0.1", Number(process.argv[2])];
  const client = await createTurnClient({ address, username: "user", password: "password" });
  await client.getChannel(["127.0.0.1", 9]);
  console.log("client: channel bound");
  process.exit();
})();
END
seen=$(
  for how in nowhere ChannelBind 'ChannelBind signed'; do
    # shellcheck disable=SC2086 # one or two arguments
    start_server $how
    echo "438 in: $how"
    timeout 30 node "$dir/client.js" "$port"
    tail -n +2 "$dir/server.log" | uniq
    kill "${started[-1]}"
  done
)
expected='438 in: nowhere
client: channel bound
Allocate: success, integrity right, fingerprint right
ChannelBind: success, integrity right, fingerprint right, channel 0x4000
438 in: ChannelBind
client: no answer in 3 s
Allocate: success, integrity right, fingerprint right
ChannelBind: 438, integrity right, fingerprint right, channel 0x4000
438 in: ChannelBind signed
client: no answer in 3 s
Allocate: success, integrity right, fingerprint right
ChannelBind: 438, integrity right, fingerprint right, channel 0x4000
ChannelBind: 401, integrity wrong, fingerprint wrong, channel 0x4000'
stated "$expected" "$seen"
