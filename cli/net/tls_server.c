/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_server.h"

#include "net/tls_alert.h"
#include "net/tls_internal.h"
#include "net/tls_keys.h"
#include "net/tls_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/x509_crt.h>

struct net_tls_identity {
  unsigned holders;
  mbedtls_x509_crt chain;
  mbedtls_pk_context key;
  mbedtls_ssl_config config;
};

static const char *protocols[] = {"stun.turn", "stun.nat-discovery", NULL};

static int parse_key(mbedtls_pk_context *key, const uint8_t *pem, size_t len)
{
#if MBEDTLS_VERSION_MAJOR < 3
  return mbedtls_pk_parse_key(key, pem, len, NULL, 0);
#else
  return mbedtls_pk_parse_key(key, pem, len, NULL, 0, net_tls_on_random, NULL);
#endif
}

static int check_pair(const mbedtls_pk_context *certificate, const mbedtls_pk_context *key)
{
#if MBEDTLS_VERSION_MAJOR < 3
  return mbedtls_pk_check_pair(certificate, key);
#else
  return mbedtls_pk_check_pair(certificate, key, net_tls_on_random, NULL);
#endif
}

/* TLS 1.2 at the least. Without locks of its own, PSA is not for several threads, and TLS 1.3 is made of it. */
static void set_versions(mbedtls_ssl_config *config)
{
#if MBEDTLS_VERSION_MAJOR < 3
  mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#else
  mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#ifndef MBEDTLS_THREADING_C
  mbedtls_ssl_conf_max_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
#endif
}

#if MBEDTLS_VERSION_MAJOR < 3
/* The cheapest first: by itself mbedTLS 2 takes the longest that the client has, and is three times as long
 * about a handshake. mbedTLS 3 has them in this order. */
static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_CURVE25519,
                                              MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_SECP521R1,
                                              MBEDTLS_ECP_DP_NONE};
#endif

static int configure(net_tls_identity *identity)
{
  mbedtls_ssl_config *config = &identity->config;
  int result = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                           MBEDTLS_SSL_PRESET_DEFAULT);
  if (result == 0)
    result = net_tls_begin_psa();
  if (result != 0)
    return result;
  set_versions(config);
#if MBEDTLS_VERSION_MAJOR < 3
  mbedtls_ssl_conf_curves(config, curves);
#endif
  mbedtls_ssl_conf_ciphersuites(config, net_tls_ciphersuites);
  mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_NONE);
  mbedtls_ssl_conf_rng(config, net_tls_on_random, NULL);
#ifdef MBEDTLS_SSL_RENEGOTIATION
  mbedtls_ssl_conf_renegotiation(config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
  result = mbedtls_ssl_conf_alpn_protocols(config, protocols);
  return result != 0 ? result : mbedtls_ssl_conf_own_cert(config, &identity->chain, &identity->key);
}

/* Says what is wrong with the file of a certificate or key, |what|, and mbedTLS's words behind that. |pem| ends with a zero. */
static void explain(const char *what, const uint8_t *pem, int result, char *error)
{
  char words[128];
  const char *text = (const char *)pem;
  const bool is_key = strstr(text, "PRIVATE KEY-----") != NULL;
  const bool is_wanted = strcmp(what, "key") == 0 ? is_key : strstr(text, "CERTIFICATE-----") != NULL;
  const bool is_locked =
      is_wanted && (result == MBEDTLS_ERR_PK_PASSWORD_REQUIRED || strstr(text, "ENCRYPTED"));
  mbedtls_strerror(result, words, sizeof words);
  if (is_locked)
    snprintf(error, NET_TLS_ERROR_MAX, "the file with the key: the key is encrypted (%s)", words);
  else if (is_wanted)
    snprintf(error, NET_TLS_ERROR_MAX, "the file with the %s: %s", what, words);
  else
    snprintf(error, NET_TLS_ERROR_MAX, "the file with the %s: there is no %s in it%s (%s)", what, what,
             is_key ? ", but a key" : "", words);
}

/* Returns 0, or -1 with one line in |error|. */
static int read_pair(net_tls_identity *identity, const uint8_t *cert, size_t cert_len, const uint8_t *key,
                     size_t key_len, char *error)
{
  int result = mbedtls_x509_crt_parse(&identity->chain, cert, cert_len);
  if (result < 0)
    explain("certificate", cert, result, error);
  else if (result > 0) /* of the chain */
    snprintf(error, NET_TLS_ERROR_MAX, "the file with the certificate: %d of its certificates cannot be read",
             result);
  if (result != 0)
    return -1;
  result = parse_key(&identity->key, key, key_len);
  if (result != 0) {
    explain("key", key, result, error);
    return -1;
  }
  if (check_pair(&identity->chain.pk, &identity->key) != 0) {
    snprintf(error, NET_TLS_ERROR_MAX,
             "the key is not that of the certificate, which has to be the first of its file");
    return -1;
  }
  result = configure(identity);
  if (result != 0)
    mbedtls_strerror(result, error, NET_TLS_ERROR_MAX);
  return result == 0 ? 0 : -1;
}

net_tls_identity *net_tls_identity_new(const uint8_t *cert, size_t cert_len, const uint8_t *key,
                                       size_t key_len, char error[NET_TLS_ERROR_MAX])
{
  net_tls_identity *identity = calloc(1, sizeof *identity);
  if (!identity) {
    snprintf(error, NET_TLS_ERROR_MAX, "out of memory");
    return NULL;
  }
  identity->holders = 1;
  mbedtls_x509_crt_init(&identity->chain);
  mbedtls_pk_init(&identity->key);
  mbedtls_ssl_config_init(&identity->config);
  if (read_pair(identity, cert, cert_len, key, key_len, error) == 0)
    return identity;
  net_tls_identity_drop(identity);
  return NULL;
}

net_tls_identity *net_tls_identity_hold(net_tls_identity *identity)
{
  identity->holders++;
  return identity;
}

void net_tls_identity_drop(net_tls_identity *identity)
{
  if (!identity || --identity->holders)
    return;
  mbedtls_ssl_config_free(&identity->config);
  mbedtls_pk_free(&identity->key);
  mbedtls_x509_crt_free(&identity->chain);
  free(identity);
}

void net_tls_identity_end(const net_tls_identity *identity, char *out, size_t cap)
{
  const mbedtls_x509_time *t = &identity->chain.valid_to;
  snprintf(out, cap, "%04d-%02d-%02d %02d:%02d:%02d", t->year, t->mon, t->day, t->hour, t->min, t->sec);
}

bool net_tls_identity_is_out_of_date(const net_tls_identity *identity)
{
  return mbedtls_x509_time_is_past(&identity->chain.valid_to) ||
         mbedtls_x509_time_is_future(&identity->chain.valid_from);
}

net_tls *net_tls_accept(net_tls_identity *identity, const net_tls_io *io)
{
  net_tls *tls = calloc(1, sizeof *tls);
  if (!tls)
    return NULL;
  mbedtls_ssl_init(&tls->ssl);
  mbedtls_ssl_config_init(&tls->config);
  tls->io = *io;
  tls->identity = net_tls_identity_hold(identity);
  if (mbedtls_ssl_setup(&tls->ssl, &identity->config) != 0) {
    net_tls_free(tls);
    return NULL;
  }
  mbedtls_ssl_set_bio(&tls->ssl, tls, net_tls_on_send, net_tls_on_recv, NULL);
  return tls;
}

/* A client that offers protocols of which none is ours goes on without any: nobody has to offer one. What the configuration says is for the connection
 * whose turn it is. */
static void set_protocols(net_tls *tls)
{
  tls->identity->config.MBEDTLS_PRIVATE(alpn_list) = net_tls_hello_is_foreign(&tls->hello) ? NULL : protocols;
}

void net_tls_look_at_hello(net_tls *tls, const uint8_t *data, size_t len)
{
  net_tls_hello_read(&tls->hello, data, len, protocols);
  set_protocols(tls);
}

int net_tls_handshake_of_server(net_tls *tls)
{
  set_protocols(tls);
  net_tls_keys_expect(tls, &tls->identity->config);
  const int result = mbedtls_ssl_handshake(&tls->ssl);
  return result == 0 ? net_tls_keys_take_over(tls) : result;
}

void net_tls_leave_identity(net_tls *tls)
{
  net_tls_keys_drop(tls);
  net_tls_records_free(tls->records);
  net_tls_identity_drop(tls->identity);
}

bool net_tls_can_be_saved(const net_tls *tls)
{
  return tls->records && net_tls_records_can_be_saved(tls->records);
}

size_t net_tls_saved_len(const net_tls *tls)
{
  return net_tls_records_saved_len(tls->records);
}

void net_tls_save(const net_tls *tls, net_tls_put *put, void *ctx)
{
  net_tls_records_save(tls->records, put, ctx);
}

net_tls *net_tls_load(const net_tls_io *io, const uint8_t *data, size_t len, size_t *begun)
{
  net_tls *tls = calloc(1, sizeof *tls);
  if (!tls)
    return NULL;
  mbedtls_ssl_init(&tls->ssl);
  mbedtls_ssl_config_init(&tls->config);
  tls->io = *io;
  tls->established = true;
  tls->records = net_tls_records_load(data, len);
  if (!tls->records) {
    net_tls_free(tls);
    return NULL;
  }
  *begun = net_tls_records_begun(tls->records);
  return tls;
}

void net_tls_explain_to_server(net_tls *tls, int code)
{
  char text[NET_TLS_ERROR_MAX - 8];
  switch (code) {
  case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
    /* There is no function that tells which. */
    snprintf(tls->error, sizeof tls->error, "the client refused it, with alert %u",
             tls->ssl.MBEDTLS_PRIVATE(in_msg)[1]);
    break;
  case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
    snprintf(tls->error, sizeof tls->error, "the client speaks no version as new as TLS 1.2");
    break;
  case MBEDTLS_ERR_SSL_CONN_EOF:
    snprintf(tls->error, sizeof tls->error, "the client ended the connection");
    break;
  case MBEDTLS_ERR_NET_RECV_FAILED:
  case MBEDTLS_ERR_NET_SEND_FAILED:
    snprintf(tls->error, sizeof tls->error, "the connection broke");
    break;
  default:
    mbedtls_strerror(code, text, sizeof text);
    snprintf(tls->error, sizeof tls->error, "%s", text);
  }
}
