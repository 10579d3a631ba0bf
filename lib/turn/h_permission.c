/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "handlers.h"
#include "log.h"

/* The error code of one peer of the request, 0 for none. */
static unsigned check_peer(const fzr_engine *e, fzri_request *r, const fzri_allocation *a,
                           const fzr_stun_attr *attr, fzr_addr *peer, fzri_peer_judgement *judged)
{
  if (!fzr_stun_attr_addr(&r->msg, attr, peer))
    return fzri_refuse_attribute(r, FZR_ATTR_XOR_PEER_ADDRESS);
  if (fzri_peer_family(a, peer))
    return 443;
  /* A permission is for an address; who names no port means any. */
  return fzri_peer_check(e, r->from, peer, peer->port == 0, judged);
}

/* The next attribute that names a peer. */
static bool next_attribute(const fzri_request *r, uint16_t *offset, fzr_stun_attr *attr)
{
  while (fzri_request_next(r, offset, attr))
    if (attr->type == FZR_ATTR_XOR_PEER_ADDRESS)
      return true;
  return false;
}

/* Checks all peers. Returns 0, or the code for the first one that is refused. The last one looked at is in |peer|, and r->peer points
 * to it. */
static unsigned check_peers(const fzr_engine *e, fzri_request *r, const fzri_allocation *a, fzr_addr *peer,
                            fzri_peer_judgement *judged)
{
  fzr_stun_attr attr;
  uint16_t offset = 0;
  unsigned peers = 0;
  while (next_attribute(r, &offset, &attr)) {
    peers++;
    const unsigned code = check_peer(e, r, a, &attr, peer, judged);
    if (peer->family)
      r->peer = peer;
    if (code)
      return code;
  }
  return peers ? 0 : fzri_refuse_attribute(r, FZR_ATTR_XOR_PEER_ADDRESS);
}

unsigned fzri_permit_code(fzr_engine *e, fzri_request *r, enum fzri_permit_result result)
{
  if (result < FZRI_PERMIT_LIMIT)
    return 0;
  if (result == FZRI_PERMIT_LIMIT)
    return fzri_refuse(r, 508, FZR_REFUSAL_PERMISSIONS);
  return fzri_refuse_for_memory(e, r, result == FZRI_PERMIT_FULL);
}

/* The next peer of the request, whose peers have been checked. */
static bool next_peer(const fzri_request *r, const fzri_allocation *a, uint16_t *offset, fzr_addr *peer)
{
  fzr_stun_attr attr;
  return next_attribute(r, offset, &attr) && fzr_stun_attr_addr(&r->msg, &attr, peer) &&
         fzri_peer_family(a, peer) == 0;
}

/* Installs permissions for all peers, or renews them. Returns 0, or 508 with nothing changed. */
static unsigned install(fzr_engine *e, fzri_request *r, fzri_allocation *a)
{
  fzr_addr peer;
  uint32_t fresh = 0;
  for (uint16_t offset = 0; next_peer(r, a, &offset, &peer);) {
    const enum fzri_permit_result result = fzri_permission_install(e, a, &peer);
    const unsigned code = fzri_permit_code(e, r, result);
    if (code) {
      fzri_permissions_undo(e, a, fresh);
      return code;
    }
    fresh += result == FZRI_PERMIT_NEW;
  }
  for (uint16_t offset = 0; next_peer(r, a, &offset, &peer);)
    fzri_permission_renew(e, a, &peer);
  e->stats.permissions_installed += fresh;
  return 0;
}

/* CreatePermission (RFC 8656 section 10.2). Where peers are reached through channels alone it opens nothing; clients that ask for a
 * permission before they bind a channel get their answer. */
void fzri_handle_create_permission(fzr_engine *e, fzri_request *r)
{
  fzri_reply reply;
  fzri_peer_judgement judged;
  fzr_addr peer = {.family = FZR_FAMILY_NONE};
  fzri_allocation *a = fzri_request_allocation(e, r);
  if (!a)
    return;
  unsigned code = check_peers(e, r, a, &peer, &judged);
  if (code == 403) {
    fzri_answer_forbidden(e, r, &judged);
    return;
  }
  if (!code && e->full)
    code = install(e, r, a);
  if (code) {
    fzri_answer_error(e, r, code);
    return;
  }
  fzri_request_succeeds(e, r, a);
  fzri_answer_begin(e, r, &reply);
  fzri_answer_success(e, r, &reply);
  if (fzri_log_wants(e, FZR_LOG_DEBUG)) {
    const fzr_log_record record = fzri_log_request(e, FZR_LOG_DEBUG, FZR_LOG_PERMISSION, r);
    e->log(e->log_ctx, &record);
  }
}
