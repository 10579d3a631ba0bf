/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in, what he is told, and whether that is signed: every way to be right or wrong, against the rules as README and RFC 8489
 * section 9.2.4 have them, written down once more as a naive function. */
#include "relay.h"

#include <stdio.h>

enum scheme { STAMP, REST, STATIC };
/* Whose credential the request names, seen from the one that made the allocation. */
enum user { OWN, RENEWED, ANOTHER, EXPIRED, UNKNOWN, TOO_LONG, NOBODY, USERS };
enum integrity { RIGHT, WRONG, NO_INTEGRITY, INTEGRITIES };
enum nonce { FRESH, OLD, FOREIGN, NO_NONCE, NONCES };
enum realm { OURS, NO_REALM, NOT_OURS, REALMS };

typedef struct situation {
  enum scheme scheme;
  enum user user;
  enum integrity integrity;
  enum nonce nonce;
  enum realm realm;
  bool allocated;
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

/* Whether the relay finds out that the sender knows the password: it looks if that matters. */
static bool is_verified(const situation *s)
{
  const bool of_allocation = s->allocated && s->user == OWN;
  if (!has_password(s) || s->integrity != RIGHT)
    return false;
  return s->nonce == FRESH || (s->nonce == OLD && of_allocation) || s->scheme == STAMP;
}

static unsigned let_in(const situation *s)
{
  if (s->user == TOO_LONG)
    return 400;
  if (s->integrity == NO_INTEGRITY || s->user == NOBODY || s->nonce == NO_NONCE)
    return 401;
  if (s->nonce == FOREIGN)
    return 438;
  if (s->nonce == OLD && !(s->allocated && s->user == OWN && s->integrity == RIGHT))
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

static const fzr_user users[] = {{"own", "a"}, {"another", "b"}};

static void make_key(fzt_client_state *c, const char *password)
{
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
    c->nonce[3] ^= 1;
}

static outcome ask(fzt_relay *relay, fzt_client_state *c, const situation *s)
{
  uint8_t buffer[1500], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  use(c, s, s->user);
  fzt_fill(&relay->prng, txid, sizeof txid);
  fzr_stun_build(&b, buffer, sizeof buffer, s->method, FZR_STUN_REQUEST, txid);
  if (s->user != NOBODY)
    fzr_stun_add(&b, FZR_ATTR_USERNAME, c->username, strlen(c->username));
  if (s->realm != NO_REALM)
    fzr_stun_add(&b, FZR_ATTR_REALM, s->realm == OURS ? "firezone" : "elsewhere", s->realm == OURS ? 8 : 9);
  if (s->nonce != NO_NONCE)
    fzr_stun_add(&b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
  if (s->integrity != NO_INTEGRITY)
    fzr_stun_add_integrity(&b, c->key, sizeof c->key);
  if (s->integrity == WRONG)
    b.data[b.len - 1] ^= 1;
  fzt_client(relay, &c->addr, &c->server, buffer, (size_t)fzr_stun_build_finish(&b));
  fzt_check(relay->answer_count == 1);
  fzt_check(fzr_stun_read(relay->answers[0].data, relay->answers[0].len, &msg) == 0);
  const outcome got = {fzr_stun_error_code(&msg), fzr_stun_has(&msg, FZR_ATTR_MESSAGE_INTEGRITY)};
  fzt_check(!got.is_signed || fzr_stun_verify(&msg, c->key, FZR_STUN_KEY_LEN));
  fzt_check(fzr_stun_has(&msg, FZR_ATTR_NONCE) == (got.code == 401 || got.code == 438));
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
  printf("scheme %d user %d integrity %d nonce %d realm %d allocated %d outlive %d method %d: %u %s, not %u "
         "%s\n",
         s->scheme, s->user, s->integrity, s->nonce, s->realm, s->allocated, s->outlive, s->method, got.code,
         got.is_signed ? "signed" : "bare", want.code, want.is_signed ? "signed" : "bare");
  return false;
}

/* All of them: 3 schemes, and for each 7 users, 3 integrities, 4 nonces, 3 realms, and three times two more. */
START_TEST(test_every_situation)
{
  unsigned n = 0, wrong = 0;
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
