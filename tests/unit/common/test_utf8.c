/* SPDX-License-Identifier: Apache-2.0 */
/* What is UTF-8 and what is not, and which characters must not be shown. */
#include "testing.h"

#include "common/utf8.h"

#include <stdio.h>

/* Writes |code| as UTF-8 would be, also where it must not be written. Returns the length. */
static size_t encode(uint32_t code, uint8_t out[4])
{
  if (code < 0x80) {
    out[0] = (uint8_t)code;
    return 1;
  }
  const size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = n; i-- > 1; code >>= 6)
    out[i] = (uint8_t)(0x80 | (code & 0x3f));
  out[0] = (uint8_t)(marks[n] | code);
  return n;
}

START_TEST(test_every_character)
{
  for (uint32_t code = 0; code < 0x110000; code++) {
    uint8_t bytes[4];
    uint32_t read = UINT32_MAX;
    const size_t n = encode(code, bytes);
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    fzt_check(utf8_read(bytes, n, &read) == (surrogate ? 0 : n));
    if (!surrogate)
      fzt_check(read == code);
    for (size_t cut = 1; cut < n; cut++)
      fzt_check(utf8_read(bytes, cut, &read) == 0);
  }
}
END_TEST

START_TEST(test_no_character)
{
  static const char *const bad[] = {
      "\x80",
      "\xbf",
      "\xc0\x80",
      "\xc1\xbf",
      "\xe0\x80\x80",
      "\xe0\x9f\xbf",
      "\xf0\x80\x80\x80",
      "\xf0\x8f\xbf\xbf",
      "\xf4\x90\x80\x80",
      "\xf5\x80\x80\x80",
      "\xf8\x88\x80\x80",
      "\xff",
      "\xc2\x20",
      "\xe2\x82\x20",
      "\xed\xa0\x80",
      "\xed\xbf\xbf",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint32_t code;
    ck_assert_msg(utf8_read((const uint8_t *)bad[i], strlen(bad[i]), &code) == 0, "case %zu", i);
  }
}
END_TEST

START_TEST(test_validity)
{
  static const char *const valid[] = {"", "a", "Zo\xc3\xab", "\xf0\x9f\x98\x80 a"};
  static const char *const invalid[] = {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80 a"};
  for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
    ck_assert_msg(utf8_is_valid(valid[i], strlen(valid[i])), "%s", valid[i]);
  for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
    ck_assert_msg(!utf8_is_valid(invalid[i], strlen(invalid[i])), "%zu", i);
}
END_TEST

START_TEST(test_unsafe)
{
  /* Line ends, escape sequences, right-to-left overrides, marks that can't be seen, tags, private use, no characters. */
  static const uint32_t unsafe[] = {0,      '\n',   '\r',    0x1b,   0x7f,   0x85,    0x9b,
                                    0xad,   0x61c,  0x200b,  0x200e, 0x202e, 0x2028,  0x2029,
                                    0x2066, 0xfeff, 0xe0041, 0xffff, 0xe000, 0x10ffff};
  static const uint32_t safe[] = {' ', '~', 'a', '"', 0xa0, 0xe9, 0x416, 0x20ac, 0x4e2d, 0xfffd, 0x1f600};
  for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
    ck_assert_msg(utf8_is_unsafe(unsafe[i]), "U+%04x", (unsigned)unsafe[i]);
  for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
    ck_assert_msg(!utf8_is_unsafe(safe[i]), "U+%04x", (unsigned)safe[i]);
}
END_TEST

START_TEST(test_copy)
{
  char out[32];
  ck_assert_uint_eq(utf8_copy((const uint8_t *)"a\xc3\xa9\xffz", 5, out, sizeof out), 7);
  ck_assert_str_eq(out, "a\xc3\xa9\xef\xbf\xbdz");
  ck_assert_uint_eq(utf8_copy((const uint8_t *)"a\0b", 3, out, sizeof out), 5);
  ck_assert_str_eq(out, "a\xef\xbf\xbd"
                        "b");
  /* Cut off between characters. */
  ck_assert_uint_eq(utf8_copy((const uint8_t *)"ab\xe2\x82\xac", 5, out, 5), 2);
  ck_assert_str_eq(out, "ab");
  ck_assert_uint_eq(utf8_copy((const uint8_t *)"ab\xe2\x82\xac", 5, out, 6), 5);
  ck_assert_uint_eq(utf8_copy((const uint8_t *)"ab", 2, out, 1), 0);
  ck_assert_str_eq(out, "");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: utf8");
  TCase *c = tcase_create("utf8");
  tcase_add_test(c, test_every_character);
  tcase_add_test(c, test_no_character);
  tcase_add_test(c, test_validity);
  tcase_add_test(c, test_unsafe);
  tcase_add_test(c, test_copy);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
