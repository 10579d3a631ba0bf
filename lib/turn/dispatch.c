/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include "alternate.h"
#include "answer.h"
#include "authenticate.h"
#include "dropped.h"
#include "handlers.h"
#include "journal.h"
#include "log.h"
#include "mobility.h"
#include "replace.h"

#include "../base/crypto.h"

/* All that the relay does, a row a method. The last one is for all others. */
static const fzri_method methods[] = {
    {FZR_STUN_BINDING, FZR_STAT_BINDING, false, false, fzri_handle_binding, "binding",
     "handle_binding_request"},
    {FZR_STUN_ALLOCATE, FZR_STAT_ALLOCATE, true, false, fzri_handle_allocate, "allocate",
     "handle_allocate_request"},
    {FZR_STUN_REFRESH, FZR_STAT_REFRESH, true, false, fzri_handle_refresh, "refresh",
     "handle_refresh_request"},
    {FZR_STUN_CHANNEL_BIND, FZR_STAT_CHANNEL_BIND, true, true, fzri_handle_channel_bind, "channelbind",
     "handle_channel_bind_request"},
    {FZR_STUN_CREATE_PERMISSION, FZR_STAT_CREATE_PERMISSION, true, true, fzri_handle_create_permission,
     "createpermission", "handle_create_permission_request"},
    {0, FZR_STAT_OTHER, true, false, NULL, "other", "handle_unknown_request"},
};
#define OTHER (sizeof methods / sizeof *methods - 1)

static const fzri_method *find_method(uint16_t number)
{
  const fzri_method *method = methods;
  while (method->handle && method->number != number)
    method++;
  return method;
}

unsigned fzr_stat_method_of(unsigned method)
{
  return method <= UINT16_MAX ? find_method((uint16_t)method)->stat : FZR_STAT_OTHER;
}

/* The row that is counted under |index|. */
static const fzri_method *row_of(unsigned index)
{
  for (size_t i = 0; i < OTHER; i++)
    if (methods[i].stat == index)
      return &methods[i];
  return &methods[OTHER];
}

const char *fzr_stat_method_name(unsigned index)
{
  return row_of(index)->name;
}

const char *fzr_stat_method_handler(unsigned index)
{
  return row_of(index)->handler;
}

/* Who mistyped a secret finds it here. Not who has no nonce of ours yet, as any client that begins, or one that may have been made for another
 * address: those need not be where they seem to be. */
static void log_failed_login(fzr_engine *e, const fzri_request *r, unsigned code)
{
  uint32_t count;
  if (code != 401 || r->refusal == FZR_REFUSAL_NO_CREDENTIALS || r->refusal == FZR_REFUSAL_NO_NONCE ||
      !fzri_log_wants(e, FZR_LOG_INFO) || !fzri_told_login(e->told, r->from, r->refusal, e->now, &count))
    return;
  fzr_log_record record = fzri_log_request(e, FZR_LOG_INFO, FZR_LOG_LOGIN_FAILED, r);
  record.error_code = (uint16_t)code;
  record.refusal = r->refusal;
  record.count = count;
  e->log(e->log_ctx, &record);
}

static void take_authenticated(fzr_engine *e, fzri_request *r)
{
  fzri_replace_look(e);
  r->allocation = fzri_replace_find(e, r->from, r->to);
  /* At the first request of a client, before it is asked for its credentials. One that has brought them hears it under its key. */
  if (fzri_alternate_wanted(e, r) && !fzri_signed_by(e, r)) {
    fzri_answer_error(e, r, 300);
    return;
  }
  fzri_mobility_look(e, r);
  const unsigned code = fzri_authenticate(e, r);
  if (r->dropped)
    return;
  log_failed_login(e, r, code);
  if (!r->method->handle)
    fzri_answer_error(e, r, fzri_refuse(r, 400, FZR_REFUSAL_METHOD));
  else if (code)
    fzri_answer_error(e, r, code);
  else if (r->msg.unknown_count)
    fzri_answer_not_understood(e, r);
  else
    r->method->handle(e, r);
}

/* Once a minute, of its prefix or of all: a flood of requests is no flood of lines. */
static void log_limited(fzr_engine *e, const fzri_request *r)
{
  if (!fzri_log_wants(e, FZR_LOG_WARN))
    return;
  if (r->method->authenticated && fzri_limits_proofs_are_used_up(&e->limits, r, e->now) &&
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
  const enum fzr_drop_reason reason = fzr_stun_read(data, len, &r.msg);
  if (reason)
    return reason;
  if (r.msg.cls != FZR_STUN_REQUEST) {
    if (r.msg.cls == FZR_STUN_INDICATION && r.msg.method == FZR_STUN_SEND)
      fzri_dropped_by_mode(e, from, to);
    return FZR_DROP_STUN_NOT_REQUEST;
  }
  r.method = find_method(r.msg.method);
  r.from = from;
  r.to = to;
  r.allocation = NULL;
  r.username = r.software = (fzr_stun_attr){0};
  r.peer = NULL;
  r.channel = 0;
  r.refusal = FZR_REFUSAL_NONE;
  r.attribute = 0;
  r.lack = 0;
  r.credential = (fzr_auth_key){0};
  r.ticket = FZRI_TICKET_NONE;
  r.algorithm = r.by = r.answer_by = 0;
  r.of_allocation = r.reached = r.verified = r.authenticated = r.paid = false;
  r.dropped = FZR_DROP_NONE;
  fzr_stun_get(&r.msg, FZR_ATTR_USERNAME, &r.username);
  fzr_stun_get(&r.msg, FZR_ATTR_SOFTWARE, &r.software);
  if (r.method->authenticated) {
    fzri_journal_begin(e);
    take_authenticated(e, &r);
    fzri_journal_commit(e);
    fzri_wipe(&r.credential, sizeof r.credential);
  } else {
    r.method->handle(e, &r);
  }
  if (r.dropped == FZR_DROP_RATE_LIMITED)
    log_limited(e, &r);
  return r.dropped;
}
