/* SPDX-License-Identifier: Apache-2.0 */
/* Relaying: clients and peers of the generator send to each other through the server, each packet numbered and timed. */
#include "bench.h"
#include "floor.h"

#include "firezone_relay/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define BATCH       64u
#define RECV_MSGS   32u
#define RECV_SLOT   65600u
#define HEAD_MAX    48u /* of a Send indication with an IPv6 peer */
#define STAMP_BYTES 16u /* number and time at the front of a payload that has room for them */
#define STALL       (300 * FZR_MILLISECOND)
#define DRAIN       (500 * FZR_MILLISECOND)

#define FLOOR_PATIENCE 1000 /* ms, for its answer */

/* One direction of one client. */
typedef struct flow {
  int out;    /* connected to where it sends */
  wire *wire; /* in place of it: a client's connection; NULL: none */
  uint8_t head[HEAD_MAX];
  size_t
      head_len; /* what goes in front of payloads: nothing, a header of ChannelData, or of a Send indication up to its DATA */
  size_t pad; /* what goes behind them */
  uint64_t sent;
  uint64_t received;
  uint64_t highest;     /* number of the newest datagram received, plus one */
  uint64_t written_off; /* in flight for too long: taken as lost */
  uint64_t reordered;
  uint64_t damaged;
  fzr_time last_progress;
} flow;

typedef struct relay_run {
  const bench *b;
  session *sessions;
  int *peer_fds;
  flow *up, *down; /* per client */
  int epoll;
  uint8_t *slots;
  latencies latency;
  unsigned per_flow_window;
  uint64_t stray;
  uint64_t ended; /* connections that the server has ended */
  fzr_time begin;
} relay_run;

static void put16(uint8_t *at, uint32_t value)
{
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static uint8_t pattern(uint64_t number, uint32_t at)
{
  return (uint8_t)(number * 31 + (uint64_t)at * 7);
}

/* Writes one datagram of |f| into |out|; returns its length. */
static size_t make_datagram(const relay_run *r, const flow *f, uint64_t number, fzr_time now, uint8_t *out)
{
  const uint32_t size = r->b->size;
  uint8_t *payload = out + f->head_len;
  memcpy(out, f->head, f->head_len);
  if (f->head_len > FZR_CHANNEL_HEADER_LEN)
    memcpy(out + FZR_STUN_HEADER_LEN - sizeof number, &number, sizeof number); /* in the transaction id */
  memset(payload + size, 0, f->pad);
  if (size >= STAMP_BYTES) {
    memcpy(payload, &number, sizeof number);
    memcpy(payload + 8, &now, sizeof now);
    /* The ends of the payload and some bytes between them: checking all of it would make the generator the bottleneck. */
    for (uint32_t at = STAMP_BYTES; at < size; at += at + 64 < size ? 61 : 1)
      payload[at] = pattern(number, at);
  }
  return f->head_len + size + f->pad;
}

static bool payload_is_right(const uint8_t *payload, uint32_t size, uint64_t number)
{
  for (uint32_t at = STAMP_BYTES; at < size; at += at + 64 < size ? 61 : 1)
    if (payload[at] != pattern(number, at))
      return false;
  return true;
}

static void take_payload(relay_run *r, flow *f, const uint8_t *payload, uint32_t len, fzr_time now)
{
  f->received++;
  f->last_progress = now;
  if (len != r->b->size) {
    f->damaged++;
    return;
  }
  if (len < STAMP_BYTES)
    return;
  uint64_t number;
  fzr_time sent_at;
  memcpy(&number, payload, sizeof number);
  memcpy(&sent_at, payload + 8, sizeof sent_at);
  if (number >= f->sent || !payload_is_right(payload, len, number)) {
    f->damaged++;
    return;
  }
  if (number + 1 < f->highest)
    f->reordered++;
  else
    f->highest = number + 1;
  if (now > sent_at)
    latencies_add(&r->latency, now - sent_at);
}

/* The DATA of a Data indication from the peer of |s|; false if it is none. */
static bool data_of(const session *s, const uint8_t *data, uint32_t len, fzr_stun_attr *payload)
{
  fzr_stun_msg msg;
  fzr_addr peer;
  return fzr_stun_read(data, len, &msg) == 0 && msg.method == FZR_STUN_DATA &&
         msg.cls == FZR_STUN_INDICATION && fzr_stun_get(&msg, FZR_ATTR_DATA, payload) &&
         fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &peer) && fzr_addr_equal(&peer, &s->peer);
}

static void take_datagram(relay_run *r, unsigned client, bool at_client, const uint8_t *data, uint32_t len,
                          fzr_time now)
{
  uint16_t channel, payload_len;
  fzr_stun_attr payload;
  if (!at_client) {
    take_payload(r, &r->up[client], data, len, now);
  } else if (r->b->indications && data_of(&r->sessions[client], data, len, &payload)) {
    take_payload(r, &r->down[client], payload.value, payload.len, now);
  } else if (fzr_channel_data_read(data, len, &channel, &payload_len) == 0 &&
             channel == r->sessions[client].channel) {
    take_payload(r, &r->down[client], data + FZR_CHANNEL_HEADER_LEN, payload_len, now);
  } else {
    r->stray++;
  }
}

typedef struct reading {
  relay_run *run;
  unsigned client;
  fzr_time now;
} reading;

static void take_message(void *ctx, const uint8_t *data, uint32_t len)
{
  const reading *at = ctx;
  take_datagram(at->run, at->client, true, data, len, at->now);
}

/* Reads what has come to a client by its connection. One that has ended is not looked at again. */
static void receive_stream(relay_run *r, unsigned client)
{
  const session *s = &r->sessions[client];
  reading at = {r, client, bench_now()};
  if (!wire_read(s->wire, take_message, &at)) {
    r->ended++;
    epoll_ctl(r->epoll, EPOLL_CTL_DEL, s->fd, NULL);
  }
}

static uint16_t run_size(struct msghdr *msg)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
    if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
      continue;
    int size;
    memcpy(&size, CMSG_DATA(c), sizeof size);
    return (uint16_t)size;
  }
  return 0;
}

/* Reads what has come to one socket. */
static void receive(relay_run *r, unsigned client, bool at_client)
{
  struct mmsghdr msgs[RECV_MSGS];
  struct iovec iovs[RECV_MSGS];
  _Alignas(struct cmsghdr) uint8_t controls[RECV_MSGS][CMSG_SPACE(sizeof(int))];
  const int fd = at_client ? r->sessions[client].fd : r->peer_fds[client];
  if (at_client && r->sessions[client].wire) {
    receive_stream(r, client);
    return;
  }
  for (unsigned rounds = 0; rounds < 4; rounds++) {
    memset(msgs, 0, sizeof msgs);
    for (unsigned i = 0; i < RECV_MSGS; i++) {
      iovs[i] = (struct iovec){r->slots + (size_t)i * RECV_SLOT, RECV_SLOT};
      msgs[i].msg_hdr.msg_iov = &iovs[i];
      msgs[i].msg_hdr.msg_iovlen = 1;
      msgs[i].msg_hdr.msg_control = controls[i];
      msgs[i].msg_hdr.msg_controllen = sizeof controls[i];
    }
    const int n = recvmmsg(fd, msgs, RECV_MSGS, MSG_DONTWAIT, NULL);
    const fzr_time now = bench_now();
    for (int i = 0; i < n; i++) {
      const uint8_t *data = iovs[i].iov_base;
      const uint32_t len = msgs[i].msg_len;
      const uint32_t seg = run_size(&msgs[i].msg_hdr);
      for (uint32_t at = 0; at < len; at += seg ? seg : len)
        take_datagram(r, client, at_client, data + at, seg && seg < len - at ? seg : len - at, now);
    }
    if (n < (int)RECV_MSGS)
      return;
  }
}

/* Sends |n| packets of |f|: by its connection, in one GSO message, or in one sendmmsg. Returns how many went out. */
static unsigned send_batch(relay_run *r, flow *f, unsigned n)
{
  static uint8_t buffer[(size_t)BATCH * 2048];
  struct mmsghdr msgs[BATCH];
  struct iovec iovs[BATCH];
  const size_t len = f->head_len + r->b->size + f->pad;
  const unsigned fits = len ? (unsigned)((r->b->gso ? 65000 : sizeof buffer) / len) : BATCH;
  if (n > fits)
    n = fits;
  const fzr_time now = bench_now();
  for (unsigned i = 0; i < n; i++)
    make_datagram(r, f, f->sent + i, now, buffer + (size_t)i * len);
  if (f->wire)
    return wire_send(f->wire, buffer, len, n) ? n : 0;
  memset(msgs, 0, sizeof *msgs * (size_t)n);
  if (r->b->gso && n > 1) {
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    const uint16_t seg = (uint16_t)len;
    iovs[0] = (struct iovec){buffer, (size_t)n * len};
    struct msghdr msg = {
        .msg_iov = iovs, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof seg);
    memcpy(CMSG_DATA(c), &seg, sizeof seg);
    return sendmsg(f->out, &msg, MSG_DONTWAIT) < 0 ? 0 : n;
  }
  for (unsigned i = 0; i < n; i++) {
    iovs[i] = (struct iovec){buffer + i * len, len};
    msgs[i].msg_hdr.msg_iov = &iovs[i];
    msgs[i].msg_hdr.msg_iovlen = 1;
  }
  const int sent = sendmmsg(f->out, msgs, n, MSG_DONTWAIT);
  return sent > 0 ? (unsigned)sent : 0;
}

/* How many datagrams of |f| may go now. */
static unsigned allowance(const relay_run *r, flow *f, fzr_time now)
{
  const bench *b = r->b;
  uint64_t may;
  if (b->rate) {
    const unsigned flows = b->clients * (b->direction == DIRECTION_BOTH ? 2 : 1);
    const uint64_t due = (uint64_t)((double)(now - r->begin) / 1e9 * (double)b->rate / flows) + 1;
    may = due > f->sent ? due - f->sent : 0;
  } else {
    uint64_t in_flight = f->sent - f->received - f->written_off;
    if (f->received + f->written_off > f->sent)
      in_flight = 0;
    if (in_flight >= r->per_flow_window && now > (f->last_progress ? f->last_progress : r->begin) + STALL) {
      f->written_off += in_flight;
      f->last_progress = now;
      in_flight = 0;
    }
    may = in_flight < r->per_flow_window ? r->per_flow_window - in_flight : 0;
    /* Wait until a good part of the window is free: single datagrams would not make a run. */
    if (may < r->per_flow_window / 2 && may < BATCH / 2)
      may = 0;
  }
  if (b->packets && f->sent + may > b->packets)
    may = b->packets - f->sent;
  return may < BATCH ? (unsigned)may : BATCH;
}

static void send_some(relay_run *r, flow *f)
{
  if (f->wire && !wire_flush(f->wire))
    return;
  const unsigned may = allowance(r, f, bench_now());
  if (may)
    f->sent += send_batch(r, f, may);
}

static void receive_some(relay_run *r, int timeout_ms)
{
  struct epoll_event ready[128];
  const int n = epoll_wait(r->epoll, ready, 128, timeout_ms);
  for (int i = 0; i < n; i++)
    receive(r, ready[i].data.u32 >> 1, ready[i].data.u32 & 1);
}

typedef struct totals {
  uint64_t sent, received, reordered, damaged;
} totals;

static totals sum(const relay_run *r)
{
  totals t = {0, 0, 0, 0};
  for (unsigned i = 0; i < r->b->clients; i++) {
    const flow *both[2] = {&r->up[i], &r->down[i]};
    for (unsigned k = 0; k < 2; k++) {
      t.sent += both[k]->sent;
      t.received += both[k]->received;
      t.reordered += both[k]->reordered;
      t.damaged += both[k]->damaged;
    }
  }
  return t;
}

static bool all_sent(const relay_run *r)
{
  if (!r->b->packets)
    return false;
  for (unsigned i = 0; i < r->b->clients; i++) {
    if (r->b->direction & DIRECTION_UP && r->up[i].sent < r->b->packets)
      return false;
    if (r->b->direction & DIRECTION_DOWN && r->down[i].sent < r->b->packets)
      return false;
  }
  return true;
}

static void send_all(relay_run *r)
{
  for (unsigned i = 0; i < r->b->clients; i++) {
    if (r->b->direction & DIRECTION_UP)
      send_some(r, &r->up[i]);
    if (r->b->direction & DIRECTION_DOWN)
      send_some(r, &r->down[i]);
  }
}

/* Waits for what is still under way. */
static void drain(relay_run *r)
{
  for (fzr_time quiet = bench_now() + DRAIN; !bench_stop && bench_now() < quiet;) {
    const uint64_t before = sum(r).received;
    if (before >= sum(r).sent)
      break;
    receive_some(r, 20);
    if (sum(r).received > before)
      quiet = bench_now() + DRAIN;
  }
}

/* One window while the server stands, and all of it back before the next. Returns false if the server can't be held. */
static bool step(relay_run *r)
{
  const bool held = process_hold(r->b->pid);
  if (held)
    send_all(r);
  process_release(r->b->pid);
  if (held)
    drain(r);
  return held;
}

/* Sends and receives until the time is over or all is sent, then waits for what is still under way. */
static void pump(relay_run *r)
{
  const fzr_time end = r->begin + (fzr_time)(r->b->seconds * 1e9);
  while (!bench_stop && bench_now() < end && !all_sent(r)) {
    if (r->b->in_steps) {
      if (!step(r))
        return;
      continue;
    }
    send_all(r);
    receive_some(r, r->b->rate >= 1000 ? 0 : 1); /* at a high rate a millisecond is too long */
  }
  drain(r);
}

/* ---- set-up ---- */

static int open_peer(const fzr_addr *host, fzr_addr *bound)
{
  fzr_sockaddr name;
  socklen_t len = fzr_addr_to_sockaddr(host, &name);
  const int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  const bool failed = bind(fd, &name.any, len) != 0;
  len = sizeof name;
  if (failed || getsockname(fd, &name.any, &len) || fzr_addr_from_sockaddr(&name.any, len, bound)) {
    close(fd);
    return -1;
  }
  return fd;
}

static int connect_to(int fd, const fzr_addr *addr)
{
  fzr_sockaddr name;
  const socklen_t len = fzr_addr_to_sockaddr(addr, &name);
  return connect(fd, &name.any, len);
}

static void prepare_socket(relay_run *r, int fd, uint32_t key)
{
  const int one = 1, buffer = 4 << 20;
  struct epoll_event e = {.events = EPOLLIN, .data = {.u32 = key}};
  setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void count_message(void *ctx, const uint8_t *data, uint32_t len)
{
  unsigned *count = ctx;
  (void)data;
  (void)len;
  ++*count;
}

/* Connects to the bare forwarder, and says whose connection it is by a message of its channel, which comes back. */
static int floor_connect(const relay_run *r, session *s)
{
  const uint8_t hello[FZR_CHANNEL_HEADER_LEN] = {(uint8_t)(s->channel >> 8), (uint8_t)s->channel};
  unsigned answers = 0;
  s->wire = wire_open(&r->b->server);
  if (!s->wire || wire_wait(s->wire) || !wire_send(s->wire, hello, sizeof hello, 1))
    return -1;
  s->fd = wire_fd(s->wire);
  struct pollfd p = {.fd = s->fd, .events = POLLIN};
  while (!answers)
    if (poll(&p, 1, FLOOR_PATIENCE) < 1 || !wire_read(s->wire, count_message, &answers)) {
      errno = ETIMEDOUT;
      return -1;
    }
  return 0;
}

static int floor_open(const relay_run *r, session *s, const fzr_addr *client)
{
  fzr_addr bound;
  if (r->b->server.transport == FZR_TRANSPORT_TCP)
    return floor_connect(r, s);
  s->fd = open_peer(client, &bound);
  return s->fd < 0 ? -1 : connect_to(s->fd, &r->b->server);
}

/* The bare forwarder knows its clients and peers by their ports, and has them at the address of peers: nothing is asked for. */
static bool floor_set_up(relay_run *r)
{
  for (unsigned i = 0; i < r->b->clients; i++) {
    session *s = &r->sessions[i];
    fzr_addr client = r->b->peer_host, peer = client, bound;
    client.port = (uint16_t)(r->b->server.port + FLOOR_CLIENT + i);
    peer.port = (uint16_t)(r->b->server.port + (r->b->indications ? FLOOR_PERMITTED : FLOOR_PEER) + i);
    s->relayed = r->b->server;
    s->relayed.port = (uint16_t)(r->b->server.port + FLOOR_RELAYED + i);
    s->channel = (uint16_t)(FZR_CHANNEL_MIN + i);
    s->peer = peer;
    s->state = SESSION_GONE; /* there is nothing to give back either */
    r->peer_fds[i] = open_peer(&peer, &bound);
    if (r->peer_fds[i] < 0 || floor_open(r, s, &client)) {
      perror("fzr-bench: socket");
      return false;
    }
  }
  return true;
}

static bool turn_set_up(relay_run *r)
{
  const bench *b = r->b;
  fzr_addr *peers = calloc(b->clients, sizeof *peers);
  bool ok = peers != NULL;
  for (unsigned i = 0; ok && i < b->clients; i++) {
    r->peer_fds[i] = open_peer(&b->peer_host, &peers[i]);
    ok = r->peer_fds[i] >= 0;
  }
  if (!ok)
    perror("fzr-bench: socket");
  if (ok) {
    const unsigned ready = bench_allocate(b, r->sessions, b->clients, 64, peers);
    ok = ready == b->clients;
    if (!ok)
      bench_explain(b, r->sessions, b->clients);
  }
  free(peers);
  return ok;
}

/* Of a relay behind a NAT the host does not have the address that the relay names, and nothing goes there from loopback. */
static bool connect_peer(const relay_run *r, unsigned client)
{
  char peer[FZR_ADDR_TEXT_MAX] = "", relayed[FZR_ADDR_TEXT_MAX] = "";
  if (connect_to(r->peer_fds[client], &r->sessions[client].relayed) == 0)
    return true;
  const int error = errno;
  fzr_addr_format(&r->b->peer_host, false, peer, sizeof peer);
  fzr_addr_format(&r->sessions[client].relayed, false, relayed, sizeof relayed);
  fprintf(stderr,
          "fzr-bench: peers at %s can't reach the relayed address %s: %s. This host has to have it:\n"
          "fzr-bench: behind a NAT measure a relay started with --public-ip4-addr 127.0.0.1\n",
          peer, relayed, strerror(error));
  return false;
}

/* What is in front of the payloads that the client of |s| sends, and behind them. */
static void make_head(const bench *b, const session *s, flow *f)
{
  fzr_stun_builder builder;
  if (!b->indications) {
    f->head_len = FZR_CHANNEL_HEADER_LEN;
    fzr_channel_data_header(f->head, s->channel, (uint16_t)b->size);
    return;
  }
  fzr_stun_build(&builder, f->head, sizeof f->head, FZR_STUN_SEND, FZR_STUN_INDICATION, s->txid);
  fzr_stun_add_addr(&builder, FZR_ATTR_XOR_PEER_ADDRESS, &s->peer);
  fzr_stun_add(&builder, FZR_ATTR_DATA, "", 0);
  f->head_len = (size_t)fzr_stun_build_finish(&builder);
  f->pad = -b->size & 3;
  const uint32_t length = (uint32_t)(f->head_len - FZR_STUN_HEADER_LEN + b->size + f->pad);
  put16(f->head + 2, length);
  put16(f->head + f->head_len - 2, b->size);
}

static bool set_up(relay_run *r)
{
  bool ok = r->b->floor ? floor_set_up(r) : turn_set_up(r);
  for (unsigned i = 0; ok && i < r->b->clients; i++) {
    ok = connect_peer(r, i);
    r->up[i].out = r->sessions[i].fd;
    r->up[i].wire = r->sessions[i].wire;
    make_head(r->b, &r->sessions[i], &r->up[i]);
    r->down[i].out = r->peer_fds[i];
    prepare_socket(r, r->sessions[i].fd, i << 1 | 1);
    prepare_socket(r, r->peer_fds[i], i << 1);
  }
  return ok;
}

static void tear_down(relay_run *r)
{
  bench_release(r->b, r->sessions, r->b->clients);
  for (unsigned i = 0; i < r->b->clients; i++)
    if (r->peer_fds[i] >= 0)
      close(r->peer_fds[i]);
  if (r->epoll >= 0)
    close(r->epoll);
  free(r->sessions);
  free(r->peer_fds);
  free(r->up);
  free(r->down);
  free(r->slots);
}

static uint64_t own_cpu_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * FZR_SECOND + (uint64_t)t.tv_nsec;
}

static int report(const relay_run *r, double seconds, uint64_t cpu, uint64_t own_cpu)
{
  const bench *b = r->b;
  const totals t = sum(r);
  const uint64_t lost = t.sent > t.received ? t.sent - t.received : 0;
  result_begin(b);
  result(b, "sent", (double)t.sent, "");
  result(b, "received", (double)t.received, "");
  result(b, "lost", (double)lost, "");
  result(b, "reordered", (double)t.reordered, "");
  result(b, "damaged", (double)t.damaged, "");
  if (b->server.transport != FZR_TRANSPORT_UDP)
    result(b, "ended", (double)r->ended, "connections");
  result(b, "rate", (double)t.received / seconds, "packets/s");
  result(b, "throughput", (double)t.received * b->size * 8 / seconds / 1e6, "Mbit/s");
  result(b, "latency_p50", (double)latencies_at(&r->latency, 500) / 1e3, "us");
  result(b, "latency_p90", (double)latencies_at(&r->latency, 900) / 1e3, "us");
  result(b, "latency_p99", (double)latencies_at(&r->latency, 990) / 1e3, "us");
  result(b, "latency_p99_9", (double)latencies_at(&r->latency, 999) / 1e3, "us");
  if (b->pid && t.received)
    result(b, "server_cpu", (double)cpu / (double)t.received, "ns per packet");
  if (t.received)
    result(b, "generator_cpu", (double)own_cpu / (double)t.received, "ns per packet");
  result_end(b);
  if (!b->json && b->packets && !lost && !t.damaged)
    printf("All %llu packets of %u bytes came through the relay, unchanged.\n", (unsigned long long)t.sent,
           b->size);
  return t.received && !t.damaged ? EXIT_SUCCESS : EXIT_FAILURE;
}

int bench_relay(const bench *b)
{
  relay_run *r = calloc(1, sizeof *r);
  int status = EXIT_FAILURE;
  if (!r)
    return status;
  r->b = b;
  r->sessions = calloc(b->clients, sizeof *r->sessions);
  r->peer_fds = malloc(b->clients * sizeof *r->peer_fds);
  r->up = calloc(b->clients, sizeof *r->up);
  r->down = calloc(b->clients, sizeof *r->down);
  r->slots = malloc((size_t)RECV_MSGS * RECV_SLOT);
  r->epoll = epoll_create1(EPOLL_CLOEXEC);
  r->per_flow_window = b->window / b->clients ? b->window / b->clients : 1;
  if (!r->sessions || !r->peer_fds || !r->up || !r->down || !r->slots || r->epoll < 0) {
    fprintf(stderr, "fzr-bench: out of memory\n");
    free(r);
    return status;
  }
  for (unsigned i = 0; i < b->clients; i++)
    r->peer_fds[i] = r->sessions[i].fd = -1;
  if (set_up(r)) {
    const uint64_t cpu = b->pid ? process_cpu_ns(b->pid) : 0, own_cpu = own_cpu_ns();
    r->begin = bench_now();
    pump(r);
    const double seconds = (double)(bench_now() - r->begin) / 1e9;
    status = report(r, seconds, b->pid ? process_cpu_ns(b->pid) - cpu : 0, own_cpu_ns() - own_cpu);
  }
  tear_down(r);
  free(r);
  return status;
}
