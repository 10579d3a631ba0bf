/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file journal.h
 * A journal: what an engine knows, kept up to date in memory that outlives the process. When that
 * dies without a word (a fault, kill -9, the OOM killer), another engine goes on from it.
 *
 * The memory is the application's: a memfd that it maps shared and leaves to whoever comes after
 * it, say. The engine writes a record there for each allocation that is made, refreshed, moved or
 * ended, and for each channel and permission; never for a packet. That takes no system call, no
 * lock and no memory. The records are those of a saved state (save.h); docs/state-format.md has
 * them, and how the memory is laid out.
 *
 * What one call of the engine does about one request is there as a whole or not at all, in whatever
 * moment the process ends: the last event may be missing, and nothing else. Before an answer can be
 * taken (fzr_engine_next_transmit), what it says is in the journal.
 *
 * The memory has two halves. When the one that is written has grown to twice what there is to know,
 * the other one gets that anew, a part with each later event; when all of it is there, it counts.
 *
 * How to go on after a crash:
 *
 * 1. Make engines as many as there were, with their fzr_shared, drivers and adapters.
 * 2. Call fzr_engine_load_journal for each of them, as fzr_engine_load (save.h), and then
 *    fzr_engine_set_journal: with the same memory, if there may be another crash.
 * 3. Take the events. For each relayed address an FZR_EVENT_PORT_OPEN comes, as after
 *    fzr_engine_load.
 *
 * What is not in a journal, beside what is in no saved state: how much of its bandwidth an
 * allocation has used up and what was relayed for it since it was written last, and what the
 * counters of fzr_stats have counted since the last second in which something changed. The
 * transaction ids of Data indications begin anew. A port that was reserved, claimed in another
 * engine of the relay and given up again, all within 30 seconds, may be claimed once more.
 */
#ifndef FIREZONE_RELAY_JOURNAL_H
#define FIREZONE_RELAY_JOURNAL_H

#include "save.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the layout. A reader has to know its major number. */
#define FZR_JOURNAL_MAJOR 1
/** What is new in a higher minor number older readers pass over. */
#define FZR_JOURNAL_MINOR 0

/**
 * `fzr_journal_size` returns how many bytes a journal takes that is always large enough for an
 * engine with up to |allocations| at a time, and up to |channels| channels and permissions. Of
 * these, pages are touched as there is something to write: about four times what a saved state has.
 * It is SIZE_MAX if that is more than there can be.
 */
FZR_API size_t fzr_journal_size(uint32_t allocations, uint32_t channels);

/**
 * `fzr_engine_set_journal` has |engine| write what it knows at |now|, and from then on what
 * changes, to the |size| bytes at |memory|, in place of where it did so before, if it did. The
 * memory stays the application's, which does not write there and keeps it until the engine is freed
 * or has another journal; it holds keys. Any alignment will do. NULL ends the journal: what it has
 * got by then stays in the memory.
 *
 * |memory| may hold a journal of the same size. Until the engine's own is complete, that one can
 * still be loaded: a process that dies as it begins loses nothing. So one memory may serve one life
 * after the other. Anything else there is overwritten.
 *
 * The clock has to be one that whoever loads the journal has, too: CLOCK_MONOTONIC, within one
 * boot. If |now| is before the engine's last input it counts as that. An engine is loaded first,
 * and has a journal then. Takes memory of fixed size, once. O(allocations, channels, permissions
 * and ports).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL. Mend the call.
 * - FZR_ERR_BUFFER_TOO_SMALL: what there is does not fit into half of |size|. The engine has no
 *   journal. Give it more room (fzr_journal_size).
 * - FZR_ERR_NO_MEMORY: the engine has no journal. Try again later.
 */
FZR_API int fzr_engine_set_journal(fzr_engine *engine, void *memory, size_t size, fzr_time now);

/**
 * `fzr_engine_has_journal` tells whether |engine| writes a journal. It stops when what there is to
 * know has outgrown the memory; then it leaves nothing there that could be loaded, for that would
 * be a state of long ago. Set another one with more room, or the same one. False for NULL.
 */
FZR_API bool fzr_engine_has_journal(const fzr_engine *engine);

/**
 * `fzr_engine_load_journal` has |engine|, which is new as for fzr_engine_load, go on from the
 * journal in the |len| bytes at |data|: from the last event that is whole. |now| is the time, on
 * the clock of whoever wrote it. What was over by then ends in the next calls of
 * fzr_engine_on_deadline. |result| may be NULL; else it is filled in whatever is returned, with
 * `offset` being where what was good ends.
 *
 * All that fzr_engine_load says of the configuration and of fzr_shared goes for this, too. What
 * engines of one relay have written each for itself may contradict each other, by the last event
 * of one of them. Then both allocations of a user go on, though the newer one was to replace the
 * older one; and of two that claim a client which has moved, one hears it when it asks again.
 *
 * |data| may be anything, and cut off anywhere: no length or number in it is trusted. It is only
 * read, and may be the memory that fzr_engine_set_journal gets next. After an error the engine is
 * as it was. Takes memory, and beside what it needs some 40 bytes a record, and a megabyte, until
 * it returns. O(|len|).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |data| is and |len| is not 0. Mend the call.
 * - FZR_ERR_INVALID_STATE: the engine has or had allocations, or a journal. Load a new one.
 * - FZR_ERR_STATE_DAMAGED: no half of it is complete, it is of another boot, or it was altered.
 *   Begin without it.
 * - FZR_ERR_STATE_VERSION: it is of a release whose journals this one can't read.
 * - FZR_ERR_STATE_FOREIGN: another engine of the same fzr_shared was loaded with the state of
 *   another relay. Load those that were written together.
 * - FZR_ERR_STATE_ADDRESS: the configuration lacks the public address that clients were told, or
 *   has another one. Tell the operator `address` of the result.
 * - FZR_ERR_STATE_PORT: the port of an allocation is not in the range of the configuration, or is
 *   taken in fzr_shared. Tell the operator `port` of the result.
 * - FZR_ERR_STATE_LIMIT: there are more channels and permissions than `max_channels`. Tell the
 *   operator.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_engine_load_journal(fzr_engine *engine, const uint8_t *data, size_t len,
                                    fzr_time now, fzr_load_result *result);

#ifdef __cplusplus
}
#endif

#endif
