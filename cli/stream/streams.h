/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter for clients on TCP and TLS: their connections, on a libevent loop, beside the adapter for UDP on one driver. One of these
 * belongs to one thread; what several share is stream_prefixes. */
#ifndef STREAM_STREAMS_H
#define STREAM_STREAMS_H

#include "common/stream_stats.h"
#include "firezone_relay/driver.h"
#include "firezone_relay/udp.h"
#include "handover/wire.h"
#include "net/tls_server.h"
#include "stream/prefixes.h"

#include <event2/event.h>

typedef struct streams streams;

/* The loop's priority of handshakes, for when there is nothing else to do. All else has the middle one of the STREAM_PRIORITIES that the
 * loop has to have, as libevent gives it. */
#define STREAM_SLOW_PRIORITY 2
#define STREAM_PRIORITIES    3

/* All of it stays the caller's, and must live until streams_free. */
typedef struct streams_config {
  struct event_base *base;
  fzr_driver *driver;
  const fzr_udp *
      udp; /* whose queues say whether clients send faster than their peers' sockets take it; NULL: there are none */
  void (*settled)(void *ctx, fzr_time now); /* there was input: the driver's deadline may be another one */
  void *settled_ctx;
  stream_prefixes *prefixes;
  size_t queue_bytes; /* that may wait for one client */
  fzr_time idle;      /* after so long a connection without allocation, of which nothing comes, is closed */
  fzr_time age;       /* or after so long, whatever comes */
  fzr_time unread;    /* or when it has taken nothing of its answers for so long */
  uint32_t strangers; /* how many there may be without allocation; at least 1 */
  int end_fd;         /* connections have descriptors below this */
  /* The networks of those whose connections have to begin with a PROXY header of version 2; nobody else's may. Address and prefix alone
   * count. */
  const fzr_peer_rule *proxies;
  size_t proxy_count;
} streams_config;

/* Makes an adapter that listens nowhere yet, and adds it to the driver. NULL without memory or descriptors. */
streams *streams_new(const streams_config *config);

/* From now on connections of TLS begin with |identity|, which is taken over. Those that there are go on with theirs. Before
 * streams_listen for TLS, and whenever there is a newer one. */
void streams_set_identity(streams *s, net_tls_identity *identity);

/* Listens on |addr| for connections of |kind|. |shared|: other workers do on the same, and |first| is the first of them, for which the
 * port must be free. Returns 0, or an errno. */
int streams_listen(streams *s, enum stream_kind kind, const fzr_addr *addr, bool shared, bool first);

/* ---- a hand-over ---- */

/* One for each family and kind. */
#define STREAM_LISTENERS (2 * STREAM_KINDS)

/* Nothing is accepted, read or written from now on, until streams_go_on; what could be written was. Whoever frees it meanwhile closes
 * descriptors, and ends no connection that somebody else has, too. */
void streams_halt(streams *s);
void streams_go_on(streams *s);

/* How many connections have an allocation. Any thread. */
unsigned streams_clients(const streams *s, enum stream_kind kind);

/* The listening sockets, which stay the adapter's. Returns how many. */
size_t streams_listeners(const streams *s, int out[STREAM_LISTENERS]);
/* Has |fd|, which listens, in the place of one that streams_listen would open. It is taken over. Returns 0 or ENOMEM. */
int streams_adopt_listener(streams *s, enum stream_kind kind, int fd);

/* Writes connections and counters of |s|, which is halted at |now|, to |file|. |add| is called with |ctx| for the socket of each, in the order of the
 * file; it stays the adapter's. Connections whose TLS handshake is under way can't go along: mbedTLS has their keys; *|left| is how many. Returns whether
 * |add| always returned true. */
bool streams_save(const streams *s, handover_file *file, fzr_time now, bool (*add)(void *ctx, int fd),
                  void *ctx, unsigned *left);

/* Goes on from the |len| bytes at |data|, which were saved at |now| of this process's clock, with the |n| sockets |fds|: those of the
 * connections in order, which are taken over in any case. |s| is new, its engine loaded, and halted then. Returns NULL, or what went
 * wrong, static text: it is of no use then. */
const char *streams_load(streams *s, const uint8_t *data, size_t len, const int *fds, size_t n, fzr_time now);

/* Another process has got what was saved: closes descriptors, those of who is left included. Only streams_free may follow. */
void streams_leave(streams *s);

/* Whether there is a connection of that 5-tuple. */
bool streams_has(streams *s, const fzr_addr *client, const fzr_addr *server);

/* Copies the figures of each kind. */
void streams_stats(const streams *s, stream_stats out[STREAM_KINDS]);

/* Leaves the driver and closes all connections, whose allocations end. NULL is fine. */
void streams_free(streams *s);

#endif
