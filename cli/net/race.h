/* SPDX-License-Identifier: Apache-2.0 */
/* Connects to the first of several addresses that answers: they are tried in turn, the next one when the one before has failed or
 * taken a quarter of a second, and the others are closed when one has connected (RFC 8305 section 5). */
#ifndef NET_RACE_H
#define NET_RACE_H

#include "firezone_relay/types.h"

#include <event2/event.h>

#define NET_RACE_STAGGER (250 * FZR_MILLISECOND)

typedef struct net_race net_race;

/* Called once, within the event loop: a connected, non-blocking socket that is now the callee's, and the address it is connected
 * to; or -1, and in |error| how the last of the addresses failed. The race may be freed in it. */
typedef void (*net_raced)(void *ctx, int fd, const fzr_addr *addr, const char *error);

/* Starts connecting to the |count| addresses at |addrs| (copied; NET_MAX_ADDRS at most are used), each for |timeout| at most. The
 * callback is never called from within. Returns NULL if memory is out. */
net_race *net_race_new(struct event_base *base, const fzr_addr *addrs, size_t count, fzr_time timeout,
                       net_raced done, void *ctx);

/* Ends it if it still goes on; the callback will not be called. NULL is allowed. */
void net_race_free(net_race *race);

#endif
