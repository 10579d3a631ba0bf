/* SPDX-License-Identifier: Apache-2.0 */
/* What changes is written down where it does: whoever changes something that a saved state has calls one of these. An engine without a journal
 * does nothing in them. */
#ifndef FZRI_JOURNAL_H
#define FZRI_JOURNAL_H

#include "save_objects.h"

/* What is written until fzri_journal_commit is there as a whole or not at all; what is written outside of that is so by itself. What has changed has
 * to have done so before it is written: all the rest may be, too, on that occasion. */
void fzri_journal_open(fzr_engine *e);
void fzri_journal_close(fzr_engine *e);
void fzri_journal_put_allocation(fzr_engine *e, const fzri_allocation *a);
void fzri_journal_put_allocation_end(fzr_engine *e, const fzri_allocation *a);
void fzri_journal_put_channel(fzr_engine *e, const fzri_channel *c);
void fzri_journal_put_channel_end(fzr_engine *e, const fzri_channel *c);
void fzri_journal_put_permission(fzr_engine *e, const fzri_permission *p);
void fzri_journal_put_permission_end(fzr_engine *e, const fzri_permission *p);

/* Before |e| is freed. The memory of the journal stays as it is. */
void fzri_journal_free(fzr_engine *e);

static inline void fzri_journal_begin(fzr_engine *e)
{
  if (e->journal)
    fzri_journal_open(e);
}

static inline void fzri_journal_commit(fzr_engine *e)
{
  if (e->journal)
    fzri_journal_close(e);
}

/* |a|, or what it has in fzri_extra, has changed: it is written at the end of what goes on. */
static inline void fzri_journal_allocation(fzr_engine *e, const fzri_allocation *a)
{
  if (e->journal && fzri_is_saved(a))
    fzri_journal_put_allocation(e, a);
}

/* |a|, which was one that is saved, has ended with all that belongs to it. */
static inline void fzri_journal_allocation_end(fzr_engine *e, const fzri_allocation *a)
{
  if (e->journal)
    fzri_journal_put_allocation_end(e, a);
}

static inline void fzri_journal_channel(fzr_engine *e, const fzri_channel *c)
{
  if (e->journal && fzri_is_saved(fzri_allocation_at(e, c->allocation)))
    fzri_journal_put_channel(e, c);
}

/* |c| has ended. If its allocation has, too, that says all. */
static inline void fzri_journal_channel_end(fzr_engine *e, const fzri_channel *c)
{
  if (e->journal && fzri_is_saved(fzri_allocation_at(e, c->allocation)))
    fzri_journal_put_channel_end(e, c);
}

static inline void fzri_journal_permission(fzr_engine *e, const fzri_permission *p)
{
  if (e->journal && fzri_is_saved(fzri_allocation_at(e, p->allocation)))
    fzri_journal_put_permission(e, p);
}

/* Likewise. */
static inline void fzri_journal_permission_end(fzr_engine *e, const fzri_permission *p)
{
  if (e->journal && fzri_is_saved(fzri_allocation_at(e, p->allocation)))
    fzri_journal_put_permission_end(e, p);
}

#endif
