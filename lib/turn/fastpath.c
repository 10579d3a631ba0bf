/* SPDX-License-Identifier: Apache-2.0 */
/* The data path: ChannelData from clients and datagrams from peers become verdicts. No memory is taken, nothing logged, no
 * clock read; requests among the datagrams branch off to request.c. */
#include "allocation.h"
#include "answer.h"
#include "channel.h"
#include "dispatch.h"
#include "foreign.h"
#include "lookahead.h"

#include "../base/bytes.h"

#include <assert.h>

/* With pointers of 8 bytes; smaller ones make them smaller. */
#define SIZE_IS(type, size) (sizeof(void *) == 8 ? sizeof(type) == (size) : sizeof(type) <= (size))
static_assert(SIZE_IS(fzr_pkt, 64), "one cache line");
static_assert(SIZE_IS(fzr_verdict, 96), "frozen");
static_assert(SIZE_IS(fzr_batch, 48), "frozen");
static_assert(SIZE_IS(fzr_event, 96), "frozen");
static_assert(SIZE_IS(fzr_transmit, 64), "frozen");
/* Memory is a promise (README.md): allocation, channel, and 3 map entries of at most 32 bytes fit 512 bytes. */
static_assert(sizeof(fzri_allocation) + sizeof(fzri_channel) <= 512 - 3 * 32,
              "bytes per allocation with a channel");
static_assert(offsetof(fzri_allocation, opened) < 2 * FZRI_CACHE_LINE, "what the data path reads of it");
static_assert(offsetof(fzri_channel, next) <= FZRI_CACHE_LINE, "what the data path reads of it");

/* For what a packet goes through: a call costs as much as what is in it. */
#define FAST static inline __attribute__((always_inline))
/* What ends in a drop: the compiler keeps it out of the way of packets that go on. */
#define RARE(condition) __builtin_expect(!!(condition), 0)

/* One call of fzr_engine_rx. */
typedef struct batch {
  fzr_engine *e;
  fzr_verdict *out;
  size_t max;
  size_t n;
  const fzr_pkt *pkt; /* being worked on */
  uint32_t in_idx;
  uint8_t *hdr;       /* where the next verdict's headers go */
  uint32_t forwarded; /* 1 + the last input that was part of the last verdict, which forwards; 0: none */
  bool answered;      /* some input of this call is done: a full ring of answers may stop it */
} batch;

/* There is room for it. */
FAST fzr_verdict *next_verdict(batch *b, enum fzr_action action, const uint8_t *data)
{
  FZRI_ASSERT(b->n < b->max);
  fzr_verdict *v = &b->out[b->n++];
  b->forwarded = 0;
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

FAST void count_sizes(fzr_engine *e, uint16_t len, uint32_t count)
{
  const unsigned size_class = len ? (len - 1u) / 100u : 0;
  e->stats.packet_sizes[size_class < FZR_SIZE_CLASSES ? size_class : FZR_SIZE_CLASSES - 1] += count;
}

/* Counts what the verdicts forward: once a call, for each run may go over many packets. */
FAST void count_relayed(const batch *b, unsigned direction)
{
  fzr_engine *e = b->e;
  for (size_t i = 0; i < b->n; i++) {
    const fzr_verdict *v = &b->out[i];
    if (v->action != FZR_ACT_FORWARD)
      continue;
    const uint32_t full = v->count - 1u;
    e->stats.packets[direction] += v->count;
    e->stats.bytes[direction] += (uint64_t)full * v->len + v->tail_len;
    if (full)
      count_sizes(e, v->len, full);
    count_sizes(e, v->tail_len, 1);
  }
}

/* How many of |count| payloads the allocation's bandwidth allows now: all, unless there is a limit. */
FAST uint16_t within_bandwidth(fzr_engine *e, fzri_allocation *a, uint16_t count, uint16_t len,
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

/* Whether the last verdict forwards what the packet before this one ended with. */
FAST bool may_join(const batch *b)
{
  return b->forwarded && b->forwarded == b->in_idx;
}

/* Forward only: where pointers have 32 bits, a step back is one that wraps. */
#define MAX_STRIDE (UINTPTR_MAX > UINT32_MAX ? UINT32_MAX : (uint32_t)INT32_MAX)

/* Whether the payload of |len| bytes at |data| can go on the last verdict's run then: it is not longer, and lies where the
 * run's stride leads. */
FAST bool joins(const batch *b, const uint8_t *data, uint16_t len)
{
  const fzr_verdict *v = &b->out[b->n - 1];
  const uintptr_t last = (uintptr_t)v->data + (size_t)(v->count - 1u) * v->stride;
  const uintptr_t step = (uintptr_t)data - last;
  return len && len <= v->len && v->tail_len == v->len && v->count < UINT16_MAX && step <= MAX_STRIDE &&
         (v->count == 1 || step == v->stride);
}

/* Gives the last datagram of |v|, a run on channel |number| to its client, a header of its own: its length is another. */
FAST void put_tail_header(batch *b, fzr_verdict *v, uint16_t number)
{
  uint8_t *hdr = b->hdr - FZR_CHANNEL_HEADER_LEN;
  FZRI_ASSERT(hdr == v->hdr + v->hdr_len);
  fzri_put16(hdr, number);
  fzri_put16(hdr + 2, v->tail_len);
  v->flags |= FZR_VERDICT_TAIL_HDR;
}

/* Appends it. A shorter one ends the run. */
FAST void join(batch *b, const uint8_t *data, uint16_t len)
{
  fzr_verdict *v = &b->out[b->n - 1];
  FZRI_ASSERT(b->n > 0 && v->action == FZR_ACT_FORWARD && v->count < UINT16_MAX && len <= v->len);
  if (v->count == 1)
    v->stride = (uint32_t)((uintptr_t)data - (uintptr_t)v->data);
  v->count++;
  v->tail_len = len;
  if (v->hdr_len && len != v->len)
    put_tail_header(b, v, fzri_get16(v->hdr));
  b->forwarded = b->in_idx + 1;
}

/* Where |v| goes from and to. */
FAST void address(batch *b, const fzri_allocation *a, const fzri_channel *c, unsigned direction,
                  fzr_verdict *v)
{
  if (direction == 0) {
    v->io = a->io[fzri_family_slot(c->peer.family)];
    v->flags = c->own ? FZR_VERDICT_TO_OWN : 0;
    v->to = c->peer;
    v->from = b->e->public_addr[fzri_family_slot(c->peer.family)];
    v->from.port = a->port;
    return;
  }
  FZRI_ASSERT(b->e->headers + FZRI_HEADERS_BYTES - b->hdr >= 2 * (ptrdiff_t)FZR_CHANNEL_HEADER_LEN);
  v->hdr_len = FZR_CHANNEL_HEADER_LEN;
  v->hdr = b->hdr;
  fzri_put16(b->hdr, c->number);
  fzri_put16(b->hdr + 2, v->len);
  b->hdr += (size_t)2 * FZR_CHANNEL_HEADER_LEN; /* a shorter one may still join */
  if (v->tail_len != v->len)
    put_tail_header(b, v, c->number);
  v->to = a->client;
  v->from = a->server;
}

/* Forwards |r| on |c|, as far as the bandwidth allows: as part of the last verdict, or as one more, or two if some of it is
 * dropped. */
FAST void forward(batch *b, fzri_allocation *a, const fzri_channel *c, unsigned direction, const run *r)
{
  const uint32_t flow = c->index * 2 + direction;
  const uint16_t allowed = within_bandwidth(b->e, a, r->count, r->len, r->tail_len);
  if (may_join(b) && b->out[b->n - 1].flow == flow && r->count == 1 && allowed && joins(b, r->data, r->len)) {
    join(b, r->data, r->len);
    return;
  }
  if (allowed) {
    fzr_verdict *v = next_verdict(b, FZR_ACT_FORWARD, r->data);
    v->stride = r->stride;
    v->count = allowed;
    v->len = r->len;
    v->tail_len = allowed == r->count ? r->tail_len : r->len;
    v->flow = flow;
    address(b, a, c, direction, v);
    b->forwarded = b->in_idx + 1;
  }
  if (allowed < r->count)
    drop(b, r->data + (size_t)allowed * r->stride, FZR_DROP_BANDWIDTH, (uint16_t)(r->count - allowed));
}

FAST bool is_live(const fzr_engine *e, const fzri_allocation *a, const fzr_pkt *pkt)
{
  return fzri_addr_same(&a->client, &pkt->from) && fzri_addr_same(&a->server, &pkt->to) &&
         a->state == FZRI_ALLOCATION_LIVE && e->now < a->expires;
}

/* The live allocation of the datagram's 5-tuple, or NULL, when the guess was wrong. */
static fzri_allocation *find_client(const fzr_engine *e, const fzr_pkt *pkt, fzri_guess *g)
{
  uint32_t probe = g->hash, index;
  while ((index = fzri_map_next(&e->clients, g->hash, &probe)) != FZRI_MAP_NONE) {
    fzri_allocation *a = fzri_allocation_at(e, index);
    if (is_live(e, a, pkt))
      return g->allocation = a;
  }
  return NULL;
}

/* The same. The guess is tried first. */
FAST fzri_allocation *client_allocation(const fzr_engine *e, const fzr_pkt *pkt, fzri_guess *g)
{
  fzri_allocation *a = g->allocation;
  return a && is_live(e, a, pkt) ? a : find_client(e, pkt, g);
}

/* The channel |number| of |a| that relays now, or NULL. */
FAST fzri_channel *relaying_number(const fzr_engine *e, const fzri_allocation *a, uint16_t number,
                                   fzri_guess *g)
{
  fzri_channel *c = a->channel_count == 1 ? fzri_channel_at(e, a->first_channel) : g->channel;
  if (!c || c->allocation != a->index || c->number != number || c->dead)
    c = fzri_channel_by_number(e, a->index, number, fzri_hash_number(e, a->index, number));
  if (!c || e->now >= c->relay_until)
    return NULL;
  g->channel = c;
  return c;
}

/* How many segments from |off| on are one run of the first one's channel and length: the last may be shorter. */
FAST run client_run(const fzr_pkt *pkt, uint32_t off, uint16_t payload_len, uint16_t seg)
{
  const uint8_t *first = pkt->data + off;
  run r = {first + FZR_CHANNEL_HEADER_LEN, seg, 1, payload_len, payload_len};
  uint32_t header, other;
  memcpy(&header, first, sizeof header);
  for (uint32_t at = off; seg && pkt->len - at > seg && r.count < UINT16_MAX;) {
    at += seg;
    const uint32_t rest = pkt->len - at < seg ? pkt->len - at : seg;
    uint16_t number, len;
    if (rest == seg) {
      memcpy(&other, pkt->data + at, sizeof other);
      if (other == header) {
        r.count++;
        continue;
      }
    }
    /* Another length, or a short segment: the run's tail if it is of the same channel, not longer, and not nothing, which GSO
     * could not send. */
    if (fzr_channel_data_read(pkt->data + at, rest, &number, &len) == 0 && len && len <= payload_len &&
        number == fzri_get16(first)) {
      r.count++;
      r.tail_len = len;
    }
    break;
  }
  return r;
}

/* The usual case of a plain sender: the packet has the source and the header of the one before, and joins its run. */
FAST bool goes_on(batch *b, const fzr_pkt *pkt)
{
  const uint8_t *data = pkt->data + FZR_CHANNEL_HEADER_LEN;
  if (!may_join(b) || pkt->seg || b->e->bandwidth || pkt->len < FZR_CHANNEL_HEADER_LEN)
    return false;
  const fzr_verdict *v = &b->out[b->n - 1];
  if (pkt->len - FZR_CHANNEL_HEADER_LEN < v->len ||
      memcmp(pkt->data, v->data - FZR_CHANNEL_HEADER_LEN, FZR_CHANNEL_HEADER_LEN) != 0 ||
      !joins(b, data, v->len))
    return false;
  join(b, data, v->len);
  return true;
}

/* The same for peers: their payloads have no header. */
FAST bool peer_goes_on(batch *b, const fzr_pkt *pkt)
{
  if (!may_join(b) || pkt->seg || b->e->bandwidth || pkt->len != b->out[b->n - 1].len ||
      !joins(b, pkt->data, (uint16_t)pkt->len))
    return false;
  join(b, pkt->data, (uint16_t)pkt->len);
  return true;
}

/* ChannelData at |off|, of a packet that is_plain_data if |plain|. Returns how many segments were done. */
FAST uint16_t take_channel_data(batch *b, uint32_t off, uint32_t seg_len, uint16_t seg, bool plain,
                                fzri_guess *g)
{
  const fzr_pkt *pkt = b->pkt;
  const uint8_t *data = pkt->data + off;
  uint16_t payload_len;
  if (RARE(seg_len < FZR_CHANNEL_HEADER_LEN ||
           (payload_len = fzri_get16(data + 2)) > seg_len - FZR_CHANNEL_HEADER_LEN)) {
    drop(b, data, FZR_DROP_CHANNEL_DATA_TRUNCATED, 1);
    return 1;
  }
  const uint16_t number = fzri_get16(data);
  fzri_allocation *a = client_allocation(b->e, pkt, g);
  if (RARE(!a)) {
    drop(b, data, FZR_DROP_UNKNOWN_CLIENT, 1);
    return 1;
  }
  const fzri_channel *c = relaying_number(b->e, a, number, g);
  if (RARE(!c)) {
    drop(b, data, FZR_DROP_UNKNOWN_CHANNEL, 1);
    return 1;
  }
  /* A stream may carry more than UDP can. */
  if (!plain && RARE(payload_len > FZR_UDP_PAYLOAD_MAX)) {
    drop(b, data, FZR_DROP_TOO_LARGE, 1);
    return 1;
  }
  const run r = client_run(pkt, off, payload_len, seg);
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
static bool take_client_packet(batch *b, fzr_pkt *pkt, fzri_guess *g)
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
      count = take_channel_data(b, off, seg_len, pkt->seg, false, g);
    else
      drop(b, pkt->data + off, fzri_foreign_take(b->e, pkt->data + off, seg_len, &pkt->from), 1);
    b->answered = true;
    const uint64_t done = count == 1 ? seg_len : (uint64_t)count * pkt->seg;
    off = done < left ? off + (uint32_t)done : pkt->len;
  } while (off < pkt->len);
  return true;
}

/* One ChannelData that is no run, and has no more payload than UDP can carry. */
FAST bool is_plain_data(const fzr_pkt *pkt)
{
  return !pkt->seg && pkt->len - 1u < FZR_CHANNEL_HEADER_LEN + FZR_UDP_PAYLOAD_MAX &&
         (pkt->data[0] & 0xf0) == 0x40 && pkt->from.port;
}

/* Goes through |n| packets that were looked ahead at, from the |done|-th of the batch on. Returns how many are done. */
static size_t take_client_packets(batch *b, fzr_pkt *in, size_t n, size_t done, fzri_ahead *l)
{
  for (size_t i = 0; i < n; i++) {
    b->pkt = &in[i];
    b->in_idx = (uint32_t)(done + i);
    if (i && l->of[i] == l->of[i - 1] && goes_on(b, &in[i]))
      continue;
    fzri_guess *g = &l->guesses[l->of[i]];
    if (is_plain_data(&in[i]) && b->n < b->max) {
      take_channel_data(b, 0, in[i].len, 0, true, g);
      b->answered = true;
    } else if (!take_client_packet(b, &in[i], g)) {
      return i;
    }
  }
  return n;
}

/* Goes through the packets of |in| from the |done|-th on. Returns how many are done then. */
static size_t rx_clients(batch *b, fzr_pkt *in, size_t n, size_t done)
{
  fzri_ahead l;
  while (done < n) {
    const size_t some = n - done < FZRI_AHEAD ? n - done : FZRI_AHEAD;
    if (some == 1)
      fzri_guess_client(b->e, &in[done], &l);
    else
      fzri_look_ahead_clients(b->e, in + done, some, &l);
    const size_t taken = take_client_packets(b, in + done, some, done, &l);
    done += taken;
    if (taken < some)
      break;
  }
  count_relayed(b, 0);
  return done;
}

/* The channel of |a| to the packet's source that relays now, or NULL. */
FAST const fzri_channel *relaying_peer(const fzr_engine *e, const fzri_allocation *a, const fzr_pkt *pkt,
                                       fzri_guess *g)
{
  fzri_channel *c = a->channel_count == 1 ? fzri_channel_at(e, a->first_channel) : g->channel;
  if (!c || !c->number || c->allocation != a->index || c->dead || !fzri_addr_same(&c->peer, &pkt->from))
    c = fzri_channel_by_peer(e, a->index, &pkt->from, fzri_hash_peer(e, a->index, &pkt->from));
  if (!c || e->now >= c->relay_until)
    return NULL;
  g->channel = c;
  return c;
}

/* One packet of a peer: all of its segments are one flow. */
static void take_peer_packet(batch *b, const fzr_pkt *pkt, fzri_guess *g)
{
  const uint32_t seg_len = pkt->seg && pkt->seg < pkt->len ? pkt->seg : pkt->len;
  const uint32_t segments = seg_len ? (pkt->len + seg_len - 1) / seg_len : 1;
  const uint16_t count = (uint16_t)(segments < UINT16_MAX ? segments : UINT16_MAX);
  fzri_allocation *a = g->allocation;
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

/* Whether there is no room for a further verdict, and the headers that one to a client has. */
FAST bool is_full(const batch *b)
{
  return b->n == b->max || b->e->headers + FZRI_HEADERS_BYTES - b->hdr < 2 * (ptrdiff_t)FZR_HEADER_MAX;
}

/* As take_client_packets. */
static size_t take_peer_packets(batch *b, const fzr_pkt *in, size_t n, size_t done, fzri_ahead *l)
{
  for (size_t i = 0; i < n; i++) {
    b->in_idx = (uint32_t)(done + i);
    if (i && l->of[i] == l->of[i - 1] && peer_goes_on(b, &in[i]))
      continue;
    if (is_full(b))
      return i;
    take_peer_packet(b, &in[i], &l->guesses[l->of[i]]);
  }
  return n;
}

/* As rx_clients. */
static size_t rx_peers(batch *b, const fzr_pkt *in, size_t n, size_t done)
{
  fzri_ahead l;
  while (done < n) {
    const size_t some = n - done < FZRI_AHEAD ? n - done : FZRI_AHEAD;
    if (some == 1)
      fzri_guess_peer(b->e, &in[done], &l);
    else
      fzri_look_ahead_peers(b->e, in + done, some, &l);
    const size_t taken = take_peer_packets(b, in + done, some, done, &l);
    done += taken;
    if (taken < some)
      break;
  }
  count_relayed(b, 1);
  return done;
}

int fzr_engine_rx(fzr_engine *e, enum fzr_side side, fzr_batch *rx, fzr_time now)
{
  if (!rx)
    return FZR_ERR_INVALID_ARGUMENT;
  rx->written = 0;
  if (!e || !rx->in || !rx->out || !rx->room || (side != FZR_SIDE_CLIENT && side != FZR_SIDE_PEER))
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  batch b = {.e = e, .out = rx->out, .max = rx->room, .hdr = e->headers};
  rx->consumed = side == FZR_SIDE_CLIENT ? rx_clients(&b, rx->in, rx->count, rx->consumed)
                                         : rx_peers(&b, rx->in, rx->count, rx->consumed);
  rx->written = b.n;
  return 0;
}
