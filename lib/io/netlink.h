/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells everybody of its network, in as far as the adapter wants to know it. */
#ifndef FZRI_NETLINK_H
#define FZRI_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A socket that does not wait and belongs to |groups|. Returns it, or -1 with errno. */
int fzri_netlink_open(uint32_t groups);
/* Sends |message|, of the length that it says, to the kernel. Returns whether that could be done; if not, errno says why. */
bool fzri_netlink_put(int fd, const struct nlmsghdr *message);
/* Reads one message or part of a list. Returns its length, 0 if it is not the kernel's, or -1 with errno. */
ssize_t fzri_netlink_take(int fd, void *out, size_t room);

/* The message at *|at|, which |*rest| bytes begin with, or NULL if there is no whole one; steps to behind it. */
const struct nlmsghdr *fzri_netlink_next(const uint8_t **at, size_t *rest);
/* The value of the attribute of |type| among those in |room| bytes, with its length in *|len|; NULL if there is none. */
const void *fzri_netlink_attribute(const void *first, size_t room, uint16_t type, size_t *len);
/* The same of those of |m| behind a header of |skip| bytes. */
const void *fzri_netlink_attribute_of(const struct nlmsghdr *m, size_t skip, uint16_t type, size_t *len);

/* Asks for all objects of a table: |type| is RTM_GET…, |body| of |len| bytes (32 at most) its header. |each| is called with every message
 * of the answer. It waits for nobody: the kernel has the answer ready when the question returns. Returns 0, or -1 with errno when there is
 * no answer, or not all of it. */
int fzri_netlink_list(uint16_t type, const void *body, size_t len,
                      void (*each)(void *ctx, const struct nlmsghdr *message), void *ctx);

#endif
