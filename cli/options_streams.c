/* SPDX-License-Identifier: Apache-2.0 */
#include "options_internal.h"

#include <string.h>

#define NAME_LEN_MAX 253 /* of a host (RFC 1035 section 2.3.4, as text) */

/* One network, the |len| bytes at |text|, more. */
static const char *add_proxy(options *o, const char *text, size_t len)
{
  char one[FZR_PEER_RULE_TEXT_MAX];
  fzr_peer_rule rule = {0};
  if (len < sizeof one)
    memcpy(one, text, len);
  one[len < sizeof one ? len : 0] = 0;
  if (fzr_peer_rule_parse(one, true, &rule) || rule.net.port)
    return "networks such as 10.0.0.0/8 or 2001:db8::/32, with no bits set behind the prefix, separated by "
           "commas";
  if (o->proxy_count == MAX_PROXIES)
    return "at most 64 networks";
  o->proxies[o->proxy_count++] = rule;
  return NULL;
}

bool options_has_streams(const options *o)
{
  return o->tcp_listen_port || o->tls_listen_port;
}

/* All of 10.0.0.0/8 or fc00::/7 may be an operator's own (RFC 1918, RFC 4193). */
bool options_proxy_is_wide(const fzr_peer_rule *rule)
{
  if (rule->net.family == FZR_FAMILY_IPV4)
    return rule->prefix < 8;
  return rule->prefix < 16 && !(rule->prefix >= 7 && (rule->net.ip[0] & 0xfe) == 0xfc);
}

/* It goes into a URL as it is. */
const char *option_set_tls_name(options *o, const char *t)
{
  static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  const size_t len = strlen(t);
  if (!len || len > NAME_LEN_MAX || strspn(t, fit) != len)
    return "a name that the relay's certificate has, such as relay.example";
  o->tls_name = t;
  return NULL;
}

const char *option_set_proxies(options *o, const char *t)
{
  const char *expected;
  for (;;) {
    const size_t len = strcspn(t, ",");
    expected = add_proxy(o, t, len);
    if (expected || !t[len])
      return expected;
    t += len + 1;
  }
}
