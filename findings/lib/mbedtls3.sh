# shellcheck shell=bash
# Sourced by the findings about Mbed TLS 3.6: builds a client, makes a certificate, and has `try`.

need openssl
use_debian trixie
version=3.6.6-0.1~deb13u1
unpack libmbedtls-dev=$version libmbedtls21=$version libmbedx509-7=$version libmbedcrypto16=$version
compile -lmbedtls -lmbedx509 -lmbedcrypto <<'END'
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <string.h>

static const int suites[] = {MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, 0};

/* program PORT CERTIFICATE WHAT */
int main(int argc, char **argv) {
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt ca;
  mbedtls_net_context net;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  if (argc != 4 || psa_crypto_init() != PSA_SUCCESS) return 77;
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&config);
  mbedtls_x509_crt_init(&ca);
  mbedtls_net_init(&net);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&random);
  if (mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0) != 0) return 77;
  if (mbedtls_x509_crt_parse_file(&ca, argv[2]) != 0) return 77;
  if (mbedtls_net_connect(&net, "127.0.0.1", argv[1], MBEDTLS_NET_PROTO_TCP) != 0) return 77;
  mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
  mbedtls_ssl_conf_ca_chain(&config, &ca, NULL);
  if (strstr(argv[3], "suites") != NULL) mbedtls_ssl_conf_ciphersuites(&config, suites);
  if (strstr(argv[3], "max12") != NULL) mbedtls_ssl_conf_max_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_2);
  if (mbedtls_ssl_setup(&ssl, &config) != 0 || mbedtls_ssl_set_hostname(&ssl, "localhost") != 0) return 77;
  mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
  int result = mbedtls_ssl_handshake(&ssl);
  if (result == 0) printf("%s\n", mbedtls_ssl_get_version(&ssl));
  else printf("-0x%04x\n", (unsigned)-result);
  mbedtls_net_free(&net);
}
END
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key.pem" -out "$dir/certificate.pem" -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>/dev/null

# try WHAT OPTION...: what a client with WHAT (defaults, suites, max12) comes to at an openssl s_server with the options.
try() {
  local what=$1 port='' pid
  shift
  # Port 0: s_server says which one it got.
  OPENSSL_CONF=/dev/null openssl s_server -accept 127.0.0.1:0 -key "$dir/key.pem" -cert "$dir/certificate.pem" -www "$@" \
    >"$dir/server.log" 2>&1 &
  pid=$!
  for _ in $(seq 100); do
    port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$dir/server.log")
    [ -z "$port" ] || break
    sleep 0.05
  done
  [ -n "$port" ] || cannot "openssl s_server did not start"
  echo "server $*, client $what: $("$dir/program" "$port" "$dir/certificate.pem" "$what")"
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
