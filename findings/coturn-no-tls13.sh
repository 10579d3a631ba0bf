#!/usr/bin/env bash
# coturn 4.6.1: no TLS 1.3, though OpenSSL 3 has it, and no option that asks for it.
#
# Version:   coturn 4.6.1 (Debian 12: coturn 4.6.1-1; Debian 13 has 4.6.1, too), with OpenSSL 3; the client is the host's openssl s_client (seen: 3.0.19)
# Guess:     a server of OpenSSL 3 has TLS 1.2 and 1.3, as OpenSSL has where nobody forbids it. Its options are --no-tlsv1, --no-tlsv1_1 and --no-tlsv1_2, which
#            leave 1.3.
# Behaviour: TLS 1.2 is all there is: a client that has 1.3 alone is refused, whatever --cipher-list says; one that has both gets 1.2. A measurement
#            "against coturn with TLS 1.3" is one against 1.2. With a key of RSA it signs with RSA-PSS, which a client of Mbed TLS 3.6 that offers both versions
#            can't go on with (mbedtls3-server-with-tls12-only.sh).
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/coturn.sh"
need openssl

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$dir/key.pem" -out "$dir/certificate.pem" 2>/dev/null
tls=tls-listening-port=$port

# agreed OPTION...: the version and cipher of a handshake at the server.
agreed() {
  OPENSSL_CONF=/dev/null timeout 10 openssl s_client -connect "127.0.0.1:$port" "$@" </dev/null 2>/dev/null | sed -n 's/^New, \(.*\), Cipher is.*/\1/p'
}

# with WHAT LINE...: what it has for clients of TLS 1.2, of 1.3, and of both, if turnserver.conf has the lines.
with() {
  local what=$1
  shift
  serve "cert=$dir/certificate.pem" "pkey=$dir/key.pem" lt-cred-mech "$@"
  echo "$what: 1.2 $(agreed -tls1_2), 1.3 $(agreed -tls1_3), both $(agreed)"
  stop
}

seen=$(with usual
  with "a cipher of 1.3 named" cipher-list=TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256)
expected='usual: 1.2 TLSv1.2, 1.3 (NONE), both TLSv1.2
a cipher of 1.3 named: 1.2 TLSv1.2, 1.3 (NONE), both TLSv1.2'
stated "$expected" "$seen"
