/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file save.h
 * The state of an engine as bytes: a new process goes on where an old one stopped, with another
 * version of this library if need be, and no client notices. docs/state-format.md is the format.
 *
 * What is in it: allocations with all that their clients know of them, channels, permissions,
 * reserved ports, tickets, the quotas of users, the keys of nonces, and the counters of fzr_stats.
 * So nonces, tickets and the numbers of fzr_engine_user stay good. What is not in it is the
 * configuration, which is the new engine's own. Nor are answers and events that were not taken,
 * allocations whose Allocate was not answered yet (their clients ask again), what strangers have
 * used up of their rates, what the log was told lately, and sockets, which are the adapter's.
 *
 * How to hand over from one process to another:
 *
 * 1. The old one reads no more, acts on what it has, and calls fzr_engine_save for each engine. It
 *    can go on at any time as if nothing had been.
 * 2. The new one makes as many engines as there were, with their fzr_shared, drivers and adapters.
 *    Then it calls fzr_engine_load for each of them, before any other input, and after
 *    fzr_driver_add, which takes no engine with allocations.
 * 3. It takes the events. Each relayed address of what was loaded is told of by
 *    FZR_EVENT_PORT_OPEN, as that of a new allocation is. An adapter that was given the old
 *    process's socket takes that in `open_port`; another one opens the port. When all ports of an
 *    allocation are open, it relays again, and its channels are told of by CHANNEL_BOUND. If one
 *    can't be opened, whatever the reason, the allocation ends, and fzr_stats counts one less.
 *
 * A client on a stream goes on where its connection does. An allocation whose connection ends with
 * the old process is for the new one to end (fzr_engine_list_allocations, `client.transport`).
 */
#ifndef FIREZONE_RELAY_SAVE_H
#define FIREZONE_RELAY_SAVE_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the format that fzr_engine_save writes. A reader has to know its major number. */
#define FZR_STATE_MAJOR 1
/** What is new in a higher minor number older readers pass over. */
#define FZR_STATE_MINOR 1

/** fzr_engine_save hands out no more bytes than that at once. */
#define FZR_SAVE_PIECE_MAX 4096u

/**
 * Takes the next |len| bytes of a saved state, at most FZR_SAVE_PIECE_MAX. |data| is valid until it
 * returns, and holds keys: whoever can read them can go on with the sessions of all clients. The
 * function must not call into the engine.
 *
 * Returns 0, or any other value to have fzr_engine_save give up.
 */
typedef int (*fzr_save_fn)(void *ctx, const uint8_t *data, size_t len);

/**
 * `fzr_engine_save` writes the state of |engine| as it is at |now| to |write|, which is called with
 * |ctx| for each piece, in order. The engine does not change, and goes on as if nothing had been.
 * If |now| is before the engine's last input it counts as that. Of an fzr_shared what concerns all
 * engines is written by each of them; while they are saved none may have input. Takes no memory.
 * O(allocations, channels, permissions and ports).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| or |write| is NULL. Mend the call.
 * - FZR_ERR_IO: |write| gave up. What it has got is no state.
 */
FZR_API int fzr_engine_save(const fzr_engine *engine, fzr_save_fn write, void *ctx, fzr_time now);

/**
 * `fzr_engine_expect` takes the memory that as many |allocations|, |channels| and |permissions|
 * need, before there are any. The fzr_engine_load after it then takes a third less time, for which
 * nobody reads. Fewer may come, or more: these take memory as ever. What the configuration does not
 * allow is not expected. O(what is expected).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: it has allocations. Go on without.
 * - FZR_ERR_NO_MEMORY: there is not as much. The engine is good all the same; fzr_engine_load will
 *   say so if it takes more than there is.
 */
FZR_API int fzr_engine_expect(fzr_engine *engine, uint32_t allocations, uint32_t channels,
                              uint32_t permissions);

/**
 * What fzr_engine_load has found: how much was loaded, or what it stopped at. The struct is frozen:
 * it will not grow.
 */
typedef struct fzr_load_result {
  /** How many bytes of the state were good: where the record begins that made it fail. */
  uint64_t offset;
  /**
   * How many allocations were loaded. After the events were taken, fzr_stats.allocations has as
   * many if all their ports could be opened.
   */
  uint64_t allocations;
  /** How many channels, those included whose number rests. */
  uint64_t channels;
  /** How many permissions. */
  uint64_t permissions;
  /** Records that this release does not know, which were passed over. */
  uint64_t skipped;
  /**
   * FZR_ERR_STATE_ADDRESS: the relayed address, without port, that clients were told and the engine
   * does not have. Else of no family.
   */
  fzr_addr address;
  /**
   * After FZR_ERR_STATE_PORT, FZR_ERR_STATE_ADDRESS and FZR_ERR_STATE_LIMIT the relayed port of the
   * allocation that it is about, else 0.
   */
  uint16_t port;
  /** The version of the format, once it was read, else 0. */
  uint16_t major;
  /** Likewise. */
  uint16_t minor;
  /** The library writes 0. It is for what is to come. */
  uint8_t reserved[26];
} fzr_load_result;

/**
 * `fzr_engine_load` has |engine| go on from the |len| bytes at |data|, which fzr_engine_save has
 * written. The engine is a new one, which has had no input yet. |saved_at| is the moment at which
 * the state was saved, in this engine's time: within one boot, and with CLOCK_MONOTONIC, it is
 * what fzr_engine_save was told as now. What has passed since then counts: what is over by now ends
 * in the next calls of fzr_engine_on_deadline, which are due at once. |result| may be NULL; else it
 * is filled in whatever is returned.
 *
 * The configuration is the engine's own. Secrets and users may be others: as after
 * fzr_engine_set_secrets and fzr_engine_set_users, what lives goes on with the credentials that it
 * was used with. The peer policy may be another one: channels and permissions are judged anew, as
 * after fzr_engine_set_peer_rules. Limits of one allocation or user may be lower: as after
 * fzr_engine_set_limits, what there is more of stays.
 *
 * An engine with an fzr_shared has to be loaded with the state of one that shared it with the
 * others, all of them, before any of them has input. Each may be loaded on its own thread.
 *
 * |data| may be anything: no length or number in it is trusted. After an error the engine is as it
 * was, without allocations, and may be used or loaded anew. Takes memory. O(|len|).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |data| is and |len| is not 0. Mend the call.
 * - FZR_ERR_INVALID_STATE: the engine has or had allocations. Load a new one.
 * - FZR_ERR_STATE_DAMAGED: it is no state, or not all of it, or it was altered.
 * - FZR_ERR_STATE_VERSION: it is of a release whose states this one can't read.
 * - FZR_ERR_STATE_FOREIGN: another engine of the same fzr_shared was loaded with the state of
 *   another relay. Load those that were saved together.
 * - FZR_ERR_STATE_ADDRESS: the configuration lacks the public address that clients were told, or
 *   has another one. Tell the operator `address` of the result.
 * - FZR_ERR_STATE_PORT: the port of an allocation is not in the range of the configuration, or is
 *   taken in fzr_shared. Tell the operator `port` of the result.
 * - FZR_ERR_STATE_LIMIT: there are more channels and permissions than `max_channels`. Tell the
 *   operator.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_engine_load(fzr_engine *engine, const uint8_t *data, size_t len, fzr_time saved_at,
                            fzr_load_result *result);

#ifdef __cplusplus
}
#endif

#endif
