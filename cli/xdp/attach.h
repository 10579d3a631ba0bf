/* SPDX-License-Identifier: Apache-2.0 */
/* The program on an interface. */
#ifndef XDP_ATTACH_H
#define XDP_ATTACH_H

#include "object.h"

#include <net/if.h>

typedef struct xdp_interface {
  char name[IF_NAMESIZE];
  unsigned index;
  int link;         /* descriptor that keeps the program attached; -1: it is not */
  bool is_former;   /* what is attached is another process's program, of another kind than ours */
  bool is_adopted;  /* likewise, of the same kind */
  bool gone;        /* the interface went away, and that was said */
  bool unrouted[2]; /* IPv4, IPv6: forwarding was off, so no route can be looked up */
} xdp_interface;

/* Attaches |program| to |i->name|, at |hook|. Whoever has a program there keeps it: there is one for XDP, and any number for tcx, of which this
 * one becomes the last. Returns 0, or a negative errno, without a word in the log: -EAFNOSUPPORT if the interface is not Ethernet's, and
 * -EOPNOTSUPP if the kernel has no tcx. */
int xdp_attach(xdp_interface *i, int program, enum xdp_hook hook);
void xdp_detach(xdp_interface *i);

/* Whether the kernel took the program off, because the interface is gone. */
bool xdp_is_detached(const xdp_interface *i);

/* Logs why attaching failed, and what would help. */
void xdp_explain_attach(const xdp_interface *i, int error, enum xdp_hook hook);

/* Logs what keeps the routing table from being used on |i|, if anything, and notes that in |i->unrouted|. */
void xdp_check_forwarding(xdp_interface *i, bool ip4, bool ip6);

#endif
