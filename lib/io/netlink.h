/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells everybody of its network, in as far as the adapter wants to know it. */
#ifndef FZRI_NETLINK_H
#define FZRI_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/* Asks for all objects of a table: |type| is RTM_GET…, |body| of |len| bytes (32 at most) its header. |each| is called with every message
 * of the answer. It waits for nobody: the kernel has the answer ready when the question returns. Returns 0, or -1 with errno when there is
 * no answer, or not all of it. */
int fzri_netlink_list(uint16_t type, const void *body, size_t len,
                      void (*each)(void *ctx, const struct nlmsghdr *message), void *ctx);

#endif
