/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP adapter as a whole. */
#ifndef FZRI_UDP_INTERNAL_H
#define FZRI_UDP_INTERNAL_H

#include "../base/mem.h"
#include "../base/pool.h"
#include "udp_adopt.h"
#include "udp_addrs.h"
#include "udp_common.h"
#include "udp_epoll.h"
#include "udp_errors.h"
#include "udp_lanes.h"
#include "udp_queue.h"
#include "udp_recv.h"
#include "udp_send.h"

/* How far the counters were before what came last. */
typedef struct fzri_turn {
  uint64_t sent, send_calls, receive_calls;
} fzri_turn;

struct fzr_udp {
  _Alignas(FZRI_CACHE_LINE) fzri_mem mem; /* no line is shared with another thread's adapter */
  fzr_udp_config config;
  fzr_udp_stats stats;
  fzr_driver *driver;     /* NULL: not attached */
  fzr_driver *own_driver; /* the same, where the adapter made it */
  fzr_engine *engine;
  fzr_time now; /* of the turn, or of what another adapter relays */
  fzri_turn turn;
  uint16_t port;
  bool halted;            /* nothing is read: fzr_udp_pause */
  bool adopted;           /* sockets are as another adapter has left them */
  uint32_t *inherited[2]; /* by family, by port: of sockets of allocations that another adapter had, one more
                             than their index; NULL: none */
  uint64_t serials;       /* sockets that were opened */
  fzri_pool sockets;
  fzri_socket *listen[2]; /* by family: 0 IPv4, 1 IPv6 */
  fzri_lanes lanes[2];    /* likewise */
  fzri_common common;
  fzri_trouble trouble;
  fzri_waiting waiting;
  fzri_rearm rearm;
  fzri_epoll epoll;
  fzri_addrs addrs;
  fzri_gso gso;
  fzri_errors errors;
  fzri_receiving recv;
  fzri_sending send;
  void (*channel_hook)(void *ctx, const fzr_event *event);
  void *channel_hook_ctx;
};

/* By which socket a datagram leaves for |to|, a client or stranger; NULL if the family is not in use. */
static inline fzri_socket *fzri_lane(const fzr_udp *udp, const fzr_addr *to, bool to_stranger)
{
  return udp->trouble.on ? fzri_lane_in_trouble(udp, to, to_stranger)
                         : udp->lanes[to->family == FZR_FAMILY_IPV6].sender;
}

#endif
