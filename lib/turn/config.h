/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: its defaults, and what cannot be. */
#ifndef FZRI_CONFIG_H
#define FZRI_CONFIG_H

#include "firezone_relay/engine.h"

/* Puts the defaults in place of zeros. */
void fzri_config_fill_in(fzr_config *config);

/* What can be said of it without memory, once the defaults are filled in. Returns 0, FZR_ERR_INVALID_ARGUMENT or an FZR_ERR_CONFIG_…. */
int fzri_config_check(const fzr_config *config);

#endif
