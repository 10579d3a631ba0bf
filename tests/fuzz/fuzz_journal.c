/* SPDX-License-Identifier: Apache-2.0 */
/* Journals of anybody's making. The first byte says how the engine is set up, and whether checksums are made to fit first. What does not load leaves
 * nothing; what does goes on in the same memory, can be loaded again from there, and lives until it is over. */
#include "fuzz.h"
#include "fuzz_loading.h"

#include "base/bytes.h"
#include "base/crc32.h"
#include "turn/journal_layout.h"

#define NOW   (1000 * FZR_SECOND)
#define FRAME (FZRI_RECORD_HEAD_LEN + FZRI_RECORD_TAIL_LEN)

/* Makes the checksums of a half with |room| bytes fit, as far as there are whole records. */
static void seal_half(uint8_t *half, size_t room)
{
  if (room < FZRI_HALF_HEAD_LEN)
    return;
  uint32_t chain = fzri_crc32(half, 12);
  fzri_put_le(half + 12, chain, 4);
  for (size_t at = FZRI_HALF_HEAD_LEN; room - at >= FRAME;) {
    uint8_t *record = half + at;
    const uint32_t length = fzri_get_le32(record + 4);
    if (length > room - at - FRAME)
      return;
    const bool seal = record[1] == 0 && (record[0] == FZRI_RECORD_WHOLE || record[0] == FZRI_RECORD_COMMIT);
    if (seal && length >= 4)
      fzri_put_le(record + 8, chain, 4);
    const uint32_t checksum = fzri_crc32(record, FZRI_RECORD_HEAD_LEN + (size_t)length);
    fzri_put_le(record + FZRI_RECORD_HEAD_LEN + length, checksum, 4);
    if (!seal)
      chain = fzri_record_chain(chain, checksum);
    at += length + FRAME;
  }
}

static void seal(uint8_t *data, size_t len)
{
  if (len < FZRI_JOURNAL_HEAD_LEN)
    return;
  const uint64_t half = fzri_get_le64(data + 12);
  fzri_put_le(data + 20, fzri_crc32(data, 20), 4);
  for (unsigned i = 0; i < 2; i++) {
    if (half > len || FZRI_JOURNAL_HEAD_LEN + i * half > len)
      return;
    const size_t begin = FZRI_JOURNAL_HEAD_LEN + (size_t)(i * half), left = len - begin;
    seal_half(data + begin, left < half ? left : (size_t)half);
  }
}

/* Until nothing is left: nothing lasts longer than what a request makes. */
static void live(fzr_engine *engine)
{
  fzr_stats stats;
  const fzr_time last = NOW + 3611 * FZR_SECOND;
  fuzz_take_events(engine, NOW);
  while (fzr_engine_deadline(engine) <= last) {
    fzr_engine_on_deadline(engine, 50, last);
    fuzz_take_events(engine, last);
  }
  FUZZ_CHECK(fzr_engine_stats(engine, &stats) == 0);
  FUZZ_CHECK(!stats.allocations && !stats.channels && !stats.permissions);
}

static void go_on(fzr_engine *engine, uint8_t flags, uint8_t *area, size_t len, const fzr_load_result *result,
                  uint8_t *random)
{
  fzr_load_result same;
  fzr_stats stats;
  FUZZ_CHECK(fzr_engine_stats(engine, &stats) == 0);
  FUZZ_CHECK(stats.allocations == result->allocations && stats.permissions == result->permissions);
  if (fzr_engine_set_journal(engine, area, len, NOW) == 0) {
    fzr_engine *other = fuzz_loading_engine(flags, random);
    FUZZ_CHECK(fzr_engine_load_journal(other, area, len, NOW, &same) == 0);
    FUZZ_CHECK(same.allocations == result->allocations && same.channels == result->channels);
    FUZZ_CHECK(same.permissions == result->permissions && !same.skipped);
    live(other);
    fzr_engine_free(other);
  }
  live(engine);
  if (!fzr_engine_has_journal(engine))
    return;
  fzr_engine *last = fuzz_loading_engine(flags, random);
  FUZZ_CHECK(fzr_engine_load_journal(last, area, len, NOW + 3611 * FZR_SECOND, &same) == 0);
  FUZZ_CHECK(!same.allocations && !same.channels && !same.permissions);
  fzr_engine_free(last);
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
  uint8_t *area = fuzz_exact(data + 1, len);
  if (flags & 1)
    seal(area, len);
  fzr_engine *engine = fuzz_loading_engine(flags, &random);
  const int error = fzr_engine_load_journal(engine, area, len, NOW, &result);
  FUZZ_CHECK(fzr_engine_stats(engine, &stats) == 0 && result.offset <= len);
  if (error) {
    FUZZ_CHECK(!stats.allocations && !stats.channels && !stats.permissions);
    FUZZ_CHECK(fzr_engine_deadline(engine) == FZR_TIME_NEVER);
  } else {
    go_on(engine, flags, area, len, &result, &random);
  }
  free(area);
  fzr_engine_free(engine);
  return 0;
}
