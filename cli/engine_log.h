/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's records as log lines and spans. */
#ifndef RELAY_ENGINE_LOG_H
#define RELAY_ENGINE_LOG_H

#include "firezone_relay/firezone_relay.h"

/* An fzr_log_fn; |ctx| is the worker's span_ring, or NULL. */
void engine_log(void *ctx, const fzr_log_record *record);

#endif
