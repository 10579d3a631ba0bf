/* SPDX-License-Identifier: Apache-2.0 */
/* Clients and peers that send to each other through a relay at a steady rate, for handover.py:
 *
 *   fzr-steady ADDR:PORT SECRET-FILE CLIENTS PACKETS-A-SECOND PEER-ADDR
 *
 * Each client has an allocation and a channel. The rate is that of all, of both directions, one flow after the other. Says "ready" when it
 * has begun. To each line on standard input it answers with one JSON object about what there was since the last one; at the end of the input it
 * waits for what is under way, answers once more, and ends.
 *
 * A packet counts from when it was handed to the kernel to when the relay handed it to the kernel, which notes that: how late this program
 * gets to read it does not matter. All sockets are connected: what comes from another address than it should is lost. */
#include "session.h"

#include "firezone_relay/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE          200u /* of a payload */
#define WINDOW        64u  /* requests under way */
#define TOGETHER      64u  /* packets sent before anything is read again */
#define DRAIN         (2 * FZR_SECOND)
#define IDLE          (FZR_MILLISECOND / 5)
#define FIRST_CHANNEL FZR_CHANNEL_MIN

/* One direction of one client. */
typedef struct flow {
  uint64_t sent;
  uint64_t next; /* number that has to come now */
} flow;

typedef struct figures {
  uint64_t sent, received, reordered, damaged, unsent;
  fzr_time worst;
  uint64_t over[8]; /* packets that took longer than 1, 2, 5, 10, 20, 50, 100, 200 ms */
} figures;

typedef struct load {
  unsigned clients;
  double rate;
  session *sessions;
  int *peers;
  flow *flows; /* those to peers are even, those to clients odd */
  int epoll;
  fzr_time begin;
  uint64_t turn; /* packets that were due so far */
  figures since, all;
} load;

typedef struct payload {
  uint64_t number;
  uint64_t flow;
  uint64_t sent_at; /* by the clock that the kernel's timestamps are from */
  uint8_t rest[SIZE - 24];
} payload;

static fzr_time to_ns(const struct timespec *t)
{
  return (fzr_time)t->tv_sec * FZR_SECOND + (fzr_time)t->tv_nsec;
}

static fzr_time wall_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return to_ns(&t);
}

/* ---- set-up ---- */

static int open_peer(const fzr_addr *host, fzr_addr *bound)
{
  fzr_sockaddr name;
  socklen_t len = fzr_addr_to_sockaddr(host, &name);
  const int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, &name.any, len))
    return -1;
  len = sizeof name;
  return getsockname(fd, &name.any, &len) || fzr_addr_from_sockaddr(&name.any, len, bound) ? -1 : fd;
}

static void prepare(const load *l, int fd, uint32_t index)
{
  const int on = 1, buffer = 1 << 20;
  struct epoll_event e = {.events = EPOLLIN, .data = {.u32 = index}};
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
}

/* Sees |count| sessions from |at| on through what they do. Returns whether all came to be ready. */
static bool settle(session *at, unsigned count)
{
  for (;;) {
    unsigned ready = 0;
    const fzr_time now = bench_now();
    for (unsigned i = 0; i < count; i++) {
      session_read(&at[i], now);
      session_tick(&at[i], now);
      if (at[i].state == SESSION_FAILED)
        return false;
      ready += at[i].state == SESSION_READY;
    }
    if (ready == count)
      return true;
    poll(NULL, 0, 1);
  }
}

static bool start(load *l, const fzr_addr *server, const credential *c, const fzr_addr *host)
{
  for (unsigned from = 0; from < l->clients; from += WINDOW) {
    const unsigned count = l->clients - from < WINDOW ? l->clients - from : WINDOW;
    fzr_addr peers[WINDOW];
    for (unsigned i = 0; i < count; i++) {
      session *s = &l->sessions[from + i];
      l->peers[from + i] = open_peer(host, &peers[i]);
      if (l->peers[from + i] < 0 || session_open(s, server, c, from + i))
        return false;
      session_allocate(s, false, bench_now());
    }
    if (!settle(&l->sessions[from], count))
      return false;
    for (unsigned i = 0; i < count; i++)
      session_bind(&l->sessions[from + i], FIRST_CHANNEL, &peers[i], bench_now());
    if (!settle(&l->sessions[from], count))
      return false;
    for (unsigned i = 0; i < count; i++) {
      fzr_sockaddr name;
      const socklen_t len = fzr_addr_to_sockaddr(&l->sessions[from + i].relayed, &name);
      if (connect(l->peers[from + i], &name.any, len))
        return false;
      prepare(l, l->peers[from + i], 2 * (from + i));
      prepare(l, l->sessions[from + i].fd, 2 * (from + i) + 1);
    }
  }
  return true;
}

/* ---- packets ---- */

static void fill(payload *p, uint64_t index, uint64_t number)
{
  p->number = number;
  p->flow = index;
  for (unsigned i = 0; i < sizeof p->rest; i++)
    p->rest[i] = (uint8_t)(number * 31 + index * 17 + (uint64_t)i * 7);
}

static void send_one(load *l, unsigned index)
{
  static uint8_t bytes[FZR_CHANNEL_HEADER_LEN + SIZE];
  flow *f = &l->flows[index];
  payload p;
  fill(&p, index, f->sent);
  const bool to_peer = !(index & 1); /* a client sends that */
  const size_t head = to_peer ? FZR_CHANNEL_HEADER_LEN : 0;
  if (to_peer)
    fzr_channel_data_header(bytes, FIRST_CHANNEL, SIZE);
  p.sent_at = wall_ns();
  memcpy(bytes + head, &p, sizeof p);
  const int fd = to_peer ? l->sessions[index / 2].fd : l->peers[index / 2];
  if (send(fd, bytes, head + SIZE, MSG_DONTWAIT) < 0) {
    l->since.unsent++;
    return;
  }
  f->sent++;
  l->since.sent++;
}

static void count_time(figures *f, fzr_time took)
{
  static const unsigned bounds[] = {1, 2, 5, 10, 20, 50, 100, 200};
  if (took > f->worst)
    f->worst = took;
  for (unsigned i = 0; i < 8 && took > bounds[i] * FZR_MILLISECOND; i++)
    f->over[i]++;
}

static void take(load *l, unsigned index, const uint8_t *data, size_t len, fzr_time at)
{
  flow *f = &l->flows[index];
  payload p, want;
  uint16_t channel, size;
  if (index & 1) { /* at a client */
    if (fzr_channel_data_read(data, (uint32_t)len, &channel, &size) || channel != FIRST_CHANNEL)
      return; /* an answer that came twice */
    data += FZR_CHANNEL_HEADER_LEN;
    len = size;
  }
  if (len != SIZE) {
    l->since.damaged++;
    return;
  }
  memcpy(&p, data, sizeof p);
  fill(&want, index, p.number);
  l->since.received++;
  l->since.damaged += p.flow != index || p.number >= f->sent || memcmp(p.rest, want.rest, sizeof p.rest) != 0;
  l->since.reordered += p.number < f->next;
  f->next = p.number + 1;
  count_time(&l->since, at > p.sent_at ? at - p.sent_at : 0);
}

static bool receive_one(load *l, unsigned index)
{
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec))];
  uint8_t data[2048];
  struct iovec iov = {data, sizeof data};
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  const int fd = index & 1 ? l->sessions[index / 2].fd : l->peers[index / 2];
  const ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
  if (n < 0)
    return errno == ECONNREFUSED; /* which the peer's socket hears of, once its allocation is gone */
  const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
  struct timespec stamp = {0};
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
  take(l, index, data, (size_t)n, to_ns(&stamp));
  return true;
}

static void receive_some(load *l, fzr_time wait)
{
  struct epoll_event ready[256];
  const struct timespec timeout = {0, (long)wait};
  const int n = epoll_pwait2(l->epoll, ready, 256, &timeout, NULL);
  for (int i = 0; i < n; i++)
    for (unsigned k = 0; k < 8 && receive_one(l, ready[i].data.u32); k++)
      ;
}

static void send_due(load *l)
{
  const double passed = (double)(bench_now() - l->begin) / 1e9;
  const uint64_t due = (uint64_t)(passed * l->rate);
  for (unsigned i = 0; i < TOGETHER && l->turn < due; i++)
    send_one(l, (unsigned)(l->turn++ % (2 * (uint64_t)l->clients)));
}

static void report(load *l)
{
  figures *s = &l->since;
  l->all.sent += s->sent;
  l->all.received += s->received;
  printf("{\"sent\":%llu,\"received\":%llu,\"reordered\":%llu,\"damaged\":%llu,\"unsent\":%llu,\"worst_ms\":%"
         ".2f,"
         "\"missing\":%lld,\"over\":[",
         (unsigned long long)s->sent, (unsigned long long)s->received, (unsigned long long)s->reordered,
         (unsigned long long)s->damaged, (unsigned long long)s->unsent, (double)s->worst / 1e6,
         (long long)(l->all.sent - l->all.received));
  for (unsigned i = 0; i < 8; i++)
    printf("%s%llu", i ? "," : "", (unsigned long long)s->over[i]);
  printf("]}\n");
  fflush(stdout);
  memset(s, 0, sizeof *s);
}

/* Returns false at the end of standard input. */
static bool answer(load *l)
{
  char line[64];
  struct pollfd in = {STDIN_FILENO, POLLIN, 0};
  if (poll(&in, 1, 0) <= 0)
    return true;
  if (read(STDIN_FILENO, line, sizeof line) <= 0)
    return false;
  report(l);
  return true;
}

static void run(load *l)
{
  l->begin = bench_now();
  for (unsigned i = 0;; i++) {
    send_due(l);
    receive_some(l, l->turn < (uint64_t)((double)(bench_now() - l->begin) / 1e9 * l->rate) ? 0 : IDLE);
    if (i % 16 == 0 && !answer(l))
      break;
  }
  const fzr_time end = bench_now() + DRAIN;
  while (bench_now() < end && l->all.sent + l->since.sent > l->all.received + l->since.received)
    receive_some(l, IDLE);
  report(l);
}

static int mistake(const char *what)
{
  fprintf(stderr, "fzr-steady: %s: %s\n", what, strerror(errno));
  return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
  static load l; /* for as long as the process */
  credential c = {.expiry = (uint64_t)time(NULL) + 86400};
  fzr_addr server, host;
  struct rlimit files;
  FILE *secret = argc == 6 ? fopen(argv[2], "r") : NULL;
  l.clients = argc == 6 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
  l.rate = argc == 6 ? strtod(argv[4], NULL) : 0;
  if (!secret || !fgets(c.secret, sizeof c.secret, secret) || fzr_addr_parse(argv[1], &server) ||
      fzr_addr_parse(argv[5], &host) || !l.clients || l.clients > 60000 || l.rate < 1) {
    fprintf(stderr, "usage: fzr-steady ADDR:PORT SECRET-FILE CLIENTS PACKETS-A-SECOND PEER-ADDR\n");
    return 2;
  }
  fclose(secret);
  c.secret[strcspn(c.secret, "\r\n")] = 0;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  l.sessions = calloc(l.clients, sizeof *l.sessions);
  l.peers = calloc(l.clients, sizeof *l.peers);
  l.flows = calloc(2 * (size_t)l.clients, sizeof *l.flows);
  l.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (!l.sessions || !l.peers || !l.flows || l.epoll < 0)
    return mistake("set-up");
  if (!start(&l, &server, &c, &host))
    return mistake("allocations");
  printf("ready\n");
  fflush(stdout);
  run(&l);
  return EXIT_SUCCESS;
}
