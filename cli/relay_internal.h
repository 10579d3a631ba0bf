/* SPDX-License-Identifier: Apache-2.0 */
/* The relay as its own files see it: relay.c, and relay_reload.c for what is read anew while it runs. */
#ifndef RELAY_RELAY_INTERNAL_H
#define RELAY_RELAY_INTERNAL_H

#include "endpoints.h"
#include "handover_in.h"
#include "handover_out.h"
#include "portal/portal.h"
#include "relay.h"
#include "reload.h"
#include "workers.h"

#include <event2/event.h>

typedef struct relay {
  const options *o;
  reload reread; /* what of them has changed since */
  logins *logins;
  certificates *certificates; /* NULL: there is no TLS port */
  struct event_base *base;
  telemetry *telemetry;
  endpoints endpoints;
  endpoints_config endpoints_config;
  portal *portal;   /* NULL: standalone */
  workers *workers; /* NULL: the portal has not said yet that relaying may begin */
  handover_in in;   /* what was taken over from another process */
  unsigned inherited_workers;
  telemetry_past past;
  handover_out *out; /* NULL: nobody can take over */
  int told;          /* who waits for this process to have taken over; -1: nobody */
  struct event *terminate, *interrupt, *reload, *stats, *drain, *certificate, *settle;
  uint64_t last_bytes;
  fzr_time last_stats;
  fzr_time told_full;     /* that there is no room; 0: never */
  fzr_time shutdown_at;   /* when to stop waiting; FZR_TIME_NEVER: never */
  uint64_t drain_packets; /* relayed so far, when a shutdown last looked */
  fzr_time drain_relayed; /* when that had last grown, or was not known */
  bool begun;             /* the loop has run: there may be something to flush */
  bool draining;
  bool signalled;         /* by a signal */
  bool refused;           /* by the portal, after it had taken over, and before it had joined */
  bool released;          /* the successor does not need this process */
  fzr_time joining_until; /* until then the process that was taken over is at the portal for this one */
  bool handed;            /* all was given to another process */
  bool at_once;           /* a second signal came */
  bool ended;
  bool said_ready; /* to the service manager */
  int status;
} relay;

/* Has the workers log what the log's filter wants now. |ctx|: the relay. */
void relay_follow_filter(void *ctx);

/* Have events call them: SIGHUP, and the time to look at the certificate's files. |ctx|: the relay. */
void relay_on_reload(evutil_socket_t fd, short what, void *ctx);
void relay_on_certificate(evutil_socket_t fd, short what, void *ctx);

/* Gives workers that have begun what was read anew before. */
void relay_follow_reload(relay *r);

#endif
