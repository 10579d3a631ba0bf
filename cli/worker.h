/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: one thread with one libevent loop, one engine and one UDP adapter. Workers share nothing but the pool of ports. */
#ifndef RELAY_WORKER_H
#define RELAY_WORKER_H

#include "handover/parcel.h"
#include "logins.h"
#include "offloads.h"
#include "net/tls_server.h"
#include "sessions/filter.h"
#include "steer/steer.h"
#include "stream/streams.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"

typedef struct worker worker;

typedef struct worker_config {
  const options *options;
  const logins *logins;  /* for as long as worker_new takes */
  uint32_t max_channels; /* of all workers */
  fzr_shared *shared;
  stream_prefixes *prefixes; /* of all workers */
  net_tls_identity
      *identity; /* of the TLS port, for this worker alone; held if it is taken. NULL: there is none */
  unsigned index;
  unsigned count; /* of all workers: limits per relay are divided by it */
  handover_parcel *
      inherited; /* what another process gives to all workers, and each takes its own out of; NULL: nothing */
  steer *steer;  /* one socket of the worker's hears for all allocations; NULL: each has its own */
  worker *first; /* whose listen port to share; NULL for the first worker */
  uint16_t own_ports[2]; /* of this host's, which no client may reach through the relay; 0: none */
  span_ring *spans;      /* where requests are recorded; NULL: nowhere */
} worker_config;

/* Opens the worker's sockets and makes its engine, all on the calling thread; nothing is relayed yet. On failure one line is in
 * |error|. */
worker *worker_new(const worker_config *config, char error[OPTIONS_ERROR_MAX]);

/* Has all of |all|, which must stay, told of all channels, on the worker's thread. Before worker_begin. */
void worker_offload(worker *w, const offloads *all);

/* Whether they were told of all channels that there were at its begin. Any thread. */
bool worker_has_listed(const worker *w);

/* Starts the thread, which does nothing before worker_begin. Returns 0, or -1 with errno. */
int worker_start(worker *w);

/* Has the thread do what it is there for. */
void worker_begin(worker *w);

/* From now on new allocations are refused. Any thread. */
void worker_drain(worker *w);

/* Clients log in with |l| from now on, which the worker holds as long as it needs it. Any thread. */
void worker_set_logins(worker *w, logins *l);

/* Connections of TLS begin with |identity| from now on, which is taken over. Any thread that has it alone. */
void worker_set_identity(worker *w, net_tls_identity *identity);

/* The |count| |rules| are those of the peer policy from now on. Any thread. Returns 0, or -1 for want of memory. */
int worker_set_rules(worker *w, const fzr_peer_rule *rules, size_t count);

/* The log's filter has changed. Any thread. */
void worker_follow_log_filter(worker *w);

/* Asks the worker for a snapshot of its counters, which worker_answer waits for until |until|; after that it takes the last one that
 * there is. Returns whether it was made after the question. Both by one thread alone. */
void worker_ask(worker *w);
bool worker_answer(worker *w, fzr_time until, metrics_worker *out);

/* What a worker is asked of its sessions: for a slice of them, from |cursor| on, which is 0 at first, of which those that match |filter| are
 * meant; and, if |end|, to end these. Or, if |id| is not 0, to end that one. */
typedef struct session_question {
  uint64_t id;
  session_filter filter;
  uint32_t cursor;
  bool end;
} session_question;

#define SESSION_SLICE 128u

typedef struct session_answer {
  size_t count;
  fzr_allocation found[SESSION_SLICE];
  uint32_t cursor; /* where the next slice begins */
  bool over;       /* there is none */
  bool busy;       /* they are handed over to another process just now, or were */
  unsigned ended;
  fzr_time now; /* of which all this is */
} session_answer;

/* Asks, and waits for the answer until |until|. Returns whether it is there, and the worker not busy. By the main thread alone. */
bool worker_ask_sessions(worker *w, const session_question *q, fzr_time until, session_answer *out);

/* For a worker that inherits, between worker_start and worker_begin: has its thread make ready for what it will load, as far as |p| says; load what |p|
 * has for it, while nobody reads; and, once all have what is theirs, begin to read. worker_await waits for any. */
void worker_prepare(worker *w, handover_parcel *p);
void worker_load(worker *w, handover_parcel *p);
void worker_take_over(worker *w);

/* Sends the sockets of the worker to |fd|, while it goes on reading them, and adds their number to |*count|. What is opened meanwhile may be
 * left out: worker_give has it. After worker_await_former. Returns NULL, or what went wrong: static text. */
const char *worker_show(worker *w, int fd, fzr_time until, uint32_t *count);

/* Sends the listeners for TCP and TLS likewise. */
const char *worker_show_listeners(const worker *w, int fd, fzr_time until, uint32_t *count);

/* How many clients on streams of |kind| have an allocation. Any thread. */
unsigned worker_clients(const worker *w, enum stream_kind kind);

/* Has the thread of the worker read no more; put what it has into |p|, but for what was shown, while all workers do not read; or read on, if it
 * was told to pause. worker_await waits until |until| for it to have done all of that; no other order may be given before. It returns NULL,
 * or what went wrong: static text. Only resuming may come before a pause is done: then it does both. Both by one thread alone. */
void worker_pause(worker *w);
void worker_give(worker *w, handover_parcel *p);
void worker_resume(worker *w);
const char *worker_await(worker *w, fzr_time until);

/* The CPU time of what worker_await has waited for last: giving, loading, or taking over. */
fzr_time worker_spent(worker *w);

/* Waits likewise for what was ordered for a hand-over that failed, whatever came of that. */
const char *worker_await_former(worker *w, fzr_time until);

/* All was given: closes connections and listeners, which another process has now; worker_await waits for it. worker_left knows how many could not
 * go along, since worker_give was done. */
void worker_leave(worker *w);
unsigned worker_left(const worker *w);

/* Ends the thread if it runs, and frees the worker. NULL is fine. */
void worker_free(worker *w);

/* What is known of the worker's sockets before worker_begin. */
fzr_udp_stats worker_udp_stats(const worker *w);

/* Logs what the kernel gave to the listen sockets of an adapter with |stats|. */
void worker_log_sockets(const fzr_udp_stats *stats);

uint16_t worker_listen_port(const worker *w);

#endif
