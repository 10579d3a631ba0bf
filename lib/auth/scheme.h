/* SPDX-License-Identifier: Apache-2.0 */
/* The authentication scheme of an engine: from a username to its key. */
#ifndef FZRI_SCHEME_H
#define FZRI_SCHEME_H

#include "../base/crypto.h"
#include "../base/mem.h"
#include "cookie.h"
#include "firezone_relay/engine.h"
#include "static.h"

#define FZRI_REALM_MAX  127u
#define FZRI_SECRET_MAX 255u

typedef struct fzri_scheme {
  enum fzr_auth_kind kind;
  bool outlived; /* by the allocations that were made with its credentials */
  bool md5_only; /* no other keys are offered */
  char realm[FZRI_REALM_MAX + 1];
  char secret[FZRI_SECRET_MAX + 1];
  char second_secret[FZRI_SECRET_MAX + 1]; /* as good as the first; "": none */
  fzri_static_users users;                 /* FZR_AUTH_STATIC, FZR_AUTH_REST */
  fzr_auth_fn fn;
  void *fn_ctx;
  fzri_mem *mem;
} fzri_scheme;

/* Copies what it needs of |config|. Returns 0, FZR_ERR_CONFIG_AUTH, FZR_ERR_CONFIG_LIMIT (realm), FZR_ERR_NO_MEMORY. */
int fzri_scheme_init(fzri_scheme *scheme, fzri_mem *mem, const fzr_config *config);
/* Wipes the secrets and frees. */
void fzri_scheme_free(fzri_scheme *scheme);

/* Puts other secrets in place of those that there are; |second| may be NULL. Returns 0; FZR_ERR_UNSUPPORTED, if the scheme has none; or
 * FZR_ERR_CONFIG_AUTH, if one is empty or too long. After an error nothing has changed. */
int fzri_scheme_set_secrets(fzri_scheme *scheme, const char *secret, const char *second);

/* Puts other users in place of those that there are. Returns 0; FZR_ERR_UNSUPPORTED, if the scheme has no table of them;
 * FZR_ERR_CONFIG_AUTH, if the name of one is also one that a secret makes; or as fzri_static_init. After an error nothing has changed. */
int fzri_scheme_set_users(fzri_scheme *scheme, const fzr_user *users, size_t count);

/* Looks up |username|'s key by |algorithm|, an enum fzr_password_algorithm, at |unix_now|. |out| is zeroed first. */
enum fzr_auth_result fzri_scheme_lookup(const fzri_scheme *scheme, const uint8_t *username,
                                        size_t username_len, uint8_t algorithm, uint64_t unix_now,
                                        fzr_auth_key *out);

/* The same for the scheme's second secret; FZR_AUTH_UNKNOWN if there is none. */
enum fzr_auth_result fzri_scheme_lookup_second(const fzri_scheme *scheme, const uint8_t *username,
                                               size_t username_len, uint8_t algorithm, uint64_t unix_now,
                                               fzr_auth_key *out);

/* Whether |key| is, for the scheme's first secret or its second, the key of |username|, whatever the time. */
bool fzri_scheme_makes(const fzri_scheme *scheme, const uint8_t *username, size_t username_len,
                       const fzr_auth_key *key);

/* Whom |username| names, whatever credential he has now: the part of it that stays. With an expiry that is what follows its colon,
 * if there is one; else all of it. */
fzri_slice fzri_scheme_user(const fzri_scheme *scheme, const uint8_t *username, size_t len);

/* |owner| and |user| are keyed hashes of such parts: of the one that an allocation is of, and of the one who sends a request with
 * a credential that is good. */

/* Whether |user| may use the allocation (else 441). With the stamp scheme everyone may, because salts say nothing of a user: the
 * portal hands a client fresh credentials while its allocation lives. */
bool fzri_scheme_may_use(const fzri_scheme *scheme, uint64_t owner, uint64_t user);

/* Whether the key of |username| stays what it was until it expires: then whoever has it need not look it up again. Of the others
 * users come and go. */
bool fzri_scheme_keys_stay(const fzri_scheme *scheme, const uint8_t *username, size_t len);

/* Whether a user is one client with one allocation, unless the configuration says otherwise: with the stamp scheme, where each client
 * has credentials of its own. */
bool fzri_scheme_user_is_client(const fzri_scheme *scheme);

/* How many keys a username may have: as many as there are secrets. */
unsigned fzri_scheme_keys_of_user(const fzri_scheme *scheme);

/* Whether a credential that has run out stays good for the allocation that it was used with last (else 401). */
bool fzri_scheme_outlives(const fzri_scheme *scheme);

/* What clients are offered by the nonce: bits of enum fzr_security_feature, or FZRI_NO_COOKIE with the stamp scheme, whose clients know
 * what they have. Of a username with an expiry nobody can find out by its hash; and PASSWORD-ALGORITHMS is for all users or for none,
 * because whom it is for is not known yet. */
uint32_t fzri_scheme_features(const fzri_scheme *scheme);

/* The value of the PASSWORD-ALGORITHMS that goes with FZR_FEATURE_PASSWORD_ALGORITHMS: SHA-256 before MD5. */
#define FZRI_OFFERED_LEN 8u
extern const uint8_t fzri_offered_algorithms[FZRI_OFFERED_LEN];

/* The name of whom |userhash| stands for, which the scheme keeps; NULL: of nobody. */
fzri_slice fzri_scheme_resolve(const fzri_scheme *scheme, const uint8_t userhash[FZR_STUN_USERHASH_LEN]);

/* Whether a 401 or 438 may be signed at all; fzr_auth_key.sign_unauthenticated says of which user. */
bool fzri_scheme_signs_challenges(const fzri_scheme *scheme);

#endif
