/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include <bpf/bpf.h>

#define OWN_MAX 256u /* entries of the map */

void xdp_guard_init(xdp_guard *g, const xdp_object *object, unsigned workers)
{
  g->object = object;
  g->unlisted = workers;
  pthread_mutex_init(&g->lock, NULL);
}

void xdp_guard_free(xdp_guard *g)
{
  pthread_mutex_destroy(&g->lock);
}

/* ---- whose packets are expected ---- */

/* Counts one more, or one less, client with channels of the key |key| in |map|. */
static void count_client(xdp_guard *g, int map, const void *key, bool more)
{
  uint32_t count = 0;
  const bool known = !bpf_map_lookup_elem(map, key, &count);
  count += more ? 1 : known ? UINT32_MAX : 0; /* one less */
  if (count && bpf_map_update_elem(map, key, &count, BPF_ANY))
    g->unknown = true;
  else if (!count && known)
    bpf_map_delete_elem(map, key);
}

static void note_client(xdp_guard *g, const fzr_addr *client, bool more)
{
  if (client->family == FZR_FAMILY_IPV4) {
    struct fzx_key4 key = {.port = htons(client->port)};
    memcpy(&key.ip, client->ip, sizeof key.ip);
    count_client(g, g->object->known4, &key, more);
  } else {
    struct fzx_key6 key = {.port = htons(client->port)};
    memcpy(key.ip, client->ip, sizeof key.ip);
    count_client(g, g->object->known6, &key, more);
  }
}

static void note_port(const xdp_guard *g, const fzr_event *event, bool in_kernel, bool more)
{
  const uint32_t index = event->port;
  const unsigned slot = event->family == FZR_FAMILY_IPV6;
  struct fzx_port port;
  if (bpf_map_lookup_elem(g->object->ports, &index, &port))
    return;
  __u16 *count = in_kernel ? &port.in_kernel[slot] : &port.left[slot];
  if (more ? *count == UINT16_MAX : !*count)
    return;
  *count = (__u16)(more ? *count + 1 : *count - 1);
  bpf_map_update_elem(g->object->ports, &index, &port, BPF_ANY);
}

/* ---- where they are sent to ---- */

static size_t add_address(struct fzx_address list[OWN_MAX], size_t n, const void *ip, size_t len)
{
  if (n == OWN_MAX)
    return n;
  memset(&list[n], 0, sizeof list[n]);
  memcpy(&list[n], ip, len);
  return n + 1;
}

/* Whether sockets of family |i| hear what is sent to any address of the host. */
static bool hears_all(const xdp_guard *g, unsigned i)
{
  return !g->idle[i] && !g->bound[i].family;
}

/* Those of the host, of families whose sockets are bound to no address. */
static size_t read_host(const xdp_guard *g, struct fzx_address list[OWN_MAX], size_t n)
{
  struct ifaddrs *all = NULL;
  if ((!hears_all(g, 0) && !hears_all(g, 1)) || getifaddrs(&all))
    return n;
  for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
    if (!a->ifa_addr)
      continue;
    if (a->ifa_addr->sa_family == AF_INET && hears_all(g, 0))
      n = add_address(list, n, &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr, 4);
    if (a->ifa_addr->sa_family == AF_INET6 && hears_all(g, 1))
      n = add_address(list, n, &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr, 16);
  }
  freeifaddrs(all);
  return n;
}

static bool has(const struct fzx_address *list, size_t n, const struct fzx_address *one)
{
  for (size_t i = 0; i < n; i++)
    if (!memcmp(&list[i], one, sizeof *one))
      return true;
  return false;
}

/* Takes those out of the map that are not among the |n| of |list|. */
static void forget_others(const xdp_guard *g, const struct fzx_address *list, size_t n)
{
  struct fzx_address gone[OWN_MAX], next;
  size_t count = 0;
  const struct fzx_address *at = NULL;
  struct fzx_address key;
  while (!bpf_map_get_next_key(g->object->own, at, &next)) {
    if (!has(list, n, &next) && count < OWN_MAX)
      gone[count++] = next;
    key = next;
    at = &key;
  }
  while (count)
    bpf_map_delete_elem(g->object->own, &gone[--count]);
}

/* Nothing is dropped before all that lives is known, and while another process may get more clients than are known here. */
static void set_addresses(const xdp_guard *g)
{
  struct fzx_address list[OWN_MAX] = {0};
  if (!g->on || g->unlisted || g->held)
    return;
  const uint32_t flags = g->unknown ? 0 : FZX_OWN_ALL_CLIENTS;
  size_t n = 0;
  if (g->bound[0].family && !g->idle[0])
    n = add_address(list, n, g->bound[0].ip, 4);
  if (g->bound[1].family && !g->idle[1])
    n = add_address(list, n, g->bound[1].ip, 16);
  n = read_host(g, list, n);
  forget_others(g, list, n);
  for (size_t i = 0; i < n; i++)
    bpf_map_update_elem(g->object->own, &list[i], &flags, BPF_ANY);
}

/* ---- */

void xdp_guard_channel(xdp_guard *g, const fzr_event *event, bool in_kernel)
{
  const bool more = event->type == FZR_EVENT_CHANNEL_BOUND;
  if (!g->on)
    return;
  pthread_mutex_lock(&g->lock);
  const bool unknown = g->unknown;
  if (event->client.transport == FZR_TRANSPORT_UDP)
    note_client(g, &event->client, more);
  if (g->ports)
    note_port(g, event, in_kernel, more);
  if (g->unknown && !unknown)
    set_addresses(g);
  pthread_mutex_unlock(&g->lock);
}

/* It counts as one more channel of the port that user space alone has. */
void xdp_guard_spare(xdp_guard *g, const fzr_event *event, bool spared)
{
  if (!g->on || !g->ports)
    return;
  pthread_mutex_lock(&g->lock);
  note_port(g, event, false, spared);
  pthread_mutex_unlock(&g->lock);
}

void xdp_guard_listed(xdp_guard *g)
{
  pthread_mutex_lock(&g->lock);
  if (g->unlisted && --g->unlisted == 0)
    set_addresses(g);
  pthread_mutex_unlock(&g->lock);
}

void xdp_guard_refresh(xdp_guard *g)
{
  pthread_mutex_lock(&g->lock);
  set_addresses(g);
  pthread_mutex_unlock(&g->lock);
}

void xdp_guard_hold(xdp_guard *g, bool held)
{
  if (!g->on)
    return;
  pthread_mutex_lock(&g->lock);
  g->held = held;
  if (held)
    forget_others(g, NULL, 0);
  set_addresses(g);
  pthread_mutex_unlock(&g->lock);
}
