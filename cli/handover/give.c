/* SPDX-License-Identifier: Apache-2.0 */
#include "handover/give.h"

#include "common/clock.h"
#include "handover/wire.h"

#include <stdio.h>

static const char *send_fds(int fd, handover_message *m, const int *fds, size_t count, fzr_time until)
{
  const char *why = NULL;
  for (size_t at = 0; at < count && !why; at += m->fds) {
    m->fds = (uint32_t)(count - at < HANDOVER_FDS_MAX ? count - at : HANDOVER_FDS_MAX);
    handover_send(fd, m, fds + at, m->fds, until, &why);
  }
  return why;
}

const char *handover_give_some(int fd, enum handover_kind kind, unsigned worker, const int *fds, size_t n,
                               fzr_time until)
{
  handover_message m = {.type = HANDOVER_GIVE, .kind = kind, .worker = worker};
  return send_fds(fd, &m, fds, n, until);
}

const char *handover_give_offload(int fd, const int *fds, size_t n, const char *about, fzr_time until)
{
  handover_message m = {.type = HANDOVER_GIVE, .kind = HANDOVER_OFFLOAD};
  snprintf(m.about, sizeof m.about, "%s", about);
  return send_fds(fd, &m, fds, n, until);
}

/* |shown| descriptors went over before. */
static const char *send_parcel(int fd, const handover_parcel *p, uint32_t shown, fzr_time until)
{
  const handover_message end = {.type = HANDOVER_END, .fds = shown + handover_parcel_count(p)};
  const char *why = NULL;
  for (unsigned i = 0; i < p->count; i++)
    for (unsigned kind = HANDOVER_STATE; kind < HANDOVER_KINDS && !why; kind++) {
      const handover_fds *of = &p->workers[i].of[kind];
      handover_message m = {
          .type = HANDOVER_GIVE, .kind = kind, .worker = i, .saved_at = p->workers[i].saved_at};
      why = send_fds(fd, &m, of->each, of->count, until);
    }
  if (!why)
    handover_send(fd, &end, NULL, 0, until, &why);
  return why;
}

/* While all goes on. Returns whether the successor is prepared; |*shown| descriptors went over. */
static bool show_all(int fd, const handover_giver *g, uint32_t *shown, char *reason)
{
  const fzr_time until = monotonic_now() + HANDOVER_PREPARE_WAIT;
  handover_message so_far = {.type = HANDOVER_SO_FAR}, m;
  const char *why = g->show(g->ctx, fd, until, shown);
  so_far.fds = *shown;
  if (!why && handover_send(fd, &so_far, NULL, 0, until, &why) == 0)
    return handover_await(fd, HANDOVER_PREPARED, &m, until, reason) == 0;
  snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  handover_refuse(fd, reason);
  return false;
}

/* Whether the successor has begun by |until|. If not it can't any more: what it would say does not come through a connection that is closed. */
static bool has_begun(int fd, fzr_time until, char *reason)
{
  char unused[HANDOVER_REASON_MAX];
  handover_message m;
  if (!handover_await(fd, HANDOVER_BEGUN, &m, until, reason))
    return true;
  handover_hang_up(fd);
  return handover_await(fd, HANDOVER_BEGUN, &m, monotonic_now() + FZR_SECOND, unused) == 0;
}

/* What the pause is for. Returns NULL, or what went wrong. */
static const char *send_rest(int fd, const handover_giver *g, uint32_t shown, fzr_time begun,
                             handover_times *times)
{
  const fzr_time until = begun + HANDOVER_WAIT;
  handover_parcel parcel;
  const char *why = "out of memory";
  if (handover_parcel_init(&parcel, g->offer->workers, true))
    why = g->pause(g->ctx, until, &parcel);
  times->saved = monotonic_now() - begun;
  if (!why)
    why = send_parcel(fd, &parcel, shown, until);
  times->sent = monotonic_now() - begun;
  handover_parcel_drop(&parcel);
  return why;
}

/* While nothing is read. |answers|: the successor says when it has begun. Returns whether it has all, and has or may have begun. */
static bool give_all(int fd, const handover_giver *g, uint32_t shown, bool answers, handover_times *times,
                     char *reason)
{
  const fzr_time begun = monotonic_now(), until = begun + HANDOVER_WAIT;
  handover_message go = {.type = HANDOVER_GO}, m;
  const char *why = send_rest(fd, g, shown, begun, times);
  if (!why && handover_await(fd, HANDOVER_READY, &m, until, reason))
    why = reason;
  times->ready = monotonic_now() - begun;
  go.went_at = times->went_at = unix_now_ns();
  if (!why)
    handover_send(fd, &go, NULL, 0, until, &why);
  if (!why && answers && !has_begun(fd, until, reason))
    why = reason;
  const bool given = !why;
  if (!given && why != reason)
    snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  if (!given) {
    handover_refuse(fd, reason);
    g->resume(g->ctx);
  }
  times->ended = monotonic_now() - begun;
  return given;
}

/* Until both have agreed. *|answers|: the successor will say when it has begun. */
static bool agree(int fd, const handover_giver *g, bool *answers, char *reason)
{
  const fzr_time until = monotonic_now() + HANDOVER_WAIT;
  handover_message m;
  const char *why = NULL;
  if (handover_await(fd, HANDOVER_HELLO, &m, until, reason))
    return false;
  *answers = m.minor >= HANDOVER_MINOR_BEGUN;
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

bool handover_give(int fd, const handover_giver *g, handover_times *times, char reason[HANDOVER_REASON_MAX])
{
  uint32_t shown = 0;
  bool answers = false;
  *times = (handover_times){0};
  if (!agree(fd, g, &answers, reason))
    return false;
  const fzr_time begun = monotonic_now();
  const bool prepared = show_all(fd, g, &shown, reason);
  times->prepared = monotonic_now() - begun;
  return prepared && give_all(fd, g, shown, answers, times, reason);
}
