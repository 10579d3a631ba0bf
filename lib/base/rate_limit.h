/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets: one alone, and tables of fixed size with a bucket for each prefix or 5-tuple. */
#ifndef FZRI_RATE_LIMIT_H
#define FZRI_RATE_LIMIT_H

#include "mem.h"
#include "siphash.h"

/* One bucket. Tokens are whatever the caller counts (answers, bytes). Zeroed memory is a full bucket. */
typedef struct fzri_bucket {
  fzr_time full_at; /* when it would be full again: a full bucket has this in the past */
} fzri_bucket;

/* Takes |amount| tokens at |now| from a bucket that refills at |rate| a second (not 0) and holds |burst|. Returns whether
 * they were there; if not, none is taken. Exact to 1 ns per token, no overflow for any argument. Rate and burst may change between
 * calls: a bucket is then as empty as it was, or empty. */
bool fzri_bucket_take(fzri_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t amount, fzr_time now);
/* Whether they are there, taking none. */
bool fzri_bucket_has(const fzri_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t amount, fzr_time now);

/* Sets of 4 buckets, found by the keyed hash of whose they are. Who has none takes over the one of his set that is nearest to
 * full. */
typedef struct fzri_rate_entry {
  uint64_t tag; /* 0: unused */
  fzri_bucket bucket;
} fzri_rate_entry;

#define FZRI_RATE_SETS 1024u
#define FZRI_RATE_WAYS 4u

typedef struct fzri_rate_limit {
  fzri_rate_entry *entries; /* FZRI_RATE_SETS * FZRI_RATE_WAYS, NULL: no limit */
  uint64_t rate;
  uint64_t burst;
  fzri_siphash_key key;
  fzri_mem *mem;
} fzri_rate_limit;

/* |rate| 0 means no limit and takes no memory. |burst|, not 0 with a rate, is what each bucket holds. Returns 0 or FZR_ERR_NO_MEMORY. */
int fzri_rate_limit_init(fzri_rate_limit *limit, fzri_mem *mem, uint64_t rate, uint64_t burst,
                         const fzri_siphash_key *key);
void fzri_rate_limit_free(fzri_rate_limit *limit);

/* Whose bucket it is: of the prefix of |source|, /24 of IPv4 and /48 of IPv6, or of the 5-tuple of |client| and |server|. Each
 * |kind| has its own. */
uint64_t fzri_rate_prefix(const fzri_rate_limit *limit, const fzr_addr *source, unsigned kind);
uint64_t fzri_rate_tuple(const fzri_rate_limit *limit, const fzr_addr *client, const fzr_addr *server,
                         unsigned kind);
/* One of the buckets that |who|, which these functions gave, has for each |what|. */
uint64_t fzri_rate_each(const fzri_rate_limit *limit, uint64_t who, uint64_t what);

/* Takes |amount| tokens of |who|, which one of the functions above gave for this |limit| or one of the same key. A newcomer takes over the bucket as it is, not a full one, or a flood from many would never run
 * dry. Returns whether they were there. */
bool fzri_rate_limit_take(fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now);
/* Whether fzri_rate_limit_take would find them, taking none. */
bool fzri_rate_limit_has(const fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now);
/* The same, but a newcomer gets a full bucket: no flood of others takes anything from him, and one is held back only while its
 * bucket is not driven out. The emptiest ones stay longest. */
bool fzri_rate_limit_take_own(fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now);
/* Whether fzri_rate_limit_take_own would find them, taking none. */
bool fzri_rate_limit_has_own(const fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now);

#endif
