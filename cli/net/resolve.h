/* SPDX-License-Identifier: Apache-2.0 */
/* Looks names up without blocking: getaddrinfo on a thread of its own, so that /etc/hosts, nsswitch.conf and resolv.conf count as
 * they do for every other program. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "firezone_relay/types.h"

#include <netdb.h>

#include <event2/event.h>

#define NET_MAX_ADDRS 16

typedef struct net_resolver net_resolver;

/* Called once per look-up, within the event loop: |count| addresses at |addrs|, or none and what went wrong in |error|. */
typedef void (*net_resolved)(void *ctx, const fzr_addr *addrs, size_t count, const char *error);

/* What does the look-up; getaddrinfo or a test's. Called on the other thread. */
typedef int (*net_lookup)(const char *node, const char *service, const struct addrinfo *hints,
                          struct addrinfo **out);

/* |host| is copied; |lookup| NULL: getaddrinfo. Returns NULL if memory or descriptors are out. */
net_resolver *net_resolver_new(struct event_base *base, const char *host, uint16_t port, net_lookup lookup);

/* A look-up that has not come back is abandoned: its thread ends when it does. */
void net_resolver_free(net_resolver *resolver);

/* Looks the name up. If the thread of an earlier, cancelled look-up is still at it, its result is taken: there is one
 * thread at most, however slow the name server. Returns 0, or -1 with errno set if no thread can be had. */
int net_resolver_start(net_resolver *resolver, net_resolved done, void *ctx);

/* The callback will not be called. */
void net_resolver_cancel(net_resolver *resolver);

/* Orders addresses for connecting to them in turn: as they are, but families alternate, so that a broken one costs little (RFC
 * 8305 section 4). */
void net_interleave(fzr_addr *addrs, size_t count);

#endif
