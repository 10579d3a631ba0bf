/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/error.h"
#include "firezone_relay/types.h"

#include "decimal.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(fzr_addr) == 24, "frozen");

bool fzr_addr_equal(const fzr_addr *a, const fzr_addr *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

/* ---- reading ---- */

/* Reads a decimal number of at most |max|, without leading zeros, and moves |text| past it. */
static bool read_decimal(const char **text, uint32_t max, uint32_t *value)
{
  const char *p = *text;
  uint64_t n = 0;
  if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
    return false;
  for (; *p >= '0' && *p <= '9'; p++) {
    n = n * 10 + (uint64_t)(*p - '0');
    if (n > max)
      return false;
  }
  *value = (uint32_t)n;
  *text = p;
  return true;
}

static bool read_ipv4(const char **text, uint8_t ip[4])
{
  const char *p = *text;
  for (unsigned i = 0; i < 4; i++) {
    uint32_t byte;
    if (i && *p++ != '.')
      return false;
    if (!read_decimal(&p, 255, &byte))
      return false;
    ip[i] = (uint8_t)byte;
  }
  *text = p;
  return true;
}

static int hex_value(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* Reads one group of one to four hexadecimal digits. */
static bool read_group(const char **text, uint8_t out[2])
{
  const char *p = *text;
  unsigned value = 0, digits = 0;
  for (; digits < 5 && hex_value(*p) >= 0; p++, digits++)
    value = value << 4 | (unsigned)hex_value(*p);
  if (digits < 1 || digits > 4)
    return false;
  out[0] = (uint8_t)(value >> 8);
  out[1] = (uint8_t)value;
  *text = p;
  return true;
}

/* Reads groups up to something that is none; *|n| bytes so far, *|gap| where "::" stood, or -1. */
static bool read_groups(const char **text, uint8_t bytes[16], unsigned *n, int *gap)
{
  const char *p = *text;
  *n = 0;
  *gap = -1;
  if (p[0] == ':' && p[1] == ':') {
    *gap = 0;
    p += 2;
  }
  while (*n < 16 && hex_value(*p) >= 0) {
    const char *group = p;
    if (!read_group(&p, bytes + *n))
      return false;
    if (*p == '.' && *n <= 12) {
      p = group;
      if (!read_ipv4(&p, bytes + *n))
        return false;
      *n += 4;
      break;
    }
    *n += 2;
    if (p[0] == ':' && p[1] == ':') {
      if (*gap >= 0)
        return false;
      *gap = (int)*n;
      p += 2;
    } else if (p[0] == ':' && hex_value(p[1]) >= 0) {
      p++;
    } else {
      break;
    }
  }
  *text = p;
  return true;
}

static bool read_ipv6(const char **text, uint8_t ip[16])
{
  uint8_t bytes[18] = {0};
  unsigned n;
  int gap;
  if (!read_groups(text, bytes, &n, &gap))
    return false;
  if (gap < 0 ? n != 16 : n > 14)
    return false;
  memset(ip, 0, 16);
  const unsigned head = gap < 0 ? n : (unsigned)gap;
  memcpy(ip, bytes, head);
  memcpy(ip + 16 - (n - head), bytes + head, n - head);
  return true;
}

static bool read_scope(const char **text, fzr_addr *addr)
{
  if (**text != '%')
    return true;
  ++*text;
  return read_decimal(text, UINT32_MAX, &addr->scope_id);
}

static bool read_port(const char **text, fzr_addr *addr)
{
  uint32_t port;
  if (**text != ':')
    return true;
  ++*text;
  if (!read_decimal(text, UINT16_MAX, &port))
    return false;
  addr->port = (uint16_t)port;
  return true;
}

static bool read_addr(const char *text, fzr_addr *addr)
{
  const char *p = text;
  if (read_ipv4(&p, addr->ip)) {
    addr->family = FZR_FAMILY_IPV4;
    return read_port(&p, addr) && *p == 0;
  }
  memset(addr->ip, 0, sizeof addr->ip);
  p = text;
  addr->family = FZR_FAMILY_IPV6;
  if (*p != '[')
    return read_ipv6(&p, addr->ip) && read_scope(&p, addr) && *p == 0;
  p++;
  return read_ipv6(&p, addr->ip) && read_scope(&p, addr) && *p++ == ']' && read_port(&p, addr) && *p == 0;
}

int fzr_addr_parse(const char *text, fzr_addr *out)
{
  fzr_addr addr;
  memset(&addr, 0, sizeof addr);
  if (!text || !out || !read_addr(text, &addr))
    return FZR_ERR_INVALID_ARGUMENT;
  *out = addr;
  return 0;
}

/* ---- writing ---- */

static char *put_octet(char *p, unsigned octet)
{
  if (octet >= 100)
    *p++ = (char)('0' + octet / 100);
  if (octet >= 10)
    *p++ = (char)('0' + octet / 10 % 10);
  *p++ = (char)('0' + octet % 10);
  return p;
}

static char *put_ipv4(char *p, const uint8_t ip[4])
{
  for (unsigned i = 0; i < 4; i++) {
    if (i)
      *p++ = '.';
    p = put_octet(p, ip[i]);
  }
  return p;
}

static unsigned group_of(const uint8_t ip[16], unsigned i)
{
  return (unsigned)ip[(size_t)2 * i] << 8 | ip[(size_t)2 * i + 1];
}

/* The longest run of two or more zero groups, the first of equals: RFC 5952 section 4.2. */
static void find_gap(const uint8_t ip[16], unsigned *at, unsigned *len)
{
  *at = *len = 0;
  for (unsigned i = 0; i < 8; i++) {
    unsigned n = 0;
    while (i + n < 8 && group_of(ip, i + n) == 0)
      n++;
    if (n > 1 && n > *len) {
      *at = i;
      *len = n;
    }
    i += n;
  }
}

static char *put_ipv6(char *p, const uint8_t ip[16])
{
  static const char digits[] = "0123456789abcdef";
  unsigned at, len;
  find_gap(ip, &at, &len);
  for (unsigned i = 0; i < 8; i++) {
    if (len && i == at) {
      *p++ = ':';
      *p++ = ':';
      i += len - 1;
      continue;
    }
    if (i && !(len && i == at + len))
      *p++ = ':';
    const unsigned group = group_of(ip, i);
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
      const unsigned value = group >> shift & 15;
      begun = begun || value || shift == 0;
      if (begun)
        *p++ = digits[value];
    }
  }
  return p;
}

int fzr_addr_format(const fzr_addr *addr, bool with_port, char *out, size_t cap)
{
  char text[FZR_ADDR_TEXT_MAX];
  char *p = text;
  if (!addr || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  if (addr->family == FZR_FAMILY_IPV4) {
    p = put_ipv4(p, addr->ip);
  } else if (addr->family == FZR_FAMILY_IPV6) {
    if (with_port)
      *p++ = '[';
    p = put_ipv6(p, addr->ip);
    if (addr->scope_id) {
      *p++ = '%';
      p = fzri_put_decimal(p, addr->scope_id);
    }
    if (with_port)
      *p++ = ']';
  } else {
    *p++ = '-';
    with_port = false;
  }
  if (with_port) {
    *p++ = ':';
    p = fzri_put_decimal(p, addr->port);
  }
  const size_t len = (size_t)(p - text);
  if (len + 1 > cap)
    return FZR_ERR_BUFFER_TOO_SMALL;
  memcpy(out, text, len);
  out[len] = 0;
  return (int)len;
}
