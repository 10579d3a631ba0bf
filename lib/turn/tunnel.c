/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel.h"

#include "allocation.h"
#include "ticket.h"
#include "users.h"

#include "../base/crypto.h"

#include <assert.h>

#define MAC_LEN 16u

/* How many seconds a header is good for, and how far the clocks of two calls may be apart. */
#define MOST_AGE 3

/* Who sent it to where, as the structs are in memory: it stays within the process. */
typedef struct path {
  fzr_addr client;
  fzr_addr server;
} path;

/* What the MAC is of: the path, with the lower bits of |second| where the client's transport was, which is always UDP here. */
typedef struct sealed {
  path path;
  uint64_t second;
  uint64_t port; /* that it is sent to */
} sealed;

#define HEADER_LEN (MAC_LEN + sizeof(path))
static_assert(HEADER_LEN <= FZR_HEADER_MAX, "a verdict's header");

fzri_siphash_key fzri_tunnel_key(const fzri_siphash_key *users)
{
  static const uint8_t name[16] = "mobility tunnel";
  return fzri_ticket_key(users, name);
}

uint64_t fzri_tunnel_hash(const fzri_siphash_key *key, const fzr_addr *client, const fzr_addr *server)
{
  const path p = {*client, *server};
  const uint64_t hash = fzri_siphash13(key, &p, sizeof p);
  return hash ? hash : 1;
}

static bool is_other_shards(const fzr_engine *e, uint16_t port)
{
  return port && !fzri_allocation_by_port(e, port) &&
         (fzri_shared_is_live(e->shared, port, FZR_FAMILY_IPV4) ||
          fzri_shared_is_live(e->shared, port, FZR_FAMILY_IPV6));
}

/* The port in the ticket of a Refresh, or 0. */
static uint16_t port_of_ticket(const fzr_engine *e, const uint8_t *data, uint32_t len)
{
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  fzri_ticket ticket;
  if (len < FZR_STUN_HEADER_LEN || fzri_get16(data) != FZR_STUN_REFRESH || fzr_stun_read(data, len, &msg) ||
      !fzr_stun_get(&msg, FZR_ATTR_MOBILITY_TICKET, &attr) ||
      !fzri_ticket_read(&e->ticket_key, attr.value, attr.len, &ticket))
    return 0;
  return ticket.port;
}

uint16_t fzri_tunnel_to(const fzr_engine *e, const fzr_pkt *pkt, const uint8_t *data, uint32_t len)
{
  uint16_t port = 0;
  if (pkt->from.transport != FZR_TRANSPORT_UDP)
    return 0;
  if (fzri_shared_moved_count(e->shared))
    port = fzri_shared_moved(e->shared, fzri_tunnel_hash(&e->tunnel_key, &pkt->from, &pkt->to));
  if (!is_other_shards(e, port))
    port = port_of_ticket(e, data, len);
  return is_other_shards(e, port) ? port : 0;
}

static void write_header(const fzr_engine *e, const fzr_pkt *pkt, uint16_t port, uint8_t *out)
{
  sealed s = {{pkt->from, pkt->to}, e->now / FZR_SECOND, port};
  s.path.client.transport = (uint8_t)s.second;
  fzri_siphash24_128(&e->tunnel_key, &s, sizeof s, out);
  memcpy(out + MAC_LEN, &s.path, sizeof s.path);
}

/* To |port|, in the family of the client if the allocation has that, else in the other one. */
static void set_path(const fzr_engine *e, const fzr_pkt *pkt, uint16_t port, fzr_verdict *v)
{
  const bool same = fzri_shared_is_live(e->shared, port, pkt->to.family);
  const unsigned slot = fzri_family_slot(pkt->to.family) ^ !same;
  v->to = e->public_addr[slot];
  v->to.port = port;
  v->from = pkt->to;
  if (same)
    return;
  v->from = (fzr_addr){.family = fzri_family_at(slot), .port = pkt->to.port}; /* routes choose */
}

uint16_t fzri_tunnel_send(fzri_batch *b, uint32_t off, uint16_t port)
{
  const fzr_pkt *pkt = b->pkt;
  const uint32_t left = pkt->len - off;
  const uint32_t seg = pkt->seg && pkt->seg < left ? pkt->seg : left;
  const uint32_t count = seg ? (left + seg - 1) / seg : 1;
  if (b->n == b->max || b->e->headers + FZRI_HEADERS_BYTES - b->hdr < (ptrdiff_t)HEADER_LEN ||
      count > UINT16_MAX)
    return 0;
  if (seg > FZR_UDP_PAYLOAD_MAX - HEADER_LEN) {
    fzri_drop(b, pkt->data + off, FZR_DROP_TOO_LARGE, (uint16_t)count);
    return (uint16_t)count;
  }
  fzr_verdict *v = fzri_next_verdict(b, FZR_ACT_FORWARD, pkt->data + off);
  v->stride = seg;
  v->count = (uint16_t)count;
  v->len = (uint16_t)seg;
  v->tail_len = (uint16_t)(left - (count - 1) * seg);
  v->flow = FZR_FLOW_NONE;
  v->flags = FZR_VERDICT_TO_OWN | FZR_VERDICT_TO_SHARD;
  v->hdr = b->hdr;
  v->hdr_len = HEADER_LEN;
  write_header(b->e, pkt, port, b->hdr);
  b->hdr += HEADER_LEN;
  set_path(b->e, pkt, port, v);
  return (uint16_t)count;
}

bool fzri_tunnel_read(const fzr_engine *e, uint16_t port, const uint8_t *data, uint32_t len, fzr_pkt *inner)
{
  uint8_t mac[MAC_LEN];
  sealed s = {.second = e->now / FZR_SECOND, .port = port};
  if (len < HEADER_LEN)
    return false;
  memcpy(&s.path, data + MAC_LEN, sizeof s.path);
  const int8_t age = (int8_t)((uint8_t)s.second - s.path.client.transport);
  if (age > MOST_AGE || age < -MOST_AGE)
    return false;
  s.second -= (uint64_t)(int64_t)age;
  fzri_siphash24_128(&e->tunnel_key, &s, sizeof s, mac);
  if (!fzri_equal_ct(mac, data, sizeof mac))
    return false;
  s.path.client.transport = FZR_TRANSPORT_UDP;
  *inner = (fzr_pkt){.data = data + HEADER_LEN,
                     .len = len - (uint32_t)HEADER_LEN,
                     .from = s.path.client,
                     .to = s.path.server};
  return true;
}
