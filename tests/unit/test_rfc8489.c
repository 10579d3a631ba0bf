/* SPDX-License-Identifier: Apache-2.0 */
/* The request of RFC 8489 appendix B.1, as it is printed and as erratum 6268 has it, and what sections 9.2 and 14 have clients and
 * servers compute. */
#include "testing.h"

#include "auth/cookie.h"
#include "base/crypto.h"

static const uint8_t username[] = "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9";
#define USERNAME_LEN (sizeof username - 1)
#define REALM        "example.org"
#define PASSWORD     "TheMatrIX"
/* Its cookie counts the bits of the security features from the low end: AAAC is 0x000002. Section 9.2 counts them from the high one. */
#define NONCE "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"

/* USERHASH, NONCE and REALM: the 100 bytes behind the header that both have. */
#define ATTRIBUTES                                                                                           \
  0x00, 0x1e, 0x00, 0x20, 0x4a, 0x3c, 0xf3, 0x8f, 0xef, 0x69, 0x92, 0xbd, 0xa9, 0x52, 0xc6, 0x78, 0x04,      \
      0x17, 0xda, 0x0f, 0x24, 0x81, 0x94, 0x15, 0x56, 0x9e, 0x60, 0xb2, 0x05, 0xc4, 0x6e, 0x41, 0x40, 0x7f,  \
      0x17, 0x04, 0x00, 0x15, 0x00, 0x29, 0x6f, 0x62, 0x4d, 0x61, 0x74, 0x4a, 0x6f, 0x73, 0x32, 0x41, 0x41,  \
      0x41, 0x43, 0x66, 0x2f, 0x2f, 0x34, 0x39, 0x39, 0x6b, 0x39, 0x35, 0x34, 0x64, 0x36, 0x4f, 0x4c, 0x33,  \
      0x34, 0x6f, 0x4c, 0x39, 0x46, 0x53, 0x54, 0x76, 0x79, 0x36, 0x34, 0x73, 0x41, 0x00, 0x00, 0x00, 0x00,  \
      0x14, 0x00, 0x0b, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2e, 0x6f, 0x72, 0x67, 0x00

/* With its own 20 bytes the header counts what is not there. */
static const uint8_t printed[] = {
    0x00, 0x01, 0x00, 0x9c, 0x21, 0x12,       0xa4, 0x42, 0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72,
    0xc0, 0x29, 0xda, 0x41, 0x2e, ATTRIBUTES, 0x00, 0x1c, 0x00, 0x20, 0xe4, 0x68, 0x6c, 0x8f, 0x0e,
    0xde, 0xb5, 0x90, 0x13, 0xe0, 0x70,       0x90, 0x01, 0x0a, 0x93, 0xef, 0xcc, 0xbc, 0xcc, 0x54,
    0x4c, 0x0a, 0x45, 0xd9, 0xf8, 0x30,       0xaa, 0x6d, 0x6f, 0x73, 0x5a, 0x01};

static const uint8_t corrected[] = {0x00, 0x01, 0x00, 0x90, 0x21, 0x12, 0xa4, 0x42, 0x78, 0xad,       0x34,
                                    0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e, ATTRIBUTES, 0x00,
                                    0x1d, 0x00, 0x04, 0x00, 0x02, 0x00, 0x00, 0x00, 0x1c, 0x00,       0x20,
                                    0xb5, 0xc7, 0xbf, 0x00, 0x5b, 0x6c, 0x52, 0xa2, 0x1c, 0x51,       0xc5,
                                    0xe8, 0x92, 0xf8, 0x19, 0x24, 0x13, 0x62, 0x96, 0xcb, 0x92,       0x7c,
                                    0x43, 0x14, 0x93, 0x09, 0x27, 0x8c, 0xc6, 0x51, 0x8e, 0x65};

static void make_key(uint8_t key[FZR_STUN_KEY_MAX])
{
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_SHA256, username, USERNAME_LEN, REALM, PASSWORD, key),
                   32);
}

/* Its length is wrong, so it is no message; the HMAC in it is right for what it is. */
START_TEST(test_as_printed)
{
  uint8_t key[FZR_STUN_KEY_MAX], mac[32];
  fzr_stun_msg msg;
  ck_assert_int_eq(fzr_stun_read(printed, sizeof printed, &msg), FZR_DROP_STUN_TRUNCATED);
  make_key(key);
  const fzri_slice all = {printed, sizeof printed - 36};
  fzri_hmac_sha256(key, sizeof key, &all, 1, mac);
  ck_assert_mem_eq(mac, printed + sizeof printed - 32, 32);
}
END_TEST

START_TEST(test_as_corrected)
{
  uint8_t key[FZR_STUN_KEY_MAX], copy[sizeof corrected];
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  uint16_t offset = 0, algorithm;
  make_key(key);
  ck_assert_int_eq(fzr_stun_read(corrected, sizeof corrected, &msg), 0);
  ck_assert_uint_eq(msg.method, FZR_STUN_BINDING);
  ck_assert_uint_eq(msg.unknown_count, 0);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &attr));
  ck_assert(attr.len == strlen(NONCE) && memcmp(attr.value, NONCE, attr.len) == 0);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_PASSWORD_ALGORITHM, &attr));
  ck_assert(fzr_stun_next_algorithm(&attr, &offset, &algorithm));
  ck_assert_uint_eq(algorithm, FZR_PASSWORD_SHA256);
  ck_assert(fzr_stun_verify_sha256(&msg, key, sizeof key, 32));
  ck_assert(!fzr_stun_verify_sha256(&msg, key, sizeof key - 1, 32));
  ck_assert(!fzr_stun_verify(&msg, key, sizeof key));
  /* Any bit that is changed is noticed. */
  for (size_t bit = 0; bit < sizeof corrected * 8; bit++) {
    memcpy(copy, corrected, sizeof copy);
    copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    if (fzr_stun_read(copy, sizeof copy, &msg) == 0)
      ck_assert(!fzr_stun_verify_sha256(&msg, key, sizeof key, 32));
  }
}
END_TEST

START_TEST(test_builder)
{
  static const uint16_t algorithm = FZR_PASSWORD_SHA256;
  uint8_t buffer[256], key[FZR_STUN_KEY_MAX], userhash[FZR_STUN_USERHASH_LEN];
  fzr_stun_builder b;
  make_key(key);
  ck_assert_int_eq(fzr_auth_userhash(username, USERNAME_LEN, REALM, userhash), 0);
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, corrected + 8);
  fzr_stun_add(&b, FZR_ATTR_USERHASH, userhash, sizeof userhash);
  fzr_stun_add(&b, FZR_ATTR_NONCE, NONCE, strlen(NONCE));
  fzr_stun_add(&b, FZR_ATTR_REALM, REALM, strlen(REALM));
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHM, &algorithm, 1);
  fzr_stun_add_integrity_sha256(&b, key, sizeof key, 32);
  ck_assert_int_eq(fzr_stun_build_finish(&b), (int)sizeof corrected);
  ck_assert_mem_eq(buffer, corrected, sizeof corrected);
}
END_TEST

/* Section 14.6: the first 16, 20, … 32 bytes of the HMAC, and no other number of them. */
START_TEST(test_truncated)
{
  static const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  uint8_t buffer[128], key[FZR_STUN_KEY_MAX] = {2}, mac[32];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  for (size_t len = 0; len <= 40; len++) {
    const bool allowed = len >= 16 && len <= 32 && len % 4 == 0;
    fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
    fzr_stun_add(&b, FZR_ATTR_SOFTWARE, "x", 1);
    fzr_stun_add_integrity_sha256(&b, key, sizeof key, len);
    ck_assert_int_eq(fzr_stun_build_finish(&b), allowed ? 20 + 8 + 4 + (int)len : FZR_ERR_INVALID_ARGUMENT);
    if (!allowed)
      continue;
    fzr_stun_add_fingerprint(&b);
    ck_assert_int_eq(fzr_stun_read(buffer, (size_t)fzr_stun_build_finish(&b), &msg), 0);
    for (size_t least = 0; least <= 33; least++)
      ck_assert(fzr_stun_verify_sha256(&msg, key, sizeof key, least) == (least <= len));
  }
  /* Right bytes, but too few of them, or a number that is none. */
  for (size_t len = 0; len <= 32; len++) {
    fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
    uint8_t *const header = buffer + 2;
    const size_t padded = (len + 3) / 4 * 4;
    header[1] = (uint8_t)(4 + padded);
    const fzri_slice all = {buffer, 20};
    fzri_hmac_sha256(key, sizeof key, &all, 1, mac);
    header[1] = 0;
    fzr_stun_add(&b, FZR_ATTR_MESSAGE_INTEGRITY_SHA256, mac, len);
    ck_assert_int_eq(fzr_stun_read(buffer, (size_t)fzr_stun_build_finish(&b), &msg), 0);
    ck_assert(fzr_stun_verify_sha256(&msg, key, sizeof key, 0) == (len >= 16 && len % 4 == 0));
  }
}
END_TEST

START_TEST(test_nonce_cookie)
{
  static const struct {
    const char *nonce;
    uint32_t features;
  } rows[] = {
      {"obMatJos2AAAA", 0},
      {"obMatJos2gAAA", FZR_FEATURE_PASSWORD_ALGORITHMS},
      {"obMatJos2QAAAxyz", FZR_FEATURE_USERNAME_ANONYMITY},
      {"obMatJos2wAAAxyz", FZR_FEATURE_PASSWORD_ALGORITHMS | FZR_FEATURE_USERNAME_ANONYMITY},
      {"obMatJos2AAABxyz", 1},
      {"obMatJos2////xyz", 0xffffff},
      {"obMatJos2++++", 0xfbefbe},
      {NONCE, 2},
      {"obMatJos2wAA", 0},
      {"obMatJos2", 0},
      {"obMatJos3wAAA", 0},
      {"obmatjos2wAAA", 0},
      {"obMatJos2w-AA", 0},
      {"obMatJos2wAA=", 0},
      {"", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(fzr_auth_nonce_features((const uint8_t *)rows[i].nonce, strlen(rows[i].nonce)) ==
                      rows[i].features,
                  "%s", rows[i].nonce);
  for (uint32_t features = 0; features <= 0xffffff; features += 0xfff7) {
    char text[FZRI_COOKIE_LEN];
    uint32_t got = 1;
    fzri_cookie_make(features, text);
    ck_assert(fzri_cookie_read((const uint8_t *)text, sizeof text, &got));
    ck_assert_uint_eq(got, features);
  }
  /* A zero in it is no digit. */
  ck_assert_uint_eq(fzr_auth_nonce_features((const uint8_t *)"obMatJos2w\0AA", 13), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("rfc8489");
  TCase *tc = tcase_create("rfc8489");
  tcase_add_test(tc, test_as_printed);
  tcase_add_test(tc, test_as_corrected);
  tcase_add_test(tc, test_builder);
  tcase_add_test(tc, test_truncated);
  tcase_add_test(tc, test_nonce_cookie);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
