/* SPDX-License-Identifier: Apache-2.0 */
/* Connections as bytes, with which another process goes on: eight bytes of head, and records, each with its type and length in front,
 * little-endian. A reader passes over types that it does not know, and over what a record has behind what it knows. There are keys of
 * TLS in it, and data of clients. */
#ifndef STREAM_PARCEL_H
#define STREAM_PARCEL_H

#include "common/stream_stats.h"
#include "firezone_relay/types.h"
#include "handover/wire.h"
#include "net/tls.h"
#include "stream/queue.h"

enum stream_saved_flag {
  STREAM_SAVED_CLOSING = 1, /* as the members of stream_connection */
  STREAM_SAVED_SHUT = 2,
  STREAM_SAVED_OVER = 4,
  STREAM_SAVED_BLOCKED = 8,
  STREAM_SAVED_ARRIVAL =
      16 /* its PROXY header has not come: |client| is the balancer, |held| what has come of it */
};

/* A connection. Times are of this process's clock. */
typedef struct stream_saved {
  uint64_t cookie; /* the kernel's number of its socket; 0: it has none */
  enum stream_kind kind;
  unsigned flags;
  fzr_addr client, server;
  fzr_time heard, stranger_since, closing_since, blocked_at;
  const uint8_t *held; /* of a message that has come in part */
  size_t held_len;
  const uint8_t *waits; /* for the socket to take it */
  size_t waits_len, begun;
  uint32_t marked;
  stream_mark marks[STREAM_QUEUE_MARKS]; /* positions from the first of |waits| on */
  const uint8_t *tls;                    /* what net_tls_load takes; reading alone */
  size_t tls_len;                        /* 0: there is none */
} stream_saved;

/* Begins a file. */
void stream_parcel_begin(handover_file *file);
/* The counters of |kind|; its gauges do not go along. */
void stream_parcel_put_stats(handover_file *file, enum stream_kind kind, const stream_stats *stats);
/* A connection as it is at |now|, with the state of |tls|, if that is not NULL. */
void stream_parcel_put(handover_file *file, const stream_saved *saved, const net_tls *tls, fzr_time now);

/* Reads the |len| bytes of |data|, which were written at |now|: counters into |stats|, which are added to nothing else, and |each| is
 * called with |ctx| for the connections, in order. Returns NULL, or what is wrong, or what |each| has returned: static text. */
const char *stream_parcel_read(const uint8_t *data, size_t len, fzr_time now,
                               stream_stats stats[STREAM_KINDS],
                               const char *(*each)(void *ctx, const stream_saved *saved), void *ctx);

#endif
