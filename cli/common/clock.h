/* SPDX-License-Identifier: Apache-2.0 */
/* The program's clock, in the engine's units and libevent's. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "firezone_relay/types.h"

#include <sys/time.h>
#include <time.h>

/* Monotonic nanoseconds. */
static inline fzr_time monotonic_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (fzr_time)now.tv_sec * FZR_SECOND + (fzr_time)now.tv_nsec;
}

/* Nanoseconds since 1970. */
static inline uint64_t unix_now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * FZR_SECOND + (uint64_t)now.tv_nsec;
}

/* A duration, rounded down to microseconds. */
static inline struct timeval timeval_of(fzr_time duration)
{
  return (struct timeval){(time_t)(duration / FZR_SECOND), (suseconds_t)(duration % FZR_SECOND / 1000)};
}

#endif
