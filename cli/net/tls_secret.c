/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_secret.h"

#include <string.h>

#include <mbedtls/hkdf.h>
#include <mbedtls/md.h>

#define PREFIX     "tls13 "
#define PREFIX_LEN (sizeof PREFIX - 1)
#define MOST_LABEL 16u
#define INFO_MAX   (2u + 1u + PREFIX_LEN + MOST_LABEL + 1u)

static mbedtls_md_type_t hash_of(net_aead_kind kind)
{
  return kind == NET_AEAD_AES_256_GCM ? MBEDTLS_MD_SHA384 : MBEDTLS_MD_SHA256;
}

size_t net_tls_secret_len(net_aead_kind kind)
{
  return kind == NET_AEAD_AES_256_GCM ? 48 : 32;
}

bool net_tls_secret_expand(net_aead_kind kind, const uint8_t *secret, const char *label, uint8_t *out,
                           size_t len)
{
  /* How much is wanted, the label and the context, each with its length before it. */
  uint8_t info[INFO_MAX] = {0};
  const size_t label_len = strnlen(label, MOST_LABEL);
  info[1] = (uint8_t)len;
  info[2] = (uint8_t)(PREFIX_LEN + label_len);
  memcpy(info + 3, PREFIX, PREFIX_LEN);
  memcpy(info + 3 + PREFIX_LEN, label, label_len);
  return mbedtls_hkdf_expand(mbedtls_md_info_from_type(hash_of(kind)), secret, net_tls_secret_len(kind), info,
                             3 + PREFIX_LEN + label_len + 1, out, len) == 0;
}
