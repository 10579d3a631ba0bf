/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the relay over TCP or TLS, and the messages on it. */
#ifndef PROBE_STREAM_H
#define PROBE_STREAM_H

#include "flows.h"
#include "udp.h"

typedef struct probe_stream probe_stream;

/* Begins to connect to |to|, and with |tls|, which has to stay, to speak it; NULL: none. NULL without memory. */
probe_stream *probe_stream_new(const fzr_addr *to, const probe_tls_config *tls);
/* Nothing is read or sent any more, and nobody is told. It may be called by |got| of probe_stream_go_on, where it can't be freed. */
void probe_stream_end(probe_stream *s);
/* NULL is fine. */
void probe_stream_free(probe_stream *s);

/* What to wait for. */
int probe_stream_fd(const probe_stream *s);
short probe_stream_events(const probe_stream *s);

/* What it reads at a time, at the most: what is left has to be waited for, and is there at once. */
#define PROBE_STREAM_BYTES 65536u
#define PROBE_STREAM_READS 256u

/* After that was there: goes on, and hands messages to |got|. */
void probe_stream_go_on(probe_stream *s, probe_got *got, void *ctx);

/* Whether it can be used, from |local|. */
bool probe_stream_is_open(const probe_stream *s, fzr_addr *local);

/* What it failed by; NULL: it has not. */
const char *probe_stream_failure(const probe_stream *s, enum probe_failure *why);

/* Sends a message, padded as it has to be. What does not fit is lost. */
void probe_stream_send(probe_stream *s, const uint8_t *data, size_t len);

#endif
