/* SPDX-License-Identifier: Apache-2.0 */
/* Journals: what is written when, what is loaded, and what is not. That they are right after any history, and wherever they end, is in
 * tests/property/prop_journal.c. */
#include "relay.h"

#include "base/bytes.h"
#include "base/crc32.h"
#include "firezone_relay/journal.h"
#include "turn/journal_layout.h"
#include "turn/ports.h"
#include "turn/state.h"

#define AREA ((size_t)1 << 17)

static fzt_relay old, new;
static fzt_client_state client;
static uint8_t area[AREA + 1];
static const fzr_addr peer = {{203, 0, 113, 9}, 0, 5000, FZR_FAMILY_IPV4, 0};

static void begin(const fzr_config *config)
{
  fzt_relay_init(&old, config);
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, area, AREA, old.now), 0);
  ck_assert(fzr_engine_has_journal(old.engine));
  fzt_client_init(&client, "198.51.100.1:4000");
}

static void begin_plain(void)
{
  memset(area, 0, sizeof area);
  const fzr_config config = fzt_config(&old);
  begin(&config);
}

/* The old relay is gone, and another one goes on from what it has left. */
static fzr_load_result crash(void)
{
  fzr_load_result result;
  const fzr_time now = old.now;
  const fzr_config config = fzt_config(&new);
  new.prng.state = 77;
  new.now = now;
  fzt_relay_init(&new, &config);
  const int error = fzr_engine_load_journal(new.engine, area, AREA, now, &result);
  ck_assert_msg(!error, "%s at %u", fzr_strerror(error), (unsigned)result.offset);
  fzt_pass(&new, 0);
  return result;
}

static void end(void)
{
  fzt_relay_free(&new);
  fzt_relay_free(&old);
}

static fzr_stats stats_of(const fzt_relay *r)
{
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(r->engine, &stats), 0);
  return stats;
}

START_TEST(test_goes_on)
{
  begin_plain();
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  ck_assert_int_eq(fzt_bind(&old, &client, 0x4001, &peer), 0);
  const fzr_load_result result = crash();
  ck_assert_uint_eq(result.allocations, 1);
  ck_assert_uint_eq(result.channels, 1);
  ck_assert_uint_eq(result.major, FZR_JOURNAL_MAJOR);
  ck_assert_uint_eq(result.minor, FZR_JOURNAL_MINOR);
  ck_assert_uint_eq(result.skipped, 0);
  /* Its nonce is good, and its channel relays. */
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0);
  const uint8_t data[8] = {0x40, 1, 0, 4, 'd', 'a', 't', 'a'};
  fzt_client(&new, &client.addr, &client.server, data, sizeof data);
  ck_assert_uint_eq(new.verdict_count, 1);
  ck_assert_int_eq(new.verdicts[0].action, FZR_ACT_FORWARD);
  end();
}
END_TEST

START_TEST(test_what_has_ended_is_over)
{
  begin_plain();
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  ck_assert_int_eq(fzt_bind(&old, &client, 0x4001, &peer), 0);
  ck_assert_int_eq(fzt_refresh(&old, &client, 0), 0);
  fzr_time until;
  bool held;
  ck_assert(fzri_shared_port_rests(old.engine->shared, client.relayed_port, old.now, &until, &held));
  const fzr_load_result result = crash();
  ck_assert_uint_eq(result.allocations + result.channels, 0);
  ck_assert_uint_eq(stats_of(&new).allocations, 0);
  /* Nobody is given its port at once: what still comes there is for somebody else. */
  ck_assert(fzri_shared_port_rests(new.engine->shared, client.relayed_port, new.now, &until, &held));
  ck_assert_uint_eq(until, old.now + FZRI_PORT_RESTS);
  end();
}
END_TEST

START_TEST(test_time_that_has_passed_counts)
{
  begin_plain();
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  old.now += 611 * FZR_SECOND;
  ck_assert_uint_eq(crash().allocations, 1);
  ck_assert_uint_eq(stats_of(&new).allocations, 0);
  end();
}
END_TEST

/* Counters go along as of the last second in which something changed. */
START_TEST(test_counters)
{
  begin_plain();
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  fzt_pass(&old, 2 * FZR_SECOND);
  ck_assert_int_eq(fzt_bind(&old, &client, 0x4001, &peer), 0);
  crash();
  ck_assert_uint_eq(stats_of(&new).allocations_created, 1);
  ck_assert_uint_eq(stats_of(&new).channels_bound, 1);
  end();
}
END_TEST

/* One life after the other in the same memory. */
START_TEST(test_many_lives)
{
  begin_plain();
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  for (unsigned life = 0; life < 20; life++) {
    ck_assert_uint_eq(crash().allocations, 1);
    ck_assert_int_eq(fzr_engine_set_journal(new.engine, area, AREA, new.now), 0);
    ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0);
    fzt_relay_free(&new);
  }
  fzt_relay_free(&old);
}
END_TEST

/* Whether |c|, which has no allocation, gets one by |token| in |r|; with NULL one with a port reserved beside it, of which it gets the token. Returns the
 * error code. */
static int ask(fzt_relay *r, fzt_client_state *c, const uint8_t *token, uint8_t got[8])
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  ck_assert_int_eq(fzt_allocate(r, c), 0); /* for a nonce */
  ck_assert_int_eq(fzt_refresh(r, c, 0), 0);
  fzt_begin(r, c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (token)
    fzr_stun_add(&b, FZR_ATTR_RESERVATION_TOKEN, token, 8);
  else
    fzr_stun_add(&b, FZR_ATTR_EVEN_PORT, "\x80", 1);
  const int code = fzt_finish(r, c, &b, &msg);
  if (!code && !token) {
    ck_assert(fzr_stun_get(&msg, FZR_ATTR_RESERVATION_TOKEN, &attr));
    memcpy(got, attr.value, 8);
  }
  return code;
}

/* A token is good in the next life, but for one that was used. */
START_TEST(test_reservation)
{
  fzt_client_state second, third;
  uint8_t token[8];
  for (unsigned claimed = 0; claimed < 2; claimed++) {
    fzt_client_init(&second, "198.51.100.2:4000");
    fzt_client_init(&third, "198.51.100.3:4000");
    begin_plain();
    ck_assert_int_eq(ask(&old, &client, NULL, token), 0);
    if (claimed)
      ck_assert_int_eq(ask(&old, &second, token, NULL), 0);
    ck_assert_uint_eq(crash().allocations, 1 + claimed);
    ck_assert_int_eq(ask(&new, &third, token, NULL), claimed ? 508 : 0);
    end();
  }
}
END_TEST

/* ---- the change of halves ---- */

#define CROWD 60u

static fzt_client_state crowd[CROWD];

static fzri_halves look(void)
{
  fzri_halves halves;
  ck_assert_int_eq(fzri_journal_look(area, AREA, &halves), 0);
  ck_assert_int_ge(halves.current, 0);
  return halves;
}

/* Whether the half that does not count yet is being written. */
static bool is_copying(void)
{
  const fzri_halves h = look();
  const fzri_half *live = &h.half[h.current], *other = &h.half[!h.current];
  return other->generation == live->generation + 1;
}

/* One event more, of a client that has one of the first slots. */
static void write_on(void)
{
  ck_assert_int_eq(fzt_refresh(&old, &crowd[0], 600), 0);
}

/* The old relay has a crowd of clients, and its journal is |short_of| bytes from where the other half is begun. */
static void begin_crowd(size_t short_of)
{
  begin_plain();
  for (unsigned i = 0; i < CROWD; i++) {
    fzt_client_init(&crowd[i], "198.51.100.7:4000");
    crowd[i].addr.port = (uint16_t)(5000 + i);
  }
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  for (unsigned i = 0; i < CROWD; i++)
    ck_assert_int_eq(fzt_allocate(&old, &crowd[i]), 0);
  fzri_halves h = look();
  for (; h.half[h.current].len < h.half_len / 4 * 3 - short_of; h = look())
    write_on();
  ck_assert(!is_copying());
}

/* Writes until the other half counts. */
static void change_halves(void)
{
  const int was = look().current;
  unsigned events = 0;
  for (; look().current == was; events++)
    write_on();
  ck_assert_uint_gt(events, 2);
}

static void expect_rest(const fzt_relay *r, uint16_t port)
{
  fzr_time until;
  bool held;
  ck_assert_msg(fzri_shared_port_rests(r->engine->shared, port, r->now, &until, &held), "port %u", port);
  ck_assert_uint_eq(until, old.now + FZRI_PORT_RESTS);
}

/* Nobody is given a port at once whose allocation ends while the other half is written, nor one whose allocation was closing when that was begun. */
START_TEST(test_ports_rest_across_halves)
{
  begin_crowd(600);
  unsigned ended = CROWD;
  while (!is_copying()) {
    ck_assert_uint_gt(--ended, CROWD / 2);
    const fzt_client_state *c = &crowd[ended];
    ck_assert_int_eq(fzr_engine_end_allocation(old.engine, &c->addr, &c->server, old.now), 0);
  }
  ck_assert_uint_lt(ended, CROWD - 2);
  fzt_pass(&old, 0); /* now they rest */
  for (unsigned i = 0; i < 3; i++) {
    ck_assert_int_eq(fzt_refresh(&old, &crowd[--ended], 0), 0);
    ck_assert(is_copying());
  }
  change_halves();
  ck_assert_uint_eq(crash().allocations, 1 + ended);
  for (unsigned i = ended; i < CROWD; i++) {
    expect_rest(&old, crowd[i].relayed_port);
    expect_rest(&new, crowd[i].relayed_port);
  }
  end();
}
END_TEST

/* The same where the half is complete before the application has heard of the end. */
START_TEST(test_port_of_closing_allocation)
{
  begin_plain();
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  ck_assert_int_eq(fzr_engine_end_allocation(old.engine, &client.addr, &client.server, old.now), 0);
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, area, AREA, old.now), 0);
  fzt_pass(&old, 0);
  ck_assert_uint_eq(crash().allocations, 0);
  expect_rest(&old, client.relayed_port);
  expect_rest(&new, client.relayed_port);
  end();
}
END_TEST

/* A reservation that was claimed and given up while the other half was written is over. */
START_TEST(test_claimed_between_halves)
{
  fzt_client_state third;
  uint8_t token[8];
  fzt_client_init(&third, "198.51.100.3:4000");
  begin_crowd(3000);
  ck_assert_int_eq(fzt_refresh(&old, &client, 0), 0);
  ck_assert_int_eq(ask(&old, &client, NULL, token), 0);
  while (!is_copying())
    write_on();
  for (unsigned i = 0; i < 4; i++)
    write_on();
  ck_assert_int_eq(fzt_refresh(&old, &crowd[CROWD - 1], 0), 0);
  ck_assert_int_eq(ask(&old, &crowd[CROWD - 1], token, NULL), 0);
  ck_assert_int_eq(fzt_refresh(&old, &crowd[CROWD - 1], 0), 0);
  ck_assert(is_copying());
  change_halves();
  crash();
  ck_assert_int_eq(ask(&new, &third, token, NULL), 508);
  end();
}
END_TEST

/* Whoever loads may be behind the clock of whoever wrote: what is too far ahead by his counts as just not so. */
START_TEST(test_clock_behind)
{
  begin_plain();
  const fzr_time began = old.now;
  fzt_pass(&old, 5 * FZR_SECOND);
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  ck_assert_int_eq(fzt_refresh(&old, &client, 3600), 0);
  ck_assert_int_eq(fzt_bind(&old, &client, 0x4001, &peer), 0);
  fzt_client_state second;
  fzt_client_init(&second, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&old, &second), 0);
  ck_assert_int_eq(fzt_refresh(&old, &second, 0), 0);
  old.now = began + FZR_SECOND;
  const fzr_load_result result = crash();
  ck_assert_uint_eq(result.allocations, 1);
  ck_assert_uint_eq(result.channels, 1);
  ck_assert_uint_eq(result.permissions, 1);
  fzr_allocation a;
  ck_assert(fzr_engine_find_allocation(new.engine, &client.addr, &client.server, &a));
  ck_assert_uint_eq(a.expires, new.now + 3610 * FZR_SECOND);
  ck_assert_uint_le(a.began, new.now);
  expect_rest(&new, second.relayed_port);
  end();
}
END_TEST

/* What is told to nobody: no memory is taken for it, and none is left. */
START_TEST(test_memory_that_is_too_small)
{
  begin_plain();
  static uint8_t small[6000];
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, small, 20, old.now), FZR_ERR_BUFFER_TOO_SMALL);
  ck_assert(!fzr_engine_has_journal(old.engine));
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, small, 1000, old.now), FZR_ERR_BUFFER_TOO_SMALL);
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, small, sizeof small, old.now), 0);
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  /* It outgrows its memory. The relay goes on, and leaves nothing that is of long ago. */
  unsigned bound = 0;
  for (; fzr_engine_has_journal(old.engine); bound++) {
    fzr_addr other = peer;
    other.port = (uint16_t)(5001 + bound);
    ck_assert_int_eq(fzt_bind(&old, &client, (uint16_t)(0x4001 + bound), &other), 0);
  }
  ck_assert_uint_gt(bound, 3);
  const fzr_config config = fzt_config(&new);
  fzt_relay_init(&new, &config);
  ck_assert_int_eq(fzr_engine_load_journal(new.engine, small, sizeof small, old.now, NULL),
                   FZR_ERR_STATE_DAMAGED);
  fzt_relay_free(&new);
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, area, AREA, old.now), 0);
  ck_assert_uint_eq(crash().channels, bound);
  end();
}
END_TEST

START_TEST(test_size)
{
  ck_assert_uint_gt(fzr_journal_size(0, 0), 0);
  ck_assert_uint_lt(fzr_journal_size(16384, 16384), (size_t)64 << 20);
  ck_assert_uint_gt(fzr_journal_size(2, 1), fzr_journal_size(1, 1));
  ck_assert_uint_gt(fzr_journal_size(1, 2), fzr_journal_size(1, 1));
}
END_TEST

static int load_error(size_t len, fzr_time now)
{
  const fzr_config config = fzt_config(&new);
  fzt_relay_init(&new, &config);
  const int error = fzr_engine_load_journal(new.engine, area, len, now, NULL);
  fzt_relay_free(&new);
  return error;
}

START_TEST(test_what_is_none)
{
  begin_plain();
  const fzr_time now = old.now;
  ck_assert_int_eq(load_error(AREA, now), 0);
  ck_assert_int_eq(load_error(0, now), FZR_ERR_STATE_DAMAGED);
  ck_assert_int_eq(load_error(23, now), FZR_ERR_STATE_DAMAGED);
  ck_assert_int_eq(load_error(24, now), FZR_ERR_STATE_DAMAGED);
  ck_assert_int_eq(load_error(AREA, now - 1), FZR_ERR_STATE_DAMAGED); /* of another boot */
  area[8]++;
  ck_assert_int_eq(load_error(AREA, now), FZR_ERR_STATE_DAMAGED);
  fzri_put_le(area + 20, fzri_crc32(area, 20), 4);
  ck_assert_int_eq(load_error(AREA, now), FZR_ERR_STATE_VERSION);
  fzt_relay_free(&old);
}
END_TEST

START_TEST(test_an_engine_with_one_is_not_loaded)
{
  begin_plain();
  ck_assert_int_eq(fzr_engine_load_journal(old.engine, area, AREA, old.now, NULL), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, NULL, 0, old.now), 0);
  ck_assert(!fzr_engine_has_journal(old.engine));
  ck_assert_int_eq(fzr_engine_load_journal(old.engine, area, AREA, old.now, NULL), 0);
  fzt_relay_free(&old);
}
END_TEST

/* Another engine has written of the same user what this one had not heard yet. */
START_TEST(test_two_newest)
{
  static uint8_t other_area[AREA];
  fzt_relay two;
  fzr_shared *shared = fzt_shared_new(100);
  fzr_config one_config = fzt_shard_config(&old, 0, shared, 100);
  fzr_config two_config = fzt_shard_config(&two, 1, shared, 100);
  one_config.replace_allocations = two_config.replace_allocations = FZR_REPLACE_ALWAYS;
  memset(area, 0, sizeof area);
  begin(&one_config);
  fzt_relay_init(&two, &two_config);
  ck_assert_int_eq(fzr_engine_set_journal(two.engine, other_area, AREA, two.now), 0);
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  fzt_client_state second;
  fzt_client_init(&second, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&two, &second), 0);
  ck_assert_uint_eq(stats_of(&old).allocations, 1); /* it has not looked */
  const fzr_time now = old.now;
  fzt_shards_free(&old, &two, shared);
  shared = fzt_shared_new(100);
  one_config = fzt_shard_config(&old, 0, shared, 100);
  two_config = fzt_shard_config(&two, 1, shared, 100);
  one_config.replace_allocations = two_config.replace_allocations = FZR_REPLACE_ALWAYS;
  fzt_relay_init(&old, &one_config);
  fzt_relay_init(&two, &two_config);
  ck_assert_int_eq(fzr_engine_load_journal(old.engine, area, AREA, now, NULL), 0);
  ck_assert_int_eq(fzr_engine_load_journal(two.engine, other_area, AREA, now, NULL), 0);
  old.now = two.now = now;
  fzt_pass(&old, 2 * FZR_SECOND);
  fzt_pass(&two, 2 * FZR_SECOND);
  ck_assert_uint_eq(stats_of(&old).allocations + stats_of(&two).allocations, 2);
  fzt_shards_free(&old, &two, shared);
}
END_TEST

/* For want of memory nothing is loaded, and nothing is left; nor is there a journal. */
START_TEST(test_oom)
{
  begin_plain();
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  ck_assert_int_eq(fzt_bind(&old, &client, 0x4001, &peer), 0);
  int error = FZR_ERR_NO_MEMORY;
  unsigned failed = 0;
  for (uint64_t n = 1; error; n++) {
    const fzr_config config = fzt_config(&new);
    fzt_relay_init(&new, &config);
    const uint64_t live = new.mem.live;
    new.mem.fail_only = new.mem.count + n;
    error = fzr_engine_load_journal(new.engine, area, AREA, old.now, NULL);
    new.mem.fail_only = 0;
    if (error) {
      ck_assert_int_eq(error, FZR_ERR_NO_MEMORY);
      ck_assert_uint_eq(stats_of(&new).allocations, 0);
      ck_assert_uint_le(new.mem.live, live);
      ck_assert_int_eq(fzr_engine_load_journal(new.engine, area, AREA, old.now, NULL), 0);
      failed++;
    }
    fzt_relay_free(&new);
  }
  ck_assert_uint_gt(failed, 4);
  old.mem.fail_only = old.mem.count + 1;
  ck_assert_int_eq(fzr_engine_set_journal(old.engine, area, AREA, old.now), FZR_ERR_NO_MEMORY);
  ck_assert(!fzr_engine_has_journal(old.engine));
  old.mem.fail_only = 0;
  fzt_relay_free(&old);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("journal");
  TCase *tc = tcase_create("journal");
  tcase_add_test(tc, test_goes_on);
  tcase_add_test(tc, test_what_has_ended_is_over);
  tcase_add_test(tc, test_time_that_has_passed_counts);
  tcase_add_test(tc, test_counters);
  tcase_add_test(tc, test_many_lives);
  tcase_add_test(tc, test_reservation);
  tcase_add_test(tc, test_ports_rest_across_halves);
  tcase_add_test(tc, test_port_of_closing_allocation);
  tcase_add_test(tc, test_claimed_between_halves);
  tcase_add_test(tc, test_clock_behind);
  tcase_add_test(tc, test_memory_that_is_too_small);
  tcase_add_test(tc, test_size);
  tcase_add_test(tc, test_what_is_none);
  tcase_add_test(tc, test_an_engine_with_one_is_not_loaded);
  tcase_add_test(tc, test_two_newest);
  tcase_add_test(tc, test_oom);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
