/* SPDX-License-Identifier: Apache-2.0 */
/* Where users may send, and how much. */
#include "ranges.h"
#include "translation.h"

#include <stdlib.h>
#include <string.h>

#define RULES_MAX 256u /* that the relay takes */
#define BPS_MOST  1000000000000u

typedef struct rules {
  fzr_peer_rule list[RULES_MAX];
  size_t count;
} rules;

/* ---- peers ---- */

/* Whether |rule| is within one of the |allow|ed, or denied, ones. */
static bool is_covered(const rules *all, const fzr_peer_rule *rule, bool allow)
{
  for (size_t i = 0; i < all->count; i++)
    if (all->list[i].allow == allow && range_contains(&all->list[i], rule))
      return true;
  return false;
}

/* Adds the networks of |e|'s range to |all|, but for those that are there. What coturn allows it allows whatever it denies, which here the
 * longer of two prefixes decides: so what is denied within what is allowed is left out. |all| has what is allowed first. */
static void put_range(translation *t, entry *e, rules *all, bool allow)
{
  fzr_peer_rule nets[RANGE_NETS_MAX];
  const char *name = allow ? "allow-peer" : "deny-peer";
  char text[FZR_PEER_RULE_TEXT_MAX];
  bool is_net;
  size_t written = 0;
  const size_t n = range_nets(e->line.value, allow, nets, &is_net);
  if (!n) {
    entry_say(t, e, ENTRY_LOOK,
              "it is neither an address, nor a range such as 10.0.0.0-10.255.255.255: set %s", name);
    return;
  }
  if (all->count + n > RULES_MAX - 2) { /* and two of loopback */
    entry_say(t, e, ENTRY_LOOK, "there are too many networks: %u rules at the most", RULES_MAX);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    if (is_covered(all, &nets[i], true) || is_covered(all, &nets[i], allow))
      continue;
    all->list[all->count++] = nets[i];
    if (fzr_peer_rule_format(&nets[i], text, sizeof text) > 0)
      written += put_option(t, e, name, text);
  }
  if (!written)
    entry_say(t, e, ENTRY_ALIKE, "other lines have all of it");
  else if (is_net)
    fprintf(t->notes,
            "# Line %u, %s: coturn 4.6 knows no networks with a slash, and passes the line over with an "
            "error in its log; here it counts.\n",
            e->line.number, e->key->name);
}

/* Whether coturn denies loopback by a range, which it does even where loopback is allowed. */
static bool is_denied(const translation *t, const char *net)
{
  fzr_peer_rule wanted, nets[RANGE_NETS_MAX];
  bool is_net;
  if (fzr_peer_rule_parse(net, true, &wanted))
    return true;
  for (entry *e = NULL; (e = entry_next(t, "denied-peer-ip", e));)
    for (size_t i = 0, n = range_nets(e->line.value, false, nets, &is_net); i < n; i++)
      if (range_contains(&nets[i], &wanted))
        return true;
  return false;
}

static void put_peers(translation *t)
{
  static const char *const loopback[] = {"127.0.0.0/8", "::1"};
  entry *allowed = entry_of(t, "allow-loopback-peers");
  rules *all = calloc(1, sizeof *all);
  if (!all) {
    t->out_of_memory = true;
    return;
  }
  for (entry *e = NULL; (e = entry_next(t, "allowed-peer-ip", e));)
    if (e->state == ENTRY_OPEN)
      put_range(t, e, all, true);
  for (unsigned i = 0; allowed && i < 2; i++)
    if (!is_denied(t, loopback[i])) /* what is denied of it has longer prefixes */
      put_option(t, NULL, "allow-peer", loopback[i]);
  entry_say(t, allowed, is_denied(t, loopback[0]) && is_denied(t, loopback[1]) ? ENTRY_ALIKE : ENTRY_LOOK,
            "users reach what listens on the host for itself alone: leave the rules with 127.0.0.0/8 and ::1 "
            "out, unless that is what it is for");
  for (entry *e = NULL; (e = entry_next(t, "denied-peer-ip", e));)
    if (e->state == ENTRY_OPEN)
      put_range(t, e, all, false);
  fputs("# Peers in private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7 and others), which "
        "coturn reaches if no line denies them, are\n"
        "# out of reach of a relay with a public address. If a media server is there, have its address in an "
        "allow-peer.\n",
        t->notes);
  free(all);
}

/* ---- the rest ---- */

/* A server to which clients are sent. */
static void put_alternates(translation *t)
{
  bool has[2] = {false, false};
  for (entry *e = NULL; (e = entry_next(t, "alternate-server", e));) {
    fzr_addr a;
    char text[FZR_ADDR_TEXT_MAX + 8];
    if (e->state != ENTRY_OPEN)
      continue;
    if (fzr_addr_parse(e->line.value, &a)) {
      entry_say(t, e, ENTRY_LOOK, "it is no address and port: alternate-server takes these");
      continue;
    }
    a.port = a.port ? a.port : 3478;
    fzr_addr_format(&a, true, text, sizeof text);
    bool *taken = &has[a.family == FZR_FAMILY_IPV6];
    if (*taken)
      entry_say(t, e, ENTRY_LOOK, "there is one alternate-server of each family, that of the first line");
    else if (t->o->expected("alternate-server", text))
      put_option(t, e, "alternate-server", text);
    else {
      *taken = true;
      put_option(t, NULL, "alternate-server", text);
      entry_say(t, e, ENTRY_LOOK,
                "alternate-server: clients are sent there while this relay shuts down or has no room, not "
                "all of them always; "
                "alternate-over = N sends them from N allocations on");
    }
  }
}

static void put_limits(translation *t)
{
  entry *bps = entry_of(t, "max-bps"), *total = entry_of(t, "total-quota"),
        *mobility = entry_of(t, "mobility");
  uint64_t rate = 0, most = 0;
  if (entry_number(t, bps, 0, BPS_MOST,
                   "there is no max-bandwidth-per-allocation, a number of bytes a second", &rate) &&
      rate) {
    put_comment(t, "Both directions together, of which coturn counts each by itself.");
    put_number(t, bps, "max-bandwidth-per-allocation", 2 * rate);
  }
  entry_say(t, bps, ENTRY_ALIKE, "there is no limit without max-bandwidth-per-allocation");
  entry_number(t, total, 0, UINT32_MAX, "there is no limit for all together anyway", &most);
  entry_say(t, total, most ? ENTRY_LOOK : ENTRY_ALIKE,
            "there is no limit for all together but the number of ports from lowest-port to highest-port; "
            "beyond it clients get 508");
  if (mobility)
    put_option(t, mobility, "mobility", "yes");
}

void translate_policy(translation *t)
{
  put_peers(t);
  put_limits(t);
  put_alternates(t);
}
