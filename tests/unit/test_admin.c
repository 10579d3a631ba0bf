/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations are listed, and ended by the application. */
#include "relay.h"

#include <stdio.h>

static fzt_relay relay;
static fzt_client_state c[8];

static unsigned ended_logs;

static void note(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  if (record->event != FZR_LOG_ALLOCATION_ENDED)
    return;
  ck_assert_uint_eq(record->level, FZR_LOG_INFO);
  ck_assert(fzr_addr_equal(record->client, &c[1].addr) && record->port == c[1].relayed_port);
  ended_logs++;
}

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  config.log = note;
  config.log_level = FZR_LOG_INFO;
  fzt_relay_init(&relay, &config);
  ended_logs = 0;
  for (unsigned i = 0; i < 8; i++) {
    fzt_client_init(&c[i], "198.51.100.1:4000");
    c[i].addr.port = (uint16_t)(c[i].addr.port + i);
  }
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

static void bind(unsigned i, uint16_t channel, const char *peer)
{
  const fzr_addr addr = fzt_addr(peer);
  ck_assert_int_eq(fzt_bind(&relay, &c[i], channel, &addr), 0);
}

/* All allocations, in steps of |step|. */
static size_t list(fzr_allocation *out, size_t step)
{
  uint32_t cursor = 0;
  size_t n = 0, got;
  while ((got = fzr_engine_list_allocations(relay.engine, &cursor, out + n, step)) != 0) {
    ck_assert_uint_le(got, step);
    n += got;
  }
  return n;
}

/* As an adapter asks, whose connections stay while they have one. */
START_TEST(test_find)
{
  fzr_allocation found;
  ck_assert(!fzr_engine_find_allocation(relay.engine, &c[1].addr, &c[1].server, &found));
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), 0);
  ck_assert(fzr_engine_find_allocation(relay.engine, &c[1].addr, &c[1].server, &found));
  ck_assert_uint_eq(found.relayed[0].port, c[1].relayed_port);
  ck_assert(!found.opening);
  fzr_addr tcp = c[1].addr;
  tcp.transport = FZR_TRANSPORT_TCP;
  ck_assert(!fzr_engine_find_allocation(relay.engine, &tcp, &c[1].server, &found));
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &c[1].addr, &c[1].server, relay.now), 0);
  ck_assert(!fzr_engine_find_allocation(relay.engine, &c[1].addr, &c[1].server, &found));
}
END_TEST

START_TEST(test_list)
{
  fzr_allocation all[16];
  const fzr_addr public4 = fzt_addr("203.0.113.1");
  ck_assert_uint_eq(list(all, 3), 0);
  for (unsigned i = 0; i < 5; i++)
    ck_assert_int_eq(fzt_allocate(&relay, &c[i]), 0);
  bind(2, 0x4000, "203.0.113.9:53");
  bind(2, 0x4001, "203.0.113.9:54");
  ck_assert_int_eq(fzt_refresh(&relay, &c[3], 0), 0);
  for (size_t step = 1; step < 7; step++) {
    memset(all, 0xff, sizeof all);
    ck_assert_uint_eq(list(all, step), 4);
    for (unsigned i = 0, n = 0; i < 5; i++) {
      if (i == 3)
        continue;
      const fzr_allocation *a = &all[n++];
      ck_assert(fzr_addr_equal(&a->client, &c[i].addr) && fzr_addr_equal(&a->server, &c[i].server));
      fzr_addr relayed = public4;
      relayed.port = c[i].relayed_port;
      ck_assert(fzr_addr_equal(&a->relayed[0], &relayed));
      ck_assert_uint_eq(a->relayed[1].family, FZR_FAMILY_NONE);
      ck_assert_uint_eq(a->expires, relay.now + 610 * FZR_SECOND);
      ck_assert_uint_eq(a->channels, i == 2 ? 2 : 0);
      ck_assert(!a->opening);
      for (size_t k = 0; k < sizeof a->reserved; k++)
        ck_assert_uint_eq(a->reserved[k], 0);
    }
  }
  uint32_t cursor = 0;
  ck_assert_uint_eq(fzr_engine_list_allocations(NULL, &cursor, all, 3), 0);
  ck_assert_uint_eq(fzr_engine_list_allocations(relay.engine, NULL, all, 3), 0);
  ck_assert_uint_eq(fzr_engine_list_allocations(relay.engine, &cursor, NULL, 3), 0);
}
END_TEST

START_TEST(test_both_families)
{
  fzr_allocation a;
  uint8_t buffer[512];
  fzr_stun_builder b;
  uint32_t cursor = 0;
  fzr_stun_msg msg;
  ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0); /* for the nonce */
  ck_assert_int_eq(fzt_refresh(&relay, &c[0], 0), 0);
  fzt_begin(&relay, &c[0], &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &c[0], &b, &msg), 0);
  ck_assert_uint_eq(fzr_engine_list_allocations(relay.engine, &cursor, &a, 1), 1);
  const fzr_addr public6 = fzt_addr("2001:db8:ffff::1");
  ck_assert_mem_eq(a.relayed[1].ip, public6.ip, sizeof public6.ip);
  ck_assert(a.relayed[0].family == FZR_FAMILY_IPV4 && a.relayed[1].family == FZR_FAMILY_IPV6);
  ck_assert(a.relayed[0].port && a.relayed[0].port == a.relayed[1].port);
}
END_TEST

/* A user's allocations are found by the number that his name has, whatever the credential. */
START_TEST(test_users)
{
  fzr_allocation all[4];
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  for (unsigned i = 0; i < 3; i++) {
    const char *salt = i == 1 ? "other" : "same";
    const uint64_t expiry = 1892160000 + i;
    snprintf(c[i].username, sizeof c[i].username, "%llu:%s", (unsigned long long)expiry, salt);
    fzr_auth_stamp_password(FZT_SECRET, expiry, (const uint8_t *)salt, strlen(salt), password,
                            sizeof password);
    fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c[i].username, strlen(c[i].username),
                           "firezone", password, c[i].key);
    ck_assert_int_eq(fzt_allocate(&relay, &c[i]), 0);
  }
  ck_assert_uint_eq(list(all, 4), 3);
  const uint64_t same = fzr_engine_user(relay.engine, (const uint8_t *)"1:same", 6);
  ck_assert_uint_eq(all[0].user, same);
  ck_assert_uint_ne(all[1].user, same);
  ck_assert_uint_eq(all[2].user, same);
  ck_assert_uint_eq(fzr_engine_user(NULL, (const uint8_t *)"x", 1), 0);
  ck_assert_uint_eq(fzr_engine_user(relay.engine, NULL, 1), 0);
}
END_TEST

static int end_it(unsigned i, bool by_port)
{
  return by_port ? fzr_engine_end_allocation_at(relay.engine, c[i].relayed_port, relay.now)
                 : fzr_engine_end_allocation(relay.engine, &c[i].addr, &c[i].server, relay.now);
}

START_TEST(test_end)
{
  uint8_t data[8] = {0x40, 0, 0, 4};
  fzr_stats stats;
  for (unsigned i = 0; i < 3; i++) {
    ck_assert_int_eq(fzt_allocate(&relay, &c[i]), 0);
    bind(i, 0x4000, "203.0.113.9:53");
    bind(i, 0x4001, "203.0.113.9:54");
  }
  ck_assert_int_eq(end_it(1, _i), 0);
  ck_assert_uint_eq(ended_logs, 1);
  ck_assert_int_eq(end_it(1, _i), FZR_ERR_INVALID_STATE);
  ck_assert_uint_le(fzr_engine_deadline(relay.engine), relay.now);
  fzt_pass(&relay, 0);
  ck_assert_uint_gt(fzr_engine_deadline(relay.engine), relay.now);
  ck_assert_uint_eq(relay.event_count, 3);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[2].type, FZR_EVENT_PORT_CLOSE);
  ck_assert_uint_eq(relay.events[2].port, c[1].relayed_port);
  fzr_engine_stats(relay.engine, &stats);
  ck_assert_uint_eq(stats.allocations, 2);
  ck_assert_uint_eq(stats.allocations_ended, 1);
  ck_assert_uint_eq(stats.channels, 4);
  fzt_client(&relay, &c[1].addr, &c[1].server, data, sizeof data);
  ck_assert_uint_eq(relay.verdicts[0].reason, FZR_DROP_UNKNOWN_CLIENT);
  fzt_client(&relay, &c[2].addr, &c[2].server, data, sizeof data);
  ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert_int_eq(fzt_refresh(&relay, &c[1], 600), 437);
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), 0);
  ck_assert_uint_eq(ended_logs, 1);
}
END_TEST

/* Between the end and its events nothing is relayed, and what ends is not listed. */
START_TEST(test_before_the_events)
{
  uint8_t data[8] = {0x40, 0, 0, 4};
  fzr_allocation all[4];
  const fzr_addr peer = fzt_addr("203.0.113.9:53");
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), 0);
  bind(1, 0x4000, "203.0.113.9:53");
  ck_assert_int_eq(end_it(1, _i), 0);
  ck_assert_uint_eq(list(all, 4), 0);
  fzr_verdict verdict;
  fzr_pkt pkt = {.data = data, .len = sizeof data, .from = c[1].addr, .to = c[1].server};
  fzr_batch batch = {.in = &pkt, .count = 1, .out = &verdict, .room = 1};
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
  ck_assert_uint_eq(verdict.reason, FZR_DROP_UNKNOWN_CLIENT);
  fzt_peer(&relay, &peer, c[1].relayed_port, data, sizeof data);
  ck_assert_uint_eq(relay.verdicts[0].reason, FZR_DROP_UNKNOWN_PORT);
}
END_TEST

START_TEST(test_none)
{
  const fzr_addr a = c[0].addr, s = c[0].server;
  ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
  ck_assert_int_eq(fzr_engine_end_allocation(NULL, &a, &s, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, NULL, &s, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &a, NULL, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_end_allocation_at(NULL, 50000, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &s, &a, relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &c[1].addr, &s, relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_end_allocation_at(relay.engine, 1, relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_end_allocation_at(relay.engine, c[0].relayed_port ^ 1, relay.now),
                   FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzt_refresh(&relay, &c[0], 600), 0);
  ck_assert_uint_eq(ended_logs, 0);
}
END_TEST

/* One that waits for its socket is listed, and ends; its port is nobody else's until it is known what became of that. */
START_TEST(test_opening)
{
  fzr_allocation all[4];
  fzr_event event;
  fzr_stats stats;
  relay.hold_opens = true;
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), -1);
  const uint16_t port = c[1].relayed_port = relay.events[0].port;
  ck_assert_uint_eq(list(all, 4), 1);
  ck_assert(all[0].opening && fzr_addr_equal(&all[0].client, &c[1].addr) && all[0].relayed[0].port == port);
  ck_assert_int_eq(end_it(1, _i), 0);
  ck_assert_uint_eq(ended_logs, 1);
  ck_assert_int_eq(end_it(1, _i), FZR_ERR_INVALID_STATE);
  ck_assert_uint_eq(list(all, 4), 0);
  ck_assert(!fzr_engine_next_event(relay.engine, &event));
  /* It may allocate anew, while that socket is still being opened. */
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), -1);
  ck_assert_uint_eq(relay.event_count, 1);
  const uint16_t other = c[1].relayed_port = relay.events[0].port;
  ck_assert_uint_ne(other, port);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, port, FZR_FAMILY_IPV4, 0, NULL, relay.now),
                   FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, other, FZR_FAMILY_IPV4, 0,
                                          (void *)((uintptr_t)other << 2 | FZR_FAMILY_IPV4), relay.now),
                   0);
  ck_assert_uint_eq(list(all, 4), 1);
  ck_assert(!all[0].opening && all[0].relayed[0].port == other);
  ck_assert_int_eq(fzt_refresh(&relay, &c[1], 600), 0);
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  ck_assert(stats.allocations == 1 && stats.allocations_created == 1 && stats.allocations_ended == 0);
}
END_TEST

/* Before its PORT_OPEN was taken there is no socket to wait for. */
START_TEST(test_opening_before_the_events)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_allocation a;
  fzr_event event;
  fzr_verdict verdict;
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), 0); /* for the nonce */
  ck_assert_int_eq(fzt_refresh(&relay, &c[1], 0), 0);
  fzt_begin(&relay, &c[1], &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_integrity(&b, c[1].key, sizeof c[1].key);
  fzr_pkt pkt = {
      .data = buffer, .len = (uint32_t)fzr_stun_build_finish(&b), .from = c[1].addr, .to = c[1].server};
  fzr_batch batch = {.in = &pkt, .count = 1, .out = &verdict, .room = 1};
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
  ck_assert_uint_eq(list(&a, 1), 1);
  c[1].relayed_port = a.relayed[0].port;
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &c[1].addr, &c[1].server, relay.now), 0);
  ck_assert(!fzr_engine_next_event(relay.engine, &event));
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), 0);
}
END_TEST

/* What keeps its port beyond its end, because its socket is still being opened, is no more the client's than any other port. */
START_TEST(test_a_port_that_is_not_given_back)
{
  relay.hold_opens = true;
  ck_assert_int_eq(fzt_allocate(&relay, &c[0]), -1);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_PORT_OPEN);
  const uint16_t port = relay.events[0].port;
  fzt_pass(&relay, 620 * FZR_SECOND);
  relay.hold_opens = false;
  ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
  ck_assert_uint_ne(c[0].relayed_port, port);
  ck_assert_int_eq(fzr_engine_end_allocation_at(relay.engine, port, relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzt_refresh(&relay, &c[0], 600), 0);
}
END_TEST

/* One whose time is over is not ended by hand. */
START_TEST(test_too_late)
{
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), 0);
  relay.now += 611 * FZR_SECOND;
  ck_assert_int_eq(end_it(1, _i), FZR_ERR_INVALID_STATE);
  ck_assert_uint_eq(ended_logs, 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 1);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_PORT_CLOSE);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("admin");
  TCase *tc = tcase_create("admin");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_find);
  tcase_add_test(tc, test_list);
  tcase_add_test(tc, test_both_families);
  tcase_add_test(tc, test_users);
  tcase_add_loop_test(tc, test_end, 0, 2);
  tcase_add_loop_test(tc, test_before_the_events, 0, 2);
  tcase_add_test(tc, test_none);
  tcase_add_loop_test(tc, test_opening, 0, 2);
  tcase_add_test(tc, test_opening_before_the_events);
  tcase_add_test(tc, test_a_port_that_is_not_given_back);
  tcase_add_loop_test(tc, test_too_late, 0, 2);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
