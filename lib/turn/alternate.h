/* SPDX-License-Identifier: Apache-2.0 */
/* Where clients are sent while this relay takes no more of them: 300 (Try Alternate). RFC 8489 section 10. */
#ifndef FZRI_ALTERNATE_H
#define FZRI_ALTERNATE_H

#include "request.h"

/* Copies the alternate servers of |c|, which has been checked. */
void fzri_alternate_set(fzr_engine *e, const fzr_config *c);

/* Returns 0, or FZR_ERR_CONFIG_ADDRESS. */
int fzri_alternate_check(const fzr_config *c);

/* The server of the family in which |from| talks to this one, or NULL. */
const fzr_addr *fzri_alternate_for(const fzr_engine *e, const fzr_addr *from);

/* Whether |r| is an Allocate of a client without allocation, or whose allocation gives way to it, and is to be sent elsewhere: the relay
 * drains, or has as much to do as it should. */
bool fzri_alternate_wanted(const fzr_engine *e, const fzri_request *r);

#endif
