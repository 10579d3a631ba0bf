/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal numbers off the network and out of configurations: digits and nothing else. */
#ifndef COMMON_DECIMAL_H
#define COMMON_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many of the |len| bytes at |text| are digits, from the first on. */
static inline size_t decimal_digits(const char *text, size_t len)
{
  size_t n = 0;
  while (n < len && text[n] >= '0' && text[n] <= '9')
    n++;
  return n;
}

/* Reads the |len| bytes at |text|, all of which have to be digits, and one at the least. Returns whether they are a number of at most
 * |most|; |out| is set only then. */
static inline bool decimal_read(const char *text, size_t len, uint64_t most, uint64_t *out)
{
  uint64_t value = 0;
  if (len == 0 || decimal_digits(text, len) < len)
    return false;
  for (size_t i = 0; i < len; i++) {
    const unsigned digit = (unsigned)(text[i] - '0');
    if (digit > most || value > (most - digit) / 10)
      return false;
    value = value * 10 + digit;
  }
  *out = value;
  return true;
}

#endif
