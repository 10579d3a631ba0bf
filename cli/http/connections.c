/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connections.h"

#include "firezone_relay/socket.h"
#include "http/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <event2/event.h>

/* A connection is known by its socket: evhttp tells nobody when it closes one, but a descriptor that is closed, or is by now another
 * socket, has another inode or none. */
typedef struct connection {
  int fd;
  bool answering;
  ino_t inode;
  uint64_t from;
} connection;

struct http_connections {
  struct event *adopt;
  struct bufferevent
      *newcomer; /* handed to evhttp just now, which has yet to give it its socket; we hold a reference */
  unsigned open;
  unsigned limit; /* at most `most`, less while descriptors are short */
  unsigned most;
  /* most + 1; in front the one whose last progress is longest ago: accepted, a whole request, an answer that went out */
  connection each[];
};

static ino_t inode_of(int fd)
{
  /* Not fstat, where it can be helped: the number of a connection that evhttp has closed may be a worker's socket by now, which is what
   * this finds out, and what the thread sanitizer takes for a race. Filters of system calls that are older than statx refuse it. */
  struct statx st;
  struct stat old;
  if (fd < 0)
    return 0;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, &st) == 0)
    return S_ISSOCK(st.stx_mode) ? st.stx_ino : 0;
  return errno != EBADF && fstat(fd, &old) == 0 && S_ISSOCK(old.st_mode) ? old.st_ino : 0;
}

/* Who has connected: an IPv4 address, or the network that one has in IPv6. */
static uint64_t peer_of(int fd)
{
  fzr_sockaddr name;
  socklen_t len = sizeof name;
  fzr_addr addr;
  uint64_t net;
  uint32_t v4;
  if (getpeername(fd, &name.any, &len) != 0 || fzr_addr_from_sockaddr(&name.any, len, &addr))
    return 0;
  memcpy(&net, addr.ip, sizeof net);
  if (addr.family == FZR_FAMILY_IPV6 && !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(void *)addr.ip))
    return net;
  memcpy(&v4, addr.ip + (addr.family == FZR_FAMILY_IPV6 ? 12 : 0), sizeof v4);
  return UINT64_C(0xffff) << 32 | v4;
}

static void forget(http_connections *list, unsigned i)
{
  list->open--;
  memmove(list->each + i, list->each + i + 1, (list->open - i) * sizeof list->each[0]);
}

static void forget_closed(http_connections *list)
{
  unsigned kept = 0;
  for (unsigned i = 0; i < list->open; i++)
    if (inode_of(list->each[i].fd) == list->each[i].inode)
      list->each[kept++] = list->each[i];
  list->open = kept;
}

/* Whether it is our turn: there is a request that was not looked at, or an answer of which nothing went out yet. Who is being answered says
 * nothing by sending more, and who leaves what was sent lying waits like any other. */
static bool is_heard(const connection *c)
{
  int queued = 0;
  if (ioctl(c->fd, c->answering ? SIOCOUTQ : FIONREAD, &queued) != 0)
    return false;
  return c->answering ? queued == 0 : queued > 0;
}

/* Evhttp sees an end of file and closes it in the loop's next turn. */
static void end(http_connections *list, unsigned i)
{
  shutdown(list->each[i].fd, SHUT_RDWR);
  forget(list, i);
}

static unsigned connections_from(const http_connections *list, uint64_t from)
{
  unsigned n = 0;
  for (unsigned i = 0; i < list->open; i++)
    n += list->each[i].from == from;
  return n;
}

/* Ends one of whoever has the most connections, |newcomer|'s next one (0: nobody's) included, so that a flood costs nobody but itself: the
 * one that has waited longest, and one that is heard only if |all| may go and there is no other. Returns whether there is one. */
static bool end_one(http_connections *list, uint64_t newcomer, bool all)
{
  unsigned chosen = 0, most = 0;
  bool chosen_is_heard = true;
  for (unsigned i = 0; i < list->open; i++) {
    const connection *c = &list->each[i];
    const unsigned n = connections_from(list, c->from) + (c->from == newcomer);
    if (n < most || (n == most && !chosen_is_heard))
      continue;
    const bool heard = is_heard(c);
    if (heard && (!all || n == most))
      continue;
    chosen = i;
    most = n;
    chosen_is_heard = heard;
  }
  if (most != 0)
    end(list, chosen);
  return most != 0;
}

static void adopt_newcomer(http_connections *list)
{
  if (!list->newcomer)
    return;
  const int fd = bufferevent_getfd(list->newcomer);
  const ino_t inode = inode_of(fd);
  bufferevent_unlock(list->newcomer);
  list->newcomer = NULL;
  forget_closed(list);
  if (inode == 0)
    return;
  /* Room for the new one first, so that it is not the one to go. */
  const uint64_t from = peer_of(fd);
  if (list->open >= list->limit)
    end_one(list, from, true);
  list->each[list->open++] = (connection){fd, false, inode, from};
}

static void on_adopt(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  adopt_newcomer(ctx);
}

struct bufferevent *http_connections_accept(struct event_base *base, void *ctx)
{
  http_connections *list = ctx;
  adopt_newcomer(list);
  /* Closed by the bufferevent, once its events are gone. evhttp (libevent 2.1.12) closes first, and takes a number out of epoll that another thread may
   * have got meanwhile. */
  struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
  if (!bev)
    return NULL;
  bufferevent_setwatermark(bev, EV_READ, 0, HTTP_MAX_UNREAD);
  http_strip_refusals(bev);
  /* Not made for threads, so this is but a reference: the object is still there in on_adopt whatever evhttp does to it. */
  bufferevent_lock(bev);
  list->newcomer = bev;
  event_active(list->adopt, EV_TIMEOUT, 1);
  return bev;
}

void http_connections_progress(http_connections *list, int fd, bool answering)
{
  adopt_newcomer(list);
  for (unsigned i = 0; i < list->open; i++) {
    if (list->each[i].fd != fd)
      continue;
    connection c = list->each[i];
    c.answering = answering;
    forget(list, i);
    list->each[list->open++] = c;
    return;
  }
}

unsigned http_connections_shrink(http_connections *list)
{
  adopt_newcomer(list);
  forget_closed(list);
  const unsigned wanted = (list->open + 1) / 2;
  unsigned ended = 0;
  while (ended < wanted && end_one(list, 0, false))
    ended++;
  list->limit = list->open > 0 ? list->open : 1;
  return ended;
}

bool http_connections_grow(http_connections *list)
{
  list->limit = list->limit < list->most / 2 ? list->limit * 2 : list->most;
  return list->limit == list->most;
}

unsigned http_connections_count(http_connections *list)
{
  adopt_newcomer(list);
  forget_closed(list);
  return list->open;
}

http_connections *http_connections_new(struct event_base *base, unsigned most)
{
  http_connections *list = calloc(1, sizeof *list + (most + (size_t)1) * sizeof list->each[0]);
  if (!list)
    return NULL;
  list->most = list->limit = most;
  list->adopt = event_new(base, -1, 0, on_adopt, list);
  if (!list->adopt) {
    free(list);
    return NULL;
  }
  return list;
}

void http_connections_free(http_connections *list)
{
  if (!list)
    return;
  if (list->newcomer)
    bufferevent_unlock(list->newcomer);
  event_free(list->adopt);
  free(list);
}
