/* SPDX-License-Identifier: Apache-2.0 */
/* Binding, Allocate and Refresh: how many a server answers, and what each costs it. */
#include "bench.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define READY 256

/* ---- many sessions at a time ---- */

static bool settled(const session *s)
{
  return s->state == SESSION_READY || s->state == SESSION_FAILED || s->state == SESSION_GONE;
}

/* Watches |n| sessions with an epoll of its own. */
static int watch_all(session *sessions, unsigned n)
{
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  for (unsigned i = 0; fd >= 0 && i < n; i++) {
    struct epoll_event e = {.events = EPOLLIN, .data = {.u32 = i}};
    epoll_ctl(fd, EPOLL_CTL_ADD, sessions[i].fd, &e);
  }
  return fd;
}

/* Reads what has come, and sends again what is late among the first |begun| sessions. Returns how many became settled. */
static unsigned turn(int epoll, session *sessions, unsigned begun, fzr_time *last_tick)
{
  struct epoll_event ready[READY];
  unsigned done = 0;
  const int n = epoll_wait(epoll, ready, READY, 10);
  const fzr_time now = bench_now();
  for (int i = 0; i < n; i++) {
    session *s = &sessions[ready[i].data.u32];
    const bool before = settled(s);
    session_read(s, now);
    done += !before && settled(s);
  }
  if (now < *last_tick + 50 * FZR_MILLISECOND)
    return done;
  *last_tick = now;
  for (unsigned i = 0; i < begun; i++) {
    const bool before = settled(&sessions[i]);
    session_tick(&sessions[i], now);
    done += !before && settled(&sessions[i]);
  }
  return done;
}

/* Has each session do one thing, at most |window| at a time: |begin| starts it. */
static void run_all(session *sessions, unsigned n, unsigned window,
                    void (*begin)(session *, unsigned, void *), void *ctx)
{
  const int epoll = watch_all(sessions, n);
  unsigned begun = 0, done = 0;
  fzr_time last_tick = bench_now();
  while (epoll >= 0 && done < n && !bench_stop) {
    while (begun < n && begun - done < window) {
      begin(&sessions[begun], begun, ctx);
      done += settled(&sessions[begun]);
      begun++;
    }
    done += turn(epoll, sessions, begun, &last_tick);
  }
  if (epoll >= 0)
    close(epoll);
}

typedef struct allocation_plan {
  const bench *b;
  const fzr_addr *peers;
} allocation_plan;

static void begin_allocate(session *s, unsigned i, void *ctx)
{
  const allocation_plan *plan = ctx;
  (void)i;
  session_allocate(s, plan->b->relay_ipv6, bench_now());
}

static void begin_bind(session *s, unsigned i, void *ctx)
{
  const allocation_plan *plan = ctx;
  if (s->state == SESSION_READY)
    session_bind(s, (uint16_t)(FZR_CHANNEL_MIN + i % 4096), &plan->peers[i], bench_now());
}

static unsigned count_ready(const session *sessions, unsigned n)
{
  unsigned ready = 0;
  for (unsigned i = 0; i < n; i++)
    ready += sessions[i].state == SESSION_READY;
  return ready;
}

unsigned bench_allocate(const bench *b, session *sessions, unsigned n, unsigned window, const fzr_addr *peers)
{
  allocation_plan plan = {b, peers};
  for (unsigned i = 0; i < n; i++) {
    if (session_open(&sessions[i], &b->server, &b->credential, i)) {
      perror("fzr-bench: socket");
      return 0;
    }
  }
  run_all(sessions, n, window, begin_allocate, &plan);
  if (peers)
    run_all(sessions, n, window, begin_bind, &plan);
  return count_ready(sessions, n);
}

static void begin_delete(session *s, unsigned i, void *ctx)
{
  (void)i;
  (void)ctx;
  if (s->state == SESSION_READY)
    session_refresh(s, 0, bench_now());
  else
    s->state = SESSION_GONE;
}

void bench_release(const bench *b, session *sessions, unsigned n)
{
  run_all(sessions, n, b->window ? b->window : 64, begin_delete, NULL);
  for (unsigned i = 0; i < n; i++)
    session_close(&sessions[i]);
}

/* ---- Binding ---- */

/* Sends Binding requests on one socket, |window| in flight, and counts answers. */
static uint64_t bindings(const bench *b, int fd, uint64_t *lost)
{
  uint8_t request[FZR_STUN_HEADER_LEN], answer[2048], txid[FZR_STUN_TXID_LEN];
  uint64_t sent = 0, answered = 0;
  fzr_stun_builder builder;
  const fzr_time end = bench_now() + (fzr_time)(b->seconds * 1e9);
  *lost = 0;
  if (getrandom(txid, sizeof txid, 0) < 0)
    return 0;
  while (!bench_stop && bench_now() < end && (!b->packets || answered < b->packets)) {
    while (sent - answered - *lost < b->window) {
      memcpy(txid, &sent, sizeof sent);
      fzr_stun_build(&builder, request, sizeof request, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
      if (send(fd, request, sizeof request, MSG_DONTWAIT) < 0)
        break;
      sent++;
    }
    struct pollfd p = {fd, POLLIN, 0};
    if (poll(&p, 1, 200) == 0)
      *lost = sent - answered; /* nothing came for long: what is in flight is gone */
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
      answered++;
  }
  return answered;
}

int bench_binding(const bench *b)
{
  session s;
  uint64_t lost;
  if (session_open(&s, &b->server, &b->credential, 0)) {
    perror("fzr-bench: socket");
    return EXIT_FAILURE;
  }
  const uint64_t cpu = b->pid ? process_cpu_ns(b->pid) : 0;
  const fzr_time begin = bench_now();
  const uint64_t answered = bindings(b, s.fd, &lost);
  const double seconds = (double)(bench_now() - begin) / 1e9;
  session_close(&s);
  result_begin(b);
  result(b, "answered", (double)answered, "");
  result(b, "lost", (double)lost, "");
  result(b, "rate", (double)answered / seconds, "/s");
  if (b->pid && answered)
    result(b, "server_cpu", (double)(process_cpu_ns(b->pid) - cpu) / (double)answered, "ns each");
  result_end(b);
  return answered ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Allocate ---- */

static void explain_failures(const session *sessions, unsigned n)
{
  for (unsigned i = 0; i < n; i++) {
    if (sessions[i].state != SESSION_FAILED)
      continue;
    if (sessions[i].error)
      fprintf(stderr, "fzr-bench: the server refused a client: %u %s\n", sessions[i].error,
              fzr_stun_error_reason(sessions[i].error));
    else
      fprintf(stderr, "fzr-bench: no answer from the server\n");
    return;
  }
}

int bench_allocations(const bench *b)
{
  session *sessions = calloc(b->clients, sizeof *sessions);
  fzr_addr *peers = b->channel ? calloc(b->clients, sizeof *peers) : NULL;
  if (!sessions || (b->channel && !peers)) {
    free(sessions);
    free(peers);
    return EXIT_FAILURE;
  }
  for (unsigned i = 0; peers && i < b->clients; i++) {
    peers[i] = b->peer_host;
    peers[i].port = (uint16_t)(9 + i % 1000);
  }
  const uint64_t cpu = b->pid ? process_cpu_ns(b->pid) : 0, resident = b->pid ? process_resident(b->pid) : 0;
  const fzr_time begin = bench_now();
  const unsigned ready = bench_allocate(b, sessions, b->clients, b->window, peers);
  const double seconds = (double)(bench_now() - begin) / 1e9;
  result_begin(b);
  result(b, "allocations", ready, "");
  result(b, "failed", b->clients - ready, "");
  result(b, "rate", ready / seconds, "/s");
  if (b->pid && ready) {
    result(b, "server_cpu", (double)(process_cpu_ns(b->pid) - cpu) / ready, "ns each");
    result(b, "server_memory", ((double)process_resident(b->pid) - (double)resident) / ready, "bytes each");
  }
  result_end(b);
  explain_failures(sessions, b->clients);
  bench_release(b, sessions, b->clients);
  free(sessions);
  free(peers);
  return ready == b->clients ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Refresh ---- */

static bool any_refreshing(const session *sessions, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    if (sessions[i].state == SESSION_REFRESHING)
      return true;
  return false;
}

int bench_refreshes(const bench *b)
{
  session *sessions = calloc(b->clients, sizeof *sessions);
  fzr_time last_tick = bench_now();
  uint64_t done = 0, failed = 0;
  if (!sessions)
    return EXIT_FAILURE;
  const unsigned ready = bench_allocate(b, sessions, b->clients, b->window, NULL);
  explain_failures(sessions, b->clients);
  const int epoll = watch_all(sessions, b->clients);
  const uint64_t cpu = b->pid ? process_cpu_ns(b->pid) : 0;
  const fzr_time begin = bench_now(), end = begin + (fzr_time)(b->seconds * 1e9);
  /* Each session has one request in flight; there are as many sessions as the window. */
  while (ready && !bench_stop && bench_now() < end && (!b->packets || done < b->packets)) {
    for (unsigned i = 0; i < b->clients; i++)
      if (sessions[i].state == SESSION_READY)
        session_refresh(&sessions[i], 600, bench_now());
    done += turn(epoll, sessions, b->clients, &last_tick);
  }
  const double seconds = (double)(bench_now() - begin) / 1e9;
  const uint64_t used = b->pid ? process_cpu_ns(b->pid) - cpu : 0;
  /* Only a session that is at rest can give its allocation back. */
  while (!bench_stop && any_refreshing(sessions, b->clients))
    turn(epoll, sessions, b->clients, &last_tick);
  for (unsigned i = 0; i < b->clients; i++)
    failed += sessions[i].state == SESSION_FAILED;
  result_begin(b);
  result(b, "answered", (double)done, "");
  result(b, "failed", (double)failed, "");
  result(b, "rate", (double)done / seconds, "/s");
  if (b->pid && done)
    result(b, "server_cpu", (double)used / (double)done, "ns each");
  result_end(b);
  if (epoll >= 0)
    close(epoll);
  bench_release(b, sessions, b->clients);
  free(sessions);
  return done && !failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
