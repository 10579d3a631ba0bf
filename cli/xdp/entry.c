/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <string.h>

/* Bytes of |from| in network order, as the maps want them. */
static __be16 take16(const uint8_t *from)
{
  __be16 value;
  memcpy(&value, from, sizeof value);
  return value;
}

/* Once all else is in place. */
static void seal(xdp_entry *e)
{
  __u32 words[sizeof e->value / sizeof(__u32)];
  const size_t size = e->family == FZR_FAMILY_IPV4 ? sizeof e->value.v4 : sizeof e->value.v6;
  memcpy(words, &e->value, size);
  const __u32 digest = fzx_digest(words, (unsigned)size);
  if (e->family == FZR_FAMILY_IPV4)
    e->value.v4.digest = digest;
  else
    e->value.v6.digest = digest;
}

static void fill(xdp_entry *e, const uint8_t *ip, const uint8_t *port, const uint8_t *what,
                 const uint8_t *in_dst, const struct fzx_out *out)
{
  if (e->family == FZR_FAMILY_IPV4) {
    struct fzx_value4 *v = &e->value.v4;
    memcpy(&v->key.ip, ip, sizeof v->key.ip);
    v->key.port = take16(port);
    v->key.what = take16(what);
    memcpy(&v->in_dst, in_dst, sizeof v->in_dst);
    v->out = *out;
  } else {
    struct fzx_value6 *v = &e->value.v6;
    memcpy(v->key.ip, ip, sizeof v->key.ip);
    v->key.port = take16(port);
    v->key.what = take16(what);
    memcpy(v->in_dst, in_dst, sizeof v->in_dst);
    v->out = *out;
  }
  seal(e);
}

static struct fzx_out make_out(uint8_t family, const uint8_t *src, const uint8_t *sport, const uint8_t *dst,
                               const uint8_t *dport, const uint8_t *channel)
{
  struct fzx_out out;
  const size_t bytes = family == FZR_FAMILY_IPV4 ? 4 : 16;
  memset(&out, 0, sizeof out);
  memcpy(out.src, src, bytes);
  memcpy(out.dst, dst, bytes);
  out.sport = take16(sport);
  out.dport = take16(dport);
  out.channel = take16(channel);
  out.family = family == FZR_FAMILY_IPV4 ? 4 : 6;
  return out;
}

void xdp_entry_from_client(const fzr_offload_channel *c, const uint8_t *own_ip, xdp_entry *e)
{
  const struct fzx_out out =
      make_out(c->peer_family, own_ip, c->peer.relayed_port, c->peer.ip, c->peer.port, c->client.channel);
  memset(e, 0, sizeof *e);
  e->family = c->client_family;
  fill(e, c->client.ip, c->client.port, c->client.channel, c->listen_ip, &out);
}

void xdp_entry_from_peer(const fzr_offload_channel *c, const uint8_t *own_ip, xdp_entry *e)
{
  const struct fzx_out out = make_out(c->client_family, c->listen_ip, c->listen_port, c->client.ip,
                                      c->client.port, c->client.channel);
  memset(e, 0, sizeof *e);
  e->family = c->peer_family;
  fill(e, c->peer.ip, c->peer.port, c->peer.relayed_port, own_ip, &out);
}

static const struct fzx_out *out_of(const xdp_entry *e)
{
  return e->family == FZR_FAMILY_IPV4 ? &e->value.v4.out : &e->value.v6.out;
}

bool xdp_entry_same_channel(const xdp_entry *a, const xdp_entry *b)
{
  const struct fzx_out *x = out_of(a), *y = out_of(b);
  const size_t key = a->family == FZR_FAMILY_IPV4 ? sizeof(struct fzx_key4) : sizeof(struct fzx_key6);
  return a->family == b->family && memcmp(&a->value, &b->value, key) == 0 && x->family == y->family &&
         x->sport == y->sport && x->dport == y->dport && x->channel == y->channel &&
         memcmp(x->dst, y->dst, sizeof x->dst) == 0;
}
