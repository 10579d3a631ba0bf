/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker is asked of its sessions: a slice of them at a time, so that packets do not wait for all. */
#include "common/clock.h"
#include "worker_internal.h"

#include <stdlib.h>

/* ---- on the worker's thread ---- */

static unsigned end_some(const worker *w, const session_question *q, const session_answer *a, fzr_time now)
{
  unsigned ended = 0;
  if (q->id)
    return !fzr_engine_end_allocation_by_id(w->engine, q->id, now);
  for (size_t i = 0; q->end && i < a->count; i++)
    ended += !fzr_engine_end_allocation_by_id(w->engine, a->found[i].id, now);
  return ended;
}

static void list_some(const worker *w, const session_question *q, session_answer *a)
{
  size_t n = 0;
  a->cursor = q->cursor;
  const size_t listed = fzr_engine_list_allocations(w->engine, &a->cursor, a->found, SESSION_SLICE);
  a->over = listed < SESSION_SLICE;
  for (size_t i = 0; i < listed; i++)
    if (!a->found[i].opening && session_filter_matches(&q->filter, &a->found[i]))
      a->found[n++] = a->found[i];
  a->count = n;
}

void worker_answer_sessions(worker *w)
{
  const fzr_time now = monotonic_now();
  unsigned ended = 0;
  pthread_mutex_lock(&w->lock);
  session_answer *a = w->sessions;
  if (a && w->session_answered < w->session_asked) {
    const session_question *q = &w->question;
    a->now = now;
    a->count = a->ended = 0;
    a->over = true;
    a->busy = w->halted;
    if (!a->busy && !q->id)
      list_some(w, q, a);
    if (!a->busy)
      ended = a->ended = end_some(w, q, a, now);
    w->session_answered = w->session_asked;
    pthread_cond_signal(&w->made);
  }
  pthread_mutex_unlock(&w->lock);
  if (!ended)
    return;
  /* Their sockets are closed now, not when the next packet comes. */
  fzr_driver_on_deadline(w->driver, now);
  event_glue_follow(w->glue, now);
}

/* ---- on the main thread ---- */

bool worker_ask_sessions(worker *w, const session_question *q, fzr_time until, session_answer *out)
{
  const struct timespec end = {(time_t)(until / FZR_SECOND), (long)(until % FZR_SECOND)};
  pthread_mutex_lock(&w->lock);
  if (!w->sessions)
    w->sessions = malloc(sizeof *w->sessions);
  if (!w->sessions) {
    pthread_mutex_unlock(&w->lock);
    return false;
  }
  w->question = *q;
  w->session_asked++;
  pthread_mutex_unlock(&w->lock);
  worker_command_sessions(w);
  pthread_mutex_lock(&w->lock);
  while (w->session_answered < w->session_asked && w->running)
    if (pthread_cond_timedwait(&w->made, &w->lock, &end))
      break;
  const bool answered = w->session_answered == w->session_asked;
  if (answered)
    *out = *w->sessions;
  else
    w->session_answered = w->session_asked; /* nobody waits any more: what was asked is not to be done late */
  pthread_mutex_unlock(&w->lock);
  return answered && !out->busy;
}
