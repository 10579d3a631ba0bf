/* SPDX-License-Identifier: Apache-2.0 */
/* What is handed over: descriptors, and whose they are. */
#ifndef HANDOVER_PARCEL_H
#define HANDOVER_PARCEL_H

#include "handover/message.h"

/* Descriptors of one kind. */
typedef struct handover_fds {
  int *each;
  size_t count, room;
} handover_fds;

typedef struct handover_worker {
  handover_fds of[HANDOVER_KINDS];             /* STATE, QUEUES: one each; LISTEN; PORTS */
  uint64_t saved_at;                           /* the state; CLOCK_MONOTONIC, nanoseconds */
  uint32_t allocations, channels, permissions; /* that it had when its listeners came */
} handover_worker;

typedef struct handover_parcel {
  unsigned count;
  handover_worker *workers;
  handover_fds health, control; /* one or none; by TCP, in the file system, or both */
  handover_fds offload;
  char about[HANDOVER_ABOUT_MAX]; /* the offload */
  uint32_t came;                  /* descriptors that were received, in all */
  bool borrowed;                  /* sockets are somebody else's: files alone are closed with it */
} handover_parcel;

/* Makes an empty one for |workers|. Returns whether there is memory. */
bool handover_parcel_init(handover_parcel *p, unsigned workers, bool borrowed);

/* Adds descriptors. Returns whether there is memory, and room for as many of that kind; if not they stay the caller's. */
bool handover_parcel_add(handover_parcel *p, enum handover_kind kind, unsigned worker, const int *fds,
                         size_t n);

/* Those of |kind| of |worker|, of which the latter does not matter for listeners of HTTP. */
handover_fds *handover_parcel_fds(handover_parcel *p, enum handover_kind kind, unsigned worker);

/* Forgets |fds|, of which there are none. */
void handover_fds_free(handover_fds *fds);

/* How many descriptors there are. */
uint32_t handover_parcel_count(const handover_parcel *p);

/* Whether each worker has descriptors of |kind|. */
bool handover_parcel_all_have(const handover_parcel *p, enum handover_kind kind);

/* Closes what is still in it, and forgets it. */
void handover_parcel_drop(handover_parcel *p);

#endif
