/* SPDX-License-Identifier: Apache-2.0 */
#include "offloads.h"

#include "privileges.h"
#include "xdp/xdp.h"

#include <stddef.h>
#include <string.h>

/* A kind, and where its settings are among the options. */
static const struct {
  const offload_kind *kind;
  size_t settings;
} rows[] = {
    {&xdp_offload, offsetof(options, xdp)},
};
#define ROWS (sizeof rows / sizeof *rows)
_Static_assert(ROWS <= OFFLOADS_MAX, "OFFLOADS_MAX has to grow");

void offloads_open(offloads *all, const options *o, const offload_relay *relay, offload_gift *gift)
{
  all->wanted = o->one_socket; /* it takes the same privileges, and is open by now */
  for (size_t i = 0; i < ROWS; i++) {
    const offload_kind *kind = rows[i].kind;
    const void *settings = (const char *)o + rows[i].settings;
    if (!kind->is_wanted(settings))
      continue;
    all->wanted = true;
    void *it = kind->open(relay, settings, gift);
    if (!it)
      continue;
    all->each[all->count].kind = kind;
    all->each[all->count++].it = it;
  }
  offloads_step_back(all);
}

void offloads_step_back(const offloads *all)
{
  if (all->wanted)
    privileges_drop();
}

void offloads_channel(const offloads *all, const fzr_event *event, const fzr_addr *local)
{
  for (size_t i = 0; i < all->count; i++)
    all->each[i].kind->channel(all->each[i].it, event, local);
}

void offloads_listed(const offloads *all)
{
  for (size_t i = 0; i < all->count; i++)
    all->each[i].kind->listed(all->each[i].it);
}

void offloads_hold(const offloads *all, bool held)
{
  for (size_t i = 0; i < all->count; i++)
    all->each[i].kind->hold(all->each[i].it, held);
}

void offloads_settle(const offloads *all, bool told_all)
{
  for (size_t i = 0; i < all->count; i++)
    all->each[i].kind->settle(all->each[i].it, told_all);
}

bool offloads_give(const offloads *all, offload_gift *gift)
{
  memset(gift, 0, sizeof *gift);
  for (size_t i = 0; i < all->count && !gift->count; i++)
    all->each[i].kind->give(all->each[i].it, gift);
  return gift->count > 0;
}

size_t offloads_read(const offloads *all, offload_stats out[OFFLOADS_MAX])
{
  for (size_t i = 0; i < all->count; i++) {
    memset(&out[i], 0, sizeof out[i]);
    out[i].name = all->each[i].kind->name;
    all->each[i].kind->read(all->each[i].it, &out[i]);
  }
  return all->count;
}

void offloads_close(offloads *all)
{
  while (all->count > 0) {
    all->count--;
    all->each[all->count].kind->close(all->each[all->count].it);
  }
}
