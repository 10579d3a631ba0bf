/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_gso.h"

#include <errno.h>
#include <string.h>

/* Datagrams to a destination that go singly until a run is tried again. */
#define SINGLE_UNTIL_RETRY 10000u
/* Runs that devices refused, with none taken between them, until GSO is off for good. */
#define REFUSALS_UNTIL_OFF 1000u

static unsigned refusal_slot(const fzr_addr *to)
{
  uint32_t hash = 0;
  for (unsigned i = 0; i < sizeof to->ip; i++)
    hash = hash * 31 + to->ip[i];
  return (hash ^ hash >> 16) % FZRI_REFUSALS;
}

static bool same_host(const fzri_refusal *r, const fzr_addr *to)
{
  return r->left && r->to.family == to->family && memcmp(r->to.ip, to->ip, sizeof to->ip) == 0;
}

uint16_t fzri_gso_limit_of(const fzri_gso *gso, const fzr_addr *to)
{
  const fzri_refusal *r = &gso->refusals[refusal_slot(to)];
  return same_host(r, to) ? r->limit : UINT16_MAX;
}

void fzri_gso_single(fzri_gso *gso, const fzr_addr *to, uint16_t count)
{
  fzri_refusal *r = &gso->refusals[refusal_slot(to)];
  if (!gso->count || !same_host(r, to))
    return;
  r->left = r->left > count ? (uint16_t)(r->left - count) : 0;
  if (!r->left)
    gso->count--;
}

static void remember_refusal(fzri_gso *gso, const fzr_addr *to, uint16_t limit)
{
  fzri_refusal *r = &gso->refusals[refusal_slot(to)];
  if (!r->left)
    gso->count++;
  if (!same_host(r, to) || limit < r->limit)
    r->limit = limit;
  r->to = *to;
  r->left = SINGLE_UNTIL_RETRY;
  gso->refused++;
}

enum fzri_send_outcome fzri_gso_outcome(fzri_gso *gso, const fzr_addr *to, int error, uint16_t seg_len)
{
  if (error == EAGAIN || error == EWOULDBLOCK)
    return FZRI_SEND_BLOCKED;
  if (error == EINTR)
    return FZRI_SEND_AGAIN;
  if (seg_len && (error == EIO || error == EOPNOTSUPP)) {
    /* The device on this path cannot. If none can, stop trying. */
    remember_refusal(gso, to, 0);
    if (++gso->in_a_row >= REFUSALS_UNTIL_OFF)
      gso->on = false;
    return FZRI_SEND_SINGLY;
  }
  if (seg_len && (error == EINVAL || error == EMSGSIZE)) {
    /* Segments larger than the path takes are refused as GSO, but fragmented when sent singly. It is one client's or peer's path:
     * others keep their runs. */
    remember_refusal(gso, to, seg_len);
    return FZRI_SEND_SINGLY;
  }
  return FZRI_SEND_LOST;
}
