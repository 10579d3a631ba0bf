/* SPDX-License-Identifier: Apache-2.0 */
#include "nonce.h"

#include "../base/bytes.h"
#include "../base/crypto.h"

#include <string.h>

/* Before base64: 5 bytes of time in seconds, 3 of the key's generation, 16 of MAC. */
#define STAMP_LEN       8u
#define MAC_LEN         16u
#define GENERATION_MASK 0xffffffu

int fzri_nonces_init(fzri_nonces *nonces, fzr_random_fn random, void *ctx, fzr_time now)
{
  memset(nonces, 0, sizeof *nonces);
  nonces->random = random;
  nonces->random_ctx = ctx;
  nonces->rotate_at = now + FZRI_NONCE_LIFETIME;
  return random(ctx, (uint8_t *)nonces->keys, sizeof nonces->keys) ? FZR_ERR_NO_RANDOM : 0;
}

void fzri_nonces_wipe(fzri_nonces *nonces)
{
  fzri_wipe(nonces, sizeof *nonces);
}

void fzri_nonces_tick(fzri_nonces *nonces, fzr_time now)
{
  fzri_siphash_key fresh;
  if (now < nonces->rotate_at)
    return;
  if (nonces->random(nonces->random_ctx, (uint8_t *)&fresh, sizeof fresh)) {
    nonces->rotate_at = now + FZR_SECOND;
    return;
  }
  nonces->keys[1] = nonces->keys[0];
  nonces->keys[0] = fresh;
  nonces->generation = (nonces->generation + 1) & GENERATION_MASK;
  nonces->rotate_at = now + FZRI_NONCE_LIFETIME;
  fzri_wipe(&fresh, sizeof fresh);
}

static void make_mac(const fzri_siphash_key *key, const uint8_t stamp[STAMP_LEN], const fzr_addr *client,
                     uint8_t mac[MAC_LEN])
{
  uint8_t input[STAMP_LEN + sizeof *client];
  memcpy(input, stamp, STAMP_LEN);
  memcpy(input + STAMP_LEN, client, sizeof *client);
  fzri_siphash24_128(key, input, sizeof input, mac);
}

void fzri_nonce_make(const fzri_nonces *nonces, const fzr_addr *client, fzr_time now,
                     char out[FZRI_NONCE_LEN])
{
  uint8_t raw[STAMP_LEN + MAC_LEN];
  char text[FZRI_NONCE_LEN + 1];
  fzri_put64(raw, (now / FZR_SECOND) << 24 | nonces->generation);
  make_mac(&nonces->keys[0], raw, client, raw + STAMP_LEN);
  fzri_base64(raw, sizeof raw, true, false, text);
  memcpy(out, text, FZRI_NONCE_LEN);
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
  for (size_t i = 0; i < FZRI_NONCE_LEN; i += 4) {
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

bool fzri_nonce_check(const fzri_nonces *nonces, const fzr_addr *client, const uint8_t *nonce, size_t len,
                      fzr_time now)
{
  uint8_t raw[STAMP_LEN + MAC_LEN], mac[MAC_LEN];
  if (len != FZRI_NONCE_LEN || !decode(nonce, raw))
    return false;
  const uint64_t stamp = fzri_get64(raw);
  const uint32_t age = (nonces->generation - (uint32_t)(stamp & GENERATION_MASK)) & GENERATION_MASK;
  const uint64_t made = stamp >> 24, now_seconds = now / FZR_SECOND;
  if (age > 1 || made > now_seconds || now_seconds - made >= FZRI_NONCE_LIFETIME / FZR_SECOND)
    return false;
  make_mac(&nonces->keys[age], raw, client, mac);
  return fzri_equal_ct(mac, raw + STAMP_LEN, MAC_LEN);
}
