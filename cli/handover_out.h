/* SPDX-License-Identifier: Apache-2.0 */
/* This process gives its place to another one that asks for it at --handover-socket: on a thread of its own, for it waits for the workers and
 * for the other one, and the main thread goes on meanwhile. */
#ifndef RELAY_HANDOVER_OUT_H
#define RELAY_HANDOVER_OUT_H

#include "endpoints.h"
#include "options.h"
#include "workers.h"

#include <event2/event.h>

typedef struct handover_out handover_out;

typedef struct handover_out_config {
  struct event_base *base;
  workers *workers;
  const char *secret; /* by which the portal knows this relay; NULL: there is no portal */
  const endpoints *endpoints;
  const telemetry_past *past; /* for whoever goes on counting */
  /* On the loop: all was given away, at |went_at|: Unix time, nanoseconds. Nothing is read any more, and this process has to end. */
  void (*given)(void *ctx, uint64_t went_at);
  /* Later: the successor does not need this process any more; it has joined the portal, if there is one. */
  void (*released)(void *ctx);
  void *ctx;
} handover_out_config;

/* Makes a listener that nobody knows of yet: a relay that can't have one is not to take over from another. |options| must outlive it.
 * Returns NULL with one line in |error|. */
handover_out *handover_out_new(const options *options, char error[OPTIONS_ERROR_MAX]);

/* Can be found from now on. Returns 0, or -1 with one line in |error|: it can only be freed then. */
int handover_out_open(handover_out *out, const handover_out_config *config, char error[OPTIONS_ERROR_MAX]);

/* From now on everybody is refused: the relay is about to end. */
void handover_out_refuse(handover_out *out);

/* Gives up what is being handed over, and ends. The workers must still be there. NULL is fine. */
void handover_out_free(handover_out *out);

#endif
