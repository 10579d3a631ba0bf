/* SPDX-License-Identifier: Apache-2.0 */
/* Options that have no effect because of what another one is, or is not. */
#ifndef RELAY_OPTIONS_IDLE_H
#define RELAY_OPTIONS_IDLE_H

#include "options_reader.h"

/* Lists in |r|->o those of the relay that were set for nothing, each with one reason. All else has been read, and goes together. */
void options_find_idle(const reader *r);

#endif
