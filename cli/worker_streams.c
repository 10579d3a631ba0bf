/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_streams.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A connection without an allocation may be 4 times as old as it may be idle, whatever comes, that is 120 s; and leave its answers for a third of that
 * time, 10 s. */
#define AGE    4
#define UNREAD 3

bool worker_streams_wanted(const options *o)
{
  return o->tcp_listen_port || o->tls_listen_port;
}

static void on_settled(void *ctx)
{
  event_glue_follow(ctx);
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
    const int sys_errno = streams_listen(s, kind, &addr, c->workers > 1, c->first);
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
