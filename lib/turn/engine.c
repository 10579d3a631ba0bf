/* SPDX-License-Identifier: Apache-2.0 */
#include "allocation.h"
#include "alternate.h"
#include "answer.h"
#include "channel.h"
#include "config.h"
#include "journal.h"
#include "ticket.h"
#include "tunnel.h"
#include "permission.h"
#include "extra.h"
#include "mobility.h"
#include "name.h"
#include "recheck.h"
#include "replace.h"
#include "reservation.h"

#include "../base/crypto.h"
#include "firezone_relay/firezone_relay.h"

static void set_software(fzr_engine *e, const char *software)
{
  static const char name[] = "firezone-relay/";
  if (software) {
    e->software_len = (uint8_t)strlen(software);
    memcpy(e->software, software, e->software_len + 1u);
    return;
  }
  const char *version = fzr_version();
  size_t len = strlen(version);
  if (len > sizeof e->software - sizeof name)
    len = sizeof e->software - sizeof name;
  memcpy(e->software, name, sizeof name - 1);
  /* A counted text, not a terminated one. NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
  memcpy(e->software + sizeof name - 1, version, len);
  e->software_len = (uint8_t)(sizeof name - 1 + len);
}

static void set_addresses(fzr_engine *e, const fzr_config *c)
{
  e->public_addr[0] = c->public_ip4;
  e->public_addr[1] = c->public_ip6;
  for (unsigned i = 0; i < 2; i++) {
    e->public_addr[i].port = 0;
    e->public_addr[i].transport = 0;
    e->families |= fzri_family_bit(e->public_addr[i].family);
  }
}

/* What takes no memory. */
static void set_plain(fzr_engine *e, const fzr_config *c, fzr_time now)
{
  e->now = e->wall_at = now;
  e->lowest_port = c->lowest_port;
  e->highest_port = c->highest_port;
  e->release_allocation = FZRI_POOL_NONE;
  e->recheck = e->recheck_permission = FZRI_POOL_NONE;
  e->oldest_permission = e->newest_permission = FZRI_POOL_NONE;
  e->full = c->relay_mode == FZR_RELAY_FULL;
  e->any_family = e->full && !c->strict_families;
  e->draining = c->draining;
  e->silent_when_full = c->silent_when_full;
  e->mobility = c->mobility;
  e->policy_fn = c->peer_policy;
  e->policy_ctx = c->peer_policy_ctx;
  e->max_allocations_per_user = c->max_allocations_per_user;
  e->max_channels = c->max_channels_per_allocation;
  e->max_all_channels = c->max_channels;
  e->max_permissions = c->max_permissions_per_allocation;
  e->bandwidth = c->max_bandwidth_per_allocation;
  e->random = c->random;
  e->random_ctx = c->random_ctx;
  e->log = c->log;
  e->log_ctx = c->log_ctx;
  e->log_level = c->log ? c->log_level : FZR_LOG_OFF;
  e->usage = c->usage;
  e->usage_ctx = c->usage_ctx;
  e->keeps_names = c->keep_user_names;
  set_software(e, c->software);
  set_addresses(e, c);
  fzri_alternate_set(e, c);
  fzri_timers_init(&e->allocation_timers, now);
  fzri_timers_init(&e->channel_timers, now);
  fzri_timers_init(&e->reservation_timers, now);
  fzri_pool_init(&e->allocations, &e->mem, sizeof(fzri_allocation));
  fzri_pool_init(&e->origins, &e->mem, sizeof(fzri_origin));
  fzri_pool_init(&e->channels, &e->mem, sizeof(fzri_channel));
  fzri_pool_init(&e->channel_rests, &e->mem, sizeof(fzri_channel_rest));
  fzri_pool_init(&e->permissions, &e->mem, sizeof(fzri_permission));
  fzri_pool_init(&e->pendings, &e->mem, sizeof(fzri_pending));
  fzri_pool_init(&e->extras, &e->mem, sizeof(fzri_extra));
  fzri_names_init(&e->names, &e->mem);
}

static int init_tables(fzr_engine *e, const fzr_config *c)
{
  const size_t ports = (size_t)c->highest_port - c->lowest_port + 1;
  int error = fzri_map_init(&e->clients, &e->mem);
  if (!error)
    error = fzri_map_init(&e->numbers, &e->mem);
  if (!error)
    error = fzri_map_init(&e->peers, &e->mem);
  if (!error)
    error = fzri_map_init(&e->permitted, &e->mem);
  if (error)
    return error;
  e->answer_cap = c->answer_ring;
  e->by_port = fzri_mem_calloc(&e->mem, ports, sizeof *e->by_port);
  e->answers = fzri_mem_zalloc_lines(&e->mem, c->answer_ring * sizeof *e->answers);
  if (!e->by_port || !e->answers)
    return FZR_ERR_NO_MEMORY;
  memset(e->by_port, 0xff, ports * sizeof *e->by_port); /* FZRI_POOL_NONE */
  return 0;
}

static int init_security(fzr_engine *e, const fzr_config *c)
{
  if (e->random(e->random_ctx, (uint8_t *)&e->hash_key, sizeof e->hash_key))
    return FZR_ERR_NO_RANDOM;
  e->hash_start = fzri_sip_start(&e->hash_key);
  e->txid_state = fzri_siphash13(&e->hash_key, "txid_state", 10);
  e->txid_start = (uint32_t)fzri_siphash13(&e->hash_key, "txid_start", 10);
  int error = fzri_nonces_init(&e->nonces, c->random, c->random_ctx);
  if (!error)
    error = fzri_scheme_init(&e->scheme, &e->mem, c);
  if (!error)
    error = fzri_peer_policy_init(&e->policy, &e->mem, c);
  if (!error)
    error = fzri_limits_init(&e->limits, &e->mem, c, &e->hash_key);
  if (error)
    return error;
  e->limits.proof_tries = fzri_scheme_keys_of_user(&e->scheme);
  e->replaces = c->replace_allocations == FZR_REPLACE_DEFAULT ? fzri_scheme_user_is_client(&e->scheme)
                                                              : c->replace_allocations == FZR_REPLACE_ALWAYS;
  return 0;
}

static int init_shared(fzr_engine *e, const fzr_config *c)
{
  int error = 0;
  e->owns_shared = !c->shared;
  e->shared = c->shared;
  if (e->owns_shared)
    error = fzr_shared_new(c->lowest_port, c->highest_port, &e->mem.hooks, &e->shared);
  if (error)
    return error;
  e->told = &e->shared->told;
  error = fzri_shared_user_key(e->shared, e->random, e->random_ctx, &e->user_key);
  if (error)
    return error;
  static const uint8_t tickets[16] = "mobility ticket";
  e->ticket_key = fzri_ticket_key(&e->user_key, tickets);
  e->tunnel_key = fzri_tunnel_key(&e->user_key);
  e->tunnels = c->mobility && !e->owns_shared;
  return e->tunnels ? fzri_shared_make_moved(e->shared) : 0;
}

int fzr_engine_new(const fzr_config *config, fzr_engine **out, fzr_time now)
{
  fzr_config c;
  fzri_mem mem;
  if (!config || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  memset(&c, 0, sizeof c);
  int error = fzri_config_copy(&c, sizeof c, config, sizeof c.size);
  if (!error)
    error = fzri_mem_init(&mem, c.mem);
  if (error)
    return error;
  fzri_config_fill_in(&c);
  error = fzri_config_check(&c);
  if (error)
    return error;
  fzr_engine *e = fzri_mem_zalloc_lines(&mem, sizeof *e);
  if (!e)
    return FZR_ERR_NO_MEMORY;
  e->mem = mem;
  set_plain(e, &c, now);
  error = init_tables(e, &c);
  if (!error)
    error = init_security(e, &c);
  if (!error)
    error = init_shared(e, &c);
  if (error) {
    fzr_engine_free(e);
    return error;
  }
  *out = e;
  return 0;
}

/* Gives the ports and quotas of all allocations back to what other shards share. */
static void leave_shared(fzr_engine *e)
{
  for (uint32_t i = 0; i < fzri_pool_end(&e->allocations); i++) {
    fzri_allocation *a = fzri_allocation_at(e, i);
    if (!a->state)
      continue;
    fzri_allocation_leave_user(e, a);
    if (fzri_extra_of(e, a))
      fzri_reservation_end(e, fzri_extra_of(e, a));
    fzri_mobility_end(e, a);
    for (unsigned slot = 0; slot < 2; slot++)
      fzri_shared_set_live(e->shared, a->port, fzri_family_at(slot), false);
    fzri_shared_give_port(e->shared, a->port, e->now);
  }
  fzri_shared_channels_leave(e->shared, e->channels.used + e->permissions.used);
}

void fzr_engine_free(fzr_engine *e)
{
  if (!e)
    return;
  fzri_journal_free(e);
  if (e->shared && !e->owns_shared)
    leave_shared(e);
  if (e->owns_shared)
    fzr_shared_free(e->shared);
  fzri_limits_free(&e->limits);
  fzri_peer_policy_free(&e->policy);
  fzri_scheme_free(&e->scheme);
  fzri_nonces_wipe(&e->nonces);
  fzri_pool_free(&e->extras);
  fzri_pool_free(&e->pendings);
  fzri_pool_free(&e->permissions);
  fzri_pool_free(&e->channel_rests);
  fzri_pool_free(&e->channels);
  fzri_pool_free(&e->names);
  fzri_pool_free(&e->origins);
  fzri_pool_free(&e->allocations);
  fzri_map_free(&e->permitted);
  fzri_map_free(&e->peers);
  fzri_map_free(&e->numbers);
  fzri_map_free(&e->clients);
  const size_t ports = (size_t)e->highest_port - e->lowest_port + 1;
  fzri_mem_free(&e->mem, e->by_port, ports * sizeof *e->by_port);
  fzri_mem_free_lines(&e->mem, e->answers, e->answer_cap * sizeof *e->answers);
  fzri_mem mem = e->mem;
  fzri_wipe(e, sizeof *e);
  fzri_mem_free_lines(&mem, e, sizeof *e);
}

fzr_time fzr_engine_deadline(const fzr_engine *e)
{
  if (!e)
    return FZR_TIME_NEVER;
  if (e->due || fzri_recheck_due(e))
    return e->now;
  const fzr_time allocations = fzri_timers_deadline(&e->allocation_timers);
  const fzr_time channels = fzri_timers_deadline(&e->channel_timers);
  const fzr_time look = fzri_replace_deadline(e);
  const fzr_time permissions = fzri_permissions_deadline(e);
  fzr_time first = allocations < channels ? allocations : channels;
  if (permissions < first)
    first = permissions;
  const fzr_time reservations = fzri_timers_deadline(&e->reservation_timers);
  if (reservations < first)
    first = reservations;
  return first < look ? first : look;
}

int fzr_engine_on_deadline(fzr_engine *e, size_t budget, fzr_time now)
{
  if (!e)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  e->due = false;
  fzri_journal_begin(e);
  fzri_replace_look(e);
  /* Allocations first: they take their channels along. */
  size_t done = fzri_allocations_expire(e, budget);
  if (done < budget)
    done += fzri_channels_expire(e, budget - done);
  if (done < budget)
    done += fzri_permissions_expire(e, budget - done);
  if (done < budget)
    done += fzri_reservations_expire(e, budget - done);
  if (done < budget && fzri_recheck_due(e))
    done += fzri_recheck(e, budget - done);
  fzri_journal_commit(e);
  return done < INT32_MAX ? (int)done : INT32_MAX;
}

int fzr_engine_set_wallclock(fzr_engine *e, int64_t unix_seconds, fzr_time now)
{
  if (!e || unix_seconds < 0)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  e->wall_at = e->now;
  e->wall_unix = unix_seconds;
  return 0;
}

void fzr_engine_set_draining(fzr_engine *e, bool draining)
{
  if (e)
    e->draining = draining;
}

void fzr_engine_set_log_level(fzr_engine *e, enum fzr_log_level level)
{
  if (e && e->log)
    e->log_level = (uint8_t)level;
}

bool fzr_engine_next_transmit(fzr_engine *e, fzr_transmit *transmit)
{
  if (!e || !transmit || e->answer_head == e->answer_tail)
    return false;
  const fzri_answer *answer = &e->answers[e->answer_head++ & (e->answer_cap - 1)];
  memset(transmit, 0, sizeof *transmit);
  transmit->data = answer->data;
  transmit->len = answer->len;
  transmit->to_stranger = answer->to_stranger;
  transmit->to = answer->to;
  transmit->from = answer->from;
  return true;
}
