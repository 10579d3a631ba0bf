/* SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include <string.h>

bool probe_addr_same_ip(const fzr_addr *a, const fzr_addr *b)
{
  return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool is_public_ip4(const uint8_t *ip)
{
  return !(ip[0] == 0 || ip[0] == 10 || ip[0] == 127 || ip[0] >= 224 || (ip[0] == 172 && ip[1] >> 4 == 1) ||
           (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254) ||
           (ip[0] == 100 && ip[1] >> 6 == 1));
}

bool probe_addr_is_public(const fzr_addr *addr)
{
  if (addr->family == FZR_FAMILY_IPV4)
    return is_public_ip4(addr->ip);
  return addr->family == FZR_FAMILY_IPV6 && addr->ip[0] >> 5 == 1; /* 2000::/3 */
}

bool probe_addr_is_loopback(const fzr_addr *addr)
{
  static const uint8_t six[16] = {[15] = 1};
  return addr->family == FZR_FAMILY_IPV4
             ? addr->ip[0] == 127
             : addr->family == FZR_FAMILY_IPV6 && !memcmp(addr->ip, six, sizeof six);
}

enum probe_fault probe_judge_address(const probe_facts *f)
{
  return probe_addr_is_public(&f->server) && !probe_addr_is_public(&f->relayed) ? PROBE_ADDRESS : PROBE_WORKS;
}

/* Whether the relayed address is one at which the relay answers. The other family of a relay may be any address. */
static bool is_elsewhere(const probe_facts *f)
{
  return f->relayed.family == f->server.family && !probe_addr_same_ip(&f->relayed, &f->server);
}

enum probe_fault probe_judge_direct(const probe_facts *f)
{
  const bool out = f->seen[PROBE_OUT] & PROBE_SMALL, in = f->seen[PROBE_IN] & PROBE_SMALL;
  const bool moved = f->from.family && !probe_addr_same_ip(&f->from, &f->relayed);
  if (!out && !in)
    return f->unreachable || is_elsewhere(f) ? PROBE_ADDRESS : PROBE_RANGE;
  if (!in)
    return moved || f->unreachable ? PROBE_ADDRESS : PROBE_RANGE;
  if (!out)
    return PROBE_RANGE_OUT;
  if (!(f->seen[PROBE_OUT] & f->seen[PROBE_IN] & PROBE_LARGE))
    return PROBE_MTU;
  return f->from.family && !fzr_addr_equal(&f->from, &f->relayed) ? PROBE_SOURCE : PROBE_WORKS;
}

enum probe_fault probe_judge_second(const probe_facts *f)
{
  const unsigned both = f->seen[PROBE_THERE] & f->seen[PROBE_BACK];
  if (!(both & PROBE_SMALL))
    return PROBE_HAIRPIN;
  return both & PROBE_LARGE ? PROBE_WORKS : PROBE_MTU;
}

static const struct {
  const char *word;
  int status;
} faults[PROBE_FAULTS] = {
    [PROBE_WORKS] = {"works", 0},
    [PROBE_NO_NAME] = {"no-address", PROBE_EXIT_REACH},
    [PROBE_NO_ROUTE] = {"no-route", PROBE_EXIT_REACH},
    [PROBE_NOTHING_LISTENS] = {"nothing-listens", PROBE_EXIT_REACH},
    [PROBE_NO_ANSWER] = {"no-answer", PROBE_EXIT_REACH},
    [PROBE_ANSWERS_STOP] = {"answers-stop", PROBE_EXIT_REACH},
    [PROBE_ELSEWHERE] = {"answer-from-elsewhere", PROBE_EXIT_REACH},
    [PROBE_NOT_STUN] = {"not-stun", PROBE_EXIT_REACH},
    [PROBE_NO_TLS] = {"tls", PROBE_EXIT_REACH},
    [PROBE_NO_TURN] = {"no-turn", PROBE_EXIT_REACH},
    [PROBE_LOGIN] = {"login", PROBE_EXIT_LOGIN},
    [PROBE_EXPIRED] = {"expired", PROBE_EXIT_LOGIN},
    [PROBE_CLOCK] = {"clock", PROBE_EXIT_LOGIN},
    [PROBE_SCHEME] = {"scheme", PROBE_EXIT_LOGIN},
    [PROBE_REALM] = {"realm", PROBE_EXIT_LOGIN},
    [PROBE_STALE] = {"stale-nonce", PROBE_EXIT_LOGIN},
    [PROBE_UNSIGNED] = {"unsigned", PROBE_EXIT_LOGIN},
    [PROBE_FULL] = {"no-room", PROBE_EXIT_REFUSED},
    [PROBE_PEERS] = {"peers-refused", PROBE_EXIT_REFUSED},
    [PROBE_SENT_ON] = {"sent-on", PROBE_EXIT_REFUSED},
    [PROBE_REFUSES] = {"refused", PROBE_EXIT_REFUSED},
    [PROBE_ADDRESS] = {"wrong-address", PROBE_EXIT_DATA},
    [PROBE_SOURCE] = {"wrong-source", PROBE_EXIT_DATA},
    [PROBE_RANGE] = {"range-closed", PROBE_EXIT_DATA},
    [PROBE_RANGE_OUT] = {"range-closed-outwards", PROBE_EXIT_DATA},
    [PROBE_HAIRPIN] = {"no-hairpin", PROBE_EXIT_DATA},
    [PROBE_MTU] = {"mtu", PROBE_EXIT_DATA},
    [PROBE_NAT] = {"nat-changes", PROBE_EXIT_DATA},
    [PROBE_OWN] = {"probe", 1},
};

const char *probe_fault_word(enum probe_fault fault)
{
  return faults[fault].word;
}

int probe_fault_status(enum probe_fault fault)
{
  return faults[fault].status;
}
