/* SPDX-License-Identifier: Apache-2.0 */
/* Looks names up without blocking: getaddrinfo on a thread of its own, so that /etc/hosts, nsswitch.conf and resolv.conf count as
 * they do for every other program. */
#ifndef PORTAL_RESOLVE_H
#define PORTAL_RESOLVE_H

#include <netdb.h>

#include <event2/event.h>

#include "firezone_relay/types.h"

#define PORTAL_MAX_ADDRS 16

typedef struct portal_resolver portal_resolver;

/* Called once per look-up, within the event loop: |count| addresses at |addrs|, or none and what went wrong in |error|. */
typedef void (*portal_resolved)(void *ctx, const fzr_addr *addrs, size_t count, const char *error);

/* What does the look-up; getaddrinfo or a test's. Called on the other thread. */
typedef int (*portal_lookup)(const char *node, const char *service, const struct addrinfo *hints,
                             struct addrinfo **out);

/* |host| is copied; |lookup| NULL: getaddrinfo. Returns NULL if memory or descriptors are out. */
portal_resolver *portal_resolver_new(struct event_base *base, const char *host, uint16_t port,
                                     portal_lookup lookup);

/* A look-up that has not come back is abandoned: its thread ends when it does. */
void portal_resolver_free(portal_resolver *resolver);

/* Looks the name up. If the thread of an earlier, cancelled look-up is still at it, its result is taken: there is one
 * thread at most, however slow the name server. Returns 0, or -1 with errno set if no thread can be had. */
int portal_resolver_start(portal_resolver *resolver, portal_resolved done, void *ctx);

/* The callback will not be called. */
void portal_resolver_cancel(portal_resolver *resolver);

/* Orders addresses for connecting to them in turn: as they are, but families alternate, so that a broken one costs little (RFC
 * 8305 section 4). */
void portal_interleave(fzr_addr *addrs, size_t count);

#endif
