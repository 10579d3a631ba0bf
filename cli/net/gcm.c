/* SPDX-License-Identifier: Apache-2.0 */
#include "net/gcm.h"

#include <mbedtls/platform_util.h>
#include <string.h>

#ifdef __x86_64__

#include <immintrin.h>

#define WITH_AES __attribute__((target("aes,pclmul,ssse3")))
#define BLOCK    ((size_t)16)
#define BLOCKS   8 /* at a time: as many as the unit for AES has under way */

bool net_gcm_is_there(void)
{
  __builtin_cpu_init();
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("ssse3");
}

WITH_AES static inline __m128i load(const uint8_t *at)
{
  return _mm_loadu_si128((const __m128i *)(const void *)at);
}

WITH_AES static inline void store(uint8_t *at, __m128i block)
{
  _mm_storeu_si128((__m128i *)(void *)at, block);
}

/* GCM's numbers are big-endian, the CPU's little-endian. */
WITH_AES static inline __m128i turned(__m128i block)
{
  return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* ---- AES (FIPS 197) ---- */

/* The next round key of the one that is one key's length before, and what AESKEYGENASSIST made, in all words of |assist|. */
WITH_AES static inline __m128i next_key(__m128i before, __m128i assist)
{
  before = _mm_xor_si128(before, _mm_slli_si128(before, 4));
  before = _mm_xor_si128(before, _mm_slli_si128(before, 8));
  return _mm_xor_si128(before, assist);
}

#define ROTATED(key, constant) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, constant), 0xff)
#define PLAIN(key)             _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, 0), 0xaa)

WITH_AES static void expand_128(net_gcm *g, const uint8_t *key)
{
  __m128i k = load(key);
  store(g->round_keys[0], k);
#define ROUND(i, constant) store(g->round_keys[i], k = next_key(k, ROTATED(k, constant)))
  ROUND(1, 0x01);
  ROUND(2, 0x02);
  ROUND(3, 0x04);
  ROUND(4, 0x08);
  ROUND(5, 0x10);
  ROUND(6, 0x20);
  ROUND(7, 0x40);
  ROUND(8, 0x80);
  ROUND(9, 0x1b);
  ROUND(10, 0x36);
#undef ROUND
  g->rounds = 10;
}

WITH_AES static void expand_256(net_gcm *g, const uint8_t *key)
{
  __m128i a = load(key), b = load(key + BLOCK);
  store(g->round_keys[0], a);
  store(g->round_keys[1], b);
#define EVEN(i, constant) store(g->round_keys[i], a = next_key(a, ROTATED(b, constant)))
#define ODD(i)            store(g->round_keys[i], b = next_key(b, PLAIN(a)))
  EVEN(2, 0x01);
  ODD(3);
  EVEN(4, 0x02);
  ODD(5);
  EVEN(6, 0x04);
  ODD(7);
  EVEN(8, 0x08);
  ODD(9);
  EVEN(10, 0x10);
  ODD(11);
  EVEN(12, 0x20);
  ODD(13);
  EVEN(14, 0x40);
#undef EVEN
#undef ODD
  g->rounds = 14;
}

WITH_AES static inline __m128i round_key(const net_gcm *g, unsigned i)
{
  return _mm_load_si128((const __m128i *)(const void *)g->round_keys[i]);
}

WITH_AES static inline __m128i encrypt(const net_gcm *g, __m128i block)
{
  block = _mm_xor_si128(block, round_key(g, 0));
  for (unsigned i = 1; i < g->rounds; i++)
    block = _mm_aesenc_si128(block, round_key(g, i));
  return _mm_aesenclast_si128(block, round_key(g, g->rounds));
}

/* Written out, so that each compiler keeps all eight in registers. */
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)

/* XORs the eight blocks at |in| with those of the key stream that come after |counter|. */
WITH_AES static inline __m128i crypt_eight(const net_gcm *g, __m128i counter, const uint8_t *in, uint8_t *out)
{
  const __m128i one = _mm_set_epi32(0, 0, 0, 1);
  __m128i key = round_key(g, 0);
#define FIRST(n)                                                                                             \
  counter = _mm_add_epi32(counter, one);                                                                     \
  __m128i b##n = _mm_xor_si128(turned(counter), key);
  EACH(FIRST)
#undef FIRST
  for (unsigned i = 1; i < g->rounds; i++) {
    key = round_key(g, i);
#define NEXT(n) b##n = _mm_aesenc_si128(b##n, key);
    EACH(NEXT)
#undef NEXT
  }
  key = round_key(g, g->rounds);
  /* All are read before the first is written: |out| may lie before |in|, and reach into it. */
#define LAST(n) b##n = _mm_xor_si128(_mm_aesenclast_si128(b##n, key), load(in + BLOCK * (n)));
  EACH(LAST)
#undef LAST
#define STORE(n) store(out + BLOCK * (n), b##n);
  EACH(STORE)
#undef STORE
  return counter;
}

/* Encrypts or decrypts, which is the same. */
WITH_AES static void crypt(const net_gcm *g, __m128i counter, const uint8_t *in, size_t len, uint8_t *out)
{
  const __m128i one = _mm_set_epi32(0, 0, 0, 1);
  for (; len >= BLOCKS * BLOCK; len -= BLOCKS * BLOCK, in += BLOCKS * BLOCK, out += BLOCKS * BLOCK)
    counter = crypt_eight(g, counter, in, out);
  while (len) {
    uint8_t rest[BLOCK] = {0};
    const size_t n = len < BLOCK ? len : BLOCK;
    counter = _mm_add_epi32(counter, one);
    memcpy(rest, in, n);
    store(rest, _mm_xor_si128(load(rest), encrypt(g, turned(counter))));
    memcpy(out, rest, n);
    in += n;
    out += n;
    len -= n;
  }
}

/* ---- GHASH (SP 800-38D, 6.4) ---- */

/* A product of 256 bits that is not reduced yet. Sums of such are reduced once for all. */
typedef struct product {
  __m128i low, middle, high;
} product;

WITH_AES static inline void add_product(product *p, __m128i a, __m128i b)
{
  p->low = _mm_xor_si128(p->low, _mm_clmulepi64_si128(a, b, 0x00));
  p->high = _mm_xor_si128(p->high, _mm_clmulepi64_si128(a, b, 0x11));
  p->middle = _mm_xor_si128(p->middle, _mm_clmulepi64_si128(a, b, 0x01));
  p->middle = _mm_xor_si128(p->middle, _mm_clmulepi64_si128(a, b, 0x10));
}

/* Modulo x^128 + x^7 + x^2 + x + 1. Bits stand in reverse, so that the product is to be shifted by one first. */
WITH_AES static inline __m128i reduced(const product *p)
{
  __m128i low = _mm_xor_si128(p->low, _mm_slli_si128(p->middle, 8));
  __m128i high = _mm_xor_si128(p->high, _mm_srli_si128(p->middle, 8));
  const __m128i low_carry = _mm_srli_epi32(low, 31), high_carry = _mm_srli_epi32(high, 31);
  low = _mm_or_si128(_mm_slli_epi32(low, 1), _mm_slli_si128(low_carry, 4));
  high = _mm_or_si128(_mm_slli_epi32(high, 1), _mm_slli_si128(high_carry, 4));
  high = _mm_or_si128(high, _mm_srli_si128(low_carry, 12));
  const __m128i up =
      _mm_xor_si128(_mm_slli_epi32(low, 31), _mm_xor_si128(_mm_slli_epi32(low, 30), _mm_slli_epi32(low, 25)));
  low = _mm_xor_si128(low, _mm_slli_si128(up, 12));
  __m128i down =
      _mm_xor_si128(_mm_srli_epi32(low, 1), _mm_xor_si128(_mm_srli_epi32(low, 2), _mm_srli_epi32(low, 7)));
  down = _mm_xor_si128(down, _mm_srli_si128(up, 4));
  return _mm_xor_si128(high, _mm_xor_si128(low, down));
}

/* The hash's key to the power of |n| + 1. */
WITH_AES static inline __m128i power(const net_gcm *g, unsigned n)
{
  return _mm_load_si128((const __m128i *)(const void *)g->powers[n]);
}

WITH_AES static inline __m128i multiply(__m128i a, __m128i b)
{
  product p = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  add_product(&p, a, b);
  return reduced(&p);
}

/* Adds eight blocks to |hash|. */
WITH_AES static inline __m128i hash_eight(const net_gcm *g, __m128i hash, const uint8_t *in)
{
  product p = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  add_product(&p, _mm_xor_si128(hash, turned(load(in))), power(g, 7));
#define ADD(n) add_product(&p, turned(load(in + BLOCK * (n))), power(g, 7 - (n)))
  ADD(1);
  ADD(2);
  ADD(3);
  ADD(4);
  ADD(5);
  ADD(6);
  ADD(7);
#undef ADD
  return reduced(&p);
}

/* Adds |len| bytes, the last block of them filled up with zeros. */
WITH_AES static __m128i hash_all(const net_gcm *g, __m128i hash, const uint8_t *in, size_t len)
{
  for (; len >= BLOCKS * BLOCK; len -= BLOCKS * BLOCK, in += BLOCKS * BLOCK)
    hash = hash_eight(g, hash, in);
  while (len) {
    uint8_t rest[BLOCK] = {0};
    const size_t n = len < BLOCK ? len : BLOCK;
    memcpy(rest, in, n);
    hash = multiply(_mm_xor_si128(hash, turned(load(rest))), power(g, 0));
    in += n;
    len -= n;
  }
  return hash;
}

/* ---- both ---- */

WITH_AES void net_gcm_set_key(net_gcm *g, const uint8_t *key, size_t len)
{
  memset(g, 0, sizeof *g);
  if (len == BLOCK)
    expand_128(g, key);
  else
    expand_256(g, key);
  const __m128i first = turned(encrypt(g, _mm_setzero_si128()));
  __m128i at = first;
  for (unsigned i = 0; i < BLOCKS; i++) {
    store(g->powers[i], at);
    at = multiply(at, first);
  }
}

/* The block that the tag is made with; those of the key stream come after it. */
WITH_AES static inline __m128i first_counter(const uint8_t nonce[NET_GCM_NONCE])
{
  uint8_t block[BLOCK] = {0};
  memcpy(block, nonce, NET_GCM_NONCE);
  block[BLOCK - 1] = 1;
  return turned(load(block));
}

WITH_AES static void make_tag(const net_gcm *g, __m128i counter, const uint8_t *aad, size_t aad_len,
                              const uint8_t *ciphertext, size_t len, uint8_t *tag)
{
  const long long aad_bits = (long long)aad_len * 8, bits = (long long)len * 8;
  __m128i hash = hash_all(g, _mm_setzero_si128(), aad, aad_len);
  hash = hash_all(g, hash, ciphertext, len);
  hash = multiply(_mm_xor_si128(hash, _mm_set_epi64x(aad_bits, bits)), power(g, 0));
  store(tag, _mm_xor_si128(turned(hash), encrypt(g, turned(counter))));
}

WITH_AES void net_gcm_seal(const net_gcm *g, const uint8_t nonce[NET_GCM_NONCE], const uint8_t *aad,
                           size_t aad_len, const uint8_t *in, size_t len, uint8_t *out,
                           uint8_t tag[NET_GCM_TAG])
{
  const __m128i counter = first_counter(nonce);
  crypt(g, counter, in, len, out);
  make_tag(g, counter, aad, aad_len, out, len, tag);
}

WITH_AES bool net_gcm_open(const net_gcm *g, const uint8_t nonce[NET_GCM_NONCE], const uint8_t *aad,
                           size_t aad_len, const uint8_t *in, size_t len, const uint8_t tag[NET_GCM_TAG],
                           uint8_t *out)
{
  const __m128i counter = first_counter(nonce);
  uint8_t right[NET_GCM_TAG], differs = 0;
  make_tag(g, counter, aad, aad_len, in, len, right);
  for (unsigned i = 0; i < NET_GCM_TAG; i++)
    differs |= right[i] ^ tag[i];
  mbedtls_platform_zeroize(right, sizeof right);
  if (differs) {
    memset(out, 0, len);
    return false;
  }
  crypt(g, counter, in, len, out);
  return true;
}

#else

bool net_gcm_is_there(void)
{
  return false;
}

#endif
