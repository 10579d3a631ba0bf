/* SPDX-License-Identifier: Apache-2.0 */
/* Users with passwords of their own, for FZR_AUTH_STATIC and beside FZR_AUTH_REST: their keys, sorted by name. */
#ifndef FZRI_STATIC_H
#define FZRI_STATIC_H

#include "../base/crypto.h"
#include "../base/mem.h"
#include "firezone_relay/auth.h"

/* Bytes of a name: requests have no more of it (RFC 8489 section 14.3: fewer than 509). */
#define FZRI_USERNAME_MAX 508u

typedef struct fzri_static_user {
  const char *name; /* in `names` */
  uint32_t len;
  bool md5_only;                 /* it came as a key: there is no other */
  uint8_t key[FZR_STUN_KEY_LEN]; /* by MD5 */
  uint8_t sha256[FZR_STUN_KEY_MAX];
  uint8_t userhash[FZR_STUN_USERHASH_LEN];
} fzri_static_user;

typedef struct fzri_static_users {
  fzri_static_user *rows;
  size_t count;
  char *names; /* of all of them, one behind the other */
  size_t names_len;
  uint32_t *
      by_userhash; /* places + 1 of rows, 0: none; a table of slots, at most half full, at the begin of whose userhash one looks first */
  uint32_t slots;  /* a power of two */
  bool md5_only;   /* at least one of them */
} fzri_static_users;

/* Makes |users| of the |count| at |from|, with keys for |realm|. Returns 0; FZR_ERR_CONFIG_AUTH (an empty name, a name twice, one that
 * is too long, no password and no key, both, or an empty password); or FZR_ERR_NO_MEMORY. |users| is empty after an error. O(n log n). */
int fzri_static_init(fzri_static_users *users, fzri_mem *mem, const char *realm, const fzr_user *from,
                     size_t count);
/* Wipes the keys and gives the memory back; |users| is empty then. */
void fzri_static_free(fzri_static_users *users, fzri_mem *mem);

/* The key of the |len| bytes |name| by |algorithm|, an enum fzr_password_algorithm, in |out|, which comes zeroed. */
enum fzr_auth_result fzri_static_lookup(const fzri_static_users *users, const uint8_t *name, size_t len,
                                        uint8_t algorithm, fzr_auth_key *out);

/* The name of whom |userhash| stands for (RFC 8489 section 14.4), which the table keeps; NULL: of nobody. */
fzri_slice fzri_static_resolve(const fzri_static_users *users, const uint8_t userhash[FZR_STUN_USERHASH_LEN]);

#endif
