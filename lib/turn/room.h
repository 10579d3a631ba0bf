/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a relay has room for further allocations, over all its shards. */
#ifndef FZRI_ROOM_H
#define FZRI_ROOM_H

#include "state.h"

/* So long nothing is expected to fit after something did not, if nothing ends before. */
#define FZRI_ROOM_SHORT (30 * FZR_SECOND)

/* Something did not fit: |error| says for want of what. */
void fzri_room_is_short(fzr_engine *e, int error);

/* An allocation has ended. */
void fzri_room_is_freed(fzr_engine *e);

#endif
