/* SPDX-License-Identifier: Apache-2.0 */
/* Long-term keys, of whichever algorithm. */
#ifndef FZRI_KEY_H
#define FZRI_KEY_H

#include "firezone_relay/auth.h"

/* How long keys by |algorithm| are; 0: there is none such. */
static inline size_t fzri_key_len(uint8_t algorithm)
{
  return algorithm == FZR_PASSWORD_MD5      ? FZR_STUN_KEY_LEN
         : algorithm == FZR_PASSWORD_SHA256 ? FZR_STUN_KEY_MAX
                                            : 0;
}

/* Makes the key in |out| by |algorithm|, an enum fzr_password_algorithm. */
static inline void fzri_key_make(fzr_auth_key *out, const uint8_t *username, size_t len, const char *realm,
                                 const char *password, uint8_t algorithm)
{
  out->algorithm = algorithm;
  out->key_len = (uint8_t)fzri_key_len(algorithm);
  fzr_auth_long_term_key((enum fzr_password_algorithm)algorithm, username, len, realm, password, out->key);
}

#endif
