/* SPDX-License-Identifier: Apache-2.0 */
/* The relay as a whole, from its first socket to its end: workers, portal, HTTP, telemetry and signals, on the main thread's loop. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "secret.h"

/* Runs until a shutdown or a failure, which is in the log. |secrets| are what credentials are made of; the portal gets the first. Returns
 * the exit status. */
int relay_run(const options *o, const secret_pair *secrets);

#endif
