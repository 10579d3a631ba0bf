/* SPDX-License-Identifier: Apache-2.0 */
/* The ciphers of TLS records (RFC 5116): one key in one direction. By the CPU's own instructions where there are such, else by mbedTLS. */
#ifndef NET_AEAD_H
#define NET_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_AEAD_NONCE   12u
#define NET_AEAD_TAG     16u
#define NET_AEAD_KEY_MAX 32u

typedef enum net_aead_kind {
  NET_AEAD_AES_128_GCM,
  NET_AEAD_AES_256_GCM,
  NET_AEAD_CHACHA20_POLY1305
} net_aead_kind;

typedef struct net_aead net_aead;

/* Bytes of a key. */
size_t net_aead_key_len(net_aead_kind kind);

/* Takes a copy of |key|. NULL without memory. */
net_aead *net_aead_new(net_aead_kind kind, const uint8_t *key);
/* By mbedTLS, as it is where the CPU has nothing of its own. */
net_aead *net_aead_new_by_mbedtls(net_aead_kind kind, const uint8_t *key);
/* The key that it was made of, for one that goes on elsewhere, and what for. */
const uint8_t *net_aead_key(const net_aead *a);
net_aead_kind net_aead_kind_of(const net_aead *a);
/* Wipes the key. NULL is fine. */
void net_aead_free(net_aead *a);

/* Encrypts the |len| bytes at |in| to |out|, which is |in| or apart from it, and makes the tag of them and the |aad_len| bytes at |aad|, 16 at most. Returns false if
 * mbedTLS fails. */
bool net_aead_seal(net_aead *a, const uint8_t nonce[NET_AEAD_NONCE], const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t len, uint8_t *out, uint8_t tag[NET_AEAD_TAG]);
/* Decrypts. Returns whether |tag| is right; what is at |out| is of use only then. |out| may be |in|, or 8 bytes or more before it. */
bool net_aead_open(net_aead *a, const uint8_t nonce[NET_AEAD_NONCE], const uint8_t *aad, size_t aad_len,
                   const uint8_t *in, size_t len, const uint8_t tag[NET_AEAD_TAG], uint8_t *out);

#endif
