/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of a connection's records: its keys, the number of the next record, and the shape that records have in TLS 1.2 (RFC 5246 section 6.2.3.3,
 * RFC 5288, RFC 7905) and in TLS 1.3 (RFC 8446 section 5.2). */
#ifndef NET_TLS_FLOW_H
#define NET_TLS_FLOW_H

#include "net/aead.h"
#include "net/tls_secret.h"

#include <sys/types.h>

#define NET_TLS_HEADER   5u
#define NET_TLS_OVERHEAD 24u /* the most that is around the data in what goes out, beside the header */

typedef enum net_tls_version { NET_TLS_12 = 0x0303, NET_TLS_13 = 0x0304 } net_tls_version;

enum net_tls_content { NET_TLS_ALERT = 21, NET_TLS_HANDSHAKE = 22, NET_TLS_DATA = 23 };

typedef struct net_tls_flow {
  net_tls_version version;
  net_aead *aead;
  /* Of TLS 1.2 with GCM: its first 4 bytes, and the others are in each record. Otherwise it is mixed with the number. */
  uint8_t nonce[NET_AEAD_NONCE];
  uint8_t secret[NET_TLS_SECRET_MAX]; /* of TLS 1.3: what the two are made of */
  uint64_t number;                    /* of the next record: each has a nonce of its own by it */
} net_tls_flow;

/* Bytes of |nonce| that keys of TLS 1.2 come with. */
size_t net_tls_flow_fixed_len(net_aead_kind kind);

/* Takes a copy of |key| and what nonces of it have in common; or of a traffic secret. The number is 0. Returns false without memory. */
bool net_tls_flow_begin_12(net_tls_flow *f, net_aead_kind kind, const uint8_t *key, const uint8_t *fixed);
bool net_tls_flow_begin_13(net_tls_flow *f, net_aead_kind kind, const uint8_t *secret);
/* The next secret of TLS 1.3 (RFC 8446 section 7.2) takes its place. Returns false without memory: the old one stays. */
bool net_tls_flow_update(net_tls_flow *f);
/* Wipes it. All zeroes are fine. */
void net_tls_flow_end(net_tls_flow *f);

/* Bytes behind the header of a record that comes: at least, and at most. */
size_t net_tls_flow_least(const net_tls_flow *f);
size_t net_tls_flow_most(const net_tls_flow *f);

/* Makes a record of |len| bytes, NET_TLS_RECORD at most, at |out|, which is apart from |data| and has room for the header and NET_TLS_OVERHEAD more. Returns
 * its length; 0 if mbedTLS fails, or there is no number left. */
size_t net_tls_flow_seal(net_tls_flow *f, uint8_t type, const uint8_t *data, size_t len, uint8_t *out);

/* What net_tls_flow_open returns below 0. */
enum {
  NET_TLS_CHANGED = -1, /* on its way; or it is another number's */
  NET_TLS_NO_TYPE = -2, /* TLS 1.3: there is nothing but padding */
  NET_TLS_TOO_LONG = -3,
  NET_TLS_NO_NUMBER = -4 /* is left */
};

/* Opens the record of the |len| bytes at |body|, as many as net_tls_flow_least and _most allow, behind |head|: what was in it is at |body| then. Returns how
 * much, and what it is as |type|. */
ssize_t net_tls_flow_open(net_tls_flow *f, const uint8_t head[NET_TLS_HEADER], uint8_t *body, size_t len,
                          uint8_t *type);

/* Numbers as TLS has them, the first byte first. */
static inline void net_tls_put_number(uint8_t *out, uint64_t value, unsigned bytes)
{
  for (unsigned i = 0; i < bytes; i++)
    out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static inline uint64_t net_tls_get_number(const uint8_t *in, unsigned bytes)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < bytes; i++)
    value = value << 8 | in[i];
  return value;
}

#endif
