/* SPDX-License-Identifier: Apache-2.0 */
/* An IO adapter without sockets: relays and hosts in memory, links between them that lose, delay, reorder and repeat datagrams, and
 * a clock that jumps from one thing that happens to the next. Written against the public API alone; simulate.c shows it, and this
 * project's own tests run hours of a relay's life on it. */
#ifndef MEMORY_NET_H
#define MEMORY_NET_H

#include <firezone_relay/firezone_relay.h>

typedef struct memory_net memory_net;
typedef struct memory_relay memory_relay;

/* What every datagram passes. Delays are drawn evenly from delay to delay + jitter, so jitter reorders. */
typedef struct memory_link {
  fzr_time delay;
  fzr_time jitter;
  unsigned loss;   /* per mille */
  unsigned repeat; /* per mille: comes twice */
} memory_link;

/* A host gets a datagram. It may send, and set timers. */
typedef void (*memory_receive_fn)(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data,
                                  size_t len);
/* Sees what the link does: `lost` datagrams, and those that nobody has an address for. */
typedef void (*memory_tap_fn)(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data,
                              size_t len);
typedef void (*memory_timer_fn)(void *ctx);

/* Makes a net at time |now|; all its chance comes from |seed|. Returns NULL if there is no memory. */
memory_net *memory_net_new(uint64_t seed, fzr_time now);
/* Frees it and its relays' adapters; the engines stay the caller's. */
void memory_net_free(memory_net *net);
void memory_net_set_link(memory_net *net, const memory_link *link);
void memory_net_set_tap(memory_net *net, memory_tap_fn lost, void *ctx);
/* From now on datagrams that nobody has an address for go to |nobody|, with the tap's ctx, and not to the tap. */
void memory_net_set_nobody(memory_net *net, memory_tap_fn nobody);
fzr_time memory_net_now(const memory_net *net);
/* How many datagrams overtook one that was sent before them. */
uint64_t memory_net_reordered(const memory_net *net);

/* Whoever sends to |addr| reaches |receive|. Returns 0, or -1 if there is no memory. */
int memory_net_add_host(memory_net *net, const fzr_addr *addr, memory_receive_fn receive, void *ctx);

/* Gives |engine| sockets in |net|: |listen4| and |listen6| (family NONE: none) are where clients reach it, and its allocations'
 * ports are opened on |public4| and |public6|. |mem| as in fzr_config. Returns NULL with *|error| set if that fails. */
memory_relay *memory_net_add_relay(memory_net *net, fzr_engine *engine, const fzr_addr *listen4,
                                   const fzr_addr *listen6, const fzr_addr *public4, const fzr_addr *public6,
                                   const fzr_mem *mem, int *error);
/* Takes |relay| and its sockets out of the net, as when its process is killed, and frees its adapter. Its engine stays the caller's. */
void memory_net_remove_relay(memory_net *net, memory_relay *relay);
/* From now on, opening a port takes |delay| (0: is done at once), and every |taken_every|-th one belongs to somebody else (0:
 * none). */
void memory_relay_set_ports(memory_relay *relay, fzr_time delay, unsigned taken_every);
/* Sockets that are open now. */
unsigned memory_relay_open_ports(const memory_relay *relay);

/* Puts a datagram on its way. Returns 0, or -1 if there is no memory. */
int memory_net_send(memory_net *net, const fzr_addr *from, const fzr_addr *to, const uint8_t *data,
                    size_t len);
/* Calls |fn| in |in|. Returns 0, or -1 if there is no memory. */
int memory_net_timer(memory_net *net, fzr_time in, memory_timer_fn fn, void *ctx);
/* Lets |by| pass: everything that is due on the way happens, in order. */
void memory_net_run(memory_net *net, fzr_time by);

#endif
