/* SPDX-License-Identifier: Apache-2.0 */
/* All data paths in the kernel that this build has. */
#ifndef RELAY_OFFLOADS_H
#define RELAY_OFFLOADS_H

#include "common/offload.h"
#include "options.h"

/* Those that are at work. */
typedef struct offloads {
  struct {
    const offload_kind *kind;
    void *it;
  } each[OFFLOADS_MAX];
  size_t count;
  bool wanted; /* one was asked for, or --one-socket, whether there is one or not */
} offloads;

/* Opens what |o| asks for; |all| is empty. The privileges that this takes are given up by the calling thread, and so by those that
 * it starts. Threads that it has started give theirs up themselves. |gift|: of another process, or NULL. */
void offloads_open(offloads *all, const options *o, const offload_relay *relay, offload_gift *gift);

/* See offload_kind. What all of them give is one gift: there is one kind that gives anything. Returns whether there is. */
void offloads_hold(const offloads *all, bool held);
void offloads_settle(const offloads *all, bool told_all);
bool offloads_give(const offloads *all, offload_gift *gift);

/* Gives up, for the calling thread, what opening takes. */
void offloads_step_back(const offloads *all);

/* Tells all of them of a channel, see offload_kind. */
void offloads_channel(const offloads *all, const fzr_event *event, const fzr_addr *local);

/* Tells all of them that a worker has told of all channels that there were. */
void offloads_listed(const offloads *all);

/* Reads what they count. Returns how many of |out| were written. */
size_t offloads_read(const offloads *all, offload_stats out[OFFLOADS_MAX]);

void offloads_close(offloads *all);

#endif
