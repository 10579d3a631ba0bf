/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of a relay: one of each family at the most, in the order in which the system has them. */
#ifndef PROBE_LOOK_UP_H
#define PROBE_LOOK_UP_H

#include "facts.h"

/* Returns how many there are in |out|, or 0 with what is wrong in |error|, PROBE_TEXT_MAX bytes. It takes three seconds at the most. */
size_t probe_look_up(const probe_target *target, fzr_addr out[2], char *error);

#endif
