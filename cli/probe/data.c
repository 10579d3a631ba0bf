/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include <string.h>

#define FIRST_WAIT (100 * FZR_MILLISECOND)
#define PATIENCE   (2 * FZR_SECOND)

static const size_t lengths[PROBE_SIZES] = {64, PROBE_LARGE_BYTES};

void probe_data_start(probe_data *d, enum probe_way first, const uint8_t *token, fzr_time now)
{
  *d = (probe_data){.first = first, .live = true, .began = now, .next = now, .end = now + PATIENCE};
  memcpy(d->token, token, sizeof d->token);
}

bool probe_data_is_due(probe_data *d, fzr_time now)
{
  if (!d->live || now < d->next || d->rounds == PROBE_DATA_ROUNDS)
    return false;
  d->next = d->rounds + 1 == PROBE_DATA_ROUNDS ? d->end : now + (FIRST_WAIT << d->rounds);
  d->rounds++;
  return true;
}

bool probe_data_is_missing(const probe_data *d, enum probe_way way, unsigned size)
{
  return !(d->seen[way - d->first] & 1u << size);
}

bool probe_data_is_over(const probe_data *d, fzr_time now)
{
  const unsigned all = PROBE_SMALL | PROBE_LARGE;
  return d->live && ((d->seen[0] & d->seen[1]) == all || now >= d->end);
}

fzr_time probe_data_deadline(const probe_data *d)
{
  return !d->live ? FZR_TIME_NEVER : d->next < d->end ? d->next : d->end;
}

size_t probe_data_make(const probe_data *d, enum probe_way way, unsigned size, uint8_t out[PROBE_LARGE_BYTES])
{
  const size_t len = lengths[size];
  memcpy(out, d->token, PROBE_TOKEN);
  out[PROBE_TOKEN] = (uint8_t)way;
  for (size_t i = PROBE_TOKEN + 1; i < len; i++)
    out[i] = (uint8_t)(i + d->token[i % PROBE_TOKEN]);
  return len;
}

size_t probe_data_make_other(const probe_data *d, enum probe_way way, uint8_t out[PROBE_LARGE_BYTES])
{
  const size_t len = probe_data_make(d, way, 0, out);
  out[PROBE_TOKEN] |= 0x80;
  return len;
}

bool probe_data_is_other(const probe_data *d, enum probe_way way, const uint8_t *data, size_t len)
{
  uint8_t wanted[PROBE_LARGE_BYTES];
  return d->live && probe_data_make_other(d, way, wanted) == len && memcmp(data, wanted, len) == 0;
}

bool probe_data_take(probe_data *d, enum probe_way way, const uint8_t *data, size_t len)
{
  uint8_t wanted[PROBE_LARGE_BYTES];
  if (!d->live || way - d->first > 1)
    return false;
  for (unsigned size = 0; size < PROBE_SIZES; size++) {
    if (len != lengths[size])
      continue;
    probe_data_make(d, way, size, wanted);
    if (memcmp(data, wanted, len) != 0)
      continue;
    d->seen[way - d->first] |= 1u << size;
    return true;
  }
  return false;
}
