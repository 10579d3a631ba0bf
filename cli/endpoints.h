/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's own HTTP listeners: health and metrics on one address, control on another. */
#ifndef RELAY_ENDPOINTS_H
#define RELAY_ENDPOINTS_H

#include "handover/parcel.h"
#include "http/control.h"
#include "http/health.h"
#include "options.h"
#include "telemetry/telemetry.h"

typedef struct endpoints {
  http_server *health_server, *control_server;
  struct health *health;
  struct control *control;
  fzr_time told;            /* that descriptors are short; 0: not yet */
  unsigned long long ended; /* connections, for that, since */
} endpoints;

/* Opens both. Returns 0, or -1 with one line in |error|; endpoints_close is due in both cases. |filter_changed| is
 * called with source->ctx when the log's filter was changed. Listeners
 * are taken out of |inherited|, which may be NULL, where they are on the addresses that |o| has. */
int endpoints_open(endpoints *e, const options *o, struct event_base *base, const health_source *source,
                   telemetry *t, void (*filter_changed)(void *ctx), handover_parcel *inherited,
                   char error[OPTIONS_ERROR_MAX]);

/* The ports that they have: health, control. */
void endpoints_ports(const endpoints *e, uint16_t out[2]);

/* Their listeners, which stay theirs. */
void endpoints_give(const endpoints *e, int *health, int *control);

/* Accepts nothing more: what comes waits for another process that has the same listeners. */
void endpoints_refuse_new(const endpoints *e);

/* Whether all connections have ended. */
bool endpoints_are_idle(const endpoints *e);

void endpoints_close(endpoints *e);

#endif
