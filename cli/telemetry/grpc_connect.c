/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>

#define CONNECT_TIMEOUT (5 * FZR_SECOND)

static bool read_port(const char *text, size_t len, uint16_t *port)
{
  unsigned value = 0;
  if (len == 0 || len > 5)
    return false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9')
      return false;
    value = value * 10 + (unsigned)(text[i] - '0');
  }
  *port = (uint16_t)value;
  return value > 0 && value <= UINT16_MAX;
}

static bool is_host(const char *text, size_t len)
{
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
  return len > 0 && len <= GRPC_HOST_MAX && strspn(text, allowed) >= len;
}

const char *grpc_parse_endpoint(const char *endpoint, char host[GRPC_HOST_MAX + 1], uint16_t *port)
{
  static const char scheme[] = "http://", tls[] = "https://";
  if (strncmp(endpoint, tls, sizeof tls - 1) == 0)
    return "TLS is not supported: expected host:port";
  if (strncmp(endpoint, scheme, sizeof scheme - 1) == 0)
    endpoint += sizeof scheme - 1;
  size_t len = strlen(endpoint);
  if (len && endpoint[len - 1] == '/')
    len--;
  const char *colon = memrchr(endpoint, ':', len);
  const char *bracket = memrchr(endpoint, ']', len);
  if (!colon || (bracket && colon < bracket))
    return "a port is missing: expected host:port";
  size_t host_len = (size_t)(colon - endpoint);
  if (!read_port(colon + 1, len - host_len - 1, port))
    return "the port is not a number from 1 to 65535";
  if (bracket && endpoint[0] == '[' && bracket == colon - 1) {
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

const char *grpc_check_endpoint(const char *endpoint)
{
  char host[GRPC_HOST_MAX + 1];
  uint16_t port;
  return grpc_parse_endpoint(endpoint, host, &port);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
  (void)bev;
  grpc_received(ctx);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
  (void)bev;
  grpc_writable(ctx);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
  char why[128];
  (void)bev;
  if (what & BEV_EVENT_EOF)
    snprintf(why, sizeof why, "the collector closed the connection");
  else
    snprintf(why, sizeof why, "%s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
  grpc_disconnected(ctx, why);
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
  portal_race_free(c->race);
  c->race = NULL;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  c->bev = bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
  if (!c->bev) {
    (void)close(fd);
    grpc_disconnected(c, "out of memory");
    return;
  }
  bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
  bufferevent_setwatermark(c->bev, EV_WRITE, GRPC_MAX_OUTPUT / 2, 0);
  bufferevent_setwatermark(c->bev, EV_READ, 0, GRPC_MAX_ANSWER);
  (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
  c->state = GRPC_CONNECTED;
  grpc_connected(c);
}

static void on_resolved(void *ctx, const fzr_addr *addrs, size_t count, const char *error)
{
  grpc_client *c = ctx;
  if (count)
    c->race = portal_race_new(c->base, addrs, count, CONNECT_TIMEOUT, on_raced, c);
  if (!c->race)
    grpc_disconnected(c, count ? "out of memory" : error);
}

int grpc_connect(grpc_client *c)
{
  if (portal_resolver_start(c->resolver, on_resolved, c))
    return -1;
  c->state = GRPC_CONNECTING;
  return 0;
}

void grpc_disconnect(grpc_client *c)
{
  portal_resolver_cancel(c->resolver);
  portal_race_free(c->race);
  c->race = NULL;
  if (c->bev)
    bufferevent_free(c->bev);
  c->bev = NULL;
  c->state = GRPC_IDLE;
}
