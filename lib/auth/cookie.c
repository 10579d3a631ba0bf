/* SPDX-License-Identifier: Apache-2.0 */
#include "cookie.h"

#include "../base/crypto.h"

#include <string.h>

#define PREFIX     "obMatJos2"
#define PREFIX_LEN (sizeof PREFIX - 1)

void fzri_cookie_make(uint32_t features, char out[FZRI_COOKIE_LEN])
{
  const uint8_t bits[3] = {(uint8_t)(features >> 16), (uint8_t)(features >> 8), (uint8_t)features};
  char text[5];
  fzri_base64(bits, sizeof bits, false, false, text);
  memcpy(out, PREFIX, PREFIX_LEN);
  memcpy(out + PREFIX_LEN, text, FZRI_COOKIE_LEN - PREFIX_LEN);
}

bool fzri_cookie_read(const uint8_t *nonce, size_t len, uint32_t *features)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t bits = 0;
  if (len < FZRI_COOKIE_LEN || memcmp(nonce, PREFIX, PREFIX_LEN) != 0)
    return false;
  for (size_t i = PREFIX_LEN; i < FZRI_COOKIE_LEN; i++) {
    const char *digit = memchr(digits, nonce[i], sizeof digits - 1);
    if (!digit)
      return false;
    bits = bits << 6 | (uint32_t)(digit - digits);
  }
  *features = bits;
  return true;
}

uint32_t fzr_auth_nonce_features(const uint8_t *nonce, size_t len)
{
  uint32_t features;
  return nonce && fzri_cookie_read(nonce, len, &features) ? features : 0;
}
