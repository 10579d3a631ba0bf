/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 beside the definition, at every length and alignment. */
#include "prng.h"
#include "testing.h"

#include "base/crc32.h"

static uint32_t naive_crc(const uint8_t *data, size_t len)
{
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < len; i++) {
    crc ^= data[i];
    for (unsigned bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

START_TEST(test_crc32)
{
  uint8_t data[300];
  fzt_prng prng = {fzt_seed("crc32")};
  ck_assert_uint_eq(fzri_crc32((const uint8_t *)"123456789", 9), 0xcbf43926);
  ck_assert_uint_eq(fzri_crc32(NULL, 0), 0);
  /* Every length at every alignment. */
  fzt_fill(&prng, data, sizeof data);
  for (size_t from = 0; from < 16; from++)
    for (size_t len = 0; len < sizeof data - from; len++)
      fzt_check(fzri_crc32(data + from, len) == naive_crc(data + from, len));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("crc32");
  TCase *tc = tcase_create("crc32");
  tcase_add_test(tc, test_crc32);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
