/* SPDX-License-Identifier: Apache-2.0 */
#include "ranges.h"

#include <string.h>

static unsigned bits_of(const fzr_addr *a)
{
  return a->family == FZR_FAMILY_IPV4 ? 32 : 128;
}

static bool bit(const uint8_t *ip, unsigned i)
{
  return ip[i / 8] >> (7 - i % 8) & 1;
}

static void set_bit(uint8_t *ip, unsigned i, bool on)
{
  const uint8_t mask = (uint8_t)(1u << (7 - i % 8));
  ip[i / 8] = (uint8_t)(on ? ip[i / 8] | mask : ip[i / 8] & ~mask);
}

/* Sets all bits from |from| on. */
static void fill(uint8_t *ip, unsigned from, unsigned bits, bool on)
{
  for (unsigned i = from; i < bits; i++)
    set_bit(ip, i, on);
}

/* One more than |ip|. Returns whether there is one. */
static bool increment(uint8_t *ip, unsigned bits)
{
  for (unsigned i = bits / 8; i-- > 0;)
    if (++ip[i])
      return true;
  return false;
}

static int compare(const fzr_addr *a, const fzr_addr *b)
{
  return memcmp(a->ip, b->ip, bits_of(a) / 8);
}

/* The largest network that begins at |from| and does not go beyond |to|. */
static unsigned widest(const fzr_addr *from, const fzr_addr *to)
{
  const unsigned bits = bits_of(from);
  unsigned prefix = bits;
  for (; prefix > 0 && !bit(from->ip, prefix - 1); prefix--) {
    fzr_addr last = *from;
    fill(last.ip, prefix - 1, bits, true);
    if (compare(&last, to) > 0)
      break;
  }
  return prefix;
}

static size_t split(fzr_addr from, const fzr_addr *to, bool allow, fzr_peer_rule *out)
{
  const unsigned bits = bits_of(&from);
  size_t n = 0;
  while (n < RANGE_NETS_MAX && compare(&from, to) <= 0) {
    const unsigned prefix = widest(&from, to);
    out[n] = (fzr_peer_rule){.net = from, .prefix = (uint8_t)prefix, .allow = allow};
    n++;
    fill(from.ip, prefix, bits, true);
    if (!increment(from.ip, bits))
      break;
  }
  return n;
}

/* An address alone, of the |len| bytes at |text|. */
static bool read_addr(const char *text, size_t len, fzr_addr *out)
{
  char one[FZR_ADDR_TEXT_MAX];
  if (len >= sizeof one || memchr(text, '[', len))
    return false;
  memcpy(one, text, len);
  one[len] = '\0';
  return fzr_addr_parse(one, out) == 0 && !out->port && !(out->family == FZR_FAMILY_IPV4 && strchr(one, ':'));
}

size_t range_nets(const char *text, bool allow, fzr_peer_rule out[RANGE_NETS_MAX], bool *is_net)
{
  const char *dash = strchr(text, '-');
  fzr_addr from, to;
  *is_net = strchr(text, '/') != NULL;
  if (*is_net)
    return fzr_peer_rule_parse(text, allow, out) == 0 && !out->net.port ? 1 : 0;
  if (!read_addr(text, dash ? (size_t)(dash - text) : strlen(text), &from))
    return 0;
  to = from;
  if (dash &&
      (!read_addr(dash + 1, strlen(dash + 1), &to) || to.family != from.family || compare(&from, &to) > 0))
    return 0;
  return split(from, &to, allow, out);
}

bool range_contains(const fzr_peer_rule *outer, const fzr_peer_rule *inner)
{
  if (outer->net.family != inner->net.family || outer->prefix > inner->prefix)
    return false;
  for (unsigned i = 0; i < outer->prefix; i++)
    if (bit(outer->net.ip, i) != bit(inner->net.ip, i))
      return false;
  return true;
}
