/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_engine.h"

#include "common/clock.h"
#include "engine_log.h"
#include "usage_log.h"

#include <errno.h>
#include <sys/random.h>

static int system_random(void *ctx, uint8_t *out, size_t len)
{
  (void)ctx;
  while (len) {
    const ssize_t n = getrandom(out, len, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return -1;
    out += n;
    len -= (size_t)n;
  }
  return 0;
}

/* --rng-seed: splitmix64, a different sequence for each worker. */
static int seeded_random(void *ctx, uint8_t *out, size_t len)
{
  uint64_t *seed = ctx;
  for (size_t i = 0; i < len; i++) {
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    out[i] = (uint8_t)(z >> 56);
  }
  return 0;
}

/* A limit of the whole relay is shared out among the workers, rounded up. */
static uint32_t share(uint32_t limit, unsigned count)
{
  return limit ? (limit + count - 1) / count : FZR_UNLIMITED;
}

static enum fzr_auth_kind auth_kind(unsigned schemes)
{
  return schemes & AUTH_STAMP ? FZR_AUTH_STAMP : schemes & AUTH_REST ? FZR_AUTH_REST : FZR_AUTH_STATIC;
}

static const char *second_of(const secret_pair *s)
{
  return *s->second ? s->second : NULL;
}

int worker_engine_new(const worker_config *c, uint16_t listen_port, uint64_t *seed, fzr_engine **out)
{
  const options *o = c->options;
  fzr_config config = fzr_config_init();
  config.random = o->has_seed ? seeded_random : system_random;
  config.random_ctx = seed;
  config.log = engine_log;
  config.log_ctx = c->spans;
  config.log_level = (uint8_t)engine_log_level(c->spans);
  config.public_ip4 = o->public_ip4;
  config.public_ip6 = o->public_ip6;
  config.listen_port = listen_port;
  config.lowest_port = o->lowest_port;
  config.highest_port = o->highest_port;
  config.shared = c->shared;
  config.silent_when_full = o->token != NULL; /* its clients know other relays */
  config.strict_families = o->strict_families;
  config.relay_mode = o->relay_mode == RELAY_MODE_FULL ? FZR_RELAY_FULL : FZR_RELAY_CHANNELS;
  config.auth = auth_kind(o->auth);
  config.realm = o->realm;
  config.allocations_outlive_credentials = o->outlive_credentials;
  config.auth_secret = c->logins->secrets.first;
  config.auth_second_secret = second_of(&c->logins->secrets);
  config.users = c->logins->users.list;
  config.user_count = c->logins->users.count;
  config.peer_rules = o->rules;
  config.peer_rule_count = o->rule_count;
  config.own_ports = c->own_ports;
  config.own_port_count = 2;
  config.replace_allocations = options_replace(o) ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER;
  config.mobility = o->mobility;
  config.max_allocations_per_user = o->max_allocations_per_user;
  config.max_channels_per_allocation = o->max_channels_per_allocation;
  config.max_channels = c->max_channels;
  config.max_permissions_per_allocation = o->max_permissions_per_allocation;
  config.alternate_ip4 = o->alternate_ip4;
  config.alternate_ip6 = o->alternate_ip6;
  config.alternate_over = o->alternate_over;
  config.max_bandwidth_per_allocation = o->max_bandwidth_per_allocation;
  config.keep_user_names = true;
  config.usage = o->usage_log ? usage_log : NULL;
  config.unauthenticated_rate = share(o->unauthenticated_rate, c->count);
  return fzr_engine_new(&config, out, monotonic_now());
}

int worker_engine_take_logins(fzr_engine *engine, unsigned schemes, const logins *l)
{
  int error = 0;
  /* Users first: they can fail for memory, and then the secrets are to stay, too. */
  if (schemes & AUTH_STATIC)
    error = fzr_engine_set_users(engine, l->users.list, l->users.count);
  if (!error && schemes & (AUTH_STAMP | AUTH_REST))
    error = fzr_engine_set_secrets(engine, l->secrets.first, second_of(&l->secrets));
  return error;
}
