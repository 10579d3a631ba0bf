/* SPDX-License-Identifier: Apache-2.0 */
/* The ciphers of records: vectors of the standard, the CPU's against mbedTLS's at every length, and what was changed. */
#include "net/aead.h"
#include "net/gcm.h"
#include "testing.h"

#include <stdio.h>

#define MOST 20000u

static uint8_t plain[MOST], sealed[2][MOST + 8], opened[MOST];

/* Bytes that are others in each round. */
static void fill(uint8_t *at, size_t len, uint32_t seed)
{
  for (size_t i = 0; i < len; i++) {
    seed = seed * 1664525u + 1013904223u;
    at[i] = (uint8_t)(seed >> 24);
  }
}

static void from_hex(const char *hex, uint8_t *out)
{
  for (; *hex; hex += 2)
    ck_assert_int_eq(sscanf(hex, "%2hhx", out++), 1);
}

/* Of the test cases of GCM's specification (McGrew, Viega, appendix B): 2, 3, 14 and 15, which have a nonce of 12 bytes and no more to authenticate. */
static const struct vector {
  net_aead_kind kind;
  const char *key, *nonce, *plain, *sealed, *tag;
} vectors[] = {{NET_AEAD_AES_128_GCM, "00000000000000000000000000000000", "000000000000000000000000",
                "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
                "ab6e47d42cec13bdf53a67b21257bddf"},
               {NET_AEAD_AES_128_GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
                "b525b16aedf5aa0de657ba63"
                "7b391aafd255",
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84"
                "aa051ba30b396a0aac973d58"
                "e091473f5985",
                "4d5c2af327cd64a62cf35abd2ba6fab4"},
               {NET_AEAD_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
                "000000000000000000000000", "00000000000000000000000000000000",
                "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
               {NET_AEAD_AES_256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
                "cafebabefacedbaddecaf888",
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
                "b525b16aedf5aa0de657ba63"
                "7b391aafd255",
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
                "8838c5f61e6393ba7a0abcc9"
                "f662898015ad",
                "b094dac5d93471bdec1a502270e3cc6c"}};

START_TEST(test_vectors)
{
  const struct vector *v = &vectors[_i / 2];
  uint8_t key[NET_AEAD_KEY_MAX], nonce[NET_AEAD_NONCE], tag[NET_AEAD_TAG], right[NET_AEAD_TAG];
  const size_t len = strlen(v->plain) / 2;
  from_hex(v->key, key);
  from_hex(v->nonce, nonce);
  from_hex(v->plain, plain);
  from_hex(v->sealed, sealed[1]);
  from_hex(v->tag, right);
  net_aead *a = _i & 1 ? net_aead_new_by_mbedtls(v->kind, key) : net_aead_new(v->kind, key);
  ck_assert(net_aead_seal(a, nonce, NULL, 0, plain, len, sealed[0], tag));
  ck_assert_mem_eq(sealed[0], sealed[1], len);
  ck_assert_mem_eq(tag, right, sizeof tag);
  net_aead_free(a);
}
END_TEST

/* Seals |len| bytes with both, elsewhere and in their place, and opens what each made with the other, in its place and 8 bytes before it. */
static void compare(net_aead *a, net_aead *b, size_t len, uint32_t seed)
{
  uint8_t nonce[NET_AEAD_NONCE], aad[16], tags[2][NET_AEAD_TAG];
  const size_t aad_len = seed % 17;
  fill(plain, len, seed);
  fill(nonce, sizeof nonce, seed + 1);
  fill(aad, sizeof aad, seed + 2);
  ck_assert(net_aead_seal(a, nonce, aad, aad_len, plain, len, sealed[0] + 8, tags[0]));
  ck_assert(net_aead_seal(b, nonce, aad, aad_len, plain, len, sealed[1] + 8, tags[1]));
  ck_assert_mem_eq(sealed[0] + 8, sealed[1] + 8, len);
  ck_assert_mem_eq(tags[0], tags[1], NET_AEAD_TAG);
  for (unsigned i = 0; i < 2; i++) {
    memcpy(opened, plain, len);
    ck_assert(net_aead_seal(i ? b : a, nonce, aad, aad_len, opened, len, opened, tags[1]));
    ck_assert_mem_eq(opened, sealed[0] + 8, len);
    ck_assert_mem_eq(tags[0], tags[1], NET_AEAD_TAG);
  }
  ck_assert(net_aead_open(a, nonce, aad, aad_len, sealed[1] + 8, len, tags[0], sealed[1]));
  ck_assert_mem_eq(sealed[1], plain, len);
  ck_assert(net_aead_open(b, nonce, aad, aad_len, sealed[0] + 8, len, tags[0], sealed[0] + 8));
  ck_assert_mem_eq(sealed[0] + 8, plain, len);
}

START_TEST(test_lengths)
{
  static const net_aead_kind kinds[] = {NET_AEAD_AES_128_GCM, NET_AEAD_AES_256_GCM,
                                        NET_AEAD_CHACHA20_POLY1305};
  uint8_t key[NET_AEAD_KEY_MAX];
  fill(key, sizeof key, (uint32_t)_i);
  net_aead *a = net_aead_new(kinds[_i], key), *b = net_aead_new_by_mbedtls(kinds[_i], key);
  ck_assert(a && b);
  for (size_t len = 0; len <= 400; len++)
    compare(a, b, len, (uint32_t)len * 3);
  for (size_t len = 16368; len <= 16400; len++)
    compare(a, b, len, (uint32_t)len * 3);
  net_aead_free(a);
  net_aead_free(b);
}
END_TEST

/* One bit of anything. */
START_TEST(test_changed)
{
  static const net_aead_kind kinds[] = {NET_AEAD_AES_128_GCM, NET_AEAD_AES_256_GCM,
                                        NET_AEAD_CHACHA20_POLY1305};
  enum { LEN = 150, AAD = 13 };
  uint8_t key[NET_AEAD_KEY_MAX], all[NET_AEAD_NONCE + AAD + LEN + NET_AEAD_TAG];
  uint8_t *nonce = all, *aad = nonce + NET_AEAD_NONCE, *body = aad + AAD, *tag = body + LEN;
  fill(key, sizeof key, 1);
  fill(all, sizeof all, 2);
  net_aead *a = net_aead_new(kinds[_i], key);
  ck_assert(net_aead_seal(a, nonce, aad, AAD, plain, LEN, body, tag));
  ck_assert(net_aead_open(a, nonce, aad, AAD, body, LEN, tag, opened));
  for (size_t i = 0; i < sizeof all * 8; i++) {
    all[i / 8] ^= (uint8_t)(1u << i % 8);
    ck_assert_msg(!net_aead_open(a, nonce, aad, AAD, body, LEN, tag, opened), "bit %zu", i);
    all[i / 8] ^= (uint8_t)(1u << i % 8);
  }
  ck_assert(!net_aead_open(a, nonce, aad, AAD - 1, body, LEN, tag, opened));
  ck_assert(!net_aead_open(a, nonce, aad, AAD, body, LEN - 1, tag, opened));
  ck_assert(net_aead_open(a, nonce, aad, AAD, body, LEN, tag, opened));
  net_aead_free(a);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("aead");
  TCase *tc = tcase_create("aead");
  tcase_add_loop_test(tc, test_vectors, 0, 2 * (int)(sizeof vectors / sizeof *vectors));
  tcase_add_loop_test(tc, test_lengths, 0, 3);
  tcase_add_loop_test(tc, test_changed, 0, 3);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
