/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as text: a JSON object a line, or a line of a table. */
#ifndef SESSIONS_FORMAT_H
#define SESSIONS_FORMAT_H

#include "common/text.h"
#include "firezone_relay/firezone_relay.h"

/* Room for the longest line, its newline and a zero included: a name of 128 bytes may take six each. */
#define SESSION_LINE_MAX 2048

/* "udp", "tcp", "tls", ...: by enum fzr_transport. */
const char *session_transport(uint8_t transport);

/* The name of the user of |a| as a JSON string has it, without quotes, zero-terminated. */
#define SESSION_NAME_MAX (6 * FZR_USER_NAME_MAX + 1)
void session_name(const fzr_allocation *a, char out[SESSION_NAME_MAX]);

/* Add a line about |a|, which worker |worker| has, at |now|. */
void session_json(text_out *out, const fzr_allocation *a, unsigned worker, fzr_time now);
void session_row(text_out *out, const fzr_allocation *a, fzr_time now);

/* The line above such rows. */
extern const char session_head[];

#endif
