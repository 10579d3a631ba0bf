/* SPDX-License-Identifier: Apache-2.0 */
/* What is written for JSON and URLs, and what is taken off and out of text that was read. */
#include "common/hex.h"
#include "common/strip.h"
#include "common/text.h"
#include "testing.h"

START_TEST(test_encodings)
{
  char out[128];
  text_out text = text_out_of(out, sizeof out);
  text_form(&text, "a b~c*d/\xc3\xa9");
  ck_assert_str_eq(out, "a+b%7Ec*d%2F%C3%A9");
  text = text_out_of(out, sizeof out);
  text_percent(&text, "a b~c*d/\xc3\xa9");
  ck_assert_str_eq(out, "a%20b~c%2Ad%2F%C3%A9");
  text = text_out_of(out, sizeof out);
  text_json(&text, "\"\\\b\x1b\xff\xc3\xa9\xe2\x80\xae\xf3\xa0\x81\x81");
  ck_assert_str_eq(out, "\"\\\"\\\\\\b\\u001b\\ufffd\xc3\xa9\\u202e\\udb40\\udc41\"");
}
END_TEST

START_TEST(test_what_does_not_fit)
{
  char out[8];
  text_out text = text_out_of(out, sizeof out);
  text_puts(&text, "1234567");
  ck_assert(!text.overflow);
  text_puts(&text, "");
  ck_assert(!text.overflow);
  text_puts(&text, "8");
  ck_assert(text.overflow);
  ck_assert_str_eq(out, "1234567");
}
END_TEST

START_TEST(test_percent)
{
  ck_assert_int_eq(percent_byte("%41", 3), 0x41);
  ck_assert_int_eq(percent_byte("%fFx", 4), 0xff);
  ck_assert_int_eq(percent_byte("%00", 3), 0);
  ck_assert_int_eq(percent_byte("%4", 2), -1);
  ck_assert_int_eq(percent_byte("%41", 2), -1); /* what follows is not its own */
  ck_assert_int_eq(percent_byte("%4g", 3), -1);
  ck_assert_int_eq(percent_byte("%g4", 3), -1);
  ck_assert_int_eq(percent_byte("041", 3), -1);
  ck_assert_int_eq(percent_byte("", 0), -1);
}
END_TEST

static void check_stripped(stripped s, const char *expected)
{
  ck_assert_uint_eq(s.len, strlen(expected));
  ck_assert(memcmp(s.text, expected, s.len) == 0);
}

START_TEST(test_trimming)
{
  static const char text[] = " \t\r\n\v\f a b \n";
  check_stripped(trim(text, sizeof text - 1), "a b");
  check_stripped(trim("   ", 3), "");
  check_stripped(trim("", 0), "");
  check_stripped(trim("a ", 1), "a");
  check_stripped(trim("\xef\xbb\xbf"
                      "a",
                      4),
                 "\xef\xbb\xbf"
                 "a");
  check_stripped(strip(" \xef\xbb\xbf \xef\xbb\xbf"
                       "a ",
                       10),
                 "a");
  check_stripped(strip("\xef\xbb", 2), "\xef\xbb");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("common: text");
  TCase *tc = tcase_create("text");
  tcase_add_test(tc, test_encodings);
  tcase_add_test(tc, test_what_does_not_fit);
  tcase_add_test(tc, test_percent);
  tcase_add_test(tc, test_trimming);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
