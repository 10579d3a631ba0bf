/* SPDX-License-Identifier: Apache-2.0 */
#include "handover/take.h"

#include "common/clock.h"
#include "firezone_relay/save.h"
#include "handover/wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The other one waits no longer than HANDOVER_WAIT, or HANDOVER_PREPARE_WAIT, and says so. */
#define PATIENCE       (3 * HANDOVER_WAIT)
#define EARLY_PATIENCE (2 * HANDOVER_PREPARE_WAIT)

static int say(int fd, const handover_message *m, char *reason)
{
  const char *why;
  if (!handover_send(fd, m, NULL, 0, monotonic_now() + HANDOVER_WAIT, &why))
    return 0;
  snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  return -1;
}

int handover_ask(int fd, const char *version, handover_message *offer, char reason[HANDOVER_REASON_MAX])
{
  handover_message hello = {.type = HANDOVER_HELLO,
                            .major = HANDOVER_MAJOR,
                            .minor = HANDOVER_MINOR,
                            .state_major = FZR_STATE_MAJOR,
                            .state_minor = FZR_STATE_MINOR};
  snprintf(hello.version, sizeof hello.version, "%s", version);
  if (say(fd, &hello, reason) ||
      handover_await(fd, HANDOVER_OFFER, offer, monotonic_now() + PATIENCE, reason))
    return -1;
  const char *why = offer->major != HANDOVER_MAJOR ? "it speaks another version of the hand-over's protocol"
                    : offer->state_major != FZR_STATE_MAJOR ? "its state is of a format that can't be read"
                                                            : NULL;
  if (!why)
    return 0;
  snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  handover_refuse(fd, reason);
  return -1;
}

/* Takes what came with |m| into |out|. Returns whether it can be. */
static bool accept_fds(const handover_message *m, const int *fds, size_t n, handover_parcel *out)
{
  if (handover_parcel_add(out, (enum handover_kind)m->kind, m->worker, fds, n)) {
    if (m->kind == HANDOVER_STATE)
      out->workers[m->worker].saved_at = m->saved_at;
    if (m->kind == HANDOVER_LISTEN) {
      out->workers[m->worker].allocations = m->allocations;
      out->workers[m->worker].channels = m->channels;
      out->workers[m->worker].permissions = m->permissions;
    }
    if (m->kind == HANDOVER_OFFLOAD)
      memcpy(out->about, m->about, sizeof out->about);
    return true;
  }
  /* A later version may give more than this one knows. */
  for (size_t i = 0; i < n; i++)
    close(fds[i]);
  return m->kind >= HANDOVER_KINDS;
}

/* Up to a message of |end|. */
static const char *receive_some(int fd, enum handover_type end, handover_parcel *out, char *reason)
{
  const fzr_time until = monotonic_now() + (end == HANDOVER_END ? PATIENCE : EARLY_PATIENCE);
  handover_message m;
  int fds[HANDOVER_FDS_MAX];
  size_t n;
  const char *why;
  for (;;) {
    if (handover_receive(fd, &m, fds, &n, until, &why))
      return why;
    if (m.type == HANDOVER_GIVE && !accept_fds(&m, fds, n, out))
      return "the other process gives what can't be";
    if (m.type == HANDOVER_GIVE) {
      out->came += (uint32_t)n;
      continue;
    }
    for (size_t i = 0; i < n; i++)
      close(fds[i]);
    if (m.type == HANDOVER_REFUSE) {
      snprintf(reason, HANDOVER_REASON_MAX, "%s", m.reason);
      return reason;
    }
    const enum handover_kind needed = end == HANDOVER_END ? HANDOVER_STATE : HANDOVER_LISTEN;
    if (m.type != end || m.fds != out->came || !handover_parcel_all_have(out, needed))
      return "the other process has not given all";
    return NULL;
  }
}

/* Returns 0, or -1 with |why| in |reason|, and the other one is told. */
static int conclude(int fd, const char *why, char *reason)
{
  if (!why)
    return 0;
  if (why != reason)
    snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  handover_refuse(fd, reason);
  return -1;
}

int handover_take(int fd, const handover_message *offer, handover_parcel *out,
                  char reason[HANDOVER_REASON_MAX])
{
  const handover_message accept = {.type = HANDOVER_ACCEPT};
  if (!handover_parcel_init(out, offer->workers, false))
    return conclude(fd, "out of memory", reason);
  if (!say(fd, &accept, reason) && !conclude(fd, receive_some(fd, HANDOVER_SO_FAR, out, reason), reason))
    return 0;
  handover_parcel_drop(out);
  return -1;
}

int handover_take_rest(int fd, handover_parcel *p, char reason[HANDOVER_REASON_MAX])
{
  const handover_message prepared = {.type = HANDOVER_PREPARED};
  return say(fd, &prepared, reason) ? -1 : conclude(fd, receive_some(fd, HANDOVER_END, p, reason), reason);
}

int handover_begin(int fd, const handover_message *offer, uint64_t *went_at, char reason[HANDOVER_REASON_MAX])
{
  const handover_message ready = {.type = HANDOVER_READY}, begun = {.type = HANDOVER_BEGUN};
  handover_message m;
  if (say(fd, &ready, reason))
    return -1;
  if (handover_await(fd, HANDOVER_GO, &m, monotonic_now() + PATIENCE, reason))
    return -1;
  *went_at = m.went_at ? m.went_at : unix_now_ns();
  return offer->minor >= HANDOVER_MINOR_BEGUN ? say(fd, &begun, reason) : 0;
}

void handover_joined(int fd)
{
  const handover_message joined = {.type = HANDOVER_JOINED};
  char reason[HANDOVER_REASON_MAX];
  say(fd, &joined, reason); /* if it is gone it has left anyway */
}
