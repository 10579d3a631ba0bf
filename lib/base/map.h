/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from keys that stand elsewhere to 32-bit values (indices of a pool): open addressing, linear probing, deletion by
 * shifting back, at most 3/4 full. A slot is 8 bytes and holds the hash, so that a miss rarely looks at a key and growing never
 * hashes again. Hashes must be keyed (siphash.h): strangers choose the keys.
 *
 * It grows step by step, because whoever grows it holds up a worker: the slots stand in segments of bounded size, of which a hash's upper
 * bits choose one by a directory, and a full segment is split in two (extendible hashing). */
#ifndef FZRI_MAP_H
#define FZRI_MAP_H

#include "mem.h"

#define FZRI_MAP_NONE UINT32_MAX

typedef struct fzri_map_slot {
  uint32_t hash;
  uint32_t value; /* FZRI_MAP_NONE: free */
} fzri_map_slot;

typedef struct fzri_map {
  fzri_map_slot **segments; /* directory of 2^(32 - shift); neighbours may be one and the same */
  uint32_t mask;            /* slots of a segment - 1; a power of two */
  uint32_t shift;
  uint32_t used;
  fzri_mem *mem;
} fzri_map;

/* Makes |map| empty with room for at least 8 values. Returns 0 or FZR_ERR_NO_MEMORY. */
int fzri_map_init(fzri_map *map, fzri_mem *mem);
void fzri_map_free(fzri_map *map);

/* Makes sure that the next insertion succeeds, which has to be under |hash|. Takes bounded time, but for the directory, of which a
 * thousandth of the entries has to be copied now and then. Returns 0 or FZR_ERR_NO_MEMORY (nothing is lost). */
int fzri_map_reserve(fzri_map *map, uint32_t hash);

/* Makes room for |count| entries in all, as much as they would have come to one after the other; some of them may still need more. |map| is
 * empty. Returns 0 or FZR_ERR_NO_MEMORY: what was made stays. */
int fzri_map_expect(fzri_map *map, uint32_t count);

/* Puts |value| (not FZRI_MAP_NONE) in under |hash|. Room must have been reserved; the key must not be there yet. */
void fzri_map_insert(fzri_map *map, uint32_t hash, uint32_t value);

/* Takes out the entry of exactly this hash and value. Returns whether it was there. */
bool fzri_map_remove(fzri_map *map, uint32_t hash, uint32_t value);

/* The segment of |hash|. */
static inline fzri_map_slot *fzri_map_segment(const fzri_map *map, uint32_t hash)
{
  return map->segments[(uint64_t)hash >> map->shift];
}

/* Brings the slot of |hash| into the cache. */
static inline void fzri_map_prefetch(const fzri_map *map, uint32_t hash)
{
  __builtin_prefetch(&fzri_map_segment(map, hash)[hash & map->mask]);
}

/* Returns the first value stored under exactly |hash| from slot *|probe| on, and moves *|probe| past it, or
 * FZRI_MAP_NONE. *|probe| starts as |hash|. The caller compares the key itself:
 *
 *   uint32_t probe = hash, v;
 *   while ((v = fzri_map_next(map, hash, &probe)) != FZRI_MAP_NONE)
 *     if (key_of(v) == key) return v;
 */
static inline uint32_t fzri_map_next(const fzri_map *map, uint32_t hash, uint32_t *probe)
{
  const fzri_map_slot *segment = fzri_map_segment(map, hash);
  for (uint32_t i = *probe & map->mask;; i = (i + 1) & map->mask) {
    const fzri_map_slot *slot = &segment[i];
    if (slot->value == FZRI_MAP_NONE)
      return FZRI_MAP_NONE;
    if (slot->hash == hash) {
      *probe = i + 1;
      return slot->value;
    }
  }
}

#endif
