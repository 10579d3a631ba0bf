/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP/1.1 server on libevent's evhttp, for health checks, metrics and control. Everything runs on the thread of its event
 * base; handlers answer at once. What a stranger can cost is bounded: 8 KiB of header, 16 KiB of body, 10 s without progress, little
 * that was read while an answer waits, and a number of connections over which one of the address (of IPv6: the /64) that has the
 * most is closed: that whose last progress (it came, a whole request, an answer) is longest ago. Without descriptors it goes on with
 * fewer connections. */
#ifndef CLI_HTTP_SERVER_H
#define CLI_HTTP_SERVER_H

#include "firezone_relay/types.h"

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/http.h>

#define HTTP_MAX_HEADER          8192
#define HTTP_MAX_BODY            16384
#define HTTP_IDLE_SECONDS        10
#define HTTP_DEFAULT_CONNECTIONS 64

typedef struct http_server http_server;

/* A request as a handler sees it; all of it is valid during the call only. */
typedef struct http_request {
  enum evhttp_cmd_type method; /* what the client sent; a GET route sees EVHTTP_REQ_HEAD too */
  const char *path;            /* percent-decoded, no query */
  const uint8_t *body;         /* not terminated */
  size_t body_len;
  const struct evkeyvalq *query; /* percent-decoded parameters; see http_query */
} http_request;

/* What a handler answers. It is all zero before the call, but for status (200) and content_type ("text/plain; charset=utf-8"). */
typedef struct http_response {
  int status;
  const char *content_type;
  const char *header[2]; /* name and value of one more; NULL: none */
  struct evbuffer *body; /* empty; the handler adds to it */
} http_response;

typedef void (*http_handler)(void *ctx, const http_request *request, http_response *response);

/* The value of the query parameter |name| (the first one of that name), or NULL. Valid as long as |request|. */
const char *http_query(const http_request *request, const char *name);

/* Makes |form| empty. (libevent's header does that with sys/queue.h's macros, which not every C library has.) */
void http_form_init(struct evkeyvalq *form);

/* Reads |text|, a=b&c=d percent-encoded, into |out|, which evhttp_clear_headers empties. Returns 0, or -1 if it can't be read. */
int http_parse_form(const char *text, struct evkeyvalq *out);

/* Makes a server that listens on |addr| (port 0: any free one) within |base|. It answers 404 until routes are added.
 * |max_connections| is how many may be open at once; 0 means HTTP_DEFAULT_CONNECTIONS.
 * Returns NULL if it can't, with errno set (EADDRINUSE, EACCES, EADDRNOTAVAIL, ENOMEM, ...). */
http_server *http_server_new(struct event_base *base, const fzr_addr *addr, unsigned max_connections);

/* The same with a listening socket that there is, such as another process has had, or one of local.h. |fd| is the server's if it returns one. */
http_server *http_server_adopt(struct event_base *base, int fd, unsigned max_connections);

/* The listening socket, which stays the server's. */
int http_server_fd(const http_server *server);

/* Accepts no connection more: those that come wait for another process that has the same socket. */
void http_server_refuse_new(http_server *server);

/* Closes all connections and the listener. NULL is allowed. Must not be called from within a handler. */
void http_server_free(http_server *server);

/* The address that |server| listens on, with the port it really has; of no family if it is one of local.h. */
fzr_addr http_server_addr(const http_server *server);

/* Calls |handler| with |ctx| for requests of |method| (one of EVHTTP_REQ_...; a GET route answers HEAD too) to |path|, which is
 * compared exactly; one that ends with a slash is for all that is below it, too. A known path asked with another method is answered 405 with an Allow header, an unknown one 404. |path|
 * is copied.
 * Returns 0, or -1 with errno set to ENOMEM or, if that route exists already, EEXIST. */
int http_server_route(http_server *server, enum evhttp_cmd_type method, const char *path,
                      http_handler handler, void *ctx);

/* Called when a connection waited that could not be accepted: why, as an errno of accept (EMFILE and ENFILE: there are no descriptors),
 * and how many others were |ended| for it. */
typedef void (*http_shortage)(void *ctx, int error, unsigned ended);

/* Calls |on_shortage| with |ctx| each time. */
void http_server_on_shortage(http_server *server, http_shortage on_shortage, void *ctx);

/* How many connections are open: for tests and metrics. */
unsigned http_server_connections(http_server *server);

#endif
