/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal numbers: what is one, and the largest that is taken. */
#include "testing.h"

#include "common/decimal.h"

START_TEST(test_numbers)
{
  static const struct {
    const char *text;
    uint64_t most;
    bool good;
    uint64_t value;
  } rows[] = {
      {"0", 0, true, 0},
      {"7", 7, true, 7},
      {"8", 7, false, 0},
      {"10", 9, false, 0},
      {"000000000000000000000000000065535", UINT16_MAX, true, UINT16_MAX},
      {"65536", UINT16_MAX, false, 0},
      {"99999", UINT16_MAX, false, 0},
      {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
      {"18446744073709551615", UINT64_MAX - 1, false, 0},
      {"18446744073709551616", UINT64_MAX, false, 0},
      {"184467440737095516150", UINT64_MAX, false, 0},
      {"", UINT64_MAX, false, 0},
      {"+1", UINT64_MAX, false, 0},
      {"-1", UINT64_MAX, false, 0},
      {" 1", UINT64_MAX, false, 0},
      {"1 ", UINT64_MAX, false, 0},
      {"1a", UINT64_MAX, false, 0},
      {"0x1", UINT64_MAX, false, 0},
      {"\xd9\xa1", UINT64_MAX, false, 0}, /* a digit elsewhere */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint64_t value = 4711;
    ck_assert_msg(decimal_read(rows[i].text, strlen(rows[i].text), rows[i].most, &value) == rows[i].good,
                  "%s", rows[i].text);
    ck_assert_msg(value == (rows[i].good ? rows[i].value : 4711), "%s", rows[i].text);
  }
}
END_TEST

START_TEST(test_digits)
{
  ck_assert_uint_eq(decimal_digits("123x", 4), 3);
  ck_assert_uint_eq(decimal_digits("1234", 2), 2);
  ck_assert_uint_eq(decimal_digits("x1", 2), 0);
  ck_assert_uint_eq(decimal_digits("", 0), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("common: decimal");
  TCase *tc = tcase_create("decimal");
  tcase_add_test(tc, test_numbers);
  tcase_add_test(tc, test_digits);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
