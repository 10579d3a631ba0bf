/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets of TLS 1.3 after its handshake (RFC 8446 sections 7.1 to 7.3). */
#ifndef NET_TLS_SECRET_H
#define NET_TLS_SECRET_H

#include "net/aead.h"

#define NET_TLS_SECRET_MAX 48u

/* Bytes of a secret: those of the hash that goes with the cipher (RFC 8446 section B.4). */
size_t net_tls_secret_len(net_aead_kind kind);

/* HKDF-Expand-Label without a context: |len| bytes at |out|, at most a secret's, for |label|, which is given without "tls13 ". Returns false if mbedTLS
 * is out of memory. */
bool net_tls_secret_expand(net_aead_kind kind, const uint8_t *secret, const char *label, uint8_t *out,
                           size_t len);

#endif
