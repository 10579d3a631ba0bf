/* SPDX-License-Identifier: Apache-2.0 */
#include "replace.h"

#include "allocation.h"
#include "log.h"

static bool is_replaced(const fzr_engine *e, const fzri_allocation *a)
{
  const bool lives = a->state == FZRI_ALLOCATION_LIVE || a->state == FZRI_ALLOCATION_RESUMING;
  return e->replaces && a->shared_user && lives && fzri_shared_newest(e->shared, a->shared_user) != a->port;
}

static void end_replaced(fzr_engine *e, fzri_allocation *a)
{
  if (fzri_log_wants(e, FZR_LOG_INFO)) {
    fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, FZR_LOG_ALLOCATION_REPLACED);
    record.client = &a->client;
    record.port = a->port;
    e->log(e->log_ctx, &record);
  }
  fzri_allocation_end(e, a, FZR_END_REPLACED);
}

fzri_allocation *fzri_replace_find(fzr_engine *e, const fzr_addr *client, const fzr_addr *server)
{
  fzri_allocation *a = fzri_allocation_find(e, client, server);
  if (!a || !is_replaced(e, a))
    return a;
  end_replaced(e, a);
  return NULL;
}

/* The allocation at |port| may be over: ends it if it is one of this shard, else tells the others. */
static void end_at(fzr_engine *e, uint16_t port)
{
  fzri_allocation *a = fzri_allocation_by_port(e, port);
  if (!a)
    fzri_shared_mark(e->shared, port);
  else if (is_replaced(e, a))
    end_replaced(e, a);
}

void fzri_replace_older(fzr_engine *e, fzri_allocation *a)
{
  uint16_t older;
  if (!e->replaces || !a->shared_user)
    return;
  if (!fzri_shared_set_newest(e->shared, a->shared_user, a->port, &older))
    a->shared_user = 0; /* as good as impossible: this one will not be replaced */
  else if (older && older != a->port)
    end_at(e, older);
}

void fzri_replace_user(fzr_engine *e, fzri_allocation *a, uint64_t user)
{
  if (!e->replaces || user == a->shared_user)
    return;
  fzri_allocation_leave_user(e, a);
  a->shared_user = user;
  fzri_replace_older(e, a);
}

bool fzri_replace_make_room(fzr_engine *e, uint64_t user)
{
  const uint16_t older = e->replaces && user ? fzri_shared_newest(e->shared, user) : 0;
  if (!older)
    return e->replaces && fzri_shared_next_mark(e->shared, 0);
  fzri_shared_unset_newest(e->shared, user, older);
  end_at(e, older);
  return true;
}

void fzri_replace_look(fzr_engine *e)
{
  uint16_t port = 0;
  if (!e->replaces || e->owns_shared)
    return;
  e->look_at = e->now + FZRI_LOOK_EVERY;
  const uint32_t marks = fzri_shared_marks(e->shared);
  if (marks == e->marks)
    return;
  e->marks = marks;
  while ((port = fzri_shared_next_mark(e->shared, port)) != 0) {
    fzri_allocation *a = fzri_allocation_by_port(e, port);
    if (!a)
      continue; /* another shard's */
    /* Else the mark goes when the port is given back. */
    if (is_replaced(e, a))
      end_replaced(e, a);
    else if (a->state == FZRI_ALLOCATION_LIVE)
      fzri_shared_unmark(e->shared, port);
  }
}

fzr_time fzri_replace_deadline(const fzr_engine *e)
{
  return e->replaces && !e->owns_shared && e->stats.allocations ? e->look_at : FZR_TIME_NEVER;
}
