/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_tls.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

struct wire_tls {
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  int (*send)(void *ctx, const unsigned char *data, size_t len);
  int (*recv)(void *ctx, unsigned char *out, size_t cap);
  void *ctx;
};

/* In the order of browsers on machines that have AES in hardware: which one it is to be is the server's to say. */
static const int ciphersuites[] = {
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#endif
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

#if MBEDTLS_VERSION_MAJOR >= 3
/* What an earlier handshake has taught: the server has TLS 1.2, follows an order of its own and signs with RSA-PSS, as coturn with a key of RSA
 * does. mbedTLS 3.6 offers that for TLS 1.3, and can't go on with it in 1.2. */
static bool only_12;
#endif

static int on_random(void *ctx, unsigned char *out, size_t len)
{
  (void)ctx;
  return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

static int translate(int result, int wait)
{
  return result >= 0 ? result : result == WIRE_TLS_WAIT ? wait : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static int on_send(void *ctx, const unsigned char *data, size_t len)
{
  const wire_tls *t = ctx;
  return translate(t->send(t->ctx, data, len), MBEDTLS_ERR_SSL_WANT_WRITE);
}

static int on_recv(void *ctx, unsigned char *out, size_t cap)
{
  const wire_tls *t = ctx;
  return translate(t->recv(t->ctx, out, cap), MBEDTLS_ERR_SSL_WANT_READ);
}

static int set_up(wire_tls *t)
{
#if MBEDTLS_VERSION_MAJOR >= 3
  if (psa_crypto_init() != PSA_SUCCESS)
    return -1;
#endif
  if (mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                  MBEDTLS_SSL_PRESET_DEFAULT))
    return -1;
#if MBEDTLS_VERSION_MAJOR >= 3
  static const uint16_t of_12[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
                                   MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256, MBEDTLS_TLS1_3_SIG_NONE};
  if (only_12) {
    mbedtls_ssl_conf_max_tls_version(&t->config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_sig_algs(&t->config, of_12);
  }
#endif
  mbedtls_ssl_conf_ciphersuites(&t->config, ciphersuites);
  mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_NONE);
  mbedtls_ssl_conf_rng(&t->config, on_random, NULL);
  return mbedtls_ssl_setup(&t->ssl, &t->config);
}

wire_tls *wire_tls_new(int (*send)(void *ctx, const unsigned char *data, size_t len),
                       int (*recv)(void *ctx, unsigned char *out, size_t cap), void *ctx)
{
  wire_tls *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->send = send;
  t->recv = recv;
  t->ctx = ctx;
  mbedtls_ssl_init(&t->ssl);
  mbedtls_ssl_config_init(&t->config);
  if (set_up(t)) {
    wire_tls_free(t);
    return NULL;
  }
  mbedtls_ssl_set_bio(&t->ssl, t, on_send, on_recv, NULL);
  return t;
}

void wire_tls_free(wire_tls *t)
{
  if (!t)
    return;
  mbedtls_ssl_free(&t->ssl);
  mbedtls_ssl_config_free(&t->config);
  free(t);
}

static int result_of(int result)
{
  if (result >= 0)
    return result;
  return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE ? WIRE_TLS_WAIT
                                                                                     : WIRE_TLS_FAILED;
}

int wire_tls_shake(wire_tls *t)
{
  const int result = mbedtls_ssl_handshake(&t->ssl);
#if MBEDTLS_VERSION_MAJOR >= 3
  if (result == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER)
    only_12 = mbedtls_ssl_get_version_number(&t->ssl) == MBEDTLS_SSL_VERSION_TLS1_2;
#endif
  return result_of(result);
}

int wire_tls_read(wire_tls *t, uint8_t *out, size_t cap)
{
  return result_of(mbedtls_ssl_read(&t->ssl, out, cap));
}

int wire_tls_write(wire_tls *t, const uint8_t *data, size_t len)
{
  return result_of(mbedtls_ssl_write(&t->ssl, data, len));
}
