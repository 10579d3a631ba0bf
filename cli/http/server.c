/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>

#include "sockaddr.h"

#define BACKLOG     64
#define ALL_METHODS 0x1ff

typedef struct route {
  struct route *next;
  enum evhttp_cmd_type method;
  http_handler handler;
  void *ctx;
  char path[];
} route;

/* An open connection, known by its socket: evhttp tells nobody when it closes one, but a descriptor that is closed, or is by
 * now another socket, has another inode or none. */
typedef struct connection {
  int fd;
  ino_t inode;
} connection;

struct http_server {
  struct evhttp *http;
  route *routes;
  struct event *adopt;
  struct bufferevent
      *newcomer; /* handed to evhttp just now, which has yet to give it its socket; we hold a reference */
  fzr_addr addr;
  unsigned open;
  unsigned max_open;
  connection connections[]; /* max_open + 1, oldest first */
};

static ino_t inode_of(int fd)
{
  /* Not fstat: the number of a connection that evhttp has closed may be a worker's socket by now, which is what this finds out, and what the
   * thread sanitizer takes for a race. */
  struct statx st;
  return fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, &st) == 0 && S_ISSOCK(st.stx_mode)
             ? st.stx_ino
             : 0;
}

static void forget_closed(http_server *server)
{
  unsigned kept = 0;
  for (unsigned i = 0; i < server->open; i++) {
    if (inode_of(server->connections[i].fd) == server->connections[i].inode)
      server->connections[kept++] = server->connections[i];
  }
  server->open = kept;
}

/* Takes the newcomer into the list, and if that is one too many, ends the oldest connection: evhttp sees an end of file and
 * closes it in the loop's next turn. */
static void adopt_newcomer(http_server *server)
{
  if (server->newcomer == NULL)
    return;
  const int fd = bufferevent_getfd(server->newcomer);
  const ino_t inode = inode_of(fd);
  bufferevent_unlock(server->newcomer);
  server->newcomer = NULL;
  forget_closed(server);
  if (inode == 0)
    return;
  server->connections[server->open++] = (connection){fd, inode};
  if (server->open > server->max_open) {
    (void)shutdown(server->connections[0].fd, SHUT_RDWR);
    server->open--;
    memmove(server->connections, server->connections + 1, server->open * sizeof server->connections[0]);
  }
}

static void on_adopt(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  adopt_newcomer(ctx);
}

/* evhttp is about to accept a connection and asks for its bufferevent. */
static struct bufferevent *connection_new(struct event_base *base, void *ctx)
{
  http_server *server = ctx;
  adopt_newcomer(server);
  struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
  if (bev == NULL)
    return NULL;
  /* Not made for threads, so this is but a reference: the object is still there in on_adopt whatever evhttp does to it. */
  bufferevent_lock(bev);
  server->newcomer = bev;
  event_active(server->adopt, EV_TIMEOUT, 1);
  return bev;
}

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
  struct evbuffer *body = evbuffer_new();
  if (body != NULL)
    (void)evbuffer_add_printf(body, "%s\n", text);
  (void)evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
                          "text/plain; charset=utf-8");
  evhttp_send_reply(req, status, NULL, body);
  if (body != NULL)
    evbuffer_free(body);
}

static void answer_by(const route *found, struct evhttp_request *req, const char *path)
{
  struct evkeyvalq query;
  const char *raw = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
  TAILQ_INIT(&query);
  if (raw != NULL && http_parse_form(raw, &query) != 0) {
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
  http_response response = {200, "text/plain; charset=utf-8", evbuffer_new()};
  if (response.body == NULL) {
    answer_text(req, 500, "out of memory");
  } else {
    found->handler(found->ctx, &request, &response);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    (void)evhttp_add_header(headers, "Content-Type", response.content_type);
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    if (request.method == EVHTTP_REQ_HEAD)
      (void)evbuffer_drain(response.body, evbuffer_get_length(response.body));
    evhttp_send_reply(req, response.status, NULL, response.body);
    evbuffer_free(response.body);
  }
  evhttp_clear_headers(&query);
}

static void on_request(struct evhttp_request *req, void *ctx)
{
  const http_server *server = ctx;
  const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
  const char *raw = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
  char *path = raw != NULL ? evhttp_uridecode(raw, 0, NULL) : NULL;
  enum evhttp_cmd_type method = evhttp_request_get_command(req);
  if (method == EVHTTP_REQ_HEAD)
    method = EVHTTP_REQ_GET;
  const route *found = NULL;
  bool known = false;
  for (const route *r = server->routes; path != NULL && r != NULL; r = r->next) {
    if (strcmp(r->path, path) != 0)
      continue;
    known = true;
    if (r->method == method)
      found = r;
    else
      (void)evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", method_name(r->method));
  }
  if (found != NULL) {
    (void)evhttp_remove_header(evhttp_request_get_output_headers(req), "Allow");
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
  return strstr(text, "%00") != NULL ? -1 : evhttp_parse_query_str(text, out);
}

const char *http_query(const http_request *request, const char *name)
{
  return evhttp_find_header(request->query, name);
}

/* A listening socket on server->addr, whose port is then the real one; or -1 with errno set. */
static int listen_on(http_server *server)
{
  struct sockaddr_storage ss;
  socklen_t len = to_sockaddr(&server->addr, &ss);
  int on = 1;
  int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(fd, (const struct sockaddr *)&ss, len) != 0 || listen(fd, BACKLOG) != 0 ||
      getsockname(fd, (struct sockaddr *)&ss, &len) != 0) {
    int err = errno;
    (void)close(fd);
    errno = err;
    return -1;
  }
  fzr_addr real;
  if (from_sockaddr((const struct sockaddr *)&ss, &real))
    server->addr.port = real.port;
  return fd;
}

http_server *http_server_new(struct event_base *base, const fzr_addr *addr, unsigned max_connections)
{
  const unsigned max_open = max_connections != 0 ? max_connections : HTTP_DEFAULT_CONNECTIONS;
  http_server *server = calloc(1, sizeof *server + (max_open + (size_t)1) * sizeof(connection));
  if (server == NULL)
    return NULL;
  server->addr = *addr;
  server->max_open = max_open;
  int fd = listen_on(server);
  if (fd < 0) {
    free(server);
    return NULL;
  }
  server->http = evhttp_new(base);
  server->adopt = event_new(base, -1, 0, on_adopt, server);
  if (server->http == NULL || server->adopt == NULL ||
      evhttp_accept_socket_with_handle(server->http, fd) == NULL) {
    (void)close(fd);
    http_server_free(server);
    errno = ENOMEM;
    return NULL;
  }
  evhttp_set_max_headers_size(server->http, HTTP_MAX_HEADER);
  evhttp_set_max_body_size(server->http, HTTP_MAX_BODY);
  evhttp_set_timeout(server->http, HTTP_IDLE_SECONDS);
  evhttp_set_allowed_methods(server->http, ALL_METHODS); /* so that on_request answers them with 405 */
  evhttp_set_bevcb(server->http, connection_new, server);
  evhttp_set_gencb(server->http, on_request, server);
  return server;
}

void http_server_free(http_server *server)
{
  if (server == NULL)
    return;
  if (server->http != NULL)
    evhttp_free(server->http);
  if (server->newcomer != NULL)
    bufferevent_unlock(server->newcomer);
  if (server->adopt != NULL)
    event_free(server->adopt);
  while (server->routes != NULL) {
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
  for (const route *r = server->routes; r != NULL; r = r->next) {
    if (r->method == method && strcmp(r->path, path) == 0) {
      errno = EEXIST;
      return -1;
    }
  }
  size_t len = strlen(path) + 1;
  route *added = malloc(sizeof *added + len);
  if (added == NULL)
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
  adopt_newcomer(server);
  forget_closed(server);
  return server->open;
}
