/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of the targets that load what an engine wrote: saved states and journals. */
#ifndef FZT_FUZZ_LOADING_H
#define FZT_FUZZ_LOADING_H

#include "firezone_relay/firezone_relay.h"

/* |flags|, of the input, say how it is set up. |random| is where its random bytes go on, the same in each run. */
fzr_engine *fuzz_loading_engine(uint8_t flags, uint8_t *random);

/* Opens what is to be opened, every third port in vain. */
void fuzz_take_events(fzr_engine *engine, fzr_time now);

#endif
