/* SPDX-License-Identifier: Apache-2.0 */
/* firezone-relay probe: what the options say to log in with, for cli/probe. */
#ifndef RELAY_PROBE_COMMAND_H
#define RELAY_PROBE_COMMAND_H

#include "options.h"

/* Probes the relay that |o| names; what is found goes to standard output. Returns the exit status. */
int probe_main(const options *o);

#endif
