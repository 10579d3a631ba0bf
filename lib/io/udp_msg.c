/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_msg.h"

#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

void fzri_msg_address(struct msghdr *msg, const fzr_addr *to, const fzr_addr *from, uint16_t seg_len,
                      fzr_sockaddr *name, fzri_control *control)
{
  memset(msg, 0, sizeof *msg);
  msg->msg_name = name;
  msg->msg_namelen = fzr_addr_to_sockaddr(to, name);
  if (!from && !seg_len)
    return;
  msg->msg_control = control;
  msg->msg_controllen = sizeof *control;
  memset(control, 0, sizeof *control);
  struct cmsghdr *c = CMSG_FIRSTHDR(msg);
  size_t used = 0;
  if (seg_len) {
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof seg_len);
    memcpy(CMSG_DATA(c), &seg_len, sizeof seg_len);
    used += CMSG_SPACE(sizeof seg_len);
    c = (struct cmsghdr *)(void *)(control->bytes + used);
  }
  if (from && to->family == FZR_FAMILY_IPV4) {
    struct in_pktinfo info = {0};
    memcpy(&info.ipi_spec_dst, from->ip, 4);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    used += CMSG_SPACE(sizeof info);
  } else if (from) {
    struct in6_pktinfo info = {.ipi6_ifindex = from->scope_id};
    memcpy(&info.ipi6_addr, from->ip, 16);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    used += CMSG_SPACE(sizeof info);
  }
  msg->msg_controllen = used;
}

void fzri_msg_read_control(struct msghdr *msg, fzr_pkt *pkt)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(c), sizeof size);
      if (size > 0 && (uint32_t)size < pkt->len)
        pkt->seg = (uint16_t)size;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      memcpy(pkt->to.ip, &info.ipi_addr, 4);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      memcpy(pkt->to.ip, &info.ipi6_addr, 16);
      if (info.ipi6_addr.s6_addr[0] == 0xfe && (info.ipi6_addr.s6_addr[1] & 0xc0) == 0x80)
        pkt->to.scope_id = info.ipi6_ifindex;
    }
  }
}
