/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: what is told of allocations, how they are listed, and how they are ended. */
#include "saved_state.h"

#include "turn/record.h"

#include <stdio.h>

#define CLIENTS 8u
#define PEER    "203.0.113.9:5000"

typedef struct note {
  fzr_usage usage;
  fzr_allocation allocation;
  fzr_addr peer;
} note;

static fzt_relay relay, heir;
static fzt_client_state c[CLIENTS];
static note notes[64];
static unsigned note_count;
static fzt_state state;

static void keep(void *ctx, const fzr_usage *usage)
{
  fzt_check(note_count < 64 && ctx == &relay);
  note *n = &notes[note_count++];
  *n = (note){.usage = *usage, .allocation = *usage->allocation};
  if (usage->peer)
    n->peer = *usage->peer;
}

static fzr_config config_of(fzt_relay *r)
{
  fzr_config config = fzt_config(r);
  config.usage = keep;
  config.usage_ctx = &relay;
  config.keep_user_names = true;
  return config;
}

/* Client |i|'s name is "user" and |i|, or as long as |pad| makes it. */
static void name_client(unsigned i, const char *pad)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  fzt_client_init(&c[i], "198.51.100.1:4000");
  c[i].addr.port = (uint16_t)(4000 + i);
  snprintf(c[i].username, sizeof c[i].username, "1892160000:user%u%s", i, pad);
  const char *salt = c[i].username + 11;
  fzr_auth_stamp_password(FZT_SECRET, 1892160000, (const uint8_t *)salt, strlen(salt), password,
                          sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c[i].username, strlen(c[i].username), "firezone",
                         password, c[i].key);
}

static void set_up(void)
{
  const fzr_config config = config_of(&relay);
  fzt_relay_init(&relay, &config);
  note_count = 0;
  for (unsigned i = 0; i < CLIENTS; i++)
    name_client(i, "");
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
  if (heir.engine)
    fzt_relay_free(&heir);
}

static fzr_allocation one(const fzt_relay *r, unsigned i)
{
  fzr_allocation found;
  ck_assert(fzr_engine_find_allocation(r->engine, &c[i].addr, &c[i].server, &found));
  return found;
}

static void expect_name(const fzr_allocation *a, const char *name)
{
  ck_assert_uint_eq(a->user_name_len, strlen(name));
  ck_assert_mem_eq(a->user_name, name, strlen(name));
}

static void talk(fzt_relay *r, unsigned i)
{
  const uint8_t data[7] = {0x40, 0, 0, 3, 1, 2, 3};
  const fzr_addr peer = fzt_addr(PEER);
  fzt_client(r, &c[i].addr, &c[i].server, data, sizeof data);
  fzt_peer(r, &peer, c[i].relayed_port, data, 5);
}

static void allocate(unsigned i)
{
  const fzr_addr peer = fzt_addr(PEER);
  ck_assert_int_eq(fzt_allocate(&relay, &c[i]), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c[i], 0x4000, &peer), 0);
}

/* From its begin to its end. */
START_TEST(test_life)
{
  const fzr_addr peer = fzt_addr(PEER);
  const fzr_time began = relay.now;
  allocate(1);
  ck_assert_uint_eq(note_count, 2);
  ck_assert_uint_eq(notes[0].usage.type, FZR_USAGE_ALLOCATED);
  ck_assert_uint_eq(notes[0].usage.now, relay.now);
  ck_assert(fzr_addr_equal(&notes[0].allocation.client, &c[1].addr));
  expect_name(&notes[0].allocation, "user1");
  const uint64_t id = notes[0].allocation.id;
  ck_assert_uint_eq(id & 0xffff, c[1].relayed_port);
  ck_assert_uint_eq(notes[1].usage.type, FZR_USAGE_BOUND);
  ck_assert_uint_eq(notes[1].usage.channel, 0x4000);
  ck_assert(fzr_addr_equal(&notes[1].peer, &peer));
  ck_assert_int_eq(fzt_bind(&relay, &c[1], 0x4000, &peer), 0);
  ck_assert_uint_eq(note_count, 2); /* refreshes are not told */
  fzt_pass(&relay, 10 * FZR_SECOND);
  talk(&relay, 1);
  talk(&relay, 1);
  const fzr_allocation now = one(&relay, 1);
  ck_assert_uint_eq(now.id, id);
  ck_assert_uint_le(now.began, began);
  ck_assert_uint_ge(now.began + 135 * FZR_MILLISECOND, began);
  ck_assert(now.packets[0] == 2 && now.packets[1] == 2 && now.bytes[0] == 6 && now.bytes[1] == 10);
  ck_assert(now.channels == 1 && now.permissions == 1);
  ck_assert_int_eq(fzt_refresh(&relay, &c[1], 0), 0);
  ck_assert_uint_eq(note_count, 3);
  ck_assert_uint_eq(notes[2].usage.type, FZR_USAGE_ENDED);
  ck_assert_uint_eq(notes[2].usage.reason, FZR_END_CLIENT);
  ck_assert_uint_eq(notes[2].allocation.id, id);
  ck_assert(notes[2].allocation.bytes[0] == 6 && notes[2].allocation.bytes[1] == 10);
  expect_name(&notes[2].allocation, "user1");
}
END_TEST

/* Whatever the embedder's clock counts from: nanoseconds of Unix time are more than ticks can tell. */
START_TEST(test_clock_of_its_own)
{
  const fzr_time now = UINT64_C(1764543600) * FZR_SECOND;
  fzr_config config = config_of(&heir);
  heir.now = now;
  fzt_relay_init(&heir, &config);
  ck_assert_int_eq(fzt_allocate(&heir, &c[1]), 0);
  fzt_pass(&heir, 300 * FZR_SECOND);
  fzr_allocation a = one(&heir, 1);
  ck_assert(a.began <= now && now - a.began <= 135 * FZR_MILLISECOND);
  ck_assert_uint_le(notes[0].allocation.began, now);
  /* It is as long ago by another clock. */
  const fzr_time other = 400 * FZR_SECOND;
  fzt_state_save(&state, heir.engine, heir.now);
  fzt_relay_free(&heir);
  config = config_of(&heir);
  heir.now = other;
  fzt_relay_init(&heir, &config);
  ck_assert_int_eq(fzr_engine_load(heir.engine, state.data, state.len, other, NULL), 0);
  fzt_pass(&heir, 0);
  a = one(&heir, 1);
  ck_assert(a.began <= 100 * FZR_SECOND && a.began >= 100 * FZR_SECOND - 270 * FZR_MILLISECOND);
}
END_TEST

/* What comes behind data in the same call does not keep that from being counted. */
START_TEST(test_end_amidst_data)
{
  uint8_t data[7] = {0x40, 0, 0, 3, 1, 2, 3}, request[512];
  fzr_stun_builder b;
  allocate(0);
  fzt_begin(&relay, &c[0], &b, request, sizeof request, FZR_STUN_REFRESH);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 0);
  fzr_stun_add_integrity(&b, c[0].key, sizeof c[0].key);
  const int len = fzr_stun_build_finish(&b);
  fzr_pkt pkts[] = {
      {.data = data, .len = sizeof data, .from = c[0].addr, .to = c[0].server},
      {.data = request, .len = (uint32_t)len, .from = c[0].addr, .to = c[0].server},
      {.data = data, .len = sizeof data, .from = c[0].addr, .to = c[0].server},
  };
  fzt_client_run(&relay, pkts, 3);
  ck_assert_uint_eq(note_count, 3);
  ck_assert(notes[2].allocation.packets[0] == 1 && notes[2].allocation.bytes[0] == 3);
}
END_TEST

START_TEST(test_reasons)
{
  allocate(0);
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &c[0].addr, &c[0].server, relay.now), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(notes[note_count - 1].usage.reason, FZR_END_APPLICATION);
  allocate(1);
  ck_assert_int_eq(fzr_engine_end_allocation_at(relay.engine, c[1].relayed_port, relay.now), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(notes[note_count - 1].usage.reason, FZR_END_APPLICATION);
  allocate(2);
  ck_assert_int_eq(fzr_engine_end_allocation_by_id(relay.engine, one(&relay, 2).id, relay.now), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(notes[note_count - 1].usage.reason, FZR_END_OPERATOR);
  allocate(3);
  fzt_pass(&relay, 611 * FZR_SECOND);
  ck_assert_uint_eq(notes[note_count - 1].usage.reason, FZR_END_EXPIRED);
  ck_assert_uint_eq(note_count, 12);
  for (unsigned i = 0; i <= FZR_END_REASONS; i++)
    for (unsigned k = 0; k < i; k++)
      ck_assert_str_ne(fzr_end_reason_name(i), fzr_end_reason_name(k));
}
END_TEST

/* An id is of one session alone: neither the next one at the port nor anything else goes by it. */
START_TEST(test_end_by_id)
{
  allocate(0);
  allocate(1);
  const uint64_t id = one(&relay, 0).id, port = c[0].relayed_port;
  const uint64_t wrong[] = {0, port, id ^ 0x10000, id ^ UINT64_C(1) << 63, id + 1, UINT64_MAX};
  for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
    ck_assert_int_eq(fzr_engine_end_allocation_by_id(relay.engine, wrong[i], relay.now),
                     FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_end_allocation_by_id(relay.engine, id, relay.now), 0);
  ck_assert_int_eq(fzr_engine_end_allocation_by_id(relay.engine, id, relay.now), FZR_ERR_INVALID_STATE);
  fzt_pass(&relay, 0);
  ck_assert_int_eq(fzr_engine_end_allocation_by_id(relay.engine, id, relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_uint_ne(one(&relay, 1).id, id);
  for (unsigned i = 0; i < 200; i++) { /* whatever ports they get */
    ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
    ck_assert_uint_ne(one(&relay, 0).id, id);
    ck_assert_int_eq(fzt_refresh(&relay, &c[0], 0), 0);
    note_count = 0;
  }
}
END_TEST

START_TEST(test_end_user)
{
  const char *name = "1892160000:user2";
  uint32_t cursor = 0;
  for (unsigned i = 0; i < 6; i++) {
    if (i % 2 == 0) {
      memcpy(c[i].username, c[2].username, sizeof c[i].username);
      memcpy(c[i].key, c[2].key, sizeof c[i].key);
    }
    allocate(i);
  }
  const uint64_t user = fzr_engine_user(relay.engine, (const uint8_t *)name, strlen(name));
  note_count = 0;
  ck_assert_uint_eq(fzr_engine_end_user(relay.engine, user + 1, &cursor, 10, relay.now), 0);
  cursor = 0;
  ck_assert_uint_eq(fzr_engine_end_user(relay.engine, user, &cursor, 2, relay.now), 2);
  ck_assert_uint_eq(fzr_engine_deadline(relay.engine), relay.now);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(note_count, 2);
  ck_assert_uint_eq(fzr_engine_end_user(relay.engine, user, &cursor, 2, relay.now), 1);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(note_count, 3);
  for (unsigned i = 0; i < 3; i++)
    expect_name(&notes[i].allocation, "user2");
  one(&relay, 1);
  one(&relay, 3);
}
END_TEST

/* Names of all lengths, of which 128 bytes are kept; and none where none is wanted. */
START_TEST(test_names)
{
  char pad[200], name[256];
  const uint64_t before = relay.mem.live;
  for (unsigned len = 0; len < 150; len++) {
    memset(pad, 'x', len);
    pad[len] = 0;
    name_client(0, pad);
    ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
    const size_t kept = 5 + len < FZR_USER_NAME_MAX ? 5 + len : FZR_USER_NAME_MAX;
    snprintf(name, sizeof name, "%.*s", (int)kept, c[0].username + 11);
    const fzr_allocation a = one(&relay, 0);
    expect_name(&a, name);
    ck_assert_int_eq(fzt_refresh(&relay, &c[0], 0), 0);
    note_count = 0;
  }
  const uint64_t after = relay.mem.live;
  for (unsigned len = 0; len < 150; len++) { /* nothing is left of them */
    ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
    ck_assert_int_eq(fzt_refresh(&relay, &c[0], 0), 0);
    note_count = 0;
  }
  ck_assert_uint_eq(relay.mem.live, after);
  ck_assert_uint_gt(after, before);
  fzr_config config = fzt_config(&heir);
  fzt_relay_init(&heir, &config);
  name_client(1, "");
  ck_assert_int_eq(fzt_allocate(&heir, &c[1]), 0);
  const fzr_allocation a = one(&heir, 1);
  ck_assert_uint_eq(a.user_name_len, 0);
  ck_assert_uint_ne(a.id, 0);
}
END_TEST

/* Where users change credentials, the name is that of the last one. */
START_TEST(test_name_follows)
{
  allocate(0);
  const uint64_t id = one(&relay, 0).id;
  memcpy(c[0].username, c[5].username, sizeof c[0].username);
  memcpy(c[0].key, c[5].key, sizeof c[0].key);
  ck_assert_int_eq(fzt_refresh(&relay, &c[0], 600), 0);
  const fzr_allocation a = one(&relay, 0);
  expect_name(&a, "user5");
  ck_assert_uint_eq(a.id, id);
}
END_TEST

/* What a user's name takes, on top of what test_memory_per_allocation allows. */
START_TEST(test_memory)
{
  enum { N = 4096 };
  const fzr_addr peer = fzt_addr(PEER);
  const uint64_t before = relay.mem.live;
  for (unsigned i = 0; i < N; i++) {
    c[0].addr.ip[2] = (uint8_t)(i >> 8);
    c[0].addr.ip[3] = (uint8_t)i;
    c[0].nonce_len = note_count = 0;
    ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
    ck_assert_int_eq(fzt_bind(&relay, &c[0], 0x4000, &peer), 0);
  }
  ck_assert_uint_le((relay.mem.live - before) / N, 512 + 24);
}
END_TEST

START_TEST(test_offloaded)
{
  const uint64_t packets[2] = {3, 4}, bytes[2] = {300, 4000};
  fzr_event event;
  allocate(0);
  talk(&relay, 0);
  const uint16_t port = c[0].relayed_port;
  ck_assert_int_eq(fzr_engine_add_offloaded(relay.engine, (uint16_t)(port ^ 1), packets, bytes),
                   FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_add_offloaded(relay.engine, port, packets, bytes), 0);
  fzr_allocation a = one(&relay, 0);
  ck_assert(a.packets[0] == 4 && a.packets[1] == 5 && a.bytes[0] == 303 && a.bytes[1] == 4005);
  /* The last figures come with the channel's end, when the allocation is closing. */
  fzr_engine_end_allocation_by_id(relay.engine, a.id, relay.now);
  ck_assert(fzr_engine_next_event(relay.engine, &event) && event.type == FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_int_eq(fzr_engine_add_offloaded(relay.engine, port, packets, bytes), 0);
  fzt_pass(&relay, 0);
  a = notes[note_count - 1].allocation;
  ck_assert_uint_eq(notes[note_count - 1].usage.type, FZR_USAGE_ENDED);
  ck_assert(a.packets[0] == 7 && a.packets[1] == 9 && a.bytes[0] == 603 && a.bytes[1] == 8005);
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  ck_assert(stats.bytes[0] == 3 && stats.bytes[1] == 5);
}
END_TEST

/* A list that is made in pieces has what lives all the while once, whatever comes and goes. */
START_TEST(test_list_in_pieces)
{
  enum { N = 200 };
  static bool stays[N], seen[N];
  uint32_t cursor = 0;
  fzt_prng prng = {fzt_seed("list in pieces")};
  fzr_allocation some[3];
  size_t n;
  memset(stays, 0, sizeof stays);
  memset(seen, 0, sizeof seen);
  for (unsigned i = 0; i < N; i++) {
    c[0].addr.port = (uint16_t)(10000 + i);
    stays[i] = fzt_below(&prng, 2);
    note_count = 0;
    ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
  }
  while ((n = fzr_engine_list_allocations(relay.engine, &cursor, some, 3)) != 0) {
    for (size_t i = 0; i < n; i++) {
      const unsigned k = some[i].client.port - 10000u;
      if (k >= N)
        continue;
      ck_assert(!seen[k]);
      seen[k] = true;
    }
    for (unsigned i = 0; i < 6; i++) {
      const unsigned k = (unsigned)fzt_below(&prng, N);
      c[0].addr.port = (uint16_t)(stays[k] ? 20000 + k : 10000 + k);
      note_count = 0;
      if (stays[k])
        fzt_allocate(&relay, &c[0]);
      else
        fzr_engine_end_allocation(relay.engine, &c[0].addr, &c[0].server, relay.now);
      fzt_pass(&relay, 0);
    }
  }
  for (unsigned i = 0; i < N; i++)
    ck_assert(seen[i] || !stays[i]);
}
END_TEST

static void load(int opens)
{
  fzr_config config = config_of(&heir);
  heir.prng.state = 99;
  fzt_relay_init(&heir, &config);
  if (opens)
    heir.open_errors[heir.open_error_count++] = opens;
  ck_assert_int_eq(fzr_engine_load(heir.engine, state.data, state.len, heir.now, NULL), 0);
  fzt_pass(&heir, 0);
}

/* Sessions go on in another engine: the same id, name, begin and figures, and nothing is told. */
START_TEST(test_goes_on)
{
  allocate(1);
  talk(&relay, 1);
  const fzr_allocation before = one(&relay, 1);
  fzt_state_save(&state, relay.engine, relay.now);
  note_count = 0;
  load(0);
  ck_assert_uint_eq(note_count, 0);
  fzr_allocation after = one(&heir, 1);
  ck_assert_mem_eq(&before, &after, sizeof before);
  talk(&heir, 1);
  ck_assert_int_eq(fzr_engine_end_allocation_by_id(heir.engine, before.id, heir.now), 0);
  fzt_pass(&heir, 0);
  ck_assert_uint_eq(note_count, 1);
  ck_assert(notes[0].allocation.bytes[0] == 6 && notes[0].allocation.bytes[1] == 10);
  /* What begins now has another id than all before. */
  ck_assert_int_eq(fzt_allocate(&heir, &c[1]), 0);
  after = one(&heir, 1);
  ck_assert_uint_ne(after.id, before.id);
}
END_TEST

START_TEST(test_lost)
{
  allocate(1);
  talk(&relay, 1);
  fzt_state_save(&state, relay.engine, relay.now);
  note_count = 0;
  load(FZR_ERR_IO);
  ck_assert_uint_eq(note_count, 1);
  ck_assert_uint_eq(notes[0].usage.reason, FZR_END_LOST);
  ck_assert_uint_eq(notes[0].allocation.bytes[1], 5);
}
END_TEST

/* A state of before there were any: minor version 0. */
START_TEST(test_older_state)
{
  /* port, families, missing, flags, algorithm, length, 0, two times, lifetime, transaction, tag, three numbers, two addresses, key */
  const size_t older = 2 + 6 + 16 + 4 + 12 + 16 + 24 + 2 * 8 + FZR_STUN_KEY_LEN;
  allocate(1);
  talk(&relay, 1);
  fzt_state_save(&state, relay.engine, relay.now);
  for (unsigned at = 0; at < fzt_state_records(&state); at++) {
    uint8_t *body = fzt_state_body(&state, at, FZRI_RECORD_ALLOCATION);
    if (!body)
      continue;
    uint32_t len;
    memcpy(&len, body - 4, sizeof len);
    ck_assert_uint_eq(len, older + 4 + 8 + 32 + 1 + strlen("user1"));
    const size_t cut = len - older, end = (size_t)(body + len - state.data);
    memmove(body + older, body + len, state.len - end);
    state.len -= cut;
    len -= (uint32_t)cut;
    memcpy(body - 4, &len, sizeof len);
  }
  ck_assert(fzt_state_seal(&state));
  load(0);
  const fzr_allocation a = one(&heir, 1);
  ck_assert_uint_eq(a.id & 0xffff, c[1].relayed_port);
  ck_assert(a.id >> 16 && !a.bytes[0] && !a.user_name_len);
  ck_assert_uint_le(heir.now - a.began, 135 * FZR_MILLISECOND);
  ck_assert_int_eq(fzr_engine_end_allocation_by_id(heir.engine, a.id, heir.now), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("usage");
  TCase *tc = tcase_create("usage");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_life);
  tcase_add_test(tc, test_clock_of_its_own);
  tcase_add_test(tc, test_end_amidst_data);
  tcase_add_test(tc, test_reasons);
  tcase_add_test(tc, test_end_by_id);
  tcase_add_test(tc, test_end_user);
  tcase_add_test(tc, test_names);
  tcase_add_test(tc, test_name_follows);
  tcase_add_test(tc, test_memory);
  tcase_add_test(tc, test_offloaded);
  tcase_add_test(tc, test_list_in_pieces);
  tcase_add_test(tc, test_goes_on);
  tcase_add_test(tc, test_lost);
  tcase_add_test(tc, test_older_state);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
