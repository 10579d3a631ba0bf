/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the peer policy as text: a network, and a port where only that one is meant. */
#include "../base/decimal.h"
#include "firezone_relay/engine.h"
#include "peer_policy.h"

#include <string.h>

static unsigned family_bits(uint8_t family)
{
  return family == FZR_FAMILY_IPV4 ? 32 : family == FZR_FAMILY_IPV6 ? 128 : 0;
}

bool fzri_peer_rule_is_sound(const fzr_peer_rule *rule)
{
  const unsigned bits = family_bits(rule->net.family);
  if (!bits || rule->prefix > bits || rule->net.transport)
    return false;
  for (unsigned i = rule->prefix; i < bits; i++)
    if (rule->net.ip[i / 8] >> (7 - i % 8) & 1)
      return false;
  return true;
}

/* A decimal number from |least| to |most|, without leading zeros, that ends at |end|. */
static bool read_number(const char *p, const char *end, unsigned least, unsigned most, unsigned *out)
{
  unsigned value = 0;
  if (p == end || (*p == '0' && p + 1 != end))
    return false;
  for (; p < end && *p >= '0' && *p <= '9' && value <= most; p++)
    value = value * 10 + (unsigned)(*p - '0');
  *out = value;
  return p == end && value >= least && value <= most;
}

/* Where the network in |text| begins and ends, and where the port begins, NULL for none. "[net]:port"; "net/prefix:port"; "net:port",
 * if that is the only colon. */
static bool split(const char *text, const char **net, const char **net_end, const char **port)
{
  const char *slash = strchr(text, '/'), *colon = strchr(slash ? slash : text, ':');
  *net = text;
  *port = NULL;
  if (*text == '[') {
    *net = text + 1;
    *net_end = strchr(text, ']');
    if (!*net_end || (*net_end)[1] != ':')
      return false;
    *port = *net_end + 2;
    return true;
  }
  *net_end = text + strlen(text);
  if (colon && (slash || !strchr(colon + 1, ':'))) {
    *net_end = colon;
    *port = colon + 1;
  }
  return true;
}

/* "192.0.2.0/24" or "2001:db8::1", without a port. */
static bool read_net(const char *text, const char *end, fzr_peer_rule *rule)
{
  char host[FZR_ADDR_TEXT_MAX];
  const char *slash = memchr(text, '/', (size_t)(end - text));
  const size_t len = (size_t)((slash ? slash : end) - text);
  if (len >= sizeof host)
    return false;
  memcpy(host, text, len);
  host[len] = 0;
  if (strchr(host, '[') || fzr_addr_parse(host, &rule->net) || rule->net.port || rule->net.scope_id)
    return false;
  if (rule->net.family == FZR_FAMILY_IPV4 && strchr(host, ':'))
    return false;
  unsigned prefix = family_bits(rule->net.family);
  if (slash && !read_number(slash + 1, end, 0, prefix, &prefix))
    return false;
  rule->prefix = (uint8_t)prefix;
  return fzri_peer_rule_is_sound(rule);
}

int fzr_peer_rule_parse(const char *text, bool allow, fzr_peer_rule *out)
{
  fzr_peer_rule rule;
  const char *net, *net_end, *port;
  unsigned value = 0;
  if (!text || !out || !split(text, &net, &net_end, &port))
    return FZR_ERR_CONFIG_RULE;
  memset(&rule, 0, sizeof rule);
  if (!read_net(net, net_end, &rule) || (*text == '[' && rule.net.family != FZR_FAMILY_IPV6))
    return FZR_ERR_CONFIG_RULE;
  if (port && !read_number(port, port + strlen(port), 1, UINT16_MAX, &value))
    return FZR_ERR_CONFIG_RULE;
  rule.net.port = (uint16_t)value;
  rule.allow = allow;
  *out = rule;
  return 0;
}

int fzr_peer_rule_format(const fzr_peer_rule *rule, char *out, size_t cap)
{
  char text[FZR_PEER_RULE_TEXT_MAX];
  if (!rule || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  char *p = text;
  const bool brackets = rule->net.port && rule->net.family == FZR_FAMILY_IPV6;
  if (brackets)
    *p++ = '[';
  p += fzr_addr_format(&rule->net, false, p, FZR_ADDR_TEXT_MAX);
  if (rule->prefix != family_bits(rule->net.family)) {
    *p++ = '/';
    p = fzri_put_decimal(p, rule->prefix);
  }
  if (brackets)
    *p++ = ']';
  if (rule->net.port) {
    *p++ = ':';
    p = fzri_put_decimal(p, rule->net.port);
  }
  const size_t len = (size_t)(p - text);
  if (len + 1 > cap)
    return FZR_ERR_BUFFER_TOO_SMALL;
  memcpy(out, text, len);
  out[len] = 0;
  return (int)len;
}
