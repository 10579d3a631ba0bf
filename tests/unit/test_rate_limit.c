/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets at their edges. */
#include "testing.h"

#include "base/rate_limit.h"

START_TEST(test_bucket_extremes)
{
  const uint64_t big = UINT64_MAX;
  fzri_bucket b = {0};
  ck_assert(fzri_bucket_take(&b, big, big, big, 1));
  ck_assert(!fzri_bucket_take(&b, big, big, big, 1));
  b = (fzri_bucket){0};
  ck_assert(!fzri_bucket_take(&b, 1, 10, 11, big));
  ck_assert(fzri_bucket_take(&b, 1, big, big, 1)); /* centuries: it saturates, and is empty for ever */
  ck_assert(!fzri_bucket_take(&b, 1, big, big, 1000));
  b = (fzri_bucket){0};
  ck_assert(fzri_bucket_take(&b, 1, 1, 1, big - 5));
  ck_assert(!fzri_bucket_take(&b, 1, 1, 1, big - 4));
  b = (fzri_bucket){0};
  ck_assert(fzri_bucket_take(&b, 3, 3, 0, 0));
  for (int i = 0; i < 2; i++)
    ck_assert(fzri_bucket_take(&b, 3, 3, 1, 0));
  b = (fzri_bucket){0};
  ck_assert(fzri_bucket_has(&b, 3, 3, 3, 5) && !fzri_bucket_has(&b, 3, 3, 4, 5));
  ck_assert(fzri_bucket_has(&b, 3, 3, 3, 5)); /* looking takes nothing */
  fzri_rate_limit none;
  fzri_mem mem;
  const fzri_siphash_key key = {1, 2};
  const fzr_addr a = fzt_addr("192.0.2.1:1");
  fzri_mem_init(&mem, NULL);
  ck_assert_int_eq(fzri_rate_limit_init(&none, &mem, 0, 0, &key), 0);
  for (int i = 0; i < 10000; i++)
    fzt_check(fzri_rate_limit_take(&none, fzri_rate_prefix(&none, &a, 0), 1, 1) &&
              fzri_rate_limit_has_own(&none, 1, 1, 1) && fzri_rate_limit_take_own(&none, 1, 1, 1));
  ck_assert_uint_eq(mem.used, 0);
  fzri_rate_limit_free(&none);
}
END_TEST

/* The rate changes: who has used up a bucket of a low one waits no longer than an empty bucket of the high one takes to fill. */
START_TEST(test_another_rate)
{
  fzri_bucket b = {0};
  ck_assert(fzri_bucket_take(&b, 1, 1000, 1000, 0)); /* full again in 1000 s */
  ck_assert(!fzri_bucket_take(&b, 1000, 1000, 1, 0));
  ck_assert(!fzri_bucket_has(&b, 1000, 1000, 1000, FZR_SECOND - 1));
  ck_assert(fzri_bucket_has(&b, 1000, 1000, 500, FZR_SECOND / 2));
  ck_assert(fzri_bucket_take(&b, 1000, 1000, 1000, FZR_SECOND));
  /* And back: it is as empty as the time until it would have been full says. */
  ck_assert(!fzri_bucket_take(&b, 1, 1000, 1000, FZR_SECOND));
  ck_assert(fzri_bucket_take(&b, 1, 1000, 999, FZR_SECOND));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("rate_limit");
  TCase *tc = tcase_create("rate_limit");
  tcase_add_test(tc, test_bucket_extremes);
  tcase_add_test(tc, test_another_rate);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
