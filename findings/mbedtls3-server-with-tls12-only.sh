#!/usr/bin/env bash
# Mbed TLS 3.6: a client with defaults gets into no TLS 1.2 server that has an RSA certificate and signs with RSA-PSS.
#
# Version:   Mbed TLS 3.6.6 (Debian 13: libmbedtls-dev 3.6.6-0.1~deb13u1); the server is the host's openssl s_server (seen: 3.0.19, defaults)
# Guess:     MBEDTLS_SSL_PRESET_DEFAULT speaks TLS 1.2 and 1.3: with a server that has only 1.2 both agree on 1.2.
# Behaviour: for the sake of 1.3 the ClientHello offers RSA-PSS signatures, which RFC 8446, 4.2.3 lets a server use in TLS 1.2, too. OpenSSL
#            takes the first of them, and the client then refuses its choice: -0x6600, alert illegal_parameter. With
#            mbedtls_ssl_conf_max_tls_version(TLS1_2), or a server that is not allowed RSA-PSS, it works.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"
. "$lib/mbedtls3.sh"

expected='server -tls1_2, client defaults: -0x6600
server -tls1_2, client max12: TLSv1.2
server -tls1_2 -sigalgs RSA+SHA256, client defaults: TLSv1.2
server -tls1_3, client defaults: TLSv1.3'
stated "$expected" "$(
  try defaults -tls1_2
  try max12 -tls1_2
  try defaults -tls1_2 -sigalgs RSA+SHA256
  try defaults -tls1_3
)"
