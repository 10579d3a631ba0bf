/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include "users.h"

#include "../base/precondition.h"

/* A port is found by guessing, which is uniform as long as it hits; when few are to be had, by rank among what is free, of which
 * a nearly full range has little: full words of 64 are passed over. Measured: see docs/benchmarks.md. */
#define GUESSES 24u

/* What is known of a port: until when it is better left alone, and in the lowest bit whether another program held it when it was
 * tried last. Only who has taken the port writes it. While one is reserved it is the token instead, whose highest bit no time has. */
#define HELD ((uint64_t)1)

/* How good a free port is. */
enum quality { QUALITY_GOOD = 0, QUALITY_RESTS = 1, QUALITY_HELD = 2, QUALITIES = 3 /* there is none */ };

/* How long that is believed of a shape. What is given back ends it; but a search that begins before may end after that. */
#define NONE_LASTS FZR_SECOND

/* A search is compiled once for any port, which is what nearly all ask for, and once for the other shapes. */
#define INLINE static inline __attribute__((always_inline))

/* What a port is sought for. */
typedef struct search {
  fzr_time now;
  bool again;
  enum fzri_port_shape shape;
} search;

uint32_t fzr_shared_ports_in_use(const fzr_shared *s)
{
  return s ? atomic_load(&s->in_use) : 0;
}

INLINE enum quality quality_of_one(const fzr_shared *s, uint32_t i, const search *w)
{
  const uint64_t rest = atomic_load_explicit(&s->rest[i], memory_order_relaxed);
  const bool wait = w->now < (rest & ~HELD);
  if (rest & HELD)
    return wait || w->again ? QUALITY_HELD : QUALITY_GOOD;
  return wait ? QUALITY_RESTS : QUALITY_GOOD;
}

INLINE bool is_used(const fzr_shared *s, uint32_t i)
{
  return atomic_load_explicit(&s->used[i / 64], memory_order_relaxed) >> i % 64 & 1;
}

/* Whether port number |i| of the range, which is free, has the shape that is sought: even, and with a free one above it. */
INLINE bool fits(const fzr_shared *s, uint32_t i, const search *w)
{
  if (w->shape == FZRI_PORT_ANY)
    return true;
  if ((s->lowest + i) % 2)
    return false;
  return w->shape == FZRI_PORT_EVEN || (i + 1 < s->ports && !is_used(s, i + 1));
}

/* A pair is as good as the worse of both. */
INLINE enum quality quality_of(const fzr_shared *s, uint32_t i, const search *w)
{
  const enum quality one = quality_of_one(s, i, w);
  if (w->shape != FZRI_PORT_PAIR)
    return one;
  const enum quality other = quality_of_one(s, i + 1, w);
  return one > other ? one : other;
}

INLINE bool take_one(fzr_shared *s, uint32_t i)
{
  const uint64_t bit = (uint64_t)1 << i % 64;
  return !(atomic_fetch_or(&s->used[i / 64], bit) & bit);
}

/* Takes port number |i| of the range, and the one above it where a pair is sought, if it is free. */
INLINE bool take(fzr_shared *s, uint32_t i, const search *w)
{
  if (!take_one(s, i))
    return false;
  if (w->shape != FZRI_PORT_PAIR || take_one(s, i + 1))
    return true;
  atomic_fetch_and(&s->used[i / 64], ~((uint64_t)1 << i % 64));
  return false;
}

/* What the last long search for a shape found: that no free port is better than a quality, in the lowest two bits, until a time, when the
 * first of those that wait has waited. So that where all rest or are held, or there is no pair, not each Allocate searches for long. */
#define BEST_MASK ((uint64_t)3)

static enum quality best_known(const fzr_shared *s, enum fzri_port_shape shape, fzr_time now)
{
  const uint64_t best = atomic_load_explicit(&s->best[shape], memory_order_relaxed);
  return now < (best & ~BEST_MASK) ? (enum quality)(best & BEST_MASK) : QUALITY_GOOD;
}

static void know_best(fzr_shared *s, enum fzri_port_shape shape, enum quality best, fzr_time until)
{
  atomic_store_explicit(&s->best[shape], (until & ~BEST_MASK) | (uint64_t)best, memory_order_relaxed);
}

/* Port number |i|, free now, may be better than what is known of its shapes, or complete a pair that is. */
static void forget_best(fzr_shared *s, uint32_t i, enum quality quality, fzr_time now)
{
  const bool even = (s->lowest + i) % 2 == 0;
  for (unsigned k = 0; k < sizeof s->best / sizeof *s->best; k++) {
    const enum fzri_port_shape shape = (enum fzri_port_shape)k;
    const search w = {now, false, shape};
    if (best_known(s, shape, now) <= quality)
      continue;
    if (shape != FZRI_PORT_PAIR || even ? fits(s, i, &w) : i && !is_used(s, i - 1))
      know_best(s, shape, QUALITY_GOOD, 0);
  }
}

/* Looking first is cheaper than a locked instruction for each wrong guess. */
INLINE bool will_do(const fzr_shared *s, uint32_t i, const search *w, enum quality worst)
{
  return !is_used(s, i) && fits(s, i, w) && quality_of(s, i, w) <= worst;
}

/* Until when port number |i| is better left alone, and the one above it where a pair is sought. */
INLINE fzr_time waits_until(const fzr_shared *s, uint32_t i, const search *w)
{
  const fzr_time one = atomic_load_explicit(&s->rest[i], memory_order_relaxed) & ~HELD;
  if (w->shape != FZRI_PORT_PAIR)
    return one;
  const fzr_time other = atomic_load_explicit(&s->rest[i + 1], memory_order_relaxed) & ~HELD;
  return one > other ? one : other;
}

/* |word| of |used|, or the last one behind it up to which all are full, four at a time. */
INLINE uint32_t skip_full(const fzr_shared *s, uint32_t word)
{
  const _Atomic uint64_t *used = s->used;
  while (word + 4 < s->words && (atomic_load_explicit(&used[word + 1], memory_order_relaxed) &
                                 atomic_load_explicit(&used[word + 2], memory_order_relaxed) &
                                 atomic_load_explicit(&used[word + 3], memory_order_relaxed) &
                                 atomic_load_explicit(&used[word + 4], memory_order_relaxed)) == UINT64_MAX)
    word += 4;
  return word;
}

/* Counts the free ports, or pairs, of each quality. Returns when the first of those that wait has waited. */
INLINE fzr_time count_free(const fzr_shared *s, const search *w, uint32_t counts[QUALITIES])
{
  fzr_time first = FZR_TIME_NEVER;
  for (uint32_t i = 0; i < QUALITIES; i++)
    counts[i] = 0;
  for (uint32_t word = 0; word < s->words; word++) {
    uint64_t bits = ~atomic_load_explicit(&s->used[word], memory_order_relaxed);
    if (!bits)
      word = skip_full(s, word);
    for (; bits; bits &= bits - 1) {
      const uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(bits);
      if (!fits(s, i, w))
        continue;
      const enum quality quality = quality_of(s, i, w);
      counts[quality]++;
      if (quality == QUALITY_GOOD) /* it does not wait */
        continue;
      const fzr_time until = waits_until(s, i, w);
      if (w->now < until && until < first)
        first = until;
    }
  }
  return first;
}

/* The number of the |rank|-th free port of |quality|, or |s->ports| if there are fewer by now. */
INLINE uint32_t free_by_rank(const fzr_shared *s, const search *w, enum quality quality, uint32_t rank)
{
  for (uint32_t word = 0; word < s->words; word++) {
    uint64_t bits = ~atomic_load_explicit(&s->used[word], memory_order_relaxed);
    if (!bits)
      word = skip_full(s, word);
    for (; bits; bits &= bits - 1) {
      const uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(bits);
      if (fits(s, i, w) && quality_of(s, i, w) == quality && rank-- == 0)
        return i;
    }
  }
  return s->ports;
}

/* splitmix64: more bits from those the caller drew. */
static uint64_t next_random(uint64_t *state)
{
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* A number below |n|, uniform to one part in 2^32 or better. */
static uint32_t below(uint64_t *state, uint32_t n)
{
  return (uint32_t)((next_random(state) >> 32) * n >> 32);
}

INLINE uint32_t find(fzr_shared *s, uint64_t random, const search *w)
{
  const enum quality worst = best_known(s, w->shape, w->now);
  if (worst == QUALITIES)
    return s->ports;
  for (unsigned i = 0; i < GUESSES; i++) {
    const uint32_t guess = below(&random, s->ports);
    if (will_do(s, guess, w, worst) && take(s, guess, w))
      return guess;
  }
  for (;;) {
    uint32_t counts[QUALITIES];
    unsigned best = QUALITY_GOOD;
    const fzr_time first = count_free(s, w, counts);
    while (best < QUALITIES && !counts[best])
      best++;
    if (best == QUALITIES) {
      if (w->shape != FZRI_PORT_ANY) /* a full range is seen soon, one without pairs is not */
        know_best(s, w->shape, QUALITIES, w->now + NONE_LASTS);
      return s->ports;
    }
    /* |again| looks down on more ports than others do. */
    if (best > QUALITY_GOOD && !w->again)
      know_best(s, w->shape, (enum quality)best, first);
    const uint32_t found = free_by_rank(s, w, (enum quality)best, below(&random, counts[best]));
    if (found < s->ports && take(s, found, w))
      return found;
    /* Another shard was faster: there is progress, so this ends. */
  }
}

/* A function each: what one of them keeps in registers is not in the way of the other. */
__attribute__((noinline)) static uint32_t find_any(fzr_shared *s, uint64_t random, bool again, fzr_time now)
{
  return find(s, random, &(search){now, again, FZRI_PORT_ANY});
}

__attribute__((noinline)) static uint32_t find_shape(fzr_shared *s, enum fzri_port_shape shape,
                                                     uint64_t random, bool again, fzr_time now)
{
  return find(s, random, &(search){now, again, shape});
}

uint16_t fzri_shared_take_port(fzr_shared *s, enum fzri_port_shape shape, uint64_t random, bool again,
                               fzr_time now)
{
  const uint32_t found =
      shape == FZRI_PORT_ANY ? find_any(s, random, again, now) : find_shape(s, shape, random, again, now);
  if (found == s->ports)
    return 0;
  atomic_fetch_add(&s->in_use, shape == FZRI_PORT_PAIR ? 2 : 1);
  return (uint16_t)(s->lowest + found);
}

void fzri_shared_give_port(fzr_shared *s, uint16_t port, fzr_time now)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  const bool held = atomic_load_explicit(&s->rest[i], memory_order_relaxed) & HELD;
  if (!held)
    atomic_store_explicit(&s->rest[i], (now + FZRI_PORT_RESTS) & ~HELD, memory_order_relaxed);
  fzri_shared_unmark(s, port); /* it was for who goes */
  atomic_fetch_and(&s->used[i / 64], ~((uint64_t)1 << i % 64));
  forget_best(s, i, held ? QUALITY_GOOD : QUALITY_RESTS, now);
  atomic_fetch_sub(&s->in_use, 1);
}

bool fzri_shared_port_is_held(fzr_shared *s, uint16_t port, fzr_time now)
{
  const uint64_t before = atomic_exchange_explicit(&s->rest[port - s->lowest], (now + FZRI_PORT_HELD) | HELD,
                                                   memory_order_relaxed);
  return before & HELD;
}

void fzri_shared_port_is_ours(fzr_shared *s, uint16_t port)
{
  atomic_store_explicit(&s->rest[port - s->lowest], 0, memory_order_relaxed);
}

void fzri_shared_reserve_port(fzr_shared *s, uint16_t port, uint64_t token)
{
  FZRI_ASSERT(token & FZRI_TOKEN);
  atomic_store(&s->rest[port - s->lowest], token);
}

bool fzri_shared_claim_port(fzr_shared *s, uint16_t port, uint64_t token)
{
  const uint32_t i = (uint32_t)port - s->lowest; /* ports below the range become large */
  return i < s->ports && token & FZRI_TOKEN && atomic_compare_exchange_strong(&s->rest[i], &token, 0);
}

uint64_t fzri_shared_token(const fzr_shared *s, uint16_t port)
{
  const uint32_t i = (uint32_t)port - s->lowest; /* ports below the range become large */
  const uint64_t rest = i < s->ports ? atomic_load(&s->rest[i]) : 0;
  return rest & FZRI_TOKEN ? rest : 0;
}

bool fzri_shared_take_this_port(fzr_shared *s, uint16_t port)
{
  const uint32_t i = (uint32_t)port - s->lowest; /* ports below the range become large */
  if (i >= s->ports || !take_one(s, i))
    return false;
  atomic_store_explicit(&s->rest[i], 0, memory_order_relaxed);
  atomic_fetch_add(&s->in_use, 1);
  return true;
}

void fzri_shared_untake_port(fzr_shared *s, uint16_t port)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  atomic_store_explicit(&s->rest[i], 0, memory_order_relaxed);
  fzri_shared_unmark(s, port);
  atomic_fetch_and(&s->used[i / 64], ~((uint64_t)1 << i % 64));
  for (unsigned k = 0; k < sizeof s->best / sizeof *s->best; k++)
    know_best(s, (enum fzri_port_shape)k, QUALITY_GOOD, 0);
  atomic_fetch_sub(&s->in_use, 1);
}

bool fzri_shared_is_reserved(const fzr_shared *s, uint16_t port, uint64_t token)
{
  return token & FZRI_TOKEN && atomic_load(&s->rest[port - s->lowest]) == token;
}

bool fzri_shared_port_rests(const fzr_shared *s, uint16_t port, fzr_time now, fzr_time *until, bool *held)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  const uint64_t rest = atomic_load_explicit(&s->rest[i], memory_order_relaxed);
  if (!rest || rest & FZRI_TOKEN || is_used(s, i))
    return false;
  *until = rest & ~HELD;
  *held = rest & HELD;
  return *held || now < *until;
}

void fzri_shared_rest_port(fzr_shared *s, uint16_t port, fzr_time until, bool held)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  if (i >= s->ports || is_used(s, i))
    return;
  uint64_t before = atomic_load_explicit(&s->rest[i], memory_order_relaxed);
  const uint64_t after = (until & ~(HELD | FZRI_TOKEN)) | (held ? HELD : 0);
  /* Whoever takes it meanwhile keeps what he has written. */
  if (!(before & FZRI_TOKEN) && before < after)
    atomic_compare_exchange_strong(&s->rest[i], &before, after);
}
