#!/usr/bin/env bash
# Mbed TLS 3.6: a server that changes its keys (KeyUpdate) loses the client, and the other way round.
#
# Version:   Mbed TLS 3.6.6 (Debian 13: libmbedtls-dev 3.6.6-0.1~deb13u1); the server is the host's openssl s_server (seen: 3.0.19)
# Guess:     whoever speaks TLS 1.3 goes on after a KeyUpdate: RFC 8446, 4.6.3 lets either side send one at any time, and 5.5 wants one before a key has
#            encrypted too much.
# Behaviour: there is no KeyUpdate in it, of either kind: mbedtls_ssl_read fails with -0x7700, an unexpected message, and with it the connection. OpenSSL's
#            client reads on. So one that renews its keys by itself should do that as late as RFC 8446 allows.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/mbedtls3.sh"

compile -Wl,--no-as-needed -lmbedtls -lmbedx509 -lmbedcrypto <<'END'
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>
#include <stdio.h>

/* program PORT: prints what it reads */
int main(int argc, char **argv) {
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_net_context net;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  unsigned char line[200];
  int n;
  if (argc != 2 || psa_crypto_init() != PSA_SUCCESS) return 77;
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&config);
  mbedtls_net_init(&net);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&random);
  if (mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0) != 0) return 77;
  if (mbedtls_net_connect(&net, "127.0.0.1", argv[1], MBEDTLS_NET_PROTO_TCP) != 0) return 77;
  mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
  mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
  if (mbedtls_ssl_setup(&ssl, &config) != 0 || mbedtls_ssl_set_hostname(&ssl, "localhost") != 0) return 77;
  mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
  if (mbedtls_ssl_handshake(&ssl) != 0) return 77;
  do {
    n = mbedtls_ssl_read(&ssl, line, sizeof line - 1);
    if (n > 0) printf("%.*s", n, (char *)line);
    fflush(stdout);
  } while (n > 0 || n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
  if (n == MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE) printf("-0x%04x\n", (unsigned)-n);
  return 0;
}
END

# say COMMAND: what COMMAND PORT reads of a server that says one line, then changes its keys with the command given, and says another one.
say() {
  local update=$1 port='' server client
  shift
  mkfifo "$dir/input"
  OPENSSL_CONF=/dev/null openssl s_server -accept 127.0.0.1:0 -key "$dir/key.pem" -cert "$dir/certificate.pem" -tls1_3 \
    <"$dir/input" >"$dir/server.log" 2>&1 &
  server=$!
  exec 9>"$dir/input"
  for _ in $(seq 100); do
    port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$dir/server.log")
    [ -z "$port" ] || break
    sleep 0.05
  done
  [ -n "$port" ] || cannot "openssl s_server did not start"
  : >"$dir/read"
  "$@" "$port" >"$dir/read" 2>/dev/null </dev/null 9>&- &
  client=$!
  told "$dir/server.log" '^CIPHER is'
  echo one >&9
  told "$dir/read" one
  echo "$update" >&9
  [ "$update" = - ] || told "$dir/server.log" KEYUPDATE
  echo two >&9
  for _ in $(seq 60); do
    if grep -q two "$dir/read" || ! kill -0 "$client" 2>/dev/null; then break; fi
    sleep 0.05
  done
  exec 9>&-
  kill "$client" "$server" 2>/dev/null || true
  wait "$client" "$server" 2>/dev/null || true
  rm "$dir/input"
  grep -E '^(one|two|-0x)' "$dir/read" | tr '\n' ' ' | sed 's/ $//'
}

# told FILE REGEX: waits until it is there.
told() {
  local _
  for _ in $(seq 100); do
    if grep -qE "$2" "$1"; then return; fi
    sleep 0.05
  done
}

openssl_client() { exec openssl s_client -connect "127.0.0.1:$1" -quiet -ign_eof; }

expected='Mbed TLS, no change: one two
Mbed TLS, after k: one -0x7700
Mbed TLS, after K: one -0x7700
OpenSSL, after k: one two
OpenSSL, after K: one two'
stated "$expected" "$(
  echo "Mbed TLS, no change: $(say - "$dir/program")"
  echo "Mbed TLS, after k: $(say k "$dir/program")"
  echo "Mbed TLS, after K: $(say K "$dir/program")"
  echo "OpenSSL, after k: $(say k openssl_client)"
  echo "OpenSSL, after K: $(say K openssl_client)"
)"
