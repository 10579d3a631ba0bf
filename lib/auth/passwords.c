/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include "../base/crypto.h"
#include "../base/decimal.h"

#include <string.h>

int fzr_auth_long_term_key(enum fzr_password_algorithm algorithm, const uint8_t *username,
                           size_t username_len, const char *realm, const char *password, uint8_t *key)
{
  const size_t len = fzri_key_len((uint8_t)algorithm);
  if (!len || !username || !realm || !password || !key)
    return FZR_ERR_INVALID_ARGUMENT;
  const fzri_slice parts[] = {
      {username, username_len}, {":", 1}, {realm, strlen(realm)}, {":", 1}, {password, strlen(password)}};
  if (algorithm == FZR_PASSWORD_SHA256)
    fzri_sha256(parts, 5, key);
  else
    fzri_md5(parts, 5, key);
  return (int)len;
}

int fzr_auth_userhash(const uint8_t *username, size_t username_len, const char *realm,
                      uint8_t out[FZR_STUN_USERHASH_LEN])
{
  if (!username || !realm || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  const fzri_slice parts[] = {{username, username_len}, {":", 1}, {realm, strlen(realm)}};
  fzri_sha256(parts, 3, out);
  return 0;
}

int fzr_auth_stamp_password(const char *secret, uint64_t expiry, const uint8_t *salt, size_t salt_len,
                            char *out, size_t cap)
{
  char number[FZRI_DECIMAL_MAX];
  uint8_t digest[32];
  if (!secret || !salt || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  if (cap < FZR_STAMP_PASSWORD_LEN + 1)
    return FZR_ERR_BUFFER_TOO_SMALL;
  const fzri_slice parts[] = {{number, (size_t)(fzri_put_decimal(number, expiry) - number)},
                              {":", 1},
                              {secret, strlen(secret)},
                              {":", 1},
                              {salt, salt_len}};
  fzri_sha256(parts, 5, digest);
  const size_t len = fzri_base64(digest, sizeof digest, false, false, out);
  fzri_wipe(digest, sizeof digest);
  return (int)len;
}

int fzr_auth_rest_password(const char *secret, const uint8_t *username, size_t username_len, char *out,
                           size_t cap)
{
  uint8_t mac[20];
  if (!secret || !username || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  if (cap < FZR_REST_PASSWORD_LEN + 1)
    return FZR_ERR_BUFFER_TOO_SMALL;
  const fzri_slice part = {username, username_len};
  fzri_hmac_sha1((const uint8_t *)secret, strlen(secret), &part, 1, mac);
  const size_t len = fzri_base64(mac, sizeof mac, false, true, out);
  fzri_wipe(mac, sizeof mac);
  return (int)len;
}
