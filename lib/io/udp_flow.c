/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_flow.h"

void fzri_flow_pause(fzr_udp *udp, fzri_socket *source)
{
  fzri_socket *sender = source->feed.sender;
  if (source->paused)
    return;
  source->paused = true;
  source->feed.next = sender->feed.paused;
  sender->feed.paused = source;
  fzri_socket_watch(udp, source);
}

void fzri_flow_feeds(fzr_udp *udp, fzri_socket *source, fzri_socket *sender)
{
  source->feed.sender = sender;
  fzri_flow_blocked(udp, source);
}

void fzri_flow_resume(fzr_udp *udp, fzri_socket *sender)
{
  fzri_socket *source = sender->feed.paused;
  sender->feed.paused = NULL;
  while (source) {
    fzri_socket *next = source->feed.next;
    source->feed.next = NULL;
    source->paused = false;
    fzri_socket_watch(udp, source);
    source = next;
  }
}

void fzri_flow_move(fzri_socket *from, fzri_socket *to)
{
  while (from->feed.paused) {
    fzri_socket *source = from->feed.paused;
    from->feed.paused = source->feed.next;
    source->feed.next = to->feed.paused;
    source->feed.sender = to;
    to->feed.paused = source;
  }
}

void fzri_flow_leave(const fzri_socket *source)
{
  if (!source->paused || !source->feed.sender)
    return;
  fzri_socket **at = &source->feed.sender->feed.paused;
  while (*at && *at != source)
    at = &(*at)->feed.next;
  if (*at)
    *at = source->feed.next;
}
