/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in network order, and little-endian ones, at any alignment. */
#ifndef FZRI_BYTES_H
#define FZRI_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint16_t fzri_get16(const uint8_t *p)
{
  return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t fzri_get32(const uint8_t *p)
{
  return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline uint64_t fzri_get64(const uint8_t *p)
{
  return ((uint64_t)fzri_get32(p) << 32) | fzri_get32(p + 4);
}

static inline void fzri_put16(uint8_t *p, uint16_t v)
{
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static inline void fzri_put32(uint8_t *p, uint32_t v)
{
  fzri_put16(p, (uint16_t)(v >> 16));
  fzri_put16(p + 2, (uint16_t)v);
}

static inline void fzri_put64(uint8_t *p, uint64_t v)
{
  fzri_put32(p, (uint32_t)(v >> 32));
  fzri_put32(p + 4, (uint32_t)v);
}

/* The little-endian ones are written out: compilers make one load or store of them. */
static inline uint32_t fzri_get_le32(const uint8_t *p)
{
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t fzri_get_le64(const uint8_t *p)
{
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
         (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline void fzri_put_le64(uint8_t *p, uint64_t v)
{
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
  p[2] = (uint8_t)(v >> 16);
  p[3] = (uint8_t)(v >> 24);
  p[4] = (uint8_t)(v >> 32);
  p[5] = (uint8_t)(v >> 40);
  p[6] = (uint8_t)(v >> 48);
  p[7] = (uint8_t)(v >> 56);
}

/* One of |len| bytes, at most 8. */
static inline uint64_t fzri_get_le(const uint8_t *p, size_t len)
{
  uint64_t value = 0;
  for (size_t i = 0; i < len; i++)
    value |= (uint64_t)p[i] << 8 * i;
  return value;
}

static inline void fzri_put_le(uint8_t *p, uint64_t value, size_t len)
{
  for (size_t i = 0; i < len; i++)
    p[i] = (uint8_t)(value >> 8 * i);
}

#endif
