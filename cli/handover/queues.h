/* SPDX-License-Identifier: Apache-2.0 */
/* What goes along of a worker's UDP adapter beside its sockets: its counters, and what waits for sockets that are full. Eight bytes of head,
 * and records, each with its type and length in front, little-endian. A reader passes over types that it does not know. */
#ifndef HANDOVER_QUEUES_H
#define HANDOVER_QUEUES_H

#include "handover/wire.h"

#include "firezone_relay/udp.h"

/* Writes those of |udp|, which is paused, and had |before| in earlier processes. */
void handover_queues_write(handover_file *file, const fzr_udp *udp, const fzr_udp_stats *before);

/* Reads the |len| bytes of |data|: the counters into |stats|, whose gauges are 0, and calls |each| with |ctx| for what waits. Returns
 * whether all could be read. */
bool handover_queues_read(const uint8_t *data, size_t len, fzr_udp_stats *stats,
                          void (*each)(void *ctx, const fzr_udp_unsent *unsent), void *ctx);

/* Adds the counters of |before| to |stats|. */
void handover_add_counters(fzr_udp_stats *stats, const fzr_udp_stats *before);

#endif
