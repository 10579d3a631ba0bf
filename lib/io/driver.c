/* SPDX-License-Identifier: Apache-2.0 */
/* The pump between an engine and an IO adapter, on the public API alone. */
#include "firezone_relay/driver.h"

#include "../base/mem.h"

#define VERDICTS        64u
#define TRANSMITS       64u
#define DEADLINE_BUDGET 256u

struct fzr_driver {
  _Alignas(FZRI_CACHE_LINE) fzr_engine *engine;
  fzr_io_ops ops;
  void *io;
  fzri_mem mem;
  fzr_verdict verdicts[VERDICTS];
  fzr_transmit transmits[TRANSMITS];
};

int fzr_driver_new(fzr_engine *engine, const fzr_io_ops *ops, void *io, const fzr_mem *hooks,
                   fzr_driver **out)
{
  fzri_mem mem;
  fzr_io_ops copy = {0};
  if (!engine || !ops || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  int error = fzri_config_copy(&copy, sizeof copy, ops, sizeof copy.size);
  if (!error)
    error = fzri_mem_init(&mem, hooks);
  if (error)
    return error;
  if (!copy.open_port || !copy.close_port || !copy.forward || !copy.transmit)
    return FZR_ERR_INVALID_ARGUMENT;
  fzr_driver *d = fzri_mem_zalloc_lines(&mem, sizeof *d);
  if (!d)
    return FZR_ERR_NO_MEMORY;
  d->engine = engine;
  d->ops = copy;
  d->io = io;
  d->mem = mem;
  *out = d;
  return 0;
}

void fzr_driver_free(fzr_driver *d)
{
  if (!d)
    return;
  fzri_mem mem = d->mem;
  fzri_mem_free_lines(&mem, d, sizeof *d);
}

static void open_port(fzr_driver *d, const fzr_event *event, fzr_time now)
{
  void *cookie = NULL;
  const enum fzr_family family = (enum fzr_family)event->family;
  const int error = d->ops.open_port(d->io, event->port, family, &cookie);
  if (error == FZR_ERR_IO_PENDING)
    return;
  const int result = fzr_engine_port_result(d->engine, event->port, family, error, cookie, now);
  if (result && !error)
    d->ops.close_port(d->io, event->port, family, cookie); /* the allocation ended meanwhile */
}

static void take_events(fzr_driver *d, fzr_time now)
{
  fzr_event event;
  while (fzr_engine_next_event(d->engine, &event)) {
    switch (event.type) {
    case FZR_EVENT_PORT_OPEN:
      open_port(d, &event, now);
      break;
    case FZR_EVENT_PORT_CLOSE:
      d->ops.close_port(d->io, event.port, (enum fzr_family)event.family, event.io);
      break;
    default:
      if (d->ops.channel)
        d->ops.channel(d->io, &event);
    }
  }
}

static void take_transmits(fzr_driver *d)
{
  size_t n;
  do {
    for (n = 0; n < TRANSMITS && fzr_engine_next_transmit(d->engine, &d->transmits[n]);)
      n++;
    if (n)
      d->ops.transmit(d->io, d->transmits, n);
  } while (n == TRANSMITS);
}

/* What follows from input: events before answers, so that nobody is told of what is not yet so. */
static void settle(fzr_driver *d, fzr_time now)
{
  take_events(d, now);
  take_transmits(d);
}

void fzr_driver_rx(fzr_driver *d, enum fzr_side side, fzr_pkt *in, size_t n, fzr_time now)
{
  if (!d || !in)
    return;
  fzr_batch batch = {.in = in, .count = n, .out = d->verdicts, .room = VERDICTS};
  while (batch.consumed < n && fzr_engine_rx(d->engine, side, &batch, now) == 0) {
    if (batch.written)
      d->ops.forward(d->io, d->verdicts, batch.written);
    settle(d, now);
  }
}

fzr_time fzr_driver_deadline(const fzr_driver *d)
{
  return d ? fzr_engine_deadline(d->engine) : FZR_TIME_NEVER;
}

void fzr_driver_on_deadline(fzr_driver *d, fzr_time now)
{
  if (!d)
    return;
  fzr_engine_on_deadline(d->engine, DEADLINE_BUDGET, now);
  settle(d, now);
}

int fzr_driver_port_result(fzr_driver *d, uint16_t port, enum fzr_family family, int error, void *cookie,
                           fzr_time now)
{
  if (!d)
    return FZR_ERR_INVALID_ARGUMENT;
  const int result = fzr_engine_port_result(d->engine, port, family, error, cookie, now);
  settle(d, now);
  return result;
}
