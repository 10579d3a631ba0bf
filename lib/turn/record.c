/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "../base/bytes.h"
#include "../base/crc32.h"
#include "../base/crypto.h"
#include "../base/precondition.h"

#include <string.h>

static const uint8_t magic[8] = {'f', 'z', 'r', 's', 't', 'a', 't', 'e'};

uint32_t fzri_record_chain(uint32_t chain, uint32_t checksum)
{
  uint8_t both[8];
  fzri_put_le(both, chain, 4);
  fzri_put_le(both + 4, checksum, 4);
  return fzri_crc32(both, sizeof both);
}

/* ---- writing ---- */

void fzri_writer_flush(fzri_writer *w)
{
  if (w->used && !w->failed)
    w->failed = w->write(w->ctx, w->buffer, w->used);
  if (!w->journal)
    fzri_wipe(w->buffer, w->used);
  w->used = 0;
}

/* Inline, for |len| is a number everywhere: then it is one store. */
__attribute__((always_inline)) static inline void put(fzri_writer *w, uint64_t value, size_t len)
{
  uint8_t bytes[8];
  FZRI_ASSERT(w->used + len <= sizeof w->buffer);
  fzri_put_le64(bytes, value);
  memcpy(w->buffer + w->used, bytes, len);
  w->used += len;
}

void fzri_writer_init(fzri_writer *w, fzr_save_fn write, void *ctx, fzr_time base)
{
  w->write = write;
  w->ctx = ctx;
  w->base = w->now = base;
  w->records = 0;
  w->used = 0;
  w->failed = w->journal = false;
  fzri_put_bytes(w, magic, sizeof magic);
  put(w, FZR_STATE_MAJOR, 2);
  put(w, FZR_STATE_MINOR, 2);
  w->chain = fzri_crc32(w->buffer, w->used);
}

void fzri_record_begin(fzri_writer *w, enum fzri_record_type type)
{
  if (w->used > sizeof w->buffer - FZRI_RECORD_MAX)
    fzri_writer_flush(w);
  w->record = w->used;
  put(w, type, 2);
  put(w, 0, 2); /* flags: of these types there is nobody who does not know them */
  put(w, 0, 4); /* filled in at its end */
}

void fzri_record_end(fzri_writer *w)
{
  uint8_t *record = w->buffer + w->record;
  const size_t len = w->used - w->record;
  FZRI_ASSERT(len + FZRI_RECORD_TAIL_LEN <= FZRI_RECORD_MAX);
  fzri_put_le(record + 4, len - FZRI_RECORD_HEAD_LEN, 4);
  const uint32_t checksum = fzri_crc32(record, len);
  put(w, checksum, 4);
  if (w->journal)
    return;
  w->chain = fzri_record_chain(w->chain, checksum);
  w->records++;
}

int fzri_writer_finish(fzri_writer *w)
{
  fzri_record_begin(w, FZRI_RECORD_END);
  put(w, w->records, 4);
  put(w, w->chain, 4);
  fzri_record_end(w);
  fzri_writer_flush(w);
  return w->failed ? FZR_ERR_IO : 0;
}

void fzri_put_u8(fzri_writer *w, uint8_t value)
{
  put(w, value, 1);
}

void fzri_put_u16(fzri_writer *w, uint16_t value)
{
  put(w, value, 2);
}

void fzri_put_u32(fzri_writer *w, uint32_t value)
{
  put(w, value, 4);
}

void fzri_put_u64(fzri_writer *w, uint64_t value)
{
  put(w, value, 8);
}

void fzri_put_bytes(fzri_writer *w, const void *data, size_t len)
{
  FZRI_ASSERT(w->used + len <= sizeof w->buffer);
  memcpy(w->buffer + w->used, data, len);
  w->used += len;
}

void fzri_put_time(fzri_writer *w, fzr_time at)
{
  const bool far = at > w->now && at - w->now > FZRI_STATE_SPAN;
  put(w, (far ? w->now + FZRI_STATE_SPAN : at) - w->base, 8); /* before the base it is negative */
}

void fzri_put_addr(fzri_writer *w, const fzr_addr *addr)
{
  put(w, addr->family, 1);
  put(w, addr->transport, 1);
  put(w, addr->port, 2);
  if (addr->family == FZR_FAMILY_IPV4)
    fzri_put_bytes(w, addr->ip, 4);
  if (addr->family != FZR_FAMILY_IPV6)
    return;
  fzri_put_bytes(w, addr->ip, 16);
  put(w, addr->scope_id, 4);
}

/* ---- reading ---- */

/* The record at |offset|, as far as there are bytes for it. Returns its whole length, or 0. */
static size_t frame(const fzri_reader *r, size_t offset, fzri_record *record)
{
  const size_t left = r->len - offset;
  if (left < FZRI_RECORD_HEAD_LEN + FZRI_RECORD_TAIL_LEN)
    return 0;
  const uint8_t *head = r->data + offset;
  const uint32_t len = (uint32_t)fzri_get_le(head + 4, 4);
  if (len > left - FZRI_RECORD_HEAD_LEN - FZRI_RECORD_TAIL_LEN)
    return 0;
  *record = (fzri_record){.type = (uint16_t)fzri_get_le(head, 2),
                          .flags = (uint16_t)fzri_get_le(head + 2, 2),
                          .at = head + FZRI_RECORD_HEAD_LEN,
                          .left = len,
                          .offset = offset};
  return FZRI_RECORD_HEAD_LEN + (size_t)len + FZRI_RECORD_TAIL_LEN;
}

size_t fzri_reader_look(const fzri_reader *r, size_t offset, fzri_record *record, uint32_t *checksum)
{
  const size_t len = frame(r, offset, record);
  if (!len)
    return 0;
  const size_t sealed = len - FZRI_RECORD_TAIL_LEN;
  const uint32_t found = fzri_crc32(r->data + offset, sealed);
  if (checksum)
    *checksum = found;
  return found == fzri_get_le32(r->data + offset + sealed) ? len : 0;
}

static int read_header(fzri_reader *r, uint16_t *major, uint16_t *minor)
{
  if (r->len < FZRI_STATE_HEADER_LEN || memcmp(r->data, magic, sizeof magic) != 0)
    return FZR_ERR_STATE_DAMAGED;
  *major = (uint16_t)fzri_get_le(r->data + 8, 2);
  *minor = (uint16_t)fzri_get_le(r->data + 10, 2);
  if (*major != FZR_STATE_MAJOR)
    return FZR_ERR_STATE_VERSION;
  r->offset = FZRI_STATE_HEADER_LEN;
  return 0;
}

/* Whether the last record says |records| and |chain|, and nothing follows. */
static bool ends(const fzri_reader *r, fzri_record *last, uint32_t records, uint32_t chain)
{
  const uint32_t counted = fzri_take_u32(last), checksum = fzri_take_u32(last);
  return !last->bad && counted == records && checksum == chain && r->offset == r->len;
}

int fzri_reader_check(fzri_reader *r, uint16_t *major, uint16_t *minor)
{
  const int error = read_header(r, major, minor);
  if (error)
    return error;
  uint32_t chain = fzri_crc32(r->data, FZRI_STATE_HEADER_LEN), records = 0;
  for (;;) {
    fzri_record record;
    uint32_t checksum;
    const size_t len = fzri_reader_look(r, r->offset, &record, &checksum);
    if (!len)
      return FZR_ERR_STATE_DAMAGED;
    r->offset += len;
    if (record.type == FZRI_RECORD_END)
      return ends(r, &record, records, chain) ? 0 : FZR_ERR_STATE_DAMAGED;
    chain = fzri_record_chain(chain, checksum);
    records++;
  }
}

bool fzri_reader_next(fzri_reader *r, fzri_record *record)
{
  const size_t len = frame(r, r->offset, record);
  if (!len || record->type == FZRI_RECORD_END)
    return false;
  r->offset += len;
  return true;
}

static uint64_t take(fzri_record *record, uint32_t len)
{
  if (record->left < len) {
    record->bad = true;
    record->left = 0;
    return 0;
  }
  const uint64_t value = fzri_get_le(record->at, len);
  record->at += len;
  record->left -= len;
  return value;
}

uint8_t fzri_take_u8(fzri_record *record)
{
  return (uint8_t)take(record, 1);
}

uint16_t fzri_take_u16(fzri_record *record)
{
  return (uint16_t)take(record, 2);
}

uint32_t fzri_take_u32(fzri_record *record)
{
  return (uint32_t)take(record, 4);
}

uint64_t fzri_take_u64(fzri_record *record)
{
  return take(record, 8);
}

void fzri_take_bytes(fzri_record *record, void *out, size_t len)
{
  if (record->left < len) {
    record->bad = true;
    record->left = 0;
    memset(out, 0, len);
    return;
  }
  memcpy(out, record->at, len);
  record->at += len;
  record->left -= (uint32_t)len;
}

fzr_time fzri_take_time(fzri_record *record, const fzri_reader *r, fzr_time ahead)
{
  const uint64_t bits = take(record, 8);
  if (bits >> 63) {
    const uint64_t before = 0 - bits;
    return before < r->origin ? r->origin - before : 0;
  }
  fzr_time at = bits <= FZR_TIME_NEVER - r->origin ? r->origin + bits : FZR_TIME_NEVER;
  if (r->clamps && at > r->base && at - r->base > ahead)
    at = ahead < FZR_TIME_NEVER - r->base ? r->base + ahead : FZR_TIME_NEVER;
  const fzr_time left = at > r->base ? at - r->base : 0;
  if (left > ahead || r->base > FZR_TIME_NEVER - FZRI_STATE_SPAN - left) {
    record->bad = true;
    return 0;
  }
  return at;
}

fzr_addr fzri_take_addr(fzri_record *record)
{
  fzr_addr addr = {.family = fzri_take_u8(record)};
  addr.transport = fzri_take_u8(record);
  addr.port = fzri_take_u16(record);
  if (addr.family == FZR_FAMILY_IPV4) {
    fzri_take_bytes(record, addr.ip, 4);
  } else if (addr.family == FZR_FAMILY_IPV6) {
    fzri_take_bytes(record, addr.ip, 16);
    addr.scope_id = fzri_take_u32(record);
  } else {
    record->bad = true;
  }
  if (addr.transport > FZR_TRANSPORT_DTLS)
    record->bad = true;
  return addr;
}
