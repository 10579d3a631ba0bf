/* SPDX-License-Identifier: Apache-2.0 */
/* What it costs to hand an engine over: to save it, and to load it into another one. */
#include "engine_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TRIALS 5u

/* The room is there before anything is measured. */
typedef struct state {
  uint8_t *data;
  size_t len, room;
} state;

static int keep(void *ctx, const uint8_t *data, size_t len)
{
  state *s = ctx;
  if (s->len + len > s->room)
    die("a saved state is too large");
  memcpy(s->data + s->len, data, len);
  s->len += len;
  return 0;
}

/* CPU time of this thread. */
static uint64_t thread_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Loads |s| into an engine and has its ports opened. Returns how many ns that took; *|bytes|: what the engine holds. */
static uint64_t load(world *w, const state *s, uint64_t *bytes)
{
  fzr_event event;
  unsigned bound = 0;
  const uint64_t before = world_memory_live();
  fzr_engine *engine = world_new_engine(w);
  const uint64_t begin = thread_ns();
  if (fzr_engine_load(engine, s->data, s->len, w->now, NULL))
    die("what was saved does not load");
  while (fzr_engine_next_event(engine, &event)) {
    if (event.type == FZR_EVENT_PORT_OPEN)
      fzr_engine_port_result(engine, event.port, (enum fzr_family)event.family, 0, NULL, w->now);
    bound += event.type == FZR_EVENT_CHANNEL_BOUND;
  }
  const uint64_t took = thread_ns() - begin;
  *bytes = world_memory_live() - before;
  if (bound != w->count)
    die("not every channel was loaded");
  fzr_engine_free(engine);
  return took;
}

bool report_save(unsigned count)
{
  world w;
  uint64_t saving = UINT64_MAX, loading = UINT64_MAX, bytes = 0;
  state s = {.room = (size_t)count * 400 + 1000000};
  s.data = malloc(s.room);
  if (!s.data)
    die("out of memory");
  world_init(&w, count, BY_CHANNEL);
  for (unsigned i = 0; i < TRIALS; i++) {
    s.len = 0;
    const uint64_t begin = thread_ns();
    if (fzr_engine_save(w.engine, keep, &s, w.now))
      die("the engine can't be saved");
    const uint64_t saved = thread_ns() - begin, loaded = load(&w, &s, &bytes);
    saving = saved < saving ? saved : saving;
    loading = loaded < loading ? loaded : loading;
  }
  const double more = (double)(bytes + s.len) / (double)w.bound_bytes;
  printf("| saving, for each allocation with a channel | %u | %.0f ns | - |\n", count,
         (double)saving / count);
  printf("| loading, likewise | %u | %.0f ns | - |\n", count, (double)loading / count);
  printf("| a saved state, likewise | %u | %.0f bytes | - |\n", count, (double)s.len / count);
  printf("| memory that the new engine and the state take, to that of the old one | %u | %.2f | %s: 2 |\n",
         count, more, more <= 2 ? "met" : "**missed**");
  world_free(&w);
  free(s.data);
  return more <= 2;
}
