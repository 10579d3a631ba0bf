/* SPDX-License-Identifier: Apache-2.0 */
/* Journals of anybody's making. The first byte says how the engine is set up, and whether checksums are made to fit first. What does not load leaves
 * nothing; what does goes on in the same memory, can be loaded again from there, and lives until it is over. */
#include "fuzz.h"

#include "base/bytes.h"
#include "base/crc32.h"
#include "turn/journal_layout.h"

#define NOW   (1000 * FZR_SECOND)
#define FRAME (FZRI_RECORD_HEAD_LEN + FZRI_RECORD_TAIL_LEN)

static int repeatable(void *ctx, uint8_t *out, size_t len)
{
  uint8_t *next = ctx;
  for (size_t i = 0; i < len; i++)
    out[i] = (*next)++;
  return 0;
}

static fzr_engine *new_engine(uint8_t flags, uint8_t *random)
{
  fzr_engine *engine;
  fzr_config config = fzr_config_init();
  config.random = repeatable;
  config.random_ctx = random;
  FUZZ_CHECK(fzr_addr_parse("203.0.113.1", &config.public_ip4) == 0);
  FUZZ_CHECK(fzr_addr_parse("2001:db8:ffff::1", &config.public_ip6) == 0);
  config.lowest_port = 50001;
  config.highest_port = 50200;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = "secret";
  config.unauthenticated_rate = config.error_rate = FZR_UNLIMITED; /* no tables for them */
  config.max_channels = 500;
  config.relay_mode = flags & 2 ? FZR_RELAY_CHANNELS : FZR_RELAY_FULL;
  config.replace_allocations = flags & 4 ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER;
  config.mobility = flags & 8;
  FUZZ_CHECK(fzr_engine_new(&config, &engine, FZR_SECOND) == 0);
  return engine;
}

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

/* Opens what is to be opened, every third port in vain. */
static void take_events(fzr_engine *engine, fzr_time now)
{
  fzr_event event;
  while (fzr_engine_next_event(engine, &event))
    if (event.type == FZR_EVENT_PORT_OPEN)
      FUZZ_CHECK(fzr_engine_port_result(engine, event.port, (enum fzr_family)event.family,
                                        event.port % 3 ? 0 : FZR_ERR_IO_IN_USE, engine, now) == 0);
}

/* Until nothing is left: nothing lasts longer than what a request makes. */
static void live(fzr_engine *engine)
{
  fzr_stats stats;
  const fzr_time last = NOW + 3611 * FZR_SECOND;
  take_events(engine, NOW);
  while (fzr_engine_deadline(engine) <= last) {
    fzr_engine_on_deadline(engine, 50, last);
    take_events(engine, last);
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
    fzr_engine *other = new_engine(flags, random);
    FUZZ_CHECK(fzr_engine_load_journal(other, area, len, NOW, &same) == 0);
    FUZZ_CHECK(same.allocations == result->allocations && same.channels == result->channels);
    FUZZ_CHECK(same.permissions == result->permissions && !same.skipped);
    live(other);
    fzr_engine_free(other);
  }
  live(engine);
  if (!fzr_engine_has_journal(engine))
    return;
  fzr_engine *last = new_engine(flags, random);
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
  fzr_engine *engine = new_engine(flags, &random);
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
