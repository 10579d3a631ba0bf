/* SPDX-License-Identifier: Apache-2.0 */
/* Maps that another process has filled: what this one has no channel for goes. */
#include "channels.h"
#include "entry.h"
#include "inherit.h"

#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

typedef struct xdp_told {
  uint8_t family;
  bool from_client;
  uint8_t key[sizeof(struct fzx_key6)]; /* zeros behind it */
} xdp_told;

static size_t key_len(uint8_t family)
{
  return family == FZR_FAMILY_IPV4 ? sizeof(struct fzx_key4) : sizeof(struct fzx_key6);
}

static xdp_told name_of(uint8_t family, bool from_client, const void *key)
{
  xdp_told name;
  memset(&name, 0, sizeof name);
  name.family = family;
  name.from_client = from_client;
  memcpy(name.key, key, key_len(family));
  return name;
}

void xdp_channels_inherit(xdp_channels *c)
{
  atomic_store(&c->held, true);
  atomic_store(&c->inherits, true);
}

/* One that is not noted is taken out of the kernel, and relayed in user space. */
static void note(xdp_channels *c, const xdp_told *name)
{
  if (c->told_count == c->told_room) {
    const size_t room = c->told_room ? 2 * c->told_room : 256;
    xdp_told *told = realloc(c->told, room * sizeof *told);
    if (!told)
      return;
    c->told = told;
    c->told_room = room;
  }
  c->told[c->told_count++] = *name;
}

void xdp_inherit_note(xdp_channels *c, const xdp_entry *client, const xdp_entry *peer)
{
  const xdp_told names[] = {name_of(client->family, true, &client->value),
                            name_of(peer->family, false, &peer->value)};
  note(c, &names[0]);
  note(c, &names[1]);
}

static int compare(const void *a, const void *b)
{
  return memcmp(a, b, sizeof(xdp_told));
}

/* Removes what was not told of, if |all| was. Returns how many are left. */
static uint64_t sweep(const xdp_channels *c, int map, uint8_t family, bool from_client, bool all)
{
  uint8_t key[sizeof(struct fzx_key6)], next[sizeof(struct fzx_key6)];
  uint64_t left = 0;
  int more = bpf_map_get_next_key(map, NULL, next);
  while (!more) {
    memcpy(key, next, sizeof key);
    more = bpf_map_get_next_key(map, key, next); /* before it is removed */
    const xdp_told name = name_of(family, from_client, key);
    if (!all || (c->told_count && bsearch(&name, c->told, c->told_count, sizeof name, compare)))
      left++;
    else
      bpf_map_delete_elem(map, key);
  }
  return left;
}

void xdp_channels_settle(xdp_channels *c, bool all)
{
  const xdp_object *o = c->object;
  if (!atomic_load(&c->inherits))
    return;
  pthread_mutex_lock(&c->lock);
  if (c->told_count)
    qsort(c->told, c->told_count, sizeof *c->told, compare);
  /* Those that have not been told of yet, if any, count, too: they will be told to have ended. */
  const uint64_t left =
      sweep(c, o->clients4, FZR_FAMILY_IPV4, true, all) + sweep(c, o->clients6, FZR_FAMILY_IPV6, true, all);
  if (all) {
    sweep(c, o->peers4, FZR_FAMILY_IPV4, false, all);
    sweep(c, o->peers6, FZR_FAMILY_IPV6, false, all);
  }
  atomic_store(&c->in_kernel, left);
  atomic_store(&c->inherits, false);
  pthread_mutex_unlock(&c->lock);
  xdp_channels_free(c);
}

void xdp_channels_free(xdp_channels *c)
{
  free(c->told);
  c->told = NULL;
  c->told_count = c->told_room = 0;
}
