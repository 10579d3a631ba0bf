/* SPDX-License-Identifier: Apache-2.0 */
/* The program as a later version could be: another number, states of a higher minor version, with records and bytes that this one does not know. Linked
 * with --wrap, so that all else is the same. */
#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/save.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 12u
#define HEAD   8u
#define TAIL   4u

#define ALLOCATION 2u
#define UNKNOWN    0x7f01u
#define END        0xffffu

int __real_fzr_engine_save(const fzr_engine *engine, fzr_save_fn write, void *ctx, fzr_time now);
int __wrap_fzr_engine_save(const fzr_engine *engine, fzr_save_fn write, void *ctx, fzr_time now);
const char *__wrap_fzr_version(void);

const char *__wrap_fzr_version(void)
{
  return "99.1.0";
}

typedef struct bytes {
  uint8_t *data;
  size_t len, room;
} bytes;

static int collect(void *ctx, const uint8_t *data, size_t len)
{
  bytes *b = ctx;
  if (len > b->room - b->len) {
    b->room = 2 * (b->len + len);
    b->data = realloc(b->data, b->room);
    if (!b->data)
      abort();
  }
  memcpy(b->data + b->len, data, len);
  b->len += len;
  return 0;
}

static uint32_t crc(const uint8_t *data, size_t len)
{
  uint32_t value = ~0u;
  while (len--) {
    value ^= *data++;
    for (unsigned i = 0; i < 8; i++)
      value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
  }
  return ~value;
}

static void put(uint8_t *at, uint32_t value, unsigned len)
{
  for (unsigned i = 0; i < len; i++)
    at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get(const uint8_t *at, unsigned len)
{
  uint32_t value = 0;
  for (unsigned i = 0; i < len; i++)
    value |= (uint32_t)at[i] << 8 * i;
  return value;
}

typedef struct writer {
  fzr_save_fn write;
  void *ctx;
  uint32_t records, chain;
  int failed;
} writer;

/* Writes a record of |len| bytes, with |more| of them behind what there is at |data|. */
static void put_record(writer *w, unsigned type, const uint8_t *data, uint32_t len, uint32_t more)
{
  uint8_t *record = calloc(1, HEAD + (size_t)len + more + TAIL), both[8];
  if (!record)
    abort();
  const size_t end = HEAD + (size_t)len + more;
  put(record, type, 2);
  put(record + 4, len + more, 4);
  if (len)
    memcpy(record + HEAD, data, len);
  memset(record + HEAD + len, 0x5a, more);
  if (type == END) {
    put(record + HEAD, w->records, 4);
    put(record + HEAD + 4, w->chain, 4);
  }
  const uint32_t checksum = crc(record, end);
  put(record + end, checksum, 4);
  put(both, w->chain, 4);
  put(both + 4, checksum, 4);
  w->chain = crc(both, sizeof both);
  w->records++;
  if (!w->failed)
    w->failed = w->write(w->ctx, record, end + TAIL);
  free(record);
}

int __wrap_fzr_engine_save(const fzr_engine *engine, fzr_save_fn write, void *ctx, fzr_time now)
{
  bytes b = {NULL, 0, 0};
  const int error = __real_fzr_engine_save(engine, collect, &b, now);
  if (error || b.len < HEADER) {
    free(b.data);
    return error;
  }
  put(b.data + 10, FZR_STATE_MINOR + 1, 2);
  writer w = {write, ctx, 0, crc(b.data, HEADER), write(ctx, b.data, HEADER)};
  for (size_t at = HEADER; at < b.len;) {
    const unsigned type = get(b.data + at, 2);
    const uint32_t len = get(b.data + at + 4, 4);
    if (type == END)
      put_record(&w, UNKNOWN, NULL, 0, 40);
    put_record(&w, type, b.data + at + HEAD, len, type == ALLOCATION ? 9 : 0);
    at += HEAD + len + TAIL;
  }
  free(b.data);
  return w.failed ? FZR_ERR_IO : 0;
}
