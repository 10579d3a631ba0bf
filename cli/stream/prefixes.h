/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections each prefix has, of all workers together: those of an IPv4 /24 or an IPv6 /48, as answers to strangers are
 * counted. Any thread. */
#ifndef STREAM_PREFIXES_H
#define STREAM_PREFIXES_H

#include "firezone_relay/types.h"

typedef struct stream_prefixes stream_prefixes;

/* Counts up to |most| for each prefix; 0: as many as there are. NULL without memory. */
stream_prefixes *stream_prefixes_new(uint32_t most);
void stream_prefixes_free(stream_prefixes *p);

/* One more of |client|'s prefix. Returns whether it may have that, and then it is counted. */
bool stream_prefixes_enter(stream_prefixes *p, const fzr_addr *client);
/* The same of one that is there already: it is counted, however many there are. Returns false without memory. */
bool stream_prefixes_keep(stream_prefixes *p, const fzr_addr *client);
/* One less. */
void stream_prefixes_leave(stream_prefixes *p, const fzr_addr *client);

#endif
