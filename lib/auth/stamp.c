/* SPDX-License-Identifier: Apache-2.0 */
#include "expiry.h"
#include "key.h"
#include "schemes.h"

#include "../base/crypto.h"

#include <string.h>

/* Username "{expiry}:{salt}": exactly one colon. The password is made of the expiry as a number, so leading zeros do not
 * matter. */
enum fzr_auth_result fzri_stamp_lookup(const char *secret, const char *realm, const uint8_t *username,
                                       size_t len, uint64_t unix_now, fzr_auth_key *out)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  uint64_t expiry;
  size_t salt;
  if (!fzri_expiry_username(username, len, &expiry, &salt) || salt == 0)
    return FZR_AUTH_UNKNOWN;
  if (memchr(username + salt, ':', len - salt))
    return FZR_AUTH_UNKNOWN;
  fzr_auth_stamp_password(secret, expiry, username + salt, len - salt, password, sizeof password);
  fzri_key_make(out, username, len, realm, password, FZR_PASSWORD_MD5);
  fzri_wipe(password, sizeof password);
  out->expires = expiry;
  out->sign_unauthenticated = true;
  return expiry < unix_now ? FZR_AUTH_EXPIRED : FZR_AUTH_OK;
}
