/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a worker that is for clients on streams: its adapter, with the options' values. */
#ifndef RELAY_WORKER_STREAMS_H
#define RELAY_WORKER_STREAMS_H

#include "event_glue.h"
#include "handover/parcel.h"
#include "options.h"
#include "stream/streams.h"

typedef struct worker_streams_config {
  const options *options;
  struct event_base *base;
  event_glue *glue; /* both stay, as base, driver and udp do, until streams_free */
  fzr_driver *driver;
  const fzr_udp *udp;
  stream_prefixes *prefixes;  /* of all workers */
  net_tls_identity *identity; /* for the TLS port; held if it is taken. NULL: there is none */
  unsigned workers;           /* how many there are */
  bool first;                 /* this is the first of them */
  handover_parcel *
      inherited; /* whose listeners are taken, where they are on the addresses that the options have; NULL: there is none */
  unsigned index; /* of the worker */
} worker_streams_config;

/* Opens what the options ask for, into *|out|: NULL if they ask for nothing. Returns 0, or -1 with one line in |error|. */
int worker_streams_new(const worker_streams_config *config, streams **out, char error[OPTIONS_ERROR_MAX]);

/* Whether the options ask for any. */
bool worker_streams_wanted(const options *o);

/* ---- a hand-over: |s| may be NULL ---- */

/* Puts what |s| has, halted at |now|, into |p| for worker |index|. Returns NULL, or what went wrong: static text. */
const char *worker_streams_give(const streams *s, handover_parcel *p, unsigned index, fzr_time now,
                                unsigned *left);

/* Has |s| go on from what |p| has for worker |index|, once the engine is loaded. Returns 0, or -1 with one line in |error|. */
int worker_streams_load(streams *s, handover_parcel *p, unsigned index, const fzr_driver *driver,
                        char error[OPTIONS_ERROR_MAX]);

/* Ends allocations whose connection has not gone along, and begins to read. */
void worker_streams_take_over(streams *s, fzr_driver *driver, fzr_time now);

#endif
