/* SPDX-License-Identifier: Apache-2.0 */
/* The pump between an engine and its adapters, on the public API alone. */
#include "firezone_relay/driver.h"

#include "../base/mem.h"

#define VERDICTS        64u
#define TRANSMITS       64u
#define DEADLINE_BUDGET 256u

#define TRANSPORTS (FZR_TRANSPORT_DTLS + 1u)

/* No function: there is none. */
typedef struct adapter {
  fzr_io_ops ops;
  void *io;
} adapter;

struct fzr_driver {
  _Alignas(FZRI_CACHE_LINE) fzr_engine *engine;
  adapter adapters[TRANSPORTS]; /* by enum fzr_transport */
  fzri_mem mem;
  fzr_verdict verdicts[VERDICTS];
  fzr_transmit transmits[TRANSMITS];
};

int fzr_driver_new(fzr_engine *engine, const fzr_mem *hooks, fzr_driver **out)
{
  fzri_mem mem;
  if (!engine || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  const int error = fzri_mem_init(&mem, hooks);
  if (error)
    return error;
  fzr_driver *d = fzri_mem_zalloc_lines(&mem, sizeof *d);
  if (!d)
    return FZR_ERR_NO_MEMORY;
  d->engine = engine;
  d->mem = mem;
  *out = d;
  return 0;
}

fzr_engine *fzr_driver_engine(const fzr_driver *d)
{
  return d ? d->engine : NULL;
}

/* ---- adapters ---- */

static bool is_transport(enum fzr_transport transport)
{
  return (unsigned)transport < TRANSPORTS;
}

/* Whether allocations have sockets of an adapter that was there before. Those that have ended have none any more: what events
 * are left of them is for nobody. */
static bool has_ports_of_another(fzr_driver *d)
{
  fzr_allocation first;
  fzr_event event;
  uint32_t cursor = 0;
  if (fzr_engine_list_allocations(d->engine, &cursor, &first, 1))
    return true;
  while (fzr_engine_next_event(d->engine, &event))
    ;
  return false;
}

int fzr_driver_add(fzr_driver *d, enum fzr_transport transport, const fzr_io_ops *ops, void *io)
{
  fzr_io_ops copy = {0};
  if (!d || !ops || !is_transport(transport))
    return FZR_ERR_INVALID_ARGUMENT;
  const int error = fzri_config_copy(&copy, sizeof copy, ops, sizeof copy.size);
  if (error)
    return error;
  const bool opens = copy.open_port && copy.close_port;
  if (!copy.forward || !copy.transmit || (transport == FZR_TRANSPORT_UDP && !opens))
    return FZR_ERR_INVALID_ARGUMENT;
  if (d->adapters[transport].ops.forward || (transport == FZR_TRANSPORT_UDP && has_ports_of_another(d)))
    return FZR_ERR_INVALID_STATE;
  d->adapters[transport] = (adapter){copy, io};
  return 0;
}

void fzr_driver_remove(fzr_driver *d, enum fzr_transport transport, const void *io)
{
  if (d && is_transport(transport) && d->adapters[transport].io == io)
    d->adapters[transport] = (adapter){.io = NULL};
}

/* The adapter of those who are at an address of |transport|, which comes from whoever called fzr_driver_rx; NULL: none. */
static const adapter *adapter_of(const fzr_driver *d, uint8_t transport)
{
  if (transport >= TRANSPORTS || !d->adapters[transport].ops.forward)
    return NULL;
  return &d->adapters[transport];
}

/* Relayed addresses are UDP's. */
static const adapter *adapter_of_ports(const fzr_driver *d)
{
  return adapter_of(d, FZR_TRANSPORT_UDP);
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
  const adapter *a = adapter_of_ports(d);
  const enum fzr_family family = (enum fzr_family)event->family;
  void *cookie = NULL;
  const int error = a ? a->ops.open_port(a->io, event->port, family, &cookie) : FZR_ERR_IO_NO_SOCKET;
  if (error == FZR_ERR_IO_PENDING)
    return;
  const int result = fzr_engine_port_result(d->engine, event->port, family, error, cookie, now);
  if (result && !error)
    a->ops.close_port(a->io, event->port, family, cookie); /* the allocation ended meanwhile */
}

static void take_event(fzr_driver *d, const fzr_event *event, fzr_time now)
{
  const adapter *a = adapter_of_ports(d);
  if (event->type == FZR_EVENT_PORT_OPEN)
    open_port(d, event, now);
  else if (a && event->type == FZR_EVENT_PORT_CLOSE)
    a->ops.close_port(a->io, event->port, (enum fzr_family)event->family, event->io);
  else if (a && a->ops.channel)
    a->ops.channel(a->io, event);
}

static void take_events(fzr_driver *d, fzr_time now)
{
  fzr_event event;
  while (fzr_engine_next_event(d->engine, &event))
    take_event(d, &event, now);
}

/* Has each adapter send the answers that are for clients of its transport, in order. */
static void transmit(const fzr_driver *d, const fzr_transmit *all, size_t n, fzr_time now)
{
  for (size_t from = 0, end; from < n; from = end) {
    const uint8_t transport = all[from].to.transport;
    for (end = from + 1; end < n && all[end].to.transport == transport;)
      end++;
    const adapter *a = adapter_of(d, transport);
    if (a)
      a->ops.transmit(a->io, all + from, end - from, now);
  }
}

/* The same for verdicts. Those that forward nothing are anybody's. */
static void forward(const fzr_driver *d, const fzr_verdict *all, size_t n, fzr_time now)
{
  for (size_t from = 0, end; from < n; from = end) {
    end = from + 1;
    if (all[from].action != FZR_ACT_FORWARD)
      continue;
    const uint8_t transport = all[from].to.transport;
    while (end < n && (all[end].action != FZR_ACT_FORWARD || all[end].to.transport == transport))
      end++;
    const adapter *a = adapter_of(d, transport);
    if (a)
      a->ops.forward(a->io, all + from, end - from, now);
  }
}

static void take_transmits(fzr_driver *d, fzr_time now)
{
  size_t n;
  do {
    for (n = 0; n < TRANSMITS && fzr_engine_next_transmit(d->engine, &d->transmits[n]);)
      n++;
    transmit(d, d->transmits, n, now);
  } while (n == TRANSMITS);
}

/* What follows from input: events before answers, so that nobody is told of what is not yet so. */
static inline void settle(fzr_driver *d, fzr_time now)
{
  take_events(d, now);
  take_transmits(d, now);
}

/* The same where it is not about packets: so that the compiler puts the other one in their way, which mostly finds nothing. */
__attribute__((noinline)) static void settle_apart(fzr_driver *d, fzr_time now)
{
  settle(d, now);
}

void fzr_driver_rx(fzr_driver *d, enum fzr_side side, fzr_pkt *in, size_t n, fzr_time now)
{
  if (!d || !in)
    return;
  fzr_batch batch = {.in = in, .count = n, .out = d->verdicts, .room = VERDICTS};
  while (batch.consumed < n && fzr_engine_rx(d->engine, side, &batch, now) == 0) {
    forward(d, d->verdicts, batch.written, now);
    settle(d, now);
  }
}

void fzr_driver_peer_errors(fzr_driver *d, const fzr_peer_error *errors, size_t n, fzr_time now)
{
  if (!d || !errors)
    return;
  for (size_t i = 0; i < n; i++) {
    fzr_engine_peer_error(d->engine, &errors[i], now);
    settle_apart(d, now);
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
  settle_apart(d, now);
}

int fzr_driver_port_result(fzr_driver *d, uint16_t port, enum fzr_family family, int error, void *cookie,
                           fzr_time now)
{
  if (!d)
    return FZR_ERR_INVALID_ARGUMENT;
  const int result = fzr_engine_port_result(d->engine, port, family, error, cookie, now);
  settle_apart(d, now);
  return result;
}
