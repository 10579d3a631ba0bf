/* SPDX-License-Identifier: Apache-2.0 */
#include "siphash.h"

#include "bytes.h"

#include <string.h>

static void rounds(fzri_sip *s, unsigned n)
{
  while (n--)
    fzri_sip_round(s);
}

/* The last block: |n| bytes, fewer than 8, and the length. */
static uint64_t last_block(const uint8_t *p, size_t n, size_t len)
{
  return (uint64_t)len << 56 | fzri_get_le(p, n);
}

static void absorb(fzri_sip *s, const uint8_t *p, size_t len, unsigned per_block)
{
  static const uint8_t none[1];
  const size_t whole = len / 8;
  if (!len)
    p = none; /* it may be NULL, to which nothing may be added, not even 0 */
  for (size_t i = 0; i <= whole; i++) {
    const uint64_t word = i < whole ? fzri_get_le64(p + 8 * i) : last_block(p + 8 * i, len % 8, len);
    s->v3 ^= word;
    rounds(s, per_block);
    s->v0 ^= word;
  }
}

static uint64_t squeeze(const fzri_sip *s)
{
  return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t fzri_siphash13(const fzri_siphash_key *key, const void *data, size_t len)
{
  fzri_sip s = fzri_sip_start(key);
  absorb(&s, data, len, 1);
  s.v2 ^= 0xff;
  rounds(&s, 3);
  return squeeze(&s);
}

void fzri_siphash24_128(const fzri_siphash_key *key, const void *data, size_t len, uint8_t out[16])
{
  fzri_sip s = fzri_sip_start(key);
  s.v1 ^= 0xee;
  absorb(&s, data, len, 2);
  s.v2 ^= 0xee;
  rounds(&s, 4);
  const uint64_t first = squeeze(&s);
  s.v1 ^= 0xdd;
  rounds(&s, 4);
  const uint64_t second = squeeze(&s);
  for (unsigned i = 0; i < 8; i++) {
    out[i] = (uint8_t)(first >> (8 * i));
    out[8 + i] = (uint8_t)(second >> (8 * i));
  }
}
