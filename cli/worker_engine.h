/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of a worker: what the options say, in the engine's terms. */
#ifndef RELAY_WORKER_ENGINE_H
#define RELAY_WORKER_ENGINE_H

#include "worker.h"

/* Makes it, for clients of |listen_port|, into *|out|. |seed|, of --rng-seed, is its own until it is freed. Returns 0 or what
 * fzr_engine_new does. */
int worker_engine_new(const worker_config *c, uint16_t listen_port, uint64_t *seed, fzr_engine **out);

/* Has clients log in with |l|, which is read alone, from now on: its users or secrets, as |schemes| (AUTH_…) have them. Returns 0, or
 * an error of the engine's, which then goes on with what it had. On the engine's thread. */
int worker_engine_take_logins(fzr_engine *engine, unsigned schemes, const logins *l);

#endif
