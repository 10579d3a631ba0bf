/* SPDX-License-Identifier: Apache-2.0 */
#include "net/aead.h"

#include "net/gcm.h"

#include <stdlib.h>
#include <string.h>

#include <mbedtls/chachapoly.h>
#include <mbedtls/gcm.h>
#include <mbedtls/platform_util.h>

struct net_aead {
  enum { BY_CPU, BY_MBEDTLS_GCM, BY_MBEDTLS_CHACHA } by;
  union {
    net_gcm cpu;
    mbedtls_gcm_context gcm;
    mbedtls_chachapoly_context chacha;
  } as;
  net_aead_kind kind;
  uint8_t key[NET_AEAD_KEY_MAX];
};

size_t net_aead_key_len(net_aead_kind kind)
{
  return kind == NET_AEAD_AES_128_GCM ? 16 : 32;
}

static net_aead *begin(net_aead_kind kind, const uint8_t *key)
{
  net_aead *a = calloc(1, sizeof *a);
  if (!a)
    return NULL;
  a->kind = kind;
  memcpy(a->key, key, net_aead_key_len(kind));
  return a;
}

net_aead *net_aead_new_by_mbedtls(net_aead_kind kind, const uint8_t *key)
{
  net_aead *a = begin(kind, key);
  int failed;
  if (!a)
    return NULL;
  if (kind == NET_AEAD_CHACHA20_POLY1305) {
    a->by = BY_MBEDTLS_CHACHA;
    mbedtls_chachapoly_init(&a->as.chacha);
    failed = mbedtls_chachapoly_setkey(&a->as.chacha, key);
  } else {
    a->by = BY_MBEDTLS_GCM;
    mbedtls_gcm_init(&a->as.gcm);
    failed = mbedtls_gcm_setkey(&a->as.gcm, MBEDTLS_CIPHER_ID_AES, key, (unsigned)net_aead_key_len(kind) * 8);
  }
  if (!failed)
    return a;
  net_aead_free(a);
  return NULL;
}

net_aead *net_aead_new(net_aead_kind kind, const uint8_t *key)
{
#ifdef __x86_64__
  net_aead *a;
  if (kind != NET_AEAD_CHACHA20_POLY1305 && net_gcm_is_there()) {
    a = begin(kind, key);
    if (a)
      net_gcm_set_key(&a->as.cpu, key, net_aead_key_len(kind));
    return a;
  }
#endif
  return net_aead_new_by_mbedtls(kind, key);
}

const uint8_t *net_aead_key(const net_aead *a)
{
  return a->key;
}

net_aead_kind net_aead_kind_of(const net_aead *a)
{
  return a->kind;
}

void net_aead_free(net_aead *a)
{
  if (!a)
    return;
  if (a->by == BY_MBEDTLS_GCM)
    mbedtls_gcm_free(&a->as.gcm);
  else if (a->by == BY_MBEDTLS_CHACHA)
    mbedtls_chachapoly_free(&a->as.chacha);
  mbedtls_platform_zeroize(a, sizeof *a);
  free(a);
}

bool net_aead_seal(net_aead *a, const uint8_t nonce[NET_AEAD_NONCE], const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t len, uint8_t *out, uint8_t tag[NET_AEAD_TAG])
{
  switch (a->by) {
#ifdef __x86_64__
  case BY_CPU:
    net_gcm_seal(&a->as.cpu, nonce, aad, aad_len, in, len, out, tag);
    return true;
#endif
  case BY_MBEDTLS_CHACHA:
    return mbedtls_chachapoly_encrypt_and_tag(&a->as.chacha, len, nonce, aad, aad_len, in, out, tag) == 0;
  default:
    return mbedtls_gcm_crypt_and_tag(&a->as.gcm, MBEDTLS_GCM_ENCRYPT, len, nonce, NET_AEAD_NONCE, aad,
                                     aad_len, in, out, NET_AEAD_TAG, tag) == 0;
  }
}

bool net_aead_open(net_aead *a, const uint8_t nonce[NET_AEAD_NONCE], const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t len, const uint8_t tag[NET_AEAD_TAG], uint8_t *out)
{
  switch (a->by) {
#ifdef __x86_64__
  case BY_CPU:
    return net_gcm_open(&a->as.cpu, nonce, aad, aad_len, in, len, tag, out);
#endif
  case BY_MBEDTLS_CHACHA:
    return mbedtls_chachapoly_auth_decrypt(&a->as.chacha, len, nonce, aad, aad_len, tag, in, out) == 0;
  default:
    return mbedtls_gcm_auth_decrypt(&a->as.gcm, len, nonce, NET_AEAD_NONCE, aad, aad_len, tag, NET_AEAD_TAG,
                                    in, out) == 0;
  }
}
