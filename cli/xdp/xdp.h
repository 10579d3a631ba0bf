/* SPDX-License-Identifier: Apache-2.0 */
/* The data path by XDP or tcx: a BPF program on interfaces, which is told of channels. */
#ifndef XDP_XDP_H
#define XDP_XDP_H

#include "common/offload.h"

#define XDP_INTERFACES_MAX 8 /* FZX_TARGETS */

enum xdp_mode {
  XDP_MODE_OFF = 0,
  XDP_MODE_AUTO,   /* what of native XDP and tcx works here; else, quietly, nothing */
  XDP_MODE_NATIVE, /* XDP in the driver */
  XDP_MODE_GENERIC, /* XDP in the network stack: any driver, but slower, and GRO is off for all packets of the interface */
  XDP_MODE_TCX /* at the ingress of any interface; runs of packets stay in user space */
};

typedef struct xdp_settings {
  enum xdp_mode mode;
  bool no_guard; /* drop nothing, whatever it is */
  bool swap;     /* answer to the router a packet came from, without asking the routing table */
  const char *interfaces[XDP_INTERFACES_MAX];
  size_t interface_count;
  fzr_addr own_ip4,
      own_ip6; /* where packets leave from, of sockets that are bound to no address; family NONE: as the routing table says */
} xdp_settings;

/* Its settings are xdp_settings. */
extern const offload_kind xdp_offload;

#endif
