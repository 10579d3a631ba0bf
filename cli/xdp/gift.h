/* SPDX-License-Identifier: Apache-2.0 */
/* What a process says of the program that it gives to another one, and which descriptor is what: those of xdp_object_fds, and then links. */
#ifndef XDP_GIFT_H
#define XDP_GIFT_H

#include "channels.h"
#include "common/offload.h"
#include "object.h"

typedef struct xdp_gift {
  enum xdp_hook hook;
  bool no_frags;
  uint64_t mark; /* xdp_object_mark */
  uint64_t left[XDP_LEFT_REASONS];
} xdp_gift;

void xdp_gift_write(const xdp_gift *gift, char about[OFFLOAD_ABOUT_MAX]);

/* Returns whether |from| is one, of a version that this one understands. */
bool xdp_gift_read(const offload_gift *from, xdp_gift *out);

/* Takes the object out of |gift|. */
void xdp_gift_take_object(offload_gift *gift, xdp_object *out);

/* Takes the link to the interface of |index| out of |gift|. -1: there is none. */
int xdp_gift_take_link(offload_gift *gift, unsigned index);

#endif
