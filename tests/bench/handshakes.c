/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that are made, shake hands, and end: how many a server takes, what each costs it, and what stays. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READY 64

typedef struct handshake_run {
  const bench *b;
  wire **wires; /* in flight, as many as the window; NULL: none */
  int epoll;
  uint64_t begun, done, failed;
  int error; /* of the first that failed */
} handshake_run;

static bool may_begin(const handshake_run *r)
{
  return !r->b->packets || r->begun < r->b->packets;
}

static void watch(const handshake_run *r, unsigned slot, int how)
{
  const wire *w = r->wires[slot];
  struct epoll_event e = {.events = wire_wants_write(w) ? EPOLLOUT : EPOLLIN, .data = {.u32 = slot}};
  epoll_ctl(r->epoll, how, wire_fd(w), &e);
}

static void fail(handshake_run *r)
{
  if (!r->failed++)
    r->error = errno;
}

static void begin(handshake_run *r, unsigned slot)
{
  r->begun++;
  r->wires[slot] = wire_open(&r->b->server);
  if (r->wires[slot])
    watch(r, slot, EPOLL_CTL_ADD);
  else
    fail(r);
}

static void go_on(handshake_run *r, unsigned slot)
{
  const int done = wire_shake(r->wires[slot]);
  if (done == 0) {
    watch(r, slot, EPOLL_CTL_MOD);
    return;
  }
  if (done > 0)
    r->done++;
  else
    fail(r);
  wire_close(r->wires[slot]);
  r->wires[slot] = NULL;
}

static void run(handshake_run *r)
{
  struct epoll_event ready[READY];
  const fzr_time end = bench_now() + (fzr_time)(r->b->seconds * 1e9);
  while (!bench_stop && bench_now() < end && (may_begin(r) || r->done + r->failed < r->begun)) {
    for (unsigned slot = 0; slot < r->b->window && may_begin(r); slot++)
      if (!r->wires[slot])
        begin(r, slot);
    const int n = epoll_wait(r->epoll, ready, READY, 10);
    for (int i = 0; i < n; i++)
      go_on(r, ready[i].data.u32);
  }
}

/* One handshake that is not counted, by which TLS learns what it may offer this server. */
static void try_one(const bench *b)
{
  wire *w = wire_open(&b->server);
  if (w)
    (void)wire_wait(w);
  wire_close(w);
}

int bench_handshakes(const bench *b)
{
  handshake_run r = {
      .b = b, .wires = calloc(b->window, sizeof(wire *)), .epoll = epoll_create1(EPOLL_CLOEXEC)};
  if (!r.wires || r.epoll < 0) {
    fprintf(stderr, "fzr-bench: out of memory\n");
    free(r.wires);
    return EXIT_FAILURE;
  }
  const uint64_t resident = b->pid ? process_resident(b->pid) : 0;
  try_one(b);
  const uint64_t cpu = b->pid ? process_cpu_ns(b->pid) : 0;
  const fzr_time start = bench_now();
  run(&r);
  const double seconds = (double)(bench_now() - start) / 1e9;
  for (unsigned slot = 0; slot < b->window; slot++)
    wire_close(r.wires[slot]);
  result_begin(b);
  result(b, "handshakes", (double)r.done, "");
  result(b, "failed", (double)r.failed, "");
  result(b, "rate", (double)r.done / seconds, "/s");
  if (b->pid && r.done) {
    result(b, "server_cpu", (double)(process_cpu_ns(b->pid) - cpu) / (double)r.done, "ns each");
    result(b, "server_before", (double)resident, "bytes");
    result(b, "server_after", (double)process_resident(b->pid), "bytes");
  }
  result_end(b);
  if (r.failed)
    fprintf(stderr, "fzr-bench: %llu handshakes failed, the first: %s\n", (unsigned long long)r.failed,
            r.error == EPROTO ? "the server ended it, or spoke no TLS" : strerror(r.error));
  close(r.epoll);
  free(r.wires);
  return r.done && !r.failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
