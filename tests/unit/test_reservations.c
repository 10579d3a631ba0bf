/* SPDX-License-Identifier: Apache-2.0 */
/* Even ports, pairs of them, and the reservation of the second one, in one shard and across two. What is answered is in
 * tests/conformance/allocations.c. */
#include "relay.h"

#include "turn/ports.h"

#include <pthread.h>
#include <stdatomic.h>

/* Ranges that begin and end at either parity, and anywhere within words of 64: every pair is given out once, then none; and so with the
 * even ports that are left. */
START_TEST(test_every_pair_once)
{
  static const uint16_t ranges[][2] = {{1, 1},     {2, 2},         {2, 3},         {3, 4},        {63, 66},
                                       {1, 65535}, {50000, 50063}, {50001, 50064}, {50001, 50127}};
  static uint8_t used[65536];
  fzt_prng prng = {fzt_seed("pairs")};
  const uint16_t lowest = ranges[_i][0], highest = ranges[_i][1];
  uint32_t pairs = 0, evens = 0;
  fzr_shared *s;
  uint16_t port;
  memset(used, 0, sizeof used);
  for (uint32_t p = lowest; p <= highest; p++) {
    pairs += p % 2 == 0 && p < highest;
    evens += p % 2 == 0;
  }
  ck_assert_int_eq(fzr_shared_new(lowest, highest, NULL, &s), 0);
  for (uint32_t i = 0; i < pairs; i++) {
    port = fzri_shared_take_port(s, FZRI_PORT_PAIR, fzt_next(&prng), false, 0);
    fzt_check(port >= lowest && port < highest && port % 2 == 0 && !used[port]++ && !used[port + 1]++);
    fzt_check(fzr_shared_ports_in_use(s) == 2 * (i + 1));
  }
  ck_assert_uint_eq(fzri_shared_take_port(s, FZRI_PORT_PAIR, fzt_next(&prng), false, 0), 0);
  while ((port = fzri_shared_take_port(s, FZRI_PORT_EVEN, fzt_next(&prng), false, 0)) != 0) {
    fzt_check(port >= lowest && port <= highest && port % 2 == 0 && !used[port]++);
    evens--;
  }
  ck_assert_uint_eq(evens, pairs);
  while ((port = fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, 0)) != 0)
    fzt_check(!used[port]++);
  ck_assert_uint_eq(fzr_shared_ports_in_use(s), (uint32_t)highest - lowest + 1);
  /* One half of a pair that is free is none. */
  if (pairs) {
    const uint16_t even = (uint16_t)(lowest + lowest % 2);
    fzri_shared_give_port(s, even, 0);
    ck_assert_uint_eq(fzri_shared_take_port(s, FZRI_PORT_PAIR, 1, false, 0), 0);
    fzri_shared_give_port(s, (uint16_t)(even + 1), 0);
    ck_assert_uint_eq(fzri_shared_take_port(s, FZRI_PORT_PAIR, 1, false, 0), even);
  }
  fzr_shared_free(s);
}
END_TEST

/* A pair of which one port rests, or is held by another program, is taken after those that are better. */
START_TEST(test_better_pairs_first)
{
  fzr_shared *s;
  fzt_prng prng = {fzt_seed("better pairs")};
  ck_assert_int_eq(fzr_shared_new(2000, 2005, NULL, &s), 0);
  for (unsigned i = 0; i < 6; i++)
    ck_assert_uint_ne(fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, 0), 0);
  const fzr_time now = 2 * FZRI_PORT_RESTS;
  fzri_shared_port_is_held(s, 2003, now);
  for (uint16_t port = 2000; port < 2006; port++)
    fzri_shared_give_port(s, port, port == 2004 ? now : 0);
  ck_assert_uint_eq(fzri_shared_take_port(s, FZRI_PORT_PAIR, fzt_next(&prng), false, now), 2000);
  ck_assert_uint_eq(fzri_shared_take_port(s, FZRI_PORT_PAIR, fzt_next(&prng), false, now), 2004);
  ck_assert_uint_eq(fzri_shared_take_port(s, FZRI_PORT_PAIR, fzt_next(&prng), false, now), 2002);
  fzr_shared_free(s);
}
END_TEST

/* ---- many at once ---- */

#define THREADS 4
#define PORTS   64

typedef struct racer {
  fzr_shared *shared;
  atomic_uint *owner;       /* of each port, 0: nobody */
  _Atomic uint64_t *tokens; /* that are out, for all to try */
  uint64_t seed;
  unsigned id;
  bool wrong;
  unsigned claimed;
} racer;

static void own(racer *r, uint16_t port)
{
  r->wrong |= atomic_exchange(&r->owner[port - 2000], r->id) != 0;
}

static void disown(racer *r, uint16_t port, fzr_time now)
{
  r->wrong |= atomic_exchange(&r->owner[port - 2000], 0) != r->id;
  fzri_shared_give_port(r->shared, port, now);
}

/* Reserves ports, and claims its own and those of others. */
static void *race(void *arg)
{
  racer *r = arg;
  fzt_prng prng = {r->seed};
  for (unsigned i = 0; i < 20000; i++) {
    const fzr_time now = i * FZR_MILLISECOND;
    const uint16_t port =
        fzri_shared_take_port(r->shared, FZRI_PORT_PAIR, fzt_next(&prng), fzt_below(&prng, 2), now);
    if (port) {
      const uint16_t other = (uint16_t)(port + 1);
      const uint64_t token = FZRI_TOKEN | (fzt_next(&prng) & ~(uint64_t)0x1ffff) | other;
      own(r, port);
      fzri_shared_reserve_port(r->shared, other, token);
      atomic_store(&r->tokens[fzt_below(&prng, PORTS)], token);
      disown(r, port, now);
      if (fzt_below(&prng, 2) && fzri_shared_claim_port(r->shared, other, token)) {
        own(r, other);
        r->claimed++;
        disown(r, other, now);
      }
    }
    const uint64_t token = atomic_load(&r->tokens[fzt_below(&prng, PORTS)]);
    if (fzri_shared_claim_port(r->shared, (uint16_t)token, token)) {
      own(r, (uint16_t)token);
      r->claimed++;
      disown(r, (uint16_t)token, now);
    }
  }
  return NULL;
}

START_TEST(test_race)
{
  static atomic_uint owner[PORTS];
  static _Atomic uint64_t tokens[PORTS];
  pthread_t threads[THREADS];
  racer racers[THREADS];
  fzr_shared *s;
  unsigned claimed = 0;
  const uint64_t seed = fzt_seed("reservations");
  ck_assert_int_eq(fzr_shared_new(2000, 2000 + PORTS - 1, NULL, &s), 0);
  for (unsigned i = 0; i < THREADS; i++) {
    racers[i] = (racer){s, owner, tokens, seed + i, i + 1, false, 0};
    ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    ck_assert(!racers[i].wrong);
    claimed += racers[i].claimed;
  }
  ck_assert_uint_gt(claimed, 100);
  /* Those of which the token was written over are lost to this test; all others can be claimed. */
  for (unsigned i = 0; i < PORTS; i++) {
    const uint64_t token = atomic_load(&tokens[i]);
    if (fzri_shared_claim_port(s, (uint16_t)token, token))
      fzri_shared_give_port(s, (uint16_t)token, 0);
    ck_assert(!fzri_shared_claim_port(s, (uint16_t)token, token));
  }
  fzr_shared_free(s);
}
END_TEST

/* ---- two shards ---- */

static fzt_relay one, two;
static fzr_shared *shared;
static uint8_t token[8];

static void begin(uint16_t ports)
{
  shared = fzt_shared_new(ports);
  for (unsigned i = 0; i < 2; i++) {
    fzt_relay *r = i ? &two : &one;
    const fzr_config config = fzt_shard_config(r, i, shared, ports);
    fzt_relay_init(r, &config);
  }
}

static void end(void)
{
  fzt_shards_free(&one, &two, shared);
}

/* An Allocate with the |len| bytes |value| as attribute |type|. Keeps the port, and the token. */
static int allocate_with(fzt_relay *r, fzt_client_state *c, uint16_t type, const void *value, size_t len)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  if (!c->nonce_len) {
    ck_assert_int_eq(fzt_refresh(r, c, 600), 401);
    ck_assert_int_eq(fzr_stun_read(r->answers[0].data, r->answers[0].len, &msg), 0);
    ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &attr));
    memcpy(c->nonce, attr.value, attr.len);
    c->nonce_len = attr.len;
  }
  fzt_begin(r, c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, type, value, len);
  const int code = fzt_finish(r, c, &b, &msg);
  if (code)
    return code;
  fzr_addr relayed;
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
  c->relayed_port = relayed.port;
  if (fzr_stun_get(&msg, FZR_ATTR_RESERVATION_TOKEN, &attr))
    memcpy(token, attr.value, sizeof token);
  return 0;
}

static int allocate_pair(fzt_relay *r, fzt_client_state *c)
{
  return allocate_with(r, c, FZR_ATTR_EVEN_PORT, "\x80", 1);
}

static int allocate_second(fzt_relay *r, fzt_client_state *c)
{
  return allocate_with(r, c, FZR_ATTR_RESERVATION_TOKEN, token, sizeof token);
}

/* The second allocation is made by another worker, with the socket of its port open there. */
START_TEST(test_other_shard)
{
  fzt_client_state a, b, other;
  fzt_client_init(&a, "198.51.100.1:4000");
  fzt_client_init(&b, "198.51.100.1:4001");
  fzt_client_init(&other, "198.51.100.1:4002");
  begin(2);
  ck_assert_int_eq(allocate_pair(&one, &a), 0);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 2);
  ck_assert_int_eq(fzt_allocate(&two, &other), 508);
  ck_assert_int_eq(allocate_second(&two, &b), 0);
  ck_assert_uint_eq(b.relayed_port, a.relayed_port + 1);
  other.nonce_len = 0; /* that was the other shard's */
  ck_assert_int_eq(allocate_second(&one, &other), 508);
  fzt_pass(&one, 31 * FZR_SECOND);
  fzt_pass(&two, 31 * FZR_SECOND);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 2);
  ck_assert_int_eq(fzt_refresh(&one, &a, 0), 0);
  ck_assert_int_eq(fzt_refresh(&two, &b, 600), 0);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 1);
  ck_assert_int_eq(fzt_refresh(&two, &b, 0), 0);
  end();
}
END_TEST

/* What nobody claims is free after 30 s, to the moment that the engine names; or when the engine is gone. */
START_TEST(test_nobody_comes)
{
  fzt_client_state a, b;
  fzt_client_init(&a, "198.51.100.1:4000");
  fzt_client_init(&b, "198.51.100.1:4001");
  begin(4);
  ck_assert_int_eq(allocate_pair(&one, &a), 0);
  ck_assert_uint_le(fzr_engine_deadline(one.engine), one.now + 30 * FZR_SECOND);
  fzt_pass(&one, 30 * FZR_SECOND - FZR_MILLISECOND);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 2);
  fzt_pass(&one, FZR_SECOND);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 1);
  two.now = one.now;
  ck_assert_int_eq(allocate_second(&two, &b), 508);
  ck_assert_int_eq(allocate_pair(&two, &b), 0);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 3);
  end();
}
END_TEST

/* Again and again: who has one allocation at a time never holds more than two ports. */
START_TEST(test_no_more_than_twice)
{
  fzt_client_state a;
  fzt_client_init(&a, "198.51.100.1:4000");
  begin(64);
  for (unsigned i = 0; i < 200; i++) {
    ck_assert_int_eq(allocate_pair(&one, &a), 0);
    ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 2);
    ck_assert_int_eq(fzt_refresh(&one, &a, 0), 0);
    ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 0);
  }
  end();
}
END_TEST

/* Tokens differ, and say nothing but the port. */
START_TEST(test_tokens)
{
  fzt_client_state a;
  uint8_t seen[100][8];
  fzt_client_init(&a, "198.51.100.1:4000");
  begin(2);
  for (unsigned i = 0; i < 100; i++) {
    ck_assert_int_eq(allocate_pair(&one, &a), 0);
    ck_assert_int_eq(fzt_refresh(&one, &a, 0), 0);
    memcpy(seen[i], token, sizeof token);
    for (unsigned k = 0; k < i; k++)
      ck_assert_mem_ne(seen[k], seen[i], sizeof token);
    ck_assert_uint_eq((unsigned)token[6] << 8 | token[7], 50001);
  }
  end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("reservations");
  TCase *tc = tcase_create("reservations");
  tcase_add_loop_test(tc, test_every_pair_once, 0, 9);
  tcase_add_test(tc, test_better_pairs_first);
  tcase_add_test(tc, test_race);
  tcase_add_test(tc, test_other_shard);
  tcase_add_test(tc, test_nobody_comes);
  tcase_add_test(tc, test_no_more_than_twice);
  tcase_add_test(tc, test_tokens);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
