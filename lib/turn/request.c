/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "allocation.h"
#include "answer.h"
#include "authenticate.h"
#include "log.h"
#include "peer_scope.h"
#include "replace.h"
#include "room.h"

#include "../base/crypto.h"

static void dispatch(fzr_engine *e, fzri_request *r)
{
  switch (r->msg.method) {
  case FZR_STUN_ALLOCATE:
    fzri_handle_allocate(e, r);
    return;
  case FZR_STUN_REFRESH:
    fzri_handle_refresh(e, r);
    return;
  case FZR_STUN_CREATE_PERMISSION:
    fzri_handle_create_permission(e, r);
    return;
  default:
    fzri_handle_channel_bind(e, r);
    return;
  }
}

static bool known_method(uint16_t method)
{
  return method == FZR_STUN_ALLOCATE || method == FZR_STUN_REFRESH || method == FZR_STUN_CREATE_PERMISSION ||
         method == FZR_STUN_CHANNEL_BIND;
}

static enum fzr_drop_reason take_binding(fzr_engine *e, fzri_request *r)
{
  if (fzri_room_turns_away(e, r))
    return FZR_DROP_FULL;
  if (fzri_limits_binding(&e->limits, r->from, e->now))
    fzri_handle_binding(e, r);
  else
    r->silenced = true;
  return FZR_DROP_NONE;
}

static void take_authenticated(fzr_engine *e, fzri_request *r)
{
  fzri_replace_look(e);
  r->allocation = fzri_allocation_find(e, r->from, r->to);
  const unsigned code = fzri_authenticate(e, r);
  if (r->silenced)
    return;
  if (!known_method(r->msg.method))
    fzri_answer_error(e, r, 400);
  else if (code)
    fzri_answer_error(e, r, code);
  else if (r->msg.unknown_count)
    fzri_answer_unknown(e, r, r->msg.unknown,
                        r->msg.unknown_count < FZR_STUN_UNKNOWN_MAX ? r->msg.unknown_count
                                                                    : FZR_STUN_UNKNOWN_MAX);
  else
    dispatch(e, r);
}

/* Once a minute, of its prefix or of all: a flood of requests is no flood of lines. */
static void log_silenced(fzr_engine *e, const fzri_request *r)
{
  if (!fzri_log_wants(e, FZR_LOG_WARN))
    return;
  if (r->msg.method != FZR_STUN_BINDING && fzri_limits_proofs_are_used_up(&e->limits, r, e->now) &&
      fzri_told_proofs(e->told, e->now)) {
    const fzr_log_record record = fzri_log_record(e, FZR_LOG_WARN, FZR_LOG_PROOFS_LIMITED);
    e->log(e->log_ctx, &record);
  }
  if (!fzri_limits_are_used_up(&e->limits, r->from, e->now) || !fzri_told_limited(e->told, r->from, e->now))
    return;
  fzr_log_record record = fzri_log_record(e, FZR_LOG_WARN, FZR_LOG_STRANGERS_LIMITED);
  record.client = r->from;
  e->log(e->log_ctx, &record);
}

enum fzr_drop_reason fzri_request_take(fzr_engine *e, const uint8_t *data, size_t len, const fzr_addr *from,
                                       const fzr_addr *to)
{
  fzri_request r;
  const int reason = fzr_stun_read(data, len, &r.msg);
  if (reason)
    return (enum fzr_drop_reason)reason;
  if (r.msg.cls != FZR_STUN_REQUEST)
    return FZR_DROP_STUN_NOT_REQUEST;
  r.from = from;
  r.to = to;
  r.allocation = NULL;
  r.username = r.software = (fzr_stun_attr){0};
  r.peer = NULL;
  r.channel = 0;
  r.credential = (fzr_auth_key){0};
  r.reached = r.verified = r.authenticated = r.paid = r.silenced = false;
  fzr_stun_get(&r.msg, FZR_ATTR_USERNAME, &r.username);
  fzr_stun_get(&r.msg, FZR_ATTR_SOFTWARE, &r.software);
  if (r.msg.method == FZR_STUN_BINDING) {
    const enum fzr_drop_reason turned_away = take_binding(e, &r);
    if (turned_away)
      return turned_away;
  } else {
    take_authenticated(e, &r);
    fzri_wipe(&r.credential, sizeof r.credential);
  }
  if (!r.silenced)
    return FZR_DROP_NONE;
  log_silenced(e, &r);
  return FZR_DROP_RATE_LIMITED;
}

fzri_allocation *fzri_request_allocation(fzr_engine *e, fzri_request *r)
{
  fzri_allocation *a = r->allocation;
  if (!a || a->state != FZRI_ALLOCATION_LIVE) {
    fzri_answer_error(e, r, 437);
    return NULL;
  }
  if (!fzri_scheme_may_use(&e->scheme, a->user, r->user)) {
    fzri_answer_error(e, r, 441);
    return NULL;
  }
  return a;
}

void fzri_request_succeeds(fzr_engine *e, const fzri_request *r, fzri_allocation *a)
{
  const bool other_user = a->user != r->user;
  fzri_request_keep_credential(r, a);
  if (other_user)
    fzri_replace_user(e, a, r);
}

void fzri_request_keep_credential(const fzri_request *r, fzri_allocation *a)
{
  memcpy(a->key, r->credential.key, sizeof a->key);
  memcpy(a->credential_tag, r->credential_tag, sizeof a->credential_tag);
  a->key_expires = r->credential.expires;
  a->user = r->user;
}

unsigned fzri_request_lifetime(const fzri_request *r, uint32_t *lifetime)
{
  *lifetime = FZRI_LIFETIME_DEFAULT;
  if (!fzr_stun_has(&r->msg, FZR_ATTR_LIFETIME))
    return 0;
  if (fzr_stun_get_u32(&r->msg, FZR_ATTR_LIFETIME, lifetime))
    return 400;
  if (*lifetime > FZRI_LIFETIME_MAX)
    *lifetime = FZRI_LIFETIME_MAX;
  return 0;
}

unsigned fzri_peer_family(const fzri_allocation *a, fzr_addr *peer)
{
  if (fzri_is_mapped(peer) && a->families & FZRI_V4)
    *peer = fzr_addr_ipv4(peer->ip + 12, peer->port);
  return a->families & fzri_family_bit(peer->family) ? 0 : 443;
}

unsigned fzri_peer_check(const fzr_engine *e, const fzr_addr *client, const fzr_addr *peer, bool any_port,
                         fzri_peer_judgement *out)
{
  bool allowed = fzri_peer_policy_judge(&e->policy, peer, any_port, out) == FZR_PEER_ALLOWED;
  if (e->policy_fn) {
    fzr_addr asked = *peer;
    if (any_port && !asked.port)
      asked.port = e->lowest_port;
    if (!e->policy_fn(e->policy_ctx, client, &asked, allowed)) {
      if (allowed)
        *out = (fzri_peer_judgement){.reason = FZR_PEER_APPLICATION, .about = *peer};
      return 403;
    }
    allowed = true;
  }
  if (!allowed)
    return 403;
  return fzri_is_mapped(peer) ? 443 : 0;
}
