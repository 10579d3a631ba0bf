/* SPDX-License-Identifier: Apache-2.0 */
/* How far away an address is, and which IPv4 addresses an IPv6 one carries. */
#ifndef FZRI_PEER_SCOPE_H
#define FZRI_PEER_SCOPE_H

#include "firezone_relay/types.h"

/* From the host's own to the whole internet's. FZRI_SCOPE_NONE: nobody can be there. */
enum fzri_scope {
  FZRI_SCOPE_NONE = 0,
  FZRI_SCOPE_LOOPBACK = 1,
  FZRI_SCOPE_LINK_LOCAL = 2,
  FZRI_SCOPE_PRIVATE = 3,
  FZRI_SCOPE_GLOBAL = 4
};

/* The scope of |addr| as it stands, whatever it carries inside. */
enum fzri_scope fzri_scope_of(const fzr_addr *addr);

/* The most addresses that one may carry: two of Teredo, and one of ISATAP behind its prefix. */
#define FZRI_INNER_MAX 3u

/* Writes the IPv4 addresses to which something on the way may turn |addr| to |inner|, with the port of |addr|. Returns how many
 * there are. ::1 and :: are themselves. */
size_t fzri_inner_addresses(const fzr_addr *addr, fzr_addr inner[FZRI_INNER_MAX]);

/* Whether |addr| is an IPv4 address in the form of an IPv6 one, ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
bool fzri_is_mapped(const fzr_addr *addr);

/* Whether the |len| first bits of |ip| are those of |net|. */
bool fzri_in_prefix(const uint8_t *ip, const uint8_t *net, unsigned len);

#endif
