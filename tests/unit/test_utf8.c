/* SPDX-License-Identifier: Apache-2.0 */
/* What is UTF-8, and what is not (RFC 3629). */
#include "testing.h"

#include "base/utf8.h"

START_TEST(test_utf8)
{
  static const struct {
    const char *text;
    bool valid;
  } rows[] = {
      {"", true},
      {"1892160000:salt", true},
      {"z\xc3\xa4h", true},
      {"\xe2\x82\xac", true},
      {"\xf0\x9f\x98\x80", true},
      {"\xf4\x8f\xbf\xbf", true},
      {"\xed\x9f\xbf\xee\x80\x80", true},
      {"\x80", false},
      {"\xc3", false},
      {"a\xc3", false},
      {"\xc3(", false},
      {"\xc0\xaf", false},
      {"\xc1\xbf", false},
      {"\xe0\x9f\xbf", false},
      {"\xe2\x82", false},
      {"\xe2\x82(", false},
      {"\xed\xa0\x80", false},
      {"\xf0\x8f\xbf\xbf", false},
      {"\xf0\x9f\x98", false},
      {"\xf0\x9f\x98(", false},
      {"\xf4\x90\x80\x80", false},
      {"\xf5\x80\x80\x80", false},
      {"\xff", false},
      {"1234567\xc3\xa4", true},
      {"12345678\xc3\xa4", true},
      {"12345678\xc3", false},
      {"1234567\xff", false},
      {"\xff"
       "2345678",
       false},
      {"123456789012345\x80", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(fzri_utf8_valid((const uint8_t *)rows[i].text, strlen(rows[i].text)) == rows[i].valid,
                  "row %zu", i);
  ck_assert(fzri_utf8_valid(NULL, 0));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("utf8");
  TCase *tc = tcase_create("utf8");
  tcase_add_test(tc, test_utf8);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
