/* SPDX-License-Identifier: Apache-2.0 */
/* What the log was told lately, by any shard of a relay: so that a flood of one kind of event is one line and not a flood of lines.
 * Lock-free and of fixed size. Zeroed memory has told nothing. */
#ifndef FZRI_TOLD_H
#define FZRI_TOLD_H

#include "peer_policy.h"
#include "peer_scope.h"

#include <stdatomic.h>

#define FZRI_TOLD_SETS    16u
#define FZRI_TOLD_WAYS    4u
#define FZRI_TOLD_LIMITED (60 * FZR_SECOND)
#define FZRI_TOLD_REFUSED (3600 * FZR_SECOND)
#define FZRI_TOLD_FULL    (3600 * FZR_SECOND)
#define FZRI_TOLD_TLS     (3600 * FZR_SECOND)
#define FZRI_TOLD_DROPPED (10 * FZR_SECOND)
#define FZRI_TOLD_MODE    (3600 * FZR_SECOND)

/* What was told about, such as a source prefix; free from `until` on. */
typedef struct fzri_told_one {
  _Atomic uint64_t what;
  _Atomic fzr_time until;
  _Atomic uint32_t untold; /* how often it was not told since */
} fzri_told_one;

typedef struct fzri_told {
  fzri_told_one limited[FZRI_TOLD_SETS * FZRI_TOLD_WAYS];
  fzri_told_one dropped[FZRI_TOLD_SETS * FZRI_TOLD_WAYS];
  fzri_told_one logins[FZRI_TOLD_SETS * FZRI_TOLD_WAYS];
  _Atomic fzr_time memory[2];
  _Atomic fzr_time full;
  _Atomic fzr_time tls;
  _Atomic fzr_time proofs;
  _Atomic fzr_time mode;
  _Atomic fzr_time refused[FZR_PEER_REASONS][FZRI_SCOPE_GLOBAL + 1];
} fzri_told;

/* Whether a refusal of this reason and scope is the first one of this hour. */
bool fzri_told_refusal(fzri_told *told, const fzri_peer_judgement *judged, fzr_time now);

/* Whether it is the first time within a minute that memory is missing: |which| as in fzr_stats.memory_refusals. */
bool fzri_told_memory(fzri_told *told, unsigned which, fzr_time now);

/* Whether it is the first time within an hour that a client is turned away because the relay is full. */
bool fzri_told_full(fzri_told *told, fzr_time now);

/* Whether it is the first time within an hour that DTLS or TLS is spoken to the relay. */
bool fzri_told_tls(fzri_told *told, fzr_time now);

/* Whether it is the first time within a minute that MESSAGE-INTEGRITYs are not looked at, because too many were wrong. */
bool fzri_told_proofs(fzri_told *told, fzr_time now);

/* Whether strangers of |source|'s prefix (/24, /48) are limited for the first time in this minute. When it was told of many prefixes
 * within a minute, more are left out. */
bool fzri_told_limited(fzri_told *told, const fzr_addr *source, fzr_time now);

/* Whether logins of |source|'s prefix fail for |reason|, an enum fzr_refusal, for the first time in this minute; *|count| gets how many of them
 * there were since that was told last. When it was told of many within a minute, more are left out. */
bool fzri_told_login(fzri_told *told, const fzr_addr *source, unsigned reason, fzr_time now, uint32_t *count);

/* Whether indications to the allocation with |port| are dropped for |reason| for the first time within ten seconds; without an allocation,
 * 0, those of |source|'s prefix. When it was told of many within that time, more are left out. */
bool fzri_told_dropped(fzri_told *told, const fzr_addr *source, uint16_t port, unsigned reason, fzr_time now);

/* Whether it is the first time within an hour that an allocation's client sends indications to a relay of channels; and whether it would
 * not be. */
bool fzri_told_mode(fzri_told *told, fzr_time now);
bool fzri_told_has_mode(fzri_told *told, fzr_time now);

#endif
