/* SPDX-License-Identifier: Apache-2.0 */
/* Waits between tries. */
#include "net/backoff.h"
#include "prng.h"
#include "testing.h"

START_TEST(backoff_bounds)
{
  fzt_prng prng = {fzt_seed("backoff_bounds")};
  net_backoff backoff;
  net_backoff_init(&backoff, 0, 0);
  for (int i = 0; i < 1000; i++) {
    const fzr_time mean = backoff.current;
    const fzr_time wait = net_backoff_next(&backoff, (uint32_t)fzt_next(&prng));
    ck_assert_uint_ge(wait, mean / 2);
    ck_assert_uint_le(wait, mean + mean / 2);
    ck_assert_uint_le(wait, 60 * FZR_SECOND);
  }
  ck_assert_uint_eq(backoff.current, 40 * FZR_SECOND);
  net_backoff_relax(&backoff, 0);
  ck_assert_uint_eq(backoff.current, 40 * FZR_SECOND);
  net_backoff_relax(&backoff, 3);
  ck_assert_uint_eq(backoff.current, 5 * FZR_SECOND);
  net_backoff_relax(&backoff, UINT64_MAX);
  ck_assert_uint_eq(backoff.current, 500 * FZR_MILLISECOND);
  net_backoff_reset(&backoff);
  ck_assert_uint_le(net_backoff_next(&backoff, UINT32_MAX), 750 * FZR_MILLISECOND);
  net_backoff_reset(&backoff);
  ck_assert_uint_eq(net_backoff_next(&backoff, 0), 250 * FZR_MILLISECOND);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: backoff");
  TCase *tc = tcase_create("backoff");
  tcase_add_test(tc, backoff_bounds);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
