/* SPDX-License-Identifier: Apache-2.0 */
/* One request until its answer: when it is sent again, and when that is over (RFC 8489 section 6.2.1, but sooner: somebody waits). No IO. */
#ifndef PROBE_EXCHANGE_H
#define PROBE_EXCHANGE_H

#include "client.h"

#define PROBE_PATIENCE       (3 * FZR_SECOND)
#define PROBE_PATIENCE_SHORT (1500 * FZR_MILLISECOND) /* for what is looked at beside */
#define PROBE_PATIENCE_ICMP  (700 * FZR_MILLISECOND)  /* behind an ICMP error, which may be another one's */

typedef struct probe_exchange {
  uint8_t data[PROBE_REQUEST_MAX];
  size_t len; /* 0: none goes on */
  uint8_t txid[FZR_STUN_TXID_LEN];
  unsigned sent; /* times */
  bool is_stream;
  fzr_time began, next, end;
} probe_exchange;

/* Begins with what |x| has in |data|, |len| and |txid|. |is_stream|: it is sent once. */
void probe_exchange_start(probe_exchange *x, bool is_stream, fzr_time patience, fzr_time now);

/* Whether the request is to be sent, now. */
bool probe_exchange_is_due(probe_exchange *x, fzr_time now);

/* Whether there will be no answer any more. */
bool probe_exchange_is_over(const probe_exchange *x, fzr_time now);

/* When one of both changes; FZR_TIME_NEVER if none goes on. */
fzr_time probe_exchange_deadline(const probe_exchange *x);

/* Whether |msg| answers it. */
bool probe_exchange_takes(const probe_exchange *x, const fzr_stun_msg *msg);

#endif
