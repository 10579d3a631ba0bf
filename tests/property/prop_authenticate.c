/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in, what he is told, and whether that is signed: every way to be right or wrong, against the rules as README and RFC 8489
 * section 9.2.4 have them, written down once more as a naive function. */
#include "prng.h"
#include "relay.h"

#include <stdio.h>

enum scheme { STAMP, REST, STATIC };
/* Whose credential the request names, seen from the one that made the allocation. */
enum user { OWN, RENEWED, ANOTHER, EXPIRED, UNKNOWN, TOO_LONG, NOBODY, USERS };
enum integrity { RIGHT, WRONG, NO_INTEGRITY, INTEGRITIES };
enum nonce { FRESH, OLD, FOREIGN, NO_NONCE, NONCES };
enum realm { OURS, NO_REALM, NOT_OURS, REALMS };
/* As clients have always done it; with the algorithm of the key named, as RFC 8489 has it; and after somebody on the way has taken the
 * better algorithm out of what was offered. */
enum manner { PLAIN, BY_MD5, BY_SHA256, BID_DOWN, MANNERS };

typedef struct situation {
  enum scheme scheme;
  enum user user;
  enum integrity integrity;
  enum nonce nonce;
  enum realm realm;
  enum manner manner;
  bool hash;      /* USERHASH in place of USERNAME */
  bool allocated; /* in the plain manner */
  bool outlive;
  uint16_t method; /* Refresh, or one that nobody knows */
} situation;

typedef struct outcome {
  unsigned code;
  bool is_signed;
} outcome;

#define NEXT_HOUR (FZT_UNIX_NOW + 7200)

/* ---- the rules ---- */

static bool has_password(const situation *s)
{
  return s->user < UNKNOWN;
}

static bool is_of_allocation(const situation *s)
{
  return s->allocated && s->user == OWN && s->manner != BY_SHA256;
}

/* Whether it was offered something by a nonce of its own, and does not keep to that. */
static bool is_bid_down(const situation *s)
{
  return s->manner == BID_DOWN && (s->nonce == FRESH || s->nonce == OLD);
}

/* A hash is nobody's where names have an expiry. */
static bool has_name(const situation *s)
{
  return s->user != NOBODY && !(s->hash && s->scheme == REST);
}

/* Whether the relay finds out that the sender knows the password: it looks if that matters. */
static bool is_verified(const situation *s)
{
  if (!has_password(s) || !has_name(s) || s->integrity != RIGHT || is_bid_down(s))
    return false;
  return s->nonce == FRESH || (s->nonce == OLD && is_of_allocation(s)) || s->scheme == STAMP;
}

static unsigned let_in(const situation *s)
{
  if (s->user == TOO_LONG)
    return 400;
  if (s->integrity == NO_INTEGRITY || !has_name(s) || s->nonce == NO_NONCE)
    return 401;
  if (is_bid_down(s))
    return 400;
  if (s->nonce == FOREIGN)
    return 438;
  if (s->nonce == OLD && !(is_of_allocation(s) && s->integrity == RIGHT))
    return 438;
  if (!has_password(s) || s->integrity == WRONG || s->realm == NOT_OURS)
    return 401;
  /* Its name is the one of the allocation's user, but it is not the credential that the allocation was used with. */
  if (s->user == EXPIRED)
    return 401;
  return 0;
}

static outcome expected(const situation *s)
{
  outcome o = {let_in(s), false};
  const bool same_user = s->user == OWN || s->user == RENEWED || s->user == EXPIRED;
  if (s->method != FZR_STUN_REFRESH)
    o.code = 400;
  else if (!o.code && !s->allocated)
    o.code = 437;
  else if (!o.code && s->scheme != STAMP && !same_user)
    o.code = 441;
  o.is_signed = is_verified(s) && ((o.code != 401 && o.code != 438) || s->scheme == STAMP);
  return o;
}

/* ---- the relay ---- */

static const fzr_user users[] = {{"own", "a", NULL}, {"another", "b", NULL}};
static uint8_t key256[FZR_STUN_KEY_MAX]; /* of the same user by SHA-256 */

static void make_key(fzt_client_state *c, const char *password)
{
  fzr_auth_long_term_key(FZR_PASSWORD_SHA256, (const uint8_t *)c->username, strlen(c->username), "firezone",
                         password, key256);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c->username, strlen(c->username), "firezone",
                         password, c->key);
}

static void use_static(fzt_client_state *c, enum user user)
{
  snprintf(c->username, sizeof c->username, "%s", user == OWN ? "own" : user == ANOTHER ? "another" : "who");
  make_key(c, user == OWN ? "a" : user == ANOTHER ? "b" : "c");
}

static void use_expiring(fzt_client_state *c, enum scheme scheme, enum user user)
{
  char password[64];
  const char *name = user == ANOTHER ? "another" : "own";
  const uint64_t expiry = user == EXPIRED   ? FZT_UNIX_NOW - 1
                          : user == RENEWED ? (uint64_t)NEXT_HOUR + 1
                                            : (uint64_t)NEXT_HOUR;
  snprintf(c->username, sizeof c->username, "%llu:%s", (unsigned long long)expiry, name);
  if (scheme == STAMP)
    fzr_auth_stamp_password(FZT_SECRET, expiry, (const uint8_t *)name, strlen(name), password,
                            sizeof password);
  else
    fzr_auth_rest_password(FZT_SECRET, (const uint8_t *)c->username, strlen(c->username), password,
                           sizeof password);
  if (user == UNKNOWN)
    snprintf(c->username, sizeof c->username, "nobody:x");
  make_key(c, password);
}

static void use(fzt_client_state *c, const situation *s, enum user user)
{
  if (s->scheme == STATIC)
    use_static(c, user);
  else
    use_expiring(c, s->scheme, user);
  if (user == TOO_LONG) {
    memset(c->username, '1', 509);
    c->username[509] = 0;
  }
}

static void take_nonce(fzt_relay *relay, fzt_client_state *c)
{
  uint8_t buffer[64];
  const uint8_t txid[FZR_STUN_TXID_LEN] = {9};
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_REFRESH, FZR_STUN_REQUEST, txid);
  fzt_client(relay, &c->addr, &c->server, buffer, (size_t)fzr_stun_build_finish(&b));
  fzt_check(relay->answer_count == 1);
  fzt_check(fzr_stun_read(relay->answers[0].data, relay->answers[0].len, &msg) == 0);
  fzt_check(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(c->nonce, nonce.value, nonce.len);
  c->nonce_len = nonce.len;
}

static void arrive(fzt_relay *relay, fzt_client_state *c, const situation *s)
{
  use(c, s, OWN);
  take_nonce(relay, c);
  if (s->allocated)
    fzt_check(fzt_allocate(relay, c) == 0);
  if (s->nonce == OLD) {
    if (s->allocated)
      fzt_check(fzt_refresh(relay, c, 3600) == 0);
    fzt_pass(relay, 3500 * FZR_SECOND);
    if (s->allocated)
      fzt_check(fzt_refresh(relay, c, 3600) == 0);
    fzt_pass(relay, 200 * FZR_SECOND);
  }
  if (s->nonce == FOREIGN)
    c->nonce[c->nonce_len - 3] ^= 1;
}

static void add_user(fzr_stun_builder *b, const fzt_client_state *c, const situation *s)
{
  uint8_t hash[FZR_STUN_USERHASH_LEN];
  const uint8_t *name = (const uint8_t *)c->username;
  if (s->user == NOBODY)
    return;
  fzr_auth_userhash(name, strlen(c->username), "firezone", hash);
  if (s->hash)
    fzr_stun_add(b, FZR_ATTR_USERHASH, hash, sizeof hash);
  else
    fzr_stun_add(b, FZR_ATTR_USERNAME, name, strlen(c->username));
}

static void sign(fzr_stun_builder *b, const fzt_client_state *c, const situation *s)
{
  static const uint16_t offered[] = {FZR_PASSWORD_SHA256, FZR_PASSWORD_MD5};
  const bool by_sha256 = s->manner == BY_SHA256;
  if (s->manner != PLAIN) {
    fzr_stun_add_algorithms(b, FZR_ATTR_PASSWORD_ALGORITHMS, s->manner == BID_DOWN ? offered + 1 : offered,
                            s->manner == BID_DOWN ? 1 : 2);
    fzr_stun_add_algorithms(b, FZR_ATTR_PASSWORD_ALGORITHM, by_sha256 ? offered : offered + 1, 1);
  }
  if (s->integrity == NO_INTEGRITY)
    return;
  if (s->manner == PLAIN)
    fzr_stun_add_integrity(b, c->key, sizeof c->key);
  else
    fzr_stun_add_integrity_sha256(b, by_sha256 ? key256 : c->key, by_sha256 ? sizeof key256 : sizeof c->key,
                                  32);
}

/* By the HMAC that is to be there, and by no other. */
static bool is_signed(const fzr_stun_msg *msg, const fzt_client_state *c, const situation *s)
{
  const bool plain = s->manner == PLAIN, by_sha256 = s->manner == BY_SHA256;
  const bool old = fzr_stun_has(msg, FZR_ATTR_MESSAGE_INTEGRITY);
  const bool new = fzr_stun_has(msg, FZR_ATTR_MESSAGE_INTEGRITY_SHA256);
  fzt_check(plain ? !new : !old);
  fzt_check(!old || fzr_stun_verify(msg, c->key, FZR_STUN_KEY_LEN));
  fzt_check(!new || fzr_stun_verify_sha256(msg, by_sha256 ? key256 : c->key,
                                           by_sha256 ? sizeof key256 : sizeof c->key, 32));
  return old || new;
}

static outcome ask(fzt_relay *relay, fzt_client_state *c, const situation *s)
{
  uint8_t buffer[1500], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  use(c, s, s->user);
  fzt_fill(&relay->prng, txid, sizeof txid);
  fzr_stun_build(&b, buffer, sizeof buffer, s->method, FZR_STUN_REQUEST, txid);
  add_user(&b, c, s);
  if (s->realm != NO_REALM)
    fzr_stun_add(&b, FZR_ATTR_REALM, s->realm == OURS ? "firezone" : "elsewhere", s->realm == OURS ? 8 : 9);
  if (s->nonce != NO_NONCE)
    fzr_stun_add(&b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
  sign(&b, c, s);
  if (s->integrity == WRONG)
    b.data[b.len - 1] ^= 1;
  fzt_client(relay, &c->addr, &c->server, buffer, (size_t)fzr_stun_build_finish(&b));
  fzt_check(relay->answer_count == 1);
  fzt_check(fzr_stun_read(relay->answers[0].data, relay->answers[0].len, &msg) == 0);
  const outcome got = {fzr_stun_error_code(&msg), is_signed(&msg, c, s)};
  fzt_check(fzr_stun_has(&msg, FZR_ATTR_NONCE) == (got.code == 401 || got.code == 438));
  fzt_check(fzr_stun_has(&msg, FZR_ATTR_PASSWORD_ALGORITHMS) ==
            (s->scheme != STAMP && fzr_stun_has(&msg, FZR_ATTR_NONCE)));
  return got;
}

static bool agrees(const situation *s)
{
  static fzt_relay relay;
  fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  config.auth = s->scheme == STAMP ? FZR_AUTH_STAMP : s->scheme == REST ? FZR_AUTH_REST : FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 2;
  config.allocations_outlive_credentials = s->outlive;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  arrive(&relay, &c, s);
  const outcome want = expected(s), got = ask(&relay, &c, s);
  fzt_relay_free(&relay);
  if (want.code == got.code && want.is_signed == got.is_signed)
    return true;
  printf("scheme %d user %d integrity %d nonce %d realm %d manner %d hash %d allocated %d outlive %d method "
         "%d: %u %s, not %u %s\n",
         s->scheme, s->user, s->integrity, s->nonce, s->realm, s->manner, s->hash, s->allocated, s->outlive,
         s->method, got.code, got.is_signed ? "signed" : "bare", want.code,
         want.is_signed ? "signed" : "bare");
  return false;
}

/* Another manner, at random, where there are others. */
static bool vary(situation *s, fzt_prng *prng)
{
  if (s->scheme == STAMP)
    return false;
  s->manner = (enum manner)(1 + fzt_below(prng, MANNERS - 1));
  s->hash = s->user != TOO_LONG && fzt_below(prng, 2);
  return true;
}

/* All of them in the plain manner, and each in one of the others: 3 schemes, and for each 7 users, 3 integrities, 4 nonces, 3 realms, and three times two more. */
START_TEST(test_every_situation)
{
  unsigned n = 0, wrong = 0;
  fzt_prng prng = {fzt_seed("authenticate")};
  for (unsigned i = 0; i < (unsigned)USERS * INTEGRITIES * NONCES * REALMS * 8; i++) {
    situation s = {.scheme = (enum scheme)_i};
    unsigned rest = i;
    s.user = (enum user)(rest % USERS);
    s.integrity = (enum integrity)((rest /= USERS) % INTEGRITIES);
    s.nonce = (enum nonce)((rest /= INTEGRITIES) % NONCES);
    s.realm = (enum realm)((rest /= NONCES) % REALMS);
    rest /= REALMS;
    s.allocated = rest & 1;
    s.outlive = rest & 2;
    s.method = rest & 4 ? 0x07f : FZR_STUN_REFRESH;
    if (s.scheme == STATIC && (s.user == RENEWED || s.user == EXPIRED))
      continue;
    wrong += !agrees(&s);
    wrong += vary(&s, &prng) && !agrees(&s);
    n++;
  }
  ck_assert_uint_ge(n, 1440);
  ck_assert_uint_eq(wrong, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("authenticate");
  TCase *tc = tcase_create("authenticate");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, test_every_situation, STAMP, STATIC + 1);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
