/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "handlers.h"
#include "log.h"
#include "replace.h"

static void log_full(fzr_engine *e, int lacks)
{
  if (!fzri_log_wants(e, FZR_LOG_WARN) || !fzri_told_full(e->told, e->now))
    return;
  fzr_log_record record = fzri_log_record(e, FZR_LOG_WARN, FZR_LOG_FULL);
  record.adapter_error = lacks;
  e->log(e->log_ctx, &record);
}

/* Whether |r| is left without an answer, so that its client turns to another relay; logs it once an hour. A client of ours whose NAT has given
 * it another port looks like any new one here. That another comes from its address says little: behind many an address are many clients,
 * and the new ones of those would be told 508 after an answer. */
static bool turns_away(fzr_engine *e, const fzri_request *r)
{
  if (!e->silent_when_full)
    return false;
  const int lacks = fzr_shared_lacks(e->shared, e->now);
  if ((!lacks && !e->draining) || fzri_replace_find(e, r->from, r->to))
    return false;
  if (!e->draining)
    log_full(e, lacks);
  return true;
}

/* Binding (RFC 8489 section 12.1): the address that the request came from. The answer is 32 or 44 bytes to a request of at least 20:
 * it goes to strangers, whose address may be forged, so it has SOFTWARE only where the request makes up for that. */
void fzri_handle_binding(fzr_engine *e, fzri_request *r)
{
  fzri_reply reply;
  if (turns_away(e, r))
    r->dropped = FZR_DROP_FULL;
  else if (!fzri_limits_binding(&e->limits, r->from, e->now))
    r->dropped = FZR_DROP_RATE_LIMITED;
  if (r->dropped)
    return;
  if (r->msg.unknown_count) {
    fzri_answer_not_understood(e, r);
    return;
  }
  fzri_answer_begin(e, r, &reply);
  fzr_stun_add_addr(&reply.builder, FZR_ATTR_XOR_MAPPED_ADDRESS, r->from);
  fzri_answer_success(e, r, &reply);
  if (fzri_log_wants(e, FZR_LOG_DEBUG)) {
    const fzr_log_record record = fzri_log_request(e, FZR_LOG_DEBUG, FZR_LOG_REQUEST, r);
    e->log(e->log_ctx, &record);
  }
}
