/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash against the vectors of its reference implementation. */
#include "testing.h"

#include "base/siphash.h"

START_TEST(test_siphash)
{
  /* The vectors of the reference implementation: key 00 to 0f, input 00, 01, ... */
  static const char *const mac[] = {"a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45",
                                    "8177228da4a45dc7fca38bdef60affe4"};
  static const uint64_t table[] = {0xabac0158050fc4dc, 0xc9f49bf37d57ca93};
  const fzri_siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  uint8_t input[64], out[16];
  for (unsigned i = 0; i < sizeof input; i++)
    input[i] = (uint8_t)i;
  for (unsigned i = 0; i < 3; i++) {
    fzri_siphash24_128(&key, input, i, out);
    ck_assert_str_eq(fzt_hex(out, sizeof out), mac[i]);
  }
  fzri_siphash24_128(&key, NULL, 0, out); /* of no bytes there need be no address */
  ck_assert_str_eq(fzt_hex(out, sizeof out), mac[0]);
  for (unsigned i = 0; i < 2; i++)
    ck_assert_uint_eq(fzri_siphash13(&key, input, i), table[i]);
  /* The short form for blocks is the same function, folded: the last block has the length in its top byte. */
  const fzri_sip start = fzri_sip_start(&key);
  for (unsigned len = 0; len < 32; len++) {
    uint64_t blocks[4] = {0};
    for (unsigned i = 0; i < len; i++)
      blocks[i / 8] |= (uint64_t)input[i] << i % 8 * 8; /* little-endian, whatever the host is */
    blocks[len / 8] |= (uint64_t)len << 56;
    const uint64_t whole = fzri_siphash13(&key, input, len);
    ck_assert_uint_eq(fzri_sip_blocks(&start, blocks, len / 8 + 1), (uint32_t)(whole ^ whole >> 32));
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("siphash");
  TCase *tc = tcase_create("siphash");
  tcase_add_test(tc, test_siphash);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
