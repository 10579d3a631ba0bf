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

/* Where packets go, as both kinds of values have it. */
typedef struct route {
  struct fzx_out out;
  struct fzx_rest rest;
} route;

/* The digest of the words before |digest|, which is in |value|. */
static __u32 digest_before(const void *value, const __u32 *digest)
{
  __u32 words[sizeof(struct fzx_value6) / sizeof(__u32)];
  const size_t size = (size_t)((const char *)digest - (const char *)value);
  memcpy(words, value, size);
  return fzx_digest(words, (unsigned)(size / sizeof(__u32)));
}

/* Once all else is in place: the second digest is one of the first, too. */
static void seal(const void *value, __u32 *digest, const struct fzx_out *out, struct fzx_rest *rest)
{
  *digest = digest_before(value, digest);
  if (fzx_path_is_ipv6(out->path))
    rest->digest = digest_before(value, &rest->digest);
}

static void fill(xdp_entry *e, const uint8_t *ip, const uint8_t *port, const uint8_t *what,
                 const uint8_t *in_dst, const route *to)
{
  if (e->family == FZR_FAMILY_IPV4) {
    struct fzx_value4 *v = &e->value.v4;
    memcpy(&v->key.ip, ip, sizeof v->key.ip);
    v->key.port = take16(port);
    v->key.what = take16(what);
    memcpy(&v->in_dst, in_dst, sizeof v->in_dst);
    v->out = to->out;
    v->rest = to->rest;
    seal(v, &v->digest, &v->out, &v->rest);
  } else {
    struct fzx_value6 *v = &e->value.v6;
    memcpy(v->key.ip, ip, sizeof v->key.ip);
    v->key.port = take16(port);
    v->key.what = take16(what);
    memcpy(v->in_dst, in_dst, sizeof v->in_dst);
    v->out = to->out;
    v->rest = to->rest;
    seal(v, &v->digest, &v->out, &v->rest);
  }
}

static route make_route(uint8_t family, const uint8_t *src, const uint8_t *sport, const uint8_t *dst,
                        const uint8_t *dport, const uint8_t *channel, unsigned mtu)
{
  route to;
  memset(&to, 0, sizeof to);
  memcpy(&to.out.src, src, sizeof to.out.src);
  memcpy(&to.out.dst, dst, sizeof to.out.dst);
  if (family == FZR_FAMILY_IPV6) {
    memcpy(to.rest.src, src + sizeof to.out.src, sizeof to.rest.src);
    memcpy(to.rest.dst, dst + sizeof to.out.dst, sizeof to.rest.dst);
  }
  to.out.sport = take16(sport);
  to.out.dport = take16(dport);
  to.out.channel = take16(channel);
  to.out.path = fzx_path(mtu, family == FZR_FAMILY_IPV6);
  return to;
}

void xdp_entry_from_client(const fzr_offload_channel *c, const uint8_t *own_ip, unsigned mtu, xdp_entry *e)
{
  const route to = make_route(c->peer_family, own_ip, c->peer.relayed_port, c->peer.ip, c->peer.port,
                              c->client.channel, mtu);
  memset(e, 0, sizeof *e);
  e->family = c->client_family;
  fill(e, c->client.ip, c->client.port, c->client.channel, c->listen_ip, &to);
}

void xdp_entry_from_peer(const fzr_offload_channel *c, const uint8_t *own_ip, unsigned mtu, xdp_entry *e)
{
  const route to = make_route(c->client_family, c->listen_ip, c->listen_port, c->client.ip, c->client.port,
                              c->client.channel, mtu);
  memset(e, 0, sizeof *e);
  e->family = c->peer_family;
  fill(e, c->peer.ip, c->peer.port, c->peer.relayed_port, own_ip, &to);
}

static route route_of(const xdp_entry *e)
{
  if (e->family == FZR_FAMILY_IPV4)
    return (route){e->value.v4.out, e->value.v4.rest};
  return (route){e->value.v6.out, e->value.v6.rest};
}

bool xdp_entry_same_channel(const xdp_entry *a, const xdp_entry *b)
{
  const route x = route_of(a), y = route_of(b);
  const size_t key = a->family == FZR_FAMILY_IPV4 ? sizeof(struct fzx_key4) : sizeof(struct fzx_key6);
  return a->family == b->family && memcmp(&a->value, &b->value, key) == 0 &&
         fzx_path_is_ipv6(x.out.path) == fzx_path_is_ipv6(y.out.path) && x.out.sport == y.out.sport &&
         x.out.dport == y.out.dport && x.out.channel == y.out.channel && x.out.dst == y.out.dst &&
         memcmp(x.rest.dst, y.rest.dst, sizeof x.rest.dst) == 0;
}
