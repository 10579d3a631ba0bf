/* SPDX-License-Identifier: Apache-2.0 */
/* The peer policy against a reference written apart from it: networks as text, addresses as numbers of 128 bits, and of all networks that
 * match the smallest one counts. Addresses lie at the edges of those networks and next to them, and within each other. */
#include "prng.h"
#include "testing.h"

#include "turn/peer_policy.h"

#include <stdio.h>

__extension__ typedef unsigned __int128 u128;

enum { NEVER, LOOPBACK, LINK_LOCAL, PRIVATE, GLOBAL };

/* IANA's special-purpose registries as of 2025-10-09, and what the documentation says beside them. */
static const struct {
  const char *net;
  int scope;
} table[] = {
    {"0.0.0.0/8", NEVER},
    {"10.0.0.0/8", PRIVATE},
    {"100.64.0.0/10", PRIVATE},
    {"100.100.100.200/32", LINK_LOCAL},
    {"127.0.0.0/8", LOOPBACK},
    {"168.63.129.16/32", LINK_LOCAL},
    {"169.254.0.0/16", LINK_LOCAL},
    {"172.16.0.0/12", PRIVATE},
    {"192.0.0.0/24", LINK_LOCAL},
    {"192.0.2.0/24", GLOBAL},
    {"192.31.196.0/24", GLOBAL},
    {"192.52.193.0/24", GLOBAL},
    {"192.88.99.0/24", PRIVATE},
    {"192.168.0.0/16", PRIVATE},
    {"192.175.48.0/24", GLOBAL},
    {"198.18.0.0/15", PRIVATE},
    {"198.51.100.0/24", GLOBAL},
    {"203.0.113.0/24", GLOBAL},
    {"224.0.0.0/4", NEVER},
    {"240.0.0.0/4", NEVER},
    {"255.255.255.255/32", NEVER},
    {"::/128", NEVER},
    {"::1/128", LOOPBACK},
    {"::/96", GLOBAL},
    {"::ffff:0:0/96", GLOBAL},
    {"::ffff:0:0:0/96", GLOBAL},
    {"64:ff9b::/96", GLOBAL},
    {"64:ff9b:1::/48", PRIVATE},
    {"100::/64", NEVER},
    {"100:0:0:1::/64", NEVER},
    {"203:0:113::/64", GLOBAL},
    {"2000::/3", GLOBAL},
    {"2001::/23", PRIVATE},
    {"2001::/32", GLOBAL},
    {"2001:2::/48", PRIVATE},
    {"2001:3::/32", GLOBAL},
    {"2001:4:112::/48", GLOBAL},
    {"2001:10::/28", PRIVATE},
    {"2001:20::/28", GLOBAL},
    {"2001:30::/28", GLOBAL},
    {"2001:db8::/32", GLOBAL},
    {"2002::/16", GLOBAL},
    {"2620:4f:8000::/48", GLOBAL},
    {"3fff::/20", GLOBAL},
    {"5f00::/16", PRIVATE},
    {"fc00::/7", PRIVATE},
    {"fd00:ec2::/64", LINK_LOCAL},
    {"fd20:ce::/64", LINK_LOCAL},
    {"fe80::/10", LINK_LOCAL},
    {"fec0::/10", PRIVATE},
    {"ff00::/8", NEVER},
};
#define NETS (sizeof table / sizeof *table)

typedef struct net {
  bool v4;
  unsigned len;
  u128 first, mask; /* IPv4 in the low 32 bits */
} net;

static net nets[NETS];
static fzt_prng prng;

static u128 number_of(const fzr_addr *a)
{
  u128 n = 0;
  for (unsigned i = 0; i < (a->family == FZR_FAMILY_IPV4 ? 4u : 16u); i++)
    n = n << 8 | a->ip[i];
  return n;
}

static fzr_addr address_of(bool v4, u128 n, uint16_t port)
{
  uint8_t ip[16];
  for (unsigned i = 0; i < 16; i++)
    ip[15 - i] = (uint8_t)(n >> 8 * i);
  return v4 ? fzr_addr_ipv4(ip + 12, port) : fzr_addr_ipv6(ip, port);
}

static net net_of(const fzr_addr *a, unsigned len)
{
  const bool v4 = a->family == FZR_FAMILY_IPV4;
  const unsigned bits = v4 ? 32 : 128;
  const u128 all = v4 ? 0xffffffffu : ~(u128)0;
  return (net){v4, len, number_of(a), len ? all & ~(len == bits ? 0 : all >> len) : 0};
}

static bool within(const net *n, bool v4, u128 x)
{
  return n->v4 == v4 && (x & n->mask) == n->first;
}

static int scope_of(bool v4, u128 x)
{
  int scope = GLOBAL, len = -1;
  for (size_t i = 0; i < NETS; i++)
    if (within(&nets[i], v4, x) && (int)nets[i].len > len) {
      len = (int)nets[i].len;
      scope = table[i].scope;
    }
  return scope;
}

#define RULES 12u
#define OWN   3u

typedef struct relay {
  fzr_addr public4, public6, own[OWN];
  fzr_peer_rule rules[RULES];
  uint16_t listen, health, lowest, highest;
  int scope4, scope6;
} relay;

static bool is_own(const relay *r, const fzr_addr *a)
{
  const fzr_addr *own[OWN + 2] = {&r->public4, &r->public6, &r->own[0], &r->own[1], &r->own[2]};
  for (unsigned i = 0; i < OWN + 2; i++)
    if (own[i]->family == a->family && number_of(own[i]) == number_of(a))
      return true;
  return false;
}

/* Points of a rule: what is more special has more of them. */
static int weight(const fzr_peer_rule *rule)
{
  return rule->prefix * 4 + (rule->net.port ? 2 : 0) + (rule->allow ? 0 : 1);
}

static bool allows_one(const relay *r, const fzr_addr *a)
{
  const bool v4 = a->family == FZR_FAMILY_IPV4;
  const u128 x = number_of(a);
  const int scope = scope_of(v4, x);
  const bool service = a->port == r->listen || a->port == r->health;
  const bool in_range = a->port >= r->lowest && a->port <= r->highest;
  const fzr_peer_rule *best = NULL;
  if (scope == NEVER || ((scope == LOOPBACK || is_own(r, a)) && service))
    return false;
  if (scope != LOOPBACK && is_own(r, a) && !in_range)
    return false;
  for (unsigned i = 0; i < RULES; i++) {
    const net n = net_of(&r->rules[i].net, r->rules[i].prefix);
    if (within(&n, v4, x) && (!r->rules[i].net.port || r->rules[i].net.port == a->port) &&
        (!best || weight(&r->rules[i]) > weight(best)))
      best = &r->rules[i];
  }
  if (best && !best->allow)
    return false;
  if ((a->port == 3478 || a->port == r->listen) && !(is_own(r, a) && in_range) && !(best && best->net.port))
    return false;
  return best || scope >= (v4 ? r->scope4 : r->scope6);
}

static bool allows_inner(const relay *r, u128 inner, uint16_t port)
{
  const fzr_addr a = address_of(true, inner & 0xffffffffu, port);
  return allows_one(r, &a);
}

/* The IPv4 address in one of 64:ff9b:1::/48. */
static u128 local_nat64(u128 x)
{
  const uint32_t u = (uint32_t)(x >> 56 & 0xff);
  const u128 hi = x >> 64 & 0xffff, lo = x & (((u128)1 << 56) - 1); /* before and behind byte 8 */
  const u128 at48 = hi << 16 | lo >> 40, at56 = (hi & 0xff) << 24 | lo >> 32, at64 = lo >> 24;
  if (!u && !(lo & (((u128)1 << 40) - 1)) && at48 >> 24)
    return at48;
  if (!u && !(lo & (((u128)1 << 32) - 1)) && at56 >> 24)
    return at56;
  if (!u && !(lo & (((u128)1 << 24) - 1)) && at64 >> 24)
    return at64;
  return x;
}

static bool allows(const relay *r, const fzr_addr *a)
{
  if (!a->port || !allows_one(r, a))
    return false;
  if (a->family == FZR_FAMILY_IPV4)
    return true;
  const u128 x = number_of(a), top = x >> 32;
  if (x <= 1)
    return true;
  bool fine = true;
  if (top == 0 || top == 0xffff || top == (u128)0xffff << 16 || top == (u128)0x64ff9b << 64)
    fine = allows_inner(r, x, a->port);
  if (x >> 112 == 0x2002)
    fine = fine && allows_inner(r, x >> 80, a->port);
  if (x >> 96 == 0x20010000)
    fine = fine && allows_inner(r, x >> 64, a->port) && allows_inner(r, ~x, a->port);
  if (x >> 80 == ((u128)0x64ff9b << 16 | 1))
    fine = fine && allows_inner(r, local_nat64(x), a->port);
  if ((top & 0xfcffffff) == 0x5efe)
    fine = fine && allows_inner(r, x, a->port);
  return fine;
}

/* ---- what is tried ---- */

static u128 random_number(void)
{
  return (u128)fzt_next(&prng) << 64 | fzt_next(&prng);
}

/* At the edges of a network of the table, next to it, or within it. */
static u128 near_net(const net *n)
{
  const u128 last = n->first | (~n->mask & (n->v4 ? 0xffffffffu : ~(u128)0));
  switch (fzt_below(&prng, 6)) {
  case 0:
    return n->first;
  case 1:
    return last;
  case 2:
    return n->first - 1;
  case 3:
    return last + 1;
  case 4:
    return n->first + fzt_below(&prng, 8);
  default:
    return n->first | (random_number() & ~n->mask);
  }
}

static uint32_t some_ipv4(void)
{
  for (;;) {
    const net *n = &nets[fzt_below(&prng, NETS)];
    if (n->v4)
      return (uint32_t)near_net(n);
  }
}

/* An IPv4 address put into an IPv6 one. */
static u128 carrier(void)
{
  const u128 v4 = some_ipv4(), other = some_ipv4();
  const uint64_t r = fzt_next(&prng);
  switch (fzt_below(&prng, 9)) {
  case 0:
    return (u128)0xffff << 32 | v4;
  case 1:
    return (u128)0xffff << 48 | v4;
  case 2:
    return v4;
  case 3:
    return (u128)0x64ff9b << 96 | v4;
  case 4:
    return (u128)0x2002 << 112 | v4 << 80 | (r & 1 ? (u128)0x5efe << 32 | other : r);
  case 5:
    return (u128)0x20010000 << 96 | v4 << 64 | (u128)(r & 0xffffffff) << 32 | (~other & 0xffffffffu);
  case 6: {
    const u128 prefix = ((u128)0x64ff9b << 16 | 1) << 80;
    switch (r & 3) {
    case 0:
      return prefix | (v4 >> 16) << 64 | (v4 & 0xffff) << 40;
    case 1:
      return prefix | (u128)(r >> 8 & 0xff) << 72 | (v4 >> 24) << 64 | (v4 & 0xffffff) << 32;
    case 2:
      return prefix | (u128)(r >> 8 & 0xffff) << 64 | v4 << 24;
    default:
      return prefix | (u128)(r >> 8 & 1 ? r >> 9 & 0xffff : 0) << 64 | v4;
    }
  }
  case 7:
    return near_net(&nets[fzt_below(&prng, NETS)]) << (r & 1 ? 64 : 0) | (u128)(r & 2 ? 0x0200 : 0) << 48 |
           (u128)0x5efe << 32 | v4;
  default:
    return (u128)r << 64 | v4;
  }
}

static uint16_t some_port(const relay *r)
{
  const uint16_t ports[] = {0,
                            1,
                            53,
                            3478,
                            r->listen,
                            r->health,
                            r->lowest - 1,
                            r->lowest,
                            r->highest,
                            r->highest,
                            r->lowest,
                            5000,
                            (uint16_t)fzt_next(&prng)};
  return ports[fzt_below(&prng, sizeof ports / sizeof *ports)];
}

static fzr_addr some_address(const relay *r)
{
  const fzr_addr *own[OWN + 2] = {&r->public4, &r->public6, &r->own[0], &r->own[1], &r->own[2]};
  const uint16_t port = some_port(r);
  switch (fzt_below(&prng, 6)) {
  case 0:
    return address_of(true, some_ipv4(), port);
  case 1:
  case 2:
    return address_of(false, carrier(), port);
  case 3: {
    fzr_addr a = *own[fzt_below(&prng, OWN + 2)];
    a.port = port;
    return a;
  }
  case 4:
    return address_of(fzt_next(&prng) & 1, random_number(), port);
  default: {
    const net *n = &nets[fzt_below(&prng, NETS)];
    return address_of(n->v4, near_net(n), port);
  }
  }
}

static fzr_addr host(const char *text)
{
  fzr_addr a;
  fzt_check(fzr_addr_parse(text, &a) == 0);
  return a;
}

static void some_relay(relay *r)
{
  static const char *const at4[] = {"127.0.0.1", "169.254.7.7", "192.168.7.7", "203.0.113.7"};
  static const char *const at6[] = {"::1", "fe80::7", "fd07::7", "2001:db8::7"};
  memset(r, 0, sizeof *r);
  const uint64_t at = fzt_below(&prng, 4), other = fzt_below(&prng, 4);
  r->public4 = host(at4[at]);
  r->public6 = host(at6[other]);
  r->scope4 = (int)at + LOOPBACK;
  r->scope6 = (int)other + LOOPBACK;
  r->listen = fzt_next(&prng) & 1 ? 3478 : 5000;
  r->health = 8080;
  r->lowest = fzt_next(&prng) & 1 ? 49152 : 1024;
  r->highest = fzt_next(&prng) & 1 ? 65535 : 50000;
  for (unsigned i = 0; i < OWN; i++)
    r->own[i] = (fzr_addr){.family = FZR_FAMILY_NONE};
  for (unsigned i = 0; i < OWN; i++) {
    r->own[i] = some_address(r);
    r->own[i].port = 0;
    /* A wildcard is nobody's. */
    if (r->own[i].family == FZR_FAMILY_NONE || number_of(&r->own[i]) == 0)
      r->own[i] = r->public4;
  }
  for (unsigned i = 0; i < RULES; i++) {
    fzr_peer_rule *rule = &r->rules[i];
    do
      rule->net = i && fzt_next(&prng) % 3 == 0 ? r->rules[i - 1].net : some_address(r);
    while (rule->net.family == FZR_FAMILY_NONE);
    const unsigned bits = rule->net.family == FZR_FAMILY_IPV4 ? 32 : 128;
    rule->prefix = (uint8_t)(i && fzt_next(&prng) & 1 ? r->rules[i - 1].prefix : fzt_below(&prng, bits + 1));
    if (rule->prefix > bits)
      rule->prefix = (uint8_t)bits;
    const net n = net_of(&rule->net, rule->prefix);
    rule->net = address_of(n.v4, n.first & n.mask, fzt_next(&prng) & 1 ? some_port(r) : 0);
    rule->allow = fzt_next(&prng) & 1;
  }
}

static void compare(const relay *r, unsigned peers, unsigned allowed[2])
{
  fzri_mem mem;
  fzri_peer_policy policy;
  const uint16_t ports[1] = {r->health};
  fzr_config config = fzr_config_init();
  fzri_mem_init(&mem, NULL);
  config.public_ip4 = r->public4;
  config.public_ip6 = r->public6;
  config.own_addrs = r->own;
  config.own_addr_count = OWN;
  config.own_ports = ports;
  config.own_port_count = 1;
  config.peer_rules = r->rules;
  config.peer_rule_count = RULES;
  config.listen_port = r->listen;
  config.lowest_port = r->lowest;
  config.highest_port = r->highest;
  fzt_check(fzri_peer_policy_init(&policy, &mem, &config) == 0);
  for (unsigned i = 0; i < peers; i++) {
    const fzr_addr peer = some_address(r);
    const bool expected = allows(r, &peer);
    allowed[expected]++;
    fzri_peer_judgement judgement;
    if ((fzri_peer_policy_judge(&policy, &peer, false, &judgement) == FZR_PEER_ALLOWED) == expected)
      continue;
    char text[2][FZR_ADDR_TEXT_MAX];
    fzr_addr_format(&peer, true, text[0], sizeof text[0]);
    fzr_addr_format(&r->public4, false, text[1], sizeof text[1]);
    printf("relay %s: %s should be %s\n", text[1], text[0], expected ? "allowed" : "refused");
    fzt_check(false);
  }
  fzri_peer_policy_free(&policy);
}

int main(void)
{
  prng.state = fzt_seed("peer_policy");
  unsigned allowed[2] = {0, 0};
  for (size_t i = 0; i < NETS; i++) {
    fzr_peer_rule rule;
    fzt_check(fzr_peer_rule_parse(table[i].net, true, &rule) == 0);
    nets[i] = net_of(&rule.net, rule.prefix);
  }
  const uint64_t rounds = fzt_rounds(2000);
  for (uint64_t i = 0; i < rounds; i++) {
    relay r;
    some_relay(&r);
    compare(&r, 300, allowed);
  }
  printf("%u refused, %u allowed\n", allowed[0], allowed[1]);
  fzt_check(allowed[0] > rounds && allowed[1] > rounds);
  return 0;
}
