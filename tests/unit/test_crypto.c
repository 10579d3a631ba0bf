/* SPDX-License-Identifier: Apache-2.0 */
/* Digests and MACs against published vectors, base64, comparing and wiping. */
#include "testing.h"

#include "base/crypto.h"

START_TEST(test_digests)
{
  uint8_t out[32];
  const fzri_slice abc[] = {{"a", 1}, {"", 0}, {"bc", 2}};
  fzri_md5(abc, 3, out); /* RFC 1321 */
  ck_assert_str_eq(fzt_hex(out, 16), "900150983cd24fb0d6963f7d28e17f72");
  fzri_md5(NULL, 0, out);
  ck_assert_str_eq(fzt_hex(out, 16), "d41d8cd98f00b204e9800998ecf8427e");
  fzri_sha256(abc, 3, out); /* FIPS 180-2 */
  ck_assert_str_eq(fzt_hex(out, 32), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

typedef struct mac_case {
  const char *key; /* NULL: |key_byte| again and again */
  uint8_t key_byte;
  size_t key_len;
  const char *data;
  const char *mac;
} mac_case;

typedef void (*mac_fn)(const uint8_t *key, size_t key_len, const fzri_slice *parts, size_t count,
                       uint8_t *out);

static void check_macs(mac_fn make, size_t size, const mac_case *cases, size_t count)
{
  for (const mac_case *c = cases; c < cases + count; c++) {
    uint8_t key[131], mac[32];
    memset(key, c->key_byte, sizeof key);
    if (c->key)
      memcpy(key, c->key, c->key_len);
    const size_t len = strlen(c->data), half = len / 2;
    const fzri_slice parts[] = {{c->data, half}, {c->data + half, len - half}};
    make(key, c->key_len, parts, 2, mac);
    ck_assert_str_eq(fzt_hex(mac, size), c->mac);
  }
}

START_TEST(test_hmac_sha1)
{
  /* RFC 2202 cases 1, 2, 3, 6 and 7: keys up to and over a block. */
  static const mac_case cases[] = {
      {NULL, 0x0b, 20, "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"},
      {"Jefe", 0, 4, "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
      {NULL, 0xaa, 80, "Test Using Larger Than Block-Size Key - Hash Key First",
       "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
      {NULL, 0xaa, 80, "Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
       "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
  };
  check_macs(fzri_hmac_sha1, 20, cases, sizeof cases / sizeof *cases);
}
END_TEST

START_TEST(test_hmac_sha256)
{
  /* RFC 4231 cases 1, 2, 6 and 7. */
  static const mac_case cases[] = {
      {NULL, 0x0b, 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", 0, 4, "what do ya want for nothing?",
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {NULL, 0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {NULL, 0xaa, 131,
       "This is a test using a larger than block-size key and a larger than block-size data. The key needs "
       "to "
       "be hashed before being used by the HMAC algorithm.",
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  check_macs(fzri_hmac_sha256, 32, cases, sizeof cases / sizeof *cases);
}
END_TEST

START_TEST(test_base64)
{
  /* RFC 4648 section 10. */
  static const char *const vectors[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
  char out[32];
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    const char *in = vectors[i][0], *expected = vectors[i][1];
    const size_t bare = strcspn(expected, "=");
    ck_assert_uint_eq(fzri_base64((const uint8_t *)in, strlen(in), false, true, out), strlen(expected));
    ck_assert_str_eq(out, expected);
    ck_assert_uint_eq(fzri_base64((const uint8_t *)in, strlen(in), false, false, out), bare);
    ck_assert(strncmp(out, expected, bare) == 0 && out[bare] == 0);
  }
  const uint8_t high[] = {0xfb, 0xff, 0xbf};
  fzri_base64(high, 3, false, true, out);
  ck_assert_str_eq(out, "+/+/");
  fzri_base64(high, 3, true, true, out);
  ck_assert_str_eq(out, "-_-_");
}
END_TEST

START_TEST(test_compare_and_wipe)
{
  uint8_t a[33], b[33];
  memset(a, 7, sizeof a);
  memcpy(b, a, sizeof a);
  ck_assert(fzri_equal_ct(a, b, sizeof a));
  ck_assert(fzri_equal_ct(a, b, 0));
  for (size_t i = 0; i < sizeof a; i++)
    for (unsigned bit = 0; bit < 8; bit++) {
      b[i] ^= (uint8_t)(1u << bit);
      ck_assert(!fzri_equal_ct(a, b, sizeof a));
      ck_assert(fzri_equal_ct(a, b, i));
      b[i] ^= (uint8_t)(1u << bit);
    }
  fzri_wipe(a + 1, sizeof a - 2);
  for (size_t i = 0; i < sizeof a; i++)
    ck_assert_uint_eq(a[i], i == 0 || i + 1 == sizeof a ? 7 : 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("crypto");
  TCase *tc = tcase_create("crypto");
  tcase_add_test(tc, test_digests);
  tcase_add_test(tc, test_hmac_sha1);
  tcase_add_test(tc, test_hmac_sha256);
  tcase_add_test(tc, test_base64);
  tcase_add_test(tc, test_compare_and_wipe);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
