/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel at its edges; property/prop_containers.c has it beside a model. */
#include "testing.h"

#include "base/timers.h"

#define TICK ((fzr_time)1 << FZRI_TICK_SHIFT)

START_TEST(test_timers)
{
  static fzri_timers wheel;
  fzri_timer a = {0}, b = {0};
  size_t budget = 100;
  fzri_timers_init(&wheel, 1000);
  ck_assert_uint_eq(fzri_timers_deadline(&wheel), FZR_TIME_NEVER);
  fzri_timers_set(&wheel, &a, FZR_TIME_NEVER);
  ck_assert(!fzri_timer_is_set(&a));
  fzri_timers_set(&wheel, &a, 10 * FZR_SECOND);
  fzri_timers_set(&wheel, &b, 5 * FZR_SECOND);
  fzri_timers_set(&wheel, &b, 20 * FZR_SECOND); /* moved */
  ck_assert_uint_le(fzri_timers_deadline(&wheel), 10 * FZR_SECOND + TICK);
  ck_assert_ptr_null(fzri_timers_pop(&wheel, 10 * FZR_SECOND - 1, &budget));
  ck_assert_ptr_eq(fzri_timers_pop(&wheel, 10 * FZR_SECOND + TICK, &budget), &a);
  ck_assert(!fzri_timer_is_set(&a));
  ck_assert_ptr_null(fzri_timers_pop(&wheel, 10 * FZR_SECOND + TICK, &budget));
  fzri_timers_cancel(&wheel, &b);
  fzri_timers_cancel(&wheel, &b);
  ck_assert_ptr_null(fzri_timers_pop(&wheel, 100 * FZR_SECOND, &budget));
  ck_assert_uint_eq(fzri_timers_deadline(&wheel), FZR_TIME_NEVER);
  /* In the past: due at once. */
  fzri_timers_set(&wheel, &a, 1);
  ck_assert_uint_le(fzri_timers_deadline(&wheel), 100 * FZR_SECOND);
  budget = 100;
  ck_assert_ptr_eq(fzri_timers_pop(&wheel, 100 * FZR_SECOND, &budget), &a);
}
END_TEST

START_TEST(test_timers_keep_to_the_budget)
{
  static fzri_timers wheel;
  static fzri_timer timers[1000];
  size_t popped = 0;
  fzri_timers_init(&wheel, 0);
  for (size_t i = 0; i < 1000; i++)
    fzri_timers_set(&wheel, &timers[i], 100 * FZR_SECOND);
  for (unsigned calls = 0; fzri_timers_deadline(&wheel) <= 200 * FZR_SECOND; calls++) {
    size_t budget = 10, before = popped;
    while (fzri_timers_pop(&wheel, 200 * FZR_SECOND, &budget))
      popped++;
    ck_assert_uint_le(popped - before, 10);
    ck_assert_uint_lt(calls, 1000); /* moving between levels takes from the budget, too */
  }
  ck_assert_uint_eq(popped, 1000);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("timers");
  TCase *tc = tcase_create("timers");
  tcase_add_test(tc, test_timers);
  tcase_add_test(tc, test_timers_keep_to_the_budget);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
