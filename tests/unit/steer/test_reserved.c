/* SPDX-License-Identifier: Apache-2.0 */
/* Which ports the kernel gives to programs that ask for any, by the text of its settings. */
#include "testing.h"

#include "steer/reserved.h"

START_TEST(test_range)
{
  ck_assert(reserved_all("32768\t60999\n", "\n", 61000, 65535));
  ck_assert(reserved_all("32768\t60999\n", "", 1024, 32767));
  ck_assert(!reserved_all("32768\t60999\n", "", 60999, 65535));
  ck_assert(!reserved_all("32768\t60999\n", "", 1024, 32768));
  ck_assert(!reserved_all("1024 65535", "", 40000, 40000));
}
END_TEST

START_TEST(test_list)
{
  static const char range[] = "32768\t60999\n";
  ck_assert(reserved_all(range, "49152-65535\n", 49152, 65535));
  ck_assert(reserved_all(range, "49152-60999\n", 49152, 65535));
  ck_assert(reserved_all(range, "8080,49152-50000,50001,50002-60999\n", 49152, 65535));
  ck_assert(reserved_all(range, "50000-60999,49000-50500\n", 49152, 65535));
  ck_assert(!reserved_all(range, "49153-65535\n", 49152, 65535));
  ck_assert(!reserved_all(range, "49152-60998\n", 49152, 65535));
  ck_assert(!reserved_all(range, "8080,49152-50000,50002-60999\n", 49152, 65535));
  ck_assert(reserved_all(range, "50000\n", 50000, 50000));
  ck_assert(!reserved_all(range, "nothing", 50000, 50000));
  ck_assert(reserved_all(range, "65535-65535,49152-65535", 65535, 65535));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("reserved");
  TCase *tc = tcase_create("reserved");
  tcase_add_test(tc, test_range);
  tcase_add_test(tc, test_list);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
