/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts a UDP adapter in a libevent loop. */
#ifndef RELAY_EVENT_GLUE_H
#define RELAY_EVENT_GLUE_H

#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/udp.h"

#include <event2/event.h>

#include <stdatomic.h>

typedef struct event_glue event_glue;

/* Makes the glue for |base|, which has STREAM_PRIORITIES. Returns it, or NULL without memory or descriptors. */
event_glue *event_glue_new(struct event_base *base);
/* Has the loop turn to other events than packets soon while |*waits| is not 0. */
void event_glue_make_way(event_glue *glue, const atomic_uint *waits);
/* Fills in the callbacks of |config|; call before fzr_udp_new. */
void event_glue_configure(event_glue *glue, fzr_udp_config *config);
/* Serves |udp| from now on: readiness and deadlines. Returns 0 or -1. */
int event_glue_start(event_glue *glue, fzr_udp *udp);
/* Serves it no more, until event_glue_restart. */
void event_glue_stop(event_glue *glue);
/* Serves it again. Returns 0, or -1 with errno: then it tries again by itself, until the loop can watch it. */
int event_glue_restart(event_glue *glue);
/* The driver had input by another adapter |now|, once for each connection that was read: its deadline may be another one; that adapter's events get
 * their turn as often as packets do; and if such input comes fast, the loop may sleep for a moment when there is nothing more to do. */
void event_glue_follow(event_glue *glue, fzr_time now);
/* Descriptors that are for clients are below this. */
int event_glue_end_fd(const event_glue *glue);
/* Frees it; after fzr_udp_free. */
void event_glue_free(event_glue *glue);

#endif
