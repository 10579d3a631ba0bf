/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FZRI_DECIMAL_H
#define FZRI_DECIMAL_H

#include <stdint.h>

/* Digits of the largest number. */
#define FZRI_DECIMAL_MAX 20

/* Writes |value| to |p| without a zero byte behind it. Returns the end. */
static inline char *fzri_put_decimal(char *p, uint64_t value)
{
  char digits[FZRI_DECIMAL_MAX];
  unsigned n = 0;
  do {
    digits[n++] = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  while (n)
    *p++ = digits[--n];
  return p;
}

#endif
