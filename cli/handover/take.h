/* SPDX-License-Identifier: Apache-2.0 */
/* The side of a hand-over that takes the other one's place. Each function returns 0, or -1 with one line in |reason|; then the other one
 * goes on, and this process has to end. */
#ifndef HANDOVER_TAKE_H
#define HANDOVER_TAKE_H

#include "handover/parcel.h"

/* Says what this process is, and hears in |offer| what there is to be had. */
int handover_ask(int fd, const char *version, handover_message *offer, char reason[HANDOVER_REASON_MAX]);

/* Agrees to what was offered, and gets what there is of it by now, into |out|: the other one goes on with it. */
int handover_take(int fd, const handover_message *offer, handover_parcel *out,
                  char reason[HANDOVER_REASON_MAX]);

/* Says that all of that can be used, and gets the rest, into |p|: states, and what was opened since. Nothing is read by anybody from here on.
 * |p| may be without what was taken out of it. */
int handover_take_rest(int fd, handover_parcel *p, char reason[HANDOVER_REASON_MAX]);

/* Says that all is there and can be used, waits for the word to begin, which came at *|went_at|: Unix time, nanoseconds; and says that it has.
 * The other one may have taken everything back by then. */
int handover_begin(int fd, const handover_message *offer, uint64_t *went_at,
                   char reason[HANDOVER_REASON_MAX]);

/* Says that the portal has taken this process for the other one, which may leave it now. */
void handover_joined(int fd);

#endif
