/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations, as whoever runs the relay sees them. */
#include "allocation.h"
#include "authenticate.h"
#include "log.h"

#include <assert.h>

static_assert(sizeof(fzr_allocation) == 152, "frozen");

/* Not one that is out of all look-ups, nor what is no allocation at present. */
static bool is_there(const fzri_allocation *a)
{
  return a->state && a->state != FZRI_ALLOCATION_CLOSING;
}

static void describe(const fzr_engine *e, const fzri_allocation *a, fzr_allocation *out)
{
  memset(out, 0, sizeof *out);
  out->client = a->client;
  out->server = a->server;
  for (unsigned slot = 0; slot < 2; slot++) {
    if (!(a->families & fzri_family_bit(fzri_family_at(slot))))
      continue;
    out->relayed[slot] = e->public_addr[slot];
    out->relayed[slot].port = a->port;
  }
  out->expires = a->expires;
  out->user = a->user;
  out->channels = a->channel_count;
  out->opening = a->state == FZRI_ALLOCATION_OPENING;
}

size_t fzr_engine_list_allocations(const fzr_engine *e, uint32_t *cursor, fzr_allocation *out, size_t max)
{
  if (!e || !cursor || !out)
    return 0;
  size_t n = 0;
  for (; *cursor < fzri_pool_end(&e->allocations) && n < max; (*cursor)++) {
    const fzri_allocation *a = fzri_allocation_at(e, *cursor);
    if (is_there(a))
      describe(e, a, &out[n++]);
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
  describe(e, a, out);
  return true;
}

uint64_t fzr_engine_user(const fzr_engine *e, const uint8_t *username, size_t username_len)
{
  if (!e || !username)
    return 0;
  return fzri_user_of(e, username, username_len);
}

static int end(fzr_engine *e, fzri_allocation *a)
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
  fzri_allocation_end(e, a);
  return 0;
}

int fzr_engine_end_allocation(fzr_engine *e, const fzr_addr *client, const fzr_addr *server, fzr_time now)
{
  if (!e || !client || !server)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  return end(e, fzri_allocation_find(e, client, server));
}

int fzr_engine_end_allocation_at(fzr_engine *e, uint16_t port, fzr_time now)
{
  if (!e)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  const fzri_allocation *a = fzri_allocation_by_port(e, port);
  /* Looking for its 5-tuple finds out whether it is over; or a younger one, if it is closing. */
  fzri_allocation *found = a ? fzri_allocation_find(e, &a->client, &a->server) : NULL;
  return end(e, found == a ? found : NULL);
}
