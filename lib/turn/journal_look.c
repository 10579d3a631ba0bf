/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_layout.h"

#include "../base/bytes.h"
#include "../base/crc32.h"

#include <string.h>

/* Whether the records up to |record|, which says so, are those whose chain it has. */
static bool seals(fzri_record record, uint32_t chain)
{
  const uint32_t said = fzri_take_u32(&record);
  return !record.bad && said == chain;
}

/* Looks at a half with |room| bytes at |data|. Only what a record behind it vouches for is good: what an earlier life has left there may look like
 * records, but has another chain. */
static void look_at(const uint8_t *data, size_t room, fzri_half *out)
{
  *out = (fzri_half){.data = data};
  if (room < FZRI_HALF_HEAD_LEN || fzri_crc32(data, 12) != fzri_get_le32(data + 12))
    return;
  const fzri_reader r = {.data = data, .len = room};
  uint32_t chain = fzri_get_le32(data + 12), checksum;
  size_t offset = FZRI_HALF_HEAD_LEN, len, records = 0;
  fzri_record record;
  out->len = offset;
  out->generation = fzri_get_le32(data);
  out->origin = fzri_get_le64(data + 4);
  for (; (len = fzri_reader_look(&r, offset, &record, &checksum)) != 0; offset += len) {
    const bool whole = record.type == FZRI_RECORD_WHOLE, commit = record.type == FZRI_RECORD_COMMIT;
    if ((whole || commit) && !seals(record, chain))
      return;
    if (!whole && !commit)
      chain = fzri_record_chain(chain, checksum);
    records++;
    out->whole = out->whole || whole;
    if (!out->whole || !(whole || commit))
      continue;
    out->len = offset + len;
    out->records = records;
  }
}

static int look_at_head(const uint8_t *data, size_t len, fzri_halves *out)
{
  if (len < FZRI_JOURNAL_HEAD_LEN || memcmp(data, fzri_journal_name, sizeof fzri_journal_name) != 0 ||
      fzri_crc32(data, FZRI_JOURNAL_HEAD_LEN - 4) != fzri_get_le32(data + FZRI_JOURNAL_HEAD_LEN - 4))
    return FZR_ERR_STATE_DAMAGED;
  out->major = (uint16_t)fzri_get_le(data + 8, 2);
  out->minor = (uint16_t)fzri_get_le(data + 10, 2);
  if (out->major != FZR_JOURNAL_MAJOR)
    return FZR_ERR_STATE_VERSION;
  const uint64_t half = fzri_get_le64(data + 12);
  if (!half || half > SIZE_MAX / 2 - FZRI_JOURNAL_HEAD_LEN)
    return FZR_ERR_STATE_DAMAGED;
  out->half_len = (size_t)half;
  return 0;
}

int fzri_journal_look(const uint8_t *data, size_t len, fzri_halves *out)
{
  *out = (fzri_halves){.current = -1};
  const int error = look_at_head(data, len, out);
  if (error)
    return error;
  for (unsigned i = 0; i < 2; i++) {
    const size_t begin = FZRI_JOURNAL_HEAD_LEN + i * out->half_len;
    const size_t left = begin < len ? len - begin : 0;
    look_at(data + (left ? begin : 0), left < out->half_len ? left : out->half_len, &out->half[i]);
  }
  const fzri_half *a = &out->half[0], *b = &out->half[1];
  if (a->whole || b->whole)
    out->current = !a->whole || (b->whole && (int32_t)(b->generation - a->generation) > 0);
  return 0;
}
