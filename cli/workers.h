/* SPDX-License-Identifier: Apache-2.0 */
/* All workers of a relay, and the pool of ports that they share. */
#ifndef RELAY_WORKERS_H
#define RELAY_WORKERS_H

#include "certificates.h"
#include "telemetry/telemetry.h"
#include "worker.h"

typedef struct workers workers;

/* How many there will be, if none are inherited. */
unsigned workers_count(const options *o);

/* What workers inherit from another process: |parcel|, for as many as it is for. Once all are prepared, |rest| is called with |ctx| to get what
 * is not in it yet, while nobody reads; and once all have what is theirs, |begin|: it returns 0, and they begin to read. Each returns -1 with
 * one line in |error| if it can't be. */
typedef struct workers_inheritance {
  handover_parcel *parcel;
  int (*rest)(void *ctx, char error[OPTIONS_ERROR_MAX]);
  int (*begin)(void *ctx, char error[OPTIONS_ERROR_MAX]);
  void *ctx;
} workers_inheritance;

/* Opens all sockets and starts all threads. |own_ports| are ports of this host that no client may reach through the relay (0: none);
 * |t| gets the spans; |certificate| is that of the TLS port, NULL if there is none. Pointers must outlive the workers. |inherited| is NULL where they begin from nothing. On failure NULL, with one line in |error|. */
workers *workers_start(const options *o, const logins *first, const certificates *certificate,
                       const uint16_t own_ports[2], telemetry *t, const workers_inheritance *inherited,
                       char error[OPTIONS_ERROR_MAX]);

/* Sends their sockets to |fd|, while all read on, and adds their number to |*count|. Returns NULL, or what went wrong: static text. By the thread
 * that has them pause. */
const char *workers_show(workers *all, int fd, fzr_time until, uint32_t *count);

/* Has all read no more, and puts what they have, but for what was shown, into |p|. Returns NULL, or what went wrong: static text; workers_resume is due then. By
 * one thread at a time, which need not be the main one. */
const char *workers_pause(workers *all, fzr_time until, handover_parcel *p);
void workers_resume(workers *all);

/* The most CPU time that it took one of them to put what it had into the parcel. By the same thread. */
fzr_time workers_spent(const workers *all);

/* All was given: closes connections and listeners, which another process has now. Returns how many could not go along. By the same thread. */
unsigned workers_leave(workers *all, fzr_time until);

/* How many clients on streams of |kind| have an allocation. Any thread. */
unsigned workers_clients(const workers *all, enum stream_kind kind);

/* How many there are, and on which port clients send to them. */
unsigned workers_number(const workers *all);
uint16_t workers_listen_port(const workers *all);

/* The worker |i|. */
worker *workers_at(const workers *all, unsigned i);

/* Whether all that relays in the kernel is this process's by now. Has it so, once the workers have told of their channels: to be asked again until
 * then. Nobody can take over from it before. By the thread that started them. */
bool workers_have_settled(workers *all);

/* From now on new allocations are refused. */
void workers_drain(workers *all);

/* Clients log in with |l| from now on. */
void workers_set_logins(workers *all, logins *l);

/* The |count| |rules| are those of the peer policy from now on; what they forbid ends. */
void workers_set_rules(workers *all, const fzr_peer_rule *rules, size_t count);

/* Connections of TLS begin with what |certificate| has now. Returns 0, or -1 with one line in |error|. */
int workers_set_certificate(workers *all, const certificates *certificate, char error[OPTIONS_ERROR_MAX]);

/* The log's filter has changed. */
void workers_follow_log_filter(workers *all);

/* Asks all workers for their numbers, and the kernel for its own: fills in those of |out|, which are valid until the next call. */
/* What relays in the kernel, for another process. Returns whether there is anything. Any thread. */
bool workers_offload(const workers *all, offload_gift *gift);

/* What the workers had counted when they were loaded; before workers_snapshot is called. */
void workers_inherited(const workers *all, metrics_snapshot *out);

void workers_snapshot(workers *all, metrics_snapshot *out);

/* What is missing for a further allocation, a code of enum fzr_error; 0 if there is room. */
int workers_lack(const workers *all);

/* Whether the last snapshot is of that moment. A worker that gets no CPU for a while answers late; its numbers are then older ones. */
bool workers_snapshot_is_current(const workers *all);

/* Ends the threads. NULL is allowed. */
void workers_free(workers *all);

#endif
