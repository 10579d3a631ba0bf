/* SPDX-License-Identifier: Apache-2.0 */
#include "timers.h"

#include "precondition.h"

#include <string.h>

#define SLOT_BITS 6
#define SLOT_MASK (FZRI_WHEEL_SLOTS - 1u)

/* A timer of tick t stands in the lowest level whose slots can tell t from now: level 0 holds the next 64 ticks, level 1 the
 * next 64 * 64, and so on. When the current tick enters a slot of a higher level, its timers move down. What is further than
 * the top level reaches waits in its last slot and is placed again from there. */

void fzri_timers_init(fzri_timers *timers, fzr_time now)
{
  memset(timers, 0, sizeof *timers);
  timers->tick = now >> FZRI_TICK_SHIFT;
}

/* The first tick at which |due| has passed. */
static uint64_t tick_of(fzr_time due)
{
  const uint64_t tick = due >> FZRI_TICK_SHIFT;
  return tick << FZRI_TICK_SHIFT == due ? tick : tick + 1;
}

static void link_timer(fzri_timer **head, fzri_timer *timer)
{
  timer->next = *head;
  timer->pprev = head;
  if (*head)
    (*head)->pprev = &timer->next;
  *head = timer;
}

static void unlink_timer(fzri_timer *timer)
{
  FZRI_ASSERT(*timer->pprev == timer && (!timer->next || timer->next->pprev == &timer->next));
  *timer->pprev = timer->next;
  if (timer->next)
    timer->next->pprev = timer->pprev;
  timer->next = NULL;
  timer->pprev = NULL;
}

/* Puts |timer| where its due time belongs, seen from the current tick. */
static void place(fzri_timers *timers, fzri_timer *timer)
{
  uint64_t tick = tick_of(timer->due);
  if (tick < timers->tick) {
    link_timer(&timers->due, timer);
    return;
  }
  unsigned level = 0;
  while (level < FZRI_WHEEL_LEVELS - 1 &&
         (tick >> (SLOT_BITS * level)) - (timers->tick >> (SLOT_BITS * level)) >= FZRI_WHEEL_SLOTS)
    level++;
  const uint64_t last = (timers->tick >> (SLOT_BITS * level)) + FZRI_WHEEL_SLOTS - 1;
  uint64_t position = tick >> (SLOT_BITS * level);
  if (position > last)
    position = last;
  link_timer(&timers->slots[level][position & SLOT_MASK], timer);
  timers->occupied[level] |= (uint64_t)1 << (position & SLOT_MASK);
}

void fzri_timers_set(fzri_timers *timers, fzri_timer *timer, fzr_time due)
{
  fzri_timers_cancel(timers, timer);
  if (due == FZR_TIME_NEVER)
    return;
  timer->due = due;
  place(timers, timer);
}

void fzri_timers_cancel(fzri_timers *timers, fzri_timer *timer)
{
  (void)timers; /* a slot's bit is cleared when the wheel comes to it */
  if (timer->pprev)
    unlink_timer(timer);
}

/* The next tick at which a slot of |level| has to be looked at, or UINT64_MAX. Slots that have become empty are forgotten. */
static uint64_t next_of_level(const fzri_timers *timers, unsigned level)
{
  const unsigned shift = SLOT_BITS * level;
  const uint64_t position = timers->tick >> shift;
  uint64_t bits = timers->occupied[level];
  if (!bits)
    return UINT64_MAX;
  /* Rotate so that bit 0 is the current slot. */
  const unsigned at = (unsigned)(position & SLOT_MASK);
  if (at)
    bits = bits >> at | bits << (FZRI_WHEEL_SLOTS - at);
  const uint64_t found = (position + (unsigned)__builtin_ctzll(bits)) << shift;
  return found > timers->tick ? found : timers->tick;
}

static uint64_t next_tick(const fzri_timers *timers)
{
  uint64_t first = UINT64_MAX;
  for (unsigned level = 0; level < FZRI_WHEEL_LEVELS; level++) {
    const uint64_t tick = next_of_level(timers, level);
    if (tick < first)
      first = tick;
  }
  return first;
}

fzr_time fzri_timers_deadline(const fzri_timers *timers)
{
  if (timers->due)
    return 0;
  const uint64_t tick = next_tick(timers);
  if (tick > UINT64_MAX >> FZRI_TICK_SHIFT)
    return FZR_TIME_NEVER;
  return tick << FZRI_TICK_SHIFT;
}

/* Moves timers of one slot to where they belong now, as far as the budget goes. Returns whether the slot is empty. */
static bool move_slot(fzri_timers *timers, unsigned level, unsigned slot, size_t *budget)
{
  fzri_timer **head = &timers->slots[level][slot];
  while (*head) {
    if (!*budget)
      return false;
    (*budget)--;
    fzri_timer *timer = *head;
    unlink_timer(timer);
    if (level == 0)
      link_timer(&timers->due, timer);
    else
      place(timers, timer);
  }
  timers->occupied[level] &= ~((uint64_t)1 << slot);
  return true;
}

/* Does what is to do at the current tick: higher levels first, for their timers move to lower ones. Returns whether all of it is
 * done. A slot of a higher level is current for many ticks, but occupied only at the first of them: later, timers that belong
 * there find room further down. */
static bool handle_tick(fzri_timers *timers, size_t *budget)
{
  for (unsigned level = FZRI_WHEEL_LEVELS; level-- > 0;) {
    const unsigned slot = (unsigned)(timers->tick >> (SLOT_BITS * level) & SLOT_MASK);
    if (timers->occupied[level] >> slot & 1 && !move_slot(timers, level, slot, budget))
      return false;
  }
  return true;
}

fzri_timer *fzri_timers_pop(fzri_timers *timers, fzr_time now, size_t *budget)
{
  const uint64_t now_tick = now >> FZRI_TICK_SHIFT;
  while (!timers->due) {
    const uint64_t tick = next_tick(timers);
    if (tick > now_tick) {
      /* Nothing stands in the ticks that are skipped. */
      if (timers->tick <= now_tick)
        timers->tick = now_tick + 1 < tick ? now_tick + 1 : tick;
      return NULL;
    }
    timers->tick = tick;
    if (!handle_tick(timers, budget))
      return NULL;
    timers->tick++;
  }
  if (!*budget)
    return NULL;
  (*budget)--;
  fzri_timer *timer = timers->due;
  unlink_timer(timer);
  return timer;
}
