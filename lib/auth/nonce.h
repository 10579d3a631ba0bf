/* SPDX-License-Identifier: Apache-2.0 */
/* Stateless nonces: a timestamp, and a MAC over it and the client's address under a key that rotates. */
#ifndef FZRI_NONCE_H
#define FZRI_NONCE_H

#include "../base/siphash.h"
#include "firezone_relay/error.h"

#define FZRI_NONCE_LEN      32u /* base64url of 8 + 16 bytes */
#define FZRI_NONCE_LIFETIME (3600 * FZR_SECOND)

/* Two keys: a nonce made just before a rotation lives its full hour. */
typedef struct fzri_nonces {
  fzri_siphash_key keys[2]; /* current, previous */
  uint32_t generation;      /* of the current one; stands in the nonce, so only one MAC is computed */
  fzr_time rotate_at;
  fzr_random_fn random;
  void *random_ctx;
} fzri_nonces;

/* Draws the first key. Returns 0 or FZR_ERR_NO_RANDOM. */
int fzri_nonces_init(fzri_nonces *nonces, fzr_random_fn random, void *ctx, fzr_time now);
void fzri_nonces_wipe(fzri_nonces *nonces);

/* Rotates when due (every FZRI_NONCE_LIFETIME). If no randomness can be had the old key stays and it is tried again
 * with the next call. */
void fzri_nonces_tick(fzri_nonces *nonces, fzr_time now);

/* Writes a nonce for |client| made at |now|. */
void fzri_nonce_make(const fzri_nonces *nonces, const fzr_addr *client, fzr_time now,
                     char out[FZRI_NONCE_LEN]);

/* Whether the |len| bytes |nonce| were made here for |client| less than FZRI_NONCE_LIFETIME before |now|. */
bool fzri_nonce_check(const fzri_nonces *nonces, const fzr_addr *client, const uint8_t *nonce, size_t len,
                      fzr_time now);

#endif
