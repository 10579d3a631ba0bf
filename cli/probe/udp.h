/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets that are connected to nobody: so an answer from another address is seen, and so are ICMP errors. */
#ifndef PROBE_UDP_H
#define PROBE_UDP_H

#include "machine.h"

typedef void probe_got(void *ctx, const fzr_addr *from, const uint8_t *data, size_t len);
typedef void probe_missed(void *ctx, enum probe_failure why, const char *text);

/* Opens one that sends from where the routes lead to |to| from, which becomes |local|. Returns it, or -1 with the reason in |why| and |text|. */
int probe_udp_open(const fzr_addr *to, fzr_addr *local, enum probe_failure *why, const char **text);

/* What can't be sent is lost. */
void probe_udp_send(int fd, const fzr_addr *to, const uint8_t *data, size_t len);

/* Hands all that there is to |got|, and ICMP errors to |missed|; some dozens at the most. */
void probe_udp_read(int fd, probe_got *got, probe_missed *missed, void *ctx);

#endif
