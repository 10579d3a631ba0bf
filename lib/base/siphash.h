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

static inline uint64_t fzri_sip_rotl(uint64_t x, int b)
{
  return (x << b) | (x >> (64 - b));
}

/* The state, and one round of it. */
typedef struct fzri_sip {
  uint64_t v0, v1, v2, v3;
} fzri_sip;

static inline void fzri_sip_round(fzri_sip *s)
{
  s->v0 += s->v1;
  s->v1 = fzri_sip_rotl(s->v1, 13) ^ s->v0;
  s->v0 = fzri_sip_rotl(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = fzri_sip_rotl(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = fzri_sip_rotl(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = fzri_sip_rotl(s->v1, 17) ^ s->v2;
  s->v2 = fzri_sip_rotl(s->v2, 32);
}

static inline fzri_sip fzri_sip_start(const fzri_siphash_key *key)
{
  const fzri_sip s = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                      key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};
  return s;
}

/* SipHash-1-3 of a short message as |n| blocks of 64 bits, folded to 32 bits. The last block has the message's length in bytes in
 * its top byte, as SipHash wants it, so that an IPv4 address with its port is one block. |start| is fzri_sip_start of the key. */
static inline uint32_t fzri_sip_blocks(const fzri_sip *start, const uint64_t *blocks, unsigned n)
{
  fzri_sip s = *start;
  for (unsigned i = 0; i < n; i++) {
    s.v3 ^= blocks[i];
    fzri_sip_round(&s);
    s.v0 ^= blocks[i];
  }
  s.v2 ^= 0xff;
  fzri_sip_round(&s);
  fzri_sip_round(&s);
  fzri_sip_round(&s);
  const uint64_t h = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  return (uint32_t)(h ^ (h >> 32));
}

#endif
