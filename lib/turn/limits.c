/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

#include "request.h"

#include "../base/bytes.h"

#include <string.h>

#define ERROR_RATE  10u  /* errors a second for a 5-tuple */
#define ERROR_BURST 10u  /* seconds of them at once: after a restart a client hears of each of its channels */
#define ERROR_COST  100u /* tokens of its bucket */
#define PEERS_READ  32u  /* of a request: by them a repeat is known */
#define PROOF_RATE  20000u /* a second: 2 to 4 % of a core */
#define PROOF_SIZE  512u   /* bytes of a message that are one token's worth of hashing */
#define OWN_SIZE    1500u  /* no client sends a request in fragments */

/* Tokens, of which a second's errors are as many as there may be of them: so half of the errors are had at once, and half each second, and
 * no second has more than it may. */
#define REPEAT_COST 2u

/* A 5-tuple has three buckets, and a prefix two, so that nobody can use up another's: who forges a source address has no nonce of
 * it, and who is reached at one need not have a key. */
enum { OF_ANYONE, OF_THE_REACHED, OF_THE_AUTHENTICATED };

static uint64_t proof_rate(const fzr_config *config)
{
  if (config->integrity_rate)
    return config->integrity_rate == FZR_UNLIMITED ? 0 : config->integrity_rate;
  return config->unauthenticated_rate == FZR_UNLIMITED ? 0 : PROOF_RATE;
}

int fzri_limits_init(fzri_limits *limits, fzri_mem *mem, const fzr_config *config,
                     const fzri_siphash_key *key)
{
  const uint64_t strangers = config->unauthenticated_rate == FZR_UNLIMITED ? 0 : config->unauthenticated_rate;
  uint64_t errors = config->error_rate ? config->error_rate : ERROR_RATE;
  if (config->error_rate == FZR_UNLIMITED)
    errors = 0;
  *limits = (fzri_limits){.proof_rate = proof_rate(config), .proof_tries = 1};
  int error =
      fzri_rate_limit_init(&limits->tuples, mem, errors * ERROR_COST, ERROR_BURST * errors * ERROR_COST, key);
  if (!error)
    error =
        fzri_rate_limit_init(&limits->repeats, mem, errors, errors > REPEAT_COST ? errors : REPEAT_COST, key);
  if (!error)
    error = fzri_rate_limit_init(&limits->prefixes, mem, strangers, config->unauthenticated_burst, key);
  if (error)
    fzri_limits_free(limits);
  return error;
}

void fzri_limits_free(fzri_limits *limits)
{
  fzri_rate_limit_free(&limits->prefixes);
  fzri_rate_limit_free(&limits->repeats);
  fzri_rate_limit_free(&limits->tuples);
}

bool fzri_limits_binding(fzri_limits *limits, const fzr_addr *from, fzr_time now)
{
  return fzri_rate_limit_take(&limits->prefixes, fzri_rate_prefix(&limits->prefixes, from, OF_ANYONE), 1,
                              now);
}

bool fzri_limits_are_used_up(const fzri_limits *limits, const fzr_addr *from, fzr_time now)
{
  const fzri_rate_limit *prefixes = &limits->prefixes;
  return !fzri_rate_limit_has_own(prefixes, fzri_rate_prefix(prefixes, from, OF_ANYONE), 1, now) ||
         !fzri_rate_limit_has_own(prefixes, fzri_rate_prefix(prefixes, from, OF_THE_REACHED), 1, now);
}

static uint64_t tuple_of(const fzri_limits *limits, const fzri_request *r)
{
  const unsigned kind = r->authenticated ? OF_THE_AUTHENTICATED : r->reached ? OF_THE_REACHED : OF_ANYONE;
  return fzri_rate_tuple(&limits->tuples, r->from, r->to, kind);
}

/* A client binds a channel for each address that its peers tell it of, hundreds at once after a restart, and many of them are out
 * of bounds: errors for one that has an allocation cost little. */
static uint64_t error_cost(const fzri_request *r)
{
  return r->method->names_peers && r->authenticated && r->allocation ? 1 : ERROR_COST;
}

/* One answer for the prefix of one who is not authenticated. */
static bool take_of_prefix(fzri_limits *limits, const fzri_request *r, fzr_time now)
{
  fzri_rate_limit *prefixes = &limits->prefixes;
  if (!r->method->authenticated)
    return true; /* it has paid */
  if (!r->reached)
    return fzri_limits_binding(limits, r->from, now);
  return r->paid ||
         fzri_rate_limit_take_own(prefixes, fzri_rate_prefix(prefixes, r->from, OF_THE_REACHED), 1, now);
}

/* What was refused, so that a client which asks for the same again is known by it, whatever transaction it makes of that. */
static uint64_t what_was_refused(unsigned method, unsigned code)
{
  return (uint64_t)method << 32 | code;
}

/* Nothing but a client's own requests can come out the same: whose they are is hashed with a key. */
static uint64_t mix(uint64_t what, uint64_t more)
{
  what = (what ^ more) * 0x9e3779b97f4a7c15u;
  return what ^ what >> 32;
}

/* The same with the channel and the peers that |r| names: a client hears of each of many at once. */
static uint64_t with_peers(const fzri_request *r, uint64_t what)
{
  fzr_stun_attr attr;
  fzr_addr peer;
  uint64_t words[sizeof peer / sizeof(uint64_t)];
  uint16_t offset = 0;
  unsigned left = PEERS_READ;
  while (left && fzri_request_next(r, &offset, &attr)) {
    if (attr.type == FZR_ATTR_CHANNEL_NUMBER && attr.len == 4)
      what = mix(what, fzri_get16(attr.value));
    if (attr.type != FZR_ATTR_XOR_PEER_ADDRESS || !fzr_stun_attr_addr(&r->msg, &attr, &peer))
      continue;
    memcpy(words, &peer, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
      what = mix(what, words[i]);
    left--;
  }
  return what;
}

static uint64_t repeat_of(const fzri_limits *limits, const fzri_request *r, uint64_t tuple, unsigned code)
{
  const uint64_t what = what_was_refused(r->msg.method, code);
  return fzri_rate_each(&limits->repeats, tuple, r->method->names_peers ? with_peers(r, what) : what);
}

bool fzri_limits_error(fzri_limits *limits, const fzri_request *r, unsigned code, fzr_time now)
{
  const uint64_t tuple = tuple_of(limits, r), cost = error_cost(r);
  /* Looked at first: a client that floods must not use up what its neighbours have together. */
  if (!r->paid && !fzri_rate_limit_has_own(&limits->tuples, tuple, cost, now))
    return false;
  const uint64_t repeat = repeat_of(limits, r, tuple, code);
  if (!fzri_rate_limit_has_own(&limits->repeats, repeat, REPEAT_COST, now))
    return false;
  if (!r->authenticated && !take_of_prefix(limits, r, now))
    return false;
  return (r->paid || fzri_rate_limit_take_own(&limits->tuples, tuple, cost, now)) &&
         fzri_rate_limit_take_own(&limits->repeats, repeat, REPEAT_COST, now);
}

bool fzri_limits_late_error(fzri_limits *limits, const fzr_addr *client, const fzr_addr *server,
                            unsigned code, fzr_time now)
{
  const uint64_t tuple = fzri_rate_tuple(&limits->tuples, client, server, OF_THE_AUTHENTICATED);
  const uint64_t repeat = fzri_rate_each(&limits->repeats, tuple, what_was_refused(FZR_STUN_ALLOCATE, code));
  return fzri_rate_limit_has_own(&limits->repeats, repeat, REPEAT_COST, now) &&
         fzri_rate_limit_take_own(&limits->tuples, tuple, ERROR_COST, now) &&
         fzri_rate_limit_take_own(&limits->repeats, repeat, REPEAT_COST, now);
}

/* The key that an allocation was used with is tried, too. */
static uint64_t proof_cost(const fzri_limits *limits, const fzri_request *r)
{
  return (limits->proof_tries + r->of_allocation) * (1 + r->msg.len / PROOF_SIZE);
}

bool fzri_limits_excuse(const fzri_request *r)
{
  return r->msg.len <= OWN_SIZE;
}

bool fzri_limits_proofs_are_used_up(const fzri_limits *limits, const fzri_request *r, fzr_time now)
{
  const uint64_t rate = limits->proof_rate;
  return rate && !fzri_bucket_has(&limits->proofs[r->reached], rate, 2 * rate, proof_cost(limits, r), now);
}

bool fzri_limits_may_prove(const fzri_limits *limits, const fzri_request *r, fzr_time now)
{
  const fzri_rate_limit *prefixes = &limits->prefixes;
  if (fzri_limits_proofs_are_used_up(limits, r, now) ||
      !fzri_rate_limit_has_own(&limits->tuples, tuple_of(limits, r), ERROR_COST, now))
    return false;
  /* What would not be answered is not worth a proof that others could have: all prefixes share |proofs|. */
  return r->reached
             ? fzri_rate_limit_has_own(prefixes, fzri_rate_prefix(prefixes, r->from, OF_THE_REACHED), 1, now)
             : fzri_rate_limit_has(prefixes, fzri_rate_prefix(prefixes, r->from, OF_ANYONE), 1, now);
}

void fzri_limits_proved_in_vain(fzri_limits *limits, fzri_request *r, fzr_time now)
{
  fzri_rate_limit *prefixes = &limits->prefixes;
  const uint64_t rate = limits->proof_rate;
  if (rate)
    fzri_bucket_take(&limits->proofs[r->reached], rate, 2 * rate, proof_cost(limits, r), now);
  fzri_rate_limit_take_own(&limits->tuples, tuple_of(limits, r), ERROR_COST, now);
  if (r->reached)
    fzri_rate_limit_take_own(prefixes, fzri_rate_prefix(prefixes, r->from, OF_THE_REACHED), 1, now);
  r->paid = true;
}
