/* SPDX-License-Identifier: Apache-2.0 */
/* The data path: ChannelData from clients and datagrams from peers become verdicts. No memory is taken, nothing logged, no
 * clock read; requests among the datagrams branch off to request.c. */
#include "allocation.h"
#include "answer.h"
#include "batch.h"
#include "channel.h"
#include "dispatch.h"
#include "foreign.h"
#include "indications.h"
#include "lookahead.h"
#include "tunnel.h"

#include "../base/bytes.h"

#include <assert.h>

/* With pointers of 8 bytes; smaller ones make them smaller. */
#define SIZE_IS(type, size) (sizeof(void *) == 8 ? sizeof(type) == (size) : sizeof(type) <= (size))
static_assert(SIZE_IS(fzr_pkt, 64), "one cache line");
static_assert(SIZE_IS(fzr_verdict, 96), "frozen");
static_assert(SIZE_IS(fzr_batch, 48), "frozen");
static_assert(SIZE_IS(fzr_event, 96), "frozen");
static_assert(SIZE_IS(fzr_transmit, 64), "frozen");
/* Memory is a promise (README.md): allocation, channel, its permission, and 4 map entries, of 20 bytes or so, fit 512 bytes. */
static_assert(sizeof(fzri_allocation) + sizeof(fzri_origin) + sizeof(fzri_channel) +
                      sizeof(fzri_channel_rest) + sizeof(fzri_permission) <=
                  512 - 4 * 20,
              "bytes per allocation with a channel");
static_assert(sizeof(fzri_channel) == FZRI_CACHE_LINE, "what the data path reads of it");
static_assert(offsetof(fzri_allocation, bandwidth) <= 2 * FZRI_CACHE_LINE, "what the data path has of it");

/* Gives the last datagram of |v|, a run on channel |number| to its client, a header of its own: its length is another. */
FZRI_FAST void put_tail_header(fzri_batch *b, fzr_verdict *v, uint16_t number)
{
  uint8_t *hdr = b->hdr - FZR_CHANNEL_HEADER_LEN;
  FZRI_ASSERT(hdr == v->hdr + v->hdr_len);
  fzri_put16(hdr, number);
  fzri_put16(hdr + 2, v->tail_len);
  v->flags |= FZR_VERDICT_TAIL_HDR;
}

/* Appends it. A shorter one ends the run. */
FZRI_FAST void join(fzri_batch *b, const uint8_t *data, uint16_t len)
{
  fzr_verdict *v = &b->out[b->n - 1];
  fzri_append(b, data, len);
  if (v->hdr_len && len != v->len)
    put_tail_header(b, v, fzri_get16(v->hdr));
  b->forwarded = b->in_idx + 1;
}

/* Kept out of the way of what is relayed. */
__attribute__((noinline)) static void drop(fzri_batch *b, const uint8_t *data, enum fzr_drop_reason reason,
                                           uint16_t count)
{
  fzri_drop(b, data, reason, count);
}

/* Where |v| goes from and to, on |c|, and the headers that clients want. */
FZRI_FAST void address(fzri_batch *b, const fzri_allocation *a, const fzri_channel *c, unsigned direction,
                       fzr_verdict *v)
{
  if (direction == 0) {
    const unsigned slot = fzri_family_slot(c->peer.family);
    v->hdr = NULL;
    v->io = a->io[slot];
    v->hdr_len = 0;
    v->flags = c->own ? FZR_VERDICT_TO_OWN : 0;
    v->to = c->peer;
    v->from = b->e->public_addr[slot];
    v->from.port = a->port;
    return;
  }
  FZRI_ASSERT(b->e->headers + FZRI_HEADERS_BYTES - b->hdr >= 2 * (ptrdiff_t)FZR_CHANNEL_HEADER_LEN);
  v->hdr = b->hdr;
  v->io = NULL;
  v->hdr_len = FZR_CHANNEL_HEADER_LEN;
  v->flags = 0;
  fzri_put16(b->hdr, c->number);
  fzri_put16(b->hdr + 2, v->len);
  b->hdr += (size_t)2 * FZR_CHANNEL_HEADER_LEN; /* a shorter one may still join */
  if (v->tail_len != v->len)
    put_tail_header(b, v, c->number);
  v->to = a->client;
  v->from = a->server;
}

/* One more verdict, about |count| datagrams of |r|. No field of it is written twice. */
FZRI_FAST void put_verdict(fzri_batch *b, fzri_allocation *a, const fzri_channel *c, unsigned direction,
                           const fzri_run_in *r, uint16_t count)
{
  fzr_verdict *v = fzri_verdict_slot(b);
  fzri_own_verdict(b, a);
  v->data = r->data;
  v->stride = r->stride;
  v->flow = c->index * 2 + direction;
  v->in_idx = b->in_idx;
  v->count = count;
  v->len = r->len;
  v->tail_len = count == r->count ? r->tail_len : r->len;
  v->action = FZR_ACT_FORWARD;
  v->reason = v->pad = v->tail_pad = 0;
  address(b, a, c, direction, v);
  b->forwarded = b->in_idx + 1;
}

/* Forwards |r| on |c|, as far as the bandwidth allows: as part of the last verdict, unless it is |alone|, or as one more, or two if some of
 * it is dropped. */
FZRI_FAST void forward(fzri_batch *b, fzri_allocation *a, const fzri_channel *c, unsigned direction,
                       const fzri_run_in *r, bool alone)
{
  const uint16_t allowed = fzri_within_bandwidth(b->e, a, r->count, r->len, r->tail_len);
  if (!alone && fzri_may_join(b) && b->out[b->n - 1].flow == c->index * 2 + direction && r->count == 1 &&
      allowed && fzri_joins(b, r->data, r->len)) {
    join(b, r->data, r->len);
    return;
  }
  if (allowed)
    put_verdict(b, a, c, direction, r, allowed);
  if (FZRI_RARE(allowed < r->count))
    fzri_drop(b, r->data + (size_t)allowed * r->stride, FZR_DROP_BANDWIDTH, (uint16_t)(r->count - allowed));
}

FZRI_FAST bool is_live(const fzr_engine *e, const fzri_allocation *a, const fzr_pkt *pkt)
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
FZRI_FAST fzri_allocation *client_allocation(const fzr_engine *e, const fzr_pkt *pkt, fzri_guess *g)
{
  fzri_allocation *a = g->allocation;
  return a && is_live(e, a, pkt) ? a : find_client(e, pkt, g);
}

/* The channel |number| of |a| that relays now, or NULL. */
FZRI_FAST fzri_channel *relaying_number(const fzr_engine *e, const fzri_allocation *a, uint16_t number,
                                        fzri_guess *g)
{
  fzri_channel *c = a->channel_count == 1 ? fzri_channel_at(e, a->first_channel) : g->channel;
  if (!c || c->allocation != a->index || c->number != number || c->dead)
    g->channel = c = fzri_channel_by_number(e, a->index, number, fzri_hash_number(e, a->index, number));
  return c && e->now < c->relay_until ? c : NULL;
}

/* How many segments from |off| on are one run of the first one's channel and length: the last may be shorter. */
FZRI_FAST fzri_run_in client_run(const fzr_pkt *pkt, uint32_t off, uint16_t payload_len, uint16_t seg)
{
  const uint8_t *first = pkt->data + off, *at = first + seg;
  const uint32_t left = pkt->len - off;
  fzri_run_in r = {first + FZR_CHANNEL_HEADER_LEN, seg, 1, payload_len, payload_len};
  uint32_t header, other, count = 1;
  uint16_t number, len;
  if (!seg || left <= seg)
    return r;
  const uint32_t whole = left / seg < UINT16_MAX ? left / seg : UINT16_MAX;
  memcpy(&header, first, sizeof header);
  for (; count < whole; count++, at += seg) {
    memcpy(&other, at, sizeof other);
    if (other != header)
      break;
  }
  r.count = (uint16_t)count;
  const uint32_t rest = left - (uint32_t)(at - first);
  /* Another length, or a short segment: the run's tail if it is of the same channel, not longer, and not nothing, which GSO could not
   * send. */
  if (rest && count < UINT16_MAX && fzr_channel_data_read(at, rest < seg ? rest : seg, &number, &len) == 0 &&
      len && len <= payload_len && number == fzri_get16(first)) {
    r.count++;
    r.tail_len = len;
  }
  return r;
}

/* The usual case of a plain sender: the packet has the source and the header of the one before, and joins its run. */
FZRI_FAST bool goes_on(fzri_batch *b, const fzr_pkt *pkt)
{
  const uint8_t *data = pkt->data + FZR_CHANNEL_HEADER_LEN;
  if (!fzri_may_join(b) || pkt->seg || b->e->bandwidth || pkt->len < FZR_CHANNEL_HEADER_LEN)
    return false;
  const fzr_verdict *v = &b->out[b->n - 1];
  if (pkt->len - FZR_CHANNEL_HEADER_LEN < v->len ||
      memcmp(pkt->data, v->data - FZR_CHANNEL_HEADER_LEN, FZR_CHANNEL_HEADER_LEN) != 0 ||
      !fzri_joins(b, data, v->len))
    return false;
  join(b, data, v->len);
  return true;
}

/* The same for peers: their payloads have no header. */
FZRI_FAST bool peer_goes_on(fzri_batch *b, const fzr_pkt *pkt)
{
  if (!fzri_may_join(b) || pkt->seg || b->e->bandwidth)
    return false;
  const uint16_t len = b->out[b->n - 1].len;
  if (pkt->len != len || !fzri_joins(b, pkt->data, len))
    return false;
  join(b, pkt->data, len);
  return true;
}

/* Sends what is left of the packet from |off| on to the shard that has the client's allocation, if another one does. Returns how many
 * segments that is. */
__attribute__((noinline)) static uint16_t through_tunnel(fzri_batch *b, uint32_t off, uint32_t seg_len,
                                                         fzri_guess *g)
{
  const fzr_pkt *pkt = b->pkt;
  if (b->e->tunnelled || !pkt->from.port || client_allocation(b->e, pkt, g))
    return 0;
  const uint16_t port = fzri_tunnel_to(b->e, pkt, pkt->data + off, seg_len);
  if (!port)
    return 0;
  const uint16_t sent = fzri_tunnel_send(b, off, port);
  if (!sent) /* not to be answered here as if there were none */
    fzri_drop(b, pkt->data + off, FZR_DROP_SEND_QUEUE_FULL, 1);
  return sent ? sent : 1;
}

/* ChannelData that is not relayed. Returns how many segments were done. */
__attribute__((noinline)) static uint16_t take_lost_data(fzri_batch *b, uint32_t off, uint32_t seg_len,
                                                         bool has_allocation, fzri_guess *g)
{
  uint16_t sent = 0;
  if (!has_allocation && b->e->tunnels)
    sent = through_tunnel(b, off, seg_len, g);
  if (!sent)
    fzri_drop(b, b->pkt->data + off, has_allocation ? FZR_DROP_UNKNOWN_CHANNEL : FZR_DROP_UNKNOWN_CLIENT, 1);
  return sent ? sent : 1;
}

/* ChannelData at |off| of the packet that is worked on. Returns how many segments were done. */
FZRI_FAST uint16_t take_channel_data(fzri_batch *b, uint32_t off, uint32_t seg_len, uint16_t seg,
                                     fzri_guess *g)
{
  const fzr_pkt *pkt = b->pkt;
  const uint8_t *data = pkt->data + off;
  uint16_t payload_len;
  if (FZRI_RARE(seg_len < FZR_CHANNEL_HEADER_LEN ||
                (payload_len = fzri_get16(data + 2)) > seg_len - FZR_CHANNEL_HEADER_LEN)) {
    fzri_drop(b, data, FZR_DROP_CHANNEL_DATA_TRUNCATED, 1);
    return 1;
  }
  fzri_allocation *a = client_allocation(b->e, pkt, g);
  const fzri_channel *c = a ? relaying_number(b->e, a, fzri_get16(data), g) : NULL;
  if (FZRI_RARE(!c))
    return take_lost_data(b, off, seg_len, a, g);
  /* A stream may carry more than UDP can. */
  if (FZRI_RARE(payload_len > FZR_UDP_PAYLOAD_MAX)) {
    fzri_drop(b, data, FZR_DROP_TOO_LARGE, 1);
    return 1;
  }
  const fzri_run_in r = client_run(pkt, off, payload_len, seg);
  forward(b, a, c, 0, &r, false);
  return r.count;
}

/* The same for a packet that is one ChannelData, as most are; |alone|: the packet before it is of another client. Returns whether it was
 * done: where there is something about it, it is looked at as all others are. */
FZRI_FAST bool take_plain_data(fzri_batch *b, const fzr_pkt *pkt, bool alone, fzri_guess *g)
{
  const uint8_t *data = pkt->data;
  const uint32_t left = pkt->len - FZR_CHANNEL_HEADER_LEN; /* large if it is too short */
  if (pkt->seg || left > FZR_UDP_PAYLOAD_MAX || (data[0] & 0xf0) != 0x40 || !pkt->from.port || b->n == b->max)
    return false;
  const uint16_t payload_len = fzri_get16(data + 2);
  fzri_allocation *a = g->allocation;
  if (FZRI_RARE(payload_len > left || !a || !is_live(b->e, a, pkt)))
    return false;
  const fzri_channel *c = relaying_number(b->e, a, fzri_get16(data), g);
  if (FZRI_RARE(!c)) {
    drop(b, data, FZR_DROP_UNKNOWN_CHANNEL, 1);
    return true;
  }
  const fzri_run_in r = {data + FZR_CHANNEL_HEADER_LEN, 0, 1, payload_len, payload_len};
  forward(b, a, c, 0, &r, alone);
  return true;
}

static void take_stun(fzri_batch *b, const uint8_t *data, uint32_t len)
{
  const enum fzr_drop_reason reason = fzri_request_take(b->e, data, len, &b->pkt->from, &b->pkt->to);
  if (reason)
    fzri_drop(b, data, reason, 1);
  else
    fzri_next_verdict(b, FZR_ACT_HANDLED, data);
}

/* Moves what is left of a packet to its beginning, for the next call. */
static void keep_rest(fzr_pkt *pkt, uint32_t off)
{
  pkt->data += off;
  pkt->len -= off;
}

/* Walks the segments of one packet. Returns false if it had to stop; what is left stays in |pkt|. A full ring of answers stops it, unless
 * the call has written nothing so far: it has to get on. Not inlined, for the sake of plain ChannelData. */
__attribute__((noinline)) static bool take_client_packet(fzri_batch *b, fzr_pkt *pkt, fzri_guess *g)
{
  uint32_t off = 0;
  b->pkt = pkt;
  do {
    const uint32_t left = pkt->len - off;
    const uint32_t seg_len = pkt->seg && pkt->seg < left ? pkt->seg : left;
    const uint8_t first = seg_len ? pkt->data[off] : 0xff;
    const bool stun = first < 0x04;
    if (b->n == b->max || (stun && b->n && fzri_answers_full(b->e))) {
      keep_rest(pkt, off);
      return false;
    }
    uint16_t count = 1, sent;
    if (pkt->from.port == 0)
      fzri_drop(b, pkt->data + off, FZR_DROP_SOURCE_PORT_ZERO, 1);
    else if (stun && b->e->tunnels && (sent = through_tunnel(b, off, seg_len, g)) != 0)
      count = sent;
    else if (stun && b->e->full && fzri_is_send(pkt->data + off, seg_len))
      count = fzri_take_send(b, client_allocation(b->e, pkt, g), off, seg_len, pkt->seg);
    else if (stun)
      take_stun(b, pkt->data + off, seg_len);
    else if ((first & 0xf0) == 0x40)
      count = take_channel_data(b, off, seg_len, pkt->seg, g);
    else
      fzri_drop(b, pkt->data + off, fzri_foreign_take(b->e, pkt->data + off, seg_len, &pkt->from), 1);
    const uint64_t done = count == 1 ? seg_len : (uint64_t)count * pkt->seg;
    off = done < left ? off + (uint32_t)done : pkt->len;
  } while (off < pkt->len);
  return true;
}

/* Goes through |n| packets that were looked ahead at, from the |done|-th of the batch on. Returns how many are done. */
static size_t take_client_packets(fzri_batch *b, fzr_pkt *in, size_t n, size_t done, fzri_ahead *l)
{
  for (size_t i = 0; i < n; i++) {
    b->in_idx = (uint32_t)(done + i);
    bool alone = false;
    if (i) {
      alone = l->of[i] != l->of[i - 1];
      if (!alone && (goes_on(b, &in[i]) || (fzri_may_join_indications(b) && fzri_send_goes_on(b, &in[i]))))
        continue;
    }
    fzri_guess *g = &l->guesses[l->of[i]];
    if (!take_plain_data(b, &in[i], alone, g) && !take_client_packet(b, &in[i], g))
      return i;
  }
  return n;
}

/* Where there are tunnels: what goes into one is counted at its end, and what has come out of one goes to a peer, bare. */
__attribute__((noinline)) static void count_with_tunnels(const fzri_batch *b)
{
  fzri_sum sums[2] = {{0, 0}, {0, 0}};
  for (size_t i = 0; i < b->n; i++) {
    const fzr_verdict *v = &b->out[i];
    const unsigned direction = v->hdr_len ? 1 : 0;
    if (v->action == FZR_ACT_FORWARD && !(v->flags & FZR_VERDICT_TO_SHARD))
      fzri_add_verdict(b->e, v, b->e->owners[i], direction, &sums[direction]);
  }
  fzri_count_sum(b->e, &sums[0], 0);
  fzri_count_sum(b->e, &sums[1], 1);
}

FZRI_FAST void count_relayed(const fzri_batch *b, unsigned direction)
{
  if (FZRI_RARE(b->e->tunnels))
    count_with_tunnels(b);
  else
    fzri_count_relayed(b, direction);
}

/* Goes through the packets of |in| from the |done|-th on. Returns how many are done then. */
static size_t rx_clients(fzri_batch *b, fzr_pkt *in, size_t n, size_t done)
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
FZRI_FAST const fzri_channel *relaying_peer(const fzr_engine *e, const fzri_allocation *a, const fzr_pkt *pkt,
                                            fzri_guess *g)
{
  fzri_channel *c = a->channel_count == 1 ? fzri_channel_at(e, a->first_channel) : g->channel;
  if (!c || !c->number || c->allocation != a->index || c->dead || !fzri_addr_same(&c->peer, &pkt->from))
    g->channel = c = a->channel_count ? fzri_channel_by_peer(e, a->index, &pkt->from,
                                                             fzri_hash_peer(e, a->index, &pkt->from))
                                      : NULL;
  return c && e->now < c->relay_until ? c : NULL;
}

/* What other shards send to an allocation's port for its client, if |pkt| is that. What there is no room for stays in |pkt|. */
__attribute__((noinline)) static bool take_tunnelled(fzri_batch *b, fzr_pkt *pkt, uint32_t seg_len)
{
  fzr_pkt inner;
  if (!fzri_tunnel_read(b->e, pkt->to.port, pkt->data, seg_len, &inner))
    return false;
  b->e->tunnelled = true;
  for (uint32_t off = 0; off < pkt->len; off += seg_len) {
    fzri_ahead l;
    const uint32_t left = pkt->len - off;
    if (!fzri_tunnel_read(b->e, pkt->to.port, pkt->data + off, left < seg_len ? left : seg_len, &inner)) {
      fzri_drop(b, pkt->data + off, FZR_DROP_UNKNOWN_PEER, 1);
      continue;
    }
    fzri_guess_client(b->e, &inner, &l);
    if (!take_client_packet(b, &inner, &l.guesses[0])) {
      keep_rest(pkt, off);
      b->partly = 1;
      b->max = b->n; /* nothing more in this call */
      break;
    }
  }
  b->e->tunnelled = false;
  b->forwarded = b->indicated = 0; /* nothing joins it that comes without that header */
  return true;
}

/* Whether there is no room for a further verdict, and the headers that one to a client has. */
FZRI_FAST bool is_full(const fzri_batch *b)
{
  return b->n == b->max || b->e->headers + FZRI_HEADERS_BYTES - b->hdr < 2 * (ptrdiff_t)FZR_HEADER_MAX;
}

/* One packet of a peer without a channel. Where it has to stop the room for headers is used up, so that the batch ends; what is left
 * stays in the packet. Not inlined, for the sake of those with one. */
__attribute__((noinline)) static void take_other_peer(fzri_batch *b, fzri_allocation *a, fzr_pkt *pkt,
                                                      uint32_t seg_len, uint16_t count)
{
  if (b->e->tunnels && take_tunnelled(b, pkt, seg_len))
    return;
  const uint16_t done = fzri_take_data(b, a, pkt, seg_len, count);
  if (done == count)
    return;
  FZRI_ASSERT(is_full(b)); /* it is the batch's last packet */
  keep_rest(pkt, (uint32_t)done * seg_len);
  b->partly = 1;
}

/* One packet of a peer: all of its segments are one flow. */
static void take_peer_packet(fzri_batch *b, fzr_pkt *pkt, bool alone, fzri_guess *g)
{
  uint32_t seg_len = pkt->len, segments = 1; /* most packets need no division */
  if (pkt->seg && pkt->seg < pkt->len) {
    seg_len = pkt->seg;
    segments = (pkt->len + seg_len - 1) / seg_len;
  }
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
  if (FZRI_RARE(!c)) {
    take_other_peer(b, a, pkt, seg_len, count);
    return;
  }
  if (seg_len > FZR_CHANNEL_PAYLOAD_MAX) {
    drop(b, pkt->data, FZR_DROP_TOO_LARGE, count);
    return;
  }
  const uint32_t rest = pkt->len - (count - 1u) * seg_len;
  const uint32_t tail_len = rest < seg_len ? rest : seg_len;
  const fzri_run_in r = {pkt->data, seg_len, count, (uint16_t)seg_len, (uint16_t)tail_len};
  forward(b, a, c, 1, &r, alone);
}

/* As take_client_packets. */
static size_t take_peer_packets(fzri_batch *b, fzr_pkt *in, size_t n, size_t done, fzri_ahead *l)
{
  for (size_t i = 0; i < n; i++) {
    b->in_idx = (uint32_t)(done + i);
    bool alone = false;
    if (i) {
      alone = l->of[i] != l->of[i - 1];
      if (!alone &&
          (peer_goes_on(b, &in[i]) || (fzri_may_join_indications(b) && fzri_data_goes_on(b, &in[i]))))
        continue;
    }
    if (is_full(b))
      return i - b->partly;
    take_peer_packet(b, &in[i], alone, &l->guesses[l->of[i]]);
  }
  return n - b->partly;
}

/* As rx_clients. */
static size_t rx_peers(fzri_batch *b, fzr_pkt *in, size_t n, size_t done)
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
  fzri_batch b = {
      .e = e, .out = rx->out, .max = rx->room < FZRI_VERDICTS ? rx->room : FZRI_VERDICTS, .hdr = e->headers};
  rx->consumed = side == FZR_SIDE_CLIENT ? rx_clients(&b, rx->in, rx->count, rx->consumed)
                                         : rx_peers(&b, rx->in, rx->count, rx->consumed);
  rx->written = b.n;
  return 0;
}
