/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers and clients in trouble may cost: answers by prefix and by 5-tuple, and how often a MESSAGE-INTEGRITY is computed
 * for nothing. All of fixed size. */
#ifndef FZRI_LIMITS_H
#define FZRI_LIMITS_H

#include "../base/rate_limit.h"
#include "firezone_relay/engine.h"

typedef struct fzri_request fzri_request; /* request.h */

typedef struct fzri_limits {
  fzri_rate_limit prefixes; /* answers to strangers; answers and proofs in vain of those who can be reached */
  fzri_rate_limit tuples;   /* errors */
  fzri_rate_limit repeats;  /* the same error again, for the same request */
  uint64_t proof_rate;      /* 0: no limit */
  uint64_t proof_tries;     /* of one request: as many as a username may have keys; the owner sets it */
  fzri_bucket proofs[2];    /* [1]: for those whose nonce shows that they can be reached */
} fzri_limits;

/* Of one key for a username. Returns 0 or FZR_ERR_NO_MEMORY. */
int fzri_limits_init(fzri_limits *limits, fzri_mem *mem, const fzr_config *config,
                     const fzri_siphash_key *key);
void fzri_limits_free(fzri_limits *limits);

/* Whether an answer to a Binding request of |from| may be made; takes what it costs. */
bool fzri_limits_binding(fzri_limits *limits, const fzr_addr *from, fzr_time now);

/* Whether strangers of the prefix of |from| have used up all answers: for the log. */
bool fzri_limits_are_used_up(const fzri_limits *limits, const fzr_addr *from, fzr_time now);

/* Whether |r| may be answered with the error |code|; takes what it costs. */
bool fzri_limits_error(fzri_limits *limits, const fzri_request *r, unsigned code, fzr_time now);

/* The same for an Allocate of |client| to |server| that was authenticated and ends late. */
bool fzri_limits_late_error(fzri_limits *limits, const fzr_addr *client, const fzr_addr *server,
                            unsigned code, fzr_time now);

/* Whether what |r|, of an allocation's own user and 5-tuple, costs when its MESSAGE-INTEGRITY turns out wrong is no more than what a right
 * one costs: then it is always computed. Who sees the nonce of a client and forges its address could silence it otherwise; as it is
 * he can only keep it from being heard with messages that no client sends. */
bool fzri_limits_excuse(const fzri_request *r);

/* Whether the MESSAGE-INTEGRITY of |r|, of anybody, may be computed, though it may be wrong. */
bool fzri_limits_may_prove(const fzri_limits *limits, const fzri_request *r, fzr_time now);
/* It was computed, and did not make |r| an authenticated request: takes what that cost. */
void fzri_limits_proved_in_vain(fzri_limits *limits, fzri_request *r, fzr_time now);
/* Whether the proofs of all together are used up, for such as |r|: for the log. */
bool fzri_limits_proofs_are_used_up(const fzri_limits *limits, const fzri_request *r, fzr_time now);

#endif
