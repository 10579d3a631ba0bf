/* SPDX-License-Identifier: Apache-2.0 */
/* A worker tells data paths in the kernel of its channels: of those that it was begun with piece by piece, for that takes the kernel's maps some 50 us
 * each, and packets are relayed meanwhile. */
#include "worker_internal.h"

/* Channels in a row, for a millisecond or less. */
#define PIECE 16u

/* |event| is about a channel of the engine's, by number. */
static bool was_listed(const worker *w, const fzr_event *event)
{
  return event->flow / 2 < w->listed;
}

static void tell(const worker *w, const fzr_event *event)
{
  fzr_addr local;
  if (!fzr_udp_port_addr(w->udp, event->io, &local))
    offloads_channel(w->offloads, event, &local);
}

/* One that has yet to be listed is told of then, if it is still there. */
static void on_channel(void *ctx, const fzr_event *event)
{
  if (was_listed(ctx, event))
    tell(ctx, event);
}

static void end(worker *w)
{
  w->listed = UINT32_MAX;
  offloads_listed(w->offloads);
  atomic_store(&w->all_listed, true);
}

static void on_piece(evutil_socket_t fd, short what, void *ctx)
{
  static const struct timeval soon = {0, 0};
  worker *w = ctx;
  fzr_event events[PIECE];
  size_t n;
  (void)fd;
  (void)what;
  /* After what is ready has had its turn. Without memory for that it is all done at once. */
  do {
    n = fzr_engine_list_channels(w->engine, &w->listed, events, PIECE);
    for (size_t i = 0; i < n; i++)
      tell(w, &events[i]);
  } while (n && event_add(w->listing, &soon));
  if (!n)
    end(w);
}

struct event *worker_new_listing(worker *w)
{
  return event_new(w->base, -1, 0, on_piece, w);
}

void worker_list_channels(worker *w)
{
  if (!w->offloads->count) {
    end(w);
    return;
  }
  fzr_udp_set_channel_hook(w->udp, on_channel, w);
  on_piece(-1, 0, w);
}

bool worker_has_listed(const worker *w)
{
  return atomic_load(&w->all_listed);
}
