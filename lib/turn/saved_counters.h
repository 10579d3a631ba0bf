/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of fzr_stats in saved states. */
#ifndef FZRI_SAVED_COUNTERS_H
#define FZRI_SAVED_COUNTERS_H

#include "record.h"

/* Writes them as a record. */
void fzri_counters_write(fzri_writer *w, const fzr_stats *stats);

/* Adds those of |record| to |stats|. What this release does not count is passed over. Returns whether the record is sound. */
bool fzri_counters_read(fzri_record *record, fzr_stats *stats);

#endif
