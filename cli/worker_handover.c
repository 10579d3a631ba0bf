/* SPDX-License-Identifier: Apache-2.0 */
/* A worker pauses, gives what it has, and reads on; or begins with what another process has given. */
#include "common/clock.h"
#include "log/log.h"
#include "worker_internal.h"
#include "worker_parcel.h"

#include <errno.h>
#include <string.h>

/* ---- on the worker's thread ---- */

static void tell_done(worker *w, const char *trouble)
{
  pthread_mutex_lock(&w->lock);
  w->done++;
  w->trouble = trouble;
  pthread_cond_signal(&w->obeyed);
  pthread_mutex_unlock(&w->lock);
}

static const char *give(const worker *w)
{
  return worker_parcel_fill(w->parcel, w->index, w->engine, w->udp, &w->before);
}

static const char *pause_reading(const worker *w)
{
  event_glue_stop(w->glue);
  return fzr_udp_pause(w->udp, monotonic_now()) ? "a worker can't be paused" : NULL;
}

/* Nobody waits for what comes of it: it is said here. */
static void read_on(const worker *w)
{
  fzr_udp_resume(w->udp, monotonic_now());
  if (event_glue_start(w->glue, w->udp))
    log_error("relay", "Worker %u can't watch its sockets again, and hears nothing until a restart: %s",
              w->index, strerror(errno));
}

void worker_obey(worker *w, unsigned commands)
{
  if (commands & COMMAND_PAUSE)
    tell_done(w, pause_reading(w));
  if (commands & COMMAND_GIVE)
    tell_done(w, give(w));
  if (commands & COMMAND_RESUME) {
    read_on(w);
    tell_done(w, NULL);
  }
}

/* ---- on the thread of who hands over ---- */

/* One that is still to be seen is obeyed once, and counts once. */
static void order(worker *w, enum command c)
{
  pthread_mutex_lock(&w->lock);
  if (!(atomic_fetch_or(&w->commands, (unsigned)c) & (unsigned)c))
    w->ordered++;
  pthread_mutex_unlock(&w->lock);
  worker_command(w, c);
}

void worker_pause(worker *w)
{
  w->pauses = true;
  order(w, COMMAND_PAUSE);
}

void worker_give(worker *w, handover_parcel *p)
{
  w->parcel = p;
  order(w, COMMAND_GIVE);
}

void worker_resume(worker *w)
{
  if (w->pauses)
    order(w, COMMAND_RESUME);
  w->pauses = false;
}

const char *worker_await(worker *w, fzr_time until)
{
  const struct timespec end = {(time_t)(until / FZR_SECOND), (long)(until % FZR_SECOND)};
  const char *trouble = NULL;
  pthread_mutex_lock(&w->lock);
  while (w->done < w->ordered && !trouble)
    if (until == FZR_TIME_NEVER)
      pthread_cond_wait(&w->obeyed, &w->lock);
    else if (pthread_cond_timedwait(&w->obeyed, &w->lock, &end))
      trouble = "a worker is busy";
  if (!trouble)
    trouble = w->trouble;
  pthread_mutex_unlock(&w->lock);
  return trouble;
}

void worker_resume_inherited(worker *w)
{
  const fzr_time now = monotonic_now();
  fzr_driver_on_deadline(w->driver, now);
  fzr_udp_resume(w->udp, now);
  event_glue_follow(w->glue);
}
