/* SPDX-License-Identifier: Apache-2.0 */
/* What a session has to say in one turn, written to the socket right away: without copies of what is large, and without waiting for the
 * loop to find the socket writable. What the socket does not take goes to the bufferevent. */
#ifndef GRPC_OUTPUT_H
#define GRPC_OUTPUT_H

#include "net/tls.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <event2/bufferevent.h>

#define GRPC_OUTPUT_PARTS 16u
#define GRPC_OUTPUT_SMALL 1024u

typedef struct grpc_output {
  struct bufferevent *bev;
  net_tls *tls; /* encrypts all, and writes to the bufferevent by itself; NULL: none */
  struct iovec parts[GRPC_OUTPUT_PARTS];
  unsigned count;
  size_t bytes; /* in all parts */
  uint8_t small[GRPC_OUTPUT_SMALL];
  size_t used;
} grpc_output;

void grpc_output_begin(grpc_output *o, struct bufferevent *bev, net_tls *tls);

/* Adds |len| bytes: a copy of them; or themselves, which have to stay until the end. Return 0, or -1 if memory is out. */
int grpc_output_copy(grpc_output *o, const uint8_t *bytes, size_t len);
int grpc_output_refer(grpc_output *o, const uint8_t *bytes, size_t len);

/* Returns 0, or -1 if memory is out or TLS failed. That the connection is gone the bufferevent will tell. */
int grpc_output_end(grpc_output *o);

#endif
