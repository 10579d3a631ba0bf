/* SPDX-License-Identifier: Apache-2.0 */
#include "gather.h"

/* Reads in a window from which on sleeps are tried: two in the time of each. */
#define FAST (2 * (uint32_t)(GATHER_WINDOW / GATHER_TIME))
/* The bounds of |patience|: 4 ms and a second. */
#define PATIENCE_MIN 1u
#define PATIENCE_MAX 256u
/* After so many windows with sleeps it is counted anew what there would be without: what comes may have changed. */
#define GOOD 64u

/* Whether sleeps are fewer than the waits that they are in place of, clearly, and have slowed nobody down by more than what may be chance. */
static bool is_good(const gather *g)
{
  return g->reads >= FAST / 2 && g->reads >= g->before - g->before / 8 && g->idles <= g->waits - g->waits / 4;
}

static void stop(gather *g)
{
  g->way = GATHER_NOT;
  if (!g->patience)
    g->patience = PATIENCE_MIN;
  else if (g->patience < PATIENCE_MAX)
    g->patience *= 2;
  g->left = g->patience;
}

static void try_sleeps(gather *g)
{
  g->way = GATHER_SLEEP;
  g->before = g->reads;
  g->waits = g->idles;
  g->good = 0;
}

/* A window is over. */
static void decide(gather *g)
{
  const bool fast = g->reads >= FAST;
  switch (g->way) {
  case GATHER_NOT:
    if (g->left)
      g->left--;
    else if (fast)
      g->way = GATHER_COUNT;
    break;
  case GATHER_COUNT:
    if (fast)
      try_sleeps(g);
    else
      g->way = GATHER_NOT;
    break;
  case GATHER_SLEEP:
    if (!is_good(g)) {
      stop(g);
    } else if (++g->good == GOOD) {
      g->patience = 0;
      g->way = GATHER_COUNT;
    }
    break;
  }
}

bool gather_read(gather *g, fzr_time now)
{
  const fzr_time passed = now - g->begin;
  if (passed >= GATHER_WINDOW) {
    /* Nothing was read for a while: what was counted before says nothing. */
    if (passed >= 2 * GATHER_WINDOW)
      g->way = GATHER_NOT;
    else
      decide(g);
    g->begin = now;
    g->reads = g->idles = 0;
  }
  g->reads++;
  return g->way != GATHER_NOT;
}

bool gather_sleeps(gather *g)
{
  g->idles++;
  return g->way == GATHER_SLEEP;
}
