/* SPDX-License-Identifier: Apache-2.0 */
/* This process takes the place of another one, if there is one. */
#ifndef RELAY_HANDOVER_IN_H
#define RELAY_HANDOVER_IN_H

#include "handover/parcel.h"
#include "handover/wire.h"
#include "options.h"

typedef struct handover_in {
  int fd;                       /* to the other one; -1: there is none, or it is over */
  char peer[HANDOVER_NAME_MAX]; /* what the log calls it; "": there is none, or it is over */
  bool begun;                   /* this is the relay; the other one waits for it to have joined the portal */
  handover_message offer;
  handover_parcel parcel;
  uint64_t went_at; /* when this one began; Unix time, nanoseconds */
} handover_in;

/* Why a relay of |o| can't go on where the one that offers |offer| stops: one line in |reason|, with the option to change. Returns whether
 * it can. */
bool handover_in_fits(const handover_message *offer, const options *o, char reason[HANDOVER_REASON_MAX]);

/* Looks for a process that answers at --handover-socket, and agrees with it about what there is to be had. Returns 0, with fd -1 if there
 * is none; or -1 with one line in |error|, as those that follow: why not, which handover_in_log says with from whom. */
int handover_in_open(handover_in *in, const options *o, char error[OPTIONS_ERROR_MAX]);

/* Gets what there is by now, while the other one goes on. Returns 0, or -1 with one line in |error|. */
int handover_in_take(handover_in *in, char error[OPTIONS_ERROR_MAX]);

/* Says that this process is prepared, and gets the rest: nobody reads from here on. |ctx| is the handover_in. Returns likewise. */
int handover_in_rest(void *ctx, char error[OPTIONS_ERROR_MAX]);

/* Says that all is there, and waits for the word to begin. |ctx| is the handover_in. Returns 0: this is the relay now; or -1 with one line
 * in |error|. */
int handover_in_begin(void *ctx, char error[OPTIONS_ERROR_MAX]);

/* The portal has taken this process for the other one. */
void handover_in_joined(handover_in *in);

/* Logs that this process can't take over, for |error|. */
void handover_in_log(const handover_in *in, const char *error);

/* Closes what of it was not used. */
void handover_in_forget(handover_in *in);

/* The same, and ends the connection to the other process. With |error|, a line that the other one logs. */
void handover_in_close(handover_in *in, const char *error);

#endif
