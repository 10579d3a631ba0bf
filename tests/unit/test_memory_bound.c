/* SPDX-License-Identifier: Apache-2.0 */
/* The bound on channels of all shards together, and what is told when it, or memory, is reached. */
#include "relay.h"

#include "turn/state.h"

static fzt_relay one, two;
static fzr_shared *shared;
static unsigned told[2]; /* max_channels, memory */

static void keep_record(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  if (record->event != FZR_LOG_SHORT_OF_MEMORY)
    return;
  ck_assert_uint_eq(record->level, FZR_LOG_WARN);
  ck_assert_uint_eq(record->error_code, 508);
  ck_assert_ptr_nonnull(record->client);
  told[record->adapter_error == FZR_ERR_NO_MEMORY]++;
}

static void begin(uint32_t limit)
{
  ck_assert_int_eq(fzr_shared_new(50000, 50099, NULL, &shared), 0);
  memset(told, 0, sizeof told);
  for (unsigned i = 0; i < 2; i++) {
    fzt_relay *r = i ? &two : &one;
    fzr_config config = fzt_config(r);
    config.relay_mode = FZR_RELAY_CHANNELS; /* what is counted are channels */
    r->prng.state = 7 + i;
    config.shared = shared;
    config.lowest_port = 50000;
    config.highest_port = 50099;
    config.max_channels = limit;
    config.log = keep_record;
    config.log_level = FZR_LOG_WARN;
    fzt_relay_init(r, &config);
  }
}

static void end(void)
{
  fzt_relay_free(&one);
  ck_assert(fzri_shared_channel_enter(shared, UINT32_MAX));
  fzri_shared_channels_leave(shared, 1);
  fzt_relay_free(&two);
  /* Nothing is counted any more. */
  ck_assert(fzri_shared_channel_enter(shared, 1));
  fzr_shared_free(shared);
}

static int bind_nth(fzt_relay *r, fzt_client_state *c, unsigned n)
{
  fzr_addr peer = fzt_addr("203.0.113.9:5000");
  peer.port = (uint16_t)(5000 + n);
  return fzt_bind(r, c, (uint16_t)(FZR_CHANNEL_MIN + n), &peer);
}

static fzr_stats stats_of(const fzt_relay *r)
{
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(r->engine, &stats), 0);
  return stats;
}

START_TEST(test_bound_over_shards)
{
  fzt_client_state a, b;
  begin(10);
  fzt_client_init(&a, "198.51.100.1:4000");
  fzt_client_init(&b, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&one, &a), 0);
  ck_assert_int_eq(fzt_allocate(&two, &b), 0);
  for (unsigned n = 0; n < 6; n++)
    ck_assert_int_eq(bind_nth(&one, &a, n), 0);
  for (unsigned n = 0; n < 8; n++)
    ck_assert_int_eq(bind_nth(&two, &b, n), n < 4 ? 0 : 508);
  ck_assert_int_eq(bind_nth(&one, &a, 6), 508);
  ck_assert_int_eq(bind_nth(&one, &a, 5), 0); /* a refresh takes none */
  ck_assert_uint_eq(stats_of(&one).memory_refusals[0], 1);
  ck_assert_uint_eq(stats_of(&two).memory_refusals[0], 4);
  ck_assert_uint_eq(stats_of(&two).memory_refusals[1], 0);
  ck_assert_uint_eq(told[0], 1); /* by both shards together, once a minute */
  one.now += 61 * FZR_SECOND;
  ck_assert_int_eq(bind_nth(&one, &a, 7), 508);
  ck_assert_int_eq(bind_nth(&one, &a, 8), 508);
  ck_assert_uint_eq(told[0], 2);
  /* A number that rests counts, one that is free does not. */
  ck_assert_int_eq(fzt_refresh(&one, &a, 3600), 0);
  ck_assert_int_eq(fzt_refresh(&two, &b, 3600), 0);
  fzt_pass(&one, 620 * FZR_SECOND);
  ck_assert_int_eq(fzt_refresh(&one, &a, 3600), 0);
  ck_assert_int_eq(bind_nth(&one, &a, 9), 508);
  fzt_pass(&one, 300 * FZR_SECOND);
  ck_assert_int_eq(fzt_refresh(&one, &a, 3600), 0);
  for (unsigned n = 0; n < 7; n++)
    ck_assert_int_eq(bind_nth(&one, &a, n), n < 6 ? 0 : 508);
  /* The end of an allocation gives its channels back. */
  ck_assert_int_eq(fzt_refresh(&two, &b, 0), 0);
  ck_assert_int_eq(bind_nth(&one, &a, 6), 0);
  end();
}
END_TEST

/* Memory stays below what the bound stands for, however many channels are asked for. */
START_TEST(test_memory_is_bounded)
{
  enum { LIMIT = 20000, ASKED = 24000 };
  fzt_client_state c;
  begin(LIMIT);
  const uint64_t before = one.mem.live;
  unsigned bound = 0;
  for (unsigned n = 0; n < ASKED; n++) {
    if (n % 4000 == 0) {
      fzt_client_init(&c, "198.51.100.1:4000");
      c.addr.port = (uint16_t)(c.addr.port + n / 4000);
      ck_assert_int_eq(fzt_allocate(&one, &c), 0);
    }
    bound += bind_nth(&one, &c, n % 4000) == 0;
    if (n % 1000 == 0)
      ck_assert_uint_le(one.mem.live - before, LIMIT * 200);
  }
  ck_assert_uint_eq(bound, LIMIT);
  ck_assert_uint_le(one.mem.live - before, LIMIT * 200);
  ck_assert_uint_eq(told[0], 1);
  end();
}
END_TEST

START_TEST(test_no_memory)
{
  fzt_client_state c;
  begin(FZR_UNLIMITED);
  fzt_client_init(&c, "198.51.100.1:4000");
  one.mem.fail_from = one.mem.count + 1;
  ck_assert_int_eq(fzt_allocate(&one, &c), 508);
  ck_assert_uint_eq(told[1], 1);
  one.mem.fail_from = 0;
  ck_assert_int_eq(fzt_allocate(&one, &c), 0);
  one.mem.fail_from = one.mem.count + 1;
  ck_assert_int_eq(bind_nth(&one, &c, 0), 508);
  ck_assert_uint_eq(told[1], 1);
  one.now += 60 * FZR_SECOND;
  ck_assert_int_eq(bind_nth(&one, &c, 0), 508);
  ck_assert_uint_eq(told[1], 2);
  ck_assert_uint_eq(stats_of(&one).memory_refusals[1], 3);
  ck_assert_uint_eq(stats_of(&one).memory_refusals[0], 0);
  one.mem.fail_from = 0;
  ck_assert_int_eq(bind_nth(&one, &c, 0), 0);
  end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("memory-bound");
  TCase *tc = tcase_create("memory-bound");
  tcase_add_test(tc, test_bound_over_shards);
  tcase_add_test(tc, test_memory_is_bounded);
  tcase_add_test(tc, test_no_memory);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
