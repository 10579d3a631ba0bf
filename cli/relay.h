/* SPDX-License-Identifier: Apache-2.0 */
/* The relay as a whole, from its first socket to its end: workers, portal, HTTP, telemetry and signals, on the main thread's loop. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "logins.h"

/* Runs until a shutdown or a failure, which is in the log. |first| is what clients log in with, until SIGHUP has it read anew; the relay
 * takes it over, and the portal gets the first secret. Who waits at |told| is told that this process has taken over, see take_over.h. Returns the exit status. */
int relay_run(const options *o, logins *first, int told);

/* Warns of what there is in |n|. */
void relay_log_notes(const notes *n);

/* Says that there is no second secret, if the file for one that is named has none. */
void relay_log_second(const logins *l);

#endif
