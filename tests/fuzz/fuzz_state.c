/* SPDX-License-Identifier: Apache-2.0 */
/* Saved states of anybody's making. The first byte says how the engine is set up, and whether checksums are made to fit first, without which
 * nothing would come past them. What does not load leaves nothing; what does can be saved and loaded again, and lives until it is over. */
#include "fuzz.h"
#include "fuzz_loading.h"

#include "base/bytes.h"
#include "base/crc32.h"
#include "turn/record.h"

#define FRAME (FZRI_RECORD_HEAD_LEN + FZRI_RECORD_TAIL_LEN)

typedef struct buffer {
  uint8_t *data;
  size_t len, room;
} buffer;

/* Makes the checksums of all records fit, and what the last one says, as far as there are whole ones. */
static void seal(uint8_t *data, size_t len)
{
  if (len < FZRI_STATE_HEADER_LEN)
    return;
  uint32_t chain = fzri_crc32(data, FZRI_STATE_HEADER_LEN), records = 0;
  for (size_t at = FZRI_STATE_HEADER_LEN; len - at >= FRAME;) {
    uint8_t *record = data + at, both[8];
    const uint32_t length = fzri_get_le32(record + 4);
    if (length > len - at - FRAME)
      return;
    if (record[0] == 0xff && record[1] == 0xff && length >= 8) {
      fzri_put_le(record + 8, records, 4);
      fzri_put_le(record + 12, chain, 4);
    }
    const uint32_t checksum = fzri_crc32(record, FZRI_RECORD_HEAD_LEN + (size_t)length);
    fzri_put_le(record + FZRI_RECORD_HEAD_LEN + length, checksum, 4);
    fzri_put_le(both, chain, 4);
    fzri_put_le(both + 4, checksum, 4);
    chain = fzri_crc32(both, sizeof both);
    records++;
    at += length + FRAME;
  }
}

static int keep(void *ctx, const uint8_t *data, size_t len)
{
  buffer *b = ctx;
  FUZZ_CHECK(len && len <= FZR_SAVE_PIECE_MAX);
  if (b->len + len > b->room) {
    b->room = 2 * (b->len + len);
    b->data = realloc(b->data, b->room);
    FUZZ_CHECK(b->data);
  }
  memcpy(b->data + b->len, data, len);
  b->len += len;
  return 0;
}

/* What there is of |engine| at |now|, when nothing is due any more. */
static fzr_stats stats_at(fzr_engine *engine, fzr_time now)
{
  fzr_stats stats;
  while (fzr_engine_deadline(engine) <= now) {
    fzr_engine_on_deadline(engine, 50, now);
    fuzz_take_events(engine, now);
  }
  FUZZ_CHECK(fzr_engine_stats(engine, &stats) == 0);
  return stats;
}

static void live(fzr_engine *engine, fzr_time now)
{
  static const uint8_t data[] = {0x40, 0, 0, 4, 1, 2, 3, 4};
  fzr_allocation all[64];
  fzr_verdict verdicts[4];
  uint32_t cursor = 0;
  fuzz_take_events(engine, now);
  for (size_t n = fzr_engine_list_allocations(engine, &cursor, all, 64); n--;) {
    fzr_pkt pkt = {.data = data, .len = sizeof data, .from = all[n].client, .to = all[n].server};
    fzr_batch batch = {.in = &pkt, .count = 1, .out = verdicts, .room = 4};
    FUZZ_CHECK(fzr_engine_rx(engine, FZR_SIDE_CLIENT, &batch, now) == 0);
  }
  /* Nothing of a state lasts longer than what a request makes. */
  FUZZ_CHECK(!stats_at(engine, now + 312 * FZR_SECOND).permissions);
  FUZZ_CHECK(!stats_at(engine, now + 611 * FZR_SECOND).channels);
  FUZZ_CHECK(!stats_at(engine, now + 3611 * FZR_SECOND).allocations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  uint8_t random = 1;
  fzr_load_result result;
  fzr_stats stats;
  if (!size)
    return 0;
  const uint8_t flags = data[0];
  const size_t len = size - 1;
  uint8_t *state = fuzz_exact(data + 1, len);
  if (flags & 1)
    seal(state, len);
  const fzr_time base = flags & 16 ? 0 : 1000 * FZR_SECOND;
  fzr_engine *engine = fuzz_loading_engine(flags, &random);
  const int error = fzr_engine_load(engine, state, len, base, &result);
  free(state);
  FUZZ_CHECK(fzr_engine_stats(engine, &stats) == 0 && result.offset <= len);
  if (error) {
    FUZZ_CHECK(!stats.allocations && !stats.channels && !stats.permissions);
    FUZZ_CHECK(fzr_engine_deadline(engine) == FZR_TIME_NEVER);
  } else {
    buffer again = {0};
    fzr_engine *other = fuzz_loading_engine(flags, &random);
    fzr_load_result same;
    FUZZ_CHECK(stats.allocations == result.allocations && stats.permissions == result.permissions);
    FUZZ_CHECK(fzr_engine_save(engine, keep, &again, base) == 0);
    FUZZ_CHECK(fzr_engine_load(other, again.data, again.len, base, &same) == 0);
    FUZZ_CHECK(same.allocations == result.allocations && same.channels == result.channels);
    FUZZ_CHECK(same.permissions == result.permissions && !same.skipped);
    free(again.data);
    live(engine, base > FZR_SECOND ? base : FZR_SECOND);
    live(other, base > FZR_SECOND ? base : FZR_SECOND);
    fzr_engine_free(other);
  }
  fzr_engine_free(engine);
  return 0;
}
