/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of ports and the count of allocations per user that all shards of a relay share. */
#include "prng.h"
#include "testing.h"

#include "turn/ports.h"
#include "turn/state.h"
#include "turn/users.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

START_TEST(test_misuse)
{
  fzr_shared *s = NULL;
  ck_assert_int_eq(fzr_shared_new(1, 2, NULL, NULL), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_shared_new(0, 2, NULL, &s), FZR_ERR_CONFIG_PORTS);
  ck_assert_int_eq(fzr_shared_new(3, 2, NULL, &s), FZR_ERR_CONFIG_PORTS);
  fzt_mem mem;
  for (uint64_t n = 1; n <= 5; n++) {
    fzt_mem_init(&mem);
    mem.fail_only = n;
    ck_assert_int_eq(fzr_shared_new(1, 1000, &mem.hooks, &s), FZR_ERR_NO_MEMORY);
    ck_assert_uint_eq(mem.live, 0);
  }
  fzt_mem_init(&mem);
  mem.hooks.alloc = NULL;
  ck_assert_int_eq(fzr_shared_new(1, 2, &mem.hooks, &s), FZR_ERR_INVALID_ARGUMENT);
  fzr_shared_free(NULL);
  ck_assert_uint_eq(fzr_shared_ports_in_use(NULL), 0);
}
END_TEST

/* Ranges that begin and end anywhere within words of 64: all are given out once, no other. */
START_TEST(test_every_port_once)
{
  static const uint16_t ranges[][2] = {{1, 1},         {7, 8},         {64, 127},
                                       {1, 65535},     {65535, 65535}, {49152, 65535},
                                       {50000, 50062}, {50000, 50063}, {50000, 50064}};
  static uint8_t seen[65536];
  fzt_prng prng = {fzt_seed("ports")};
  const uint16_t lowest = ranges[_i][0], highest = ranges[_i][1];
  const uint32_t count = (uint32_t)highest - lowest + 1;
  fzr_shared *s;
  ck_assert_int_eq(fzr_shared_new(lowest, highest, NULL, &s), 0);
  ck_assert(fzri_shared_covers(s, lowest, highest));
  ck_assert(!fzri_shared_covers(s, lowest, (uint16_t)(highest - 1)));
  memset(seen, 0, sizeof seen);
  for (uint32_t i = 0; i < count; i++) {
    const uint16_t port = fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, 0);
    fzt_check(port >= lowest && port <= highest && !seen[port]++);
    fzt_check(fzr_shared_ports_in_use(s) == i + 1);
  }
  ck_assert_uint_eq(fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, 0), 0);
  /* The last free one is found wherever it is. */
  for (unsigned i = 0; i < 200; i++) {
    const uint16_t port = (uint16_t)(lowest + fzt_below(&prng, count));
    fzri_shared_give_port(s, port, 0);
    fzt_check(fzr_shared_ports_in_use(s) == count - 1);
    fzt_check(fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, 0) == port);
    fzt_check(fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, 0) == 0);
  }
  fzr_shared_free(s);
}
END_TEST

/* Each free port is as likely as any other, in an empty range and in a nearly full one (where ports are found by rank). */
START_TEST(test_uniform)
{
  static const unsigned taken[] = {0, 60, 92};
  enum { PORTS = 100, DRAWS = 40000 };
  fzt_prng prng = {12345}; /* fixed: the bound below is statistical */
  fzr_shared *s;
  unsigned hits[PORTS] = {0};
  ck_assert_int_eq(fzr_shared_new(1000, 1000 + PORTS - 1, NULL, &s), 0);
  bool busy[PORTS] = {false};
  for (unsigned i = 0; i < taken[_i]; i++)
    busy[fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, 0) - 1000] = true;
  for (unsigned i = 0; i < DRAWS; i++) {
    /* Each has had its rest when the next one is drawn. */
    const uint16_t port =
        fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(&prng), false, i * FZRI_PORT_RESTS);
    hits[port - 1000]++;
    fzri_shared_give_port(s, port, i * FZRI_PORT_RESTS);
  }
  double chi2 = 0;
  const double expected = (double)DRAWS / (PORTS - taken[_i]);
  for (unsigned i = 0; i < PORTS; i++) {
    ck_assert(!busy[i] || !hits[i]);
    if (!busy[i])
      chi2 += (hits[i] - expected) * (hits[i] - expected) / expected;
  }
  const double freedom = PORTS - taken[_i] - 1.0;
  ck_assert_msg(chi2 < freedom + 5 * 1.5 * (freedom / 4 + 3), "chi square %.1f with %.0f degrees of freedom",
                chi2, freedom);
  fzr_shared_free(s);
}
END_TEST

static uint16_t take_at(fzr_shared *s, fzt_prng *prng, fzr_time now)
{
  return fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(prng), false, now);
}

/* What was given back is given out last: 10 s must go by, or no other be left. */
START_TEST(test_rest)
{
  enum { PORTS = 100 };
  fzt_prng prng = {fzt_seed("rest")};
  const fzr_time begin = 1000 * FZR_SECOND;
  fzr_shared *s;
  uint16_t ports[PORTS];
  ck_assert_int_eq(fzr_shared_new(1000, 1000 + PORTS - 1, NULL, &s), 0);
  for (unsigned round = 0; round < 20; round++) {
    const fzr_time now = begin + round * 2 * FZRI_PORT_RESTS;
    const unsigned rest = 1 + (unsigned)fzt_below(&prng, PORTS - 1);
    bool rests[PORTS] = {false};
    for (unsigned i = 0; i < rest; i++)
      rests[(ports[i] = take_at(s, &prng, now)) - 1000] = true;
    for (unsigned i = 0; i < rest; i++)
      fzri_shared_give_port(s, ports[i], now);
    /* All others come first, up to the last moment. */
    for (unsigned i = 0; i < PORTS; i++) {
      ports[i] = take_at(s, &prng, now + FZRI_PORT_RESTS - 1);
      fzt_check(ports[i] != 0 && rests[ports[i] - 1000] == (i >= PORTS - rest));
    }
    for (unsigned i = 0; i < PORTS; i++)
      fzri_shared_give_port(s, ports[i], now);
  }
  fzr_shared_free(s);
  /* One that has rested is as good as any: of two ports, both come. */
  bool seen[2] = {false, false};
  ck_assert_int_eq(fzr_shared_new(1000, 1001, NULL, &s), 0);
  fzri_shared_give_port(s, take_at(s, &prng, begin), begin);
  for (unsigned i = 0; i < 64; i++) {
    const fzr_time now = begin + (i + 1) * FZRI_PORT_RESTS;
    const uint16_t port = take_at(s, &prng, now);
    seen[port - 1000] = true;
    fzri_shared_give_port(s, port, now);
  }
  ck_assert(seen[0] && seen[1]);
  fzr_shared_free(s);
}
END_TEST

/* The CPU time of many searches, one after the other, of which each gives its port back. */
static double time_searches(fzr_shared *s, fzt_prng *prng, fzr_time now)
{
  const clock_t begin = clock();
  for (unsigned i = 0; i < 4000; i++) {
    const uint16_t port = take_at(s, prng, now + i);
    fzt_check(port != 0);
    fzri_shared_give_port(s, port, now + i);
  }
  return (double)(clock() - begin);
}

/* Where all free ports rest, not each search looks at all of them; and the first that has rested is found at once. */
START_TEST(test_all_rest)
{
  enum { LOWEST = 49152, PORTS = 16384 };
  fzt_prng prng = {fzt_seed("all rest")};
  const fzr_time begin = 1000 * FZR_SECOND, later = begin + 100 * FZR_SECOND;
  fzr_shared *s;
  ck_assert_int_eq(fzr_shared_new(LOWEST, LOWEST + PORTS - 1, NULL, &s), 0);
  const double fresh = time_searches(s, &prng, begin);
  for (unsigned i = 0; i < PORTS; i++)
    fzt_check(take_at(s, &prng, begin) != 0);
  for (unsigned i = 0; i < PORTS; i++)
    fzri_shared_give_port(s, (uint16_t)(LOWEST + i), later + i);
  const double resting = time_searches(s, &prng, later);
  ck_assert_msg(resting < 20 * (fresh + 1000), "%.0f us, and %.0f where all rest", fresh, resting);
  fzr_shared_free(s);
  ck_assert_int_eq(fzr_shared_new(1000, 1063, NULL, &s), 0);
  for (unsigned i = 0; i < 64; i++)
    fzt_check(take_at(s, &prng, begin) != 0);
  for (unsigned i = 0; i < 64; i++)
    fzri_shared_give_port(s, (uint16_t)(1000 + i), begin + i * FZR_SECOND / 64);
  const uint16_t any = take_at(s, &prng, begin + FZR_SECOND);
  for (unsigned i = 0; i < 64; i++)
    if (1000 + i != any)
      ck_assert_uint_eq(take_at(s, &prng, begin + FZRI_PORT_RESTS + i * FZR_SECOND / 64), 1000 + i);
  fzr_shared_free(s);
}
END_TEST

static uint16_t take_shape(fzr_shared *s, fzt_prng *prng, enum fzri_port_shape shape, fzr_time now)
{
  return fzri_shared_take_port(s, shape, fzt_next(prng), false, now);
}

/* Where no pair is free, or none that has rested, not each search looks at all ports; and one that is given back is found at once. */
START_TEST(test_no_pairs)
{
  enum { LOWEST = 49152, PORTS = 16384, SEARCHES = 4000 };
  fzt_prng prng = {fzt_seed("no pairs")};
  const fzr_time now = 1000 * FZR_SECOND, later = now + FZR_SECOND / 2;
  const enum fzri_port_shape shape = _i ? FZRI_PORT_PAIR : FZRI_PORT_EVEN;
  fzr_shared *s;
  ck_assert_int_eq(fzr_shared_new(LOWEST, LOWEST + PORTS - 1, NULL, &s), 0);
  const double fresh = time_searches(s, &prng, now - 100 * FZR_SECOND);
  for (unsigned i = 0; i < PORTS / 2; i++)
    fzt_check(take_shape(s, &prng, FZRI_PORT_EVEN, now) % 2 == 0);
  const clock_t begin = clock();
  for (unsigned i = 0; i < SEARCHES; i++)
    fzt_check(take_shape(s, &prng, shape, now + i) == 0);
  const double none = (double)(clock() - begin);
  ck_assert_msg(none < 20 * (fresh + 1000), "%.0f us, and %.0f where there is none", fresh, none);
  /* An even port comes back, and goes. */
  fzri_shared_give_port(s, LOWEST + 100, later);
  fzt_check(take_shape(s, &prng, shape, later) == LOWEST + 100);
  fzt_check(take_shape(s, &prng, shape, later) == 0);
  /* A pair comes back, each half of it last once. */
  if (shape == FZRI_PORT_PAIR)
    for (unsigned first = 0; first < 2; first++) {
      fzri_shared_give_port(s, (uint16_t)(LOWEST + 100 + first), later);
      fzt_check(take_shape(s, &prng, shape, later) == 0);
      fzri_shared_give_port(s, (uint16_t)(LOWEST + 101 - first), later);
      fzt_check(take_shape(s, &prng, shape, later) == LOWEST + 100);
      fzt_check(take_shape(s, &prng, shape, later) == 0);
    }
  fzr_shared_free(s);
}
END_TEST

/* Of pairs that rest, that which has rested first is found at once. */
START_TEST(test_all_pairs_rest)
{
  fzt_prng prng = {fzt_seed("all pairs rest")};
  const fzr_time begin = 1000 * FZR_SECOND;
  fzr_shared *s;
  ck_assert_int_eq(fzr_shared_new(1000, 1063, NULL, &s), 0);
  for (unsigned i = 0; i < 32; i++)
    fzt_check(take_shape(s, &prng, FZRI_PORT_PAIR, begin) != 0);
  for (unsigned i = 0; i < 64; i++)
    fzri_shared_give_port(s, (uint16_t)(1000 + i), begin + i * FZR_SECOND / 64);
  const uint16_t any = take_shape(s, &prng, FZRI_PORT_PAIR, begin + FZR_SECOND);
  fzt_check(any != 0);
  /* A pair has rested when its second port has. */
  for (unsigned i = 0; i < 64; i += 2)
    if (1000 + i != any)
      ck_assert_uint_eq(
          take_shape(s, &prng, FZRI_PORT_PAIR, begin + FZRI_PORT_RESTS + (i + 1) * FZR_SECOND / 64),
          1000 + i);
  fzr_shared_free(s);
}
END_TEST

/* Takes ports until one is free of the other program's. Returns how many it took, and the port. */
static unsigned take_free(fzr_shared *s, fzt_prng *prng, const bool *others, fzr_time now, uint16_t *port)
{
  for (unsigned tries = 1;; tries++) {
    *port = fzri_shared_take_port(s, FZRI_PORT_ANY, fzt_next(prng), tries > 1, now);
    fzt_check(*port != 0);
    if (!others[*port - 1000]) {
      fzri_shared_port_is_ours(s, *port);
      return tries;
    }
    fzt_check(!fzri_shared_port_is_held(s, *port, now) || tries == 1);
    fzri_shared_give_port(s, *port, now);
  }
}

/* Half of the ports are another program's. Who found that out is remembered: while all the others are taken one by one, no search
 * is longer than an Allocate's may be (a try is no more than the toss of a coin), and later a single wrong try finds out whether the
 * other program is gone. */
START_TEST(test_held_by_others)
{
  enum { PORTS = 400, FREE = 200 };
  fzt_prng prng = {fzt_seed("held")};
  bool others[PORTS] = {false};
  uint16_t ports[FREE];
  unsigned most = 0, all = 0;
  fzr_time now = 1000 * FZR_SECOND;
  fzr_shared *s;
  ck_assert_int_eq(fzr_shared_new(1000, 1000 + PORTS - 1, NULL, &s), 0);
  for (unsigned i = 0; i < PORTS - FREE;) {
    const unsigned k = (unsigned)fzt_below(&prng, PORTS);
    i += !others[k];
    others[k] = true;
  }
  /* Slowly: what was seen of a port is a minute old many times over. */
  for (unsigned i = 0; i < FREE; i++, now += 20 * FZR_SECOND) {
    const unsigned tries = take_free(s, &prng, others, now, &ports[i]);
    most = tries > most ? tries : most;
    all += tries;
  }
  /* Each wrong port is met once; after that only first tries go wrong. */
  ck_assert_uint_le(all, PORTS + FREE);
  ck_assert_uint_lt(most, FZRI_PORT_TRIES);
  /* The last one comes and goes, and is found again, though all else that is free is the other program's: soon at the second try. */
  for (unsigned i = 0; i < 100; i++, now += 20 * FZR_SECOND) {
    fzri_shared_give_port(s, ports[0], now);
    const unsigned tries = take_free(s, &prng, others, now, &ports[0]);
    ck_assert_uint_lt(tries, i < 50 ? FZRI_PORT_TRIES : 3);
  }
  /* The other program goes: all its ports are found, at the first try each. */
  memset(others, 0, sizeof others);
  for (unsigned i = 0; i < PORTS - FREE; i++) {
    uint16_t port;
    ck_assert_uint_eq(take_free(s, &prng, others, now, &port), 1);
  }
  ck_assert_uint_eq(fzr_shared_ports_in_use(s), PORTS);
  fzr_shared_free(s);
}
END_TEST

START_TEST(test_users)
{
  fzr_shared *s;
  ck_assert_int_eq(fzr_shared_new(1000, 1099, NULL, &s), 0);
  const uint64_t alice = 0x1234567800000001u, bob = 0x9999000000000000u, tiny = 5;
  const uint64_t all[] = {alice, bob, tiny};
  for (unsigned i = 0; i < 3; i++) {
    ck_assert(fzri_shared_user_enter(s, all[i], 2));
    ck_assert(fzri_shared_user_enter(s, all[i], 2));
    ck_assert(!fzri_shared_user_enter(s, all[i], 2));
  }
  fzri_shared_user_leave(s, bob);
  ck_assert(!fzri_shared_user_enter(s, alice, 2));
  ck_assert(fzri_shared_user_enter(s, bob, 2));
  ck_assert(!fzri_shared_user_enter(s, bob, 2));
  ck_assert(!fzri_shared_user_enter(s, 0x7777000000000000u, 0));
  fzri_shared_user_leave(s, 0x5555000000000000u); /* has none */
  /* As many users as there are ports, each with his own count; slots are used again. */
  fzt_prng prng = {fzt_seed("users")};
  for (unsigned round = 0; round < 50; round++) {
    uint64_t users[100];
    for (unsigned i = 0; i < 97; i++) {
      users[i] = fzt_next(&prng) | 1;
      fzt_check(fzri_shared_user_enter(s, users[i], 1));
      fzt_check(!fzri_shared_user_enter(s, users[i], 1));
    }
    for (unsigned i = 0; i < 97; i++)
      fzri_shared_user_leave(s, users[i]);
  }
  fzr_shared_free(s);
}
END_TEST

/* ---- shards on threads of their own ---- */

enum { THREADS = 4, RACE_PORTS = 70 };

typedef struct racer {
  fzr_shared *shared;
  atomic_uint *owner; /* of each port: 0 nobody */
  unsigned id;
  uint64_t seed;
  bool wrong;
} racer;

static void *race(void *ctx)
{
  racer *r = ctx;
  fzt_prng prng = {r->seed};
  uint16_t held[RACE_PORTS];
  unsigned n = 0;
  for (unsigned i = 0; i < 20000; i++) {
    const fzr_time now = i * FZR_MILLISECOND;
    if (n && !fzt_below(&prng, 8)) {
      /* Another program has it, or had it. */
      const uint16_t port = held[fzt_below(&prng, n)];
      if (fzt_below(&prng, 2))
        (void)fzri_shared_port_is_held(r->shared, port, now);
      else
        fzri_shared_port_is_ours(r->shared, port);
    } else if (n && fzt_below(&prng, 2)) {
      const unsigned k = (unsigned)fzt_below(&prng, n);
      r->wrong |= atomic_exchange(&r->owner[held[k] - 2000], 0) != r->id;
      fzri_shared_give_port(r->shared, held[k], now);
      held[k] = held[--n];
      fzri_shared_user_leave(r->shared, 42u << 16);
    } else if (n < RACE_PORTS && fzri_shared_user_enter(r->shared, 42u << 16, 1000)) {
      const uint16_t port =
          fzri_shared_take_port(r->shared, FZRI_PORT_ANY, fzt_next(&prng), fzt_below(&prng, 2), now);
      if (!port) {
        fzri_shared_user_leave(r->shared, 42u << 16);
        continue;
      }
      r->wrong |= atomic_exchange(&r->owner[port - 2000], r->id) != 0;
      held[n++] = port;
    }
  }
  while (n) {
    r->wrong |= atomic_exchange(&r->owner[held[--n] - 2000], 0) != r->id;
    fzri_shared_give_port(r->shared, held[n], 0);
    fzri_shared_user_leave(r->shared, 42u << 16);
  }
  return NULL;
}

START_TEST(test_race)
{
  static atomic_uint owner[RACE_PORTS];
  pthread_t threads[THREADS];
  racer racers[THREADS];
  fzr_shared *s;
  const uint64_t seed = fzt_seed("race");
  ck_assert_int_eq(fzr_shared_new(2000, 2000 + RACE_PORTS - 1, NULL, &s), 0);
  for (unsigned i = 0; i < THREADS; i++) {
    racers[i] = (racer){s, owner, i + 1, seed + i, false};
    ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    ck_assert(!racers[i].wrong);
  }
  ck_assert_uint_eq(fzr_shared_ports_in_use(s), 0);
  /* Nothing is counted any more. */
  ck_assert(fzri_shared_user_enter(s, 42u << 16, 1));
  fzr_shared_free(s);
}
END_TEST

/* ---- who is the newest ---- */

enum { HELD_MAX = 16, USERS = 3 };

typedef struct mover {
  fzr_shared *shared;
  uint64_t seed;
  uint16_t ports[HELD_MAX];
  uint64_t users[HELD_MAX];
  unsigned n;
} mover;

static void end_one(mover *m, unsigned k)
{
  fzri_shared_unset_newest(m->shared, m->users[k], m->ports[k]);
  fzri_shared_give_port(m->shared, m->ports[k], 0);
  m->ports[k] = m->ports[--m->n];
  m->users[k] = m->users[m->n];
}

/* Ends what others have replaced, as a shard does. */
static void look(mover *m)
{
  uint16_t port = 0;
  while ((port = fzri_shared_next_mark(m->shared, port)) != 0) {
    for (unsigned k = 0; k < m->n; k++) {
      if (m->ports[k] != port)
        continue;
      fzri_shared_unmark(m->shared, port);
      if (fzri_shared_newest(m->shared, m->users[k]) != port)
        end_one(m, k);
      break;
    }
  }
}

static void *move_about(void *ctx)
{
  mover *m = ctx;
  fzt_prng prng = {m->seed};
  uint32_t marks = 0;
  for (unsigned i = 0; i < 20000; i++) {
    const uint32_t now = fzri_shared_marks(m->shared);
    if (now != marks)
      look(m);
    marks = now;
    if (m->n == HELD_MAX || (m->n && !fzt_below(&prng, 4))) {
      end_one(m, (unsigned)fzt_below(&prng, m->n));
      continue;
    }
    const uint16_t port = fzri_shared_take_port(m->shared, FZRI_PORT_ANY, fzt_next(&prng), false, 0);
    if (!port)
      continue;
    uint16_t older = 0;
    const uint64_t user = (1 + fzt_below(&prng, USERS)) << 32;
    fzt_check(fzri_shared_set_newest(m->shared, user, port, &older));
    m->ports[m->n] = port;
    m->users[m->n++] = user;
    if (older)
      fzri_shared_mark(m->shared, older);
  }
  return NULL;
}

/* Whatever shards do at the same time: in the end each user has one allocation at most, and all know of which. */
START_TEST(test_newest_race)
{
  static mover movers[THREADS];
  pthread_t threads[THREADS];
  unsigned left[USERS + 1] = {0};
  fzr_shared *s;
  const uint64_t seed = fzt_seed("newest");
  ck_assert_int_eq(fzr_shared_new(2000, 2000 + RACE_PORTS - 1, NULL, &s), 0);
  memset(movers, 0, sizeof movers);
  for (unsigned i = 0; i < THREADS; i++) {
    movers[i].shared = s;
    movers[i].seed = seed + i;
    ck_assert_int_eq(pthread_create(&threads[i], NULL, move_about, &movers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  for (unsigned i = 0; i < THREADS; i++)
    look(&movers[i]);
  for (unsigned i = 0; i < THREADS; i++)
    for (unsigned k = 0; k < movers[i].n; k++) {
      ck_assert_uint_eq(fzri_shared_newest(s, movers[i].users[k]), movers[i].ports[k]);
      ck_assert_uint_le(++left[movers[i].users[k] >> 32], 1);
    }
  for (unsigned i = 0; i < THREADS; i++)
    while (movers[i].n)
      end_one(&movers[i], 0);
  for (uint64_t user = 1; user <= USERS; user++)
    ck_assert_uint_eq(fzri_shared_newest(s, user << 32), 0);
  ck_assert_uint_eq(fzr_shared_ports_in_use(s), 0);
  fzr_shared_free(s);
}
END_TEST

/* Users in one neighbourhood of the table: there is room for so many, the next one is told, and nothing grows. */
START_TEST(test_full_table_of_users)
{
  fzr_shared *s;
  uint16_t older;
  uint64_t user = 1 << 20;
  unsigned n = 0;
  ck_assert_int_eq(fzr_shared_new(2000, 2009, NULL, &s), 0);
  const uint64_t memory = fzri_shared_memory(s);
  for (; fzri_shared_set_newest(s, user, 2000, &older); user += (uint64_t)1 << 48, n++)
    ck_assert_uint_eq(older, 0);
  ck_assert_uint_eq(n, 64);
  ck_assert_uint_eq(fzri_shared_newest(s, user), 0);
  ck_assert(!fzri_shared_user_enter(s, user, 1)); /* that table is the same */
  ck_assert_uint_eq(fzri_shared_newest(s, user - ((uint64_t)1 << 48)), 2000);
  fzri_shared_unset_newest(s, user - ((uint64_t)1 << 48), 2000);
  ck_assert(fzri_shared_set_newest(s, user, 2001, &older));
  ck_assert(fzri_shared_set_newest(s, user, 2002, &older));
  ck_assert_uint_eq(older, 2001);
  ck_assert_uint_eq(fzri_shared_memory(s), memory);
  fzr_shared_free(s);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("ports");
  TCase *tc = tcase_create("ports");
  tcase_add_test(tc, test_misuse);
  tcase_add_loop_test(tc, test_every_port_once, 0, 9);
  tcase_add_loop_test(tc, test_uniform, 0, 3);
  tcase_add_test(tc, test_rest);
  tcase_add_test(tc, test_all_rest);
  tcase_add_loop_test(tc, test_no_pairs, 0, 2);
  tcase_add_test(tc, test_all_pairs_rest);
  tcase_add_test(tc, test_held_by_others);
  tcase_add_test(tc, test_users);
  tcase_add_test(tc, test_race);
  tcase_add_test(tc, test_newest_race);
  tcase_add_test(tc, test_full_table_of_users);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
