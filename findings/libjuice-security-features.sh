#!/usr/bin/env bash
# libjuice: it takes the security features in a nonce from the wrong end, and never offers the algorithms back.
#
# Version:   node-datachannel 0.33.4 (npm), in which libjuice makes the TURN requests
# Guess:     a client that reads the nonce cookie of RFC 8489 (section 9.2) and knows USERHASH sends one where the server has said that it
#            takes it: bit 1 of 24, which the section counts from the most significant one on, "obMatJos2QAAA". It gives
#            PASSWORD-ALGORITHMS back, as section 9.2.5 wants it, and makes its key by the first one of them that it knows.
# Behaviour: it takes the two lowest bits for the features, as the sample in the RFC's own appendix B.1 has them ("obMatJos2AAAC"). So with a
#            server that keeps to the text it sends USERNAME, and with one that counts from the other end USERHASH. From neither it
#            takes PASSWORD-ALGORITHMS: none comes back, and its key is by MD5, with MESSAGE-INTEGRITY alone.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

need npm node python3
(cd "$dir" && npm install --ignore-scripts --no-audit --no-fund node-datachannel@0.33.4 >npm.log 2>&1) || cannot "npm install node-datachannel@0.33.4"
[ -d "$dir/node_modules/@node-datachannel" ] || cannot "node-datachannel 0.33.4 has no build for this machine"

# Says what of RFC 8489 is in the first request that comes after a 401 with these 13 characters in the nonce.
cat >"$dir/server.py" <<'END'
import socket, struct, sys

NAMES = {6: "USERNAME", 0x1E: "USERHASH", 0x8002: "PASSWORD-ALGORITHMS", 0x1D: "PASSWORD-ALGORITHM", 8: "MESSAGE-INTEGRITY",
         0x1C: "MESSAGE-INTEGRITY-SHA256"}


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
sock.settimeout(20)
print(sock.getsockname()[1], flush=True)
body = (attribute(9, struct.pack("!HBB", 0, 4, 1) + b"Unauthenticated") + attribute(0x14, b"example.org") +
        attribute(0x15, sys.argv[1].encode() + b"0123456789abcdef") + attribute(0x8002, bytes.fromhex("0002000000010000")))
while True:
    request, source = sock.recvfrom(2048)
    if request[:2] != b"\0\3":
        continue
    kinds, at = [], 20
    while at < len(request):
        kind, length = struct.unpack_from("!HH", request, at)
        kinds.append(kind)
        at += 4 + length + -length % 4
    if 8 in kinds or 0x1C in kinds:
        print("%s: %s" % (sys.argv[1], ", ".join(NAMES[k] for k in kinds if k in NAMES)), flush=True)
        break
    sock.sendto(struct.pack("!HH", 0x113, len(body)) + request[4:20] + body, source)
END
cat >"$dir/client.js" <<'END'
const { PeerConnection } = require("node-datachannel");
const server = { hostname: "127.0.0.1", port: Number(process.argv[2]), username: "user", password: "password", relayType: "TurnUdp" };
new PeerConnection("a", { iceServers: [server] }).createDataChannel("x");
setTimeout(() => process.exit(), 30000);
END
seen=$(
  for cookie in obMatJos2wAAA obMatJos2QAAA obMatJos2AAAD obMatJos2AAAC; do
    python3 "$dir/server.py" "$cookie" >"$dir/$cookie.log" &
    server=$!
    until [ -s "$dir/$cookie.log" ] || ! kill -0 "$server" 2>/dev/null; do sleep 0.1; done
    node "$dir/client.js" "$(head -n 1 "$dir/$cookie.log")" &
    client=$!
    wait "$server" || echo "no second request in 20 s"
    kill "$client"
    tail -n +2 "$dir/$cookie.log"
  done
)
expected='obMatJos2wAAA: USERNAME, MESSAGE-INTEGRITY
obMatJos2QAAA: USERNAME, MESSAGE-INTEGRITY
obMatJos2AAAD: USERHASH, MESSAGE-INTEGRITY
obMatJos2AAAC: USERHASH, MESSAGE-INTEGRITY'
stated "$expected" "$seen"
