/* SPDX-License-Identifier: Apache-2.0 */
/* The data path: ChannelData from clients and datagrams from peers become verdicts. No memory is taken, nothing logged, no
 * clock read; requests among the datagrams branch off to request.c. */
#include "allocation.h"
#include "answer.h"
#include "channel.h"
#include "request.h"

#include "../base/bytes.h"

#include <assert.h>

static_assert(sizeof(fzr_pkt) == 64, "one cache line");
static_assert(sizeof(fzr_verdict) == 96, "frozen");
static_assert(sizeof(fzr_event) == 96, "frozen");
static_assert(sizeof(fzr_transmit) == 64, "frozen");
/* Memory is a promise (README.md): allocation, channel, and 3 map entries of at most 32 bytes fit 512 bytes. */
static_assert(sizeof(fzri_allocation) + sizeof(fzri_channel) <= 512 - 3 * 32,
              "bytes per allocation with a channel");

/* How many datagrams are looked ahead at, to bring what they need into the cache: their misses overlap. */
#define AHEAD 16u

/* What a look ahead found for a datagram: guesses by hash alone, to be verified. */
typedef struct guess {
  uint32_t hash;
  uint32_t allocation;
  uint32_t channel;
} guess;

/* One call of rx_client or rx_peer. */
typedef struct batch {
  fzr_engine *e;
  fzr_verdict *out;
  size_t max;
  size_t n;
  const fzr_pkt *pkt; /* being worked on */
  uint32_t in_idx;
  bool answered; /* some input of this call is done: a full ring of answers may stop it */
} batch;

static fzr_verdict *next_verdict(batch *b, enum fzr_action action, const uint8_t *data)
{
  fzr_verdict *v = &b->out[b->n++];
  memset(v, 0, offsetof(fzr_verdict, to));
  v->data = data;
  v->in_idx = b->in_idx;
  v->count = 1;
  v->action = (uint8_t)action;
  return v;
}

/* Counts |count| dropped datagrams, in the verdict before this one if that is about the same. Where the bandwidth cut a run
 * and the verdicts are full, the counter alone tells. */
static void drop(batch *b, const uint8_t *data, enum fzr_drop_reason reason, uint16_t count)
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
  fzr_verdict *v = next_verdict(b, FZR_ACT_DROP, data);
  v->reason = (uint8_t)reason;
  v->count = count;
}

static void count_sizes(fzr_engine *e, uint16_t len, uint32_t count)
{
  const unsigned size_class = len ? (len - 1u) / 100u : 0;
  e->stats.packet_sizes[size_class < FZR_SIZE_CLASSES ? size_class : FZR_SIZE_CLASSES - 1] += count;
}

static void count_relayed(fzr_engine *e, unsigned direction, const fzr_verdict *v)
{
  const uint32_t full = v->count - 1u;
  e->stats.packets[direction] += v->count;
  e->stats.bytes[direction] += (uint64_t)full * v->len + v->tail_len;
  if (full)
    count_sizes(e, v->len, full);
  count_sizes(e, v->tail_len, 1);
}

/* How many of |count| payloads the allocation's bandwidth allows now: all, unless there is a limit. */
static uint16_t within_bandwidth(fzr_engine *e, fzri_allocation *a, uint16_t count, uint16_t len,
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
typedef struct run {
  const uint8_t *data; /* first payload */
  uint32_t stride;
  uint16_t count;
  uint16_t len;
  uint16_t tail_len;
} run;

/* Forwards |r| on |c|, as far as the bandwidth allows; writes one verdict, or two if some of it is dropped. */
static void forward(batch *b, fzri_allocation *a, const fzri_channel *c, unsigned direction, const run *r)
{
  const uint16_t allowed = within_bandwidth(b->e, a, r->count, r->len, r->tail_len);
  if (allowed) {
    fzr_verdict *v = next_verdict(b, FZR_ACT_FORWARD, r->data);
    v->stride = r->stride;
    v->count = allowed;
    v->len = r->len;
    v->tail_len = allowed == r->count ? r->tail_len : r->len;
    v->flow = c->index * 2 + direction;
    if (direction == 0) {
      v->io = a->io[fzri_family_slot(c->peer.family)];
      v->to = c->peer;
      v->from = b->e->public_addr[fzri_family_slot(c->peer.family)];
      v->from.port = a->port;
    } else {
      v->hdr_len = FZR_CHANNEL_HEADER_LEN;
      fzr_channel_data_header(v->hdr, c->number, v->len);
      fzr_channel_data_header(v->tail_hdr, c->number, v->tail_len);
      v->to = a->client;
      v->from = a->server;
    }
    count_relayed(b->e, direction, v);
  }
  if (allowed < r->count)
    drop(b, r->data + (size_t)allowed * r->stride, FZR_DROP_BANDWIDTH, (uint16_t)(r->count - allowed));
}

/* The live allocation of the datagram's 5-tuple, or NULL. The guess is tried first. */
static fzri_allocation *client_allocation(const fzr_engine *e, const fzr_pkt *pkt, guess *g)
{
  uint32_t probe = g->hash, index = g->allocation;
  for (;;) {
    if (index != FZRI_MAP_NONE) {
      fzri_allocation *a = fzri_allocation_at(e, index);
      if (fzri_addr_same(&a->client, &pkt->from) && fzri_addr_same(&a->server, &pkt->to) &&
          a->state == FZRI_ALLOCATION_LIVE && e->now < a->expires) {
        g->allocation = index;
        return a;
      }
    }
    index = fzri_map_next(&e->clients, g->hash, &probe);
    if (index == FZRI_MAP_NONE)
      return NULL;
  }
}

/* The channel |number| of |a| that relays now, or NULL. */
static fzri_channel *relaying_number(const fzr_engine *e, const fzri_allocation *a, uint16_t number, guess *g)
{
  fzri_channel *c = g->channel != FZRI_MAP_NONE ? fzri_channel_at(e, g->channel) : NULL;
  if (!c || c->allocation != a->index || c->number != number || c->dead)
    c = fzri_channel_by_number(e, a->index, number, fzri_hash_number(e, a->index, number));
  if (!c || e->now >= c->relay_until)
    return NULL;
  g->channel = c->index;
  return c;
}

/* How many segments from |off| on are one run of the first one's channel and length: the last may be shorter. */
static run client_run(const fzr_pkt *pkt, uint32_t off, uint16_t payload_len)
{
  const uint8_t *first = pkt->data + off;
  run r = {first + FZR_CHANNEL_HEADER_LEN, pkt->seg, 1, payload_len, payload_len};
  uint32_t header, other;
  memcpy(&header, first, sizeof header);
  for (uint32_t at = off; pkt->seg && pkt->len - at > pkt->seg && r.count < UINT16_MAX;) {
    at += pkt->seg;
    const uint32_t rest = pkt->len - at < pkt->seg ? pkt->len - at : pkt->seg;
    uint16_t number, len;
    if (rest == pkt->seg) {
      memcpy(&other, pkt->data + at, sizeof other);
      if (other == header) {
        r.count++;
        continue;
      }
    }
    /* Another length, or a short segment: the run's tail if it is of the same channel and not longer. */
    if (fzr_channel_data_read(pkt->data + at, rest, &number, &len) == 0 && len <= payload_len &&
        number == fzri_get16(first)) {
      r.count++;
      r.tail_len = len;
    }
    break;
  }
  return r;
}

/* ChannelData at |off|. Returns how many segments were done. */
static uint16_t take_channel_data(batch *b, uint32_t off, uint32_t seg_len, guess *g)
{
  const fzr_pkt *pkt = b->pkt;
  const uint8_t *data = pkt->data + off;
  uint16_t number, payload_len;
  const int bad = fzr_channel_data_read(data, seg_len, &number, &payload_len);
  if (bad) {
    drop(b, data, (enum fzr_drop_reason)bad, 1);
    return 1;
  }
  fzri_allocation *a = client_allocation(b->e, pkt, g);
  if (!a) {
    drop(b, data, FZR_DROP_UNKNOWN_CLIENT, 1);
    return 1;
  }
  const fzri_channel *c = relaying_number(b->e, a, number, g);
  if (!c) {
    drop(b, data, FZR_DROP_UNKNOWN_CHANNEL, 1);
    return 1;
  }
  const run r = client_run(pkt, off, payload_len);
  forward(b, a, c, 0, &r);
  return r.count;
}

static void take_stun(batch *b, const uint8_t *data, uint32_t len)
{
  const enum fzr_drop_reason reason = fzri_request_take(b->e, data, len, &b->pkt->from, &b->pkt->to);
  if (reason)
    drop(b, data, reason, 1);
  else
    next_verdict(b, FZR_ACT_HANDLED, data);
}

/* Moves what is left of a packet to its beginning, for the next call. */
static void keep_rest(fzr_pkt *pkt, uint32_t off)
{
  pkt->data += off;
  pkt->len -= off;
}

/* Walks the segments of one packet. Returns false if it had to stop; what is left stays in |pkt|. */
static bool take_client_packet(batch *b, fzr_pkt *pkt, guess *g)
{
  uint32_t off = 0;
  do {
    const uint32_t left = pkt->len - off;
    const uint32_t seg_len = pkt->seg && pkt->seg < left ? pkt->seg : left;
    const uint8_t first = seg_len ? pkt->data[off] : 0xff;
    const bool stun = first < 0x04;
    if (b->n == b->max || (stun && b->answered && fzri_answers_full(b->e))) {
      keep_rest(pkt, off);
      return false;
    }
    uint16_t count = 1;
    if (pkt->from.port == 0)
      drop(b, pkt->data + off, FZR_DROP_SOURCE_PORT_ZERO, 1);
    else if (stun)
      take_stun(b, pkt->data + off, seg_len);
    else if ((first & 0xf0) == 0x40)
      count = take_channel_data(b, off, seg_len, g);
    else
      drop(b, pkt->data + off, FZR_DROP_NOT_STUN, 1);
    b->answered = true;
    const uint64_t done = count == 1 ? seg_len : (uint64_t)count * pkt->seg;
    off = done < left ? off + (uint32_t)done : pkt->len;
  } while (off < pkt->len);
  return true;
}

static bool same_source(const fzr_pkt *a, const fzr_pkt *b)
{
  return fzri_addr_same(&a->from, &b->from) && fzri_addr_same(&a->to, &b->to);
}

/* Guesses for |n| packets, in passes, so that each pass finds in the cache what the one before has asked for. */
static void look_ahead_clients(const fzr_engine *e, const fzr_pkt *in, size_t n, guess *g)
{
  uint32_t number_hash[AHEAD];
  for (size_t i = 0; i < n; i++) {
    const bool same = i && same_source(&in[i], &in[i - 1]);
    g[i].hash = same ? g[i - 1].hash : fzri_hash_client(e, &in[i].from);
    g[i].allocation = g[i].channel = FZRI_MAP_NONE;
    if (n > 1 && !same) {
      fzri_map_prefetch(&e->clients, g[i].hash);
      __builtin_prefetch(in[i].data);
    }
  }
  for (size_t i = 0; i < n; i++) {
    uint32_t probe = g[i].hash;
    g[i].allocation = fzri_map_next(&e->clients, g[i].hash, &probe);
    if (n == 1 || g[i].allocation == FZRI_MAP_NONE)
      continue;
    const uint8_t *a = (const uint8_t *)fzri_allocation_at(e, g[i].allocation);
    __builtin_prefetch(a);
    __builtin_prefetch(a + 64);
    if (in[i].len >= FZR_CHANNEL_HEADER_LEN) {
      number_hash[i] = fzri_hash_number(e, g[i].allocation, fzri_get16(in[i].data));
      fzri_map_prefetch(&e->numbers, number_hash[i]);
    }
  }
  for (size_t i = 0; n > 1 && i < n; i++) {
    if (g[i].allocation == FZRI_MAP_NONE || in[i].len < FZR_CHANNEL_HEADER_LEN)
      continue;
    uint32_t probe = number_hash[i];
    g[i].channel = fzri_map_next(&e->numbers, number_hash[i], &probe);
    if (g[i].channel != FZRI_MAP_NONE)
      __builtin_prefetch(fzri_channel_at(e, g[i].channel));
  }
}

size_t fzr_engine_rx_client(fzr_engine *e, fzr_pkt *in, size_t n, fzr_verdict *out, size_t max,
                            size_t *consumed, fzr_time now)
{
  guess guesses[AHEAD];
  size_t done = 0;
  if (consumed)
    *consumed = 0;
  if (!e || !in || !out || !max || !consumed)
    return 0;
  fzri_engine_advance(e, now);
  batch b = {e, out, max, 0, NULL, 0, false};
  while (done < n) {
    const size_t ahead = n - done < AHEAD ? n - done : AHEAD;
    look_ahead_clients(e, in + done, ahead, guesses);
    for (size_t i = 0; i < ahead; i++, done++) {
      b.pkt = &in[done];
      b.in_idx = (uint32_t)done;
      if (!take_client_packet(&b, &in[done], &guesses[i])) {
        *consumed = done;
        return b.n;
      }
    }
  }
  *consumed = done;
  return b.n;
}

/* The channel of |a| to the packet's source that relays now, or NULL. */
static const fzri_channel *relaying_peer(const fzr_engine *e, const fzri_allocation *a, const fzr_pkt *pkt,
                                         guess *g)
{
  const fzri_channel *c = g->channel != FZRI_MAP_NONE ? fzri_channel_at(e, g->channel) : NULL;
  if (!c || !c->number || c->allocation != a->index || c->dead || !fzri_addr_same(&c->peer, &pkt->from))
    c = fzri_channel_by_peer(e, a->index, &pkt->from, fzri_hash_peer(e, a->index, &pkt->from));
  return c && e->now < c->relay_until ? c : NULL;
}

/* One packet of a peer: all of its segments are one flow. */
static void take_peer_packet(batch *b, const fzr_pkt *pkt, guess *g)
{
  const uint32_t seg_len = pkt->seg && pkt->seg < pkt->len ? pkt->seg : pkt->len;
  const uint32_t segments = seg_len ? (pkt->len + seg_len - 1) / seg_len : 1;
  const uint16_t count = (uint16_t)(segments < UINT16_MAX ? segments : UINT16_MAX);
  fzri_allocation *a = fzri_allocation_by_port(b->e, pkt->to.port);
  if (pkt->from.port == 0) {
    drop(b, pkt->data, FZR_DROP_SOURCE_PORT_ZERO, count);
    return;
  }
  if (!a || a->state != FZRI_ALLOCATION_LIVE || b->e->now >= a->expires ||
      !(a->families & fzri_family_bit(pkt->to.family))) {
    drop(b, pkt->data, FZR_DROP_UNKNOWN_PORT, count);
    return;
  }
  const fzri_channel *c = relaying_peer(b->e, a, pkt, g);
  if (!c) {
    drop(b, pkt->data, FZR_DROP_UNKNOWN_PEER, count);
    return;
  }
  if (seg_len > FZR_CHANNEL_PAYLOAD_MAX) {
    drop(b, pkt->data, FZR_DROP_TOO_LARGE, count);
    return;
  }
  const uint32_t rest = pkt->len - (count - 1u) * seg_len;
  const uint32_t tail_len = rest < seg_len ? rest : seg_len;
  const run r = {pkt->data, seg_len, count, (uint16_t)seg_len, (uint16_t)tail_len};
  forward(b, a, c, 1, &r);
}

static void look_ahead_peers(const fzr_engine *e, const fzr_pkt *in, size_t n, guess *g)
{
  for (size_t i = 0; i < n; i++) {
    const fzri_allocation *a = fzri_allocation_by_port(e, in[i].to.port);
    g[i].allocation = a ? a->index : FZRI_MAP_NONE;
    g[i].channel = FZRI_MAP_NONE;
    g[i].hash = 0;
    if (!a)
      continue;
    const bool same = i && in[i].to.port == in[i - 1].to.port && fzri_addr_same(&in[i].from, &in[i - 1].from);
    g[i].hash = same ? g[i - 1].hash : fzri_hash_peer(e, g[i].allocation, &in[i].from);
    if (n == 1 || same)
      continue;
    fzri_map_prefetch(&e->peers, g[i].hash);
    __builtin_prefetch(fzri_allocation_at(e, g[i].allocation));
    __builtin_prefetch((const uint8_t *)fzri_allocation_at(e, g[i].allocation) + 64);
  }
  for (size_t i = 0; i < n; i++) {
    if (g[i].allocation == FZRI_MAP_NONE)
      continue;
    uint32_t probe = g[i].hash;
    g[i].channel = fzri_map_next(&e->peers, g[i].hash, &probe);
    if (n > 1 && g[i].channel != FZRI_MAP_NONE)
      __builtin_prefetch(fzri_channel_at(e, g[i].channel));
  }
}

size_t fzr_engine_rx_peer(fzr_engine *e, fzr_pkt *in, size_t n, fzr_verdict *out, size_t max,
                          size_t *consumed, fzr_time now)
{
  guess guesses[AHEAD];
  size_t done = 0;
  if (consumed)
    *consumed = 0;
  if (!e || !in || !out || !max || !consumed)
    return 0;
  fzri_engine_advance(e, now);
  batch b = {e, out, max, 0, NULL, 0, false};
  while (done < n) {
    const size_t ahead = n - done < AHEAD ? n - done : AHEAD;
    look_ahead_peers(e, in + done, ahead, guesses);
    for (size_t i = 0; i < ahead; i++, done++) {
      if (b.n == b.max) {
        *consumed = done;
        return b.n;
      }
      b.in_idx = (uint32_t)done;
      take_peer_packet(&b, &in[done], &guesses[i]);
    }
  }
  *consumed = done;
  return b.n;
}
