/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of sessions that begin and end, as records of the log. */
#ifndef RELAY_USAGE_LOG_H
#define RELAY_USAGE_LOG_H

#include "firezone_relay/firezone_relay.h"

/* For fzr_config.usage; |ctx| does not matter. */
void usage_log(void *ctx, const fzr_usage *usage);

/* The relay ends at |now|, and all that lives in |engine| with it. */
void usage_log_rest(const fzr_engine *engine, fzr_time now);

#endif
