/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_policy.h"

#include "peer_scope.h"

#include "../base/addr.h"

#include <string.h>

static void add_own(fzri_peer_policy *p, const fzr_addr *addr)
{
  if (addr->family == FZR_FAMILY_NONE || fzri_is_unspecified(addr))
    return;
  fzr_addr *own = &p->own[p->own_count++];
  *own = *addr;
  own->port = 0;
  own->transport = 0;
}

int fzri_peer_policy_set_rules(fzri_peer_policy *p, const fzr_peer_rule *rules, size_t count)
{
  fzr_peer_rule *copy = NULL;
  for (size_t i = 0; i < count; i++)
    if (!fzri_peer_rule_is_sound(&rules[i]))
      return FZR_ERR_CONFIG_RULE;
  if (count) {
    copy = fzri_mem_calloc(p->mem, count, sizeof *copy);
    if (!copy)
      return FZR_ERR_NO_MEMORY;
    memcpy(copy, rules, count * sizeof *copy);
  }
  fzri_mem_free(p->mem, p->rules, p->rule_count * sizeof *p->rules);
  p->rules = copy;
  p->rule_count = count;
  p->port_rules = false;
  for (size_t i = 0; i < count; i++)
    p->port_rules = p->port_rules || rules[i].net.port;
  return 0;
}

/* The scope of the relay in one family. One that is not offered is held to the strictest. */
static enum fzri_scope own_scope(const fzr_addr *public_addr)
{
  return public_addr->family ? fzri_scope_of(public_addr) : FZRI_SCOPE_GLOBAL;
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
  p->scope[FZR_FAMILY_IPV4] = (uint8_t)own_scope(&config->public_ip4);
  p->scope[FZR_FAMILY_IPV6] = (uint8_t)own_scope(&config->public_ip6);
  /* A wildcard, say: everything would be in reach. */
  if (p->scope[FZR_FAMILY_IPV4] == FZRI_SCOPE_NONE || p->scope[FZR_FAMILY_IPV6] == FZRI_SCOPE_NONE)
    return FZR_ERR_CONFIG_ADDRESS;
  const int error = fzri_peer_policy_set_rules(p, config->peer_rules, config->peer_rule_count);
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
  p->listen_port_count = 1;
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
  fzri_addr_set_free(&p->host, p->mem);
  memset(p, 0, sizeof *p);
}

static bool is_listed(const fzri_peer_policy *p, const fzr_addr *peer)
{
  for (size_t i = 0; i < p->own_count; i++)
    if (p->own[i].family == peer->family && memcmp(p->own[i].ip, peer->ip, sizeof peer->ip) == 0)
      return true;
  return fzri_addr_set_has(&p->host, peer);
}

bool fzri_peer_policy_is_own(const fzri_peer_policy *p, const fzr_addr *peer)
{
  fzr_addr inner[FZRI_INNER_MAX];
  if (is_listed(p, peer))
    return true;
  const size_t n = fzri_inner_addresses(peer, inner);
  for (size_t i = 0; i < n; i++)
    if (is_listed(p, &inner[i]))
      return true;
  return false;
}

static bool is_own_port(const fzri_peer_policy *p, uint16_t port)
{
  for (size_t i = 0; i < p->own_port_count; i++)
    if (p->own_ports[i] == port)
      return true;
  return false;
}

bool fzri_peer_policy_listens(const fzri_peer_policy *p, uint16_t port)
{
  for (size_t i = 0; i < p->listen_port_count; i++)
    if (p->own_ports[i] == port)
      return true;
  return false;
}

int fzri_peer_policy_add_port(fzri_peer_policy *p, uint16_t port)
{
  if (fzri_peer_policy_listens(p, port))
    return 0;
  uint16_t *ports = fzri_mem_calloc(p->mem, p->own_port_count + 1, sizeof *ports);
  if (!ports)
    return FZR_ERR_NO_MEMORY;
  ports[0] = port;
  memcpy(ports + 1, p->own_ports, p->own_port_count * sizeof *ports);
  fzri_mem_free(p->mem, p->own_ports, p->own_port_count * sizeof *p->own_ports);
  p->own_ports = ports;
  p->own_port_count++;
  p->listen_port_count++;
  return 1;
}

/* On the relay's own addresses a client may reach other clients' relayed ports, and nothing else; on a loopback address, which
 * is for trying out, everything but the relay's own services. All of 127/8 and ::1 are the same host. */
static bool own_port_allowed(const fzri_peer_policy *p, const fzr_addr *peer)
{
  const bool in_range = peer->port >= p->lowest_port && peer->port <= p->highest_port;
  if (fzri_scope_of(peer) == FZRI_SCOPE_LOOPBACK)
    return !is_own_port(p, peer->port);
  return !is_listed(p, peer) || (in_range && !is_own_port(p, peer->port));
}

/* Relays listen there. If one could be a peer, a user could make two relays each other's clients, between which a datagram goes
 * round and grows with each turn. They see their own listen port at addresses that they do not know to be theirs, too: behind a
 * load balancer. What a port of the own range leads to is an allocation of this relay. */
static bool is_relay_port(const fzri_peer_policy *p, const fzr_addr *peer)
{
  const bool listens = fzri_peer_policy_listens(p, peer->port) || peer->port == FZRI_PORT_STUN;
  return listens && !(is_listed(p, peer) && peer->port >= p->lowest_port && peer->port <= p->highest_port);
}

/* Own and loopback addresses have ports of their own; so may what an address carries. */
bool fzri_peer_policy_minds_ports(const fzri_peer_policy *p, const fzr_addr *peer)
{
  fzr_addr inner[FZRI_INNER_MAX];
  return p->port_rules || is_listed(p, peer) || fzri_scope_of(peer) == FZRI_SCOPE_LOOPBACK ||
         fzri_inner_addresses(peer, inner) > 0;
}

/* Whether |a| says more about a peer than |b| does, if both are about it: the longer prefix decides, then who names a port; deny
 * wins a tie. */
static bool beats(const fzr_peer_rule *a, const fzr_peer_rule *b)
{
  if (a->prefix != b->prefix)
    return a->prefix > b->prefix;
  if (!a->net.port != !b->net.port)
    return a->net.port != 0;
  return !a->allow;
}

/* The rule that decides about |peer|, NULL if none does. If |any_port|, one that allows a single port counts, and one that denies a
 * single port does not. */
static const fzr_peer_rule *rule_for(const fzri_peer_policy *p, const fzr_addr *peer, bool any_port)
{
  const fzr_peer_rule *best = NULL;
  for (size_t i = 0; i < p->rule_count; i++) {
    const fzr_peer_rule *rule = &p->rules[i];
    if (rule->net.family != peer->family || !fzri_in_prefix(peer->ip, rule->net.ip, rule->prefix))
      continue;
    if (rule->net.port && (any_port ? !rule->allow : rule->net.port != peer->port))
      continue;
    if (!best || beats(rule, best))
      best = rule;
  }
  return best;
}

/* One address by itself, whatever it carries inside. A rule that allows beats the scope, never what no peer can be. */
static enum fzr_peer_reason judge_address(const fzri_peer_policy *p, const fzr_addr *peer, bool any_port,
                                          const fzr_peer_rule **rule)
{
  const enum fzri_scope scope = fzri_scope_of(peer);
  if (scope == FZRI_SCOPE_NONE)
    return FZR_PEER_NOBODY;
  if (!any_port && !own_port_allowed(p, peer))
    return FZR_PEER_OWN;
  *rule = rule_for(p, peer, any_port);
  if (*rule && !(*rule)->allow)
    return FZR_PEER_DENIED;
  if (!any_port && is_relay_port(p, peer) && !(*rule && (*rule)->net.port))
    return FZR_PEER_RELAY;
  return *rule || scope >= p->scope[peer->family] ? FZR_PEER_ALLOWED : FZR_PEER_SCOPE;
}

enum fzr_peer_reason fzri_peer_policy_judge(const fzri_peer_policy *p, const fzr_addr *peer, bool any_port,
                                            fzri_peer_judgement *out)
{
  fzr_addr inner[FZRI_INNER_MAX];
  *out = (fzri_peer_judgement){.reason = FZR_PEER_NOBODY, .about = *peer};
  if (!any_port && !peer->port)
    return out->reason;
  out->reason = judge_address(p, peer, any_port, &out->rule);
  const size_t n = out->reason ? 0 : fzri_inner_addresses(peer, inner);
  for (size_t i = 0; i < n && !out->reason; i++) {
    out->about = inner[i];
    out->reason = judge_address(p, &inner[i], any_port, &out->rule);
  }
  return out->reason;
}
