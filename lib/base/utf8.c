/* SPDX-License-Identifier: Apache-2.0 */
#include "utf8.h"

#include <string.h>

/* How many bytes a character has that begins with |first|, and the bounds of its second byte, which keep out overlong forms,
 * surrogates and what is above U+10FFFF. 0: no character begins so. */
static size_t character(uint8_t first, uint8_t *low, uint8_t *high)
{
  *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (first < 0x80)
    return 1;
  if (first < 0xc2 || first > 0xf4)
    return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Of eight bytes at once, for names are ASCII as a rule. */
static bool are_ascii(const uint8_t text[8])
{
  uint64_t word;
  memcpy(&word, text, sizeof word);
  return !(word & 0x8080808080808080u);
}

bool fzri_utf8_valid(const uint8_t *text, size_t len)
{
  for (size_t i = 0; i < len;) {
    uint8_t low, high;
    if (len - i >= 8 && are_ascii(text + i)) {
      i += 8;
      continue;
    }
    const size_t n = character(text[i], &low, &high);
    if (n == 0 || n > len - i)
      return false;
    if (n > 1 && (text[i + 1] < low || text[i + 1] > high))
      return false;
    for (size_t k = 2; k < n; k++)
      if ((text[i + k] & 0xc0) != 0x80)
        return false;
    i += n;
  }
  return true;
}
