/* SPDX-License-Identifier: Apache-2.0 */
/* The records of what an engine has, for whoever writes its state: save.c all at once, journal.c as it changes. docs/state-format.md says what
 * is in each. */
#ifndef FZRI_SAVE_OBJECTS_H
#define FZRI_SAVE_OBJECTS_H

#include "allocation.h"
#include "permission.h"
#include "record.h"

/* Whether |a| takes part in it: one that waits for its sockets has a client that will ask again, and one that is closing is over. */
bool fzri_is_saved(const fzri_allocation *a);

void fzri_save_engine(fzri_writer *w, const fzr_engine *e);
void fzri_save_allocation(fzri_writer *w, const fzr_engine *e, const fzri_allocation *a);
/* What few allocations have: no record, or one or two. */
void fzri_save_extra(fzri_writer *w, const fzr_engine *e, const fzri_allocation *a);
void fzri_save_channel(fzri_writer *w, const fzri_allocation *a, const fzri_channel *c);
/* All of |a|, from the last of its list on: whoever reads them puts each at its begin. */
void fzri_save_channels(fzri_writer *w, const fzr_engine *e, const fzri_allocation *a);
void fzri_save_permission(fzri_writer *w, const fzr_engine *e, const fzri_permission *p);
/* What is known of free ports: any number of records. */
void fzri_save_ports(fzri_writer *w, const fzr_engine *e);

#endif
