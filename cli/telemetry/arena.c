/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define CHUNK 65536u

struct arena_chunk {
  struct arena_chunk *next;
  size_t cap;
  alignas(max_align_t) uint8_t bytes[];
};

static bool grow(arena *a, size_t size)
{
  const size_t cap = size > CHUNK ? size : CHUNK;
  struct arena_chunk *c = calloc(1, sizeof *c + cap);
  if (!c) {
    a->failed = true;
    return false;
  }
  c->cap = cap;
  c->next = a->chunks;
  a->chunks = c;
  a->used = 0;
  return true;
}

void *arena_take(arena *a, size_t size)
{
  const size_t align = alignof(max_align_t);
  size = (size + align - 1) / align * align;
  if ((!a->chunks || size > a->chunks->cap - a->used) && !grow(a, size))
    return NULL;
  void *taken = a->chunks->bytes + a->used;
  a->used += size;
  return taken;
}

void arena_free(arena *a)
{
  while (a->chunks) {
    struct arena_chunk *c = a->chunks;
    a->chunks = c->next;
    free(c);
  }
  *a = (arena){0};
}
