/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host is the relay's own, as it comes to be known while the engine runs: addresses, ports, families. */
#include "recheck.h"
#include "shared.h"

int fzr_engine_set_own_addrs(fzr_engine *e, const fzr_addr *addrs, size_t count)
{
  if (!e || (!addrs && count))
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_addr_set set = {0};
  const int error = fzri_addr_set_add(&set, &e->mem, addrs, count);
  if (error)
    return error;
  /* One that has left is in no hurry: a channel's next refresh sees that. */
  const bool news = !fzri_addr_set_within(&set, &e->policy.host);
  fzri_addr_set_free(&e->policy.host, &e->mem);
  e->policy.host = set;
  if (news)
    fzri_recheck_start(e, false);
  return 0;
}

int fzr_engine_add_own_addrs(fzr_engine *e, const fzr_addr *addrs, size_t count)
{
  if (!e || (!addrs && count))
    return FZR_ERR_INVALID_ARGUMENT;
  const uint32_t before = e->policy.host.count;
  const int error = fzri_addr_set_add(&e->policy.host, &e->mem, addrs, count);
  if (e->policy.host.count != before)
    fzri_recheck_start(e, false);
  return error;
}

int fzr_engine_add_listen_port(fzr_engine *e, uint16_t port)
{
  if (!e || !port)
    return FZR_ERR_INVALID_ARGUMENT;
  const int added = fzri_peer_policy_add_port(&e->policy, port);
  if (added < 0)
    return added;
  if (added)
    fzri_recheck_start(e, false);
  return 0;
}

int fzr_engine_set_offered(fzr_engine *e, enum fzr_family family, bool offered)
{
  const uint8_t bit = fzri_family_bit((uint8_t)family);
  if (!e || !bit)
    return FZR_ERR_INVALID_ARGUMENT;
  if (offered && e->public_addr[fzri_family_slot((uint8_t)family)].family)
    e->families |= bit;
  else
    e->families &= (uint8_t)~bit;
  return 0;
}

bool fzr_engine_public_addr(const fzr_engine *e, enum fzr_family family, fzr_addr *out)
{
  if (!e || !out || !fzri_family_bit((uint8_t)family))
    return false;
  const fzr_addr *addr = &e->public_addr[fzri_family_slot((uint8_t)family)];
  if (addr->family == FZR_FAMILY_NONE)
    return false;
  *out = *addr;
  return true;
}

bool fzr_engine_port_is_live(const fzr_engine *e, uint16_t port, enum fzr_family family)
{
  return e && fzri_family_bit((uint8_t)family) && fzri_shared_is_live(e->shared, port, (uint8_t)family);
}
