/* SPDX-License-Identifier: Apache-2.0 */
/* A NAT gives a client another port, which leads to another worker, and later the first one back. */
#include "world.h"

#include <stdio.h>

#define SECONDS(n) ((fzr_time)(n)*FZR_SECOND)
#define ONE_WAY    (10 * FZR_MILLISECOND)

static sim_world w;

static uint64_t allocations(void)
{
  fzr_stats stats = {.size = sizeof stats};
  ck_assert_int_eq(fzr_engine_stats(w.other_engine, &stats), 0);
  return sim_stats(&w).allocations + stats.allocations;
}

static unsigned open_ports(void)
{
  return memory_relay_open_ports(w.relay) + memory_relay_open_ports(w.other_relay);
}

static void all_go(bool eager)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    w.clients[i].eager = eager;
    sim_client_go(&w.clients[i]);
  }
  sim_run(&w, SECONDS(20));
}

/* A hundred times there and back. Each time the client learns with the answers to his Refresh that he has nothing there, and begins
 * anew: no answer but these, no waiting, data on all channels, and nothing of the old allocation is left. A limit of one allocation
 * for each user changes nothing. */
START_TEST(test_there_and_back)
{
  const memory_link link = {ONE_WAY, 0, 0, 0};
  fzr_time most = 0;
  ck_assert_int_eq(sim_start_two(&w, 1, &link, (uint32_t)_i), 0);
  all_go(true);
  sim_client *c = &w.clients[0];
  for (unsigned flip = 1; flip <= 100; flip++) {
    uint64_t before[SIM_PEERS];
    const unsigned stale = c->codes[438];
    for (unsigned k = 0; k < SIM_PEERS; k++)
      before[k] = c->channels[k].back.received;
    sim_flip(c);
    sim_run(&w, SECONDS(5));
    ck_assert_uint_eq(c->codes[437], flip);
    ck_assert_uint_le(c->codes[438], stale + 1); /* a nonce is for one source address */
    ck_assert_uint_eq(c->allocations, flip + 1);
    ck_assert_uint_gt(c->took, 0);
    most = c->took > most ? c->took : most;
    for (unsigned k = 0; k < SIM_PEERS; k++)
      ck_assert_uint_ge(c->channels[k].back.received, before[k] + 3);
    /* The other worker has noticed it by itself: two sockets for each client. */
    ck_assert_uint_eq(allocations(), SIM_CLIENTS);
    ck_assert_uint_eq(open_ports(), 2 * SIM_CLIENTS);
  }
  /* One round trip each for 438, 437, the Allocate and the channels. */
  ck_assert_uint_le(most, 2 * ONE_WAY * (3 + SIM_PEERS));
  for (unsigned code = 300; code < 700; code++)
    ck_assert_msg(!c->codes[code] || code == 401 || code == 437 || code == 438, "%u", code);
  ck_assert_uint_eq(w.clients[1].allocations, 1);
  ck_assert_uint_eq(w.clients[1].codes[437], 0);
  printf("100 flips, limit %d: all channels again after at most %.0f ms, one round trip takes %.0f\n", _i,
         (double)most / 1e6, 2 * (double)ONE_WAY / 1e6);
  sim_end(&w);
}
END_TEST

/* The same with mobility (RFC 8016): the allocation is taken along in two round trips, a 438 with a nonce for the new address and the
 * Refresh, although another worker hears the client then. What the client sends right behind that Refresh comes back from its peers as
 * fast as ever. One allocation all the while, and no channel is bound anew. */
START_TEST(test_there_and_back_by_ticket)
{
  const memory_link link = {ONE_WAY, 0, 0, 0};
  fzr_time most = 0, most_data = 0;
  ck_assert_int_eq(sim_start_mobile(&w, 7, &link), 0);
  w.talk_every = 5 * FZR_MILLISECOND;
  all_go(true);
  sim_client *c = &w.clients[0];
  const unsigned asked = w.requests;
  for (unsigned flip = 1; flip <= 100; flip++) {
    uint64_t before[SIM_PEERS];
    for (unsigned k = 0; k < SIM_PEERS; k++)
      before[k] = c->channels[k].back.received;
    sim_flip(c);
    sim_run(&w, SECONDS(1) / 2);
    ck_assert_uint_gt(c->took, 0);
    most = c->took > most ? c->took : most;
    most_data = c->data_took > most_data ? c->data_took : most_data;
    for (unsigned k = 0; k < SIM_PEERS; k++)
      ck_assert_uint_ge(c->channels[k].back.received, before[k] + 70);
    ck_assert_uint_eq(allocations(), SIM_CLIENTS);
    ck_assert_uint_eq(open_ports(), 2 * SIM_CLIENTS);
  }
  ck_assert_uint_eq(most, 4 * ONE_WAY);
  ck_assert_uint_le(most_data, 2 * ONE_WAY + w.talk_every + 4 * ONE_WAY); /* to peers and back */
  ck_assert_uint_eq(w.requests, asked + 200); /* no other request, and none twice */
  ck_assert_uint_eq(c->allocations, 1);
  ck_assert_uint_eq(c->codes[438], 100);
  for (unsigned code = 300; code < 700; code++)
    ck_assert_msg(!c->codes[code] || code == 401 || code == 438, "%u", code);
  printf("100 flips by ticket: answered after at most %.0f ms, data after %.0f, one round trip takes %.0f\n",
         (double)most / 1e6, (double)most_data / 1e6, 2 * (double)ONE_WAY / 1e6);
  sim_end(&w);
}
END_TEST

/* Flips at any time on bad links: whatever is lost, an allocation is hardly ever, and in the end each client has one, and data. */
START_TEST(test_restless_nat_by_ticket)
{
  const memory_link link = {ONE_WAY, 40 * FZR_MILLISECOND, 50, 20};
  fzt_prng prng = {fzt_seed("roaming by ticket")};
  ck_assert_int_eq(sim_start_mobile(&w, (uint64_t)_i, &link), 0);
  all_go(_i % 2);
  for (unsigned flip = 0; flip < 200; flip++) {
    sim_flip(&w.clients[fzt_below(&prng, SIM_CLIENTS)]);
    sim_run(&w, fzt_below(&prng, fzt_below(&prng, 2) ? 4 * FZR_SECOND : 100 * FZR_MILLISECOND));
  }
  sim_run(&w, SECONDS(120));
  ck_assert_uint_eq(allocations(), SIM_CLIENTS);
  ck_assert_uint_eq(open_ports(), 2 * SIM_CLIENTS);
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    const sim_client *c = &w.clients[i];
    uint64_t before[SIM_PEERS];
    ck_assert_uint_eq(c->codes[486] + c->codes[508] + c->codes[441], 0);
    ck_assert_uint_eq(c->allocations, 1);
    for (unsigned k = 0; k < SIM_PEERS; k++)
      before[k] = c->channels[k].back.received;
    sim_run(&w, SECONDS(20));
    for (unsigned k = 0; k < SIM_PEERS; k++)
      ck_assert_uint_ge(c->channels[k].back.received, before[k] + 10);
  }
  sim_end(&w);
}
END_TEST

/* Flips at any time, also in the middle of requests, on links that lose and delay: in the end each client has one allocation, and
 * data. */
START_TEST(test_restless_nat)
{
  const memory_link link = {ONE_WAY, 40 * FZR_MILLISECOND, 50, 20};
  fzt_prng prng = {fzt_seed("roaming")};
  ck_assert_int_eq(sim_start_two(&w, (uint64_t)_i, &link, 1), 0);
  all_go(false);
  for (unsigned flip = 0; flip < 100; flip++) {
    sim_flip(&w.clients[fzt_below(&prng, SIM_CLIENTS)]);
    sim_run(&w, fzt_below(&prng, 4 * FZR_SECOND));
  }
  sim_run(&w, SECONDS(120));
  ck_assert_uint_eq(allocations(), SIM_CLIENTS);
  ck_assert_uint_eq(open_ports(), 2 * SIM_CLIENTS);
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    const sim_client *c = &w.clients[i];
    uint64_t before[SIM_PEERS];
    ck_assert_uint_eq(c->codes[486] + c->codes[508] + c->codes[441], 0);
    for (unsigned k = 0; k < SIM_PEERS; k++)
      before[k] = c->channels[k].back.received;
    sim_run(&w, SECONDS(20));
    for (unsigned k = 0; k < SIM_PEERS; k++)
      ck_assert_uint_ge(c->channels[k].back.received, before[k] + 10);
  }
  sim_end(&w);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("roaming");
  TCase *tc = tcase_create("roaming");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, test_there_and_back, 0, 2);
  tcase_add_loop_test(tc, test_restless_nat, 1, 6);
  tcase_add_test(tc, test_there_and_back_by_ticket);
  tcase_add_loop_test(tc, test_restless_nat_by_ticket, 1, 6);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
