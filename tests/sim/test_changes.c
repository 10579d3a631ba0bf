/* SPDX-License-Identifier: Apache-2.0 */
/* The operator changes secrets, rules and limits, and ends allocations, while clients talk: who is not meant loses nothing. */
#include "world.h"

#define SECONDS(n) ((fzr_time)(n)*FZR_SECOND)

static const memory_link link = {10 * FZR_MILLISECOND, 0, 0, 0};
static sim_world w;

static void set_up(void)
{
  ck_assert_int_eq(sim_start(&w, 1, &link, 0, 0), 0);
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    sim_client_go(&w.clients[i]);
  sim_run(&w, SECONDS(60));
}

static void tear_down(void)
{
  sim_end(&w);
}

/* What is on its way arrives. */
static void settle(void)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    w.clients[i].talks = false;
  sim_run(&w, SECONDS(5));
}

/* Nothing was lost on channel |k| of client |c|, which was used all the time. */
static void expect_all(const sim_client *c, unsigned k, uint64_t least)
{
  const sim_channel *channel = &c->channels[k];
  ck_assert_uint_ge(channel->out.sent, least);
  ck_assert_uint_eq(channel->out.received, channel->out.sent);
  ck_assert_uint_eq(channel->back.received, channel->back.sent);
}

static uint64_t dropped(void)
{
  const fzr_stats stats = sim_stats(&w);
  uint64_t sum = 0;
  for (unsigned i = 0; i < FZR_DROP_REASONS; i++)
    sum += stats.dropped[i];
  return sum;
}

/* A secret goes in two steps; calls that were begun with it go on for hours, and not a request is refused. */
START_TEST(test_secrets)
{
  ck_assert_int_eq(fzr_engine_set_secrets(w.engine, "the next secret", SIM_SECRET), 0);
  sim_run(&w, SECONDS(3600));
  ck_assert_int_eq(fzr_engine_set_secrets(w.engine, "the next secret", NULL), 0);
  sim_run(&w, SECONDS(2 * 3600));
  settle();
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    const sim_client *c = &w.clients[i];
    ck_assert_uint_eq(c->allocations, 1);
    ck_assert_uint_eq(c->codes[401], 1); /* the first request, which had no nonce */
    ck_assert_uint_eq(c->codes[437], 0);
    for (unsigned k = 0; k < SIM_PEERS; k++)
      expect_all(c, k, 3 * 3600 - 60);
  }
  ck_assert_uint_eq(dropped(), 0);
}
END_TEST

/* One peer is denied, and allowed again: what the others send and get is not touched. */
START_TEST(test_rules)
{
  const fzr_peer_rule denied = {.net = w.peers[0].addr, .prefix = 32};
  sim_run(&w, SECONDS(600));
  ck_assert_int_eq(fzr_engine_set_peer_rules(w.engine, &denied, 1), 0);
  sim_run(&w, SECONDS(1));
  const uint64_t before = w.clients[0].channels[0].out.received;
  sim_run(&w, SECONDS(900));
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    const sim_channel *channel = &w.clients[i].channels[0];
    ck_assert(!channel->bound);
    ck_assert_int_eq(channel->last_code, 403);
  }
  ck_assert_uint_eq(w.clients[0].channels[0].out.received, before);
  ck_assert_uint_gt(sim_stats(&w).dropped[FZR_DROP_UNKNOWN_CHANNEL], 0);
  ck_assert_int_eq(fzr_engine_set_peer_rules(w.engine, NULL, 0), 0);
  sim_run(&w, SECONDS(60));
  ck_assert_uint_gt(w.clients[0].channels[0].out.received, before);
  settle();
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    ck_assert(w.clients[i].channels[0].bound);
    ck_assert_uint_eq(w.clients[i].allocations, 1);
    for (unsigned k = 1; k < SIM_PEERS; k++)
      expect_all(&w.clients[i], k, 1500);
  }
}
END_TEST

/* All that one client has is ended: his socket is closed at once, and he begins anew when he next asks for something. */
START_TEST(test_ended)
{
  fzr_allocation list[SIM_CLIENTS + 1];
  uint32_t cursor = 0;
  sim_client *c = &w.clients[0];
  sim_run(&w, SECONDS(600));
  ck_assert_uint_eq(fzr_engine_list_allocations(w.engine, &cursor, list, SIM_CLIENTS + 1), SIM_CLIENTS);
  const unsigned ports = memory_relay_open_ports(w.relay);
  const uint64_t user = fzr_engine_user(w.engine, (const uint8_t *)c->username, strlen(c->username));
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    if (list[i].user == user)
      ck_assert_int_eq(
          fzr_engine_end_allocation(w.engine, &list[i].client, &list[i].server, memory_net_now(w.net)), 0);
  sim_run(&w, SECONDS(1));
  ck_assert_uint_eq(memory_relay_open_ports(w.relay), ports - 2);
  ck_assert_uint_eq(sim_stats(&w).allocations, SIM_CLIENTS - 1);
  sim_run(&w, SECONDS(700));
  ck_assert_uint_eq(c->allocations, 2);
  ck_assert_uint_ge(c->codes[437], 1);
  const uint64_t before = c->channels[0].out.received;
  sim_run(&w, SECONDS(60));
  ck_assert_uint_gt(c->channels[0].out.received, before + 50);
  settle();
  ck_assert_uint_eq(w.clients[1].allocations, 1);
  for (unsigned k = 0; k < SIM_PEERS; k++)
    expect_all(&w.clients[1], k, 1300);
}
END_TEST

/* Limits that are lower than what there is end nothing, and are in force for what comes. */
START_TEST(test_limits)
{
  fzr_config config = fzr_config_init();
  config.max_channels_per_allocation = 2;
  config.max_allocations_per_user = 1;
  config.max_bandwidth_per_allocation = 1000000;
  config.unauthenticated_rate = 10;
  ck_assert_int_eq(fzr_engine_set_limits(w.engine, &config), 0);
  w.clients[0].channels[SIM_PEERS].peer = w.clients[1].relayed[0];
  w.clients[0].channels[SIM_PEERS].wanted = true;
  sim_run(&w, SECONDS(3600));
  ck_assert_int_eq(w.clients[0].channels[SIM_PEERS].last_code, 508);
  settle();
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    ck_assert_uint_eq(w.clients[i].allocations, 1);
    for (unsigned k = 0; k < SIM_PEERS; k++)
      expect_all(&w.clients[i], k, 3600);
  }
  ck_assert_uint_eq(dropped(), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sim-changes");
  TCase *tc = tcase_create("sim-changes");
  tcase_set_timeout(tc, 240);
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_secrets);
  tcase_add_test(tc, test_rules);
  tcase_add_test(tc, test_ended);
  tcase_add_test(tc, test_limits);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
