/* SPDX-License-Identifier: Apache-2.0 */
#include "expiry.h"
#include "key.h"
#include "schemes.h"

#include "../base/crypto.h"

/* Username "{expiry}:{name}"; the name may be missing with its colon, and hold colons. */
enum fzr_auth_result fzri_rest_lookup(const char *secret, const char *realm, const uint8_t *username,
                                      size_t len, uint8_t algorithm, uint64_t unix_now, fzr_auth_key *out)
{
  char password[FZR_REST_PASSWORD_LEN + 1];
  uint64_t expiry;
  size_t name;
  if (!fzri_expiry_username(username, len, &expiry, &name))
    return FZR_AUTH_UNKNOWN;
  fzr_auth_rest_password(secret, username, len, password, sizeof password);
  fzri_key_make(out, username, len, realm, password, algorithm);
  fzri_wipe(password, sizeof password);
  out->expires = expiry;
  return expiry < unix_now ? FZR_AUTH_EXPIRED : FZR_AUTH_OK;
}
