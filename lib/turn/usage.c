/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include "name.h"

#include "../base/bytes.h"

#include <assert.h>

static_assert(sizeof(fzr_allocation) == 320, "frozen");

const char *fzr_end_reason_name(unsigned reason)
{
  static const char *const names[FZR_END_REASONS] = {"none",        "client",   "expired", "replaced",
                                                     "application", "operator", "lost"};
  return reason < FZR_END_REASONS ? names[reason] : "other";
}

uint64_t fzri_usage_id(const fzr_engine *e, const fzri_allocation *a)
{
  uint8_t bytes[12] = "session";
  if (!a->serial)
    return 0;
  fzri_put32(bytes + 8, a->serial);
  return (fzri_siphash13(&e->hash_key, bytes, sizeof bytes) & ~UINT64_C(0xffff)) | a->port;
}

void fzri_usage_describe(const fzr_engine *e, const fzri_allocation *a, fzr_allocation *out)
{
  const fzri_origin *origin = fzri_origin_of(e, a);
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
  out->id = fzri_usage_id(e, a);
  out->began = a->serial ? fzri_usage_began(a, e->now) : 0;
  for (unsigned i = 0; i < 2; i++) {
    out->packets[i] = a->packets[i];
    out->bytes[i] = a->bytes[i];
  }
  out->channels = a->channel_count;
  out->permissions = a->permission_count;
  out->opening = a->state == FZRI_ALLOCATION_OPENING;
  out->user_name_len = (uint8_t)fzri_name_read(&e->names, origin->name, out->user_name);
}

void fzri_usage_tell(fzr_engine *e, enum fzr_usage_type type, const fzri_allocation *a, const fzri_request *r)
{
  fzr_allocation described;
  if (!e->usage)
    return;
  fzri_usage_describe(e, a, &described);
  const fzr_usage usage = {.type = (uint8_t)type,
                           .reason = type == FZR_USAGE_ENDED ? a->ended : (uint8_t)FZR_END_NONE,
                           .channel = r ? r->channel : 0,
                           .now = e->now,
                           .peer = r ? r->peer : NULL,
                           .allocation = &described};
  e->usage(e->usage_ctx, &usage);
}
