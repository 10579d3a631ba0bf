/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_keys.h"

#include "net/tls_records.h"

#include <mbedtls/platform_util.h>
#include <stdlib.h>
#include <string.h>

#define SECRET 48u /* of TLS 1.2; none of TLS 1.3 is longer */
#define RANDOM 32u

struct net_tls_keys {
  /* TLS 1.2: the master secret. TLS 1.3: the application traffic secrets, the client's and the server's. */
  uint8_t secrets[2][SECRET];
  size_t lens[2]; /* 0: it has not come */
  /* Of TLS 1.2: the server's, then the client's, as keys are made of them (RFC 5246 section 6.3). */
  uint8_t randoms[2 * RANDOM];
  mbedtls_tls_prf_types prf;
};

/* Keeps secret number |which|, of |len| bytes. What comes later takes the place of what is there. */
static net_tls_keys *keep_secret(net_tls *tls, unsigned which, const unsigned char *secret, size_t len)
{
  if (!tls->keys)
    tls->keys = calloc(1, sizeof *tls->keys);
  net_tls_keys *keys = tls->keys;
  if (!keys || len > SECRET)
    return NULL;
  memcpy(keys->secrets[which], secret, len);
  keys->lens[which] = len;
  return keys;
}

static void keep_12(net_tls *tls, const unsigned char *secret, const unsigned char *client,
                    const unsigned char *server, mbedtls_tls_prf_types prf)
{
  net_tls_keys *keys = keep_secret(tls, 0, secret, SECRET);
  if (!keys)
    return;
  memcpy(keys->randoms, server, RANDOM);
  memcpy(keys->randoms + RANDOM, client, RANDOM);
  keys->prf = prf;
}

#if MBEDTLS_VERSION_MAJOR < 3

/* The context is the configuration's, which many connections share: it is whose turn it is. */
static int on_keys(void *ctx, const unsigned char *secret, const unsigned char *block, size_t mac_len,
                   size_t key_len, size_t iv_len, const unsigned char client[RANDOM],
                   const unsigned char server[RANDOM], mbedtls_tls_prf_types prf)
{
  (void)block;
  (void)mac_len;
  (void)key_len;
  (void)iv_len;
  keep_12(ctx, secret, client, server, prf);
  return 0;
}

void net_tls_keys_expect(net_tls *tls, mbedtls_ssl_config *config)
{
  mbedtls_ssl_conf_export_keys_ext_cb(config, on_keys, tls);
}

#else

static void on_keys(void *ctx, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t len,
                    const unsigned char client[RANDOM], const unsigned char server[RANDOM],
                    mbedtls_tls_prf_types prf)
{
  if (type == MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET && len == SECRET)
    keep_12(ctx, secret, client, server, prf);
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
  if (type == MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET)
    keep_secret(ctx, 0, secret, len);
  if (type == MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET)
    keep_secret(ctx, 1, secret, len);
#endif
}

void net_tls_keys_expect(net_tls *tls, mbedtls_ssl_config *config)
{
  (void)config;
  mbedtls_ssl_set_export_keys_cb(&tls->ssl, on_keys, tls);
}

#endif

void net_tls_keys_drop(net_tls *tls)
{
  if (!tls->keys)
    return;
  mbedtls_platform_zeroize(tls->keys, sizeof *tls->keys);
  free(tls->keys);
  tls->keys = NULL;
}

/* Which cipher the handshake chose; false: none that is known. */
static bool find_kind(const net_tls *tls, net_aead_kind *kind)
{
  static const struct {
    const char *part;
    net_aead_kind kind;
  } kinds[] = {{"-AES-128-GCM-", NET_AEAD_AES_128_GCM},
               {"-AES-256-GCM-", NET_AEAD_AES_256_GCM},
               {"-CHACHA20-POLY1305-", NET_AEAD_CHACHA20_POLY1305}};
  const char *name = mbedtls_ssl_get_ciphersuite(&tls->ssl);
  for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++)
    if (strstr(name, kinds[i].part)) {
      *kind = kinds[i].kind;
      return true;
    }
  return false;
}

static net_tls_version version_of(const net_tls *tls)
{
#if MBEDTLS_VERSION_MAJOR < 3
  (void)tls; /* it has no later one, and none earlier is taken */
  return NET_TLS_12;
#else
  return mbedtls_ssl_get_version_number(&tls->ssl) == MBEDTLS_SSL_VERSION_TLS1_2 ? NET_TLS_12 : NET_TLS_13;
#endif
}

/* What a record of ours may hold; mbedTLS has agreed to less if the client asked for it. */
static size_t find_most(const net_tls *tls)
{
  const int most = mbedtls_ssl_get_max_out_record_payload(&tls->ssl);
  return most > 0 && (unsigned)most < NET_TLS_RECORD ? (size_t)most : NET_TLS_RECORD;
}

/* The number of the next record, as mbedTLS has it. */
static uint64_t number_at(const unsigned char *counter)
{
  return net_tls_get_number(counter, 8);
}

/* Makes what |agreed| has of keys at |out|. Returns whether they are there. */
static bool make_keys(const net_tls_keys *keys, const net_tls_agreed *agreed, uint8_t *out)
{
  const size_t len = net_tls_records_keys_len(agreed->version, agreed->kind), each = len / 2;
  if (agreed->version == NET_TLS_12)
    return keys->lens[0] && mbedtls_ssl_tls_prf(keys->prf, keys->secrets[0], SECRET, "key expansion",
                                                keys->randoms, sizeof keys->randoms, out, len) == 0;
  for (unsigned i = 0; i < 2; i++) {
    if (keys->lens[i] != each)
      return false;
    memcpy(out + i * each, keys->secrets[i], each);
  }
  return true;
}

int net_tls_keys_take_over(net_tls *tls)
{
  /* mbedTLS reads record by record: of the one with the last message of the handshake there may be more, but nothing of the next one. New keys begin with a
   * record (RFC 8446 section 5.1). */
  if (mbedtls_ssl_check_pending(&tls->ssl)) {
    mbedtls_ssl_send_alert_message(&tls->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                   MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE);
    net_tls_keys_drop(tls);
    return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
  }
  uint8_t keys[NET_TLS_KEYS_MAX];
  net_tls_agreed agreed = {.version = version_of(tls),
                           .keys = keys,
                           .server = true,
                           .most = find_most(tls),
                           .in = number_at(tls->ssl.MBEDTLS_PRIVATE(in_ctr)),
                           .out = number_at(tls->ssl.MBEDTLS_PRIVATE(cur_out_ctr))};
  if (tls->keys && find_kind(tls, &agreed.kind) && make_keys(tls->keys, &agreed, keys))
    tls->records = net_tls_records_new(&agreed);
  mbedtls_platform_zeroize(keys, sizeof keys);
  net_tls_keys_drop(tls);
  if (!tls->records)
    return MBEDTLS_ERR_SSL_ALLOC_FAILED;
  mbedtls_ssl_free(&tls->ssl);
  mbedtls_ssl_init(&tls->ssl);
  return 0;
}
