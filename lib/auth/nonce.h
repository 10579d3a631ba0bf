/* SPDX-License-Identifier: Apache-2.0 */
/* Stateless nonces: a timestamp, and a MAC over it and the client's address; in front of both the cookie, if there is one, which the MAC
 * covers, too. The key lives as long as the engine: a nonce that was ours can be told from any other text however old it is. */
#ifndef FZRI_NONCE_H
#define FZRI_NONCE_H

#include "../base/siphash.h"
#include "cookie.h"
#include "firezone_relay/error.h"

#define FZRI_NONCE_BARE     32u /* base64url of 8 + 16 bytes */
#define FZRI_NONCE_MAX      (FZRI_COOKIE_LEN + FZRI_NONCE_BARE)
#define FZRI_NONCE_LIFETIME (3600 * FZR_SECOND)

typedef struct fzri_nonces {
  fzri_siphash_key key;
} fzri_nonces;

/* What a text is that came as a nonce. */
enum fzri_nonce_kind {
  FZRI_NONCE_FOREIGN, /* not made here, or for another client */
  FZRI_NONCE_OLD,     /* made here for this client, FZRI_NONCE_LIFETIME ago or longer */
  FZRI_NONCE_FRESH
};

/* Draws the key. Returns 0 or FZR_ERR_NO_RANDOM. */
int fzri_nonces_init(fzri_nonces *nonces, fzr_random_fn random, void *ctx);
void fzri_nonces_wipe(fzri_nonces *nonces);

/* Writes a nonce for |client| made at |now|, with the cookie of |features| unless those are FZRI_NO_COOKIE. Returns its length. */
size_t fzri_nonce_make(const fzri_nonces *nonces, const fzr_addr *client, uint32_t features, fzr_time now,
                       char out[FZRI_NONCE_MAX]);

/* What the |len| bytes |nonce| are to |client| at |now|. *|features| gets those that are told by it, or FZRI_NO_COOKIE; of a foreign
 * one anybody may have written that. */
enum fzri_nonce_kind fzri_nonce_check(const fzri_nonces *nonces, const fzr_addr *client, const uint8_t *nonce,
                                      size_t len, fzr_time now, uint32_t *features);

#endif
