/* SPDX-License-Identifier: Apache-2.0 */
/* Saved states as tests want them: taken apart and put together again, with checksums that fit. */
#ifndef FZT_SAVED_STATE_H
#define FZT_SAVED_STATE_H

#include "relay.h"

#define FZT_STATE_MAX ((size_t)1 << 18)

typedef struct fzt_state {
  size_t len;
  uint8_t data[FZT_STATE_MAX];
} fzt_state;

/* What |engine| is at |now|. */
void fzt_state_save(fzt_state *state, const fzr_engine *engine, fzr_time now);

/* How many records there are, but for the last one, which says so. */
unsigned fzt_state_records(const fzt_state *state);

/* What the |at|-th record says if it is of |type|, behind its head; else NULL. */
uint8_t *fzt_state_body(fzt_state *state, unsigned at, unsigned type);

/* Puts a record of |type| with |flags| and |len| bytes in front of the |at|-th one; takes that out; puts it there twice. Both return its
 * type. */
void fzt_state_insert(fzt_state *state, unsigned at, unsigned type, unsigned flags, size_t len);
unsigned fzt_state_remove(fzt_state *state, unsigned at);
unsigned fzt_state_repeat(fzt_state *state, unsigned at);
/* Makes the |at|-th record longer, if it is of a kind that may be. Returns whether there is one. */
bool fzt_state_extend(fzt_state *state, unsigned at);

/* Makes all checksums anew, and what the last record says. Returns false if the records do not fill the state any more. */
bool fzt_state_seal(fzt_state *state);

#endif
