/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams to the listen port that are neither STUN nor ChannelData. */
#ifndef FZRI_FOREIGN_H
#define FZRI_FOREIGN_H

#include "state.h"

/* Returns why the |len| bytes at |data| are dropped; logs once an hour that someone greets the port with DTLS or TLS. */
enum fzr_drop_reason fzri_foreign_take(fzr_engine *e, const uint8_t *data, uint32_t len,
                                       const fzr_addr *from);

#endif
