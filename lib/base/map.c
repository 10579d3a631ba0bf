/* SPDX-License-Identifier: Apache-2.0 */
#include "map.h"

#include "precondition.h"

#include <string.h>

#define MIN_SLOTS     16u
#define SEGMENT_SLOTS 2048u /* 16 KiB: split in microseconds */
#define MAX_DEPTH     20u

/* What stands before the first slot of a segment. */
typedef struct header {
  uint32_t used;
  uint32_t depth; /* its entries have so many upper bits of their hashes in common */
} header;

_Static_assert(sizeof(header) == sizeof(fzri_map_slot), "a slot's place");

static header *header_of(fzri_map_slot *segment)
{
  return (header *)(void *)(segment - 1);
}

/* The most entries that |slots| may hold: 3/4, so that probing stays short and a free slot always ends it. */
static uint32_t room_of(uint32_t slots)
{
  return slots / 4 * 3;
}

static size_t segment_bytes(uint32_t slots)
{
  return ((size_t)slots + 1) * sizeof(fzri_map_slot);
}

static fzri_map_slot *new_segment(fzri_mem *mem, uint32_t slots, uint32_t depth)
{
  fzri_map_slot *memory = fzri_mem_zalloc(mem, segment_bytes(slots));
  if (!memory)
    return NULL;
  fzri_map_slot *segment = memory + 1;
  memset(segment, 0xff, slots * sizeof *segment); /* FZRI_MAP_NONE */
  header_of(segment)->depth = depth;
  return segment;
}

static void free_segment(fzri_mem *mem, fzri_map_slot *segment, uint32_t slots)
{
  if (segment)
    fzri_mem_free(mem, segment - 1, segment_bytes(slots));
}

static uint32_t depth_of(const fzri_map *map)
{
  return 32 - map->shift;
}

int fzri_map_init(fzri_map *map, fzri_mem *mem)
{
  memset(map, 0, sizeof *map);
  fzri_map_slot **segments = fzri_mem_calloc(mem, 1, sizeof(fzri_map_slot *));
  fzri_map_slot *segment = new_segment(mem, MIN_SLOTS, 0);
  if (!segments || !segment) {
    free_segment(mem, segment, MIN_SLOTS);
    fzri_mem_free(mem, (void *)segments, sizeof(fzri_map_slot *));
    return FZR_ERR_NO_MEMORY;
  }
  segments[0] = segment;
  *map = (fzri_map){segments, MIN_SLOTS - 1, 32, 0, mem};
  return 0;
}

void fzri_map_free(fzri_map *map)
{
  if (!map->segments)
    return;
  const uint32_t count = 1u << depth_of(map);
  for (uint32_t i = 0; i < count;) {
    const uint32_t same = 1u << (depth_of(map) - header_of(map->segments[i])->depth);
    free_segment(map->mem, map->segments[i], map->mask + 1);
    i += same;
  }
  fzri_mem_free(map->mem, (void *)map->segments, count * sizeof *map->segments);
  memset(map, 0, sizeof *map);
}

static void put(fzri_map_slot *segment, uint32_t mask, uint32_t hash, uint32_t value)
{
  uint32_t i = hash & mask;
  while (segment[i].value != FZRI_MAP_NONE)
    i = (i + 1) & mask;
  segment[i] = (fzri_map_slot){hash, value};
  header_of(segment)->used++;
}

/* As long as there is but one segment, it is made twice as large. */
static int grow_segment(fzri_map *map)
{
  const uint32_t slots = map->mask + 1;
  fzri_map_slot *old = map->segments[0], *segment = new_segment(map->mem, 2 * slots, 0);
  if (!segment)
    return FZR_ERR_NO_MEMORY;
  for (uint32_t i = 0; i < slots; i++)
    if (old[i].value != FZRI_MAP_NONE)
      put(segment, 2 * slots - 1, old[i].hash, old[i].value);
  free_segment(map->mem, old, slots);
  map->segments[0] = segment;
  map->mask = 2 * slots - 1;
  return 0;
}

/* One bit more chooses the segment. */
static int grow_directory(fzri_map *map)
{
  const uint32_t count = 1u << depth_of(map);
  if (depth_of(map) == MAX_DEPTH)
    return FZR_ERR_NO_MEMORY;
  fzri_map_slot **segments = fzri_mem_calloc(map->mem, (size_t)count * 2, sizeof *segments);
  if (!segments)
    return FZR_ERR_NO_MEMORY;
  for (size_t i = 0; i < count; i++)
    segments[2 * i] = segments[2 * i + 1] = map->segments[i];
  fzri_mem_free(map->mem, (void *)map->segments, count * sizeof *map->segments);
  map->segments = segments;
  map->shift--;
  return 0;
}

/* Puts the two halves of |old| in its places in the directory, which tells them apart. */
static void replace_segment(fzri_map *map, uint32_t hash, uint32_t depth, fzri_map_slot *halves[2])
{
  const uint32_t same = 1u << (depth_of(map) - depth);
  const uint32_t first = (uint32_t)((uint64_t)hash >> map->shift) & ~(same - 1);
  for (uint32_t i = 0; i < same; i++)
    map->segments[first + i] = halves[i >= same / 2];
}

/* Whether |segment| has nothing but entries of |hash|: these no split parts. */
static bool is_of_one_hash(const fzri_map_slot *segment, uint32_t slots, uint32_t hash)
{
  for (uint32_t i = 0; i < slots; i++)
    if (segment[i].value != FZRI_MAP_NONE && segment[i].hash != hash)
      return false;
  return true;
}

static int split_segment(fzri_map *map, uint32_t hash)
{
  const uint32_t slots = map->mask + 1;
  fzri_map_slot *old = fzri_map_segment(map, hash);
  const uint32_t depth = header_of(old)->depth;
  if (depth == depth_of(map) && grow_directory(map))
    return FZR_ERR_NO_MEMORY;
  fzri_map_slot *halves[2] = {new_segment(map->mem, slots, depth + 1),
                              new_segment(map->mem, slots, depth + 1)};
  if (!halves[0] || !halves[1]) {
    free_segment(map->mem, halves[0], slots);
    free_segment(map->mem, halves[1], slots);
    return FZR_ERR_NO_MEMORY;
  }
  for (uint32_t i = 0; i < slots; i++)
    if (old[i].value != FZRI_MAP_NONE)
      put(halves[old[i].hash >> (31 - depth) & 1], map->mask, old[i].hash, old[i].value);
  replace_segment(map, hash, depth, halves);
  free_segment(map->mem, old, slots);
  return 0;
}

static int split_full(fzri_map *map, uint32_t hash)
{
  return is_of_one_hash(fzri_map_segment(map, hash), map->mask + 1, hash) ? FZR_ERR_NO_MEMORY
                                                                          : split_segment(map, hash);
}

int fzri_map_reserve(fzri_map *map, uint32_t hash)
{
  /* Once is nearly always enough: twice if all entries of a segment have one bit more in common. */
  while (header_of(fzri_map_segment(map, hash))->used >= room_of(map->mask + 1)) {
    const int error = map->mask + 1 < SEGMENT_SLOTS ? grow_segment(map) : split_full(map, hash);
    if (error)
      return error;
  }
  return 0;
}

int fzri_map_expect(fzri_map *map, uint32_t count)
{
  uint32_t depth = 0;
  int error = 0;
  while (!error && map->mask + 1 < SEGMENT_SLOTS && count > room_of(map->mask + 1))
    error = grow_segment(map);
  /* Of several each has its share of them, and a little more by chance. */
  while (depth < MAX_DEPTH && count >> depth > room_of(SEGMENT_SLOTS) / 16 * (depth ? 15 : 16))
    depth++;
  for (uint64_t i = 0; depth && !error && i < (uint64_t)1 << depth; i++) {
    const uint32_t hash = (uint32_t)(i << (32 - depth));
    while (!error && header_of(fzri_map_segment(map, hash))->depth < depth)
      error = split_segment(map, hash);
  }
  return error;
}

void fzri_map_insert(fzri_map *map, uint32_t hash, uint32_t value)
{
  FZRI_ASSERT(value != FZRI_MAP_NONE);
  FZRI_ASSERT(header_of(fzri_map_segment(map, hash))->used < room_of(map->mask + 1));
  put(fzri_map_segment(map, hash), map->mask, hash, value);
  map->used++;
}

/* Fills the hole at |hole| with what probed past it, so that no look-up stops too early. */
static void close_gap(fzri_map_slot *segment, uint32_t mask, uint32_t hole)
{
  for (uint32_t i = (hole + 1) & mask; segment[i].value != FZRI_MAP_NONE; i = (i + 1) & mask) {
    const uint32_t home = segment[i].hash & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      segment[hole] = segment[i];
      hole = i;
    }
  }
  segment[hole].value = FZRI_MAP_NONE;
}

bool fzri_map_remove(fzri_map *map, uint32_t hash, uint32_t value)
{
  fzri_map_slot *segment = fzri_map_segment(map, hash);
  for (uint32_t i = hash & map->mask; segment[i].value != FZRI_MAP_NONE; i = (i + 1) & map->mask) {
    if (segment[i].value != value || segment[i].hash != hash)
      continue;
    close_gap(segment, map->mask, i);
    header_of(segment)->used--;
    map->used--;
    return true;
  }
  return false;
}
