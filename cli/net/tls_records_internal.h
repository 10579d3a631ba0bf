/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and writing records (tls_records.c) and going on with them elsewhere (tls_saved.c) share. */
#ifndef NET_TLS_RECORDS_INTERNAL_H
#define NET_TLS_RECORDS_INTERNAL_H

#include "net/tls_records.h"

#define HEADER   5u
#define EXPLICIT 8u /* of a nonce of GCM, in each record (RFC 5288 section 3) */
#define OVERHEAD (EXPLICIT + NET_AEAD_TAG)

/* One direction. */
typedef struct flow {
  net_aead *aead;
  uint8_t nonce[NET_AEAD_NONCE]; /* what it begins with, or is mixed with the number */
  uint64_t number;               /* of the next record */
} flow;

struct net_tls_records {
  flow in, out;
  bool explicit_nonce; /* of GCM; the other cipher's are not sent (RFC 7905 section 2) */
  bool ended;          /* nothing comes any more */
  size_t most;         /* bytes of data in a record that goes out */
  uint8_t idle;        /* records in a row that brought nothing */
  uint8_t refused;     /* requests for another handshake */
  uint8_t head[HEADER];
  uint8_t head_len;
  /* A record in part, or what a whole one held and has not been read. */
  uint8_t *held;
  size_t body_len; /* of a record */
  size_t got;      /* of it */
  size_t plain_from, plain_to;
  /* A record that went out in part. */
  uint8_t *rest;
  size_t rest_from, rest_to;
  size_t written; /* bytes of data in it */
  const char *error;
};

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
