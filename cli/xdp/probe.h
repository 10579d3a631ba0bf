/* SPDX-License-Identifier: Apache-2.0 */
/* Whether native XDP can do its work on interfaces: tried, with a packet. */
#ifndef XDP_PROBE_H
#define XDP_PROBE_H

#include "attach.h"

/* Whether |name| is a veth. What XDP sends by one is lost unless there is an XDP program at its other end, of which nothing is to be seen from this
 * one. With GRO there it takes what is redirected, but not what XDP_TX sends back (Linux 6.18). */
bool xdp_is_veth(const char *name);

/* Tries native XDP on |count| |interfaces| with the first packet that comes by each, for a second at most, and leaves the program of |object|
 * attached to all of them. Returns true; or false, attached to none, with what is against it in |why|. */
bool xdp_probe(xdp_interface *interfaces, size_t count, const xdp_object *object, char *why, size_t cap);

#endif
