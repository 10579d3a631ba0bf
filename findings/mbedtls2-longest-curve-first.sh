#!/usr/bin/env bash
# Mbed TLS 2.28: a server with defaults takes the longest curve that the client has, not the client's favourite nor the fastest.
#
# Version:   Mbed TLS 2.28.3 (Debian 12: libmbedtls14, libmbedtls-dev 2.28.3-1); the client is the host's openssl s_client (seen: 3.0.19)
# Guess:     as with OpenSSL, whose clients and servers, and with browsers, X25519 or P-256 is what both have and prefer: a preset called
#            MBEDTLS_SSL_PRESET_DEFAULT is a sensible one, and the ciphersuites, too, have their best first.
# Behaviour: the preset's curves are those of mbedtls_ecp_grp_id_list, by size, and the server goes through its own list, not the client's: P-521
#            with OpenSSL's defaults, P-384 with what browsers offer, X25519 only where there is nothing longer. A handshake takes the server two to
#            three times as long. mbedtls_ssl_conf_curves with another order helps. Mbed TLS 3 begins with X25519 and P-256.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

expected='client defaults, server defaults: ECDH, secp521r1, 521 bits
client X25519:P-256:P-384, server defaults: ECDH, secp384r1, 384 bits
client X25519:P-256, server defaults: ECDH, prime256v1, 256 bits
client defaults, server ordered: ECDH, prime256v1, 256 bits'

need openssl timeout
unpack libmbedtls-dev=2.28.3-1 libmbedtls14=2.28.3-1 libmbedx509-1=2.28.3-1 libmbedcrypto7=2.28.3-1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout "$dir/key.pem" \
  -out "$dir/cert.pem" 2>/dev/null
# Prints the port of 127.0.0.1 that it listens on, and shakes hands with whoever comes.
compile -lmbedtls -lmbedx509 -lmbedcrypto <<'END'
#include <arpa/inet.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int on_random(void *ctx, unsigned char *out, size_t len)
{
  (void)ctx;
  return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

int main(int argc, char **argv)
{
  static const mbedtls_ecp_group_id ordered[] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP384R1,
                                                 MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_ECP_DP_NONE};
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof name;
  mbedtls_ssl_config config;
  mbedtls_x509_crt cert;
  mbedtls_pk_context key;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  mbedtls_ssl_config_init(&config);
  mbedtls_x509_crt_init(&cert);
  mbedtls_pk_init(&key);
  if (argc < 4 || bind(fd, (void *)&name, sizeof name) || listen(fd, 5) || getsockname(fd, (void *)&name, &len) ||
      mbedtls_x509_crt_parse_file(&cert, argv[1]) || mbedtls_pk_parse_keyfile(&key, argv[2], NULL) ||
      mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) ||
      mbedtls_ssl_conf_own_cert(&config, &cert, &key))
    return 1;
  mbedtls_ssl_conf_rng(&config, on_random, NULL);
  if (!strcmp(argv[3], "ordered"))
    mbedtls_ssl_conf_curves(&config, ordered);
  printf("%u\n", ntohs(name.sin_port));
  fflush(stdout);
  for (;;) {
    mbedtls_net_context client = {accept(fd, NULL, NULL)};
    mbedtls_ssl_context ssl;
    mbedtls_ssl_init(&ssl);
    if (mbedtls_ssl_setup(&ssl, &config))
      return 1;
    mbedtls_ssl_set_bio(&ssl, &client, mbedtls_net_send, mbedtls_net_recv, NULL);
    mbedtls_ssl_handshake(&ssl);
    mbedtls_ssl_free(&ssl);
    mbedtls_net_free(&client);
  }
}
END

# How the server is set up, and further arguments of s_client: prints what the handshake computed with.
try() {
  local how=$1 port server
  shift
  "$dir/program" "$dir/cert.pem" "$dir/key.pem" "$how" >"$dir/port" &
  server=$!
  for _ in $(seq 100); do
    [ ! -s "$dir/port" ] || break
    sleep 0.05
  done
  port=$(cat "$dir/port")
  : >"$dir/port"
  echo "client ${2:-defaults}, server $how: $(timeout 10 openssl s_client -connect "127.0.0.1:$port" "$@" </dev/null 2>/dev/null |
    sed -n 's/^Server Temp Key: //p')"
  kill "$server"
  wait "$server" 2>/dev/null || true
}

stated "$expected" "$(
  try defaults
  try defaults -groups X25519:P-256:P-384
  try defaults -groups X25519:P-256
  try ordered
)"
