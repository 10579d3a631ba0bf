/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that an adapter has from another one, mostly of another process. */
#ifndef FZRI_UDP_ADOPT_H
#define FZRI_UDP_ADOPT_H

#include "udp_socket.h"

/* Takes the |n| sockets of |listen| for the listen sockets of |udp|, which has none. Returns 0, or FZR_ERR_INVALID_ARGUMENT,
 * FZR_ERR_CONFIG_ADDRESS, FZR_ERR_NO_MEMORY, FZR_ERR_IO with errno; all stay the caller's then. */
int fzri_adopt_listeners(fzr_udp *udp, const fzr_udp_socket *listen, size_t n);
/* The socket of an allocation that was inherited and that nobody has claimed yet, which is claimed by this; NULL if there is none. */
fzri_socket *fzri_adopt_inherited(const fzr_udp *udp, uint16_t port, uint8_t family);
/* |s| ends: if it was inherited, nothing more comes to its place. */
void fzri_adopt_forget(const fzr_udp *udp, const fzri_socket *s);
/* Forgets which sockets were inherited. */
void fzri_adopt_end(fzr_udp *udp);

#endif
