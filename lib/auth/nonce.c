/* SPDX-License-Identifier: Apache-2.0 */
#include "nonce.h"

#include "../base/bytes.h"
#include "../base/crypto.h"

#include <string.h>

/* Before base64: 8 bytes of time in seconds, 16 of MAC. */
#define STAMP_LEN 8u
#define MAC_LEN   16u

int fzri_nonces_init(fzri_nonces *nonces, fzr_random_fn random, void *ctx)
{
  return random(ctx, (uint8_t *)&nonces->key, sizeof nonces->key) ? FZR_ERR_NO_RANDOM : 0;
}

void fzri_nonces_wipe(fzri_nonces *nonces)
{
  fzri_wipe(nonces, sizeof *nonces);
}

static void make_mac(const fzri_siphash_key *key, const uint8_t stamp[STAMP_LEN], const fzr_addr *client,
                     uint32_t features, uint8_t mac[MAC_LEN])
{
  uint8_t input[STAMP_LEN + sizeof *client + 4];
  memcpy(input, stamp, STAMP_LEN);
  memcpy(input + STAMP_LEN, client, sizeof *client);
  fzri_put32(input + STAMP_LEN + sizeof *client, features);
  fzri_siphash24_128(key, input, sizeof input - (features == FZRI_NO_COOKIE ? 4 : 0), mac);
}

size_t fzri_nonce_make(const fzri_nonces *nonces, const fzr_addr *client, uint32_t features, fzr_time now,
                       char out[FZRI_NONCE_MAX])
{
  uint8_t raw[STAMP_LEN + MAC_LEN];
  char text[FZRI_NONCE_BARE + 1];
  size_t len = 0;
  fzri_put64(raw, now / FZR_SECOND);
  make_mac(&nonces->key, raw, client, features, raw + STAMP_LEN);
  fzri_base64(raw, sizeof raw, true, false, text);
  if (features != FZRI_NO_COOKIE) {
    fzri_cookie_make(features, out);
    len = FZRI_COOKIE_LEN;
  }
  memcpy(out + len, text, FZRI_NONCE_BARE);
  return len + FZRI_NONCE_BARE;
}

static int digit_value(uint8_t c)
{
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static bool decode(const uint8_t *text, uint8_t raw[STAMP_LEN + MAC_LEN])
{
  for (size_t i = 0; i < FZRI_NONCE_BARE; i += 4) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 4; k++) {
      const int value = digit_value(text[i + k]);
      if (value < 0)
        return false;
      bits = bits << 6 | (uint32_t)value;
    }
    raw[i / 4 * 3] = (uint8_t)(bits >> 16);
    raw[i / 4 * 3 + 1] = (uint8_t)(bits >> 8);
    raw[i / 4 * 3 + 2] = (uint8_t)bits;
  }
  return true;
}

enum fzri_nonce_kind fzri_nonce_check(const fzri_nonces *nonces, const fzr_addr *client, const uint8_t *nonce,
                                      size_t len, fzr_time now, uint32_t *features)
{
  uint8_t raw[STAMP_LEN + MAC_LEN], mac[MAC_LEN];
  *features = FZRI_NO_COOKIE;
  if (len == FZRI_NONCE_MAX && fzri_cookie_read(nonce, len, features)) {
    nonce += FZRI_COOKIE_LEN;
    len -= FZRI_COOKIE_LEN;
  }
  if (len != FZRI_NONCE_BARE || !decode(nonce, raw))
    return FZRI_NONCE_FOREIGN;
  make_mac(&nonces->key, raw, client, *features, mac);
  if (!fzri_equal_ct(mac, raw + STAMP_LEN, MAC_LEN))
    return FZRI_NONCE_FOREIGN;
  /* The engine's time never goes back: what has a good MAC was made before now. */
  return now / FZR_SECOND - fzri_get64(raw) < FZRI_NONCE_LIFETIME / FZR_SECOND ? FZRI_NONCE_FRESH
                                                                               : FZRI_NONCE_OLD;
}
