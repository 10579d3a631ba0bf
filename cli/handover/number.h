/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as messages and files of a hand-over have them: little-endian, 1 to 8 bytes. */
#ifndef HANDOVER_NUMBER_H
#define HANDOVER_NUMBER_H

#include <stdint.h>

static inline void handover_put_number(uint8_t *out, uint64_t value, unsigned bytes)
{
  for (unsigned i = 0; i < bytes; i++)
    out[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t handover_get_number(const uint8_t *in, unsigned bytes)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < bytes; i++)
    value |= (uint64_t)in[i] << (8 * i);
  return value;
}

#endif
