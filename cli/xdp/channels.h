/* SPDX-License-Identifier: Apache-2.0 */
/* Channels in the BPF program's maps. */
#ifndef XDP_CHANNELS_H
#define XDP_CHANNELS_H

#include "firezone_relay/firezone_relay.h"
#include "guard.h"
#include "object.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Why a channel stays in user space. */
enum xdp_left {
  XDP_LEFT_OWN_ADDRESS =
      0,               /* client or peer is on one of our own addresses: the packet would not come back */
  XDP_LEFT_LINK_LOCAL, /* addresses that mean something on one link only */
  XDP_LEFT_NO_SOURCE,  /* no route to the peer, or none of our addresses known */
  XDP_LEFT_FULL,       /* the map is */
  XDP_LEFT_TAKEN,      /* the same client has that channel at another address of ours */
  XDP_LEFT_ERROR,
  XDP_LEFT_REASONS
};

const char *xdp_left_name(unsigned reason);

/* Where channels are put, by any thread. */
typedef struct xdp_channels {
  const xdp_object *object;
  xdp_guard guard;
  fzr_addr own_ip4,
      own_ip6; /* where packets leave from, of sockets that are bound to none; family NONE: as the routing table says */
  atomic_uint_least64_t in_kernel;
  atomic_uint_least64_t left[XDP_LEFT_REASONS];
  atomic_bool held;      /* events are passed over: they are another process's */
  atomic_bool inherits;  /* until xdp_channels_settle */
  pthread_mutex_t lock;  /* of what follows */
  struct xdp_told *told; /* the keys of channels that were told of while it inherits */
  size_t told_count, told_room;
} xdp_channels;

/* The maps are another process's, and it has channels in them: those that are told of from now on stay, and are not looked at twice. */
void xdp_channels_inherit(xdp_channels *channels);

/* All that are there have been told of, if |all|: others are removed. */
void xdp_channels_settle(xdp_channels *channels, bool all);

void xdp_channels_free(xdp_channels *channels);

/* Takes up a channel, or forgets it. |local| is the address that its allocation's socket is bound to; a wildcard or NULL: to none. */
void xdp_channels_event(xdp_channels *channels, const fzr_event *event, const fzr_addr *local);

#endif
