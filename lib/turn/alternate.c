/* SPDX-License-Identifier: Apache-2.0 */
#include "alternate.h"

#include "allocation.h"
#include "config.h"
#include "shared.h"

static bool is_fine(const fzr_addr *addr, uint8_t family)
{
  return addr->family == FZR_FAMILY_NONE || (addr->family == family && addr->port);
}

int fzri_alternate_check(const fzr_config *c)
{
  return is_fine(&c->alternate_ip4, FZR_FAMILY_IPV4) && is_fine(&c->alternate_ip6, FZR_FAMILY_IPV6)
             ? 0
             : FZR_ERR_CONFIG_ADDRESS;
}

void fzri_alternate_set(fzr_engine *e, const fzr_config *c)
{
  e->alternate[0] = c->alternate_ip4;
  e->alternate[1] = c->alternate_ip6;
  e->alternate_over = c->alternate_over;
}

const fzr_addr *fzri_alternate_for(const fzr_engine *e, const fzr_addr *from)
{
  const fzr_addr *server = &e->alternate[fzri_family_slot(from->family)];
  return server->family ? server : NULL;
}

bool fzri_alternate_wanted(const fzr_engine *e, const fzri_request *r)
{
  if (r->msg.method != FZR_STUN_ALLOCATE || !fzri_alternate_for(e, r->from))
    return false;
  if (r->allocation && !fzri_allocation_gives_way(e, r->allocation, &r->msg))
    return false;
  return e->draining || (e->alternate_over && fzr_shared_ports_in_use(e->shared) >= e->alternate_over);
}

int fzr_engine_set_alternates(fzr_engine *e, const fzr_config *config)
{
  fzr_config c;
  if (!e || !config)
    return FZR_ERR_INVALID_ARGUMENT;
  memset(&c, 0, sizeof c);
  int error = fzri_config_copy(&c, sizeof c, config, sizeof c.size);
  if (!error)
    error = fzri_alternate_check(&c);
  if (!error)
    fzri_alternate_set(e, &c);
  return error;
}
