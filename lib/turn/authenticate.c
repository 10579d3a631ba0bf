/* SPDX-License-Identifier: Apache-2.0 */
#include "authenticate.h"

#include "allocation.h"

#include "../auth/key.h"
#include "../base/utf8.h"

/* Whether the credential, and the algorithm of its key, is the one that the allocation was used with last; the key is at hand then. For
 * an Allocate to which the allocation gives way it is as if there were none: a new allocation takes a credential that is good by
 * itself. */
static bool is_of_allocation(const fzr_engine *e, const fzri_request *r)
{
  const fzri_allocation *a = r->allocation;
  return a && a->key_algorithm == r->algorithm &&
         memcmp(fzri_origin_of(e, a)->credential_tag, r->credential_tag, sizeof r->credential_tag) == 0 &&
         !fzri_allocation_gives_way(e, a, &r->msg);
}

/* Makes the key that the allocation was used with, of whichever secret, the one of the request. */
static enum fzr_auth_result take_key_of_allocation(const fzr_engine *e, fzri_request *r)
{
  const fzri_allocation *a = r->allocation;
  memcpy(r->credential.key, a->key, sizeof a->key);
  r->credential.key_len = (uint8_t)fzri_key_len(a->key_algorithm);
  r->credential.algorithm = a->key_algorithm;
  r->credential.expires = a->key_expires;
  r->credential.sign_unauthenticated = fzri_scheme_signs_challenges(&e->scheme);
  return a->key_expires < fzri_unix_now(e) ? FZR_AUTH_EXPIRED : FZR_AUTH_OK;
}

/* Whether |r| is signed with |key|. Both HMACs, if both are there, are made with the same one: RFC 8489 section 9.2.4 has the better one
 * looked at. No fewer than all its bytes will do, for TURN does not say otherwise (section 14.6). */
static bool is_signed_with(const fzri_request *r, const fzr_auth_key *key)
{
  return r->by == FZRI_BY_SHA256 ? fzr_stun_verify_sha256(&r->msg, key->key, key->key_len, 32)
                                 : fzr_stun_verify(&r->msg, key->key, key->key_len);
}

/* Whether the MESSAGE-INTEGRITY verifies with the key of the second secret, which is then the credential: nothing else tells of which
 * one a password was made. */
static bool verify_second(const fzr_engine *e, fzri_request *r, enum fzr_auth_result *result)
{
  fzr_auth_key other;
  const enum fzr_auth_result second = fzri_scheme_lookup_second(
      &e->scheme, r->username.value, r->username.len, r->algorithm, fzri_unix_now(e), &other);
  const bool verified = second != FZR_AUTH_UNKNOWN && is_signed_with(r, &other);
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
  enum fzr_auth_result result = fzri_scheme_lookup(&e->scheme, r->username.value, r->username.len,
                                                   r->algorithm, fzri_unix_now(e), &r->credential);
  r->verified = result != FZR_AUTH_UNKNOWN && is_signed_with(r, &r->credential);
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
    r->verified = is_signed_with(r, &r->credential);
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

/* The user whose USERHASH it is, where users are to be found by that: as if he had sent his name. Returns whether there is a name, or a
 * hash that is nobody's. */
static bool find_user(const fzr_engine *e, fzri_request *r)
{
  fzr_stun_attr hash;
  if (r->username.value)
    return true;
  const uint32_t features = fzri_scheme_features(&e->scheme);
  if (features == FZRI_NO_COOKIE || !(features & FZR_FEATURE_USERNAME_ANONYMITY) ||
      !fzr_stun_get(&r->msg, FZR_ATTR_USERHASH, &hash))
    return false;
  const fzri_slice name =
      hash.len == FZR_STUN_USERHASH_LEN ? fzri_scheme_resolve(&e->scheme, hash.value) : (fzri_slice){NULL, 0};
  r->username = (fzr_stun_attr){name.data, FZR_ATTR_USERNAME, (uint16_t)name.len};
  return true;
}

/* With the stamp scheme the newer HMAC means nothing. */
uint8_t fzri_signed_by(const fzr_engine *e, const fzri_request *r)
{
  if (fzr_stun_has(&r->msg, FZR_ATTR_MESSAGE_INTEGRITY_SHA256) &&
      fzri_scheme_features(&e->scheme) != FZRI_NO_COOKIE)
    return FZRI_BY_SHA256;
  return fzr_stun_has(&r->msg, FZR_ATTR_MESSAGE_INTEGRITY) ? FZRI_BY_SHA1 : 0;
}

/* Reads the algorithm by which the client has made its key. |offered|: its nonce came with PASSWORD-ALGORITHMS. It has to give that
 * back as it was, for somebody on the way may have taken the better one out of it, and to name one of them. Returns 0 or 400. */
static unsigned read_algorithm(fzri_request *r, bool offered)
{
  fzr_stun_attr all, one;
  r->algorithm = FZR_PASSWORD_MD5;
  r->answer_by = r->by;
  const bool has_all = fzr_stun_get(&r->msg, FZR_ATTR_PASSWORD_ALGORITHMS, &all);
  const bool has_one = fzr_stun_get(&r->msg, FZR_ATTR_PASSWORD_ALGORITHM, &one);
  if (!offered || (!has_all && !has_one))
    return 0;
  if (!has_all || all.len != FZRI_OFFERED_LEN || memcmp(all.value, fzri_offered_algorithms, all.len) != 0)
    return fzri_refuse_attribute(r, FZR_ATTR_PASSWORD_ALGORITHMS);
  if (!has_one || one.len != FZRI_OFFERED_LEN / 2)
    return fzri_refuse_attribute(r, FZR_ATTR_PASSWORD_ALGORITHM);
  if (memcmp(one.value, fzri_offered_algorithms, one.len) == 0)
    r->algorithm = FZR_PASSWORD_SHA256;
  else if (memcmp(one.value, fzri_offered_algorithms + one.len, one.len) != 0)
    return fzri_refuse_attribute(r, FZR_ATTR_PASSWORD_ALGORITHM);
  /* Whoever names one gets the newer HMAC (RFC 8489 section 9.2.4), beside the older one if that is what he has sent. */
  r->answer_by |= FZRI_BY_SHA256;
  return 0;
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
  if (nonce == FZRI_NONCE_FOREIGN)
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

/* Looks at the NONCE, and at what came with it. Returns 0, or 400 if the client does not keep to what it was offered by it. */
static unsigned read_nonce(const fzr_engine *e, fzri_request *r, bool *has_nonce, enum fzri_nonce_kind *kind)
{
  fzr_stun_attr attr;
  uint32_t features = 0;
  *kind = FZRI_NONCE_FOREIGN;
  *has_nonce = fzr_stun_get(&r->msg, FZR_ATTR_NONCE, &attr);
  if (*has_nonce)
    *kind = fzri_nonce_check(&e->nonces, r->from, attr.value, attr.len, e->now + e->nonce_offset, &features);
  r->reached = *kind != FZRI_NONCE_FOREIGN;
  /* Without a nonce of ours nobody was offered anything that is known. What is wrong with that, the next nonce will mend. */
  return read_algorithm(r, r->reached && features != FZRI_NO_COOKIE &&
                               features & FZR_FEATURE_PASSWORD_ALGORITHMS);
}

unsigned fzri_authenticate(fzr_engine *e, fzri_request *r)
{
  bool has_nonce;
  enum fzri_nonce_kind nonce;
  enum fzr_auth_result result = FZR_AUTH_UNKNOWN;
  /* What follows hashes the username, and more than once. */
  if (r->username.len > FZRI_USERNAME_MAX || !fzri_utf8_valid(r->username.value, r->username.len))
    return fzri_refuse(r, 400, FZR_REFUSAL_USERNAME_TEXT);
  r->by = fzri_signed_by(e, r);
  if (!r->by || !find_user(e, r))
    return fzri_refuse(r, 401, FZR_REFUSAL_NO_CREDENTIALS);
  unsigned code = read_nonce(e, r, &has_nonce, &nonce);
  if (code)
    return code;
  fzri_siphash24_128(&e->hash_key, r->username.value, r->username.len, r->credential_tag);
  r->of_allocation = is_of_allocation(e, r);
  bool excused = r->reached && r->of_allocation && fzri_limits_excuse(r);
  /* Without a good nonce it is 401 or 438 either way; it is computed if that may have to be signed. */
  const bool wanted =
      r->username.value && (excused || nonce == FZRI_NONCE_FRESH || fzri_scheme_signs_challenges(&e->scheme));
  if (wanted && !excused && !fzri_limits_may_prove(&e->limits, r, e->now)) {
    r->dropped = FZR_DROP_RATE_LIMITED;
    return 401;
  }
  if (wanted)
    result = prove(e, r, &excused);
  code = judge(e, r, has_nonce, nonce, result);
  if (code && wanted && !excused)
    fzri_limits_proved_in_vain(&e->limits, r, e->now);
  r->authenticated = !code;
  return code;
}
