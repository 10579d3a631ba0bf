/* SPDX-License-Identifier: Apache-2.0 */
/* What the BPF program has to do with a frame, written apart from it: byte by byte, sums from scratch. For routes back to where a
 * frame came from, and links that take any size. */
#ifndef FZT_REFERENCE_H
#define FZT_REFERENCE_H

#include "frame.h"
#include "fzx_shared.h"

/* A channel, as the relay told of it. */
typedef struct fzt_channel {
  fzr_addr client, listen, peer, relayed; /* `relayed` is the relay's own address of the peer's family */
  uint16_t number;
} fzt_channel;

typedef struct fzt_reference {
  struct fzx_settings settings;
  const fzt_channel *channels;
  size_t count;
} fzt_reference;

/* Returns -1 with the frame that goes out in |out|, or the enum fzx_passed for which |in| is left alone. */
int fzt_reference_relay(const fzt_reference *r, const fzt_frame *in, fzt_frame *out);

#endif
