/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "allocation.h"
#include "answer.h"

#include "../base/crypto.h"

/* Whether the username is that of the credential which the allocation's last request was made with; its key is at hand
 * then. A callback is asked each time: what it says may change. */
static bool cached_credential(const fzr_engine *e, fzri_request *r, enum fzr_auth_result *result)
{
  const fzri_allocation *a = r->allocation;
  if (!a || e->scheme.kind == FZR_AUTH_CALLBACK || memcmp(a->user_tag, r->user_tag, sizeof a->user_tag) != 0)
    return false;
  memcpy(r->credential.key, a->key, sizeof a->key);
  r->credential.expires = a->key_expires;
  r->credential.sign_unauthenticated = a->sign_unauthenticated;
  *result = a->key_expires < fzri_unix_now(e) ? FZR_AUTH_EXPIRED : FZR_AUTH_OK;
  return true;
}

/* Finds the key of the request's username. */
static enum fzr_auth_result find_credential(const fzr_engine *e, fzri_request *r)
{
  enum fzr_auth_result result;
  if (!r->username.value)
    return FZR_AUTH_UNKNOWN;
  fzri_siphash24_128(&e->hash_key, r->username.value, r->username.len, r->user_tag);
  if (!cached_credential(e, r, &result))
    result =
        fzri_scheme_lookup(&e->scheme, r->username.value, r->username.len, fzri_unix_now(e), &r->credential);
  else
    r->cached = true;
  r->looked_up = true;
  r->has_key = result != FZR_AUTH_UNKNOWN;
  return result;
}

/* Whether the MESSAGE-INTEGRITY verifies with a key of the username, which is then the credential. Where there are two secrets, nothing
 * but that tells of which one a password was made: the second is tried after the first has failed, and only then. */
static bool verify(const fzr_engine *e, fzri_request *r)
{
  fzr_auth_key other;
  r->tried = true;
  if (!r->has_key)
    return false;
  if (fzr_stun_verify(&r->msg, r->credential.key))
    return true;
  if (r->cached || fzri_scheme_lookup_second(&e->scheme, r->username.value, r->username.len, fzri_unix_now(e),
                                             &other) == FZR_AUTH_UNKNOWN)
    return false;
  const bool verified = fzr_stun_verify(&r->msg, other.key);
  if (verified)
    r->credential = other;
  fzri_wipe(&other, sizeof other);
  return verified;
}

static bool realm_is_ours(const fzr_engine *e, const fzr_stun_msg *msg)
{
  fzr_stun_attr realm;
  if (!fzr_stun_get(msg, FZR_ATTR_REALM, &realm))
    return true;
  return realm.len == strlen(e->scheme.realm) && memcmp(realm.value, e->scheme.realm, realm.len) == 0;
}

/* The check of everything but Binding. Returns 0, or 401 or 438. RFC 8489 section 9.2.4, with protocol decisions: a missing NONCE
 * is 401 and not 400, and a nonce that is no good is always 438, whatever else is wrong. */
static unsigned authenticate(fzr_engine *e, fzri_request *r)
{
  fzr_stun_attr nonce;
  if (!fzr_stun_has(&r->msg, FZR_ATTR_MESSAGE_INTEGRITY) || !r->username.value ||
      !fzr_stun_get(&r->msg, FZR_ATTR_NONCE, &nonce))
    return 401;
  if (!fzri_nonce_check(&e->nonces, r->from, nonce.value, nonce.len, e->now))
    return 438;
  if (!realm_is_ours(e, &r->msg))
    return 401;
  if (find_credential(e, r) != FZR_AUTH_OK)
    return 401;
  if (!verify(e, r))
    return 401;
  r->authenticated = true;
  return 0;
}

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

/* Answers a stranger, within the rate of his prefix. The key that such an answer may have to be signed with is looked for only
 * when there will be one. */
static enum fzr_drop_reason answer_stranger(fzr_engine *e, fzri_request *r, unsigned code)
{
  if (!fzri_rate_limit_take(&e->strangers, r->from, e->now))
    return FZR_DROP_RATE_LIMITED;
  if (!r->looked_up)
    find_credential(e, r);
  if (*e->scheme.second_secret && !r->tried && fzr_stun_has(&r->msg, FZR_ATTR_MESSAGE_INTEGRITY))
    (void)verify(e, r);
  fzri_answer_error(e, r, code);
  return FZR_DROP_NONE;
}

static enum fzr_drop_reason take_binding(fzr_engine *e, fzri_request *r)
{
  if (!fzri_rate_limit_take(&e->strangers, r->from, e->now))
    return FZR_DROP_RATE_LIMITED;
  fzri_handle_binding(e, r);
  return FZR_DROP_NONE;
}

static enum fzr_drop_reason take_authenticated(fzr_engine *e, fzri_request *r)
{
  if (!known_method(r->msg.method))
    return answer_stranger(e, r, 400);
  r->allocation = fzri_allocation_find(e, r->from, r->to);
  const unsigned code = authenticate(e, r);
  if (code)
    return answer_stranger(e, r, code);
  if (r->msg.unknown_count)
    fzri_answer_unknown(e, r, r->msg.unknown,
                        r->msg.unknown_count < FZR_STUN_UNKNOWN_MAX ? r->msg.unknown_count
                                                                    : FZR_STUN_UNKNOWN_MAX);
  else
    dispatch(e, r);
  return FZR_DROP_NONE;
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
  r.has_key = r.looked_up = r.cached = r.tried = r.authenticated = false;
  fzr_stun_get(&r.msg, FZR_ATTR_USERNAME, &r.username);
  fzr_stun_get(&r.msg, FZR_ATTR_SOFTWARE, &r.software);
  const enum fzr_drop_reason dropped =
      r.msg.method == FZR_STUN_BINDING ? take_binding(e, &r) : take_authenticated(e, &r);
  fzri_wipe(&r.credential, sizeof r.credential);
  return dropped;
}

fzri_allocation *fzri_request_allocation(fzr_engine *e, fzri_request *r)
{
  fzri_allocation *a = r->allocation;
  if (!a || a->state != FZRI_ALLOCATION_LIVE) {
    fzri_answer_error(e, r, 437);
    return NULL;
  }
  if (memcmp(a->user_tag, r->user_tag, sizeof a->user_tag) == 0)
    return a;
  if (!fzri_scheme_users_may_change(&e->scheme)) {
    fzri_answer_error(e, r, 441);
    return NULL;
  }
  /* The portal gave the client fresh credentials: the next requests come with those. */
  memcpy(a->user_tag, r->user_tag, sizeof a->user_tag);
  memcpy(a->key, r->credential.key, sizeof a->key);
  a->key_expires = r->credential.expires;
  a->sign_unauthenticated = r->credential.sign_unauthenticated;
  return a;
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

bool fzri_peer_allowed(const fzr_engine *e, const fzr_addr *client, const fzr_addr *peer, bool any_port,
                       fzri_peer_judgement *out)
{
  const bool by_default = fzri_peer_policy_judge(&e->policy, peer, any_port, out) == FZR_PEER_ALLOWED;
  if (!e->policy_fn)
    return by_default;
  fzr_addr asked = *peer;
  if (any_port && !asked.port)
    asked.port = e->lowest_port;
  const bool allowed = e->policy_fn(e->policy_ctx, client, &asked, by_default);
  if (by_default && !allowed)
    *out = (fzri_peer_judgement){.reason = FZR_PEER_APPLICATION, .about = *peer};
  return allowed;
}
