/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"

#include "precondition.h"

#include <string.h>

#include <mbedtls/md5.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
/* The functions that return errors have these names in 2.28; the plain ones are deprecated there and return nothing. */
#define mbedtls_md5_starts    mbedtls_md5_starts_ret
#define mbedtls_md5_update    mbedtls_md5_update_ret
#define mbedtls_md5_finish    mbedtls_md5_finish_ret
#define mbedtls_sha1_starts   mbedtls_sha1_starts_ret
#define mbedtls_sha1_update   mbedtls_sha1_update_ret
#define mbedtls_sha1_finish   mbedtls_sha1_finish_ret
#define mbedtls_sha256_starts mbedtls_sha256_starts_ret
#define mbedtls_sha256_update mbedtls_sha256_update_ret
#define mbedtls_sha256_finish mbedtls_sha256_finish_ret
#endif

#define BLOCK 64u /* of SHA-1 and of SHA-256 */

/* mbedTLS's software hashes return errors for the sake of hardware that may fail; with contexts on the stack and valid
 * arguments they return 0. */

void fzri_md5(const fzri_slice *parts, size_t n, uint8_t out[16])
{
  mbedtls_md5_context ctx;
  mbedtls_md5_init(&ctx);
  mbedtls_md5_starts(&ctx);
  for (size_t i = 0; i < n; i++)
    mbedtls_md5_update(&ctx, parts[i].data, parts[i].len);
  mbedtls_md5_finish(&ctx, out);
  mbedtls_md5_free(&ctx);
}

static void sha256(const uint8_t *first, size_t first_len, const fzri_slice *parts, size_t n, uint8_t out[32])
{
  mbedtls_sha256_context ctx;
  mbedtls_sha256_init(&ctx);
  mbedtls_sha256_starts(&ctx, 0);
  if (first_len)
    mbedtls_sha256_update(&ctx, first, first_len);
  for (size_t i = 0; i < n; i++)
    mbedtls_sha256_update(&ctx, parts[i].data, parts[i].len);
  mbedtls_sha256_finish(&ctx, out);
  mbedtls_sha256_free(&ctx);
}

void fzri_sha256(const fzri_slice *parts, size_t n, uint8_t out[32])
{
  sha256(NULL, 0, parts, n, out);
}

static void sha1(const uint8_t *first, size_t first_len, const fzri_slice *parts, size_t n, uint8_t out[20])
{
  mbedtls_sha1_context ctx;
  mbedtls_sha1_init(&ctx);
  mbedtls_sha1_starts(&ctx);
  if (first_len)
    mbedtls_sha1_update(&ctx, first, first_len);
  for (size_t i = 0; i < n; i++)
    mbedtls_sha1_update(&ctx, parts[i].data, parts[i].len);
  mbedtls_sha1_finish(&ctx, out);
  mbedtls_sha1_free(&ctx);
}

/* RFC 2104, for either hash. Written out because mbedtls_md_hmac takes memory. */
typedef void (*hash_fn)(const uint8_t *first, size_t first_len, const fzri_slice *parts, size_t n,
                        uint8_t *out);

static void hmac(hash_fn hash, size_t out_len, const uint8_t *key, size_t key_len, const fzri_slice *parts,
                 size_t n, uint8_t *out)
{
  uint8_t pad[BLOCK] = {0};
  uint8_t inner[32];
  if (key_len > sizeof pad)
    hash(key, key_len, NULL, 0, pad);
  else if (key_len)
    memcpy(pad, key, key_len);
  for (size_t i = 0; i < sizeof pad; i++)
    pad[i] ^= 0x36;
  hash(pad, sizeof pad, parts, n, inner);
  for (size_t i = 0; i < sizeof pad; i++)
    pad[i] ^= 0x36 ^ 0x5c;
  const fzri_slice rest = {inner, out_len};
  hash(pad, sizeof pad, &rest, 1, out);
  fzri_wipe(pad, sizeof pad);
  fzri_wipe(inner, sizeof inner);
}

void fzri_hmac_sha1(const uint8_t *key, size_t key_len, const fzri_slice *parts, size_t n, uint8_t out[20])
{
  hmac(sha1, 20, key, key_len, parts, n, out);
}

void fzri_hmac_sha256(const uint8_t *key, size_t key_len, const fzri_slice *parts, size_t n, uint8_t out[32])
{
  hmac(sha256, 32, key, key_len, parts, n, out);
}

static char digit(unsigned value, bool url)
{
  FZRI_ASSERT(value < 64);
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";
  return digits[value >= 62 && url ? value + 2 : value];
}

size_t fzri_base64(const uint8_t *data, size_t len, bool url, bool padded, char *out)
{
  FZRI_ASSERT(len <= SIZE_MAX / 4 * 3 - 4);
  FZRI_ASSERT((uintptr_t)data >= (uintptr_t)out + 4 * ((len + 2) / 3) + 1 ||
              (uintptr_t)data + len <= (uintptr_t)out);
  size_t n = 0;
  for (size_t i = 0; i < len; i += 3) {
    const size_t have = len - i < 3 ? len - i : 3;
    const uint32_t bits =
        (uint32_t)data[i] << 16 | (have > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (have > 2 ? data[i + 2] : 0u);
    for (unsigned d = 0; d < 4; d++) {
      if (d <= have)
        out[n++] = digit(bits >> (18 - 6 * d) & 63, url);
      else if (padded)
        out[n++] = '=';
    }
  }
  out[n] = 0;
  return n;
}

bool fzri_equal_ct(const void *a, const void *b, size_t len)
{
  const volatile uint8_t *x = a, *y = b;
  uint8_t differs = 0;
  for (size_t i = 0; i < len; i++)
    differs |= (uint8_t)(x[i] ^ y[i]);
  return differs == 0;
}

void fzri_wipe(void *data, size_t len)
{
  mbedtls_platform_zeroize(data, len);
}
