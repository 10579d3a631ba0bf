/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter for clients on TCP and TLS: their connections, on a libevent loop, beside the adapter for UDP on one driver. One of these belongs to one
 * thread; what several share is stream_prefixes. */
#ifndef STREAM_STREAMS_H
#define STREAM_STREAMS_H

#include "common/stream_stats.h"
#include "firezone_relay/driver.h"
#include "firezone_relay/udp.h"
#include "net/tls_server.h"
#include "stream/prefixes.h"

#include <event2/event.h>

typedef struct streams streams;

/* The loop's priority of handshakes, for when there is nothing else to do. All else has the middle one of the STREAM_PRIORITIES that the loop has to
 * have, as libevent gives it. */
#define STREAM_SLOW_PRIORITY 2
#define STREAM_PRIORITIES    3

/* All of it stays the caller's, and must live until streams_free. */
typedef struct streams_config {
  struct event_base *base;
  fzr_driver *driver;
  const fzr_udp *
      udp; /* whose queues say whether clients send faster than their peers' sockets take it; NULL: there are none */
  void (*settled)(void *ctx); /* there was input: the driver's deadline may be another one */
  void *settled_ctx;
  stream_prefixes *prefixes;
  size_t queue_bytes; /* that may wait for one client */
  fzr_time idle;      /* after so long a connection without allocation, of which nothing comes, is closed */
  fzr_time age;       /* or after so long, whatever comes */
  fzr_time unread;    /* or when it has taken nothing of its answers for so long */
  uint32_t strangers; /* how many there may be without allocation; at least 1 */
  int end_fd;         /* connections have descriptors below this */
  /* The networks of those whose connections have to begin with a PROXY header of version 2; nobody else's may. Address and prefix alone count. */
  const fzr_peer_rule *proxies;
  size_t proxy_count;
} streams_config;

/* Makes an adapter that listens nowhere yet, and adds it to the driver. NULL without memory or descriptors. */
streams *streams_new(const streams_config *config);

/* From now on connections of TLS begin with |identity|, which is taken over. Those that there are go on with theirs. Before streams_listen for TLS, and
 * whenever there is a newer one. */
void streams_set_identity(streams *s, net_tls_identity *identity);

/* Listens on |addr| for connections of |kind|. |shared|: other workers do on the same, and |first| is the first of them, for which the port must be
 * free. Returns 0, or an errno. */
int streams_listen(streams *s, enum stream_kind kind, const fzr_addr *addr, bool shared, bool first);

/* Copies the figures of each kind. */
void streams_stats(const streams *s, stream_stats out[STREAM_KINDS]);

/* Leaves the driver and closes all connections, whose allocations end. NULL is fine. */
void streams_free(streams *s);

#endif
