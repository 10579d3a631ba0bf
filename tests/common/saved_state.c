/* SPDX-License-Identifier: Apache-2.0 */
#include "saved_state.h"

#include "base/bytes.h"
#include "base/crc32.h"
#include "turn/record.h"

#define FRAME (FZRI_RECORD_HEAD_LEN + FZRI_RECORD_TAIL_LEN)

static uint32_t get(const uint8_t *at, unsigned len)
{
  return (uint32_t)fzri_get_le(at, len);
}

static int keep(void *ctx, const uint8_t *data, size_t len)
{
  fzt_state *state = ctx;
  ck_assert(len && len <= FZR_SAVE_PIECE_MAX);
  ck_assert_uint_le(state->len + len, sizeof state->data);
  memcpy(state->data + state->len, data, len);
  state->len += len;
  return 0;
}

void fzt_state_save(fzt_state *state, const fzr_engine *engine, fzr_time now)
{
  state->len = 0;
  ck_assert_int_eq(fzr_engine_save(engine, keep, state, now), 0);
}

/* The length of the record at |offset|, with its frame; 0: it does not fit. */
static size_t length_at(const fzt_state *state, size_t offset)
{
  const size_t left = state->len - offset;
  if (left < FRAME)
    return 0;
  const size_t len = get(state->data + offset + 4, 4);
  return len <= left - FRAME ? len + FRAME : 0;
}

/* Where the |at|-th record is. */
static size_t offset_of(const fzt_state *state, unsigned at)
{
  size_t offset = FZRI_STATE_HEADER_LEN;
  while (at--) {
    ck_assert_uint_gt(length_at(state, offset), 0);
    offset += length_at(state, offset);
  }
  return offset;
}

unsigned fzt_state_records(const fzt_state *state)
{
  unsigned n = 0;
  for (size_t offset = FZRI_STATE_HEADER_LEN; get(state->data + offset, 2) != FZRI_RECORD_END; n++)
    offset += length_at(state, offset);
  return n;
}

uint8_t *fzt_state_body(fzt_state *state, unsigned at, unsigned type)
{
  uint8_t *record = state->data + offset_of(state, at);
  return get(record, 2) == type ? record + FZRI_RECORD_HEAD_LEN : NULL;
}

/* Makes room for |len| bytes at |offset|. */
static uint8_t *open_gap(fzt_state *state, size_t offset, size_t len)
{
  ck_assert_uint_le(state->len + len, sizeof state->data);
  memmove(state->data + offset + len, state->data + offset, state->len - offset);
  state->len += len;
  return state->data + offset;
}

void fzt_state_insert(fzt_state *state, unsigned at, unsigned type, unsigned flags, size_t len)
{
  uint8_t *record = open_gap(state, offset_of(state, at), len + FRAME);
  memset(record, 0x5a, len + FRAME);
  fzri_put_le(record, type, 2);
  fzri_put_le(record + 2, flags, 2);
  fzri_put_le(record + 4, (uint32_t)len, 4);
}

unsigned fzt_state_remove(fzt_state *state, unsigned at)
{
  const size_t offset = offset_of(state, at), len = length_at(state, offset);
  const unsigned type = get(state->data + offset, 2);
  memmove(state->data + offset, state->data + offset + len, state->len - offset - len);
  state->len -= len;
  return type;
}

unsigned fzt_state_repeat(fzt_state *state, unsigned at)
{
  const size_t offset = offset_of(state, at), len = length_at(state, offset);
  uint8_t *record = open_gap(state, offset, len);
  memcpy(record, record + len, len);
  return get(record, 2);
}

bool fzt_state_extend(fzt_state *state, unsigned at)
{
  if (at >= fzt_state_records(state))
    return false;
  const size_t offset = offset_of(state, at), len = length_at(state, offset);
  const unsigned type = get(state->data + offset, 2);
  if (type == FZRI_RECORD_COUNTERS || type == FZRI_RECORD_PORTS)
    return true; /* they are lists to their end */
  memset(open_gap(state, offset + len - FZRI_RECORD_TAIL_LEN, 3), 0xa5, 3);
  fzri_put_le(state->data + offset + 4, (uint32_t)(len - FRAME + 3), 4);
  return true;
}

bool fzt_state_seal(fzt_state *state)
{
  uint32_t chain = fzri_crc32(state->data, FZRI_STATE_HEADER_LEN), records = 0;
  size_t len;
  for (size_t offset = FZRI_STATE_HEADER_LEN; (len = length_at(state, offset)) != 0; offset += len) {
    uint8_t *record = state->data + offset, both[8];
    const bool last = get(record, 2) == FZRI_RECORD_END;
    if (last && len != FRAME + 8)
      return false;
    if (last) {
      fzri_put_le(record + 8, records, 4);
      fzri_put_le(record + 12, chain, 4);
    }
    const uint32_t checksum = fzri_crc32(record, len - FZRI_RECORD_TAIL_LEN);
    fzri_put_le(record + len - FZRI_RECORD_TAIL_LEN, checksum, 4);
    if (last)
      return offset + len == state->len;
    fzri_put_le(both, chain, 4);
    fzri_put_le(both + 4, checksum, 4);
    chain = fzri_crc32(both, sizeof both);
    records++;
  }
  return false;
}
