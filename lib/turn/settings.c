/* SPDX-License-Identifier: Apache-2.0 */
/* What of the configuration may change while the engine runs. Each function makes what is new first, and then lets go of what was: for
 * want of memory nothing changes. */
#include "config.h"
#include "recheck.h"

#include "../base/crypto.h"

int fzr_engine_set_secrets(fzr_engine *e, const char *secret, const char *second)
{
  if (!e || !secret)
    return FZR_ERR_INVALID_ARGUMENT;
  const int error = fzri_scheme_set_secrets(&e->scheme, secret, second);
  e->limits.proof_tries = fzri_scheme_keys_of_user(&e->scheme);
  return error;
}

int fzr_engine_set_users(fzr_engine *e, const fzr_user *users, size_t count)
{
  if (!e || (!users && count))
    return FZR_ERR_INVALID_ARGUMENT;
  return fzri_scheme_set_users(&e->scheme, users, count);
}

int fzr_engine_set_peer_rules(fzr_engine *e, const fzr_peer_rule *rules, size_t count)
{
  if (!e || (!rules && count))
    return FZR_ERR_INVALID_ARGUMENT;
  const int error = fzri_peer_policy_set_rules(&e->policy, rules, count);
  if (!error)
    fzri_recheck_start(e, true);
  return error;
}

int fzr_engine_set_limits(fzr_engine *e, const fzr_config *config)
{
  fzr_config c;
  fzri_limits limits;
  if (!e || !config)
    return FZR_ERR_INVALID_ARGUMENT;
  memset(&c, 0, sizeof c);
  int error = fzri_config_copy(&c, sizeof c, config, sizeof c.size);
  if (error)
    return error;
  fzri_config_fill_in(&c);
  error = fzri_limits_init(&limits, &e->mem, &c, &e->hash_key);
  if (error)
    return error;
  fzri_limits_free(&e->limits);
  e->limits = limits;
  e->limits.proof_tries = fzri_scheme_keys_of_user(&e->scheme);
  e->max_allocations_per_user = c.max_allocations_per_user;
  e->max_channels = c.max_channels_per_allocation;
  e->max_all_channels = c.max_channels;
  e->max_permissions = c.max_permissions_per_allocation;
  e->bandwidth = c.max_bandwidth_per_allocation;
  return 0;
}
