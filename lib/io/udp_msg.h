/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel is told, and tells, about a message beside its bytes: names and control data. No socket is needed for it. */
#ifndef FZRI_UDP_MSG_H
#define FZRI_UDP_MSG_H

#include "firezone_relay/socket.h"

/* What a message's control data is built in. */
typedef struct fzri_control {
  _Alignas(struct cmsghdr) uint8_t
      bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
} fzri_control;

/* Builds the control data of |msg| in |control|: see fzri_msg_address. */
void fzri_msg_control(struct msghdr *msg, const fzr_addr *to, const fzr_addr *from, uint16_t seg_len,
                      fzri_control *control);
/* Fills |msg|, but for its bytes, for datagrams to |to|: |name|, and in |control| the local address |from| that they leave from (NULL: the
 * socket has but one) and the segments' size |seg_len| (0: it is one datagram). Inline, for most messages are without control data, and a
 * call would cost more than what it does for them. */
static inline void fzri_msg_address(struct msghdr *msg, const fzr_addr *to, const fzr_addr *from,
                                    uint16_t seg_len, fzr_sockaddr *name, fzri_control *control)
{
  *msg = (struct msghdr){.msg_name = name, .msg_namelen = fzr_addr_to_sockaddr(to, name)};
  if (from || seg_len)
    fzri_msg_control(msg, to, from, seg_len, control);
}
/* What the control data of |msg| say of |pkt|, whose `len` is known: the segments' size of a run, and the address or, of the
 * common sockets, the port that it was sent to. */
void fzri_msg_read_control(struct msghdr *msg, fzr_pkt *pkt);

#endif
