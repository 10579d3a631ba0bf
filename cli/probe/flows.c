/* SPDX-License-Identifier: Apache-2.0 */
#include "flows.h"

#include "stream.h"
#include "udp.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { KIND_NONE, KIND_UDP, KIND_STREAM };

typedef struct flow {
  enum kind kind;
  bool told; /* the machine knows that it is open, or has failed */
  fzr_addr to, local;
  int fd; /* of UDP */
  probe_stream *stream;
  probe_stream *gone;     /* the one before it, which may be what has just told the machine something */
  enum probe_failure why; /* with |text|: it can't be opened */
  const char *text;
} flow;

struct probe_flows {
  const probe_tls_config *tls;
  flow flows[PROBE_FLOWS];
};

probe_flows *probe_flows_new(const probe_tls_config *tls)
{
  probe_flows *f = calloc(1, sizeof *f);
  if (f)
    f->tls = tls;
  return f;
}

static void free_gone(flow *w)
{
  probe_stream_free(w->gone);
  w->gone = NULL;
}

/* Within what the machine is told of a flow it may open it anew, once: then the old stream is still being read. */
static void close_flow(flow *w)
{
  if (w->kind == KIND_UDP && w->fd >= 0)
    close(w->fd);
  if (w->stream) {
    free_gone(w);
    probe_stream_end(w->stream);
    w->gone = w->stream;
  }
  *w = (flow){.kind = KIND_NONE, .gone = w->gone};
}

void probe_flows_free(probe_flows *f)
{
  for (size_t i = 0; f && i < PROBE_FLOWS; i++) {
    close_flow(&f->flows[i]);
    free_gone(&f->flows[i]);
  }
  free(f);
}

void probe_flows_open(void *ctx, enum probe_flow number, probe_transport transport, const fzr_addr *to)
{
  probe_flows *f = ctx;
  flow *w = &f->flows[number];
  close_flow(w);
  w->to = *to;
  if (transport == PROBE_UDP) {
    w->kind = KIND_UDP;
    w->fd = probe_udp_open(to, &w->local, &w->why, &w->text);
    return;
  }
  w->kind = KIND_STREAM;
  w->stream = probe_stream_new(to, transport == PROBE_TLS ? f->tls : NULL);
}

void probe_flows_send(void *ctx, enum probe_flow number, const fzr_addr *to, const uint8_t *data, size_t len)
{
  probe_flows *f = ctx;
  flow *w = &f->flows[number];
  if (w->kind == KIND_UDP && w->fd >= 0)
    probe_udp_send(w->fd, to ? to : &w->to, data, len);
  else if (w->kind == KIND_STREAM && w->stream)
    probe_stream_send(w->stream, data, len);
}

/* ---- what happens ---- */

/* What the machine is told, and of which flow. */
typedef struct listener {
  probe_machine *m;
  enum probe_flow flow;
} listener;

static void on_message(void *ctx, const fzr_addr *from, const uint8_t *data, size_t len)
{
  const listener *l = ctx;
  probe_machine_message(l->m, l->flow, from, data, len, monotonic_now());
}

static void on_failure(void *ctx, enum probe_failure why, const char *text)
{
  const listener *l = ctx;
  probe_machine_failed(l->m, l->flow, why, text, monotonic_now());
}

/* Tells of a flow that has been asked for: UDP is open at once. */
static void tell_of_udp(flow *w, const listener *l)
{
  if (w->told)
    return;
  w->told = true;
  if (w->fd < 0)
    on_failure((void *)(uintptr_t)l, w->why, w->text);
  else
    probe_machine_opened(l->m, l->flow, &w->local, monotonic_now());
}

static void tell_of_stream(flow *w, const listener *l)
{
  const char *text;
  enum probe_failure why;
  if (!w->stream && !w->told) {
    w->told = true;
    on_failure((void *)(uintptr_t)l, PROBE_FAILURE_OWN, "out of memory");
    return;
  }
  if (!w->stream)
    return;
  if (!w->told && probe_stream_is_open(w->stream, &w->local)) {
    w->told = true;
    probe_machine_opened(l->m, l->flow, &w->local, monotonic_now());
  }
  text = probe_stream_failure(w->stream, &why);
  if (!text)
    return;
  probe_stream *const failed = w->stream;
  w->told = true;
  w->stream = NULL;
  on_failure((void *)(uintptr_t)l, why, text);
  probe_stream_free(failed);
}

/* Whatever has been opened, or has failed, since. A machine may open another one when it is told. */
static void tell(probe_flows *f, probe_machine *m)
{
  for (unsigned i = 0; i < PROBE_FLOWS && !probe_machine_is_done(m); i++) {
    const listener l = {m, (enum probe_flow)i};
    if (f->flows[i].kind == KIND_UDP)
      tell_of_udp(&f->flows[i], &l);
    else if (f->flows[i].kind == KIND_STREAM)
      tell_of_stream(&f->flows[i], &l);
  }
}

/* Whether there is something to tell, for which nobody need wait. */
static bool has_news(const probe_flows *f)
{
  enum probe_failure why;
  for (unsigned i = 0; i < PROBE_FLOWS; i++) {
    const flow *w = &f->flows[i];
    if ((w->kind == KIND_UDP && !w->told) || (w->kind == KIND_STREAM && !w->stream && !w->told) ||
        (w->stream && probe_stream_failure(w->stream, &why)))
      return true;
  }
  return false;
}

/* Looks at what poll has found of the flow |i|. */
static void take(probe_flows *f, unsigned i, short events, probe_machine *m)
{
  listener l = {m, (enum probe_flow)i};
  flow *w = &f->flows[i];
  if (!events)
    return;
  if (w->kind == KIND_UDP && w->fd >= 0)
    probe_udp_read(w->fd, on_message, on_failure, &l);
  else if (w->kind == KIND_STREAM && w->stream)
    probe_stream_go_on(w->stream, on_message, &l);
}

/* Milliseconds until |then|, rounded up. */
static int wait_of(fzr_time then)
{
  const fzr_time now = monotonic_now();
  return then <= now ? 0 : (int)((then - now) / FZR_MILLISECOND + 1);
}

int probe_flows_run(probe_flows *f, probe_machine *m)
{
  struct pollfd fds[PROBE_FLOWS];
  for (tell(f, m); !probe_machine_is_done(m); tell(f, m)) {
    for (unsigned i = 0; i < PROBE_FLOWS; i++) {
      flow *w = &f->flows[i];
      free_gone(w);
      fds[i] = (struct pollfd){.fd = -1};
      if (w->kind == KIND_UDP)
        fds[i] = (struct pollfd){.fd = w->fd, .events = POLLIN};
      else if (w->kind == KIND_STREAM && w->stream)
        fds[i] = (struct pollfd){.fd = probe_stream_fd(w->stream), .events = probe_stream_events(w->stream)};
    }
    const int n = poll(fds, PROBE_FLOWS, has_news(f) ? 0 : wait_of(probe_machine_deadline(m)));
    if (n < 0 && errno != EINTR)
      return -1;
    for (unsigned i = 0; n > 0 && i < PROBE_FLOWS; i++)
      take(f, i, fds[i].revents, m);
    probe_machine_tick(m, monotonic_now());
  }
  return 0;
}
