/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker gives to the worker that takes its place, in another process, and how that goes on from it. */
#ifndef RELAY_WORKER_PARCEL_H
#define RELAY_WORKER_PARCEL_H

#include "handover/parcel.h"
#include "options.h"

#include "firezone_relay/driver.h"
#include "firezone_relay/udp.h"

/* Puts the state of |engine| and what belongs to |udp|, which is paused and had |before| in earlier processes, into |p| for worker
 * |index|; of its sockets those that are newer than number |shown|. Returns NULL, or what went wrong: static text. */
const char *worker_parcel_fill(handover_parcel *p, unsigned index, const fzr_engine *engine,
                               const fzr_udp *udp, uint64_t shown, const fzr_udp_stats *before);

/* Makes an adapter of the sockets that |p| has for worker |index| so far; the other process goes on with them. Returns 0, or a negative FZR_ERR_… with errno in *|sys_errno|. */
int worker_parcel_adopt(handover_parcel *p, unsigned index, const fzr_udp_config *config, fzr_udp **out,
                        int *sys_errno);

/* Has the engine of |driver|, and |udp|, which is attached to it, go on from what |p| has for worker |index|, and from what sockets have come
 * since. Before |udp| is resumed, and once
 * all workers have theirs, fzr_driver_on_deadline is due: each allocation asks for its sockets then, and finds them. The counters of |udp| so
 * far are in |before|. Returns 0, or -1 with one line in |error|. */
int worker_parcel_load(handover_parcel *p, unsigned index, fzr_driver *driver, fzr_udp *udp,
                       fzr_udp_stats *before, char error[OPTIONS_ERROR_MAX]);

#endif
