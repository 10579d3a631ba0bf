/* SPDX-License-Identifier: Apache-2.0 */
#include "options_internal.h"

#include "common/decimal.h"

#include <string.h>

bool value_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
  uint64_t value;
  if (!decimal_read(text, strlen(text), most, &value) || value < least)
    return false;
  *out = value;
  return true;
}

bool parse_duration(const char *text, uint64_t *seconds)
{
  const size_t digits = decimal_digits(text, strlen(text));
  const char *end = text + digits;
  uint64_t unit = 1, value;
  if (*end == 'm')
    unit = 60;
  else if (*end == 'h')
    unit = 3600;
  else if (*end == 'd')
    unit = 86400;
  else if (*end && *end != 's')
    return false;
  /* More than a century is a mistake, and would overflow nanoseconds. */
  if ((*end && end[1]) || !decimal_read(text, digits, UINT32_MAX / unit, &value))
    return false;
  *seconds = value * unit;
  return true;
}

const char *value_duration(uint64_t *out, const char *text, uint64_t least)
{
  _Static_assert(UINT32_MAX / 86400 == 49710, "what parse_duration takes at most");
  if (!parse_duration(text, out) || *out < least)
    return least ? "a duration from 1s to 49710d, such as 30s, 15m or 24h"
                 : "a duration from 0 to 49710d, such as 30s, 15m or 24h";
  return NULL;
}

const char *value_ip(fzr_addr *out, const char *text, uint8_t family)
{
  fzr_addr addr;
  const char *expected = family == FZR_FAMILY_IPV4 ? "an IPv4 address such as 203.0.113.7"
                                                   : "an IPv6 address such as 2001:db8::7";
  const bool bracketed = strchr(text, '[') != NULL;
  if (fzr_addr_parse(text, &addr) || addr.family != family || addr.port || bracketed ||
      (family == FZR_FAMILY_IPV4 && strchr(text, ':')))
    return expected;
  *out = addr;
  return NULL;
}

const char *value_endpoint(fzr_addr *out, const char *text)
{
  fzr_addr addr;
  const char *port = *text == '[' ? strstr(text, "]:") : strchr(text, ':');
  if (fzr_addr_parse(text, &addr) || !port || (addr.family == FZR_FAMILY_IPV6 && *text != '['))
    return "an address and port such as 127.0.0.1:8080 or [::1]:8080";
  *out = addr;
  return NULL;
}

const char *value_port(uint16_t *out, const char *text, uint64_t least)
{
  uint64_t value;
  if (!value_number(text, least, UINT16_MAX, &value))
    return least ? "a port from 1 to 65535" : "a port from 0 to 65535";
  *out = (uint16_t)value;
  return NULL;
}

const char *value_u32(uint32_t *out, const char *text, uint32_t least, uint32_t most, const char *expected)
{
  uint64_t value;
  if (!value_number(text, least, most, &value))
    return expected;
  *out = (uint32_t)value;
  return NULL;
}

const char *value_text(const char **out, const char *text)
{
  *out = text;
  return NULL;
}

const char *value_flag(bool *flag, const char *text)
{
  if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
    *flag = true;
  else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
    *flag = false;
  else
    return "true or false";
  return NULL;
}

void make_one_line(char *text)
{
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      *text = '?';
}

bool is_wildcard(const fzr_addr *addr)
{
  static const uint8_t any[16];
  return memcmp(addr->ip, any, sizeof any) == 0;
}
