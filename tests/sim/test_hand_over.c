/* SPDX-License-Identifier: Apache-2.0 */
/* A relay that is handed over from one process to the next, again and again, while clients talk: they lose nothing, and are told nothing. */
#include "world.h"

#include <stdio.h>

#define SECONDS(n) ((fzr_time)(n)*FZR_SECOND)

static const memory_link steady = {10 * FZR_MILLISECOND, 0, 0, 0};
static sim_world w;

static void all_go(void)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    sim_client_go(&w.clients[i]);
}

static fzr_stats stats_of(const fzr_engine *engine)
{
  fzr_stats stats;
  fzt_check(fzr_engine_stats(engine, &stats) == 0);
  return stats;
}

/* No client was refused anything but for want of a nonce, nor began anew. */
static void expect_one_life(unsigned nonces)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    const sim_client *c = &w.clients[i];
    ck_assert(c->allocated);
    ck_assert_uint_eq(c->allocations, 1);
    for (unsigned code = 300; code < 700; code++)
      ck_assert_msg(!c->codes[code] || (code == 401 && c->codes[code] == 1) ||
                        (code == 438 && c->codes[code] <= nonces),
                    "client %u: %u, %u times", i, code, c->codes[code]);
  }
}

static void expect_all_data(uint64_t least)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    for (unsigned k = 0; k < SIM_PEERS; k++) {
      const sim_channel *channel = &w.clients[i].channels[k];
      if (!channel->bound)
        continue;
      ck_assert_uint_ge(channel->out.sent, least);
      ck_assert_uint_eq(channel->out.received, channel->out.sent);
      ck_assert_uint_eq(channel->back.received, channel->back.sent);
    }
}

static void settle(void)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    w.clients[i].talks = false;
  sim_run(&w, SECONDS(5));
}

/* For three hours each 7.3 s, in both modes. */
START_TEST(test_hours)
{
  ck_assert_int_eq(_i ? sim_start_full(&w, 3, &steady, 0, 0) : sim_start(&w, 3, &steady, 0, 0), 0);
  all_go();
  sim_run(&w, SECONDS(10));
  const fzr_stats before = stats_of(w.engine);
  for (unsigned i = 0; i < 1480; i++) {
    sim_hand_over(&w);
    sim_run(&w, 7300 * FZR_MILLISECOND);
  }
  settle();
  expect_one_life(3);
  expect_all_data(10000);
  const fzr_stats after = stats_of(w.engine);
  ck_assert_uint_eq(after.allocations_created, SIM_CLIENTS);
  ck_assert_uint_eq(after.channels_bound, before.channels_bound);
  ck_assert_mem_eq(after.dropped, before.dropped, sizeof after.dropped);
  sim_end(&w);
}
END_TEST

/* In the midst of everything: requests and answers are lost, and come again to another process than the first time. */
START_TEST(test_bad_links)
{
  const memory_link bad = {20 * FZR_MILLISECOND, 60 * FZR_MILLISECOND, 300, 50};
  ck_assert_int_eq(sim_start(&w, (uint64_t)_i, &bad, 0, 0), 0);
  all_go();
  for (unsigned i = 0; i < 1800; i++) {
    sim_hand_over(&w);
    sim_run(&w, 100 * FZR_MILLISECOND);
  }
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    const sim_client *c = &w.clients[i];
    ck_assert(c->allocated);
    ck_assert_uint_eq(c->codes[437] + c->codes[441] + c->codes[486] + c->codes[508] + c->codes[400], 0);
    uint64_t received = 0;
    for (unsigned k = 0; k < SIM_PEERS; k++)
      received += c->channels[k].back.received;
    ck_assert_uint_gt(received, 20); /* of some 1000 that were sent, over four such links */
  }
  ck_assert_uint_eq(stats_of(w.engine).allocations_created, SIM_CLIENTS); /* each one once */
  sim_end(&w);
}
END_TEST

/* Clients that move between two workers by tickets of processes that are no more. */
START_TEST(test_roaming)
{
  ck_assert_int_eq(sim_start_mobile(&w, 5, &steady), 0);
  all_go();
  sim_run(&w, SECONDS(20));
  for (unsigned i = 0; i < 200; i++) {
    sim_flip(&w.clients[i % SIM_CLIENTS]);
    sim_run(&w,
            i % 3 ? 15 * FZR_MILLISECOND : SECONDS(2)); /* before the 438 is there, or long after the move */
    sim_hand_over(&w);
    sim_run(&w, SECONDS(3));
    ck_assert_uint_eq(stats_of(w.engine).allocations + stats_of(w.other_engine).allocations, SIM_CLIENTS);
  }
  settle();
  expect_one_life(200);
  ck_assert_uint_eq(stats_of(w.engine).allocations_moved + stats_of(w.other_engine).allocations_moved, 200);
  sim_end(&w);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("hand_over");
  TCase *tc = tcase_create("hand_over");
  tcase_set_timeout(tc, 200);
  tcase_add_loop_test(tc, test_hours, 0, 2);
  tcase_add_loop_test(tc, test_bad_links, 1, 11);
  tcase_add_test(tc, test_roaming);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
