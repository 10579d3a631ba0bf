/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_scope.h"

#include <string.h>

typedef struct scope_net {
  uint8_t bytes[16];
  uint8_t len;
  uint8_t scope;
} scope_net;

/* After IANA's IPv4 and IPv6 Special-Purpose Address Registries, both as of 2025-10-09: what they call not globally reachable, with
 * these decisions.
 *
 * - Documentation prefixes (RFC 5737, 3849, 9637) stay global, and so does what lies outside 2000::/3 without being special: test
 *   networks live there.
 * - Anycast addresses of PCP, TURN and DNS-SD (192.0.0.9, 2001:1::1 and their like) are globally reachable in the registry, but
 *   lead to a service of the network that the relay stands in. They are not excepted from their blocks.
 * - Addresses at which clouds serve their metadata are link-local, wherever they lie.
 * - Multicast and the deprecated site-local block have registries of their own.
 *
 * The first match counts. */
static const scope_net scopes4[] = {
    {{0}, 8, FZRI_SCOPE_NONE}, /* "this network" */
    {{127}, 8, FZRI_SCOPE_LOOPBACK},
    {{169, 254}, 16, FZRI_SCOPE_LINK_LOCAL},
    {{168, 63, 129, 16}, 32, FZRI_SCOPE_LINK_LOCAL},   /* Azure's platform */
    {{100, 100, 100, 200}, 32, FZRI_SCOPE_LINK_LOCAL}, /* Alibaba's metadata */
    {{192, 0, 0}, 24, FZRI_SCOPE_LINK_LOCAL},          /* IETF protocols: DS-Lite, PCP; Oracle's metadata */
    {{10}, 8, FZRI_SCOPE_PRIVATE},
    {{172, 16}, 12, FZRI_SCOPE_PRIVATE},
    {{192, 168}, 16, FZRI_SCOPE_PRIVATE},
    {{100, 64}, 10, FZRI_SCOPE_PRIVATE},     /* shared by a carrier's customers, RFC 6598 */
    {{198, 18}, 15, FZRI_SCOPE_PRIVATE},     /* benchmarks, RFC 2544 */
    {{192, 88, 99}, 24, FZRI_SCOPE_PRIVATE}, /* the nearest 6to4 or 6a44 relay, RFC 7526, RFC 6751 */
    {{224}, 4, FZRI_SCOPE_NONE},             /* multicast */
    {{240}, 4, FZRI_SCOPE_NONE},             /* reserved, and broadcast */
};

static const scope_net scopes6[] = {
    {{0}, 128, FZRI_SCOPE_NONE}, /* unspecified */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, FZRI_SCOPE_LOOPBACK},
    {{0xfe, 0x80}, 10, FZRI_SCOPE_LINK_LOCAL},
    {{0xfd, 0, 0x0e, 0xc2}, 64, FZRI_SCOPE_LINK_LOCAL},      /* Amazon's metadata, time and names */
    {{0xfd, 0x20, 0, 0xce}, 64, FZRI_SCOPE_LINK_LOCAL},      /* Google's */
    {{0xfc}, 7, FZRI_SCOPE_PRIVATE},                         /* unique local, RFC 4193 */
    {{0xfe, 0xc0}, 10, FZRI_SCOPE_PRIVATE},                  /* site-local, RFC 3879 */
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, FZRI_SCOPE_PRIVATE},   /* a network's own NAT64, RFC 8215 */
    {{0x01}, 64, FZRI_SCOPE_NONE},                           /* discarded, RFC 6666 */
    {{0x01, 0, 0, 0, 0, 0, 0, 1}, 64, FZRI_SCOPE_NONE},      /* the dummy prefix, RFC 9780 */
    {{0x20, 0x01}, 32, FZRI_SCOPE_GLOBAL},                   /* Teredo, for what is inside */
    {{0x20, 0x01, 0, 3}, 32, FZRI_SCOPE_GLOBAL},             /* AMT, RFC 7450 */
    {{0x20, 0x01, 0, 4, 0x01, 0x12}, 48, FZRI_SCOPE_GLOBAL}, /* AS112, RFC 7535 */
    {{0x20, 0x01, 0, 0x20}, 28, FZRI_SCOPE_GLOBAL},          /* ORCHIDv2, RFC 7343 */
    {{0x20, 0x01, 0, 0x30}, 28, FZRI_SCOPE_GLOBAL},          /* drones, RFC 9374 */
    {{0x20, 0x01}, 23, FZRI_SCOPE_PRIVATE},                  /* IETF protocols, RFC 2928 */
    {{0x5f}, 16, FZRI_SCOPE_PRIVATE},                        /* segments of SRv6, RFC 9602 */
    {{0xff}, 8, FZRI_SCOPE_NONE},                            /* multicast */
};

/* IPv6 addresses that carry an IPv4 one at byte |at|; |flip| is what its bits were turned with. */
static const struct {
  uint8_t net[12];
  uint8_t len;
  uint8_t at;
  uint8_t flip;
} embedded[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12, 0}, /* mapped: the first */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12, 0},       /* translated (SIIT), RFC 2765 */
    {{0}, 96, 12, 0},                                        /* compatible */
    {{0, 0x64, 0xff, 0x9b}, 96, 12, 0},                      /* NAT64, RFC 6052 */
    {{0x20, 0x02}, 16, 2, 0},                                /* 6to4, RFC 3056 */
    {{0x20, 0x01}, 32, 4, 0},                                /* Teredo's server, RFC 4380 section 4 */
    {{0x20, 0x01}, 32, 12, 0xff},                            /* and its client, whose bits are turned */
};

bool fzri_in_prefix(const uint8_t *ip, const uint8_t *net, unsigned len)
{
  for (; len >= 8; len -= 8) /* most differ in the first byte */
    if (*ip++ != *net++)
      return false;
  return !len || (*ip ^ *net) >> (8 - len) == 0;
}

bool fzri_is_mapped(const fzr_addr *addr)
{
  return addr->family == FZR_FAMILY_IPV6 && fzri_in_prefix(addr->ip, embedded[0].net, embedded[0].len);
}

static enum fzri_scope scope_in(const scope_net *table, size_t n, const uint8_t *ip)
{
  for (size_t i = 0; i < n; i++)
    if (fzri_in_prefix(ip, table[i].bytes, table[i].len))
      return (enum fzri_scope)table[i].scope;
  return FZRI_SCOPE_GLOBAL;
}

enum fzri_scope fzri_scope_of(const fzr_addr *addr)
{
  if (addr->family == FZR_FAMILY_IPV4)
    return scope_in(scopes4, sizeof scopes4 / sizeof *scopes4, addr->ip);
  return scope_in(scopes6, sizeof scopes6 / sizeof *scopes6, addr->ip);
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (bytes[i])
      return false;
  return true;
}

/* A network's own NAT64 has a prefix of 48, 56, 64 or 96 bits within 64:ff9b:1::/48, and the address does not say which: RFC 6052
 * section 2.2 leaves out byte 8, and wants zeros behind the IPv4 address. The shortest one counts with which that is so and the
 * IPv4 address is not in 0.0.0.0/8: those are the zeros of a longer prefix. A longer one would read an address that ends in 0. */
static size_t local_nat64(const fzr_addr *addr, fzr_addr *inner)
{
  static const uint8_t net[] = {0, 0x64, 0xff, 0x9b, 0, 1};
  static const uint8_t places[][4] = {{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}};
  if (!fzri_in_prefix(addr->ip, net, 48))
    return 0;
  *inner = fzr_addr_ipv4(addr->ip + 12, addr->port);
  for (unsigned i = 0; i < 3 && !addr->ip[8]; i++) {
    const uint8_t *at = places[i];
    const uint8_t ip[4] = {addr->ip[at[0]], addr->ip[at[1]], addr->ip[at[2]], addr->ip[at[3]]};
    if (!ip[0] || !all_zero(addr->ip + at[3] + 1, 15u - at[3]))
      continue;
    *inner = fzr_addr_ipv4(ip, addr->port);
    break;
  }
  return 1;
}

/* ISATAP has an interface identifier of its own behind any prefix, RFC 5214 section 6.1. */
static size_t isatap(const fzr_addr *addr, fzr_addr *inner)
{
  if ((addr->ip[8] & 0xfc) != 0 || addr->ip[9] != 0 || addr->ip[10] != 0x5e || addr->ip[11] != 0xfe)
    return 0;
  *inner = fzr_addr_ipv4(addr->ip + 12, addr->port);
  return 1;
}

size_t fzri_inner_addresses(const fzr_addr *addr, fzr_addr inner[FZRI_INNER_MAX])
{
  size_t n = 0;
  if (addr->family != FZR_FAMILY_IPV6 || fzri_scope_of(addr) <= FZRI_SCOPE_LOOPBACK)
    return 0;
  for (size_t i = 0; i < sizeof embedded / sizeof *embedded; i++) {
    uint8_t ip[4];
    if (!fzri_in_prefix(addr->ip, embedded[i].net, embedded[i].len))
      continue;
    for (unsigned k = 0; k < 4; k++)
      ip[k] = addr->ip[embedded[i].at + k] ^ embedded[i].flip;
    inner[n++] = fzr_addr_ipv4(ip, addr->port);
  }
  n += local_nat64(addr, inner + n);
  return n + isatap(addr, inner + n);
}
