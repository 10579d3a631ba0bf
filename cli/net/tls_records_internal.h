/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and writing records (tls_records.c) and going on with them elsewhere (tls_saved.c) share. */
#ifndef NET_TLS_RECORDS_INTERNAL_H
#define NET_TLS_RECORDS_INTERNAL_H

#include "net/tls_flow.h"
#include "net/tls_records.h"

/* Records with one key of TLS 1.3. AES-GCM is good for 24 million full ones (RFC 8446 section 5.5). */
#define RENEW_AFTER (1u << 24)
/* What TLS 1.3 has of messages after the handshake (RFC 8446 section 4.6.3). */
#define KEY_UPDATE_LEN 5u
/* What is written at once, at the most: new keys may have to be announced before the data. */
#define WRITE_MAX (NET_TLS_HEADER + KEY_UPDATE_LEN + NET_TLS_HEADER + NET_TLS_RECORD + 2 * NET_TLS_OVERHEAD)

struct net_tls_records {
  net_tls_flow in, out;
  bool ended;      /* nothing comes any more */
  bool owes;       /* new keys: the other side has asked for them */
  bool asked;      /* the other side was, for its */
  size_t most;     /* bytes of data in a record that goes out */
  uint8_t idle;    /* records in a row that brought nothing */
  uint8_t refused; /* requests for another handshake */
  uint8_t hasty;   /* changes of keys that were hardly used; another process counts anew */
  uint8_t message[KEY_UPDATE_LEN];
  uint8_t message_len; /* what has come of one in part */
  uint8_t head[NET_TLS_HEADER];
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

#endif
