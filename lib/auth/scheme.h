/* SPDX-License-Identifier: Apache-2.0 */
/* The authentication scheme of an engine: from a username to its key. */
#ifndef FZRI_SCHEME_H
#define FZRI_SCHEME_H

#include "../base/mem.h"
#include "firezone_relay/engine.h"

#define FZRI_REALM_MAX  127u
#define FZRI_SECRET_MAX 255u

typedef struct fzri_user_key {
  char *username; /* owned, zero-terminated */
  uint8_t key[FZR_STUN_KEY_LEN];
} fzri_user_key;

typedef struct fzri_scheme {
  enum fzr_auth_kind kind;
  char realm[FZRI_REALM_MAX + 1];
  char secret[FZRI_SECRET_MAX + 1];
  char second_secret[FZRI_SECRET_MAX + 1]; /* as good as the first; "": none */
  fzri_user_key *users;                    /* FZR_AUTH_STATIC, sorted by name */
  size_t user_count;
  size_t user_room; /* what `users` was taken for */
  fzr_auth_fn fn;
  void *fn_ctx;
  fzri_mem *mem;
} fzri_scheme;

/* Copies what it needs of |config|. Returns 0, FZR_ERR_CONFIG_AUTH, FZR_ERR_CONFIG_LIMIT (realm), FZR_ERR_NO_MEMORY. */
int fzri_scheme_init(fzri_scheme *scheme, fzri_mem *mem, const fzr_config *config);
/* Wipes the secrets and frees. */
void fzri_scheme_free(fzri_scheme *scheme);

/* Looks up |username|'s key at |unix_now|. |out| is zeroed first. */
enum fzr_auth_result fzri_scheme_lookup(const fzri_scheme *scheme, const uint8_t *username,
                                        size_t username_len, uint64_t unix_now, fzr_auth_key *out);

/* The same for the scheme's second secret; FZR_AUTH_UNKNOWN if there is none. */
enum fzr_auth_result fzri_scheme_lookup_second(const fzri_scheme *scheme, const uint8_t *username,
                                               size_t username_len, uint64_t unix_now, fzr_auth_key *out);

/* Whether an allocation may be refreshed and used with another valid credential than the one it was made with (else 441): true
 * for the stamp scheme alone. */
bool fzri_scheme_users_may_change(const fzri_scheme *scheme);

/* Reads the decimal u64 that |username| begins with, up to a ':' or its end, into *|expiry|, and the index behind the colon into
 * *|rest| (0: there is no colon). Returns false if there is no digit, another character, or the number does not fit. Leading
 * zeros are fine. */
bool fzri_expiry_username(const uint8_t *username, size_t len, uint64_t *expiry, size_t *rest);

#endif
