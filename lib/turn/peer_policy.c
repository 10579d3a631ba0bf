/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_policy.h"

#include <string.h>

/* From the host's own to the whole internet's: a relay reaches peers of its own public address's scope and above. */
enum scope { SCOPE_NONE = 0, SCOPE_LOOPBACK = 1, SCOPE_LINK_LOCAL = 2, SCOPE_PRIVATE = 3, SCOPE_GLOBAL = 4 };

typedef struct scope_net {
  uint8_t bytes[16];
  uint8_t len;
  uint8_t scope;
} scope_net;

/* SCOPE_NONE: never a peer. The first match counts. */
static const scope_net scopes4[] = {
    {{0}, 8, SCOPE_NONE}, /* "this network" */
    {{127}, 8, SCOPE_LOOPBACK},
    {{169, 254}, 16, SCOPE_LINK_LOCAL},
    {{10}, 8, SCOPE_PRIVATE},
    {{172, 16}, 12, SCOPE_PRIVATE},
    {{192, 168}, 16, SCOPE_PRIVATE},
    {{100, 64}, 10, SCOPE_PRIVATE}, /* shared by a carrier's customers, RFC 6598 */
    {{224}, 4, SCOPE_NONE},         /* multicast */
    {{240}, 4, SCOPE_NONE},         /* reserved, and broadcast */
};

static const scope_net scopes6[] = {
    {{0}, 128, SCOPE_NONE}, /* unspecified */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, SCOPE_LOOPBACK},
    {{0xfe, 0x80}, 10, SCOPE_LINK_LOCAL},
    {{0xfc}, 7, SCOPE_PRIVATE},
    {{0xff}, 8, SCOPE_NONE}, /* multicast */
};

/* IPv6 addresses that carry an IPv4 one at byte |at|. */
static const struct {
  scope_net net;
  uint8_t at;
} embedded[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 0}, 12}, /* mapped */
    {{{0}, 96, 0}, 12},                                        /* compatible */
    {{{0, 0x64, 0xff, 0x9b}, 96, 0}, 12},                      /* NAT64, RFC 6052 */
    {{{0x20, 0x02}, 16, 0}, 2},                                /* 6to4, RFC 3056 */
};

static bool in_prefix(const uint8_t *ip, const uint8_t *net, unsigned len)
{
  if (memcmp(ip, net, len / 8) != 0)
    return false;
  const unsigned rest = len % 8;
  return !rest || (ip[len / 8] ^ net[len / 8]) >> (8 - rest) == 0;
}

static uint8_t scope_in(const scope_net *table, size_t n, const uint8_t *ip)
{
  for (size_t i = 0; i < n; i++)
    if (in_prefix(ip, table[i].bytes, table[i].len))
      return table[i].scope;
  return SCOPE_GLOBAL;
}

static uint8_t scope4(const uint8_t *ip)
{
  return scope_in(scopes4, sizeof scopes4 / sizeof *scopes4, ip);
}

static uint8_t scope_of(const fzr_addr *addr)
{
  if (addr->family == FZR_FAMILY_IPV4)
    return scope4(addr->ip);
  return scope_in(scopes6, sizeof scopes6 / sizeof *scopes6, addr->ip);
}

/* The IPv4 address inside an IPv6 one. ::1 and :: are themselves. */
static bool inner_address(const fzr_addr *addr, fzr_addr *inner)
{
  if (addr->family != FZR_FAMILY_IPV6 || scope_of(addr) <= SCOPE_LOOPBACK)
    return false;
  for (size_t i = 0; i < sizeof embedded / sizeof *embedded; i++) {
    if (!in_prefix(addr->ip, embedded[i].net.bytes, embedded[i].net.len))
      continue;
    *inner = fzr_addr_ipv4(addr->ip + embedded[i].at, addr->port);
    return true;
  }
  return false;
}

static bool is_wildcard(const fzr_addr *addr)
{
  static const uint8_t zero[16];
  return memcmp(addr->ip, zero, sizeof zero) == 0;
}

static bool rule_is_sound(const fzr_peer_rule *rule)
{
  const unsigned bits = rule->net.family == FZR_FAMILY_IPV4   ? 32
                        : rule->net.family == FZR_FAMILY_IPV6 ? 128
                                                              : 0;
  if (!bits || rule->prefix > bits)
    return false;
  for (unsigned i = rule->prefix; i < bits; i++)
    if (rule->net.ip[i / 8] >> (7 - i % 8) & 1)
      return false;
  return true;
}

static void add_own(fzri_peer_policy *p, const fzr_addr *addr)
{
  if (addr->family == FZR_FAMILY_NONE || is_wildcard(addr))
    return;
  p->own[p->own_count] = *addr;
  p->own[p->own_count++].port = 0;
}

static int copy_rules(fzri_peer_policy *p, const fzr_config *config)
{
  for (size_t i = 0; i < config->peer_rule_count; i++)
    if (!rule_is_sound(&config->peer_rules[i]))
      return FZR_ERR_CONFIG_RULE;
  if (!config->peer_rule_count)
    return 0;
  p->rules = fzri_mem_calloc(p->mem, config->peer_rule_count, sizeof *p->rules);
  if (!p->rules)
    return FZR_ERR_NO_MEMORY;
  memcpy(p->rules, config->peer_rules, config->peer_rule_count * sizeof *p->rules);
  p->rule_count = config->peer_rule_count;
  return 0;
}

/* The scope of the relay in one family. One that is not offered is held to the strictest. */
static uint8_t own_scope(const fzr_addr *public_addr)
{
  return public_addr->family ? scope_of(public_addr) : SCOPE_GLOBAL;
}

/* How many addresses |own| has room for. */
static size_t own_room(const fzr_config *config)
{
  return config->own_addr_count + 2;
}

int fzri_peer_policy_init(fzri_peer_policy *p, fzri_mem *mem, const fzr_config *config)
{
  memset(p, 0, sizeof *p);
  p->mem = mem;
  p->lowest_port = config->lowest_port;
  p->highest_port = config->highest_port;
  p->scope[FZR_FAMILY_IPV4] = own_scope(&config->public_ip4);
  p->scope[FZR_FAMILY_IPV6] = own_scope(&config->public_ip6);
  /* A wildcard, say: everything would be in reach. */
  if (p->scope[FZR_FAMILY_IPV4] == SCOPE_NONE || p->scope[FZR_FAMILY_IPV6] == SCOPE_NONE)
    return FZR_ERR_CONFIG_ADDRESS;
  const int error = copy_rules(p, config);
  if (error)
    return error;
  p->own_room = own_room(config);
  p->own = fzri_mem_calloc(mem, p->own_room, sizeof *p->own);
  p->own_port_count = config->own_port_count + 1;
  p->own_ports = fzri_mem_calloc(mem, p->own_port_count, sizeof *p->own_ports);
  if (!p->own || !p->own_ports) {
    fzri_peer_policy_free(p);
    return FZR_ERR_NO_MEMORY;
  }
  add_own(p, &config->public_ip4);
  add_own(p, &config->public_ip6);
  for (size_t i = 0; i < config->own_addr_count; i++)
    add_own(p, &config->own_addrs[i]);
  p->own_ports[0] = config->listen_port;
  for (size_t i = 0; i < config->own_port_count; i++)
    p->own_ports[1 + i] = config->own_ports[i];
  return 0;
}

void fzri_peer_policy_free(fzri_peer_policy *p)
{
  if (!p->mem)
    return;
  fzri_mem_free(p->mem, p->rules, p->rule_count * sizeof *p->rules);
  fzri_mem_free(p->mem, p->own, p->own_room * sizeof *p->own);
  fzri_mem_free(p->mem, p->own_ports, p->own_port_count * sizeof *p->own_ports);
  memset(p, 0, sizeof *p);
}

static bool is_listed(const fzri_peer_policy *p, const fzr_addr *peer)
{
  for (size_t i = 0; i < p->own_count; i++)
    if (p->own[i].family == peer->family && memcmp(p->own[i].ip, peer->ip, sizeof peer->ip) == 0)
      return true;
  return false;
}

bool fzri_peer_policy_is_own(const fzri_peer_policy *p, const fzr_addr *peer)
{
  fzr_addr inner;
  return is_listed(p, peer) || (inner_address(peer, &inner) && is_listed(p, &inner));
}

static bool is_own_port(const fzri_peer_policy *p, uint16_t port)
{
  for (size_t i = 0; i < p->own_port_count; i++)
    if (p->own_ports[i] == port)
      return true;
  return false;
}

/* On the relay's own addresses a client may reach other clients' relayed ports, and nothing else; on a loopback address, which
 * is for trying out, everything but the relay's own services. All of 127/8 and ::1 are the same host. */
static bool own_port_allowed(const fzri_peer_policy *p, const fzr_addr *peer)
{
  const bool in_range = peer->port >= p->lowest_port && peer->port <= p->highest_port;
  if (scope_of(peer) == SCOPE_LOOPBACK)
    return !is_own_port(p, peer->port);
  return !is_listed(p, peer) || (in_range && !is_own_port(p, peer->port));
}

/* What the rules say of |peer|: the longest prefix decides, deny wins a tie. 1 allow, -1 deny, 0 nothing. */
static int rule_for(const fzri_peer_policy *p, const fzr_addr *peer)
{
  int verdict = 0, longest = -1;
  for (size_t i = 0; i < p->rule_count; i++) {
    const fzr_peer_rule *rule = &p->rules[i];
    if (rule->net.family != peer->family || rule->prefix < longest ||
        !in_prefix(peer->ip, rule->net.ip, rule->prefix))
      continue;
    if (rule->prefix == longest && verdict < 0)
      continue;
    verdict = rule->allow ? 1 : -1;
    longest = rule->prefix;
  }
  return verdict;
}

/* One address by itself, whatever it carries inside. A rule that allows beats the scope, never what no peer can be. */
static bool address_allowed(const fzri_peer_policy *p, const fzr_addr *peer)
{
  const uint8_t scope = scope_of(peer);
  if (scope == SCOPE_NONE || !own_port_allowed(p, peer))
    return false;
  const int rule = rule_for(p, peer);
  return rule ? rule > 0 : scope >= p->scope[peer->family];
}

bool fzri_peer_policy_allows(const fzri_peer_policy *p, const fzr_addr *peer)
{
  fzr_addr inner;
  if (!peer->port || !address_allowed(p, peer))
    return false;
  return !inner_address(peer, &inner) || address_allowed(p, &inner);
}

int fzr_peer_rule_parse(const char *text, bool allow, fzr_peer_rule *out)
{
  char host[FZR_ADDR_TEXT_MAX];
  fzr_peer_rule rule;
  if (!text || !out)
    return FZR_ERR_CONFIG_RULE;
  const char *slash = strchr(text, '/');
  const size_t len = slash ? (size_t)(slash - text) : strlen(text);
  if (len >= sizeof host)
    return FZR_ERR_CONFIG_RULE;
  memcpy(host, text, len);
  host[len] = 0;
  memset(&rule, 0, sizeof rule);
  if (strchr(host, '[') || fzr_addr_parse(host, &rule.net) || rule.net.port || rule.net.scope_id)
    return FZR_ERR_CONFIG_RULE;
  if (rule.net.family == FZR_FAMILY_IPV4 && strchr(host, ':'))
    return FZR_ERR_CONFIG_RULE;
  unsigned prefix = rule.net.family == FZR_FAMILY_IPV4 ? 32 : 128;
  if (slash) {
    const char *p = slash + 1;
    if (!*p || (p[0] == '0' && p[1]))
      return FZR_ERR_CONFIG_RULE;
    for (prefix = 0; *p >= '0' && *p <= '9' && prefix < 1000; p++)
      prefix = prefix * 10 + (unsigned)(*p - '0');
    if (*p || prefix > 128)
      return FZR_ERR_CONFIG_RULE;
  }
  rule.prefix = (uint8_t)prefix;
  rule.allow = allow;
  if (!rule_is_sound(&rule))
    return FZR_ERR_CONFIG_RULE;
  *out = rule;
  return 0;
}
