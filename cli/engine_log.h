/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's records as log lines and spans. */
#ifndef RELAY_ENGINE_LOG_H
#define RELAY_ENGINE_LOG_H

#include "firezone_relay/firezone_relay.h"
#include "telemetry/spans.h"

/* An fzr_log_fn; |ctx| is the worker's span_ring, or NULL. */
void engine_log(void *ctx, const fzr_log_record *record);

/* The level that an engine whose records go to engine_log needs: no more than the log's filter lets through, or |spans| are made of.
 * It changes with the filter. */
enum fzr_log_level engine_log_level(const span_ring *spans);

#endif
