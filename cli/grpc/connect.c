/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/internal.h"

#include "net/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>

#define CONNECT_TIMEOUT (5 * FZR_SECOND)
#define GRPC_PORT       4317
#define HTTPS_PORT      443

/* Types of TLS records (RFC 8446 section 5.1). */
#define TLS_ALERT     21
#define TLS_HANDSHAKE 22

static bool is_host(const char *text, size_t len)
{
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
  return len > 0 && len <= GRPC_HOST_MAX && strspn(text, allowed) >= len;
}

static const char http_scheme[] = "http://", https_scheme[] = "https://";

bool grpc_endpoint_has_tls(const char *endpoint)
{
  return strncasecmp(endpoint, https_scheme, sizeof https_scheme - 1) == 0;
}

/* The port of a URL without one; 0: it is no URL. */
static uint16_t skip_scheme(const char **endpoint)
{
  if (grpc_endpoint_has_tls(*endpoint)) {
    *endpoint += sizeof https_scheme - 1;
    return HTTPS_PORT;
  }
  if (strncasecmp(*endpoint, http_scheme, sizeof http_scheme - 1) == 0) {
    *endpoint += sizeof http_scheme - 1;
    return GRPC_PORT;
  }
  return 0;
}

const char *grpc_parse_endpoint(const char *endpoint, char host[GRPC_HOST_MAX + 1], uint16_t *port)
{
  *port = skip_scheme(&endpoint);
  size_t len = strlen(endpoint);
  if (len && endpoint[len - 1] == '/')
    len--;
  if (memchr(endpoint, '/', len))
    return "gRPC has no paths: expected host:port";
  const char *colon = memrchr(endpoint, ':', len);
  const char *bracket = memrchr(endpoint, ']', len);
  if (colon && bracket && colon < bracket)
    colon = NULL;
  if (!colon && !*port)
    return "a port is missing: expected host:port";
  size_t host_len = colon ? (size_t)(colon - endpoint) : len;
  if (colon && !net_read_port(colon + 1, len - host_len - 1, port))
    return "the port is not a number from 1 to 65535";
  if (bracket && endpoint[0] == '[' && bracket == endpoint + host_len - 1) {
    endpoint++;
    host_len -= 2;
  } else if (memchr(endpoint, ':', host_len)) {
    return "an IPv6 address has to stand in brackets: expected [address]:port";
  }
  if (!is_host(endpoint, host_len))
    return "the host is not a name or address: expected host:port";
  memcpy(host, endpoint, host_len);
  host[host_len] = 0;
  return NULL;
}

void grpc_peer_name(const char *host, char name[GRPC_HOST_MAX + 1])
{
  const size_t len = strchr(host, ':') ? strcspn(host, "%") : net_undotted(host, strlen(host));
  snprintf(name, GRPC_HOST_MAX + 1, "%.*s", (int)len, host);
}

const char *grpc_check_endpoint(const char *endpoint)
{
  char host[GRPC_HOST_MAX + 1];
  uint16_t port;
  return grpc_parse_endpoint(endpoint, host, &port);
}

/* ---- who is there ---- */

/* The head of a first frame of HTTP/2 is as long as it takes. */
#define BEGINNING 9u

const char *grpc_judge_beginning(const uint8_t *data, size_t len, bool tls, bool *more)
{
  static const char http[] = "HTTP/1.";
  const size_t of_http = len < sizeof http - 1 ? len : sizeof http - 1;
  const bool is_http = len && memcmp(data, http, of_http) == 0;
  const bool is_tls = len && (data[0] == TLS_ALERT || data[0] == TLS_HANDSHAKE) && (len < 2 || data[1] == 3);
  *more = false;
  if (len >= BEGINNING && is_http)
    return tls ? "a server without TLS answers there: the endpoint has to begin with http://"
               : "an HTTP/1 server answers there, no gRPC: OTLP over gRPC is on port 4317 mostly, 4318 is "
                 "that over HTTP";
  if (tls && len && !is_tls && !is_http)
    return "what answers there is not TLS: is it an endpoint for http://?";
  if (!tls && len >= 2 && is_tls)
    return "the server speaks TLS there: the endpoint has to begin with https://";
  *more = len < (tls && !is_http ? 1 : BEGINNING);
  return NULL;
}

/* Whether the connection goes on; if it does not yet, nothing was taken from |in|. */
static bool listen_to(grpc_client *c, struct evbuffer *in)
{
  uint8_t beginning[BEGINNING];
  bool more;
  if (c->heard)
    return true;
  const ev_ssize_t n = evbuffer_copyout(in, beginning, sizeof beginning);
  const char *problem = grpc_judge_beginning(beginning, n > 0 ? (size_t)n : 0, c->tls != NULL, &more);
  if (problem)
    grpc_disconnected(c, problem);
  else if (!more)
    c->heard = true;
  return c->heard;
}

/* ---- TLS ---- */

static ssize_t tls_send(void *ctx, const uint8_t *data, size_t len)
{
  const grpc_client *c = ctx;
  return bufferevent_write(c->bev, data, len) ? NET_TLS_FAILED : (ssize_t)len;
}

static ssize_t tls_recv(void *ctx, uint8_t *out, size_t cap)
{
  const grpc_client *c = ctx;
  const int n = evbuffer_remove(bufferevent_get_input(c->bev), out, cap);
  return n > 0 ? n : n == 0 ? NET_TLS_WANT_READ : NET_TLS_FAILED;
}

static bool is_address(const char *host)
{
  uint8_t ip[16];
  return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

/* Goes on with it as far as that is possible now. */
static void handshake(grpc_client *c)
{
  const int result = net_tls_handshake(c->tls);
  if (result == 0) {
    c->state = GRPC_CONNECTED;
    grpc_connected(c);
  } else if (result == NET_TLS_FAILED) {
    grpc_disconnected(c, net_tls_error(c->tls));
  }
}

static void start_tls(grpc_client *c)
{
  const net_tls_io io = {c, tls_send, tls_recv};
  char name[GRPC_HOST_MAX + 1];
  grpc_peer_name(c->host, name);
  c->tls = net_tls_new(name, is_address(name), c->trust, &c->tls_memory, &io);
  c->state = GRPC_HANDSHAKE;
  if (!c->tls || net_tls_offer(c->tls, "h2"))
    grpc_disconnected(c, "out of memory");
  else
    handshake(c);
}

/* TLS wants more to read after a message of its own, such as a ticket, too. No event will tell of what is here already. */
static bool has_more(const grpc_client *c)
{
  return net_tls_pending(c->tls) || evbuffer_get_length(bufferevent_get_input(c->bev));
}

static void read_tls(grpc_client *c)
{
  uint8_t data[16384];
  while (c->state == GRPC_CONNECTED) {
    const ssize_t n = net_tls_read(c->tls, data, sizeof data);
    if (n == NET_TLS_WANT_READ && has_more(c))
      continue;
    if (n == NET_TLS_WANT_READ || n == NET_TLS_WANT_WRITE)
      return;
    if (n == NET_TLS_FAILED)
      grpc_disconnected(c, net_tls_error(c->tls));
    else if (n == 0)
      grpc_disconnected(c, "the collector ended the connection");
    else
      grpc_received(c, data, (size_t)n);
  }
}

static void read_plain(grpc_client *c)
{
  struct evbuffer *in = bufferevent_get_input(c->bev);
  uint8_t data[16384];
  int n;
  while (c->state == GRPC_CONNECTED && (n = evbuffer_remove(in, data, sizeof data)) > 0)
    grpc_received(c, data, (size_t)n);
}

/* ---- the connection ---- */

static void on_read(struct bufferevent *bev, void *ctx)
{
  grpc_client *c = ctx;
  if (!listen_to(c, bufferevent_get_input(bev)))
    return;
  if (c->state == GRPC_HANDSHAKE)
    handshake(c);
  if (c->tls)
    read_tls(c);
  else if (c->state == GRPC_CONNECTED)
    read_plain(c);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
  (void)bev;
  grpc_writable(ctx);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
  grpc_client *c = ctx;
  char why[256];
  const char *reason = what & BEV_EVENT_EOF ? "the collector closed the connection"
                                            : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());
  const bool silent = !c->heard && !evbuffer_get_length(bufferevent_get_input(bev));
  snprintf(why, sizeof why, "%s%s", reason,
           c->state == GRPC_HANDSHAKE ? " during the TLS handshake"
           : silent
               ? " before it said anything: if TLS is spoken there, the endpoint has to begin with https://"
               : "");
  grpc_disconnected(c, why);
}

static void on_raced(void *ctx, int fd, const fzr_addr *addr, const char *error)
{
  grpc_client *c = ctx;
  const int on = 1;
  (void)addr;
  if (fd < 0) {
    grpc_disconnected(c, error); /* which frees the race, the text with it */
    return;
  }
  net_race_free(c->race);
  c->race = NULL;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  c->bev = bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
  if (!c->bev || bufferevent_set_rate_limit(c->bev, c->pace)) {
    if (!c->bev)
      close(fd);
    grpc_disconnected(c, "out of memory");
    return;
  }
  bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
  bufferevent_setwatermark(c->bev, EV_WRITE, GRPC_MAX_OUTPUT / 2, 0);
  bufferevent_setwatermark(c->bev, EV_READ, 0, GRPC_MAX_ANSWER);
  bufferevent_enable(c->bev, EV_READ | EV_WRITE);
  c->heard = false;
  if (c->trust) {
    start_tls(c);
    return;
  }
  c->state = GRPC_CONNECTED;
  grpc_connected(c);
}

static void on_resolved(void *ctx, const fzr_addr *addrs, size_t count, const char *error)
{
  grpc_client *c = ctx;
  if (count)
    c->race = net_race_new(c->base, addrs, count, CONNECT_TIMEOUT, on_raced, c);
  if (!c->race)
    grpc_disconnected(c, count ? "out of memory" : error);
}

int grpc_connect(grpc_client *c)
{
  if (net_resolver_start(c->resolver, on_resolved, c))
    return -1;
  c->state = GRPC_CONNECTING;
  return 0;
}

void grpc_disconnect(grpc_client *c)
{
  net_resolver_cancel(c->resolver);
  net_race_free(c->race);
  c->race = NULL;
  net_tls_free(c->tls);
  c->tls = NULL;
  if (c->bev)
    bufferevent_free(c->bev);
  c->bev = NULL;
  c->state = GRPC_IDLE;
}
