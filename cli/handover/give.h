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
  /* Reads no more, and puts all into |out|, which is empty and for as many workers as were offered. Returns NULL, or what went wrong:
   * static text; `resume` is called in both cases, unless all was given. */
  const char *(*pause)(void *ctx, fzr_time until, handover_parcel *out);
  void (*resume)(void *ctx);
} handover_giver;

/* Talks to the successor at |fd|. Returns true if it has all: this process must not read any more. Else all is as it was, with why in
 * |reason|. |paused| is how long nothing was read. */
bool handover_give(int fd, const handover_giver *g, fzr_time *paused, char reason[HANDOVER_REASON_MAX]);

#endif
