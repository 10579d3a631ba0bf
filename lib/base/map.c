/* SPDX-License-Identifier: Apache-2.0 */
#include "map.h"

#include <string.h>

#define MIN_SLOTS 16u
#define MAX_SLOTS (1u << 30)

static uint32_t slots_of(const fzri_map *map)
{
  return map->mask + 1;
}

/* The most entries that |slots| may hold: 3/4, so that probing stays short and a free slot always ends it. */
static uint32_t room_of(uint32_t slots)
{
  return slots / 4 * 3;
}

static fzri_map_slot *new_slots(fzri_mem *mem, uint32_t count)
{
  fzri_map_slot *slots = fzri_mem_calloc(mem, count, sizeof *slots);
  if (slots)
    memset(slots, 0xff, count * sizeof *slots); /* FZRI_MAP_NONE */
  return slots;
}

int fzri_map_init(fzri_map *map, fzri_mem *mem)
{
  fzri_map_slot *slots = new_slots(mem, MIN_SLOTS);
  if (!slots)
    return FZR_ERR_NO_MEMORY;
  *map = (fzri_map){slots, MIN_SLOTS - 1, 0, mem};
  return 0;
}

void fzri_map_free(fzri_map *map)
{
  if (map->slots)
    fzri_mem_free(map->mem, map->slots, slots_of(map) * sizeof *map->slots);
  memset(map, 0, sizeof *map);
}

static void put(fzri_map_slot *slots, uint32_t mask, uint32_t hash, uint32_t value)
{
  uint32_t i = hash & mask;
  while (slots[i].value != FZRI_MAP_NONE)
    i = (i + 1) & mask;
  slots[i] = (fzri_map_slot){hash, value};
}

int fzri_map_reserve(fzri_map *map, uint32_t extra)
{
  uint32_t count = slots_of(map);
  const uint64_t wanted = (uint64_t)map->used + extra;
  while (room_of(count) < wanted) {
    if (count >= MAX_SLOTS)
      return FZR_ERR_NO_MEMORY;
    count *= 2;
  }
  if (count == slots_of(map))
    return 0;
  fzri_map_slot *slots = new_slots(map->mem, count);
  if (!slots)
    return FZR_ERR_NO_MEMORY;
  for (uint32_t i = 0; i <= map->mask; i++)
    if (map->slots[i].value != FZRI_MAP_NONE)
      put(slots, count - 1, map->slots[i].hash, map->slots[i].value);
  fzri_mem_free(map->mem, map->slots, slots_of(map) * sizeof *map->slots);
  map->slots = slots;
  map->mask = count - 1;
  return 0;
}

void fzri_map_insert(fzri_map *map, uint32_t hash, uint32_t value)
{
  put(map->slots, map->mask, hash, value);
  map->used++;
}

/* Fills the hole at |hole| with what probed past it, so that no look-up stops too early. */
static void close_gap(fzri_map *map, uint32_t hole)
{
  for (uint32_t i = (hole + 1) & map->mask; map->slots[i].value != FZRI_MAP_NONE; i = (i + 1) & map->mask) {
    const uint32_t home = map->slots[i].hash & map->mask;
    if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
      map->slots[hole] = map->slots[i];
      hole = i;
    }
  }
  map->slots[hole].value = FZRI_MAP_NONE;
}

bool fzri_map_remove(fzri_map *map, uint32_t hash, uint32_t value)
{
  for (uint32_t i = hash & map->mask; map->slots[i].value != FZRI_MAP_NONE; i = (i + 1) & map->mask) {
    if (map->slots[i].value != value || map->slots[i].hash != hash)
      continue;
    close_gap(map, i);
    map->used--;
    return true;
  }
  return false;
}
