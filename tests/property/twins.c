/* SPDX-License-Identifier: Apache-2.0 */
#include "twins.h"

#define STATE_MAX (1 << 18)

side sides[2];
fzt_prng prng;
unsigned shard_count;
fzr_time began, now;
const char *const secrets[2] = {FZT_SECRET, "another secret, as good as that"};
int secret;
uint64_t counts[COUNTS];

static fzr_config configs[2];
static uint8_t states[2][SHARDS_MAX][STATE_MAX];
static size_t state_lens[2][SHARDS_MAX];

static void make_config(unsigned s, unsigned shard)
{
  fzt_relay *r = &sides[s].shards[shard];
  fzr_config c = configs[s];
  const fzt_prng random = r->prng;
  fzr_config fresh = fzt_config(r);
  r->prng = random;
  r->now = now;
  c.mem = fresh.mem;
  c.random = fresh.random;
  c.random_ctx = fresh.random_ctx;
  c.shared = sides[s].shared;
  c.auth_secret = secrets[secret];
  fzt_relay_init(r, &c);
  ck_assert_int_eq(
      fzr_engine_set_wallclock(r->engine, FZT_UNIX_NOW + (int64_t)((now - began) / FZR_SECOND), now), 0);
}

static void make_side(unsigned s)
{
  fzt_mem_init(&sides[s].mem);
  ck_assert_int_eq(
      fzr_shared_new(configs[s].lowest_port, configs[s].highest_port, &sides[s].mem.hooks, &sides[s].shared),
      0);
  for (unsigned i = 0; i < shard_count; i++)
    make_config(s, i);
}

static void free_side(unsigned s)
{
  for (unsigned i = 0; i < shard_count; i++)
    fzt_relay_free(&sides[s].shards[i]);
  fzr_shared_free(sides[s].shared);
  ck_assert_uint_eq(sides[s].mem.live, 0);
}

static int keep(void *ctx, const uint8_t *data, size_t len)
{
  const unsigned *at = ctx;
  size_t *used = &state_lens[at[0]][at[1]];
  fzt_check(*used + len <= STATE_MAX);
  memcpy(states[at[0]][at[1]] + *used, data, len);
  *used += len;
  return 0;
}

/* Saves all shards of the second relay into the |place|-th states. */
static void save(unsigned place)
{
  for (unsigned i = 0; i < shard_count; i++) {
    unsigned at[2] = {place, i};
    state_lens[place][i] = 0;
    ck_assert_int_eq(fzr_engine_save(sides[1].shards[i].engine, keep, at, now), 0);
  }
}

static int compare_events(const void *a, const void *b)
{
  return memcmp(a, b, sizeof(fzr_event));
}

static void sort_events(fzt_relay *r)
{
  for (size_t i = 0; i < r->event_count; i++)
    r->events[i].flow = 0;
  qsort(r->events, r->event_count, sizeof *r->events, compare_events);
}

static void compare_verdicts(const fzr_verdict *a, const fzr_verdict *b)
{
  fzt_check(a->data == b->data && a->stride == b->stride && a->count == b->count && a->len == b->len);
  fzt_check(a->tail_len == b->tail_len && a->action == b->action && a->reason == b->reason);
  fzt_check(a->hdr_len == b->hdr_len && a->pad == b->pad && a->tail_pad == b->tail_pad &&
            a->flags == b->flags);
  fzt_check((a->flow == FZR_FLOW_NONE) == (b->flow == FZR_FLOW_NONE));
  if (a->action != FZR_ACT_FORWARD)
    return;
  fzt_check(fzr_addr_equal(&a->to, &b->to) && fzr_addr_equal(&a->from, &b->from) && a->io == b->io);
  for (unsigned i = 0; i < a->count && a->hdr_len; i++)
    fzt_check(memcmp(fzr_verdict_header(a, i), fzr_verdict_header(b, i), a->hdr_len) == 0);
}

static void compare_outputs(unsigned shard)
{
  fzt_relay *a = &sides[0].shards[shard], *b = &sides[1].shards[shard];
  fzt_check(a->verdict_count == b->verdict_count);
  for (size_t i = 0; i < a->verdict_count; i++)
    compare_verdicts(&a->verdicts[i], &b->verdicts[i]);
  fzt_check(a->answer_count == b->answer_count);
  for (size_t i = 0; i < a->answer_count; i++) {
    const fzt_answer *x = &a->answers[i], *y = &b->answers[i];
    fzt_check(x->len == y->len && memcmp(x->data, y->data, x->len) == 0);
    fzt_check(x->to_stranger == y->to_stranger && fzr_addr_equal(&x->to, &y->to) &&
              fzr_addr_equal(&x->from, &y->from));
  }
  sort_events(a);
  sort_events(b);
  fzt_check(a->event_count == b->event_count);
  for (size_t i = 0; i < a->event_count; i++)
    fzt_check(compare_events(&a->events[i], &b->events[i]) == 0);
}

void twins_compare(void)
{
  fzt_check(fzr_shared_ports_in_use(sides[0].shared) == fzr_shared_ports_in_use(sides[1].shared));
  for (unsigned i = 0; i < shard_count; i++) {
    fzr_stats a, b;
    fzr_allocation x[32], y[32];
    uint32_t at = 0, too = 0;
    fzr_engine_stats(sides[0].shards[i].engine, &a);
    fzr_engine_stats(sides[1].shards[i].engine, &b);
    a.memory_bytes = b.memory_bytes = 0;
    fzt_check(memcmp(&a, &b, sizeof a) == 0);
    const size_t n = fzr_engine_list_allocations(sides[0].shards[i].engine, &at, x, 32);
    fzt_check(n == fzr_engine_list_allocations(sides[1].shards[i].engine, &too, y, 32));
    for (size_t k = 0; k < n; k++) {
      size_t m = 0;
      while (m < n && memcmp(&x[k], &y[m], sizeof *x) != 0)
        m++;
      fzt_check(m < n);
    }
  }
}

/* Has both look for what is due in a shard, whichever of them wants to: one that was loaded does so at once, and timers that were set
 * anew are sooner or later noticed to have been. */
static void look(unsigned shard)
{
  for (unsigned s = 0; s < 2; s++) {
    fzr_pkt none;
    fzt_relay *r = &sides[s].shards[shard];
    ck_assert_int_ge(fzr_engine_on_deadline(r->engine, 1000, now), 0);
    fzt_client_run(r, &none, 0);
    while (fzr_engine_deadline(r->engine) <= now)
      ck_assert_int_ge(fzr_engine_on_deadline(r->engine, 1000, now), 0);
  }
}

static size_t next_record(const uint8_t *state, size_t at)
{
  uint32_t len;
  memcpy(&len, state + at + 4, sizeof len);
  return at + 8 + len + 4;
}

/* What was loaded is saved as what it was loaded from, but for the engine's Unix time, which is that of the test's clock. */
static void compare_saved(unsigned shard)
{
  uint8_t *a = states[0][shard], *b = states[1][shard];
  ck_assert_uint_eq(state_lens[0][shard], state_lens[1][shard]);
  memset(a + 32, 0, 8);
  memset(b + 32, 0, 8);
  for (size_t at = 12, end; (end = next_record(a, at)) < state_lens[0][shard]; at = end)
    ck_assert_msg(memcmp(a + at, b + at, end - at - 4) == 0, "record of type %u at %zu", a[at], at);
}

void twins_hand_over(void)
{
  fzt_prng random[SHARDS_MAX];
  save(0);
  for (unsigned i = 0; i < shard_count; i++)
    random[i] = sides[1].shards[i].prng;
  free_side(1);
  for (unsigned i = 0; i < shard_count; i++)
    sides[1].shards[i].prng.state = fzt_next(&prng); /* it has keys of its own at first */
  make_side(1);
  for (unsigned i = 0; i < shard_count; i++) {
    fzt_relay *r = &sides[1].shards[i];
    fzr_load_result result;
    const int error = fzr_engine_load(r->engine, states[0][i], state_lens[0][i], now, &result);
    ck_assert_msg(!error, "shard %u: %s at %u of %zu", i, fzr_strerror(error), (unsigned)result.offset,
                  state_lens[0][i]);
    r->prng = random[i];
    counts[COUNT_LOADED] += result.allocations;
    counts[COUNT_LOADED_CHANNELS] += result.channels;
    counts[COUNT_LOADED_PERMISSIONS] += result.permissions;
  }
  save(1);
  for (unsigned i = 0; i < shard_count; i++)
    compare_saved(i);
  for (unsigned i = 0; i < shard_count; i++)
    look(i);
  twins_compare();
}

static void set_now(fzr_time to)
{
  now = to;
  for (unsigned s = 0; s < 2; s++)
    for (unsigned i = 0; i < shard_count; i++)
      sides[s].shards[i].now = now;
}

void twins_put(unsigned shard, enum fzr_side from, const fzr_pkt *pkt)
{
  for (unsigned s = 0; s < 2; s++) {
    fzr_pkt copy = *pkt;
    if (from == FZR_SIDE_CLIENT)
      fzt_client_run(&sides[s].shards[shard], &copy, 1);
    else
      fzt_peer_run(&sides[s].shards[shard], &copy, 1);
  }
  compare_outputs(shard);
  const fzt_relay *a = &sides[0].shards[shard];
  for (size_t i = 0; i < a->verdict_count; i++) {
    const fzr_verdict *v = &a->verdicts[i];
    if (v->action != FZR_ACT_FORWARD || v->flags & FZR_VERDICT_TO_SHARD)
      continue;
    counts[from == FZR_SIDE_CLIENT ? COUNT_TO_PEER : COUNT_TO_CLIENT]++;
    if (v->flow == FZR_FLOW_NONE)
      counts[from == FZR_SIDE_CLIENT ? COUNT_SENT : COUNT_DATA]++;
  }
}

void twins_change_secret(void)
{
  secret = !secret;
  for (unsigned s = 0; s < 2; s++)
    for (unsigned i = 0; i < shard_count; i++)
      ck_assert_int_eq(fzr_engine_set_secrets(sides[s].shards[i].engine, secrets[secret], NULL), 0);
}

void twins_pass(fzr_time by)
{
  const fzr_time end = now + by;
  for (;;) {
    fzr_time next = end;
    for (unsigned s = 0; s < 2; s++)
      for (unsigned i = 0; i < shard_count; i++) {
        const fzr_time deadline = fzr_engine_deadline(sides[s].shards[i].engine);
        next = deadline < next ? deadline : next;
      }
    set_now(next > now ? next : now);
    for (unsigned i = 0; i < shard_count; i++) {
      if (fzr_engine_deadline(sides[0].shards[i].engine) > now &&
          fzr_engine_deadline(sides[1].shards[i].engine) > now)
        continue;
      look(i);
      counts[COUNT_EXPIRED] += sides[0].shards[i].event_count;
      compare_outputs(i);
    }
    if (next >= end)
      return;
  }
}

void twins_make(const fzr_config *config)
{
  secret = 0;
  configs[0] = configs[1] = *config;
  for (unsigned s = 0; s < 2; s++) {
    for (unsigned i = 0; i < shard_count; i++)
      sides[s].shards[i].prng.state = i;
    make_side(s);
  }
  /* The first hand-over gives both the same keys. */
  for (unsigned i = 0; i < shard_count; i++) {
    unsigned at[2] = {0, i};
    state_lens[0][i] = 0;
    ck_assert_int_eq(fzr_engine_save(sides[0].shards[i].engine, keep, at, now), 0);
    ck_assert_int_eq(fzr_engine_load(sides[1].shards[i].engine, states[0][i], state_lens[0][i], now, NULL),
                     0);
  }
  for (unsigned i = 0; i < shard_count; i++)
    look(i);
}

void twins_free(void)
{
  for (unsigned s = 0; s < 2; s++)
    free_side(s);
}
