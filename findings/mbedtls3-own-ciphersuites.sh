#!/usr/bin/env bash
# Mbed TLS 3.6: a list of TLS 1.2 ciphersuites, right for 2.28, breaks with every server that knows TLS 1.3.
#
# Version:   Mbed TLS 3.6.6 (Debian 13: libmbedtls-dev 3.6.6-0.1~deb13u1); the server is the host's openssl s_server (seen: 3.0.19, defaults)
# Guess:     a client that was given only ciphersuites of TLS 1.2 speaks TLS 1.2, as with Mbed TLS 2.28, where it is the same call; or as in
#            OpenSSL, where the list for 1.2 leaves those of 1.3 alone.
# Behaviour: mbedtls_ssl_conf_ciphersuites is for both versions. The client still offers TLS 1.3, with no ciphersuite for it; the server picks
#            1.3, finds none and ends it with handshake_failure (-0x7780). Suites of 1.3 have to be in the list, or
#            mbedtls_ssl_conf_max_tls_version(TLS1_2) beside it.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/mbedtls3.sh"

expected='server -no_ticket, client defaults: TLSv1.3
server -no_ticket, client suites: -0x7780
server -no_ticket, client suites+max12: TLSv1.2'
stated "$expected" "$(
  try defaults -no_ticket
  try suites -no_ticket
  try suites+max12 -no_ticket
)"
