/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation of memory fails, for every n, alone and with all that follow: nothing crashes, nothing leaks, and the relay
 * goes on with what it has. */
#include "relay.h"

#include "turn/state.h"

#include <stdio.h>

/* What the application changes meanwhile. Where there is no memory all stays as it was. */
static void change(fzt_relay *r, const fzr_config *config, unsigned i)
{
  fzr_config other = *config;
  const fzr_peer_rule rule = {.net = fzt_addr("198.18.0.0"), .prefix = 16, .allow = true};
  const uint64_t live = r->mem.live;
  other.unauthenticated_rate = i % 3 ? 100000 + i : FZR_UNLIMITED;
  int error = fzr_engine_set_limits(r->engine, &other);
  ck_assert(error == 0 || (error == FZR_ERR_NO_MEMORY && r->mem.live == live));
  const uint64_t before = r->mem.live;
  error = fzr_engine_set_peer_rules(r->engine, &rule, i % 2);
  ck_assert(error == 0 || (error == FZR_ERR_NO_MEMORY && r->mem.live == before));
  ck_assert_int_eq(fzr_engine_set_secrets(r->engine, FZT_SECRET, i % 2 ? "other" : NULL), 0);
  fzt_pass(r, 0);
}

/* A pair of ports with a ticket, which then moves: 508 wherever there is no memory, and the allocation is where it was. */
static void live_with_more(fzt_relay *r, fzt_client_state *c)
{
  uint8_t buffer[512], ticket[64];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  fzt_begin(r, c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_EVEN_PORT, "\x80", 1);
  fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
  int code = fzt_finish(r, c, &b, &msg);
  ck_assert_msg(code == 0 || code == 508, "code %d", code);
  if (code)
    return;
  ck_assert(fzr_stun_has(&msg, FZR_ATTR_RESERVATION_TOKEN));
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_MOBILITY_TICKET, &attr) && attr.len <= sizeof ticket);
  memcpy(ticket, attr.value, attr.len);
  const fzr_addr before = c->addr;
  for (unsigned i = 0; i < 40; i++) {
    c->addr.port++;
    ck_assert_int_eq(fzt_refresh(r, c, 600), 437); /* for a nonce */
    fzt_begin(r, c, &b, buffer, sizeof buffer, FZR_STUN_REFRESH);
    fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, ticket, attr.len);
    code = fzt_finish(r, c, &b, &msg);
    ck_assert_msg(code == 0 || code == 508, "code %d", code);
    if (code)
      break;
    ck_assert(fzr_stun_get(&msg, FZR_ATTR_MOBILITY_TICKET, &attr));
    memcpy(ticket, attr.value, attr.len);
  }
  if (code) {
    c->addr.port--;
    ck_assert_int_eq(fzt_refresh(r, c, 600), fzr_addr_equal(&c->addr, &before) ? 0 : 438);
  }
}

/* A life of a relay: clients come, bind, talk, go. Whatever fails is answered, or not, but never fatal. */
static void live(fzt_relay *r, const fzr_config *config)
{
  if (fzr_engine_new(config, &r->engine, r->now))
    return;
  fzr_engine_set_wallclock(r->engine, FZT_UNIX_NOW, r->now);
  for (unsigned i = 0; i < 20; i++) {
    fzt_client_state c;
    uint8_t data[8] = {0};
    fzt_client_init(&c, "198.51.100.1:4000");
    c.addr.ip[3] = (uint8_t)i;
    const int code = fzt_allocate(r, &c);
    ck_assert_msg(code == 0 || code == 508, "code %d", code);
    for (unsigned k = 0; code == 0 && k < 20; k++) {
      fzr_addr peer = fzt_addr("203.0.113.9:5000");
      peer.port = (uint16_t)(peer.port + k);
      const int bound = fzt_bind(r, &c, (uint16_t)(0x4000 + k), &peer);
      ck_assert_msg(bound == 0 || bound == 508, "code %d", bound);
      fzr_channel_data_header(data, (uint16_t)(0x4000 + k), 4);
      fzt_client(r, &c.addr, &c.server, data, sizeof data);
      ck_assert_uint_eq(r->verdict_count, 1);
      ck_assert_uint_eq(r->verdicts[0].action, bound == 0 ? FZR_ACT_FORWARD : FZR_ACT_DROP);
    }
    if (code == 0 && i % 3 == 1) {
      ck_assert_int_eq(fzt_refresh(r, &c, 0), 0);
      live_with_more(r, &c);
    } else if (code == 0 && i % 3 == 2)
      ck_assert_int_eq(fzr_engine_end_allocation_at(r->engine, c.relayed_port, r->now), 0);
    change(r, config, i);
  }
}

static void run(uint64_t fail_from, uint64_t fail_only, uint64_t *count)
{
  static const fzr_user users[] = {{"a", "b"}};
  static fzt_relay r;
  fzr_config config = fzt_config(&r);
  config.keep_user_names = true;
  const fzr_peer_rule rule = {.net = fzt_addr("198.18.0.0"), .prefix = 15, .allow = true};
  config.peer_rules = &rule;
  config.peer_rule_count = 1;
  config.unauthenticated_rate = 100000;
  config.users = users;
  config.user_count = 1;
  config.max_allocations_per_user = 100;
  config.mobility = true;
  r.mem.fail_from = fail_from;
  r.mem.fail_only = fail_only;
  live(&r, &config);
  *count = r.mem.count;
  fzr_engine_free(r.engine);
  ck_assert_uint_eq(r.mem.live, 0);
  ck_assert_uint_eq(r.mem.live_blocks, 0);
}

START_TEST(test_every_allocation_fails_once)
{
  uint64_t total, ignored;
  run(0, 0, &total);
  ck_assert_uint_gt(total, 20);
  for (uint64_t n = 1; n <= total; n++) {
    run(n, 0, &ignored);
    run(0, n, &ignored);
  }
  printf("oom: %llu allocations, each failed alone and with all that follow\n", (unsigned long long)total);
}
END_TEST

/* The port that an Allocate was to have is held, and there is no memory to try another one: 508, and both ports are free again. */
START_TEST(test_another_port)
{
  enum { BLOCK = 128 }; /* allocations that fit what was taken for the first one */
  static fzt_relay r;
  static fzt_client_state c;
  fzr_config config = fzt_config(&r);
  config.keep_user_names = true;
  fzt_relay_init(&r, &config);
  for (unsigned i = 0; i < BLOCK; i++) {
    fzt_client_init(&c, "198.51.100.1:4000");
    c.addr.port = (uint16_t)(c.addr.port + i);
    if (i == BLOCK - 1) {
      r.open_errors[0] = FZR_ERR_IO_IN_USE;
      r.open_error_count = 1;
      r.mem.fail_from = r.mem.count + 1;
    }
    ck_assert_int_eq(fzt_allocate(&r, &c), i < BLOCK - 1 ? 0 : 508);
  }
  ck_assert_uint_eq(fzr_shared_ports_in_use(r.engine->shared), BLOCK - 1);
  r.mem.fail_from = 0;
  ck_assert_int_eq(fzt_allocate(&r, &c), 0);
  fzt_relay_free(&r);
}
END_TEST

static fzt_relay watched;
static uint64_t installed_most;

/* Looks at what is counted while memory is asked for. */
static void *watching_alloc(void *ctx, size_t size)
{
  fzr_stats stats;
  if (!fzr_engine_stats(watched.engine, &stats) && stats.permissions_installed > installed_most)
    installed_most = stats.permissions_installed;
  return watched.mem.hooks.alloc(ctx, size);
}

/* A request for more permissions than there is memory for installs none, and none of them was counted at any time: a counter never goes
 * back. */
START_TEST(test_permissions_are_counted_when_they_stay)
{
  enum { BLOCK = 128 }; /* permissions that fit what is taken at once */
  static uint8_t buffer[4096];
  fzt_client_state c;
  fzr_stun_builder b;
  fzr_stats stats;
  fzr_config config = fzt_config(&watched);
  fzr_mem mem = watched.mem.hooks;
  mem.alloc = watching_alloc;
  config.mem = &mem;
  fzt_relay_init(&watched, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&watched, &c), 0);
  int code = 508;
  for (unsigned n = 1; code; n++) {
    fzt_begin(&watched, &c, &b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION);
    for (unsigned i = 0; i <= BLOCK; i++)
      fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS,
                        &(fzr_addr){{203, 0, 100, (uint8_t)i}, 0, 9, FZR_FAMILY_IPV4, 0});
    watched.mem.fail_only = watched.mem.count + n;
    code = fzt_finish(&watched, &c, &b, NULL);
    ck_assert(code == 0 || code == 508);
    ck_assert_int_eq(fzr_engine_stats(watched.engine, &stats), 0);
    ck_assert_uint_eq(stats.permissions, code ? 0 : BLOCK + 1);
    ck_assert_uint_eq(stats.permissions_installed, stats.permissions);
    ck_assert_uint_le(installed_most, stats.permissions_installed);
    ck_assert_uint_gt(n + (unsigned)code, 1); /* memory was asked for */
  }
  fzt_relay_free(&watched);
}
END_TEST

START_TEST(test_static_users)
{
  static const fzr_user users[] = {{"alice", "a"}, {"bob", "b"}, {"carol", "c"}};
  static fzt_relay r;
  int error = FZR_ERR_NO_MEMORY;
  for (uint64_t n = 1; error; n++) {
    fzr_config config = fzt_config(&r);
    config.keep_user_names = true;
    config.auth = FZR_AUTH_STATIC;
    config.users = users;
    config.user_count = 3;
    r.mem.fail_from = n;
    error = fzr_engine_new(&config, &r.engine, 0);
    ck_assert(error == 0 || error == FZR_ERR_NO_MEMORY);
    if (error)
      ck_assert_uint_eq(r.mem.live, 0);
  }
  /* Others in their place: the old ones stay where there is no memory. */
  error = FZR_ERR_NO_MEMORY;
  for (uint64_t n = 1; error; n++) {
    const uint64_t live = r.mem.live;
    r.mem.fail_from = r.mem.count + n;
    error = fzr_engine_set_users(r.engine, users, 2);
    ck_assert(error == 0 || (error == FZR_ERR_NO_MEMORY && r.mem.live == live));
  }
  fzt_relay_free(&r);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("oom");
  TCase *tc = tcase_create("oom");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, test_every_allocation_fails_once);
  tcase_add_test(tc, test_another_port);
  tcase_add_test(tc, test_permissions_are_counted_when_they_stay);
  tcase_add_test(tc, test_static_users);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
