/* SPDX-License-Identifier: Apache-2.0 */
/* What the library needs of mbedTLS; crypto.c alone includes its headers. None of these takes memory or fails. */
#ifndef FZRI_CRYPTO_H
#define FZRI_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One piece of input; hashes take several, so that nothing has to be joined. */
typedef struct fzri_slice {
  const void *data;
  size_t len;
} fzri_slice;

void fzri_md5(const fzri_slice *parts, size_t n, uint8_t out[16]);
void fzri_sha256(const fzri_slice *parts, size_t n, uint8_t out[32]);
void fzri_hmac_sha1(const uint8_t *key, size_t key_len, const fzri_slice *parts, size_t n, uint8_t out[20]);
void fzri_hmac_sha256(const uint8_t *key, size_t key_len, const fzri_slice *parts, size_t n, uint8_t out[32]);

/* Base64 (RFC 4648 section 4, or 5 with |url|) of |len| bytes, with or without padding, zero-terminated. |out| has room for
 * 4 * ((len + 2) / 3) + 1, and is not where |data| is. Returns the length without the zero. */
size_t fzri_base64(const uint8_t *data, size_t len, bool url, bool padded, char *out);

/* Compares in a time that depends on |len| alone. */
bool fzri_equal_ct(const void *a, const void *b, size_t len);
/* Overwrites secrets; never optimised away. */
void fzri_wipe(void *data, size_t len);

#endif
