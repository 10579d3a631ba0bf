/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash (Aumasson and Bernstein, 2012): keyed hashes of short input. */
#ifndef FZRI_SIPHASH_H
#define FZRI_SIPHASH_H

#include "firezone_relay/types.h"

typedef struct fzri_siphash_key {
  uint64_t k0, k1;
} fzri_siphash_key;

/* SipHash-1-3 of |len| bytes: for tables. */
uint64_t fzri_siphash13(const fzri_siphash_key *key, const void *data, size_t len);

/* SipHash-2-4 with 128 bits of output into the 16 bytes |out|: a MAC. */
void fzri_siphash24_128(const fzri_siphash_key *key, const void *data, size_t len, uint8_t out[16]);

/* SipHash-1-3 of an address's 24 bytes and |salt|, folded to 32 bits: the hash of the engine's maps. Inline, for the data
 * path. */
static inline uint64_t fzri_sip_rotl(uint64_t x, int b)
{
  return (x << b) | (x >> (64 - b));
}

#define FZRI_SIP_ROUND(v0, v1, v2, v3)                                                                       \
  do {                                                                                                       \
    v0 += v1;                                                                                                \
    v1 = fzri_sip_rotl(v1, 13);                                                                              \
    v1 ^= v0;                                                                                                \
    v0 = fzri_sip_rotl(v0, 32);                                                                              \
    v2 += v3;                                                                                                \
    v3 = fzri_sip_rotl(v3, 16);                                                                              \
    v3 ^= v2;                                                                                                \
    v0 += v3;                                                                                                \
    v3 = fzri_sip_rotl(v3, 21);                                                                              \
    v3 ^= v0;                                                                                                \
    v2 += v1;                                                                                                \
    v1 = fzri_sip_rotl(v1, 17);                                                                              \
    v1 ^= v2;                                                                                                \
    v2 = fzri_sip_rotl(v2, 32);                                                                              \
  } while (0)

/* SipHash-1-3 over |n| 64-bit words (the last block is the length, as in the general form), folded to 32 bits. */
static inline uint32_t fzri_sip_words(const fzri_siphash_key *key, const uint64_t *words, unsigned n)
{
  uint64_t v0 = key->k0 ^ 0x736f6d6570736575u;
  uint64_t v1 = key->k1 ^ 0x646f72616e646f6du;
  uint64_t v2 = key->k0 ^ 0x6c7967656e657261u;
  uint64_t v3 = key->k1 ^ 0x7465646279746573u;
  for (unsigned i = 0; i < n; i++) {
    v3 ^= words[i];
    FZRI_SIP_ROUND(v0, v1, v2, v3);
    v0 ^= words[i];
  }
  const uint64_t last = (uint64_t)n * 8 << 56;
  v3 ^= last;
  FZRI_SIP_ROUND(v0, v1, v2, v3);
  v0 ^= last;
  v2 ^= 0xff;
  FZRI_SIP_ROUND(v0, v1, v2, v3);
  FZRI_SIP_ROUND(v0, v1, v2, v3);
  FZRI_SIP_ROUND(v0, v1, v2, v3);
  const uint64_t h = v0 ^ v1 ^ v2 ^ v3;
  return (uint32_t)(h ^ (h >> 32));
}

#endif
