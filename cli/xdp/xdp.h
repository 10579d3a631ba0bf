/* SPDX-License-Identifier: Apache-2.0 */
/* The in-kernel data path: loads the BPF program, attaches it to interfaces, and tells it of channels. Whatever goes wrong, the
 * relay goes on in user space, which sees every packet that the program leaves alone. */
#ifndef XDP_XDP_H
#define XDP_XDP_H

#include "firezone_relay/firezone_relay.h"
#include "telemetry/metrics.h"

typedef struct xdp xdp;

enum xdp_mode {
  XDP_MODE_OFF = 0,
  XDP_MODE_AUTO,   /* native, and quietly nothing where the driver has none */
  XDP_MODE_NATIVE, /* in the driver */
  XDP_MODE_GENERIC /* in the network stack: any driver, but slower, and GRO is off for all packets of the interface */
};

typedef struct xdp_config {
  enum xdp_mode mode;
  bool swap; /* answer to the router a packet came from, without asking the routing table */
  const char *const *interfaces;
  size_t interface_count;
  uint16_t listen_port, lowest_port, highest_port;
  bool ip4, ip6;          /* families that the relay offers */
  bool bandwidth_limited; /* which the kernel can't keep to: everything stays in user space */
  fzr_addr own_ip4,
      own_ip6; /* where packets leave from, of sockets that are bound to no address; family NONE: as the routing table says */
  uint32_t entries; /* channels that there is room for */
} xdp_config;

/* Loads and attaches. Returns NULL if that failed for all interfaces; what failed, and what would help, is in the log. The privileges
 * that this takes are given up by the calling thread, and so by those that it starts. */
xdp *xdp_open(const xdp_config *config);

/* Detaches; channels go on in user space. NULL is fine. No other thread may use |x| any more. */
void xdp_close(xdp *x);

/* Takes up a channel, or forgets it: |event| is FZR_EVENT_CHANNEL_BOUND or _UNBOUND, |local| the address that the allocation's socket is
 * bound to. Any thread, but each channel's events from one thread. NULL is fine for |x|. */
void xdp_on_channel(xdp *x, const fzr_event *event, const fzr_addr *local);

/* Reads the counters, all 0 if |x| is NULL; and says it in the log, once, when an interface has gone away. */
void xdp_read(xdp *x, metrics_xdp *out);

#endif
