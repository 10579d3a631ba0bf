/* SPDX-License-Identifier: Apache-2.0 */
/* The program as a later version could be: another number, states of a higher minor version, with records and bytes that this one does not know. Linked
 * with --wrap, so that all else is the same. */
#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/save.h"

#include "../../lib/base/crc32.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 12u
#define HEAD   8u
#define TAIL   4u
/* Of any that it writes: the library's are no longer. */
#define RECORD_MAX 4096u

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
  bool begun; /* the header is written */
  int failed;
  size_t len; /* of what is not written yet */
  uint8_t held[RECORD_MAX + FZR_SAVE_PIECE_MAX];
} writer;

/* Writes a record of |len| bytes, with |more| of them behind what there is at |data|. */
static void put_record(writer *w, unsigned type, const uint8_t *data, uint32_t len, uint32_t more)
{
  uint8_t record[RECORD_MAX], both[8];
  const size_t end = HEAD + (size_t)len + more;
  if (end + TAIL > sizeof record)
    abort();
  put(record, type, 2);
  put(record + 2, 0, 2);
  put(record + 4, len + more, 4);
  if (len)
    memcpy(record + HEAD, data, len);
  memset(record + HEAD + len, 0x5a, more);
  if (type == END) {
    put(record + HEAD, w->records, 4);
    put(record + HEAD + 4, w->chain, 4);
  }
  const uint32_t checksum = fzri_crc32(record, end);
  put(record + end, checksum, 4);
  put(both, w->chain, 4);
  put(both + 4, checksum, 4);
  w->chain = fzri_crc32(both, sizeof both);
  w->records++;
  if (!w->failed)
    w->failed = w->write(w->ctx, record, end + TAIL);
}

static void put_header(writer *w, const uint8_t *header)
{
  uint8_t ours[HEADER];
  memcpy(ours, header, sizeof ours);
  put(ours + 10, FZR_STATE_MINOR + 1, 2);
  w->begun = true;
  w->chain = fzri_crc32(ours, sizeof ours);
  w->failed = w->write(w->ctx, ours, sizeof ours);
}

/* Writes what is whole of the |len| bytes of |data|. Returns how many those are. */
static size_t convert(writer *w, const uint8_t *data, size_t len)
{
  size_t at = 0;
  if (!w->begun && len < HEADER)
    return 0;
  if (!w->begun) {
    put_header(w, data);
    at = HEADER;
  }
  while (len - at >= HEAD) {
    const unsigned type = get(data + at, 2);
    const uint32_t body = get(data + at + 4, 4);
    if (len - at < HEAD + (size_t)body + TAIL)
      break;
    if (type == END)
      put_record(w, UNKNOWN, NULL, 0, 40);
    put_record(w, type, data + at + HEAD, body, type == ALLOCATION ? 9 : 0);
    at += HEAD + (size_t)body + TAIL;
  }
  return at;
}

/* A record may come in parts. */
static int collect(void *ctx, const uint8_t *data, size_t len)
{
  writer *w = ctx;
  if (len > sizeof w->held - w->len)
    abort();
  memcpy(w->held + w->len, data, len);
  w->len += len;
  const size_t done = convert(w, w->held, w->len);
  memmove(w->held, w->held + done, w->len - done);
  w->len -= done;
  return w->failed;
}

int __wrap_fzr_engine_save(const fzr_engine *engine, fzr_save_fn write, void *ctx, fzr_time now)
{
  writer *w = calloc(1, sizeof *w);
  if (!w)
    abort();
  w->write = write;
  w->ctx = ctx;
  const int error = __real_fzr_engine_save(engine, collect, w, now);
  free(w);
  return error;
}
