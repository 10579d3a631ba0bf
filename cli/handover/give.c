/* SPDX-License-Identifier: Apache-2.0 */
#include "handover/give.h"

#include "common/clock.h"
#include "handover/wire.h"

#include <stdio.h>

static int send_fds(int fd, enum handover_kind kind, unsigned worker, uint64_t saved_at,
                    const handover_fds *fds, fzr_time until, const char **why)
{
  for (size_t at = 0; at < fds->count;) {
    const size_t left = fds->count - at, n = left < HANDOVER_FDS_MAX ? left : HANDOVER_FDS_MAX;
    const handover_message m = {
        .type = HANDOVER_GIVE, .kind = kind, .worker = worker, .fds = (uint32_t)n, .saved_at = saved_at};
    if (handover_send(fd, &m, fds->each + at, n, until, why))
      return -1;
    at += n;
  }
  return 0;
}

static int send_parcel(int fd, const handover_parcel *p, fzr_time until, const char **why)
{
  const handover_message end = {.type = HANDOVER_END, .fds = handover_parcel_count(p)};
  for (unsigned i = 0; i < p->count; i++)
    for (unsigned kind = HANDOVER_STATE; kind <= HANDOVER_PORTS; kind++)
      if (send_fds(fd, kind, i, p->workers[i].saved_at, &p->workers[i].of[kind], until, why))
        return -1;
  if (send_fds(fd, HANDOVER_HEALTH, 0, 0, &p->health, until, why) ||
      send_fds(fd, HANDOVER_CONTROL, 0, 0, &p->control, until, why))
    return -1;
  return handover_send(fd, &end, NULL, 0, until, why);
}

/* While nothing is read. Returns whether the successor has all, and was told to begin. */
static bool give_all(int fd, const handover_giver *g, char *reason)
{
  const fzr_time until = monotonic_now() + HANDOVER_WAIT;
  const handover_message go = {.type = HANDOVER_GO};
  handover_message m;
  handover_parcel parcel;
  const char *why = "out of memory";
  if (handover_parcel_init(&parcel, g->offer->workers, true))
    why = g->pause(g->ctx, until, &parcel);
  if (!why)
    send_parcel(fd, &parcel, until, &why);
  if (!why && handover_await(fd, HANDOVER_READY, &m, until, reason))
    why = reason;
  const bool given = !why && !handover_send(fd, &go, NULL, 0, until, &why);
  if (!given && why != reason)
    snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  handover_parcel_drop(&parcel);
  if (!given) {
    handover_refuse(fd, reason);
    g->resume(g->ctx);
  }
  return given;
}

/* Until both have agreed. */
static bool agree(int fd, const handover_giver *g, char *reason)
{
  const fzr_time until = monotonic_now() + HANDOVER_WAIT;
  handover_message m;
  const char *why = NULL;
  if (handover_await(fd, HANDOVER_HELLO, &m, until, reason))
    return false;
  if (m.major != HANDOVER_MAJOR)
    why = "it speaks another version of the hand-over's protocol";
  else
    why = g->objection(g->ctx);
  if (!why && handover_send(fd, g->offer, NULL, 0, until, &why) == 0)
    return handover_await(fd, HANDOVER_ACCEPT, &m, until, reason) == 0;
  snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  handover_refuse(fd, reason);
  return false;
}

bool handover_give(int fd, const handover_giver *g, fzr_time *paused, char reason[HANDOVER_REASON_MAX])
{
  *paused = 0;
  if (!agree(fd, g, reason))
    return false;
  const fzr_time begun = monotonic_now();
  const bool given = give_all(fd, g, reason);
  *paused = monotonic_now() - begun;
  return given;
}
