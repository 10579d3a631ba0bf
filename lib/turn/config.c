/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alternate.h"
#include "shared.h"
#include "state.h"

#include <string.h>

#define DEFAULT_LISTEN_PORT  3478u
#define DEFAULT_LOWEST_PORT  49152u
#define DEFAULT_HIGHEST_PORT 65535u
#define DEFAULT_CHANNELS     1048576u
#define DEFAULT_PERMISSIONS  1024u
#define DEFAULT_RATE         1000u
#define DEFAULT_ANSWERS      256u
#define MAX_ANSWERS          65536u

void fzri_config_fill_in(fzr_config *c)
{
  if (!c->listen_port)
    c->listen_port = DEFAULT_LISTEN_PORT;
  if (!c->lowest_port)
    c->lowest_port = DEFAULT_LOWEST_PORT;
  if (!c->highest_port)
    c->highest_port = DEFAULT_HIGHEST_PORT;
  if (!c->realm)
    c->realm = "firezone";
  if (!c->max_channels)
    c->max_channels = DEFAULT_CHANNELS;
  if (!c->max_channels_per_allocation)
    c->max_channels_per_allocation = FZR_CHANNEL_MAX - FZR_CHANNEL_MIN + 1;
  if (!c->max_permissions_per_allocation)
    c->max_permissions_per_allocation = DEFAULT_PERMISSIONS;
  if (!c->unauthenticated_rate)
    c->unauthenticated_rate = DEFAULT_RATE;
  if (!c->unauthenticated_burst)
    c->unauthenticated_burst =
        c->unauthenticated_rate < UINT32_MAX / 2 ? 2 * c->unauthenticated_rate : UINT32_MAX;
  if (!c->answer_ring)
    c->answer_ring = DEFAULT_ANSWERS;
}

static int check_addresses(const fzr_config *c)
{
  const bool v4 = c->public_ip4.family != FZR_FAMILY_NONE, v6 = c->public_ip6.family != FZR_FAMILY_NONE;
  if (!v4 && !v6)
    return FZR_ERR_CONFIG_ADDRESS;
  if ((v4 && c->public_ip4.family != FZR_FAMILY_IPV4) || (v6 && c->public_ip6.family != FZR_FAMILY_IPV6))
    return FZR_ERR_CONFIG_ADDRESS;
  return 0;
}

int fzri_config_check(const fzr_config *c)
{
  if (!c->random)
    return FZR_ERR_INVALID_ARGUMENT;
  if (c->lowest_port > c->highest_port)
    return FZR_ERR_CONFIG_PORTS;
  if (c->shared && !fzri_shared_covers(c->shared, c->lowest_port, c->highest_port))
    return FZR_ERR_CONFIG_PORTS;
  if (c->answer_ring & (c->answer_ring - 1) || c->answer_ring > MAX_ANSWERS)
    return FZR_ERR_CONFIG_LIMIT;
  if (c->replace_allocations > FZR_REPLACE_ALWAYS || c->relay_mode > FZR_RELAY_CHANNELS)
    return FZR_ERR_CONFIG_LIMIT;
  if (c->software && strlen(c->software) >= FZRI_SOFTWARE_MAX + 1)
    return FZR_ERR_CONFIG_LIMIT;
  const int error = fzri_alternate_check(c);
  return error ? error : check_addresses(c);
}
