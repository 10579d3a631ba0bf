/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in network order, and little-endian ones. */
#include "testing.h"

#include "base/bytes.h"

START_TEST(test_numbers)
{
  uint8_t bytes[9] = {0};
  fzri_put16(bytes + 1, 0x0102);
  ck_assert_mem_eq(bytes, "\0\1\2\0", 4);
  ck_assert_uint_eq(fzri_get16(bytes + 1), 0x0102);
  fzri_put32(bytes + 1, 0xfffefdfc);
  ck_assert_uint_eq(fzri_get32(bytes + 1), 0xfffefdfc);
  fzri_put64(bytes + 1, 0x8182838485868788);
  ck_assert_uint_eq(bytes[1], 0x81);
  ck_assert_uint_eq(bytes[8], 0x88);
  ck_assert_uint_eq(fzri_get64(bytes + 1), 0x8182838485868788);
}
END_TEST

START_TEST(test_little_endian)
{
  uint8_t bytes[10] = {0};
  fzri_put_le(bytes + 1, 0x0102, 2);
  ck_assert_mem_eq(bytes, "\0\2\1\0", 4);
  ck_assert_uint_eq(fzri_get_le(bytes + 1, 2), 0x0102);
  ck_assert_uint_eq(fzri_get_le(bytes + 1, 0), 0);
  fzri_put_le(bytes + 1, 0xfffefdfc, 4);
  ck_assert_uint_eq(fzri_get_le32(bytes + 1), 0xfffefdfc);
  fzri_put_le(bytes + 1, 0x8182838485868788, 8);
  ck_assert_mem_eq(bytes, "\0\x88\x87\x86\x85\x84\x83\x82\x81\0", 10);
  ck_assert_uint_eq(fzri_get_le64(bytes + 1), 0x8182838485868788);
  ck_assert_uint_eq(fzri_get_le(bytes + 1, 8), 0x8182838485868788);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("bytes");
  TCase *tc = tcase_create("bytes");
  tcase_add_test(tc, test_numbers);
  tcase_add_test(tc, test_little_endian);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
