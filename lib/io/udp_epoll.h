/* SPDX-License-Identifier: Apache-2.0 */
/* Watching the adapter's descriptors where the host does not: what its callbacks would do. */
#ifndef FZRI_UDP_EPOLL_H
#define FZRI_UDP_EPOLL_H

#include "firezone_relay/udp.h"

typedef struct fzri_epoll {
  int fd;                /* of epoll; -1: the host watches */
  fzr_time wallclock_at; /* when the engine is to be told the Unix time again */
} fzri_epoll;

/* Has the adapter watch its sockets itself. Returns 0, or FZR_ERR_IO_NO_SOCKET or FZR_ERR_IO with errno. */
int fzri_epoll_open(fzr_udp *udp);
/* Tells the engine, which is there, the Unix time, if that is due at |now|. */
void fzri_epoll_tell_wallclock(fzr_udp *udp, fzr_time now);
void fzri_epoll_close(fzr_udp *udp);

#endif
