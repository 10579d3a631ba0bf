/* SPDX-License-Identifier: Apache-2.0 */
/* --one-socket: a BPF program of this network namespace (sk_lookup) leads what comes to ports of allocations to one socket of each worker and
 * family, instead of one for each allocation. It is there for as long as this process is. */
#ifndef STEER_STEER_H
#define STEER_STEER_H

#include "firezone_relay/udp.h"

#include <stdint.h>

#define STEER_ERROR_MAX 256

typedef struct steer steer;

/* Loads and attaches the program for allocations' ports from |lowest| to |highest|, for |workers| workers, of which those with
 * |ipv6| have allocations of that family, too. Returns it, or NULL with what is missing in |error|. */
steer *steer_open(uint16_t lowest, uint16_t highest, unsigned workers, bool ipv6,
                  char error[STEER_ERROR_MAX]);

/* Has the adapter of worker |index| be made by |config| so that it goes along. */
void steer_configure(steer *s, unsigned index, fzr_udp_config *config);

/* The adapter of worker |index| is |udp|, whose sockets are led to from now on. Returns 0, or -1 with errno. */
int steer_add(steer *s, unsigned index, const fzr_udp *udp);

/* Packets for worker |index| that were beyond a port's share. */
uint64_t steer_dropped(const steer *s, unsigned index);

/* Takes the program away; when the adapters are gone. NULL is fine. */
void steer_free(steer *s);

#endif
