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

/* Has each session do one thing, at most |window| at a time: |begin| starts it. Ends when it is done, or, unless |to_the_end|, at a
 * signal. */
static void run_all(session *sessions, unsigned n, unsigned window, bool to_the_end,
                    void (*begin)(session *, unsigned, void *), void *ctx)
{
  const int epoll = watch_all(sessions, n);
  unsigned begun = 0, done = 0;
  fzr_time last_tick = bench_now();
  while (epoll >= 0 && done < n && (to_the_end || !bench_stop)) {
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
  s->both = plan->b->relay_both;
  session_allocate(s, plan->b->relay_ipv6, bench_now());
}

/* Of a channel or, with --indications, of a permission. */
static void begin_bind(session *s, unsigned i, void *ctx)
{
  const allocation_plan *plan = ctx;
  if (s->state != SESSION_READY)
    return;
  if (plan->b->indications)
    session_permit(s, &plan->peers[i], bench_now());
  else
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
      session_tell_error();
      return 0;
    }
  }
  run_all(sessions, n, window, false, begin_allocate, &plan);
  if (peers)
    run_all(sessions, n, window, false, begin_bind, &plan);
  return count_ready(sessions, n);
}

static void begin_delete(session *s, unsigned i, void *ctx)
{
  (void)i;
  (void)ctx;
  if (s->allocated)
    session_refresh(s, 0, bench_now());
  else
    s->state = SESSION_GONE;
}

void bench_release(const bench *b, session *sessions, unsigned n)
{
  run_all(sessions, n, b->window ? b->window : 64, true, begin_delete, NULL);
  for (unsigned i = 0; i < n; i++)
    session_close(&sessions[i]);
}

void bench_explain(const bench *b, const session *sessions, unsigned n)
{
  char peer[FZR_ADDR_TEXT_MAX];
  const session *s = sessions;
  while (s < sessions + n && s->state != SESSION_FAILED)
    s++;
  if (s == sessions + n)
    return;
  if (!s->error) {
    fprintf(stderr, "fzr-bench: no answer from the server\n");
    return;
  }
  fprintf(stderr, "fzr-bench: the server refused a client: %u %s\n", s->error,
          fzr_stun_error_reason(s->error));
  if (s->error != 403)
    return;
  fzr_addr_format(&b->peer_host, false, peer, sizeof peer);
  fprintf(
      stderr,
      "fzr-bench: its users may not send to %s, where fzr-bench's peers are: start firezone-relay with "
      "--allow-peer %s "
      "while you measure (embedded: fzr_config.peer_rules)\n"
      "fzr-bench: (its log says why; coturn: --allow-loopback-peers). A relay on this host reaches this "
      "host's other\n"
      "fzr-bench: addresses at the ports for allocations alone, whatever its rules are: without --peer it "
      "is loopback\n",
      peer, peer);
}

/* ---- Binding ---- */

/* How many requests may be sent in all. */
static uint64_t most_requests(const bench *b)
{
  return b->packets ? b->packets : UINT64_MAX;
}

typedef struct binding_run {
  int fd;
  uint64_t sent, answered, lost;
} binding_run;

static void send_bindings(binding_run *r, const bench *b)
{
  static uint8_t txid[FZR_STUN_TXID_LEN];
  uint8_t request[FZR_STUN_HEADER_LEN];
  fzr_stun_builder builder;
  if (!r->sent && getrandom(txid, sizeof txid, 0) < 0)
    return;
  while (r->sent < most_requests(b) && r->sent - r->answered - r->lost < b->window) {
    memcpy(txid, &r->sent, sizeof r->sent);
    fzr_stun_build(&builder, request, sizeof request, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
    if (send(r->fd, request, sizeof request, MSG_DONTWAIT) < 0)
      return;
    r->sent++;
  }
}

static void receive_bindings(binding_run *r, int patience_ms)
{
  uint8_t answer[2048];
  struct pollfd p = {r->fd, POLLIN, 0};
  if (poll(&p, 1, patience_ms) == 0)
    r->lost = r->sent - r->answered; /* nothing came for long: what is in flight is gone */
  while (recv(r->fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
    r->answered += r->answered < r->sent;
  if (r->answered + r->lost > r->sent) /* late, but not lost */
    r->lost = r->sent - r->answered;
}

/* Sends Binding requests on one socket, |window| in flight, and counts answers. */
static void run_bindings(binding_run *r, const bench *b)
{
  const fzr_time end = bench_now() + (fzr_time)(b->seconds * 1e9);
  while (!bench_stop && bench_now() < end && r->answered + r->lost < most_requests(b)) {
    send_bindings(r, b);
    /* What is taken for lost makes room for more; once all are sent there is time to wait. */
    receive_bindings(r, r->sent < most_requests(b) ? 200 : 2000);
  }
}

int bench_binding(const bench *b)
{
  session s;
  if (session_open(&s, &b->server, &b->credential, 0)) {
    session_tell_error();
    return EXIT_FAILURE;
  }
  const uint64_t cpu = b->pid ? process_cpu_ns(b->pid) : 0;
  const fzr_time begin = bench_now();
  binding_run r = {.fd = s.fd};
  run_bindings(&r, b);
  const double seconds = (double)(bench_now() - begin) / 1e9;
  session_close(&s);
  result_begin(b);
  result(b, "answered", (double)r.answered, "");
  result(b, "lost", (double)r.lost, "");
  result(b, "rate", (double)r.answered / seconds, "/s");
  if (b->pid && r.answered)
    result(b, "server_cpu", (double)(process_cpu_ns(b->pid) - cpu) / (double)r.answered, "ns each");
  result_end(b);
  return r.answered ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Allocate ---- */

/* What a file of a memory control group says. */
static double usage_of(const bench *b)
{
  char line[32];
  FILE *file = b->usage ? fopen(b->usage, "r") : NULL;
  if (!file)
    return 0;
  const double bytes = fgets(line, sizeof line, file) ? strtod(line, NULL) : 0;
  fclose(file);
  return bytes;
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
  const double usage = usage_of(b);
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
  if (usage > 0 && ready)
    result(b, "all_memory", (usage_of(b) - usage) / ready, "bytes each");
  result_end(b);
  bench_explain(b, sessions, b->clients);
  while (b->hold && !bench_stop)
    pause();
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
  uint64_t begun = 0, done = 0, failed = 0;
  if (!sessions)
    return EXIT_FAILURE;
  const unsigned ready = bench_allocate(b, sessions, b->clients, b->window, NULL);
  bench_explain(b, sessions, b->clients);
  const int epoll = watch_all(sessions, b->clients);
  const uint64_t cpu = b->pid ? process_cpu_ns(b->pid) : 0;
  const fzr_time begin = bench_now(), end = begin + (fzr_time)(b->seconds * 1e9);
  /* Each session has one request in flight; there are as many sessions as the window. */
  while (ready && !bench_stop && bench_now() < end && done < most_requests(b)) {
    for (unsigned i = 0; i < b->clients && begun < most_requests(b); i++) {
      if (sessions[i].state != SESSION_READY)
        continue;
      session_refresh(&sessions[i], 600, bench_now());
      begun++;
    }
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
