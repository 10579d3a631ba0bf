/* SPDX-License-Identifier: Apache-2.0 */
#include "channels.h"

#include "entry.h"
#include "firezone_relay/offload.h"
#include "inherit.h"
#include "net/source.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

const char *xdp_left_name(unsigned reason)
{
  static const char *const names[XDP_LEFT_REASONS] = {
      [XDP_LEFT_OWN_ADDRESS] = "own_address",
      [XDP_LEFT_LINK_LOCAL] = "link_local",
      [XDP_LEFT_NO_SOURCE] = "no_source",
      [XDP_LEFT_FULL] = "map_full",
      [XDP_LEFT_TAKEN] = "taken",
      [XDP_LEFT_ERROR] = "error",
  };
  return reason < XDP_LEFT_REASONS ? names[reason] : "other";
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
  while (n && !bytes[n - 1])
    n--;
  return n == 0;
}

static bool is_link_local(const fzr_addr *addr)
{
  return addr->family == FZR_FAMILY_IPV6 && addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

/* Where packets to |peer| leave from, and come to. */
static bool find_source(const xdp_channels *c, const fzr_addr *peer, const fzr_addr *local, uint8_t ip[16])
{
  const fzr_addr *own = peer->family == FZR_FAMILY_IPV4 ? &c->own_ip4 : &c->own_ip6;
  fzr_addr source;
  if (local && !is_zero(local->ip, sizeof local->ip))
    own = local;
  if (!own->family && !source_towards(peer, &source, NULL))
    return false;
  memcpy(ip, own->family ? own->ip : source.ip, 16);
  return true;
}

static bool is_loopback(const fzr_addr *addr)
{
  static const uint8_t loopback6[16] = {[15] = 1};
  return addr->family == FZR_FAMILY_IPV4 ? addr->ip[0] == 127 : !memcmp(addr->ip, loopback6, 16);
}

/* Whether |addr| is this host's: what is sent to an own address comes from that one. Such packets have to stay on the host, where the
 * program, which may send them to a router, can't put them. *|mtu| gets that of the way to it. */
static bool is_on_this_host(const fzr_addr *addr, unsigned *mtu)
{
  fzr_addr source;
  return is_loopback(addr) ||
         (source_towards(addr, &source, mtu) && !memcmp(source.ip, addr->ip, sizeof source.ip));
}

static int map_of(const xdp_object *o, const xdp_entry *e, bool from_client)
{
  if (e->family == FZR_FAMILY_IPV4)
    return from_client ? o->clients4 : o->peers4;
  return from_client ? o->clients6 : o->peers6;
}

/* Removes |e| unless its key is another channel's. Returns whether it was there. */
static bool remove_entry(const xdp_object *o, const xdp_entry *e, bool from_client)
{
  const int map = map_of(o, e, from_client);
  xdp_entry found = {.family = e->family};
  return !bpf_map_lookup_elem(map, &e->value, &found.value) && xdp_entry_same_channel(e, &found) &&
         !bpf_map_delete_elem(map, &e->value);
}

static enum xdp_left reason_of(int error)
{
  if (error == -E2BIG || error == -ENOMEM)
    return XDP_LEFT_FULL;
  return error == -EEXIST ? XDP_LEFT_TAKEN : XDP_LEFT_ERROR;
}

/* From the peer first: a client that has been told of its channel finds it whole. A key that is there stays whose it is. Returns 0 or
 * a negative errno. */
static int insert(const xdp_object *o, const xdp_entry *client, const xdp_entry *peer)
{
  int error = bpf_map_update_elem(map_of(o, peer, false), &peer->value, &peer->value, BPF_NOEXIST);
  if (error)
    return error;
  error = bpf_map_update_elem(map_of(o, client, true), &client->value, &client->value, BPF_NOEXIST);
  if (error)
    bpf_map_delete_elem(map_of(o, peer, false), &peer->value);
  return error;
}

static bool leave(xdp_channels *c, enum xdp_left reason)
{
  atomic_fetch_add_explicit(&c->left[reason], 1, memory_order_relaxed);
  return false;
}

/* Whether |e| is there already, with which way out does not matter. */
static bool is_there(const xdp_object *o, const xdp_entry *e, bool from_client)
{
  xdp_entry found = {.family = e->family};
  return !bpf_map_lookup_elem(map_of(o, e, from_client), &e->value, &found.value) &&
         xdp_entry_same_channel(e, &found);
}

static bool is_both(const xdp_object *o, const xdp_entry *client, const xdp_entry *peer)
{
  return is_there(o, client, true) && is_there(o, peer, false);
}

/* What another process has put there goes on as it was: no route is asked for. */
static bool was_inherited(xdp_channels *c, const fzr_offload_channel *channel)
{
  static const uint8_t any[16];
  xdp_entry client, peer;
  if (!atomic_load(&c->inherits))
    return false;
  xdp_entry_from_client(channel, any, 0, &client);
  xdp_entry_from_peer(channel, any, 0, &peer);
  xdp_inherit_note(c, &client, &peer);
  return is_both(c->object, &client, &peer);
}

/* Returns whether the kernel has it. */
static bool bound(xdp_channels *c, const fzr_event *event, const fzr_offload_channel *channel,
                  const fzr_addr *local)
{
  xdp_entry client, peer;
  uint8_t own_ip[16];
  unsigned to_client = FZX_PATH_ANY, to_peer = FZX_PATH_ANY;
  if (was_inherited(c, channel))
    return true;
  if (is_link_local(&event->client) || is_link_local(&event->peer) || is_link_local(&event->local)) {
    return leave(c, XDP_LEFT_LINK_LOCAL);
  }
  if (is_on_this_host(&event->client, &to_client) || is_on_this_host(&event->peer, &to_peer)) {
    return leave(c, XDP_LEFT_OWN_ADDRESS);
  }
  if (is_zero(channel->listen_ip, 16) || !find_source(c, &event->peer, local, own_ip)) {
    return leave(c, XDP_LEFT_NO_SOURCE);
  }
  xdp_entry_from_client(channel, own_ip, to_peer, &client);
  xdp_entry_from_peer(channel, own_ip, to_client, &peer);
  const int error = insert(c->object, &client, &peer);
  if (error)
    return leave(c, reason_of(error));
  atomic_fetch_add_explicit(&c->in_kernel, 1, memory_order_relaxed);
  return true;
}

/* Returns whether the kernel had it. */
static bool unbound(xdp_channels *c, const fzr_offload_channel *channel)
{
  static const uint8_t any[16];
  xdp_entry client, peer;
  xdp_entry_from_client(channel, any, 0, &client);
  xdp_entry_from_peer(channel, any, 0, &peer);
  const bool was_there = remove_entry(c->object, &client, true);
  remove_entry(c->object, &peer, false);
  if (was_there)
    atomic_fetch_sub_explicit(&c->in_kernel, 1, memory_order_relaxed);
  return was_there;
}

static void take_event(xdp_channels *c, const fzr_event *event, const fzr_addr *local)
{
  fzr_offload_channel channel;
  const int unfit = fzr_offload_from_event(event, &channel);
  const bool goes_on = event->flags & FZR_EVENT_GOES_ON;
  bool in_kernel = false;
  if (goes_on && event->type == FZR_EVENT_CHANNEL_UNBOUND)
    xdp_guard_spare(&c->guard, event, true);
  if (!unfit && event->type == FZR_EVENT_CHANNEL_BOUND)
    in_kernel = bound(c, event, &channel, local);
  else if (!unfit)
    in_kernel = unbound(c, &channel);
  else if (event->type == FZR_EVENT_CHANNEL_BOUND)
    leave(c, XDP_LEFT_OWN_ADDRESS);
  xdp_guard_channel(&c->guard, event, in_kernel);
  if (goes_on && event->type == FZR_EVENT_CHANNEL_BOUND)
    xdp_guard_spare(&c->guard, event, false);
}

void xdp_channels_event(xdp_channels *c, const fzr_event *event, const fzr_addr *local)
{
  if (atomic_load(&c->held))
    return;
  if (!atomic_load(&c->inherits)) {
    take_event(c, event, local);
    return;
  }
  /* Nothing comes or goes while what is left over is looked for. */
  pthread_mutex_lock(&c->lock);
  take_event(c, event, local);
  pthread_mutex_unlock(&c->lock);
}
