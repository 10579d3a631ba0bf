/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include "common/clock.h"
#include "firezone_relay/socket.h"
#include "http/connections.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

/* How many connections may wait for the loop. Where a burst finds no room, all in it try again in a second or more, and checks with
 * them. */
#define BACKLOG     4096
#define ALL_METHODS 0x1ff
/* Without descriptors: how long nothing is accepted, so that those that are closed come back; how often a reserve is looked for. */
#define PAUSE (10 * FZR_MILLISECOND)
#define RETRY FZR_SECOND

typedef struct route {
  struct route *next;
  enum evhttp_cmd_type method;
  http_handler handler;
  void *ctx;
  char path[];
} route;

struct http_server {
  struct http_server *next; /* of all */
  struct evhttp *http;
  struct evconnlistener *listener;
  http_connections *connections;
  route *routes;
  struct event *retry;
  int reserve; /* a descriptor for whoever asks when there is no other left; -1: given away */
  http_shortage on_shortage;
  void *ctx;
  fzr_addr addr;
};

/* A listener's callback for errors gets evhttp as its context, which does not know us. For the main thread alone. */
static http_server *all_servers;

static const char *method_name(enum evhttp_cmd_type method)
{
  switch (method) {
  case EVHTTP_REQ_GET:
    return "GET, HEAD";
  case EVHTTP_REQ_POST:
    return "POST";
  case EVHTTP_REQ_PUT:
    return "PUT";
  case EVHTTP_REQ_DELETE:
    return "DELETE";
  default:
    return "";
  }
}

static void answer_text(struct evhttp_request *req, int status, const char *text)
{
  /* An answer to HEAD has no body, whatever it says (RFC 9110, 9.3.2): evhttp would send one. */
  struct evbuffer *body = evhttp_request_get_command(req) != EVHTTP_REQ_HEAD ? evbuffer_new() : NULL;
  if (body)
    evbuffer_add_printf(body, "%s\n", text);
  evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "text/plain; charset=utf-8");
  evhttp_send_reply(req, status, NULL, body);
  if (body)
    evbuffer_free(body);
}

void http_form_init(struct evkeyvalq *form)
{
  form->tqh_first = NULL;
  form->tqh_last = &form->tqh_first;
}

static void answer_by(const route *found, struct evhttp_request *req, const char *path)
{
  struct evkeyvalq query;
  const char *raw = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
  http_form_init(&query);
  if (raw && http_parse_form(raw, &query) != 0) {
    answer_text(req, 400, "bad query");
    return;
  }
  struct evbuffer *in = evhttp_request_get_input_buffer(req);
  http_request request = {
      .method = evhttp_request_get_command(req),
      .path = path,
      .body = evbuffer_pullup(in, -1),
      .body_len = evbuffer_get_length(in),
      .query = &query,
  };
  http_response response = {
      .status = 200, .content_type = "text/plain; charset=utf-8", .body = evbuffer_new()};
  if (!response.body) {
    answer_text(req, 500, "out of memory");
  } else {
    found->handler(found->ctx, &request, &response);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    evhttp_add_header(headers, "Content-Type", response.content_type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    if (response.header[0])
      evhttp_add_header(headers, response.header[0], response.header[1]);
    if (request.method == EVHTTP_REQ_HEAD)
      evbuffer_drain(response.body, evbuffer_get_length(response.body));
    evhttp_send_reply(req, response.status, NULL, response.body);
    evbuffer_free(response.body);
  }
  evhttp_clear_headers(&query);
}

static void note_progress(http_server *server, struct evhttp_request *req, bool answering)
{
  struct evhttp_connection *connection = evhttp_request_get_connection(req);
  struct bufferevent *bev = connection ? evhttp_connection_get_bufferevent(connection) : NULL;
  if (bev)
    http_connections_progress(server->connections, bufferevent_getfd(bev), answering);
}

static void on_answered(struct evhttp_request *req, void *ctx)
{
  note_progress(ctx, req, false);
}

static bool is_for(const route *r, const char *path)
{
  const size_t len = strlen(r->path);
  return strncmp(r->path, path, len) == 0 && (!path[len] || (len && r->path[len - 1] == '/'));
}

static void on_request(struct evhttp_request *req, void *ctx)
{
  http_server *server = ctx;
  const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
  const char *raw = uri ? evhttp_uri_get_path(uri) : NULL;
  char *path = raw ? evhttp_uridecode(raw, 0, NULL) : NULL;
  enum evhttp_cmd_type method = evhttp_request_get_command(req);
  if (method == EVHTTP_REQ_HEAD)
    method = EVHTTP_REQ_GET;
  const route *found = NULL;
  bool known = false;
  note_progress(server, req, true);
  evhttp_request_set_on_complete_cb(req, on_answered, server);
  for (const route *r = server->routes; path && r; r = r->next) {
    if (!is_for(r, path))
      continue;
    known = true;
    if (r->method == method)
      found = r;
    else
      evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", method_name(r->method));
  }
  if (found) {
    evhttp_remove_header(evhttp_request_get_output_headers(req), "Allow");
    answer_by(found, req, path);
  } else if (known) {
    answer_text(req, 405, "method not allowed");
  } else {
    answer_text(req, 404, "not found");
  }
  free(path);
}

int http_parse_form(const char *text, struct evkeyvalq *out)
{
  /* Parameters are strings: what follows a zero byte would be lost without a word. */
  return strstr(text, "%00") ? -1 : evhttp_parse_query_str(text, out);
}

const char *http_query(const http_request *request, const char *name)
{
  return evhttp_find_header(request->query, name);
}

/* A listening socket on server->addr, whose port is then the real one; or -1 with errno set. */
static int listen_on(http_server *server)
{
  fzr_sockaddr name;
  socklen_t len = fzr_addr_to_sockaddr(&server->addr, &name);
  int on = 1;
  int fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || bind(fd, &name.any, len) != 0 ||
      listen(fd, BACKLOG) != 0 || getsockname(fd, &name.any, &len) != 0) {
    int err = errno;
    close(fd);
    errno = err;
    return -1;
  }
  fzr_addr real;
  if (!fzr_addr_from_sockaddr(&name.any, len, &real))
    server->addr.port = real.port;
  return fd;
}

/* ---- without descriptors ---- */

static void retry_in(http_server *server, fzr_time wait)
{
  const struct timeval tv = timeval_of(wait);
  event_add(server->retry, &tv);
}

static void keep_reserve(http_server *server)
{
  if (server->reserve < 0)
    server->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
  http_server *server = ctx;
  (void)fd;
  (void)what;
  evconnlistener_enable(server->listener);
  keep_reserve(server);
  if (server->reserve < 0 || !http_connections_grow(server->connections))
    retry_in(server, RETRY);
}

/* A connection waits and can't be accepted. If that is for want of descriptors it gets the reserve; if that is gone, others have to go.
 * Without a pause the loop would come back here at once, for as long as none is free. */
static void on_accept_error(struct evconnlistener *listener, void *http)
{
  const int error = errno;
  http_server *server = all_servers;
  while (server && server->http != http)
    server = server->next;
  if (!server)
    return;
  if (error == EMFILE && server->reserve >= 0) {
    close(server->reserve);
    server->reserve = -1;
    retry_in(server, RETRY);
    return;
  }
  const unsigned ended =
      error == EMFILE || error == ENFILE ? http_connections_shrink(server->connections) : 0;
  evconnlistener_disable(listener);
  retry_in(server, PAUSE);
  if (server->on_shortage)
    server->on_shortage(server->ctx, error, ended);
}

void http_server_on_shortage(http_server *server, http_shortage on_shortage, void *ctx)
{
  server->on_shortage = on_shortage;
  server->ctx = ctx;
}

/* ---- start and end ---- */

static int start(http_server *server, struct event_base *base, int fd, unsigned max_connections)
{
  server->connections =
      http_connections_new(base, max_connections != 0 ? max_connections : HTTP_DEFAULT_CONNECTIONS);
  server->http = evhttp_new(base);
  server->retry = event_new(base, -1, 0, on_retry, server);
  struct evhttp_bound_socket *bound =
      server->connections != NULL && server->http != NULL && server->retry != NULL
          ? evhttp_accept_socket_with_handle(server->http, fd)
          : NULL;
  if (!bound)
    return -1;
  server->listener = evhttp_bound_socket_get_listener(bound);
  evconnlistener_set_error_cb(server->listener, on_accept_error);
  evhttp_set_max_headers_size(server->http, HTTP_MAX_HEADER);
  evhttp_set_max_body_size(server->http, HTTP_MAX_BODY);
  evhttp_set_timeout(server->http, HTTP_IDLE_SECONDS);
  evhttp_set_allowed_methods(server->http, ALL_METHODS); /* so that on_request answers them with 405 */
  evhttp_set_bevcb(server->http, http_connections_accept, server->connections);
  evhttp_set_gencb(server->http, on_request, server);
  keep_reserve(server);
  return 0;
}

/* |adopted| is a listening socket, or -1: one is opened on |addr|. */
static http_server *make(struct event_base *base, const fzr_addr *addr, int adopted, unsigned max_connections)
{
  http_server *server = calloc(1, sizeof *server);
  if (!server)
    return NULL;
  server->addr = *addr;
  server->reserve = -1;
  server->next = all_servers;
  all_servers = server;
  int fd = adopted >= 0 ? adopted : listen_on(server);
  if (fd < 0) {
    const int err = errno;
    http_server_free(server);
    errno = err;
    return NULL;
  }
  if (start(server, base, fd, max_connections) != 0) {
    if (adopted < 0)
      close(fd);
    http_server_free(server);
    errno = ENOMEM;
    return NULL;
  }
  return server;
}

http_server *http_server_new(struct event_base *base, const fzr_addr *addr, unsigned max_connections)
{
  return make(base, addr, -1, max_connections);
}

http_server *http_server_adopt(struct event_base *base, int fd, unsigned max_connections)
{
  fzr_sockaddr name;
  fzr_addr addr;
  socklen_t len = sizeof name;
  memset(&name, 0, sizeof name);
  if (getsockname(fd, &name.any, &len))
    return NULL;
  if (name.any.sa_family == AF_UNIX) {
    addr = (fzr_addr){0};
  } else if (fzr_addr_from_sockaddr(&name.any, len, &addr)) {
    errno = EAFNOSUPPORT;
    return NULL;
  }
  return make(base, &addr, fd, max_connections);
}

int http_server_fd(const http_server *server)
{
  return evconnlistener_get_fd(server->listener);
}

void http_server_refuse_new(http_server *server)
{
  evconnlistener_disable(server->listener);
}

void http_server_free(http_server *server)
{
  if (!server)
    return;
  http_server **at = &all_servers;
  while (*at != server)
    at = &(*at)->next;
  *at = server->next;
  if (server->http)
    evhttp_free(server->http);
  http_connections_free(server->connections);
  if (server->retry)
    event_free(server->retry);
  if (server->reserve >= 0)
    close(server->reserve);
  while (server->routes) {
    route *next = server->routes->next;
    free(server->routes);
    server->routes = next;
  }
  free(server);
}

fzr_addr http_server_addr(const http_server *server)
{
  return server->addr;
}

int http_server_route(http_server *server, enum evhttp_cmd_type method, const char *path,
                      http_handler handler, void *ctx)
{
  for (const route *r = server->routes; r; r = r->next) {
    if (r->method == method && strcmp(r->path, path) == 0) {
      errno = EEXIST;
      return -1;
    }
  }
  size_t len = strlen(path) + 1;
  route *added = malloc(sizeof *added + len);
  if (!added)
    return -1;
  added->next = server->routes;
  added->method = method;
  added->handler = handler;
  added->ctx = ctx;
  memcpy(added->path, path, len);
  server->routes = added;
  return 0;
}

unsigned http_server_connections(http_server *server)
{
  return http_connections_count(server->connections);
}
