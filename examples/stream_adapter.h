/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter for clients on streams: TCP, or what a TLS library makes of it. It stands beside the one for UDP on one driver, and is
 * written against the public API alone. two_adapters.c shows both. */
#ifndef STREAM_ADAPTER_H
#define STREAM_ADAPTER_H

#include <firezone_relay/firezone_relay.h>

#include <poll.h>

typedef struct stream_adapter stream_adapter;

/* Makes an adapter and adds it to |driver|, for the transport that |listen| names: the address which clients connect to. Both stay the
 * caller's. Returns NULL and an FZR_ERR_… in *|error| if that can't be. */
stream_adapter *stream_adapter_new(fzr_driver *driver, const fzr_addr *listen, int *error);
/* Leaves the driver, which still lives, and closes all connections; their allocations end. */
void stream_adapter_free(stream_adapter *a, fzr_time now);
/* Takes over |fd|, a connection of the client at |from| that does not block. Returns 0, or -1 if there are too many, or no memory; |fd|
 * stays the caller's then. */
int stream_adapter_add(stream_adapter *a, int fd, const fzr_addr *from);
/* Writes to |fds| what to poll for. Returns how many those are, |max| at most. */
size_t stream_adapter_poll_fds(const stream_adapter *a, struct pollfd *fds, size_t max);
/* Does what is to do where poll has found the |n| |fds| ready: reads, relays, writes. */
void stream_adapter_on_ready(stream_adapter *a, const struct pollfd *fds, size_t n, fzr_time now);

#endif
