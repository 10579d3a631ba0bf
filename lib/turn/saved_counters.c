/* SPDX-License-Identifier: Apache-2.0 */
#include "saved_counters.h"

#include <stddef.h>

/* Counters that stand next to each other in fzr_stats. */
typedef struct group {
  uint16_t id; /* in the state: does not change */
  uint16_t count;
  size_t offset;
} group;

#define ONE(id, member)                                                                                      \
  {                                                                                                          \
    id, 1, offsetof(fzr_stats, member)                                                                       \
  }
#define MANY(id, member, count)                                                                              \
  {                                                                                                          \
    id, count, offsetof(fzr_stats, member)                                                                   \
  }

static const group groups[] = {
    ONE(1, allocations_created),
    ONE(2, allocations_ended),
    ONE(3, channels_bound),
    MANY(4, packets, 2),
    MANY(5, bytes, 2),
    MANY(6, packet_sizes, FZR_SIZE_CLASSES),
    MANY(7, dropped, FZR_DROP_REASONS),
    MANY(8, memory_refusals, 2),
    ONE(9, permissions_installed),
    MANY(10, indications, 2),
    ONE(11, allocations_moved),
    MANY(12, peer_errors, 2),
};

#define GROUPS (sizeof groups / sizeof *groups)

/* The responses to a method are a group, too. */
#define RESPONSES 32u

/* The |i|-th of all groups. Returns whether there is one. */
static bool group_at(size_t i, group *out)
{
  if (i < GROUPS) {
    *out = groups[i];
    return true;
  }
  const size_t method = i - GROUPS;
  *out = (group){(uint16_t)(RESPONSES + method), FZR_STAT_CODES,
                 offsetof(fzr_stats, responses) + method * sizeof((fzr_stats *)0)->responses[0]};
  return method < FZR_STAT_METHODS;
}

static uint64_t *counters_of(fzr_stats *stats, const group *g)
{
  return (uint64_t *)(void *)((uint8_t *)stats + g->offset);
}

static const uint64_t *constant_counters_of(const fzr_stats *stats, const group *g)
{
  return (const uint64_t *)(const void *)((const uint8_t *)stats + g->offset);
}

void fzri_counters_write(fzri_writer *w, const fzr_stats *stats)
{
  group g;
  fzri_record_begin(w, FZRI_RECORD_COUNTERS);
  for (size_t i = 0; group_at(i, &g); i++) {
    const uint64_t *counters = constant_counters_of(stats, &g);
    fzri_put_u16(w, g.id);
    fzri_put_u16(w, g.count);
    for (unsigned k = 0; k < g.count; k++)
      fzri_put_u64(w, counters[k]);
  }
  fzri_record_end(w);
}

/* The group |id|. Returns whether this release has it. */
static bool find_group(uint16_t id, group *out)
{
  for (size_t i = 0; group_at(i, out); i++)
    if (out->id == id)
      return true;
  return false;
}

bool fzri_counters_read(fzri_record *record, fzr_stats *stats)
{
  while (record->left) {
    group g;
    const uint16_t id = fzri_take_u16(record), count = fzri_take_u16(record);
    const bool known = find_group(id, &g);
    uint64_t *counters = known ? counters_of(stats, &g) : NULL;
    for (unsigned i = 0; i < count && !record->bad; i++) {
      const uint64_t value = fzri_take_u64(record);
      if (known && i < g.count)
        counters[i] += value;
    }
  }
  return !record->bad;
}
