/* SPDX-License-Identifier: Apache-2.0 */
/* Engines that are saved and loaded: what goes along, record by record, and what must not be loaded. */
#include "relay.h"

#include "turn/record.h"

static fzt_relay old, new;
static fzt_client_state client;
static uint8_t state[1 << 16];
static size_t state_len;
static const fzr_addr peer = {{203, 0, 113, 9}, 0, 5000, FZR_FAMILY_IPV4, 0};

/* Appends to |state|. */
static int keep(void *ctx, const uint8_t *data, size_t len)
{
  (void)ctx;
  ck_assert(len && len <= FZR_SAVE_PIECE_MAX);
  ck_assert_uint_le(state_len + len, sizeof state);
  memcpy(state + state_len, data, len);
  state_len += len;
  return 0;
}

static void save(const fzt_relay *r)
{
  state_len = 0;
  ck_assert_int_eq(fzr_engine_save(r->engine, keep, NULL, r->now), 0);
}

/* Makes |new| of |config|, with a wall clock, and other random bytes than |old|. */
static void make_new(const fzr_config *config)
{
  fzt_relay_init(&new, config);
  new.prng.state = 77;
}

/* Has |new| go on from |state| at the same time, and its ports opened. */
static fzr_load_result load(void)
{
  fzr_load_result result;
  new.now = old.now;
  const int error = fzr_engine_load(new.engine, state, state_len, old.now, &result);
  ck_assert_msg(!error, "%s, at %u of %zu", fzr_strerror(error), (unsigned)result.offset, state_len);
  ck_assert_uint_eq(result.offset, state_len);
  ck_assert_uint_eq(result.skipped, 0);
  ck_assert_uint_le(fzr_engine_deadline(new.engine), new.now);
  fzt_pass(&new, 0);
  return result;
}

static fzr_stats stats_of(const fzt_relay *r)
{
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(r->engine, &stats), 0);
  return stats;
}

static void setup(void)
{
  const fzr_config config = fzt_config(&old), other = fzt_config(&new);
  fzt_relay_init(&old, &config);
  make_new(&other);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
}

static void teardown(void)
{
  fzt_relay_free(&old);
  fzt_relay_free(&new);
}

/* A client goes on with its allocation, its nonce and its channel, and does not notice. */
START_TEST(test_goes_on)
{
  const uint8_t data[8] = {0x40, 0, 0, 4, 1, 2, 3, 4};
  ck_assert_int_eq(fzt_bind(&old, &client, 0x4000, &peer), 0);
  save(&old);
  const fzr_load_result result = load();
  ck_assert(result.allocations == 1 && result.channels == 1 && result.permissions == 1);
  ck_assert_uint_eq(new.event_count, 2);
  ck_assert_uint_eq(new.events[0].type, FZR_EVENT_PORT_OPEN);
  ck_assert_uint_eq(new.events[0].port, client.relayed_port);
  ck_assert_uint_eq(new.events[1].type, FZR_EVENT_CHANNEL_BOUND);
  ck_assert_uint_eq(new.events[1].channel, 0x4000);
  void *const io = new.events[1].io;
  ck_assert_ptr_eq(io, (void *)((uintptr_t)client.relayed_port << 2 | FZR_FAMILY_IPV4));
  ck_assert_uint_eq(stats_of(&new).allocations, 1);
  ck_assert_uint_eq(stats_of(&new).channels, 1);
  fzt_client(&new, &client.addr, &client.server, data, sizeof data);
  ck_assert_uint_eq(new.verdict_count, 1);
  ck_assert_int_eq(new.verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert(fzr_addr_equal(&new.verdicts[0].to, &peer));
  ck_assert_ptr_eq(new.verdicts[0].io, io);
  fzt_peer(&new, &peer, client.relayed_port, data, sizeof data);
  ck_assert_uint_eq(new.verdict_count, 1);
  ck_assert_int_eq(new.verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert(fzr_addr_equal(&new.verdicts[0].to, &client.addr));
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("save");
  TCase *tc = tcase_create("save");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, test_goes_on);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
