/* SPDX-License-Identifier: Apache-2.0 */
/* Which sessions are meant: all, one by its id, those of a user or of a client. */
#ifndef SESSIONS_FILTER_H
#define SESSIONS_FILTER_H

#include "firezone_relay/firezone_relay.h"

/* How many are listed where nobody says how many. */
#define SESSION_LIMIT 10000u

/* The header that is 1 where there are more than are listed. */
#define SESSION_CUT "X-Sessions-Cut"

/* 16 hexadecimal digits and a zero. */
#define SESSION_ID_TEXT 17

typedef struct session_filter {
  bool has_user, has_client;
  uint8_t user[FZR_USER_NAME_MAX]; /* as much of the name as is kept of one */
  size_t user_len;
  fzr_addr client; /* port 0: at any one; of any transport */
} session_filter;

/* Makes |out| of texts, each of which may be NULL. Returns NULL, or what is wrong: static text. */
const char *session_filter_parse(const char *user, const char *client, session_filter *out);

/* Reads how many are to be listed at most; |text| may be NULL. Returns likewise. */
const char *session_limit_parse(const char *text, uint64_t *out);

bool session_filter_matches(const session_filter *f, const fzr_allocation *a);

/* Writes |id| as text; reads one. Returns whether it is one. */
void session_id_write(uint64_t id, char out[SESSION_ID_TEXT]);
bool session_id_read(const char *text, uint64_t *out);

#endif
