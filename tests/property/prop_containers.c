/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's containers against naive models, through random sequences of operations. */
#include "prng.h"
#include "testing.h"

#include "base/map.h"
#include "base/pool.h"
#include "base/rate_limit.h"
#include "base/timers.h"

#include <stdio.h>

__extension__ typedef unsigned __int128 wide;

static fzri_mem mem;

/* ---- map ---- */

#define KEYS 20000u

START_TEST(test_map)
{
  static bool in[KEYS];
  fzt_prng prng = {fzt_seed("map")};
  for (uint64_t round = 0; round < fzt_rounds(60); round++) {
    uint32_t used = 0;
    fzri_map map;
    /* From all hashes equal to hardly any, and from one segment to many. */
    const bool large = round % 4 == 0;
    const uint32_t keys = large ? KEYS : 400, steps = large ? 60000 : 1500;
    const uint32_t spread = large ? KEYS >> fzt_below(&prng, 3) : 1u << fzt_below(&prng, 10);
    memset(in, 0, sizeof in);
    fzri_mem_init(&mem, NULL);
    fzt_check(fzri_map_init(&map, &mem) == 0);
    for (unsigned step = 0; step < steps; step++) {
      const uint32_t key = (uint32_t)fzt_below(&prng, keys);
      const uint32_t hash = key % spread * 0x9e3779b9u;
      /* It grows, then shrinks. */
      if (fzt_below(&prng, 8) < (step < steps / 2 ? 6u : 2u)) {
        if (!in[key]) {
          fzt_check(fzri_map_reserve(&map, hash) == 0);
          fzri_map_insert(&map, hash, key);
          in[key] = true;
          used++;
        }
      } else {
        fzt_check(fzri_map_remove(&map, hash, key) == in[key]);
        used -= in[key];
        in[key] = false;
      }
      fzt_check(map.used == used);
    }
    for (uint32_t key = 0; key < keys; key++) {
      const uint32_t hash = key % spread * 0x9e3779b9u;
      uint32_t probe = hash, value, found = 0;
      while ((value = fzri_map_next(&map, hash, &probe)) != FZRI_MAP_NONE)
        found += value == key;
      fzt_check(found == in[key]);
    }
    fzri_map_free(&map);
    fzt_check(mem.used == 0);
  }
}
END_TEST

/* ---- pool ---- */

START_TEST(test_pool)
{
  fzt_prng prng = {fzt_seed("pool")};
  for (uint64_t round = 0; round < fzt_rounds(20); round++) {
    static uint32_t taken[1000];
    size_t n = 0;
    fzri_pool pool;
    fzri_mem_init(&mem, NULL);
    fzri_pool_init(&pool, &mem, 24);
    for (unsigned step = 0; step < 3000; step++) {
      if (n < 1000 && fzt_below(&prng, 5) < 3) {
        uint32_t index;
        uint64_t *object = fzri_pool_take(&pool, &index);
        fzt_check(object != NULL);
        fzt_check(object[0] == 0 && object[1] == 0 && object[2] == 0);
        fzt_check((void *)(object) == (void *)(fzri_pool_at(&pool, index)));
        for (size_t i = 0; i < n; i++)
          fzt_check(taken[i] != index);
        object[1] = index; /* must be there when it is given back */
        taken[n++] = index;
      } else if (n) {
        const size_t i = fzt_below(&prng, n);
        fzt_check(((uint64_t *)fzri_pool_at(&pool, taken[i]))[1] == taken[i]);
        fzri_pool_give(&pool, taken[i]);
        taken[i] = taken[--n];
      }
      fzt_check(pool.used == n);
      fzt_check(n <= fzri_pool_end(&pool));
    }
    fzri_pool_free(&pool);
    fzt_check(mem.used == 0);
  }
}
END_TEST

/* ---- timers ---- */

#define TIMERS 200
#define TICK   ((fzr_time)1 << FZRI_TICK_SHIFT)

static fzr_time random_delay(fzt_prng *prng)
{
  /* From a nanosecond to centuries. */
  return fzt_next(prng) >> (4 + fzt_below(prng, 60));
}

START_TEST(test_timers)
{
  fzt_prng prng = {fzt_seed("timers")};
  for (uint64_t round = 0; round < fzt_rounds(150); round++) {
    static fzri_timers wheel;
    static fzri_timer timers[TIMERS];
    bool set[TIMERS] = {false};
    fzr_time now = fzt_next(&prng) >> (8 + fzt_below(&prng, 50));
    fzri_timers_init(&wheel, now);
    memset(timers, 0, sizeof timers);
    for (unsigned step = 0; step < 600; step++) {
      const unsigned i = (unsigned)fzt_below(&prng, TIMERS);
      switch (fzt_below(&prng, 4)) {
      case 0:
        fzri_timers_cancel(&wheel, &timers[i]);
        set[i] = false;
        break;
      case 1: {
        /* Time goes on: to the deadline, or by anything. */
        const fzr_time deadline = fzri_timers_deadline(&wheel);
        const fzr_time to =
            fzt_below(&prng, 2) && deadline != FZR_TIME_NEVER ? deadline : now + random_delay(&prng);
        now = to > now ? to : now;
        size_t budget = fzt_below(&prng, 4) ? 100000 : fzt_below(&prng, 5);
        const fzri_timer *fired;
        while ((fired = fzri_timers_pop(&wheel, now, &budget)) != NULL) {
          const size_t k = (size_t)(fired - timers);
          fzt_check(set[k]);
          fzt_check(!fzri_timer_is_set(fired));
          fzt_check(fired->due <= now);
          set[k] = false;
        }
        if (budget)
          for (size_t k = 0; k < TIMERS; k++)
            fzt_check(!set[k] || timers[k].due + TICK > now);
        break;
      }
      default: {
        const fzr_time due =
            fzt_below(&prng, 10) ? now + random_delay(&prng) : now - (now >> fzt_below(&prng, 40));
        fzri_timers_set(&wheel, &timers[i], due);
        set[i] = true;
      }
      }
      fzr_time first = FZR_TIME_NEVER;
      for (size_t k = 0; k < TIMERS; k++) {
        fzt_check(set[k] == fzri_timer_is_set(&timers[k]));
        if (set[k] && timers[k].due < first)
          first = timers[k].due;
      }
      /* Never later than a tick after the first. */
      if (first != FZR_TIME_NEVER)
        fzt_check(fzri_timers_deadline(&wheel) < first + TICK || fzri_timers_deadline(&wheel) <= now);
    }
  }
}
END_TEST

/* ---- token buckets ---- */

START_TEST(test_bucket)
{
  fzt_prng prng = {fzt_seed("bucket")};
  for (uint64_t round = 0; round < fzt_rounds(300); round++) {
    /* Rates that divide a second, so that the model below is exact. */
    static const uint64_t rates[] = {1, 2, 5, 10, 1000, 1000000, 1000000000};
    const uint64_t rate = rates[fzt_below(&prng, 7)], burst = 1 + fzt_below(&prng, 5000);
    const fzr_time per_token = FZR_SECOND / rate;
    fzri_bucket bucket = {0};
    fzr_time now = 1 + fzt_below(&prng, FZR_SECOND), last = now;
    wide model = (wide)burst * per_token; /* tokens as time */
    for (unsigned step = 0; step < 300; step++) {
      now += fzt_below(&prng, 3) ? fzt_below(&prng, 3 * per_token * 10) : 0;
      model += now - last;
      if (model > (wide)burst * per_token)
        model = (wide)burst * per_token;
      last = now;
      const uint64_t amount = fzt_below(&prng, burst + 2);
      const bool there = model >= (wide)amount * per_token && amount <= burst;
      fzt_check(fzri_bucket_take(&bucket, rate, burst, amount, now) == there);
      if (there)
        model -= (wide)amount * per_token;
    }
  }
}
END_TEST

static bool take(fzri_rate_limit *limit, const fzr_addr *source, fzr_time now)
{
  return fzri_rate_limit_take(limit, fzri_rate_prefix(limit, source, 0), 1, now);
}

START_TEST(test_prefixes_have_buckets_of_their_own)
{
  fzri_rate_limit limit;
  const fzri_siphash_key key = {1, 2};
  fzri_mem_init(&mem, NULL);
  fzt_check(fzri_rate_limit_init(&limit, &mem, 10, 20, &key) == 0);
  const fzr_addr a = fzt_addr("198.51.100.1:1"), b = fzt_addr("198.51.100.200:2"),
                 c = fzt_addr("198.51.101.1:1");
  const fzr_addr d = fzt_addr("[2001:db8:1:2::1]:1"), e = fzt_addr("[2001:db8:1:3::1]:1"),
                 f = fzt_addr("[2001:db8:2::1]:1");
  for (int i = 0; i < 20; i++) {
    fzt_check(take(&limit, i % 2 ? &a : &b, 1));
    fzt_check(take(&limit, i % 2 ? &d : &e, 1));
  }
  fzt_check(!take(&limit, &a, 1));
  fzt_check(!take(&limit, &b, 1));
  fzt_check(take(&limit, &c, 1));
  fzt_check(!take(&limit, &e, 1));
  fzt_check(take(&limit, &f, 1));
  fzt_check(take(&limit, &a, 1 + FZR_SECOND / 10));
  fzt_check(!take(&limit, &a, 1 + FZR_SECOND / 10));
  fzt_check(fzri_rate_limit_take(&limit, fzri_rate_prefix(&limit, &a, 1), 20, 1)); /* another kind */
  fzri_rate_limit_free(&limit);
  fzt_check(mem.used == 0);
}
END_TEST

/* However many prefixes there are, the table stays as it is, and a flood from all of them is limited too. */
START_TEST(test_flood_from_everywhere)
{
  fzri_rate_limit limit;
  const fzri_siphash_key key = {3, 4};
  fzt_prng prng = {fzt_seed("flood")};
  uint64_t answered = 0;
  fzri_mem_init(&mem, NULL);
  fzt_check(fzri_rate_limit_init(&limit, &mem, 1, 1, &key) == 0);
  const uint64_t taken = mem.used;
  for (unsigned i = 0; i < 200000; i++) {
    fzr_addr a = fzt_addr("1.2.3.4:5");
    fzt_fill(&prng, a.ip, 4);
    answered += take(&limit, &a, 1);
  }
  fzt_check(answered <= FZRI_RATE_SETS * FZRI_RATE_WAYS);
  fzt_check(mem.used == taken);
  fzri_rate_limit_free(&limit);
}
END_TEST

/* Where each has a bucket of his own, newcomers have a full one, however many there are, and who floods has none meanwhile. */
START_TEST(test_one_flood_among_many)
{
  fzri_rate_limit limit;
  const fzri_siphash_key key = {5, 6};
  const fzr_addr server = fzt_addr("192.0.2.1:3478"), flooder = fzt_addr("198.51.100.1:7");
  fzt_prng prng = {fzt_seed("one flood")};
  unsigned answered = 0;
  fzri_mem_init(&mem, NULL);
  fzt_check(fzri_rate_limit_init(&limit, &mem, 10, 20, &key) == 0);
  const uint64_t taken = mem.used, one = fzri_rate_tuple(&limit, &flooder, &server, 0);
  for (unsigned i = 0; i < 100000; i++) {
    fzr_addr a = fzt_addr("1.2.3.4:5");
    const fzr_time now = i * (FZR_SECOND / 50000); /* for 2 s */
    fzt_fill(&prng, a.ip, 4);
    const uint64_t other = fzri_rate_tuple(&limit, &a, &server, 0);
    fzt_check(fzri_rate_limit_has_own(&limit, other, 1, now));
    fzt_check(fzri_rate_limit_take_own(&limit, other, 1, now));
    const bool there = fzri_rate_limit_has_own(&limit, one, 1, now);
    fzt_check(fzri_rate_limit_take_own(&limit, one, 1, now) == there);
    answered += there;
  }
  fzt_check(answered >= 39 && answered <= 41);
  /* The same client at another address of ours, and in another kind of trouble. */
  const fzr_addr second = fzt_addr("192.0.2.1:3479");
  fzt_check(fzri_rate_tuple(&limit, &flooder, &second, 0) != one);
  fzt_check(fzri_rate_tuple(&limit, &flooder, &server, 1) != one);
  fzt_check(mem.used == taken);
  fzri_rate_limit_free(&limit);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("containers");
  TCase *tc = tcase_create("containers");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, test_map);
  tcase_add_test(tc, test_pool);
  tcase_add_test(tc, test_timers);
  tcase_add_test(tc, test_bucket);
  tcase_add_test(tc, test_prefixes_have_buckets_of_their_own);
  tcase_add_test(tc, test_flood_from_everywhere);
  tcase_add_test(tc, test_one_flood_among_many);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
