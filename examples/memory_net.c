/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_net.h"

#include <firezone_relay/socket.h>

#include <stdlib.h>
#include <string.h>

/* Something that will happen: a datagram arrives (fn is NULL), a timer fires. */
typedef struct happening {
  fzr_time at;
  uint64_t order; /* of those at the same time */
  int inside;     /* it takes no link */
  memory_timer_fn fn;
  void *ctx;
  fzr_addr from, to;
  size_t len;
  uint8_t *data;
} happening;

typedef struct host {
  fzr_addr addr;
  memory_receive_fn receive;
  void *ctx;
} host;

/* An open that is under way. */
typedef struct opening {
  memory_relay *relay;
  uint16_t port;
  enum fzr_family family;
  int result;
  struct opening *next;
} opening;

struct memory_relay {
  memory_net *net;
  fzr_driver *driver;
  fzr_addr listen[2];
  fzr_addr address[2]; /* of the allocations */
  uint8_t *open[2];    /* a byte a port */
  unsigned open_ports;
  fzr_time open_delay;
  unsigned taken_every, opens;
  opening *openings;
  memory_relay *next;
};

struct memory_net {
  fzr_time now;
  uint64_t seed;
  memory_link link;
  memory_tap_fn lost, nobody;
  void *tap_ctx;
  happening *heap;
  size_t count, room;
  uint64_t order, newest_order;
  uint64_t reordered;
  host *hosts;
  size_t host_count;
  memory_relay *relays;
};

static uint64_t chance(memory_net *net)
{
  uint64_t z = (net->seed += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

memory_net *memory_net_new(uint64_t seed, fzr_time now)
{
  memory_net *net = (memory_net *)calloc(1, sizeof *net);
  if (net) {
    net->seed = seed;
    net->now = now;
  }
  return net;
}

static void free_relay(memory_relay *r)
{
  while (r->openings) {
    opening *next = r->openings->next;
    free(r->openings);
    r->openings = next;
  }
  fzr_driver_free(r->driver);
  free(r->open[0]);
  free(r->open[1]);
  free(r);
}

void memory_net_free(memory_net *net)
{
  if (!net)
    return;
  for (size_t i = 0; i < net->count; i++)
    free(net->heap[i].data);
  while (net->relays) {
    memory_relay *next = net->relays->next;
    free_relay(net->relays);
    net->relays = next;
  }
  free(net->heap);
  free(net->hosts);
  free(net);
}

void memory_net_set_link(memory_net *net, const memory_link *link)
{
  net->link = *link;
}

void memory_net_set_tap(memory_net *net, memory_tap_fn lost, void *ctx)
{
  net->lost = lost;
  net->tap_ctx = ctx;
}

void memory_net_set_nobody(memory_net *net, memory_tap_fn nobody)
{
  net->nobody = nobody;
}

fzr_time memory_net_now(const memory_net *net)
{
  return net->now;
}

uint64_t memory_net_reordered(const memory_net *net)
{
  return net->reordered;
}

int memory_net_add_host(memory_net *net, const fzr_addr *addr, memory_receive_fn receive, void *ctx)
{
  host *more = (host *)realloc(net->hosts, (net->host_count + 1) * sizeof *more);
  if (!more)
    return -1;
  net->hosts = more;
  const host added = {*addr, receive, ctx};
  net->hosts[net->host_count++] = added;
  return 0;
}

/* ---- what will happen, the soonest first ---- */

static int earlier(const happening *a, const happening *b)
{
  return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static int push(memory_net *net, const happening *h)
{
  if (net->count == net->room) {
    const size_t room = net->room ? 2 * net->room : 64;
    happening *more = (happening *)realloc(net->heap, room * sizeof *more);
    if (!more)
      return -1;
    net->heap = more;
    net->room = room;
  }
  size_t i = net->count++;
  for (; i && earlier(h, &net->heap[(i - 1) / 2]); i = (i - 1) / 2)
    net->heap[i] = net->heap[(i - 1) / 2];
  net->heap[i] = *h;
  return 0;
}

static happening pop(memory_net *net)
{
  const happening first = net->heap[0], last = net->heap[--net->count];
  size_t i = 0;
  for (size_t child; (child = 2 * i + 1) < net->count; i = child) {
    if (child + 1 < net->count && earlier(&net->heap[child + 1], &net->heap[child]))
      child++;
    if (!earlier(&net->heap[child], &last))
      break;
    net->heap[i] = net->heap[child];
  }
  net->heap[i] = last;
  net->heap[net->count].data = NULL; /* nobody's any more */
  return first;
}

static int send_after(memory_net *net, fzr_time delay, int inside, const fzr_addr *from, const fzr_addr *to,
                      const uint8_t *data, size_t len)
{
  happening h;
  memset(&h, 0, sizeof h);
  h.at = net->now + delay;
  h.inside = inside;
  h.order = net->order++;
  h.from = *from;
  h.to = *to;
  h.len = len;
  h.data = (uint8_t *)malloc(len ? len : 1);
  if (!h.data)
    return -1;
  if (len)
    memcpy(h.data, data, len);
  if (push(net, &h) == 0)
    return 0;
  free(h.data);
  return -1;
}

static int send_once(memory_net *net, const fzr_addr *from, const fzr_addr *to, const uint8_t *data,
                     size_t len)
{
  const fzr_time jitter = net->link.jitter ? chance(net) % (net->link.jitter + 1) : 0;
  return send_after(net, net->link.delay + jitter, 0, from, to, data, len);
}

int memory_net_send(memory_net *net, const fzr_addr *from, const fzr_addr *to, const uint8_t *data,
                    size_t len)
{
  if (chance(net) % 1000 < net->link.loss) {
    if (net->lost)
      net->lost(net->tap_ctx, from, to, data, len);
    return 0;
  }
  if (chance(net) % 1000 < net->link.repeat && send_once(net, from, to, data, len))
    return -1;
  return send_once(net, from, to, data, len);
}

int memory_net_timer(memory_net *net, fzr_time in, memory_timer_fn fn, void *ctx)
{
  happening h;
  memset(&h, 0, sizeof h);
  h.at = net->now + in;
  h.order = net->order++;
  h.fn = fn;
  h.ctx = ctx;
  return push(net, &h);
}

/* ---- the adapter ---- */

static void report_opening(void *ctx)
{
  opening *o = (opening *)ctx;
  memory_relay *r = o->relay;
  for (opening **at = &r->openings; *at; at = &(*at)->next) {
    if (*at != o)
      continue;
    *at = o->next;
    break;
  }
  const unsigned slot = o->family == FZR_FAMILY_IPV6;
  if (fzr_driver_port_result(r->driver, o->port, o->family, o->result, r, r->net->now) == 0 && !o->result) {
    r->open[slot][o->port] = 1;
    r->open_ports++;
  }
  free(o);
}

static int open_port(void *io, uint16_t port, enum fzr_family family, void **cookie)
{
  memory_relay *r = (memory_relay *)io;
  const int result = r->taken_every && ++r->opens % r->taken_every == 0 ? FZR_ERR_IO_IN_USE : 0;
  *cookie = r;
  if (!r->open_delay) {
    if (!result) {
      r->open[family == FZR_FAMILY_IPV6][port] = 1;
      r->open_ports++;
    }
    return result;
  }
  opening *o = (opening *)malloc(sizeof *o);
  if (!o)
    return FZR_ERR_IO_NO_SOCKET;
  const opening asked = {r, port, family, result, r->openings};
  *o = asked;
  if (memory_net_timer(r->net, r->open_delay, report_opening, o)) {
    free(o);
    return FZR_ERR_IO_NO_SOCKET;
  }
  r->openings = o;
  return FZR_ERR_IO_PENDING;
}

static void close_port(void *io, uint16_t port, enum fzr_family family, void *cookie)
{
  memory_relay *r = (memory_relay *)io;
  (void)cookie;
  r->open_ports -= r->open[family == FZR_FAMILY_IPV6][port];
  r->open[family == FZR_FAMILY_IPV6][port] = 0;
}

static void forward(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  memory_relay *r = (memory_relay *)io;
  (void)now; /* the net has a clock of its own */
  uint8_t data[FZR_UDP_PAYLOAD_MAX];
  for (size_t i = 0; i < n; i++) {
    const fzr_verdict *v = &verdicts[i];
    for (uint16_t k = 0; v->action == FZR_ACT_FORWARD && k < v->count; k++) {
      struct iovec parts[FZR_DATAGRAM_IOVECS];
      const size_t count = fzr_verdict_iovecs(v, k, parts);
      size_t len = 0;
      for (size_t p = 0; p < count; len += parts[p++].iov_len)
        memcpy(data + len, parts[p].iov_base, parts[p].iov_len);
      if (v->flags & FZR_VERDICT_TO_OWN)
        send_after(r->net, 0, 1, &v->from, &v->to, data, len); /* no link within the host */
      else
        memory_net_send(r->net, &v->from, &v->to, data, len);
    }
  }
}

static void transmit(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  memory_relay *r = (memory_relay *)io;
  (void)now;
  for (size_t i = 0; i < n; i++)
    memory_net_send(r->net, &answers[i].from, &answers[i].to, answers[i].data, answers[i].len);
}

memory_relay *memory_net_add_relay(memory_net *net, fzr_engine *engine, const fzr_addr *listen4,
                                   const fzr_addr *listen6, const fzr_addr *public4, const fzr_addr *public6,
                                   const fzr_mem *mem, int *error)
{
  fzr_io_ops ops = fzr_io_ops_init();
  ops.open_port = open_port;
  ops.close_port = close_port;
  ops.forward = forward;
  ops.transmit = transmit;
  memory_relay *r = (memory_relay *)calloc(1, sizeof *r);
  *error = FZR_ERR_NO_MEMORY;
  if (!r)
    return NULL;
  r->net = net;
  r->listen[0] = *listen4;
  r->listen[1] = *listen6;
  r->address[0] = *public4;
  r->address[1] = *public6;
  r->open[0] = (uint8_t *)calloc(1, UINT16_MAX + 1);
  r->open[1] = (uint8_t *)calloc(1, UINT16_MAX + 1);
  if (r->open[0] && r->open[1])
    *error = fzr_driver_new(engine, mem, &r->driver);
  if (!*error)
    *error = fzr_driver_add(r->driver, FZR_TRANSPORT_UDP, &ops, r);
  if (*error) {
    free_relay(r);
    return NULL;
  }
  r->next = net->relays;
  net->relays = r;
  return r;
}

static void nothing(void *ctx)
{
  (void)ctx;
}

void memory_net_remove_relay(memory_net *net, memory_relay *relay)
{
  for (memory_relay **at = &net->relays; *at; at = &(*at)->next) {
    if (*at != relay)
      continue;
    *at = relay->next;
    break;
  }
  for (size_t i = 0; i < net->count; i++)
    if (net->heap[i].fn == report_opening && ((opening *)net->heap[i].ctx)->relay == relay)
      net->heap[i].fn = nothing;
  free_relay(relay);
}

void memory_relay_set_ports(memory_relay *relay, fzr_time delay, unsigned taken_every)
{
  relay->open_delay = delay;
  relay->taken_every = taken_every;
}

unsigned memory_relay_open_ports(const memory_relay *relay)
{
  return relay->open_ports;
}

/* ---- time ---- */

/* Whether |r| has a socket there; gives it the datagram if so. */
static int relay_takes(memory_relay *r, const happening *h)
{
  const unsigned slot = h->to.family == FZR_FAMILY_IPV6;
  fzr_pkt pkt;
  memset(&pkt, 0, sizeof pkt);
  pkt.data = h->data;
  pkt.len = (uint32_t)h->len;
  pkt.from = h->from;
  pkt.to = h->to;
  if (fzr_addr_equal(&h->to, &r->listen[slot])) {
    fzr_driver_rx(r->driver, FZR_SIDE_CLIENT, &pkt, 1, r->net->now);
    return 1;
  }
  fzr_addr address = r->address[slot];
  address.port = h->to.port;
  if (!fzr_addr_equal(&h->to, &address) || !r->open[slot][h->to.port])
    return 0;
  fzr_driver_rx(r->driver, FZR_SIDE_PEER, &pkt, 1, r->net->now);
  return 1;
}

static void deliver(memory_net *net, const happening *h)
{
  if (!h->inside && h->order < net->newest_order)
    net->reordered++;
  else if (!h->inside)
    net->newest_order = h->order;
  for (memory_relay *r = net->relays; r; r = r->next)
    if (relay_takes(r, h))
      return;
  for (size_t i = 0; i < net->host_count; i++) {
    if (!fzr_addr_equal(&net->hosts[i].addr, &h->to))
      continue;
    net->hosts[i].receive(net->hosts[i].ctx, &h->from, &h->to, h->data, h->len);
    return;
  }
  const memory_tap_fn tap = net->nobody ? net->nobody : net->lost;
  if (tap)
    tap(net->tap_ctx, &h->from, &h->to, h->data, h->len);
}

static fzr_time next_deadline(const memory_net *net)
{
  fzr_time first = FZR_TIME_NEVER;
  for (const memory_relay *r = net->relays; r; r = r->next) {
    const fzr_time deadline = fzr_driver_deadline(r->driver);
    if (deadline < first)
      first = deadline;
  }
  return first;
}

static void expire(memory_net *net)
{
  for (memory_relay *r = net->relays; r; r = r->next)
    if (fzr_driver_deadline(r->driver) <= net->now)
      fzr_driver_on_deadline(r->driver, net->now);
}

void memory_net_run(memory_net *net, fzr_time by)
{
  const fzr_time end = net->now + by;
  for (;;) {
    const fzr_time deadline = next_deadline(net);
    const fzr_time soonest = net->count ? net->heap[0].at : FZR_TIME_NEVER;
    const fzr_time at = deadline < soonest ? deadline : soonest;
    if (at > end)
      break;
    if (at > net->now)
      net->now = at;
    if (deadline <= soonest) {
      expire(net);
      continue;
    }
    const happening h = pop(net);
    if (h.fn) {
      h.fn(h.ctx);
      continue;
    }
    deliver(net, &h);
    free(h.data);
  }
  net->now = end;
}
