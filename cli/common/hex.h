/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMON_HEX_H
#define COMMON_HEX_H

#include <stddef.h>

/* Returns what the hexadecimal digit |c| stands for, or -1. */
static inline int hex_digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* The byte that the escape stands for with which the |len| bytes at |text| begin, '%' and two digits, or -1 if they begin with none. */
static inline int percent_byte(const char *text, size_t len)
{
  const int high = len >= 3 && text[0] == '%' ? hex_digit(text[1]) : -1;
  const int low = high >= 0 ? hex_digit(text[2]) : -1;
  return low >= 0 ? high << 4 | low : -1;
}

#endif
