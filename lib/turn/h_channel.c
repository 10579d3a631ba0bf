/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "channel.h"
#include "handlers.h"
#include "log.h"
#include "permission.h"
#include "usage.h"

/* Reads CHANNEL-NUMBER and XOR-PEER-ADDRESS; the log gets what could be read. Returns 0 or 400. */
static unsigned read_binding(fzri_request *r, uint16_t *number, fzr_addr *peer)
{
  uint32_t value;
  if (!fzr_stun_get_u32(&r->msg, FZR_ATTR_CHANNEL_NUMBER, &value))
    return fzri_refuse_attribute(r, FZR_ATTR_CHANNEL_NUMBER);
  r->channel = *number = (uint16_t)(value >> 16);
  if (!fzr_stun_get_addr(&r->msg, FZR_ATTR_XOR_PEER_ADDRESS, peer))
    return fzri_refuse_attribute(r, FZR_ATTR_XOR_PEER_ADDRESS);
  r->peer = peer;
  if (*number < FZR_CHANNEL_MIN || *number > FZR_CHANNEL_MAX)
    return fzri_refuse_attribute(r, FZR_ATTR_CHANNEL_NUMBER);
  return 0;
}

static unsigned check_binding(fzr_engine *e, fzri_request *r, const fzri_allocation *a, uint16_t number,
                              fzr_addr *peer, fzri_peer_judgement *judged)
{
  if (fzri_peer_family(a, peer))
    return 443;
  if (fzri_channel_conflicts(e, a, number, peer))
    return fzri_refuse(r, 400, FZR_REFUSAL_CHANNEL_TAKEN);
  return fzri_peer_check(e, r->from, peer, false, judged);
}

static void answer_bound(fzr_engine *e, const fzri_request *r, bool fresh)
{
  if (fresh)
    fzri_usage_tell(e, FZR_USAGE_BOUND, r->allocation, r);
  fzri_reply reply;
  fzri_answer_begin(e, r, &reply);
  fzri_answer_success(e, r, &reply);
  const enum fzr_log_level level = fresh ? FZR_LOG_INFO : FZR_LOG_DEBUG;
  if (!fzri_log_wants(e, level))
    return;
  const fzr_log_record record =
      fzri_log_request(e, level, fresh ? FZR_LOG_CHANNEL_BOUND : FZR_LOG_CHANNEL_REBOUND, r);
  e->log(e->log_ctx, &record);
}

/* 0 if it is bound now, else 508. */
static unsigned code_of(fzr_engine *e, fzri_request *r, enum fzri_bind_result result)
{
  if (result < FZRI_BIND_LIMIT)
    return 0;
  if (result == FZRI_BIND_LIMIT)
    return fzri_refuse(r, 508, FZR_REFUSAL_CHANNELS);
  return fzri_refuse_for_memory(e, r, result == FZRI_BIND_FULL);
}

/* Binds, and installs a permission for the peer or renews it (RFC 8656 section 12.2), where that means something. A channel that there is
 * needs none to go on. Returns 0, or 508 with nothing changed. */
static unsigned bind(fzr_engine *e, fzri_request *r, fzri_allocation *a, uint16_t number,
                     const fzr_addr *peer, enum fzri_bind_result *result)
{
  enum fzri_permit_result permit = FZRI_PERMIT_OLD;
  if (e->full) {
    permit = fzri_permission_install(e, a, peer);
    const bool there = permit < FZRI_PERMIT_LIMIT;
    if (!there && !fzri_channel_by_number(e, a->index, number, fzri_hash_number(e, a->index, number)))
      return fzri_permit_code(e, r, permit);
  }
  *result = fzri_channel_bind(e, a, number, peer);
  const unsigned code = code_of(e, r, *result);
  if (permit == FZRI_PERMIT_NEW) {
    if (code)
      fzri_permissions_undo(e, a, 1);
    else
      e->stats.permissions_installed++;
  }
  if (!code && e->full && permit < FZRI_PERMIT_LIMIT)
    fzri_permission_renew(e, a, peer);
  return code;
}

/* ChannelBind (RFC 8656 section 12.2). */
void fzri_handle_channel_bind(fzr_engine *e, fzri_request *r)
{
  uint16_t number;
  fzr_addr peer;
  fzri_peer_judgement judged;
  fzri_allocation *a = fzri_request_allocation(e, r);
  if (!a)
    return;
  unsigned code = read_binding(r, &number, &peer);
  if (!code)
    code = check_binding(e, r, a, number, &peer, &judged);
  if (code == 403) {
    fzri_answer_forbidden(e, r, &judged);
    return;
  }
  enum fzri_bind_result result = FZRI_BIND_NEW;
  if (!code)
    code = bind(e, r, a, number, &peer, &result);
  if (code) {
    fzri_answer_error(e, r, code);
    return;
  }
  fzri_request_succeeds(e, r, a);
  answer_bound(e, r, result == FZRI_BIND_NEW);
}
