/* SPDX-License-Identifier: Apache-2.0 */
#include "indications.h"

#include "dropped.h"
#include "permission.h"
#include "reach.h"

#include "../stun/attr.h"

#include <assert.h>

static_assert(FZRI_DATA_HEADER_IPV6 <= FZR_HEADER_MAX, "a verdict takes it");

/* ---- reading ---- */

/* Whether the 8 bytes at |at| begin an XOR-PEER-ADDRESS with an address of that family. */
static bool is_peer(const uint8_t *at, bool ip4)
{
  return fzri_get32(at) == ((uint32_t)FZR_ATTR_XOR_PEER_ADDRESS << 16 | (ip4 ? 8u : 20u)) &&
         at[5] == (ip4 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6);
}

/* Reads one that has XOR-PEER-ADDRESS, then DATA, and nothing else. */
static bool read_peer_first(const uint8_t *msg, uint32_t len, bool ip4, fzri_send *out)
{
  const uint32_t at = FZR_STUN_HEADER_LEN + (ip4 ? 12 : 24);
  if (len < at + 4 || !is_peer(msg + FZR_STUN_HEADER_LEN, ip4) || fzri_get16(msg + at) != FZR_ATTR_DATA)
    return false;
  out->len = fzri_get16(msg + at + 2);
  if (at + 4 + ((out->len + 3u) & ~3u) != len)
    return false;
  fzri_attr_addr(msg + FZR_STUN_HEADER_LEN + FZRI_ATTR_HEADER, ip4, msg + 4, &out->peer);
  out->data = msg + at + 4;
  out->shape = ip4 ? FZRI_SEND_PEER_IPV4 : FZRI_SEND_PEER_IPV6;
  return true;
}

/* The other way round. */
static bool read_data_first(const uint8_t *msg, uint32_t len, fzri_send *out)
{
  if (len < FZR_STUN_HEADER_LEN + 4 || fzri_get16(msg + FZR_STUN_HEADER_LEN) != FZR_ATTR_DATA)
    return false;
  out->len = fzri_get16(msg + FZR_STUN_HEADER_LEN + 2);
  const uint32_t at = FZR_STUN_HEADER_LEN + 4 + ((out->len + 3u) & ~3u);
  const bool ip4 = at + 12 == len;
  if ((!ip4 && at + 24 != len) || !is_peer(msg + at, ip4))
    return false;
  fzri_attr_addr(msg + at + FZRI_ATTR_HEADER, ip4, msg + 4, &out->peer);
  out->data = msg + FZR_STUN_HEADER_LEN + 4;
  out->shape = ip4 ? FZRI_SEND_DATA_IPV4 : FZRI_SEND_DATA_IPV6;
  return true;
}

/* Any other one. */
static enum fzr_drop_reason read_other(const uint8_t *msg, uint32_t len, fzri_send *out)
{
  fzr_stun_msg read;
  fzr_stun_attr data;
  const enum fzr_drop_reason reason = fzr_stun_read(msg, len, &read);
  if (reason)
    return reason;
  if (read.unknown_count)
    return FZR_DROP_UNKNOWN_ATTRIBUTE;
  if (!fzr_stun_get_addr(&read, FZR_ATTR_XOR_PEER_ADDRESS, &out->peer) ||
      !fzr_stun_get(&read, FZR_ATTR_DATA, &data))
    return FZR_DROP_SEND_MALFORMED;
  out->data = data.value;
  out->len = data.len;
  out->shape = FZRI_SEND_OTHER;
  out->dont_fragment = fzr_stun_has(&read, FZR_ATTR_DONT_FRAGMENT);
  return FZR_DROP_NONE;
}

enum fzr_drop_reason fzri_send_read(const uint8_t *msg, uint32_t len, fzri_send *out)
{
  out->dont_fragment = false;
  if (fzri_get32(msg + 4) == FZR_STUN_COOKIE && fzri_get16(msg + 2) + FZR_STUN_HEADER_LEN == len &&
      (read_peer_first(msg, len, true, out) || read_peer_first(msg, len, false, out) ||
       read_data_first(msg, len, out)))
    return FZR_DROP_NONE;
  return read_other(msg, len, out);
}

/* ---- verdicts ---- */

/* The last verdict has become one of indications by the packet that is worked on, or |count| of them more. */
static void note(fzri_batch *b, unsigned direction, uint32_t count)
{
  b->indicated = b->in_idx + 1;
  b->indicated_n = b->n;
  b->e->stats.indications[direction] += count;
}

/* ---- permissions ---- */

/* The permission of |a| for |peer| that holds now, or NULL. */
static const fzri_permission *permission_for(const fzr_engine *e, const fzri_allocation *a,
                                             const fzr_addr *peer)
{
  uint64_t key[2];
  if (!a->permission_count || peer->scope_id) /* requests can't name a scope */
    return NULL;
  fzri_permission_key(peer, key);
  const fzri_permission *p = fzri_permission_at(e, a->first_permission);
  if (!fzri_permission_is_for(p, a->index, key)) {
    if (a->permission_count == 1)
      return NULL;
    const uint32_t index = fzri_permission_look_up(e, a->index, key, fzri_hash_permission(e, a->index, key));
    if (index == FZRI_POOL_NONE)
      return NULL;
    p = fzri_permission_at(e, index);
  }
  return fzri_permission_holds(e, p) ? p : NULL;
}

/* ---- Send indications ---- */

/* How many segments from |off| on go to the same peer with payloads of the same length, of which the last may be shorter. */
static fzri_run_in send_run(const fzr_pkt *pkt, uint32_t off, uint32_t seg_len, uint16_t seg,
                            const fzri_send *first)
{
  const uint8_t *msg = pkt->data + off;
  const ptrdiff_t payload = first->data - msg;
  fzri_run_in r = {first->data, seg, 1, first->len, first->len};
  if (!seg || first->shape == FZRI_SEND_OTHER)
    return r;
  for (uint32_t at = off; seg_len == seg && pkt->len - at > seg && r.count < UINT16_MAX;) {
    at += seg;
    const uint8_t *next = pkt->data + at;
    const uint32_t rest = pkt->len - at < seg ? pkt->len - at : seg;
    if (rest == seg && fzri_send_same(first->shape, msg, next, seg)) {
      r.count++;
      continue;
    }
    /* As with ChannelData: another length, and the run's tail if it is not nothing, which GSO could not send. */
    fzri_send tail;
    if (fzri_is_send(next, rest) && fzri_send_read(next, rest, &tail) == FZR_DROP_NONE && tail.len &&
        tail.len <= first->len && tail.shape == first->shape && tail.data - next == payload &&
        memcmp(&tail.peer, &first->peer, sizeof tail.peer) == 0) {
      r.count++;
      r.tail_len = tail.len;
    }
    break;
  }
  return r;
}

/* Whether |s| may be sent for |a|; brings its peer into the form in which sockets know it. */
static enum fzr_drop_reason may_send(const fzr_engine *e, const fzri_allocation *a, fzri_send *s,
                                     const fzri_permission **permission)
{
  if (fzri_peer_family(a, &s->peer))
    return FZR_DROP_NO_PERMISSION;
  const fzri_permission *p = permission_for(e, a, &s->peer);
  if (!p)
    return FZR_DROP_NO_PERMISSION;
  if (!fzri_permission_allows(e, a, p, &s->peer))
    return FZR_DROP_PEER_PORT;
  *permission = p;
  /* A stream may carry more than UDP can. */
  return s->len > FZR_UDP_PAYLOAD_MAX ? FZR_DROP_TOO_LARGE : FZR_DROP_NONE;
}

/* Whether the last verdict is of Send indications of |a| to |peer|, with |flags|, and of what the packet before this one ended with. Another
 * client's may have the same peer. */
static bool last_is_for(const fzri_batch *b, const fzri_allocation *a, const fzr_addr *peer, uint8_t flags)
{
  if (!fzri_may_join_indications(b))
    return false;
  const fzr_verdict *v = &b->out[b->n - 1];
  return v->from.port == a->port && v->flags == flags && fzri_addr_same(&v->to, peer);
}

/* Forwards |r| to |peer|, as far as the bandwidth allows: as part of the last verdict, or as one more, or two if some of it is dropped. */
static void forward_send(fzri_batch *b, fzri_allocation *a, const fzr_addr *peer, uint8_t flags,
                         const fzri_run_in *r)
{
  const uint16_t allowed = fzri_within_bandwidth(b->e, a, r->count, r->len, r->tail_len);
  if (r->count == 1 && allowed && last_is_for(b, a, peer, flags) && fzri_joins(b, r->data, r->len)) {
    fzri_append(b, r->data, r->len);
    note(b, 0, 1);
    return;
  }
  if (allowed) {
    const unsigned slot = fzri_family_slot(peer->family);
    fzr_verdict *v = fzri_next_verdict(b, FZR_ACT_FORWARD, r->data);
    fzri_own_verdict(b, a);
    v->stride = r->stride;
    v->count = allowed;
    v->len = r->len;
    v->tail_len = allowed == r->count ? r->tail_len : r->len;
    v->flow = FZR_FLOW_NONE;
    v->io = a->io[slot];
    v->flags = flags;
    v->to = *peer;
    v->from = b->e->public_addr[slot];
    v->from.port = a->port;
    note(b, 0, allowed);
  }
  if (allowed < r->count)
    fzri_drop(b, r->data + (size_t)allowed * r->stride, FZR_DROP_BANDWIDTH, (uint16_t)(r->count - allowed));
}

uint16_t fzri_take_send(fzri_batch *b, fzri_allocation *a, uint32_t off, uint32_t seg_len, uint16_t seg)
{
  const uint8_t *msg = b->pkt->data + off;
  const fzri_permission *p = NULL;
  fzri_send s;
  enum fzr_drop_reason reason = a ? fzri_send_read(msg, seg_len, &s) : FZR_DROP_UNKNOWN_CLIENT;
  const bool was_read = !reason;
  if (!reason)
    reason = may_send(b->e, a, &s, &p);
  if (reason) {
    fzri_dropped_send(b->e, a, &b->pkt->from, was_read ? &s.peer : NULL, reason);
    fzri_drop(b, msg, reason, 1);
    return 1;
  }
  const fzri_run_in r = send_run(b->pkt, off, seg_len, seg, &s);
  const unsigned flags =
      (p->own ? FZR_VERDICT_TO_OWN : 0) | (s.dont_fragment ? FZR_VERDICT_DONT_FRAGMENT : 0);
  forward_send(b, a, &s.peer, (uint8_t)flags, &r);
  b->send = msg;
  b->send_len = seg_len;
  b->send_off = (uint16_t)(s.data - msg);
  b->send_shape = s.shape;
  return r.count;
}

bool fzri_send_goes_on(fzri_batch *b, const fzr_pkt *pkt)
{
  if (pkt->seg || b->e->bandwidth || pkt->len != b->send_len ||
      !fzri_send_same(b->send_shape, b->send, pkt->data, pkt->len))
    return false;
  const uint16_t len = b->out[b->n - 1].len;
  if (!fzri_joins(b, pkt->data + b->send_off, len))
    return false;
  fzri_append(b, pkt->data + b->send_off, len);
  note(b, 0, 1);
  return true;
}

/* ---- Data indications ---- */

static void draw_txid(fzr_engine *e, uint8_t txid[FZR_STUN_TXID_LEN])
{
  /* No secret, and never the same twice: the next of a sequence of 2^64 (Knuth's MMIX), and something that differs among engines. */
  e->txid_state = e->txid_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  const uint32_t end = (uint32_t)(e->txid_state >> 32) ^ e->txid_start;
  memcpy(txid, &e->txid_state, 8);
  memcpy(txid + 8, &end, 4);
}

static uint8_t pad_of(uint16_t len)
{
  return (uint8_t)(-len & 3);
}

/* Writes the next header of the last verdict, which is of datagrams of |peer| |len| bytes long. */
FZRI_FAST void put_header(fzri_batch *b, const fzr_addr *peer, uint16_t len)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  draw_txid(b->e, txid);
  b->hdr += fzri_data_header(b->hdr, peer, len, txid);
}

/* The same, out of the way: for the last of a run, which is of another length. */
__attribute__((noinline)) static void put_tail_header(fzri_batch *b, const fzr_addr *peer, uint16_t len)
{
  put_header(b, peer, len);
}

/* The same for one that differs from that at |header| in its transaction id alone. */
static void put_header_again(fzri_batch *b, const uint8_t *header, uint8_t hdr_len)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  draw_txid(b->e, txid);
  fzri_data_header_again(b->hdr, header, hdr_len, txid);
  b->hdr += hdr_len;
}

static size_t header_room(const fzri_batch *b)
{
  return (size_t)(b->e->headers + FZRI_HEADERS_BYTES - b->hdr);
}

static void forward_data(fzri_batch *b, fzri_allocation *a, const fzr_addr *peer, const fzri_run_in *r)
{
  FZRI_ASSERT(r->count > 1 || r->tail_len == r->len);
  fzr_verdict *v = fzri_next_verdict(b, FZR_ACT_FORWARD, r->data);
  fzri_own_verdict(b, a);
  v->stride = r->stride;
  v->count = r->count;
  v->len = r->len;
  v->tail_len = r->tail_len;
  v->pad = pad_of(r->len);
  v->tail_pad = pad_of(r->tail_len);
  v->flow = FZR_FLOW_NONE;
  v->flags = FZR_VERDICT_OWN_HDRS;
  v->to = a->client;
  v->from = a->server;
  v->hdr = b->hdr;
  put_header(b, peer, r->len);
  v->hdr_len = (uint8_t)(b->hdr - v->hdr);
  for (uint16_t i = 2; i < r->count; i++)
    put_header_again(b, v->hdr, v->hdr_len);
  if (r->count > 1)
    put_tail_header(b, peer, r->tail_len);
  note(b, 1, r->count);
}

uint16_t fzri_take_data(fzri_batch *b, fzri_allocation *a, const fzr_pkt *pkt, uint32_t seg_len,
                        uint16_t count)
{
  const fzri_permission *p = b->e->full ? permission_for(b->e, a, &pkt->from) : NULL;
  const uint32_t hdr_len =
      pkt->from.family == FZR_FAMILY_IPV4 ? FZRI_DATA_HEADER_IPV4 : FZRI_DATA_HEADER_IPV6;
  if (!p || !fzri_permission_allows(b->e, a, p, &pkt->from)) {
    fzri_drop(b, pkt->data, p ? FZR_DROP_PEER_PORT : FZR_DROP_UNKNOWN_PEER, count);
    return count;
  }
  if (hdr_len + ((seg_len + 3) & ~3u) > FZR_UDP_PAYLOAD_MAX) {
    fzri_drop(b, pkt->data, FZR_DROP_TOO_LARGE, count);
    return count;
  }
  const size_t room = header_room(b);
  FZRI_ASSERT(room >= hdr_len);
  const uint16_t done = (uint16_t)(room < (size_t)count * hdr_len ? room / hdr_len : count);
  const uint32_t rest = pkt->len - (done - 1u) * seg_len;
  const uint32_t tail_len = rest < seg_len ? rest : seg_len;
  fzri_run_in r = {pkt->data, seg_len, done, (uint16_t)seg_len, (uint16_t)tail_len};
  r.count = fzri_within_bandwidth(b->e, a, done, r.len, r.tail_len);
  const bool cut = r.count < done;
  if (cut)
    r.tail_len = r.len;
  if (r.count)
    forward_data(b, a, &pkt->from, &r);
  if (!cut)
    return done;
  /* All of the rest: headers that are not written leave room for the next packets, so the batch must not stop within this one. */
  fzri_drop(b, pkt->data + (size_t)r.count * seg_len, FZR_DROP_BANDWIDTH, (uint16_t)(count - r.count));
  return count;
}

bool fzri_data_goes_on(fzri_batch *b, const fzr_pkt *pkt)
{
  fzr_verdict *v = &b->out[b->n - 1];
  if (pkt->seg || b->e->bandwidth || pkt->len > v->len || header_room(b) < v->hdr_len ||
      !fzri_joins(b, pkt->data, (uint16_t)pkt->len))
    return false;
  if (pkt->len == v->len)
    put_header_again(b, v->hdr, v->hdr_len);
  else
    put_tail_header(b, &pkt->from, (uint16_t)pkt->len);
  fzri_append(b, pkt->data, (uint16_t)pkt->len);
  v->tail_pad = pad_of(v->tail_len);
  note(b, 1, 1);
  return true;
}
