/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of control requests, on their way from the workers to the exporter. A worker writes into a ring of its own that nobody else writes
 * to, without locks, waiting or memory; the main thread empties the rings. What finds a ring full is dropped and counted. */
#ifndef TELEMETRY_SPANS_H
#define TELEMETRY_SPANS_H

#include "firezone_relay/firezone_relay.h"

#define SPAN_SOFTWARE_MAX 127u

typedef struct span {
  uint8_t trace_id[16];
  uint8_t span_id[8];
  uint8_t txid[12];
  bool has_txid;
  uint8_t software_len;
  uint16_t method; /* STUN method */
  uint16_t error_code;
  uint16_t allocation; /* relayed port; 0: none */
  uint16_t channel;    /* 0: none */
  fzr_time start, end; /* CLOCK_MONOTONIC */
  fzr_addr sender;     /* family NONE: none */
  fzr_addr peer;
  uint8_t software[SPAN_SOFTWARE_MAX]; /* off the network */
} span;

typedef struct span_ring span_ring;

/* A ring for |capacity| spans, a power of two. When it becomes half full, |wake| (an eventfd; -1: none) is written to. NULL with errno
 * set if it can't be had. */
span_ring *span_ring_new(unsigned capacity, int wake);
void span_ring_free(span_ring *ring);

/* Records the request that |record| tells of, if it tells of one that was answered. Only by the ring's worker. The span's ids, for
 * log_set_span, are in *|trace_id| and *|span_id| until the next call; they are NULL if there is no span. |ring| may be NULL: nothing is
 * recorded. */
void span_ring_record(span_ring *ring, const fzr_log_record *record, const uint8_t **trace_id,
                      const uint8_t **span_id);

/* The oldest span, which stays where it is until span_ring_pop; NULL if there is none. Both only by the thread that empties the ring. */
const span *span_ring_first(const span_ring *ring);
/* Throws the oldest span away; there has to be one. */
void span_ring_pop(span_ring *ring);

/* How many found the ring full, since the start. Any thread. */
uint64_t span_ring_dropped(const span_ring *ring);

/* "handle_allocate_request" and the like. */
const char *span_name(const span *s);

#endif
