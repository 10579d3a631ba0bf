/* SPDX-License-Identifier: Apache-2.0 */
#include "common/utf8.h"

#include <string.h>

size_t utf8_read(const uint8_t *p, size_t len, uint32_t *code)
{
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t first = p[0];
  size_t n;
  uint32_t c;
  if (first < 0x80) {
    *code = first;
    return 1;
  }
  if (first >= 0xc2 && first < 0xe0) {
    n = 2;
    c = first & 0x1fu;
  } else if (first >= 0xe0 && first < 0xf0) {
    n = 3;
    c = first & 0x0fu;
  } else if (first >= 0xf0 && first < 0xf5) {
    n = 4;
    c = first & 0x07u;
  } else {
    return 0;
  }
  if (len < n)
    return 0;
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80)
      return 0;
    c = c << 6 | (p[i] & 0x3fu);
  }
  if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
    return 0;
  *code = c;
  return n;
}

bool utf8_is_valid(const void *p, size_t len)
{
  const uint8_t *at = p;
  for (size_t n; len && (n = utf8_length(at, len)) > 0; len -= n)
    at += n;
  return !len;
}

bool utf8_is_unsafe(uint32_t code)
{
  static const struct {
    uint32_t first, last;
  } ranges[] = {
      {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},     {0x180e, 0x180e},
      {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff},   {0xfff0, 0xfffb},
      {0xfffe, 0xffff}, {0xe000, 0xf8ff}, {0xfdd0, 0xfdef}, {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    if (code >= ranges[i].first && code <= ranges[i].last)
      return true;
  return false;
}

size_t utf8_copy(const uint8_t *p, size_t len, char *out, size_t cap)
{
  static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};
  size_t used = 0;
  for (size_t i = 0; i < len;) {
    uint32_t code = 0;
    const size_t n = utf8_read(p + i, len - i, &code);
    const bool good = n > 0 && code != 0;
    const uint8_t *from = good ? p + i : replacement;
    const size_t size = good ? n : sizeof replacement;
    if (used + size + 1 > cap)
      break;
    memcpy(out + used, from, size);
    used += size;
    i += n > 0 ? n : 1;
  }
  out[used] = 0;
  return used;
}
