/* SPDX-License-Identifier: Apache-2.0 */
/* Engines that are saved and loaded: what goes along, what is the new engine's own, and what must not be loaded. That an engine that is loaded
 * goes on as if nothing had been is in tests/property/prop_save.c. */
#include "saved_state.h"

#include "base/bytes.h"
#include "turn/ports.h"
#include "turn/record.h"
#include "turn/saved.h"
#include "turn/state.h"

#include <pthread.h>

static fzt_relay old, new;
static fzt_client_state client;
static fzt_state state;
static const fzr_addr peer = {{203, 0, 113, 9}, 0, 5000, FZR_FAMILY_IPV4, 0};
static unsigned lost_logs;

static void note(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  if (record->event != FZR_LOG_ALLOCATION_LOST)
    return;
  lost_logs++;
  ck_assert_uint_eq(record->port, client.relayed_port);
  ck_assert_int_eq(record->adapter_error, FZR_ERR_IO_IN_USE);
}

static void save(void)
{
  fzt_state_save(&state, old.engine, old.now);
}

/* The configuration of |new|, whose keys are others than those of |old|. */
static fzr_config config_of_new(void)
{
  fzr_config config = fzt_config(&new);
  new.prng.state = 77;
  config.log = note;
  config.log_level = FZR_LOG_INFO;
  return config;
}

/* Has |new|, which is there, go on from |state| as of its own time, and its ports opened. */
static fzr_load_result load(void)
{
  fzr_load_result result;
  const int error = fzr_engine_load(new.engine, state.data, state.len, new.now, &result);
  ck_assert_msg(!error, "%s, at %u of %zu", fzr_strerror(error), (unsigned)result.offset, state.len);
  ck_assert_uint_eq(result.offset, state.len);
  ck_assert_uint_eq(result.major, FZR_STATE_MAJOR);
  ck_assert_uint_eq(result.minor, FZR_STATE_MINOR);
  ck_assert_uint_le(fzr_engine_deadline(new.engine), new.now);
  fzt_pass(&new, 0);
  return result;
}

/* |new| is made as |config| says, and goes on from what |old| is now. */
static fzr_load_result hand_over_to(const fzr_config *config)
{
  save();
  fzt_relay_init(&new, config);
  return load();
}

static fzr_load_result hand_over(void)
{
  const fzr_config config = config_of_new();
  return hand_over_to(&config);
}

static fzr_stats stats_of(const fzt_relay *r)
{
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(r->engine, &stats), 0);
  return stats;
}

/* Nothing is left in |new| of what it could not load, and it can do without. */
static void check_empty(void)
{
  static const fzr_stats nothing;
  fzr_stats stats = stats_of(&new);
  fzr_event event;
  fzr_allocation allocation;
  uint32_t cursor = 0;
  stats.size = stats.memory_bytes = 0;
  fzt_check(memcmp(&stats, &nothing, sizeof stats) == 0);
  fzt_check(!fzr_engine_next_event(new.engine, &event));
  fzt_check(!fzr_engine_list_allocations(new.engine, &cursor, &allocation, 1));
  fzt_check(fzr_engine_deadline(new.engine) == FZR_TIME_NEVER);
}

/* |state| does not load, for |error|. */
static fzr_load_result refuse(int error)
{
  fzr_load_result result;
  ck_assert_int_eq(fzr_engine_load(new.engine, state.data, state.len, new.now, &result), error);
  check_empty();
  return result;
}

static bool relays(fzt_relay *r)
{
  const uint8_t data[8] = {0x40, 0, 0, 4, 1, 2, 3, 4};
  fzt_client(r, &client.addr, &client.server, data, sizeof data);
  return r->verdict_count == 1 && r->verdicts[0].action == FZR_ACT_FORWARD;
}

static void setup(void)
{
  const fzr_config config = fzt_config(&old);
  lost_logs = 0;
  fzt_relay_init(&old, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  ck_assert_int_eq(fzt_bind(&old, &client, 0x4000, &peer), 0);
}

static void teardown(void)
{
  fzt_relay_free(&old);
  if (new.engine)
    fzt_relay_free(&new);
}

/* A client goes on with its allocation, its nonce and its channel, and does not notice. */
START_TEST(test_goes_on)
{
  const fzr_load_result result = hand_over();
  ck_assert(result.allocations == 1 && result.channels == 1 && result.permissions == 1 && !result.skipped);
  ck_assert_uint_eq(new.event_count, 2);
  ck_assert_uint_eq(new.events[0].type, FZR_EVENT_PORT_OPEN);
  ck_assert_uint_eq(new.events[0].port, client.relayed_port);
  ck_assert_uint_eq(new.events[1].type, FZR_EVENT_CHANNEL_BOUND);
  ck_assert_uint_eq(new.events[1].channel, 0x4000);
  void *const io = new.events[1].io;
  ck_assert_ptr_eq(io, (void *)((uintptr_t)client.relayed_port << 2 | FZR_FAMILY_IPV4));
  ck_assert(relays(&new));
  ck_assert(fzr_addr_equal(&new.verdicts[0].to, &peer));
  ck_assert_ptr_eq(new.verdicts[0].io, io);
  fzt_peer(&new, &peer, client.relayed_port, (const uint8_t *)"data", 4);
  ck_assert_uint_eq(new.verdict_count, 1);
  ck_assert(fzr_addr_equal(&new.verdicts[0].to, &client.addr));
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0); /* a new nonce would be one answer more */
  ck_assert_uint_eq(stats_of(&new).responses[FZR_STAT_REFRESH][0], 1);
  ck_assert_uint_eq(fzr_engine_user(new.engine, (const uint8_t *)"1:n23JJ2wKKtt30oXi", 18),
                    fzr_engine_user(old.engine, (const uint8_t *)"1:n23JJ2wKKtt30oXi", 18));
}
END_TEST

/* Of the old engine nothing has changed: it can be gone on with. */
START_TEST(test_old_one_goes_on)
{
  save();
  ck_assert(relays(&old));
  ck_assert_int_eq(fzt_refresh(&old, &client, 600), 0);
  ck_assert_uint_eq(old.event_count, 0);
}
END_TEST

START_TEST(test_counters_go_on)
{
  ck_assert(relays(&old));
  hand_over();
  fzr_stats before = stats_of(&old), after = stats_of(&new);
  before.memory_bytes = after.memory_bytes = 0;
  ck_assert_mem_eq(&before, &after, sizeof before);
  ck_assert_uint_eq(after.packets[0], 1);
  ck_assert(relays(&new));
  ck_assert_uint_eq(stats_of(&new).packets[0], 2);
}
END_TEST

/* Another clock: everything lasts as long as clients were told, and a nonce stays good for its hour, and no longer. */
START_TEST(test_another_clock)
{
  ck_assert_int_eq(fzt_refresh(&old, &client, 3600), 0);
  fzt_pass(&old, 100 * FZR_SECOND + 1);
  const fzr_config config = config_of_new();
  new.now = 5 * FZR_SECOND + 17;
  hand_over_to(&config);
  ck_assert_int_eq(fzt_refresh(&new, &client, 3600), 0);
  ck_assert_uint_eq(stats_of(&new).responses[FZR_STAT_REFRESH][0], 2);
  fzt_pass(&new, 509 * FZR_SECOND);
  ck_assert(relays(&new)); /* the channel was bound 609 s ago */
  fzt_pass(&new, 2 * FZR_SECOND);
  ck_assert(!relays(&new));
  fzt_client_state stranger = client;
  stranger.addr.port++;
  memcpy(stranger.nonce, client.nonce, sizeof client.nonce);
  fzt_pass(&new, 2980 * FZR_SECOND);
  ck_assert_int_eq(fzt_refresh(&new, &client, 3600), 0);
  fzt_pass(&new, 3609 * FZR_SECOND);
  ck_assert_uint_eq(stats_of(&new).allocations, 1);
  fzt_pass(&new, 2 * FZR_SECOND);
  ck_assert_uint_eq(stats_of(&new).allocations, 0);
}
END_TEST

/* A clock that began after what the state tells of: nothing is from before time. */
START_TEST(test_early_clock)
{
  const fzr_config config = config_of_new();
  fzt_pass(&old, 605 * FZR_SECOND);
  new.now = 0;
  hand_over_to(&config);
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0);
  ck_assert(relays(&new));
}
END_TEST

/* What has passed between both counts, and what is over by then ends at once. */
START_TEST(test_time_passes)
{
  fzr_load_result result;
  const fzr_config config = config_of_new();
  save();
  new.now = old.now + 1000 * FZR_SECOND;
  fzt_relay_init(&new, &config);
  ck_assert_int_eq(fzr_engine_load(new.engine, state.data, state.len, old.now, &result), 0);
  ck_assert_uint_eq(result.allocations, 1);
  fzt_pass(&new, 0);
  ck_assert_uint_eq(stats_of(&new).allocations, 0);
  ck_assert_uint_eq(stats_of(&new).allocations_ended, 1);
  ck_assert_uint_eq(stats_of(&new).channels, 0);
  ck_assert_uint_eq(stats_of(&new).permissions, 0);
}
END_TEST

/* With a new secret the old one stays valid for what lives, and for nothing else. */
START_TEST(test_another_secret)
{
  fzr_config config = config_of_new();
  config.auth_secret = "another one";
  hand_over_to(&config);
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0);
  ck_assert_int_eq(fzt_bind(&new, &client, 0x4000, &peer), 0);
  fzt_client_state other;
  fzt_client_init(&other, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&new, &other), 401);
}
END_TEST

/* Where users have passwords of their own, those of now count: one who is gone has to go. */
START_TEST(test_other_users)
{
  static const fzr_user users[] = {{FZT_USERNAME, "good"}, {"another", "good"}};
  fzt_relay_free(&old);
  fzr_config config = fzt_config(&old);
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 2;
  fzt_relay_init(&old, &config);
  client.nonce_len = 0;
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)FZT_USERNAME, strlen(FZT_USERNAME), "firezone",
                         "good", client.key);
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  config = config_of_new();
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 2;
  hand_over_to(&config);
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0);
  fzt_relay_free(&new);
  config.users = users + 1;
  config.user_count = 1;
  fzt_relay_init(&new, &config);
  load();
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 401);
  ck_assert_uint_eq(stats_of(&new).allocations, 1); /* until its time is over */
}
END_TEST

/* An answer that was lost comes again as it was. */
START_TEST(test_lost_answer)
{
  uint8_t buffer[512], answer[512];
  fzr_stun_builder b;
  fzt_client_state other;
  fzt_client_init(&other, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&old, &other), 0); /* for a nonce */
  ck_assert_int_eq(fzt_refresh(&old, &other, 0), 0);
  fzt_begin(&old, &other, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_EVEN_PORT, "\x80", 1);
  ck_assert_int_eq(fzt_finish(&old, &other, &b, NULL), 0);
  const size_t len = old.answers[0].len;
  memcpy(answer, old.answers[0].data, len);
  hand_over();
  fzt_client(&new, &other.addr, &other.server, buffer, (size_t)b.len);
  ck_assert_uint_eq(new.answer_count, 1);
  ck_assert_uint_eq(new.answers[0].len, len);
  ck_assert_mem_eq(new.answers[0].data, answer, len);
}
END_TEST

/* One whose Allocate was not answered yet is not in it: its client asks again. */
START_TEST(test_not_answered_yet)
{
  fzt_client_state other;
  fzt_client_init(&other, "198.51.100.2:4000");
  old.hold_opens = true;
  ck_assert_int_eq(fzt_allocate(&old, &other), -1);
  ck_assert_uint_eq(hand_over().allocations, 1);
  ck_assert_int_eq(fzt_allocate(&new, &other), 0);
}
END_TEST

/* A port that can't be opened any more ends its allocation, and nothing else. */
START_TEST(test_lost_port)
{
  fzt_client_state other;
  fzt_client_init(&other, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&old, &other), 0);
  const fzr_config config = config_of_new();
  new.open_errors[0] = FZR_ERR_IO_IN_USE;
  new.open_error_count = 1;
  ck_assert_uint_eq(hand_over_to(&config).allocations, 2);
  ck_assert_uint_eq(lost_logs, 1);
  ck_assert_uint_eq(stats_of(&new).allocations, 1);
  ck_assert_uint_eq(stats_of(&new).allocations_ended, 1);
  ck_assert_uint_eq(stats_of(&new).channels, 0);
  ck_assert_uint_eq(new.event_count, 2);
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 437);
  ck_assert_int_eq(fzt_refresh(&new, &other, 600), 0);
}
END_TEST

/* Until its port is there, no packet finds an allocation, and its client hears nothing, not that it is over; it may end meanwhile, and may
 * be saved again. */
START_TEST(test_port_comes_late)
{
  const fzr_config config = config_of_new();
  new.hold_opens = true;
  hand_over_to(&config);
  const fzt_state first = state;
  ck_assert_uint_eq(new.event_count, 1);
  ck_assert(!relays(&new));
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), -1);
  ck_assert_int_eq(fzt_bind(&new, &client, 0x4000, &peer), -1);
  fzt_state_save(&state, new.engine, new.now);
  ck_assert_uint_eq(state.len, first.len);
  ck_assert_int_eq(fzr_engine_port_result(new.engine, client.relayed_port, FZR_FAMILY_IPV4, 0, &new, new.now),
                   0);
  ck_assert(relays(&new));
  ck_assert_ptr_eq(new.verdicts[0].io, &new);
  ck_assert_uint_eq(new.event_count, 1); /* BOUND */
  ck_assert_int_eq(fzt_refresh(&new, &client, 600), 0);
  ck_assert_int_eq(fzt_bind(&new, &client, 0x4000, &peer), 0);
}
END_TEST

/* It is given up before its port is there. */
START_TEST(test_ends_before_its_port_comes)
{
  const fzr_config config = config_of_new();
  new.hold_opens = true;
  hand_over_to(&config);
  ck_assert_int_eq(fzr_engine_end_allocation_at(new.engine, client.relayed_port, new.now), 0);
  fzt_pass(&new, 0);
  ck_assert_int_eq(fzr_engine_port_result(new.engine, client.relayed_port, FZR_FAMILY_IPV4, 0, &new, new.now),
                   FZR_ERR_INVALID_STATE);
  fzt_pass(&new, 0);
  ck_assert_uint_eq(new.event_count, 0);
  ck_assert_uint_eq(stats_of(&new).allocations, 0);
  ck_assert_uint_eq(stats_of(&new).channels, 0);
}
END_TEST

/* The policy is the new engine's: what it does not allow ends. */
START_TEST(test_another_policy)
{
  fzr_config config = config_of_new();
  const fzr_peer_rule rule = {.net = fzt_addr("203.0.113.9:0"), .prefix = 32};
  config.peer_rules = &rule;
  config.peer_rule_count = 1;
  hand_over_to(&config);
  ck_assert_uint_eq(stats_of(&new).allocations, 1);
  ck_assert_uint_eq(stats_of(&new).channels, 0);
  ck_assert_uint_eq(stats_of(&new).permissions, 0);
  ck_assert(!relays(&new));
}
END_TEST

/* Limits of one user may be lower: what there is stays, and counts. */
START_TEST(test_quota)
{
  fzr_config config = config_of_new();
  fzt_client_state others[2];
  fzr_config limited = fzt_config(&new);
  config.max_allocations_per_user = limited.max_allocations_per_user = 2;
  ck_assert_int_eq(fzr_engine_set_limits(old.engine, &limited), 0);
  for (unsigned i = 0; i < 2; i++) {
    fzt_client_init(&others[i], i ? "198.51.100.3:4000" : "198.51.100.2:4000");
    ck_assert_int_eq(fzt_allocate(&old, &others[i]), 0); /* the first one of all was not counted */
  }
  config.max_allocations_per_user = 1;
  hand_over_to(&config);
  ck_assert_uint_eq(stats_of(&new).allocations, 3);
  fzt_client_state late;
  fzt_client_init(&late, "198.51.100.4:4000");
  ck_assert_int_eq(fzt_allocate(&new, &late), 486);
  ck_assert_int_eq(fzt_refresh(&new, &others[0], 0), 0);
  ck_assert_int_eq(fzt_allocate(&new, &late), 486);
  ck_assert_int_eq(fzt_refresh(&new, &others[1], 0), 0);
  ck_assert_int_eq(fzt_allocate(&new, &late), 0);
}
END_TEST

/* From users with many allocations to users with one: nobody is cut off for that. And back. */
START_TEST(test_replacing)
{
  fzt_client_state other;
  fzt_client_init(&other, "198.51.100.2:4000");
  fzr_config limited = fzt_config(&new);
  limited.max_allocations_per_user = 5;
  ck_assert_int_eq(fzr_engine_set_limits(old.engine, &limited), 0);
  ck_assert_int_eq(fzt_allocate(&old, &other), 0);
  fzr_config config = config_of_new();
  config.replace_allocations = FZR_REPLACE_ALWAYS;
  hand_over_to(&config);
  fzt_pass(&new, 5 * FZR_SECOND);
  ck_assert_uint_eq(stats_of(&new).allocations, 2);
  fzt_client_state late[2];
  for (unsigned i = 0; i < 2; i++) {
    fzt_client_init(&late[i], i ? "198.51.100.5:4000" : "198.51.100.4:4000");
    ck_assert_int_eq(fzt_allocate(&new, &late[i]), 0);
  }
  ck_assert_uint_eq(stats_of(&new).allocations, 3); /* the first of these was replaced */
}
END_TEST

/* And back: what users have counts for them. */
START_TEST(test_not_replacing_any_more)
{
  fzt_client_state late;
  fzt_relay_free(&old);
  fzr_config config = fzt_config(&old);
  config.replace_allocations = FZR_REPLACE_ALWAYS;
  fzt_relay_init(&old, &config);
  client.nonce_len = 0;
  ck_assert_int_eq(fzt_allocate(&old, &client), 0);
  config = config_of_new();
  config.max_allocations_per_user = 1;
  hand_over_to(&config);
  fzt_client_init(&late, "198.51.100.4:4000");
  ck_assert_int_eq(fzt_allocate(&new, &late), 486);
  ck_assert_int_eq(fzt_refresh(&new, &client, 0), 0);
  ck_assert_int_eq(fzt_allocate(&new, &late), 0);
}
END_TEST

/* ---- what does not fit the configuration ---- */

START_TEST(test_public_address)
{
  fzr_config config = config_of_new();
  save();
  config.public_ip4 = fzt_addr("203.0.113.2");
  fzt_relay_init(&new, &config);
  const fzr_load_result result = refuse(FZR_ERR_STATE_ADDRESS);
  const fzr_addr gone = fzt_addr("203.0.113.1");
  ck_assert(fzr_addr_equal(&result.address, &gone));
  ck_assert_uint_eq(result.port, client.relayed_port);
  ck_assert_uint_eq(result.allocations, 0);
}
END_TEST

/* One that nobody was told may go. */
START_TEST(test_unused_public_address)
{
  fzr_config config = config_of_new();
  config.public_ip6 = (fzr_addr){.family = FZR_FAMILY_NONE};
  ck_assert_uint_eq(hand_over_to(&config).allocations, 1);
}
END_TEST

START_TEST(test_port_range)
{
  fzr_config config = config_of_new();
  save();
  config.lowest_port = (uint16_t)(client.relayed_port > 65000 ? 49152 : client.relayed_port + 1);
  config.highest_port = (uint16_t)(config.lowest_port + 20);
  fzt_relay_init(&new, &config);
  ck_assert_uint_eq(refuse(FZR_ERR_STATE_PORT).port, client.relayed_port);
}
END_TEST

START_TEST(test_too_many_channels)
{
  fzr_config config = config_of_new();
  save();
  config.max_channels = 1; /* and there is a permission, too */
  fzt_relay_init(&new, &config);
  ck_assert_uint_eq(refuse(FZR_ERR_STATE_LIMIT).port, client.relayed_port);
  config.max_channels = 2;
  ck_assert_int_eq(fzr_engine_set_limits(new.engine, &config), 0);
  ck_assert_uint_eq(load().channels, 1);
}
END_TEST

START_TEST(test_not_a_new_engine)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  ck_assert_int_eq(fzr_engine_load(old.engine, state.data, state.len, old.now, NULL), FZR_ERR_INVALID_STATE);
  load();
  ck_assert_int_eq(fzr_engine_load(new.engine, state.data, state.len, new.now, NULL), FZR_ERR_INVALID_STATE);
  ck_assert(relays(&new) && relays(&old));
}
END_TEST

static int give_up(void *ctx, const uint8_t *data, size_t len)
{
  (void)data;
  (void)len;
  return --*(int *)ctx < 0;
}

START_TEST(test_sink_gives_up)
{
  int pieces = 0;
  ck_assert_int_eq(fzr_engine_save(old.engine, give_up, &pieces, old.now), FZR_ERR_IO);
  ck_assert_int_eq(pieces, -1); /* it was not called again */
  pieces = 1;
  ck_assert_int_eq(fzr_engine_save(old.engine, give_up, &pieces, old.now), 0);
}
END_TEST

/* ---- what is no state, or none that can be read ---- */

START_TEST(test_versions)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  state.data[8] = FZR_STATE_MAJOR + 1;
  fzt_state_seal(&state);
  const fzr_load_result result = refuse(FZR_ERR_STATE_VERSION);
  ck_assert_uint_eq(result.major, FZR_STATE_MAJOR + 1);
  state.data[8] = FZR_STATE_MAJOR;
  fzt_state_seal(&state);
  load();
}
END_TEST

/* A later minor version: records that are not known are passed over, as are bytes behind what is known of a record. */
START_TEST(test_later_minor)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  state.data[10] = FZR_STATE_MINOR + 3;
  fzt_state_insert(&state, 1, 999, 0, 40);
  fzt_state_insert(&state, 3, 1000, 0, 0);
  for (unsigned i = 0; fzt_state_extend(&state, i); i++)
    ;
  fzt_state_seal(&state);
  fzr_load_result result;
  ck_assert_int_eq(fzr_engine_load(new.engine, state.data, state.len, new.now, &result), 0);
  ck_assert_uint_eq(result.skipped, 2);
  ck_assert_uint_eq(result.minor, FZR_STATE_MINOR + 3);
  ck_assert(result.allocations == 1 && result.channels == 1 && result.permissions == 1);
  fzt_pass(&new, 0);
  ck_assert(relays(&new));
}
END_TEST

/* One that must not be passed over. */
START_TEST(test_required_record)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  fzt_state_insert(&state, 4, 999, FZRI_RECORD_REQUIRED, 8);
  fzt_state_seal(&state);
  refuse(FZR_ERR_STATE_VERSION);
}
END_TEST

START_TEST(test_every_truncation)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  const size_t whole = state.len;
  for (state.len = 0; state.len < whole; state.len++) {
    uint8_t *exact = malloc(state.len ? state.len : 1);
    memcpy(exact, state.data, state.len);
    fzr_load_result result;
    fzt_check(fzr_engine_load(new.engine, exact, state.len, new.now, &result) == FZR_ERR_STATE_DAMAGED);
    fzt_check(result.offset <= state.len);
    check_empty();
    free(exact);
  }
  state.data[state.len++] = 0; /* and one byte more */
  refuse(FZR_ERR_STATE_DAMAGED);
  state.len = whole;
  load();
}
END_TEST

START_TEST(test_every_bit)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  for (size_t bit = 0; bit < 8 * state.len; bit++) {
    state.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const int error = fzr_engine_load(new.engine, state.data, state.len, new.now, NULL);
    fzt_check(error == FZR_ERR_STATE_DAMAGED ||
              (error == FZR_ERR_STATE_VERSION && bit / 8 >= 8 && bit / 8 < 10));
    check_empty();
    state.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  load();
}
END_TEST

/* Each byte altered by somebody who knows how checksums are made: it loads or not, and an engine that it did not load into is as it was. */
START_TEST(test_every_byte_sealed)
{
  fzr_config config = config_of_new();
  fzt_client_state other;
  uint8_t buffer[512];
  fzr_stun_builder b;
  unsigned loaded = 0, refused = 0;
  fzt_client_init(&other, "[2001:db8::5]:4000");
  ck_assert_int_eq(fzt_allocate(&old, &other), 0);
  ck_assert_int_eq(fzt_refresh(&old, &other, 0), 0);
  fzt_begin(&old, &other, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
  fzr_stun_add(&b, FZR_ATTR_EVEN_PORT, "\x80", 1);
  ck_assert_int_eq(fzt_finish(&old, &other, &b, NULL), 0);
  save();
  fzt_relay_init(&new, &config);
  fzt_state altered;
  for (size_t i = 2 * FZRI_STATE_HEADER_LEN; i < 2 * state.len; i++) {
    altered = state;
    altered.data[i / 2] ^= (uint8_t)(i % 2 ? 0xff : 1u << i / 2 % 8);
    if (!fzt_state_seal(&altered))
      continue;
    if (fzr_engine_load(new.engine, altered.data, altered.len, new.now, NULL)) {
      refused++;
      check_empty();
      continue;
    }
    loaded++;
    fzt_pass(&new, 0);
    fzt_pass(&new, 4000 * FZR_SECOND);
    fzt_relay_free(&new);
    config = config_of_new();
    fzt_relay_init(&new, &config);
  }
  ck_assert_uint_gt(loaded, 100);
  ck_assert_uint_gt(refused, 100);
  load();
  ck_assert_uint_eq(stats_of(&new).allocations, 2);
}
END_TEST

/* Every way to say the same thing twice. */
START_TEST(test_twice)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  for (unsigned i = 0; i < fzt_state_records(&state); i++) {
    fzt_state twice = state;
    const unsigned type = fzt_state_repeat(&twice, i);
    fzt_state_seal(&twice);
    if (type == FZRI_RECORD_COUNTERS || type == FZRI_RECORD_PORTS)
      continue;
    ck_assert_int_eq(fzr_engine_load(new.engine, twice.data, twice.len, new.now, NULL),
                     FZR_ERR_STATE_DAMAGED);
    check_empty();
  }
}
END_TEST

/* A record that needs another one, without it. */
START_TEST(test_missing)
{
  const fzr_config config = config_of_new();
  save();
  fzt_relay_init(&new, &config);
  for (unsigned i = 0; i < fzt_state_records(&state); i++) {
    fzt_state less = state;
    const unsigned type = fzt_state_remove(&less, i);
    fzt_state_seal(&less);
    if (type != FZRI_RECORD_ENGINE && type != FZRI_RECORD_ALLOCATION)
      continue;
    ck_assert_int_eq(fzr_engine_load(new.engine, less.data, less.len, new.now, NULL), FZR_ERR_STATE_DAMAGED);
    check_empty();
  }
}
END_TEST

/* An Allocate with a port that is reserved for a second one. */
static void allocate_pair(fzt_client_state *c)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzt_client_init(c, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&old, c), 0); /* for a nonce */
  ck_assert_int_eq(fzt_refresh(&old, c, 0), 0);
  fzt_begin(&old, c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_EVEN_PORT, "\x80", 1);
  ck_assert_int_eq(fzt_finish(&old, c, &b, NULL), 0);
}

/* The state as it is now with |value|, of |len| bytes, at |offset| of all records of |type|: loads with |error|. */
static void load_altered(unsigned type, size_t offset, uint64_t value, size_t len, int error)
{
  const fzr_config config = config_of_new();
  unsigned found = 0;
  fzt_state altered = state;
  for (unsigned i = 0; i < fzt_state_records(&altered); i++) {
    uint8_t *body = fzt_state_body(&altered, i, type);
    if (!body)
      continue;
    fzri_put_le(body + offset, value, len);
    found++;
  }
  ck_assert_uint_gt(found, 0);
  fzt_state_seal(&altered);
  fzt_relay_init(&new, &config);
  ck_assert_int_eq(fzr_engine_load(new.engine, altered.data, altered.len, new.now, NULL), error);
  fzt_relay_free(&new);
}

/* Nothing lasts longer than a request could have made it last when the state was saved. */
START_TEST(test_times_ahead)
{
  static const struct {
    enum fzri_record_type type;
    size_t offset;
    fzr_time most;
  } times[] = {
      {FZRI_RECORD_ENGINE, 80, FZR_SECOND},
      {FZRI_RECORD_ALLOCATION, 8, 3610 * FZR_SECOND},
      {FZRI_RECORD_CHANNEL, 5, 610 * FZR_SECOND},
      {FZRI_RECORD_PERMISSION, 2, 310 * FZR_SECOND + ((fzr_time)2 << FZRI_TICK_SHIFT)},
      {FZRI_RECORD_RESERVATION, 11, 30 * FZR_SECOND},
  };
  fzt_client_state other;
  allocate_pair(&other);
  save();
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    load_altered(times[i].type, times[i].offset, times[i].most, 8, 0);
    load_altered(times[i].type, times[i].offset, times[i].most + 1, 8, FZR_ERR_STATE_DAMAGED);
  }
  load_altered(FZRI_RECORD_ALLOCATION, 24, 3600, 4, 0);
  load_altered(FZRI_RECORD_ALLOCATION, 24, 3601, 4, FZR_ERR_STATE_DAMAGED);
}
END_TEST

/* A free port rests as long as one that was just given back, whatever the state says. */
START_TEST(test_port_rests)
{
  const fzr_config config = config_of_new();
  fzr_time until;
  bool held;
  ck_assert_int_eq(fzt_refresh(&old, &client, 0), 0);
  save();
  for (unsigned i = 0; i < fzt_state_records(&state); i++) {
    uint8_t *ports = fzt_state_body(&state, i, FZRI_RECORD_PORTS);
    if (ports)
      fzri_put_le(ports + 3, 86400 * FZR_SECOND, 8);
  }
  fzt_state_seal(&state);
  fzt_relay_init(&new, &config);
  load();
  fzr_shared *shared = new.engine->shared;
  ck_assert(fzri_shared_port_rests(shared, client.relayed_port, new.now + 9 * FZR_SECOND, &until, &held));
  ck_assert(!fzri_shared_port_rests(shared, client.relayed_port, new.now + 10 * FZR_SECOND, &until, &held));
}
END_TEST

/* ---- several engines ---- */

/* Two shards that share the ports of |shared|. */
static void make_shards(fzt_relay shards[2], fzr_shared **shared, uint64_t seed)
{
  ck_assert_int_eq(fzr_shared_new(50000, 50099, NULL, shared), 0);
  for (unsigned i = 0; i < 2; i++) {
    fzr_config config = fzt_config(&shards[i]);
    shards[i].prng.state = seed + i;
    config.shared = *shared;
    config.lowest_port = 50000;
    config.highest_port = 50099;
    fzt_relay_init(&shards[i], &config);
  }
}

static void free_shards(fzt_relay shards[2], fzr_shared *shared)
{
  for (unsigned i = 0; i < 2; i++)
    fzt_relay_free(&shards[i]);
  fzr_shared_free(shared);
}

/* Alters |s| so that all its allocations say that they are their users' newest ones. */
static void say_newest(fzt_state *s)
{
  *fzt_state_body(s, 0, FZRI_RECORD_ENGINE) |= FZRI_SAVED_REPLACES;
  for (unsigned i = 0; i < fzt_state_records(s); i++) {
    uint8_t *allocation = fzt_state_body(s, i, FZRI_RECORD_ALLOCATION);
    if (allocation)
      allocation[4] |= FZRI_SAVED_NEWEST;
  }
  fzt_state_seal(s);
}

/* A user has one newest allocation, of all shards: a state that says so of another one is damaged, and changes nothing of the one that is. */
START_TEST(test_two_newest)
{
  static fzt_relay before[2], after[2];
  static fzt_state states[3];
  fzt_client_state clients[3];
  fzr_shared *shared = fzt_shared_new(100), *other = fzt_shared_new(100);
  for (unsigned i = 0; i < 2; i++) {
    fzr_config config = fzt_shard_config(&before[i], i, shared, 100);
    config.max_allocations_per_user = 5;
    fzt_relay_init(&before[i], &config);
    config = fzt_shard_config(&after[i], i, other, 100);
    config.replace_allocations = FZR_REPLACE_ALWAYS;
    fzt_relay_init(&after[i], &config);
  }
  for (unsigned i = 0; i < 3; i++) {
    fzt_client_init(&clients[i], "198.51.100.2:4000");
    clients[i].addr.port = (uint16_t)(clients[i].addr.port + i);
    ck_assert_int_eq(fzt_allocate(&before[i % 2], &clients[i]), 0);
    fzt_state_save(&states[i], before[i % 2].engine, before[i % 2].now);
    say_newest(&states[i]);
  }
  /* Both in one state; one in each of two. */
  ck_assert_int_eq(fzr_engine_load(after[0].engine, states[2].data, states[2].len, after[0].now, NULL),
                   FZR_ERR_STATE_DAMAGED);
  ck_assert_int_eq(fzr_engine_load(after[0].engine, states[0].data, states[0].len, after[0].now, NULL), 0);
  ck_assert_int_eq(fzr_engine_load(after[1].engine, states[1].data, states[1].len, after[1].now, NULL),
                   FZR_ERR_STATE_DAMAGED);
  ck_assert_uint_eq(stats_of(&after[1]).allocations, 0);
  fzt_pass(&after[0], 5 * FZR_SECOND);
  ck_assert_int_eq(fzt_refresh(&after[0], &clients[0], 600), 0);
  fzt_shards_free(&before[0], &before[1], shared);
  fzt_shards_free(&after[0], &after[1], other);
}
END_TEST

START_TEST(test_shards)
{
  static fzt_relay before[2], after[2];
  static fzt_state states[2];
  fzr_shared *shared, *other;
  fzt_client_state clients[2];
  make_shards(before, &shared, 10);
  make_shards(after, &other, 20);
  for (unsigned i = 0; i < 2; i++) {
    fzt_client_init(&clients[i], i ? "198.51.100.3:4000" : "198.51.100.2:4000");
    ck_assert_int_eq(fzt_allocate(&before[i], &clients[i]), 0);
    fzt_state_save(&states[i], before[i].engine, before[i].now);
  }
  save(); /* of a third one, that is no shard of theirs */
  fzr_load_result result;
  ck_assert_int_eq(fzr_engine_load(after[0].engine, states[0].data, states[0].len, after[0].now, NULL), 0);
  ck_assert_int_eq(fzr_engine_load(after[1].engine, states[0].data, states[0].len, after[1].now, &result),
                   FZR_ERR_STATE_PORT); /* the same one twice */
  ck_assert_uint_eq(result.port, clients[0].relayed_port);
  ck_assert_uint_eq(fzr_shared_ports_in_use(other), 1);
  fzt_state foreign = state;
  while (fzt_state_records(&foreign) > 1)
    fzt_state_remove(&foreign, 1); /* its engine's record alone: it has no port in the way */
  fzt_state_seal(&foreign);
  ck_assert_int_eq(fzr_engine_load(after[1].engine, foreign.data, foreign.len, after[1].now, NULL),
                   FZR_ERR_STATE_FOREIGN);
  ck_assert_int_eq(fzr_engine_load(after[1].engine, states[1].data, states[1].len, after[1].now, NULL), 0);
  ck_assert_uint_eq(fzr_shared_ports_in_use(other), 2);
  for (unsigned i = 0; i < 2; i++) {
    fzt_pass(&after[i], 0);
    ck_assert_int_eq(fzt_refresh(&after[i], &clients[i], 600), 0);
    ck_assert(fzr_engine_port_is_live(after[!i].engine, clients[i].relayed_port, FZR_FAMILY_IPV4));
  }
  free_shards(before, shared);
  free_shards(after, other);
}
END_TEST

typedef struct job {
  fzt_relay *relay;
  const fzt_state *state;
  int error;
} job;

static void *load_one(void *ctx)
{
  job *j = ctx;
  j->error = fzr_engine_load(j->relay->engine, j->state->data, j->state->len, j->relay->now, NULL);
  return NULL;
}

/* Each worker loads its own, at the same time as the others. */
START_TEST(test_shards_at_once)
{
  static fzt_relay before[2], after[2];
  static fzt_state states[2];
  fzr_shared *shared, *other;
  job jobs[2];
  pthread_t threads[2];
  make_shards(before, &shared, 10);
  make_shards(after, &other, 20);
  for (unsigned i = 0; i < 40; i++) {
    fzt_client_state c;
    fzt_client_init(&c, "198.51.100.2:4000");
    c.addr.port = (uint16_t)(c.addr.port + i);
    ck_assert_int_eq(fzt_allocate(&before[i % 2], &c), 0);
  }
  for (unsigned i = 0; i < 2; i++) {
    fzt_state_save(&states[i], before[i].engine, before[i].now);
    jobs[i] = (job){&after[i], &states[i], 1};
  }
  for (unsigned i = 0; i < 2; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, load_one, &jobs[i]), 0);
  for (unsigned i = 0; i < 2; i++) {
    ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(jobs[i].error, 0);
    fzt_pass(&after[i], 0);
    ck_assert_uint_eq(stats_of(&after[i]).allocations, 20);
  }
  ck_assert_uint_eq(fzr_shared_ports_in_use(other), 40);
  free_shards(before, shared);
  free_shards(after, other);
}
END_TEST

/* ---- want of memory ---- */

/* What could not be loaded has taken no memory in the end. */
START_TEST(test_memory_comes_back)
{
  const fzr_config config = config_of_new();
  fzt_client_state other;
  fzr_addr many = fzt_addr("198.51.100.0:6000");
  allocate_pair(&other);
  for (unsigned i = 0; i < 200; i++) {
    many.ip[3] = (uint8_t)i;
    ck_assert_int_eq(fzt_bind(&old, &client, (uint16_t)(0x4001 + i), &many), 0);
  }
  save();
  for (unsigned i = 0; i < fzt_state_records(&state); i++) {
    uint8_t *permission = fzt_state_body(&state, i, FZRI_RECORD_PERMISSION);
    if (permission && i + 10 > fzt_state_records(&state))
      fzri_put_le(permission, 1, 2); /* of nobody's: one of the last records */
  }
  fzt_state_seal(&state);
  fzt_relay_init(&new, &config);
  const uint64_t before = stats_of(&new).memory_bytes;
  fzr_load_result result = refuse(FZR_ERR_STATE_DAMAGED);
  ck_assert_uint_eq(result.channels, 201);
  ck_assert_uint_eq(stats_of(&new).memory_bytes, before);
}
END_TEST

/* What was taken before is all that it takes. */
START_TEST(test_expected)
{
  const fzr_config config = config_of_new();
  fzr_addr many = fzt_addr("198.51.100.0:6000");
  for (unsigned i = 0; i < 200; i++) {
    many.ip[3] = (uint8_t)i;
    ck_assert_int_eq(fzt_bind(&old, &client, (uint16_t)(0x4001 + i), &many), 0);
  }
  save();
  const fzr_stats were = stats_of(&old);
  ck_assert_int_eq(fzr_engine_expect(old.engine, 1, 1, 1), FZR_ERR_INVALID_STATE);
  fzt_relay_init(&new, &config);
  const uint64_t empty = stats_of(&new).memory_bytes;
  new.mem.fail_only = new.mem.count + 1;
  ck_assert_int_eq(fzr_engine_expect(new.engine, UINT32_MAX, UINT32_MAX, UINT32_MAX), FZR_ERR_NO_MEMORY);
  new.mem.fail_only = 0;
  ck_assert_int_eq(fzr_engine_expect(new.engine, (uint32_t)were.allocations, (uint32_t)were.channels,
                                     (uint32_t)were.permissions),
                   0);
  const uint64_t before = stats_of(&new).memory_bytes, count = new.mem.count;
  ck_assert_uint_gt(before, empty);
  ck_assert_int_eq(fzr_engine_load(new.engine, state.data, state.len, new.now, NULL), 0);
  ck_assert_uint_eq(new.mem.count, count);
  ck_assert_uint_eq(stats_of(&new).memory_bytes, before);
}
END_TEST

START_TEST(test_oom)
{
  fzr_config config = config_of_new();
  fzt_client_state other;
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzt_client_init(&other, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&old, &other), 0);
  for (unsigned i = 0; i < 40; i++) { /* so that tables grow */
    fzr_addr many = fzt_addr("198.51.100.0:6000");
    many.ip[3] = (uint8_t)i;
    ck_assert_int_eq(fzt_bind(&old, &other, (uint16_t)(0x4000 + i), &many), 0);
  }
  ck_assert_int_eq(fzt_refresh(&old, &client, 0), 0);
  fzt_begin(&old, &client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_EVEN_PORT, "\x80", 1);
  ck_assert_int_eq(fzt_finish(&old, &client, &b, NULL), 0);
  save();
  unsigned failures = 0;
  for (uint64_t n = 1;; n++) {
    config = config_of_new();
    fzt_relay_init(&new, &config);
    new.mem.fail_from = new.mem.count + n;
    const int error = fzr_engine_load(new.engine, state.data, state.len, new.now, NULL);
    new.mem.fail_from = 0;
    if (!error)
      break;
    ck_assert_int_eq(error, FZR_ERR_NO_MEMORY);
    check_empty();
    failures++;
    if (n % 3 == 0) /* and it can be loaded all the same, once there is memory */
      ck_assert_uint_eq(load().allocations, 2);
    fzt_relay_free(&new);
  }
  ck_assert_uint_gt(failures, 8);
  fzt_pass(&new, 0);
  ck_assert_uint_eq(stats_of(&new).channels, 40);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("save");
  TCase *tc = tcase_create("save");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, test_goes_on);
  tcase_add_test(tc, test_old_one_goes_on);
  tcase_add_test(tc, test_counters_go_on);
  tcase_add_test(tc, test_another_clock);
  tcase_add_test(tc, test_early_clock);
  tcase_add_test(tc, test_time_passes);
  tcase_add_test(tc, test_another_secret);
  tcase_add_test(tc, test_other_users);
  tcase_add_test(tc, test_lost_answer);
  tcase_add_test(tc, test_not_answered_yet);
  tcase_add_test(tc, test_lost_port);
  tcase_add_test(tc, test_port_comes_late);
  tcase_add_test(tc, test_ends_before_its_port_comes);
  tcase_add_test(tc, test_another_policy);
  tcase_add_test(tc, test_quota);
  tcase_add_test(tc, test_replacing);
  tcase_add_test(tc, test_not_replacing_any_more);
  tcase_add_test(tc, test_public_address);
  tcase_add_test(tc, test_unused_public_address);
  tcase_add_test(tc, test_port_range);
  tcase_add_test(tc, test_too_many_channels);
  tcase_add_test(tc, test_not_a_new_engine);
  tcase_add_test(tc, test_sink_gives_up);
  tcase_add_test(tc, test_versions);
  tcase_add_test(tc, test_later_minor);
  tcase_add_test(tc, test_required_record);
  tcase_add_test(tc, test_every_truncation);
  tcase_add_test(tc, test_every_bit);
  tcase_add_test(tc, test_every_byte_sealed);
  tcase_add_test(tc, test_twice);
  tcase_add_test(tc, test_missing);
  tcase_add_test(tc, test_times_ahead);
  tcase_add_test(tc, test_port_rests);
  tcase_add_test(tc, test_two_newest);
  tcase_add_test(tc, test_shards);
  tcase_add_test(tc, test_shards_at_once);
  tcase_add_test(tc, test_memory_comes_back);
  tcase_add_test(tc, test_expected);
  tcase_add_test(tc, test_oom);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
