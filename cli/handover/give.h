/* SPDX-License-Identifier: Apache-2.0 */
/* The side of a hand-over that relays: it gives all away, or takes it back and goes on. */
#ifndef HANDOVER_GIVE_H
#define HANDOVER_GIVE_H

#include "handover/parcel.h"

typedef struct handover_giver {
  void *ctx;
  const handover_message *offer; /* what is said of this process */
  /* Why nothing can be given now: static text, or NULL. */
  const char *(*objection)(void *ctx);
  /* Sends to |fd|, while all is read as before, what the successor can prepare for, and adds to |*count| how many descriptors that were.
   * Returns NULL, or what went wrong: static text. */
  const char *(*show)(void *ctx, int fd, fzr_time until, uint32_t *count);
  /* Reads no more, and puts all that was not shown into |out|, which is empty and for as many workers as were offered. Returns NULL, or what went wrong:
   * static text; `resume` is called in both cases, unless all was given. */
  const char *(*pause)(void *ctx, fzr_time until, handover_parcel *out);
  void (*resume)(void *ctx);
} handover_giver;

/* Sends |n| descriptors of |kind| of |worker|, as a GIVE or several. Returns NULL, or what went wrong: static text. */
const char *handover_give_some(int fd, enum handover_kind kind, unsigned worker, const int *fds, size_t n,
                               fzr_time until);

/* The same of what relays in the kernel, with what is to be known of it. */
const char *handover_give_offload(int fd, const int *fds, size_t n, const char *about, fzr_time until);

/* How long it took. */
typedef struct handover_times {
  fzr_time prepared; /* from when the successor had agreed until it was prepared */
  /* From when nothing was read any more, until: 0: that did not come about. */
  fzr_time saved;   /* the workers had put all into the parcel */
  fzr_time sent;    /* the successor had got that */
  fzr_time ready;   /* it had loaded that */
  fzr_time ended;   /* it had all, or everything was taken back */
  uint64_t went_at; /* Unix time in nanoseconds at which it was told to begin */
} handover_times;

/* Talks to the successor at |fd|. Returns true if it has all: this process must not read any more. Else all is as it was, with why in
 * |reason|. */
bool handover_give(int fd, const handover_giver *g, handover_times *times, char reason[HANDOVER_REASON_MAX]);

#endif
