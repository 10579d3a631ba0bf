/* SPDX-License-Identifier: Apache-2.0 */
/* When a worker that reads connections sleeps for a moment before it waits for more. Where packets of many clients come fast, but one by one, each finds
 * it waiting and costs a wake-up, of the worker and of who sends; after a sleep one wake-up does for several. Whether it does is tried, for
 * from here it can't be seen who waits for whom: a client that sends its next packet when the last one has come back is as fast as many others, and
 * the sleep slows it down. Datagrams have a rule of their own, fzr_udp_gather_time. */
#ifndef RELAY_GATHER_H
#define RELAY_GATHER_H

#include "firezone_relay/types.h"

/* How long it sleeps. */
#define GATHER_TIME (50 * FZR_MILLISECOND / 1000)
/* For so long it goes on in one way, and counts what comes of that. */
#define GATHER_WINDOW (4 * FZR_MILLISECOND)

enum gather_way {
  GATHER_NOT,   /* no sleeps, for reads are too few, or sleeps were no good */
  GATHER_COUNT, /* none either: it is counted how often they would be */
  GATHER_SLEEP
};

/* All 0 is one for which nothing was read yet. */
typedef struct gather {
  enum gather_way way;
  fzr_time begin;    /* of the window */
  uint32_t reads;    /* in it */
  uint32_t idles;    /* times in it when there was nothing more to do; not counted while it is GATHER_NOT */
  uint32_t before;   /* reads of the window of GATHER_COUNT */
  uint32_t waits;    /* idles of it */
  uint32_t good;     /* windows of GATHER_SLEEP since then */
  uint32_t patience; /* windows without sleeps after one in which they were no good */
  uint32_t left;     /* of them */
} gather;

/* A connection was read |now|. Returns whether gather_sleeps is to be called when there is nothing more to do. */
bool gather_read(gather *g, fzr_time now);

/* There is nothing more to do. Returns whether to sleep for GATHER_TIME before waiting. */
bool gather_sleeps(gather *g);

#endif
