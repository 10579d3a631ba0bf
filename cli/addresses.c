/* SPDX-License-Identifier: Apache-2.0 */
#include "addresses.h"

#include "log/log.h"
#include "net/source.h"

#include <string.h>

/* Addresses out in the world, as routes go: root name servers. Nothing is sent to them. */
static const char *const far_away[2] = {"198.41.0.4", "2001:503:ba3e::2:30"};

static const char *const family_names[2] = {"IPv4", "IPv6"};

typedef struct family_addresses {
  unsigned slot; /* 0 IPv4, 1 IPv6 */
  const fzr_addr *public_addr;
  const fzr_addr *bound;
  bool own;
  bool offered;
} family_addresses;

/* Where packets to peers leave from. Returns false if they can't. */
static bool leaves_from(const family_addresses *f, fzr_addr *out)
{
  fzr_addr world;
  if (!is_wildcard(f->bound)) {
    *out = *f->bound;
    return true;
  }
  return !fzr_addr_parse(far_away[f->slot], &world) && source_towards(&world, out, NULL);
}

/* Addresses of a network behind a NAT, as those of cloud hosts are. */
static bool is_inside(const fzr_addr *a)
{
  if (a->family == FZR_FAMILY_IPV6)
    return (a->ip[0] & 0xfe) == 0xfc;
  return a->ip[0] == 10 || (a->ip[0] == 172 && (a->ip[1] & 0xf0) == 16) ||
         (a->ip[0] == 192 && a->ip[1] == 168) || (a->ip[0] == 100 && (a->ip[1] & 0xc0) == 64);
}

static void explain(const family_addresses *f)
{
  char told[FZR_ADDR_TEXT_MAX], seen[FZR_ADDR_TEXT_MAX];
  fzr_addr from;
  if (!f->public_addr->family || f->own)
    return;
  if (!f->offered) {
    log_warn(
        "relay",
        "This host has no %s: no addresses of it are relayed from (clients that ask for %s alone get error "
        "440) until it has one",
        family_names[f->slot], family_names[f->slot]);
    return;
  }
  if (!leaves_from(f, &from) ||
      (from.family == f->public_addr->family && memcmp(from.ip, f->public_addr->ip, sizeof from.ip) == 0))
    return;
  fzr_addr_format(f->public_addr, false, told, sizeof told);
  fzr_addr_format(&from, false, seen, sizeof seen);
  if (is_inside(&from))
    log_info(
        "relay",
        "%s is not used by this host itself: relayed data leaves from %s, and a NAT has to make %s of that",
        told, seen, told);
  else
    log_warn(
        "relay",
        "Clients are told %s, but relayed data leaves from %s, and peers see that unless a NAT is between. "
        "Give this host the address %s, or see --bind-ip%c-addr",
        told, seen, told, f->slot ? '6' : '4');
}

void addresses_explain(const options *o, const fzr_udp_stats *stats)
{
  const family_addresses families[2] = {
      {0, &o->public_ip4, &o->bind_ip4, stats->own_ip4, stats->offered_ip4},
      {1, &o->public_ip6, &o->bind_ip6, stats->own_ip6, stats->offered_ip6}};
  for (unsigned i = 0; i < 2; i++)
    explain(&families[i]);
  if (!stats->follows_addrs)
    log_warn(
        "relay",
        "The system does not tell when this host gets an address (netlink): only those that it has now are "
        "kept from clients");
}
