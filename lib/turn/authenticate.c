/* SPDX-License-Identifier: Apache-2.0 */
#include "authenticate.h"

#include "mobility.h"

#include "../base/utf8.h"

/* Whether the credential is the one that the allocation was used with last; its key is at hand then. For an Allocate to which the
 * allocation gives way it is as if there were none: a new allocation takes a credential that is good by itself. */
static bool is_of_allocation(const fzr_engine *e, const fzri_request *r)
{
  const fzri_allocation *a = r->allocation;
  return a && memcmp(a->credential_tag, r->credential_tag, sizeof a->credential_tag) == 0 &&
         !fzri_request_takes_over(e, r);
}

/* Makes the key that the allocation was used with, of whichever secret, the one of the request. */
static enum fzr_auth_result take_key_of_allocation(const fzr_engine *e, fzri_request *r)
{
  const fzri_allocation *a = r->allocation;
  memcpy(r->credential.key, a->key, sizeof a->key);
  r->credential.key_len = a->key_len;
  r->credential.algorithm = a->key_algorithm;
  r->credential.expires = a->key_expires;
  r->credential.sign_unauthenticated = fzri_scheme_signs_challenges(&e->scheme);
  return a->key_expires < fzri_unix_now(e) ? FZR_AUTH_EXPIRED : FZR_AUTH_OK;
}

/* Whether the MESSAGE-INTEGRITY verifies with the key of the second secret, which is then the credential: nothing else tells of which
 * one a password was made. */
static bool verify_second(const fzr_engine *e, fzri_request *r, enum fzr_auth_result *result)
{
  fzr_auth_key other;
  const enum fzr_auth_result second =
      fzri_scheme_lookup_second(&e->scheme, r->username.value, r->username.len, fzri_unix_now(e), &other);
  const bool verified = second != FZR_AUTH_UNKNOWN && fzr_stun_verify(&r->msg, other.key, other.key_len);
  if (verified) {
    r->credential = other;
    *result = second;
  }
  fzri_wipe(&other, sizeof other);
  return verified;
}

uint64_t fzri_user_of(const fzr_engine *e, const uint8_t *username, size_t len)
{
  const fzri_slice user = fzri_scheme_user(&e->scheme, username, len);
  return fzri_siphash13(&e->hash_key, user.data, user.len);
}

/* Computes the MESSAGE-INTEGRITY with the keys that the scheme has for the username. */
static enum fzr_auth_result prove_by_scheme(const fzr_engine *e, fzri_request *r)
{
  enum fzr_auth_result result =
      fzri_scheme_lookup(&e->scheme, r->username.value, r->username.len, fzri_unix_now(e), &r->credential);
  r->verified =
      result != FZR_AUTH_UNKNOWN && fzr_stun_verify(&r->msg, r->credential.key, r->credential.key_len);
  if (!r->verified)
    r->verified = verify_second(e, r, &result);
  return result;
}

/* Computes the MESSAGE-INTEGRITY. Returns what the scheme says of the username; r->verified says whether a key of it was used. That of
 * an allocation is tried first where it can't be another by now; then those of secrets that have come since, which is no longer
 * |*excused| from what proofs in vain cost. */
static enum fzr_auth_result prove(const fzr_engine *e, fzri_request *r, bool *excused)
{
  enum fzr_auth_result result = FZR_AUTH_UNKNOWN;
  const bool stays = fzri_scheme_keys_stay(&e->scheme, r->username.value, r->username.len);
  if (r->of_allocation && stays) {
    result = take_key_of_allocation(e, r);
    r->verified = fzr_stun_verify(&r->msg, r->credential.key, r->credential.key_len);
    if (!r->verified && *excused && !fzri_limits_may_prove(&e->limits, r, e->now))
      return result;
  }
  if (!r->verified) {
    *excused = *excused && !stays;
    result = prove_by_scheme(e, r);
  }
  if (r->verified)
    r->user = fzri_user_of(e, r->username.value, r->username.len);
  return result;
}

/* Whether a credential whose time is over is the one that the allocation was used with last, and made by a secret that is still good: who
 * takes a secret away means what was made of it. */
static bool is_outlived(const fzr_engine *e, const fzri_request *r)
{
  if (!r->of_allocation || !fzri_scheme_outlives(&e->scheme))
    return false;
  return !fzri_scheme_keys_stay(&e->scheme, r->username.value, r->username.len) ||
         (fzri_equal_ct(r->allocation->key, r->credential.key, sizeof r->credential.key) &&
          fzri_scheme_makes(&e->scheme, r->username.value, r->username.len, &r->credential));
}

static bool realm_is_ours(const fzr_engine *e, const fzr_stun_msg *msg)
{
  fzr_stun_attr realm;
  if (!fzr_stun_get(msg, FZR_ATTR_REALM, &realm))
    return true;
  return realm.len == strlen(e->scheme.realm) && memcmp(realm.value, e->scheme.realm, realm.len) == 0;
}

/* The rules, once all is known. A missing NONCE is 401 and not 400, and a nonce that is no good is always 438, whatever else is
 * wrong. An old nonce is good for requests of its 5-tuple's allocation: some clients of calls that last longer than an hour do not
 * live through a 438. */
static unsigned judge(const fzr_engine *e, fzri_request *r, bool has_nonce, enum fzri_nonce_kind nonce,
                      enum fzr_auth_result result)
{
  if (!has_nonce)
    return fzri_refuse(r, 401, FZR_REFUSAL_NO_NONCE);
  if (nonce == FZRI_NONCE_FOREIGN && !(r->verified && fzri_mobility_vouches(r)))
    return fzri_refuse(r, 438, FZR_REFUSAL_NONCE_FOREIGN);
  if (nonce == FZRI_NONCE_OLD && !(r->verified && r->of_allocation))
    return fzri_refuse(r, 438, FZR_REFUSAL_NONCE_OLD);
  if (!r->verified)
    return fzri_refuse(r, 401, result == FZR_AUTH_UNKNOWN ? FZR_REFUSAL_USERNAME : FZR_REFUSAL_PASSWORD);
  if (!realm_is_ours(e, &r->msg))
    return fzri_refuse(r, 401, FZR_REFUSAL_REALM);
  /* Whoever has another credential has to have one that is valid. */
  if (result == FZR_AUTH_OK || is_outlived(e, r))
    return 0;
  return fzri_refuse(r, 401, FZR_REFUSAL_EXPIRED);
}

unsigned fzri_authenticate(fzr_engine *e, fzri_request *r)
{
  fzr_stun_attr attr;
  enum fzri_nonce_kind nonce = FZRI_NONCE_FOREIGN;
  enum fzr_auth_result result = FZR_AUTH_UNKNOWN;
  /* What follows hashes the username, and more than once. */
  if (r->username.len > FZRI_USERNAME_MAX || !fzri_utf8_valid(r->username.value, r->username.len))
    return fzri_refuse(r, 400, FZR_REFUSAL_USERNAME_TEXT);
  if (!fzr_stun_has(&r->msg, FZR_ATTR_MESSAGE_INTEGRITY) || !r->username.value)
    return fzri_refuse(r, 401, FZR_REFUSAL_NO_CREDENTIALS);
  const bool has_nonce = fzr_stun_get(&r->msg, FZR_ATTR_NONCE, &attr);
  if (has_nonce)
    nonce = fzri_nonce_check(&e->nonces, r->from, attr.value, attr.len, e->now);
  r->reached = nonce != FZRI_NONCE_FOREIGN;
  fzri_siphash24_128(&e->hash_key, r->username.value, r->username.len, r->credential_tag);
  r->of_allocation = is_of_allocation(e, r);
  bool excused = r->reached && r->of_allocation && fzri_limits_excuse(r);
  /* Without a good nonce it is 401 or 438 either way; it is computed if that may have to be signed. */
  const bool wanted = excused || nonce == FZRI_NONCE_FRESH || fzri_mobility_vouches(r) ||
                      fzri_scheme_signs_challenges(&e->scheme);
  if (wanted && !excused && !fzri_limits_may_prove(&e->limits, r, e->now)) {
    r->dropped = FZR_DROP_RATE_LIMITED;
    return 401;
  }
  if (wanted)
    result = prove(e, r, &excused);
  const unsigned code = judge(e, r, has_nonce, nonce, result);
  if (code && wanted && !excused)
    fzri_limits_proved_in_vain(&e->limits, r, e->now);
  r->authenticated = !code;
  return code;
}
