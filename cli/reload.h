/* SPDX-License-Identifier: Apache-2.0 */
/* What SIGHUP reads anew out of the file of --config, on the main thread. */
#ifndef RELAY_RELOAD_H
#define RELAY_RELOAD_H

#include "options.h"

/* All 0 from the start. */
typedef struct reload {
  options *latest; /* as they were read last; NULL: not since the start */
} reload;

/* What is to be done now. */
typedef struct reload_result {
  bool rules;      /* the workers take the peer rules */
  bool log_filter; /* they look at the log's filter, which is set already */
} reload_result;

/* The options that count now, of those that may change; the others are those of |start|. */
const options *reload_latest(const reload *r, const options *start);

/* Reads the file anew, if |start|, with which the relay was started, names one; what takes a restart is named in the log. Returns 0; or -1,
 * and the log says why: then nothing has changed. What the last reload_latest was is gone then. */
int reload_options(reload *r, const options *start, reload_result *out);

void reload_free(reload *r);

#endif
