/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_streams.h"

#include "firezone_relay/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A connection without an allocation may be 4 times as old as it may be idle, whatever comes, that is 120 s; and leave its answers for a
 * third of that time, 10 s. */
#define AGE    4
#define UNREAD 3

bool worker_streams_wanted(const options *o)
{
  return o->tcp_listen_port || o->tls_listen_port;
}

static void on_settled(void *ctx, fzr_time now)
{
  event_glue_follow(ctx, now);
}

/* Says what could not be opened, in the operator's words. */
static void explain(const fzr_addr *addr, int sys_errno, char *error)
{
  char text[FZR_ADDR_TEXT_MAX];
  fzr_addr_format(addr, true, text, sizeof text);
  if (sys_errno == EADDRINUSE)
    snprintf(error, OPTIONS_ERROR_MAX, "TCP port %u of %s is taken: another relay or program has it",
             addr->port, text);
  else
    snprintf(error, OPTIONS_ERROR_MAX, "can't listen on TCP port %u of %s: %s%s", addr->port, text,
             strerror(sys_errno),
             sys_errno == EACCES ? ": ports below 1024 take CAP_NET_BIND_SERVICE, see the manual page" : "");
}

/* A listener of another process on |addr|; -1: there is none. */
static int take_inherited(const worker_streams_config *c, const fzr_addr *addr)
{
  handover_fds *fds =
      c->inherited ? handover_parcel_fds(c->inherited, HANDOVER_STREAM_LISTEN, c->index) : NULL;
  for (size_t i = 0; fds && i < fds->count; i++) {
    fzr_sockaddr name;
    socklen_t len = sizeof name;
    fzr_addr found;
    const int fd = fds->each[i];
    if (getsockname(fd, &name.any, &len) || fzr_addr_from_sockaddr(&name.any, len, &found) ||
        !fzr_addr_equal(&found, addr))
      continue;
    fds->each[i] = fds->each[--fds->count];
    return fd;
  }
  return -1;
}

static int open_listener(streams *s, const worker_streams_config *c, enum stream_kind kind,
                         const fzr_addr *addr)
{
  const int fd = take_inherited(c, addr);
  return fd >= 0 ? streams_adopt_listener(s, kind, fd)
                 : streams_listen(s, kind, addr, c->workers > 1, c->first);
}

/* On the addresses that UDP is bound to. A family that the kernel does not have is done without, as there. */
static int listen_on(streams *s, const worker_streams_config *c, enum stream_kind kind, uint16_t port,
                     char *error)
{
  const options *o = c->options;
  const fzr_addr *const binds[] = {o->public_ip4.family ? &o->bind_ip4 : NULL,
                                   o->public_ip6.family ? &o->bind_ip6 : NULL};
  unsigned open = 0;
  int last = 0;
  for (unsigned i = 0; i < 2; i++) {
    if (!binds[i])
      continue;
    fzr_addr addr = *binds[i];
    addr.port = port;
    const int sys_errno = open_listener(s, c, kind, &addr);
    if (!sys_errno) {
      open++;
    } else if (sys_errno != EAFNOSUPPORT) {
      explain(&addr, sys_errno, error);
      return -1;
    } else {
      last = sys_errno;
    }
  }
  if (!open)
    snprintf(error, OPTIONS_ERROR_MAX, "can't listen on TCP port %u: %s", port, strerror(last));
  return open ? 0 : -1;
}

/* How many strangers this worker may have: some descriptors have to be left for allocations. */
static uint32_t strangers(const worker_streams_config *c)
{
  const uint32_t quarter = (uint32_t)event_glue_end_fd(c->glue) / 4, asked = c->options->max_strangers;
  const uint32_t all = asked && asked < quarter ? asked : quarter;
  return all / c->workers ? all / c->workers : 1;
}

int worker_streams_new(const worker_streams_config *c, streams **out, char error[OPTIONS_ERROR_MAX])
{
  const options *o = c->options;
  *out = NULL;
  if (!worker_streams_wanted(o))
    return 0;
  const fzr_time idle = o->connection_idle_seconds * FZR_SECOND;
  const streams_config config = {.base = c->base,
                                 .driver = c->driver,
                                 .udp = c->udp,
                                 .settled = on_settled,
                                 .settled_ctx = c->glue,
                                 .prefixes = c->prefixes,
                                 .queue_bytes = o->max_queue_per_connection,
                                 .idle = idle,
                                 .age = AGE * idle,
                                 .unread = idle / UNREAD,
                                 .strangers = strangers(c),
                                 .end_fd = event_glue_end_fd(c->glue),
                                 .proxies = o->proxies,
                                 .proxy_count = o->proxy_count};
  streams *s = streams_new(&config);
  if (!s) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    return -1;
  }
  if (c->identity)
    streams_set_identity(s, net_tls_identity_hold(c->identity));
  if ((o->tcp_listen_port && listen_on(s, c, STREAM_TCP, o->tcp_listen_port, error)) ||
      (o->tls_listen_port && listen_on(s, c, STREAM_TLS, o->tls_listen_port, error))) {
    streams_free(s);
    return -1;
  }
  *out = s;
  return 0;
}

/* ---- a hand-over ---- */

/* Where sockets go. */
typedef struct giving {
  handover_parcel *parcel;
  unsigned index;
} giving;

static bool add_connection(void *ctx, int fd)
{
  const giving *to = ctx;
  return handover_parcel_add(to->parcel, HANDOVER_CONNECTIONS, to->index, &fd, 1);
}

const char *worker_streams_give(const streams *s, handover_parcel *p, unsigned index, fzr_time now,
                                unsigned *left)
{
  giving to = {p, index};
  *left = 0;
  if (!s)
    return NULL;
  handover_file *file = handover_file_new("relay-streams");
  if (!file)
    return "can't keep connections in memory: the limit of memory or of open files";
  const bool saved = streams_save(s, file, now, add_connection, &to, left);
  const int fd = handover_file_seal(file);
  if (fd >= 0 && saved && handover_parcel_add(p, HANDOVER_STREAMS, index, &fd, 1))
    return NULL;
  if (fd >= 0)
    close(fd);
  return "can't keep connections in memory: the limit of memory or of open files";
}

/* Whether there is an allocation of a client on a stream. Nobody reads meanwhile, so it is not looked for among all. */
static bool has_clients(const fzr_engine *e)
{
  fzr_stats stats = {0};
  fzr_engine_stats(e, &stats);
  return stats.allocations != stats.allocations_by_transport[FZR_TRANSPORT_UDP];
}

int worker_streams_load(streams *s, handover_parcel *p, unsigned index, const fzr_driver *driver,
                        char error[OPTIONS_ERROR_MAX])
{
  const handover_fds *file = handover_parcel_fds(p, HANDOVER_STREAMS, index);
  handover_fds *connections = handover_parcel_fds(p, HANDOVER_CONNECTIONS, index);
  const uint8_t *data;
  size_t len;
  if (!s && has_clients(fzr_driver_engine(driver))) {
    snprintf(error, OPTIONS_ERROR_MAX,
             "there are clients on TCP or TLS, on which this relay does not listen");
    return -1;
  }
  if (!s || !file->count)
    return 0;
  if (!handover_file_map(file->each[0], &data, &len)) {
    snprintf(error, OPTIONS_ERROR_MAX, "can't read what is said of connections: %s", strerror(errno));
    return -1;
  }
  const char *why =
      streams_load(s, data, len, connections->each, connections->count, p->workers[index].saved_at);
  connections->count = 0; /* the adapter's now */
  handover_file_unmap(data, len);
  if (!why)
    return 0;
  snprintf(error, OPTIONS_ERROR_MAX, "can't go on with connections: %s", why);
  return -1;
}

/* Ends the allocations whose clients have no connection here. */
static void end_unconnected(streams *s, fzr_engine *e, fzr_time now)
{
  fzr_allocation found[64];
  uint32_t cursor = 0;
  size_t n;
  while ((n = fzr_engine_list_allocations(e, &cursor, found, sizeof found / sizeof *found)) > 0)
    for (size_t i = 0; i < n; i++)
      if (found[i].client.transport != FZR_TRANSPORT_UDP &&
          (!s || !streams_has(s, &found[i].client, &found[i].server)))
        fzr_engine_end_allocation(e, &found[i].client, &found[i].server, now);
}

void worker_streams_take_over(streams *s, fzr_driver *driver, fzr_time now)
{
  fzr_engine *e = fzr_driver_engine(driver);
  if (has_clients(e)) {
    end_unconnected(s, e, now);
    fzr_driver_on_deadline(driver, now); /* takes the events of those */
  }
  if (s)
    streams_go_on(s);
}
