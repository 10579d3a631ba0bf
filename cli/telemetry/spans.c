/* SPDX-License-Identifier: Apache-2.0 */
#include "spans.h"

#include "common/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CACHE_LINE 64

struct span_ring {
  /* The worker's. */
  _Alignas(CACHE_LINE) atomic_uint head; /* how many were written; wraps */
  atomic_uint_least64_t dropped;
  uint64_t random[2];
  uint8_t trace_id[16], span_id[8]; /* of the request at hand */
  /* The reader's. */
  _Alignas(CACHE_LINE) atomic_uint tail;
  /* Of both, and never changed. */
  _Alignas(CACHE_LINE) unsigned capacity;
  int wake;
  span *spans;
};

span_ring *span_ring_new(unsigned capacity, int wake)
{
  span_ring *r = aligned_alloc(CACHE_LINE, sizeof *r);
  if (!r)
    return NULL;
  memset(r, 0, sizeof *r);
  r->capacity = capacity;
  r->wake = wake;
  r->spans = calloc(capacity, sizeof *r->spans);
  if (!r->spans || getrandom(r->random, sizeof r->random, 0) != sizeof r->random) {
    span_ring_free(r);
    return NULL;
  }
  r->random[0] |= 1; /* a state of zeros would stay there */
  return r;
}

void span_ring_free(span_ring *r)
{
  if (!r)
    return;
  free(r->spans);
  free(r);
}

/* xoroshiro128+: ids have to be unlike each other, not secret. */
static uint64_t next_random(span_ring *r)
{
  const uint64_t a = r->random[0];
  uint64_t b = r->random[1];
  const uint64_t result = a + b;
  b ^= a;
  r->random[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
  r->random[1] = b << 37 | b >> 27;
  return result;
}

static void make_ids(span_ring *r)
{
  uint64_t words[3];
  for (unsigned i = 0; i < 3; i++)
    words[i] = next_random(r);
  words[0] += !words[0]; /* all zero is no id */
  words[2] += !words[2];
  memcpy(r->trace_id, words, 16);
  memcpy(r->span_id, words + 2, 8);
}

/* Whether |record| tells that a request was answered. */
static bool is_answer(const fzr_log_record *record)
{
  switch (record->event) {
  case FZR_LOG_REQUEST:
  case FZR_LOG_ALLOCATION_CREATED:
  case FZR_LOG_ALLOCATION_REFRESHED:
  case FZR_LOG_ALLOCATION_DELETED:
  case FZR_LOG_CHANNEL_BOUND:
  case FZR_LOG_CHANNEL_REBOUND:
  case FZR_LOG_PERMISSION:
  case FZR_LOG_PEER_REFUSED:
    return true;
  default:
    return false;
  }
}

static void fill(const span_ring *r, const fzr_log_record *record, span *s)
{
  memcpy(s->trace_id, r->trace_id, sizeof s->trace_id);
  memcpy(s->span_id, r->span_id, sizeof s->span_id);
  s->has_txid = record->txid != NULL;
  if (record->txid)
    memcpy(s->txid, record->txid, sizeof s->txid);
  s->method = record->method;
  s->error_code = record->error_code;
  s->allocation = record->port;
  s->channel = record->channel;
  s->end = monotonic_now();
  s->start = record->now < s->end ? record->now : s->end;
  memset(&s->sender, 0, sizeof s->sender);
  memset(&s->peer, 0, sizeof s->peer);
  if (record->client)
    s->sender = *record->client;
  if (record->peer)
    s->peer = *record->peer;
  const unsigned len = record->software ? record->software_len : 0;
  s->software_len = (uint8_t)(len < SPAN_SOFTWARE_MAX ? len : SPAN_SOFTWARE_MAX);
  if (s->software_len)
    memcpy(s->software, record->software, s->software_len);
}

static void wake_reader(const span_ring *r)
{
  const uint64_t one = 1;
  if (r->wake >= 0 && write(r->wake, &one, sizeof one) < 0)
    return; /* at its maximum: the reader is awake anyway */
}

static void append(span_ring *r, const fzr_log_record *record)
{
  const unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);
  const unsigned used = head - atomic_load_explicit(&r->tail, memory_order_acquire);
  if (used == r->capacity) {
    atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
    return;
  }
  fill(r, record, &r->spans[head & (r->capacity - 1)]);
  atomic_store_explicit(&r->head, head + 1, memory_order_release);
  if (used + 1 == r->capacity / 2)
    wake_reader(r);
}

void span_ring_record(span_ring *r, const fzr_log_record *record, const uint8_t **trace_id,
                      const uint8_t **span_id)
{
  *trace_id = *span_id = NULL;
  if (!r || !is_answer(record))
    return;
  make_ids(r);
  append(r, record);
  *trace_id = r->trace_id;
  *span_id = r->span_id;
}

const span *span_ring_first(const span_ring *r)
{
  const unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
  return tail == atomic_load_explicit(&r->head, memory_order_acquire) ? NULL
                                                                      : &r->spans[tail & (r->capacity - 1)];
}

void span_ring_pop(span_ring *r)
{
  const unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
  atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

uint64_t span_ring_dropped(const span_ring *r)
{
  return atomic_load_explicit(&r->dropped, memory_order_relaxed);
}

const char *span_name(const span *s)
{
  return fzr_stat_method_handler(fzr_stat_method_of(s->method));
}
