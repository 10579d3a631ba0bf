/* SPDX-License-Identifier: Apache-2.0 */
/* When a worker sleeps so that packets come together: a worker whose packets come as each test says, in virtual time. */
#include "testing.h"

#include "gather.h"

/* What comes, and what has come of it. */
typedef struct world {
  gather g;
  fzr_time now;
  unsigned reads, idles, sleeps;
} world;

/* All that has come together is read, and there is nothing more to do. */
static void turn(world *w, unsigned reads)
{
  bool asks = false;
  for (unsigned i = 0; i < reads; i++)
    asks = gather_read(&w->g, w->now);
  w->reads += reads;
  if (!asks)
    return;
  w->idles++;
  if (!gather_sleeps(&w->g))
    return;
  w->sleeps++;
  w->now += GATHER_TIME;
}

/* Packets come every |every|, whatever the worker does, for |windows|. */
static void flow(world *w, fzr_time every, unsigned windows)
{
  const fzr_time end = w->now + windows * GATHER_WINDOW;
  fzr_time next = w->now;
  w->reads = w->idles = w->sleeps = 0;
  while (w->now < end) {
    unsigned come = 0;
    if (w->now < next)
      w->now = next;
    for (; next <= w->now; next += every)
      come++;
    turn(w, come);
  }
}

/* |clients|, each of which sends its next packet |after| its last one was read. */
static void ping(world *w, unsigned clients, fzr_time after, unsigned windows)
{
  const fzr_time end = w->now + windows * GATHER_WINDOW;
  w->reads = w->idles = w->sleeps = 0;
  while (w->now < end) {
    const fzr_time sent = w->now;
    turn(w, clients);
    if (w->now < sent + after)
      w->now = sent + after;
  }
}

static world begin(void)
{
  return (world){.now = 1000 * FZR_SECOND};
}

START_TEST(test_slow_packets_are_never_slept_for)
{
  world w = begin();
  flow(&w, GATHER_TIME, 1000);
  ck_assert_uint_eq(w.idles, 0);
  ck_assert_uint_eq(w.sleeps, 0);
}
END_TEST

START_TEST(test_fast_packets_come_together)
{
  world w = begin();
  flow(&w, GATHER_TIME / 5, 1000);
  ck_assert_uint_gt(w.sleeps, 0);
  ck_assert_uint_lt(w.sleeps, w.reads / 4);
  ck_assert_uint_gt(w.sleeps, w.reads / 7);
}
END_TEST

/* As fast as five times as many others; with a sleep each they would be half as fast. */
START_TEST(test_who_waits_for_the_answer_is_not_slowed_down)
{
  world w = begin();
  ping(&w, (unsigned)_i, 20 * FZR_MILLISECOND / 1000, 2000);
  const unsigned without = (unsigned)_i * (unsigned)(2000 * GATHER_WINDOW / (20 * FZR_MILLISECOND / 1000));
  ck_assert_uint_gt(w.sleeps, 0);                 /* it was tried */
  ck_assert_uint_gt(w.reads, without / 100 * 98); /* at last once a second */
}
END_TEST

/* What comes, comes together. */
START_TEST(test_sleeps_that_save_no_waits_are_given_up)
{
  world w = begin();
  const fzr_time start = w.now;
  for (unsigned i = 0; i < 20000; i++) {
    w.now = start + i * (200 * FZR_MILLISECOND / 1000);
    turn(&w, 16);
  }
  ck_assert_uint_gt(w.sleeps, 0);
  ck_assert_uint_lt(w.sleeps, w.reads / 16 / 50);
}
END_TEST

START_TEST(test_a_pause_begins_anew)
{
  world w = begin();
  flow(&w, GATHER_TIME / 5, 10);
  ck_assert_uint_gt(w.sleeps, 0);
  w.now += 2 * GATHER_WINDOW;
  ck_assert(!gather_read(&w.g, w.now));
}
END_TEST

/* Sleeps are compared with what was counted at most a quarter of a second ago. */
START_TEST(test_what_comes_may_change)
{
  world w = begin();
  flow(&w, GATHER_TIME / 10, 200);
  ck_assert_uint_gt(w.sleeps, 0);
  ping(&w, 3, 20 * FZR_MILLISECOND / 1000, 2000);
  ck_assert_uint_lt(w.sleeps, w.idles / 2);
  flow(&w, GATHER_TIME / 10, 2000);
  ck_assert_uint_lt(w.sleeps, w.reads / 5);
  ck_assert_uint_gt(w.sleeps, w.reads / 20);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("gather");
  TCase *tc = tcase_create("gather");
  tcase_add_test(tc, test_slow_packets_are_never_slept_for);
  tcase_add_test(tc, test_fast_packets_come_together);
  tcase_add_loop_test(tc, test_who_waits_for_the_answer_is_not_slowed_down, 1, 9);
  tcase_add_test(tc, test_sleeps_that_save_no_waits_are_given_up);
  tcase_add_test(tc, test_a_pause_begins_anew);
  tcase_add_test(tc, test_what_comes_may_change);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
