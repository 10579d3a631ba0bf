/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and writing records (tls_records.c) and going on with them elsewhere (tls_saved.c) share. */
#ifndef NET_TLS_RECORDS_INTERNAL_H
#define NET_TLS_RECORDS_INTERNAL_H

#include "net/tls_flow.h"
#include "net/tls_records.h"

struct net_tls_records {
  net_tls_flow in, out;
  bool ended;      /* nothing comes any more */
  size_t most;     /* bytes of data in a record that goes out */
  uint8_t idle;    /* records in a row that brought nothing */
  uint8_t refused; /* requests for another handshake */
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
