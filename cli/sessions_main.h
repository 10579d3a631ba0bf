/* SPDX-License-Identifier: Apache-2.0 */
/* firezone-relay sessions: asks a relay that runs for its sessions, or to end some. */
#ifndef RELAY_SESSIONS_MAIN_H
#define RELAY_SESSIONS_MAIN_H

#include "options.h"

/* Exit status if there is none to end. */
#define EXIT_NO_SESSION 3

int sessions_main(const options *o);

#endif
