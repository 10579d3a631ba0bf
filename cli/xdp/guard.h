/* SPDX-License-Identifier: Apache-2.0 */
/* What the BPF program has to know to drop what user space would drop. It begins to drop once all that lives is known to it. */
#ifndef XDP_GUARD_H
#define XDP_GUARD_H

#include "firezone_relay/firezone_relay.h"
#include "object.h"

#include <pthread.h>

typedef struct xdp_guard {
  const xdp_object *object;
  bool on;
  bool ports;        /* peers without a channel are strangers: there are no permissions */
  fzr_addr bound[2]; /* what the relay's sockets are bound to, IPv4 and IPv6; family NONE: to no address */
  bool idle[2];      /* the relay has no sockets of that family: other programs may have all its ports */
  unsigned unlisted; /* workers that have yet to tell of all their channels */
  bool unknown; /* there was no room for a client: those that are not known may have channels all the same */
  bool held;    /* nothing is dropped */
  pthread_mutex_t lock;
} xdp_guard;

/* Begins to know, of |workers|; |object| stays the caller's. */
void xdp_guard_init(xdp_guard *guard, const xdp_object *object, unsigned workers);
void xdp_guard_free(xdp_guard *guard);

/* Takes note of a channel that was bound or unbound, and that is, or was, |in_kernel|. Before that is answered, after it was put into the
 * maps, or taken out of them. Any thread. */
void xdp_guard_channel(xdp_guard *guard, const fzr_event *event, bool in_kernel);

/* A channel that goes on as another one (FZR_EVENT_GOES_ON) is about to be taken out of the maps, or, with |spared| false, is in them again: in between
 * nothing that is sent to its port is dropped. Any thread. */
void xdp_guard_spare(xdp_guard *guard, const fzr_event *event, bool spared);

/* A worker has told of all channels that there were. The last one has the program begin. Any thread. */
void xdp_guard_listed(xdp_guard *guard);

/* Reads which addresses the host has. Any thread. */
void xdp_guard_refresh(xdp_guard *guard);

/* Has the program drop nothing while |held|: where this process is handed over, the other one has clients that are not known here, and this program judges
 * their packets until its own takes its place. Any thread. */
void xdp_guard_hold(xdp_guard *guard, bool held);

#endif
