/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for one message that is built, packed and thrown away as a whole. */
#ifndef TELEMETRY_ARENA_H
#define TELEMETRY_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct arena {
  struct arena_chunk *chunks;
  size_t used;
  bool failed; /* memory was out once */
} arena;

/* |size| bytes of zeros, aligned for any type, valid until arena_free; NULL if memory is out. */
void *arena_take(arena *a, size_t size);
/* Frees all of it; the arena is empty then. */
void arena_free(arena *a);

#endif
