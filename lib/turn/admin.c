/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations, as whoever runs the relay sees them. */
#include "allocation.h"
#include "authenticate.h"
#include "log.h"
#include "usage.h"

/* Not one that is out of all look-ups, nor what is no allocation at present. */
static bool is_there(const fzri_allocation *a)
{
  return a->state && a->state != FZRI_ALLOCATION_CLOSING;
}

size_t fzr_engine_list_allocations(const fzr_engine *e, uint32_t *cursor, fzr_allocation *out, size_t max)
{
  if (!e || !cursor || !out)
    return 0;
  size_t n = 0;
  for (; *cursor < fzri_pool_end(&e->allocations) && n < max; (*cursor)++) {
    const fzri_allocation *a = fzri_allocation_at(e, *cursor);
    if (is_there(a))
      fzri_usage_describe(e, a, &out[n++]);
  }
  return n;
}

bool fzr_engine_find_allocation(const fzr_engine *e, const fzr_addr *client, const fzr_addr *server,
                                fzr_allocation *out)
{
  if (!e || !client || !server || !out)
    return false;
  const fzri_allocation *a = fzri_allocation_look_up(e, client, server);
  if (!a || e->now >= a->expires)
    return false;
  fzri_usage_describe(e, a, out);
  return true;
}

uint64_t fzr_engine_user(const fzr_engine *e, const uint8_t *username, size_t username_len)
{
  if (!e || !username)
    return 0;
  return fzri_user_of(e, username, username_len);
}

static int end(fzr_engine *e, fzri_allocation *a, enum fzr_end_reason reason)
{
  e->due = true; /* also for what the search has found to be over */
  if (!a)
    return FZR_ERR_INVALID_STATE;
  if (fzri_log_wants(e, FZR_LOG_INFO)) {
    fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, FZR_LOG_ALLOCATION_ENDED);
    record.client = &a->client;
    record.port = a->port;
    e->log(e->log_ctx, &record);
  }
  fzri_allocation_end(e, a, reason);
  return 0;
}

int fzr_engine_end_allocation(fzr_engine *e, const fzr_addr *client, const fzr_addr *server, fzr_time now)
{
  if (!e || !client || !server)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  return end(e, fzri_allocation_find(e, client, server), FZR_END_APPLICATION);
}

/* The allocation at |port|, unless it is over, or closing. */
static fzri_allocation *find_at(fzr_engine *e, uint16_t port)
{
  const fzri_allocation *a = fzri_allocation_by_port(e, port);
  /* Looking for its 5-tuple finds out whether it is over; or a younger one, if it is closing. */
  fzri_allocation *found = a ? fzri_allocation_find(e, &a->client, &a->server) : NULL;
  return found == a ? found : NULL;
}

int fzr_engine_end_allocation_at(fzr_engine *e, uint16_t port, fzr_time now)
{
  if (!e)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  return end(e, find_at(e, port), FZR_END_APPLICATION);
}

int fzr_engine_end_allocation_by_id(fzr_engine *e, uint64_t id, fzr_time now)
{
  if (!e)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  fzri_allocation *a = find_at(e, (uint16_t)id);
  return end(e, a && id && fzri_usage_id(e, a) == id ? a : NULL, FZR_END_OPERATOR);
}

size_t fzr_engine_end_user(fzr_engine *e, uint64_t user, uint32_t *cursor, size_t max, fzr_time now)
{
  size_t n = 0;
  if (!e || !cursor)
    return 0;
  fzri_engine_advance(e, now);
  for (; *cursor < fzri_pool_end(&e->allocations) && n < max; (*cursor)++) {
    fzri_allocation *a = fzri_allocation_at(e, *cursor);
    if (is_there(a) && a->user == user && !end(e, a, FZR_END_OPERATOR))
      n++;
  }
  return n;
}

int fzr_engine_add_offloaded(fzr_engine *e, uint16_t port, const uint64_t packets[2], const uint64_t bytes[2])
{
  if (!e || !packets || !bytes)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_allocation *a = fzri_allocation_by_port(e, port);
  if (!a)
    return FZR_ERR_INVALID_STATE;
  for (unsigned i = 0; i < 2; i++) {
    a->packets[i] += packets[i];
    a->bytes[i] += bytes[i];
  }
  return 0;
}
