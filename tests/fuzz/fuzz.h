/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share. Each defines LLVMFuzzerTestOneInput; replay_main.c runs it over files without libFuzzer. */
#ifndef FZT_FUZZ_H
#define FZT_FUZZ_H

#include "firezone_relay/firezone_relay.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_CHECK(condition)                                                                                \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                         \
      abort();                                                                                               \
    }                                                                                                        \
  } while (0)

/* Where results go that must not be optimised away. */
extern volatile uint32_t fuzz_sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly |size| bytes, so that a read past the end is seen. */
static inline uint8_t *fuzz_exact(const uint8_t *data, size_t size)
{
  uint8_t *copy = malloc(size ? size : 1);
  FUZZ_CHECK(copy);
  if (size)
    memcpy(copy, data, size);
  return copy;
}

/* Takes bytes from the input, zeros when it is at its end. */
typedef struct fuzz_input {
  const uint8_t *data;
  size_t size;
} fuzz_input;

static inline uint8_t fuzz_byte(fuzz_input *in)
{
  if (!in->size)
    return 0;
  in->size--;
  return *in->data++;
}

static inline uint16_t fuzz_u16(fuzz_input *in)
{
  const unsigned high = fuzz_byte(in);
  return (uint16_t)(high << 8 | fuzz_byte(in));
}

/* Up to |max| bytes into |out|; returns how many. */
static inline size_t fuzz_bytes(fuzz_input *in, uint8_t *out, size_t max)
{
  const size_t n = in->size < max ? in->size : max;
  if (n)
    memcpy(out, in->data, n);
  in->data += n;
  in->size -= n;
  return n;
}

#endif
