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
#ifndef IP_ORIGDSTADDR
#define IP_ORIGDSTADDR 20
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

/* Appends a control message with |len| bytes of |data| behind the first |used| bytes. Returns how many are used now. No more than these are
 * written: the kernel reads no others. */
static inline size_t append(fzri_control *control, size_t used, int level, int type, const void *data,
                            size_t len)
{
  struct cmsghdr *c = (struct cmsghdr *)(void *)(control->bytes + used);
  memset(c, 0, CMSG_SPACE(len));
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(len);
  memcpy(CMSG_DATA(c), data, len);
  return used + CMSG_SPACE(len);
}

void fzri_msg_control(struct msghdr *msg, const fzr_addr *to, const fzr_addr *from, uint16_t seg_len,
                      fzri_control *control)
{
  size_t used = 0;
  if (seg_len)
    used = append(control, used, IPPROTO_UDP, UDP_SEGMENT, &seg_len, sizeof seg_len);
  if (from && to->family == FZR_FAMILY_IPV4) {
    struct in_pktinfo info = {0};
    memcpy(&info.ipi_spec_dst, from->ip, 4);
    used = append(control, used, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  } else if (from) {
    struct in6_pktinfo info = {.ipi6_ifindex = from->scope_id};
    memcpy(&info.ipi6_addr, from->ip, 16);
    used = append(control, used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  }
  msg->msg_control = control;
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
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) {
      struct sockaddr_in to;
      memcpy(&to, CMSG_DATA(c), sizeof to);
      pkt->to.port = ntohs(to.sin_port);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR) {
      struct sockaddr_in6 to;
      memcpy(&to, CMSG_DATA(c), sizeof to);
      pkt->to.port = ntohs(to.sin6_port);
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
