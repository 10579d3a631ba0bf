/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a request: it is read, its sender authenticated, and the handler of its method found in a table. */
#ifndef FZRI_DISPATCH_H
#define FZRI_DISPATCH_H

#include "state.h"

/* Takes one datagram that looks like STUN. Returns FZR_DROP_NONE if it was handled (answered, or rightly not), or the reason why
 * it was dropped. */
enum fzr_drop_reason fzri_request_take(fzr_engine *e, const uint8_t *data, size_t len, const fzr_addr *from,
                                       const fzr_addr *to);

#endif
