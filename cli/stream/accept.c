/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners. */
#include "common/clock.h"
#include "log/log.h"
#include "stream/internal.h"

#include "firezone_relay/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define BACKLOG 1024
/* Connections that are taken in one turn of the loop. */
#define TURN 64
/* How long nobody is taken when there is no descriptor. */
#define REST_US 100000

static void listen_again(evutil_socket_t fd, short what, void *ctx)
{
  const stream_listener *l = ctx;
  (void)fd;
  (void)what;
  event_add(l->ready, NULL);
}

/* Whether it says nothing of those that come after. */
static bool is_of_one(int error)
{
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM;
}

static void take_one(const stream_listener *l, int fd, const fzr_sockaddr *name, socklen_t len)
{
  const int on = 1, unsent = STREAM_UNSENT;
  fzr_sockaddr own;
  socklen_t own_len = sizeof own;
  fzr_addr client, server;
  if (getsockname(fd, &own.any, &own_len) || fzr_addr_from_sockaddr(&own.any, own_len, &server) ||
      fzr_addr_from_sockaddr(&name->any, len, &client)) {
    close(fd);
    return;
  }
  client.transport = server.transport = l->kind == STREAM_TLS ? FZR_TRANSPORT_TLS : FZR_TRANSPORT_TCP;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  if (stream_is_proxied(l->owner, &client))
    stream_await(l->owner, l->kind, fd, &client, &server);
  else
    streams_take(l->owner, l->kind, fd, &client, &server, monotonic_now());
}

static void on_connection(evutil_socket_t listener, short what, void *ctx)
{
  const stream_listener *l = ctx;
  const struct timeval rest = {0, REST_US};
  (void)what;
  for (unsigned i = 0; i < TURN; i++) {
    fzr_sockaddr name;
    socklen_t len = sizeof name;
    const int fd = accept4(listener, &name.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      take_one(l, fd, &name, len);
    } else if (!is_of_one(errno)) {
      /* It would be ready again at once, for ever. */
      if (errno != EAGAIN && event_add(l->again, &rest) == 0)
        event_del(l->ready);
      return;
    }
  }
}

static int set(int fd, int level, int option)
{
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof on);
}

/* A listening socket, or -1 with errno set. */
static int open_listener(const fzr_addr *addr, bool shared)
{
  fzr_sockaddr name;
  const socklen_t len = fzr_addr_to_sockaddr(addr, &name);
  const int fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if (set(fd, SOL_SOCKET, SO_REUSEADDR) || (shared && set(fd, SOL_SOCKET, SO_REUSEPORT)) ||
      (addr->family == FZR_FAMILY_IPV6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) || bind(fd, &name.any, len) ||
      listen(fd, BACKLOG)) {
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

/* Whether nobody else has it, who might share it with us. */
static bool is_free(const fzr_addr *addr)
{
  const int fd = open_listener(addr, false);
  if (fd < 0)
    return false;
  close(fd);
  return true;
}

int streams_adopt_listener(streams *s, enum stream_kind kind, int fd)
{
  stream_listener *l = &s->listeners[s->listener_count++];
  *l = (stream_listener){.owner = s, .fd = fd, .kind = kind};
  l->ready = event_new(s->config.base, fd, EV_READ | EV_PERSIST, on_connection, l);
  l->again = event_new(s->config.base, -1, 0, listen_again, l);
  return l->ready && l->again && !event_add(l->ready, NULL) ? 0 : ENOMEM;
}

int streams_listen(streams *s, enum stream_kind kind, const fzr_addr *addr, bool shared, bool first)
{
  if (shared && first && !is_free(addr))
    return errno;
  const int fd = open_listener(addr, shared);
  return fd < 0 ? errno : streams_adopt_listener(s, kind, fd);
}
