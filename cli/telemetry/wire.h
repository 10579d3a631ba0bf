/* SPDX-License-Identifier: Apache-2.0 */
/* Writes protobuf's wire format into memory of a given size (protobuf.dev, "Encoding"). For what protobuf-c is too slow for: see
 * otlp_traces.c. Fields have numbers below 16, so that a tag is one byte. */
#ifndef TELEMETRY_WIRE_H
#define TELEMETRY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct wire {
  uint8_t *p;         /* where the next byte goes */
  const uint8_t *end; /* of the memory */
  bool full;          /* something did not fit and was left out */
} wire;

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2 };

static inline bool wire_fits(wire *w, size_t n)
{
  w->full |= (size_t)(w->end - w->p) < n;
  return !w->full;
}

static inline size_t wire_varint_size(uint64_t value)
{
  size_t n = 1;
  for (; value >= 0x80; value >>= 7)
    n++;
  return n;
}

/* Bytes of a field that holds |len| bytes: tag, length, content. */
static inline size_t wire_len_size(size_t len)
{
  return 1 + wire_varint_size(len) + len;
}

static inline void wire_raw(wire *w, const void *bytes, size_t len)
{
  if (!wire_fits(w, len))
    return;
  memcpy(w->p, bytes, len);
  w->p += len;
}

static inline void wire_byte(wire *w, uint8_t byte)
{
  if (wire_fits(w, 1))
    *w->p++ = byte;
}

static inline void wire_varint(wire *w, uint64_t value)
{
  for (; value >= 0x80; value >>= 7)
    wire_byte(w, (uint8_t)(value | 0x80));
  wire_byte(w, (uint8_t)value);
}

static inline void wire_tag(wire *w, unsigned field, enum wire_type type)
{
  wire_byte(w, (uint8_t)(field << 3 | (unsigned)type));
}

static inline void wire_uint(wire *w, unsigned field, uint64_t value)
{
  wire_tag(w, field, WIRE_VARINT);
  wire_varint(w, value);
}

static inline void wire_fixed64(wire *w, unsigned field, uint64_t value)
{
  uint8_t bytes[8];
  for (unsigned i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(value >> 8 * i);
  wire_tag(w, field, WIRE_FIXED64);
  wire_raw(w, bytes, sizeof bytes);
}

/* What comes next is a message of |len| bytes in |field|. */
static inline void wire_open(wire *w, unsigned field, size_t len)
{
  wire_tag(w, field, WIRE_LEN);
  wire_varint(w, len);
}

static inline void wire_bytes(wire *w, unsigned field, const void *bytes, size_t len)
{
  wire_open(w, field, len);
  wire_raw(w, bytes, len);
}

#endif
