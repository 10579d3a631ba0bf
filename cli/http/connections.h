/* SPDX-License-Identifier: Apache-2.0 */
/* The open connections of an HTTP server, and which of them has to go when there are too many. */
#ifndef CLI_HTTP_CONNECTIONS_H
#define CLI_HTTP_CONNECTIONS_H

#include <stdbool.h>

#include <event2/bufferevent.h>

/* How much is read of a connection before what was read is understood: a whole body, or a header that is too long. evhttp goes on reading
 * while it answers, so that without this bound requests that come faster than their answers are taken would all be kept. */
#define HTTP_MAX_UNREAD 20480

typedef struct http_connections http_connections;

/* An empty list for at most |most| connections; NULL if memory is out. */
http_connections *http_connections_new(struct event_base *base, unsigned most);
/* Connections stay as they are. NULL is allowed. */
void http_connections_free(http_connections *list);

/* What evhttp asks for when it is about to accept a connection (evhttp_set_bevcb): its bufferevent, which will be in the list, at the
 * latest in the loop's next turn. If that is one too many, another one ends, of the address that has the most. |list| is a
 * http_connections. */
struct bufferevent *http_connections_accept(struct event_base *base, void *list);

/* The connection with the socket |fd| has a whole request (|answering|), or its answer went out. Until then a connection waits. */
void http_connections_progress(http_connections *list, int fd, bool answering);

/* No descriptors are left: ends half of the connections, but none that has a request which was not looked at yet, and takes no more than
 * the others until http_connections_grow. Returns how many. */
unsigned http_connections_shrink(http_connections *list);

/* Doubles what is taken. Returns whether that is again all that was said at the start. */
bool http_connections_grow(http_connections *list);

unsigned http_connections_count(http_connections *list);

#endif
