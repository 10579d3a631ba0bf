/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection to the server by TCP or TLS: whole messages out and in. What is measured is the server's work, so many messages
 * cost the generator one system call, and its framing is its own, which the server's is to agree with. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include "firezone_relay/types.h"

#include <stdbool.h>

typedef struct wire wire;

/* Whether this was built with TLS. */
bool wire_has_tls(void);

/* Begins to connect to |server|, by what its transport says. NULL with errno set. */
wire *wire_open(const fzr_addr *server);
void wire_close(wire *w);
int wire_fd(const wire *w);

/* Goes on with connecting and the TLS handshake. Returns 1 when both are done, 0 while they wait for the socket, -1 when they have
 * failed, with errno as wire_wait has it. */
int wire_shake(wire *w);
/* Whether it waits until it may write, and not for what comes. */
bool wire_wants_write(const wire *w);
/* Waits until they are done, 10 s at most. Returns 0, or -1 with errno set: EPROTO if there is a connection, but no TLS handshake came
 * about. */
int wire_wait(wire *w);

/* Sends the |n| messages of |len| bytes each that are behind each other at |data|, padded as a stream wants it: by TLS each in a record
 * of its own, as clients do, and all with one call. Returns false if that is none of them, for others wait still. */
bool wire_send(wire *w, const uint8_t *data, size_t len, unsigned n);
/* Goes on with what waits. Returns whether all has gone out. */
bool wire_flush(wire *w);

/* Reads what has come, and gives each whole message to |take|, without what pads a channel's. Returns false when the connection has
 * ended. */
bool wire_read(wire *w, void (*take)(void *ctx, const uint8_t *data, uint32_t len), void *ctx);

#endif
