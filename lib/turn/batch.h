/* SPDX-License-Identifier: Apache-2.0 */
/* What one call of fzr_engine_rx works on: the verdicts that it has written, and how datagrams join them. */
#ifndef FZRI_BATCH_H
#define FZRI_BATCH_H

#include "state.h"

#include "../base/bytes.h"

/* For what a packet goes through: a call costs as much as what is in it. */
#define FZRI_FAST static inline __attribute__((always_inline))
/* What ends in a drop: the compiler keeps it out of the way of packets that go on. */
#define FZRI_RARE(condition) __builtin_expect(!!(condition), 0)

/* One call of fzr_engine_rx. */
typedef struct fzri_batch {
  fzr_engine *e;
  fzr_verdict *out;
  size_t max;
  size_t n;
  const fzr_pkt *pkt; /* being worked on */
  uint32_t in_idx;
  uint8_t *hdr;       /* where the next verdict's headers go */
  uint8_t partly;     /* 1: of the last packet something is left, and there is no more room for headers */
  uint32_t forwarded; /* 1 + the last input that was part of the last verdict, which forwards; 0: none */
  /* Indications join by these, so that channels need not ask what the last verdict is about: */
  uint32_t indicated;  /* 1 + the last input that was part of a verdict of theirs */
  size_t indicated_n;  /* how many verdicts there were then, that one the last */
  const uint8_t *send; /* the first Send indication of it */
  uint32_t send_len;   /* its bytes */
  uint16_t send_off;   /* where its payload begins */
  uint8_t send_shape;  /* enum fzri_send_shape */
} fzri_batch;

/* The next verdict, not written yet. There is room for it. */
FZRI_FAST fzr_verdict *fzri_verdict_slot(fzri_batch *b)
{
  FZRI_ASSERT(b->n < b->max);
  b->forwarded = 0;
  return &b->out[b->n++];
}

/* The same, with nothing in it but what is given. */
FZRI_FAST fzr_verdict *fzri_next_verdict(fzri_batch *b, enum fzr_action action, const uint8_t *data)
{
  fzr_verdict *v = fzri_verdict_slot(b);
  memset(v, 0, offsetof(fzr_verdict, to));
  v->data = data;
  v->in_idx = b->in_idx;
  v->count = 1;
  v->action = (uint8_t)action;
  return v;
}

/* Counts |count| dropped datagrams, in the verdict before this one if that is about the same. Where the bandwidth cut a run
 * and the verdicts are full, the counter alone tells. */
static inline void fzri_drop(fzri_batch *b, const uint8_t *data, enum fzr_drop_reason reason, uint16_t count)
{
  b->e->stats.dropped[reason] += count;
  if (b->n) {
    fzr_verdict *last = &b->out[b->n - 1];
    if (last->action == FZR_ACT_DROP && last->reason == (uint8_t)reason && last->in_idx == b->in_idx &&
        last->count <= UINT16_MAX - count) {
      last->count = (uint16_t)(last->count + count);
      return;
    }
  }
  if (b->n == b->max)
    return;
  fzr_verdict *v = fzri_next_verdict(b, FZR_ACT_DROP, data);
  v->reason = (uint8_t)reason;
  v->count = count;
}

FZRI_FAST void fzri_count_sizes(fzr_engine *e, uint16_t len, uint32_t count)
{
  const unsigned size_class = len ? (len - 1u) / 100u : 0;
  e->stats.packet_sizes[size_class < FZR_SIZE_CLASSES ? size_class : FZR_SIZE_CLASSES - 1] += count;
}

/* What verdicts forward. */
typedef struct fzri_sum {
  uint64_t packets, bytes;
} fzri_sum;

/* The last verdict forwards something of |a|. */
FZRI_FAST void fzri_own_verdict(const fzri_batch *b, fzri_allocation *a)
{
  b->e->owners[b->n - 1] = a;
}

/* Adds what |v| forwards to |sum| and to what its |owner| has, and counts its sizes. The owner may be closing by now, but is still there. */
FZRI_FAST void fzri_add_verdict(fzr_engine *e, const fzr_verdict *v, fzri_allocation *owner,
                                unsigned direction, fzri_sum *sum)
{
  const uint32_t full = v->count - 1u;
  const uint64_t bytes = (uint64_t)full * v->len + v->tail_len;
  sum->packets += v->count;
  sum->bytes += bytes;
  owner->packets[direction] += v->count;
  owner->bytes[direction] += bytes;
  if (full)
    fzri_count_sizes(e, v->len, full);
  fzri_count_sizes(e, v->tail_len, 1);
}

FZRI_FAST void fzri_count_sum(fzr_engine *e, const fzri_sum *sum, unsigned direction)
{
  e->stats.packets[direction] += sum->packets;
  e->stats.bytes[direction] += sum->bytes;
}

/* Counts what the verdicts forward: once a call, for each run may go over many packets. */
FZRI_FAST void fzri_count_relayed(const fzri_batch *b, unsigned direction)
{
  fzri_sum sum = {0, 0}; /* in registers, which a counter of the engine is not */
  const fzr_verdict *end = b->out + b->n;
  fzri_allocation *const *owner = b->e->owners;
  for (const fzr_verdict *v = b->out; v < end; v++, owner++)
    if (v->action == FZR_ACT_FORWARD)
      fzri_add_verdict(b->e, v, *owner, direction, &sum);
  fzri_count_sum(b->e, &sum, direction);
}

/* How many of |count| payloads the allocation's bandwidth allows now: all, unless there is a limit. */
FZRI_FAST uint16_t fzri_within_bandwidth(fzr_engine *e, fzri_allocation *a, uint16_t count, uint16_t len,
                                         uint16_t tail_len)
{
  if (!e->bandwidth)
    return count;
  /* A second's worth may come in one burst, but a full datagram always passes an idle bucket. */
  const uint64_t burst = e->bandwidth > FZR_UDP_PAYLOAD_MAX ? e->bandwidth : FZR_UDP_PAYLOAD_MAX;
  for (uint16_t i = 0; i < count; i++)
    if (!fzri_bucket_take(&a->bandwidth, e->bandwidth, burst, i + 1 == count ? tail_len : len, e->now))
      return i;
  return count;
}

/* A run of equal payloads that was found in the input. */
typedef struct fzri_run_in {
  const uint8_t *data; /* first payload */
  uint32_t stride;
  uint16_t count;
  uint16_t len;
  uint16_t tail_len;
} fzri_run_in;

/* Whether the last verdict forwards what the packet before this one ended with. */
FZRI_FAST bool fzri_may_join(const fzri_batch *b)
{
  return b->forwarded && b->forwarded == b->in_idx;
}

/* Forward only: where pointers have 32 bits, a step back is one that wraps. */
#define FZRI_MAX_STRIDE (UINTPTR_MAX > UINT32_MAX ? UINT32_MAX : (uint32_t)INT32_MAX)

/* Whether the payload of |len| bytes at |data| can go on the last verdict's run then: it is not longer, and lies where the
 * run's stride leads. */
FZRI_FAST bool fzri_joins(const fzri_batch *b, const uint8_t *data, uint16_t len)
{
  const fzr_verdict *v = &b->out[b->n - 1];
  const uintptr_t last = (uintptr_t)v->data + (size_t)(v->count - 1u) * v->stride;
  const uintptr_t step = (uintptr_t)data - last;
  return len && len <= v->len && v->tail_len == v->len && v->count < UINT16_MAX && step <= FZRI_MAX_STRIDE &&
         (v->count == 1 || step == v->stride);
}

/* Puts the payload there at the end of the last verdict. */
FZRI_FAST void fzri_append(fzri_batch *b, const uint8_t *data, uint16_t len)
{
  fzr_verdict *v = &b->out[b->n - 1];
  FZRI_ASSERT(b->n > 0 && v->action == FZR_ACT_FORWARD && v->count < UINT16_MAX && len <= v->len);
  if (v->count == 1)
    v->stride = (uint32_t)((uintptr_t)data - (uintptr_t)v->data);
  v->count++;
  v->tail_len = len;
}

/* Whether the last verdict is of indications, and of what the packet before this one ended with. */
FZRI_FAST bool fzri_may_join_indications(const fzri_batch *b)
{
  return b->indicated && b->indicated == b->in_idx && b->indicated_n == b->n;
}

#endif
