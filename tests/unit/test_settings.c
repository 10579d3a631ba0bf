/* SPDX-License-Identifier: Apache-2.0 */
/* What of the configuration changes while the engine runs: secrets, users, rules, limits. */
#include "relay.h"

#include "turn/state.h"

#include <stdio.h>

static fzt_relay relay;

static void make(const fzr_config *config)
{
  fzt_relay_init(&relay, config);
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

static fzr_peer_rule rule(const char *text, bool allow)
{
  fzr_peer_rule out;
  ck_assert_int_eq(fzr_peer_rule_parse(text, allow, &out), 0);
  return out;
}

/* ---- secrets ---- */

/* A client with a stamp credential of |secret|. */
static void stamp_client(fzt_client_state *c, const char *addr, const char *secret, const char *salt)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  fzt_client_init(c, addr);
  snprintf(c->username, sizeof c->username, "1700001000:%s", salt);
  fzr_auth_stamp_password(secret, 1700001000, (const uint8_t *)salt, strlen(salt), password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c->username, strlen(c->username), "firezone",
                         password, c->key);
}

START_TEST(test_secrets)
{
  fzt_client_state old, young, late;
  fzr_config config = fzt_config(&relay);
  make(&config);
  stamp_client(&old, "198.51.100.1:4000", FZT_SECRET, "old");
  stamp_client(&young, "198.51.100.2:4000", "another", "young");
  stamp_client(&late, "198.51.100.3:4000", FZT_SECRET, "late");
  ck_assert_int_eq(fzt_allocate(&relay, &old), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &young), 401);
  ck_assert_uint_eq(relay.engine->limits.proof_tries, 1);
  /* For a while both are good. */
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", FZT_SECRET), 0);
  ck_assert_uint_eq(relay.engine->limits.proof_tries, 2);
  ck_assert_int_eq(fzt_allocate(&relay, &young), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &late), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &late, 0), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &old, 600), 0);
  /* Then the new one alone is; but for the allocations that live, until the credentials' time is over. */
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", NULL), 0);
  ck_assert_uint_eq(relay.engine->limits.proof_tries, 1);
  ck_assert_int_eq(fzt_allocate(&relay, &late), 401);
  ck_assert_int_eq(fzt_refresh(&relay, &old, 3600), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &young, 3600), 0);
  ck_assert_int_eq(fzr_engine_set_wallclock(relay.engine, 1700001001, relay.now), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &old, 600), 401);
}
END_TEST

/* A client with a credential of |secret| for |name| that is good until |expiry|. */
static fzt_client_state client_until(const fzr_config *config, const char *secret, uint64_t expiry)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  fzt_client_state c;
  fzt_client_init(&c, "198.51.100.1:4000");
  snprintf(c.username, sizeof c.username, "%llu:joe", (unsigned long long)expiry);
  const uint8_t *name = (const uint8_t *)c.username;
  if (config->auth == FZR_AUTH_STAMP)
    fzr_auth_stamp_password(secret, expiry, (const uint8_t *)"joe", 3, password, sizeof password);
  else
    fzr_auth_rest_password(secret, name, strlen(c.username), password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, name, strlen(c.username), "firezone", password, c.key);
  return c;
}

/* The schemes whose credentials an allocation may outlive. */
static fzr_config outliving(int scheme)
{
  fzr_config config = fzt_config(&relay);
  config.auth = scheme ? FZR_AUTH_STAMP : FZR_AUTH_REST;
  config.allocations_outlive_credentials = true;
  return config;
}

static void pass(unsigned seconds)
{
  static unsigned passed;
  if (relay.now == 1000 * FZR_SECOND)
    passed = 0;
  passed += seconds;
  fzt_pass(&relay, seconds * FZR_SECOND);
  ck_assert_int_eq(fzr_engine_set_wallclock(relay.engine, FZT_UNIX_NOW + passed, relay.now), 0);
}

/* A credential that its allocation outlives is good as long as its secret is: it does not outlive that. */
START_TEST(test_outlived_credentials_of_another_secret)
{
  fzr_config config = outliving(_i);
  make(&config);
  fzt_client_state c = client_until(&config, FZT_SECRET, FZT_UNIX_NOW + 1000);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  /* Within its time no secret matters; after it that of old does, as the first or the second. */
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", NULL), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  pass(2000);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 401);
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", FZT_SECRET), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, FZT_SECRET, "another"), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", "third"), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 401);
  /* The same username with the password of a secret that is good is another credential, and its time is over. */
  fzt_client_state other = client_until(&config, "third", FZT_UNIX_NOW + 1000);
  memcpy(other.nonce, c.nonce, other.nonce_len = c.nonce_len);
  ck_assert_int_eq(fzt_refresh(&relay, &other, 3600), 401);
}
END_TEST

/* Once a client was told that its allocation is over, a new one takes a credential that is good by itself. */
START_TEST(test_allocate_anew_with_a_credential_of_old)
{
  fzr_config config = outliving(_i);
  make(&config);
  fzt_client_state c = client_until(&config, FZT_SECRET, FZT_UNIX_NOW + 10000);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", NULL), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 437);
  pass(605);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 401);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0); /* that still saves it, as ever */
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", FZT_SECRET), 0);
  pass(605);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  /* The same for one whose time is over, whatever the secrets: it is good for the allocation that it was used with. */
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  pass(3600);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  pass(3600);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  pass(3605);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 401);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
}
END_TEST

/* The portal gives a client the same username with another password once it has another secret. */
START_TEST(test_the_same_username_of_another_secret)
{
  fzr_config config = outliving(_i);
  config.error_rate = 10;
  make(&config);
  fzt_client_state old = client_until(&config, FZT_SECRET, FZT_UNIX_NOW + 10000);
  fzt_client_state young = client_until(&config, "another", FZT_UNIX_NOW + 10000);
  ck_assert_int_eq(fzt_allocate(&relay, &old), 0);
  memcpy(young.nonce, old.nonce, young.nonce_len = old.nonce_len);
  ck_assert_int_eq(fzt_refresh(&relay, &young, 600), 401);
  for (unsigned second = 0; second < 2; second++) {
    ck_assert_int_eq(
        fzr_engine_set_secrets(relay.engine, second ? "third" : "another", second ? "another" : NULL), 0);
    ck_assert_int_eq(fzt_refresh(&relay, &old, 600), 0);
    ck_assert_int_eq(fzt_refresh(&relay, &young, 600), 0);
    ck_assert_int_eq(fzt_refresh(&relay, &old, 600),
                     401); /* the allocation was used with another one since */
    ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, FZT_SECRET, NULL), 0);
    ck_assert_int_eq(fzt_refresh(&relay, &old, 600), 0);
  }
  /* What is tried in vain is limited, but never the key that the allocation was used with. */
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "another", NULL), 0);
  fzt_client_state forged = old;
  forged.key[0] ^= 1;
  for (unsigned i = 0; i < 200; i++)
    ck_assert_int_eq(fzt_refresh(&relay, &forged, 600), i < 2 ? 401 : -1);
  ck_assert_int_eq(fzt_refresh(&relay, &old, 600), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &young, 600), -1);
  pass(1);
  ck_assert_int_eq(fzt_refresh(&relay, &young, 600), 0);
}
END_TEST

START_TEST(test_secrets_that_are_none)
{
  fzt_client_state c;
  char longest[257];
  fzr_config config = fzt_config(&relay);
  make(&config);
  memset(longest, 's', sizeof longest);
  longest[256] = 0;
  const struct {
    const char *first, *second;
    int error;
  } rows[] = {{NULL, NULL, FZR_ERR_INVALID_ARGUMENT},
              {"", NULL, FZR_ERR_CONFIG_AUTH},
              {"a", "", FZR_ERR_CONFIG_AUTH},
              {longest, NULL, FZR_ERR_CONFIG_AUTH},
              {"a", longest, FZR_ERR_CONFIG_AUTH}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, rows[i].first, rows[i].second), rows[i].error);
  ck_assert_int_eq(fzr_engine_set_secrets(NULL, "a", NULL), FZR_ERR_INVALID_ARGUMENT);
  /* Nothing has changed. */
  stamp_client(&c, "198.51.100.1:4000", FZT_SECRET, "c");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  longest[255] = 0;
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, longest, longest), 0);
  stamp_client(&c, "198.51.100.2:4000", longest, "c");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  /* A shorter one leaves nothing of a longer one behind. */
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "s", NULL), 0);
  for (size_t i = 1; i < sizeof relay.engine->scheme.secret; i++)
    ck_assert_int_eq(relay.engine->scheme.secret[i], 0);
}
END_TEST

/* ---- users ---- */

static void static_client(fzt_client_state *c, const char *addr, const char *name, const char *password)
{
  fzt_client_init(c, addr);
  snprintf(c->username, sizeof c->username, "%s", name);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)name, strlen(name), "firezone", password, c->key);
}

static void make_static(void)
{
  static const fzr_user users[] = {{"alice", "a"}, {"bob", "b"}};
  fzr_config config = fzt_config(&relay);
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 2;
  make(&config);
}

START_TEST(test_users)
{
  fzt_client_state alice, bob, carol, again;
  make_static();
  static_client(&alice, "198.51.100.1:4000", "alice", "a");
  static_client(&bob, "198.51.100.2:4000", "bob", "b");
  static_client(&carol, "198.51.100.3:4000", "carol", "c");
  static_client(&again, "198.51.100.2:4000", "bob", "B");
  ck_assert_int_eq(fzt_allocate(&relay, &alice), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &bob), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &carol), 401);
  /* One goes, one comes, one has another password. */
  const fzr_user users[] = {{"carol", "c"}, {"bob", "B"}};
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, users, 2), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &carol), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &alice, 600), 401);
  ck_assert_int_eq(fzt_refresh(&relay, &bob, 600), 401);
  memcpy(again.nonce, bob.nonce, again.nonce_len = bob.nonce_len);
  ck_assert_int_eq(fzt_refresh(&relay, &again, 600), 0);
  /* What the gone one had lasts until its lifetime is over. */
  fzr_stats stats;
  fzr_engine_stats(relay.engine, &stats);
  ck_assert_uint_eq(stats.allocations, 3);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, NULL, 0), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &carol, 600), 401);
  fzt_pass(&relay, 611 * FZR_SECOND);
  fzr_engine_stats(relay.engine, &stats);
  ck_assert_uint_eq(stats.allocations, 0);
}
END_TEST

START_TEST(test_users_that_are_none)
{
  fzt_client_state alice;
  static const fzr_user twice[] = {{"a", "x"}, {"b", "x"}, {"a", "y"}}, empty[] = {{"", "x"}},
                        none[] = {{"a", NULL}}, blank[] = {{"b", "x"}, {"a", ""}}, nobody[] = {{NULL, "x"}},
                        good[] = {{"a", "b"}};
  make_static();
  ck_assert_int_eq(fzr_engine_set_users(NULL, good, 1), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, NULL, 1), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, twice, 3), FZR_ERR_CONFIG_AUTH);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, empty, 1), FZR_ERR_CONFIG_AUTH);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, none, 1), FZR_ERR_CONFIG_AUTH);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, blank, 2), FZR_ERR_CONFIG_AUTH);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, nobody, 1), FZR_ERR_CONFIG_AUTH);
  for (uint64_t n = 1; n <= 2; n++) {
    const uint64_t live = relay.mem.live;
    relay.mem.fail_only = relay.mem.count + n;
    ck_assert_int_eq(fzr_engine_set_users(relay.engine, good, 1), FZR_ERR_NO_MEMORY);
    ck_assert_uint_eq(relay.mem.live, live);
  }
  static_client(&alice, "198.51.100.1:4000", "alice", "a");
  ck_assert_int_eq(fzt_allocate(&relay, &alice), 0);
}
END_TEST

/* As long as a request can carry it, and no longer. */
START_TEST(test_longest_name)
{
  fzt_client_state c;
  char name[510];
  const fzr_user users[] = {{name, "a"}};
  memset(name, 'n', sizeof name - 1);
  name[509] = 0;
  make_static();
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, users, 1), FZR_ERR_CONFIG_AUTH);
  name[508] = 0;
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, users, 1), 0);
  static_client(&c, "198.51.100.1:4000", name, "a");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
}
END_TEST

/* Each scheme has its own. */
START_TEST(test_of_other_schemes)
{
  static const fzr_user good[] = {{"a", "b"}};
  make_static();
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "a", NULL), FZR_ERR_UNSUPPORTED);
  tear_down();
  fzr_config config = fzt_config(&relay);
  config.auth = FZR_AUTH_REST;
  make(&config);
  ck_assert_int_eq(fzr_engine_set_secrets(relay.engine, "a", "b"), 0);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, good, 1), 0);
  tear_down();
  config.auth = FZR_AUTH_STAMP;
  make(&config);
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, good, 1), FZR_ERR_UNSUPPORTED);
}
END_TEST

/* A user who is gone is gone, also where the keys of others stay. */
START_TEST(test_users_beside_rest)
{
  static const fzr_user users[] = {{"alice", "a"}, {"bob", "b"}};
  fzt_client_state alice, bob, joe, again;
  char password[FZR_REST_PASSWORD_LEN + 1];
  fzr_config config = fzt_config(&relay);
  config.auth = FZR_AUTH_REST;
  config.users = users;
  config.user_count = 2;
  make(&config);
  fzr_auth_rest_password(config.auth_secret, (const uint8_t *)"4000000000:joe", 14, password,
                         sizeof password);
  static_client(&alice, "198.51.100.1:4000", "alice", "a");
  static_client(&bob, "198.51.100.2:4000", "bob", "b");
  static_client(&again, "198.51.100.2:4000", "bob", "B");
  static_client(&joe, "198.51.100.3:4000", "4000000000:joe", password);
  ck_assert_int_eq(fzt_allocate(&relay, &alice), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &bob), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &joe), 0);
  const fzr_user others[] = {{"bob", "B"}};
  ck_assert_int_eq(fzr_engine_set_users(relay.engine, others, 1), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &alice, 600), 401);
  ck_assert_int_eq(fzt_refresh(&relay, &bob, 600), 401);
  memcpy(again.nonce, bob.nonce, again.nonce_len = bob.nonce_len);
  ck_assert_int_eq(fzt_refresh(&relay, &again, 600), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &joe, 600), 0);
}
END_TEST

/* ---- rules ---- */

static fzt_client_state client;

static void make_with_client(fzr_config *config)
{
  make(config);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
}

static int bind_to(uint16_t channel, const char *peer)
{
  const fzr_addr addr = fzt_addr(peer);
  return fzt_bind(&relay, &client, channel, &addr);
}

/* Whether data on |channel| is relayed. */
static bool relays(uint16_t channel)
{
  uint8_t data[8] = {0};
  fzr_channel_data_header(data, channel, 4);
  fzt_client(&relay, &client.addr, &client.server, data, sizeof data);
  return relay.verdicts[0].action == FZR_ACT_FORWARD;
}

static fzr_log_record logged;
static fzr_peer_rule logged_rule; /* the record's are the engine's */
static fzr_addr logged_inner;
static unsigned logs;

static void note(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  if (record->event != FZR_LOG_CHANNEL_REVOKED)
    return;
  logged = *record;
  if (record->peer_rule)
    logged_rule = *record->peer_rule;
  if (record->peer_inner)
    logged_inner = *record->peer_inner;
  logs++;
}

START_TEST(test_rules_end_channels)
{
  fzr_config config = fzt_config(&relay);
  config.log = note;
  config.log_level = FZR_LOG_INFO;
  logs = 0;
  make_with_client(&config);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.9:53"), 0);
  ck_assert_int_eq(bind_to(0x4002, "203.0.113.9:54"), 0);
  const fzr_peer_rule rules[] = {rule("203.0.113.9:53", false), rule("10.0.0.0/8", true)};
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, rules, 2), 0);
  ck_assert_uint_le(fzr_engine_deadline(relay.engine), relay.now);
  fzt_pass(&relay, 0);
  ck_assert_uint_gt(fzr_engine_deadline(relay.engine), relay.now);
  ck_assert_uint_eq(relay.event_count, 1);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[0].channel, 0x4001);
  ck_assert_uint_eq(logs, 1);
  ck_assert_uint_eq(logged.channel, 0x4001);
  ck_assert_uint_eq(logged.peer_reason, FZR_PEER_DENIED);
  ck_assert_ptr_nonnull(logged.peer_rule);
  ck_assert(!logged_rule.allow && logged_rule.prefix == 32 && logged_rule.net.ip[3] == 9);
  ck_assert_ptr_null(logged.peer_inner);
  ck_assert(relays(0x4000) && !relays(0x4001) && relays(0x4002));
  /* The rules are in force at once, and the number is free. */
  ck_assert_int_eq(bind_to(0x4003, "203.0.113.9:53"), 403);
  ck_assert_int_eq(bind_to(0x4001, "10.0.0.1:53"), 0);
  /* None: what they had opened ends, and what they had closed opens. */
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, NULL, 0), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 1);
  ck_assert_uint_eq(relay.events[0].channel, 0x4001);
  ck_assert_uint_eq(logged.peer_reason, FZR_PEER_SCOPE);
  ck_assert_ptr_null(logged.peer_rule);
  ck_assert(relays(0x4000) && relays(0x4002));
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.9:53"), 0);
}
END_TEST

/* The log has the rule, and the address in the peer's that it is about. */
START_TEST(test_rules_end_what_carries_an_address)
{
  fzr_stun_builder b;
  uint8_t buffer[512];
  fzr_config config = fzt_config(&relay);
  config.log = note;
  config.log_level = FZR_LOG_INFO;
  logs = 0;
  make_with_client(&config);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0); /* it was for the nonce; now one with both families */
  fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &client, &b, NULL), 0);
  ck_assert_int_eq(bind_to(0x4000, "[64:ff9b::198.51.100.7]:53"), 0);
  const fzr_peer_rule denied = rule("198.51.100.0/24", false);
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, &denied, 1), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(logs, 1);
  ck_assert_ptr_nonnull(logged.peer_rule);
  ck_assert_uint_eq(logged_rule.prefix, 24);
  ck_assert_ptr_nonnull(logged.peer_inner);
  const fzr_addr inner = fzt_addr("198.51.100.7:53");
  ck_assert(fzr_addr_equal(&logged_inner, &inner));
}
END_TEST

/* A channel whose number rests ends silently: the application knows that it is over. */
START_TEST(test_rules_end_what_rests)
{
  fzr_config config = fzt_config(&relay);
  make_with_client(&config);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.9:53"), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 3600), 0);
  fzt_pass(&relay, 620 * FZR_SECOND);
  ck_assert_uint_eq(relay.event_count, 1);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 400);
  const fzr_peer_rule denied = rule("203.0.113.9", false);
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, &denied, 1), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 0);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
}
END_TEST

/* A pass over all channels is cut by the budget, and begun anew by what comes to be known meanwhile; none is left out. */
START_TEST(test_rules_keep_to_the_budget)
{
  enum { N = 1000 };
  unsigned calls = 0;
  fzr_config config = fzt_config(&relay);
  make_with_client(&config);
  for (unsigned i = 0; i < N; i++) {
    fzr_addr peer = fzt_addr("203.0.113.9:1000");
    peer.port = (uint16_t)(10000 + i);
    ck_assert_int_eq(fzt_bind(&relay, &client, (uint16_t)(0x4000 + i), &peer), 0);
  }
  const fzr_peer_rule denied = rule("203.0.113.9", false);
  const fzr_addr own = fzt_addr("203.0.113.77");
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, &denied, 1), 0);
  fzr_event event;
  unsigned unbound = 0;
  for (; fzr_engine_deadline(relay.engine) <= relay.now; calls++) {
    ck_assert_int_le(fzr_engine_on_deadline(relay.engine, 10, relay.now), 11);
    if (calls == 2)
      ck_assert_int_eq(fzr_engine_add_own_addrs(relay.engine, &own, 1), 0);
    while (fzr_engine_next_event(relay.engine, &event))
      unbound += event.type == FZR_EVENT_CHANNEL_UNBOUND;
  }
  ck_assert_uint_ge(calls, N / 16 / 10);
  ck_assert_uint_eq(unbound, N);
}
END_TEST

START_TEST(test_rules_that_are_none)
{
  fzr_config config = fzt_config(&relay);
  const fzr_peer_rule before = rule("203.0.113.9", false);
  config.peer_rules = &before;
  config.peer_rule_count = 1;
  make_with_client(&config);
  fzr_peer_rule rules[] = {rule("203.0.113.8", false), rule("203.0.113.9", true)};
  ck_assert_int_eq(fzr_engine_set_peer_rules(NULL, rules, 2), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, NULL, 2), FZR_ERR_INVALID_ARGUMENT);
  rules[1].prefix = 33;
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, rules, 2), FZR_ERR_CONFIG_RULE);
  rules[1].prefix = 32;
  relay.mem.fail_only = relay.mem.count + 1;
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, rules, 2), FZR_ERR_NO_MEMORY);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.9:53"), 403);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
  ck_assert_uint_gt(fzr_engine_deadline(relay.engine), relay.now);
}
END_TEST

static bool answer;
static unsigned asked;

static bool judge(void *ctx, const fzr_addr *from, const fzr_addr *peer, bool by_default)
{
  (void)ctx, (void)from, (void)peer, (void)by_default;
  asked++;
  return answer;
}

/* The application is asked about each channel, too. */
START_TEST(test_the_application_judges_anew)
{
  fzr_config config = fzt_config(&relay);
  config.peer_policy = judge;
  config.relay_mode = FZR_RELAY_CHANNELS; /* with permissions he is asked about those, too */
  answer = true;
  make_with_client(&config);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
  ck_assert_int_eq(bind_to(0x4001, "10.0.0.1:53"), 0);
  asked = 0;
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, NULL, 0), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(asked, 2);
  ck_assert_uint_eq(relay.event_count, 0);
  answer = false;
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, NULL, 0), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 2);
}
END_TEST

/* ---- alternate servers ---- */

START_TEST(test_alternates)
{
  static fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  make(&config);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzr_engine_set_draining(relay.engine, true);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 508);
  config.alternate_ip4 = fzt_addr("192.0.2.77:3478");
  ck_assert_int_eq(fzr_engine_set_alternates(relay.engine, &config), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 300);
  config.alternate_ip4.port = 0;
  ck_assert_int_eq(fzr_engine_set_alternates(relay.engine, &config), FZR_ERR_CONFIG_ADDRESS);
  config.alternate_ip4 = fzt_addr("[2001:db8::77]:3478");
  ck_assert_int_eq(fzr_engine_set_alternates(relay.engine, &config), FZR_ERR_CONFIG_ADDRESS);
  config.alternate_ip4 = fzt_addr("192.0.2.77:3478");
  config.alternate_ip6 = config.alternate_ip4;
  ck_assert_int_eq(fzr_engine_set_alternates(relay.engine, &config), FZR_ERR_CONFIG_ADDRESS);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 300); /* as before */
  memset(&config.alternate_ip6, 0, sizeof config.alternate_ip6);
  memset(&config.alternate_ip4, 0, sizeof config.alternate_ip4);
  ck_assert_int_eq(fzr_engine_set_alternates(relay.engine, &config), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 508);
  fzr_engine_set_draining(relay.engine, false);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
}
END_TEST

/* ---- limits ---- */

START_TEST(test_allocations_of_a_user)
{
  static fzt_client_state c[5];
  fzr_config config = fzt_config(&relay);
  config.max_allocations_per_user = 2;
  make(&config);
  for (unsigned i = 0; i < 5; i++) {
    fzt_client_init(&c[i], "198.51.100.1:4000");
    c[i].addr.port = (uint16_t)(c[i].addr.port + i);
  }
  ck_assert_int_eq(fzt_allocate(&relay, &c[0]), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c[1]), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c[2]), 486);
  config.max_allocations_per_user = 3;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c[2]), 0);
  config.max_allocations_per_user = 1;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  for (unsigned i = 0; i < 3; i++) /* they stay */
    ck_assert_int_eq(fzt_refresh(&relay, &c[i], 600), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c[0], 0), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c[1], 0), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c[3]), 486);
  ck_assert_int_eq(fzt_refresh(&relay, &c[2], 0), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c[3]), 0);
  config.max_allocations_per_user = 0;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c[4]), 0);
}
END_TEST

START_TEST(test_channels)
{
  fzr_config config = fzt_config(&relay);
  config.max_channels_per_allocation = 1;
  make_with_client(&config);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.8:54"), 508);
  config.max_channels_per_allocation = 0;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.8:54"), 0);
  config.max_channels = 2;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(bind_to(0x4002, "203.0.113.8:55"), 508);
  config.max_channels = 1;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0); /* what there is stays */
  ck_assert(relays(0x4000) && relays(0x4001));
  config.max_channels = FZR_UNLIMITED;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(bind_to(0x4002, "203.0.113.8:55"), 0);
}
END_TEST

/* Sends |n| datagrams of 1000 bytes; returns how many are relayed. */
static unsigned send_many(unsigned n)
{
  uint8_t data[1004] = {0};
  unsigned relayed = 0;
  fzr_channel_data_header(data, 0x4000, 1000);
  for (unsigned i = 0; i < n; i++) {
    fzt_client(&relay, &client.addr, &client.server, data, sizeof data);
    relayed += relay.verdicts[0].action == FZR_ACT_FORWARD;
  }
  return relayed;
}

START_TEST(test_bandwidth)
{
  fzr_config config = fzt_config(&relay);
  make_with_client(&config);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
  ck_assert_uint_eq(send_many(500), 500);
  config.max_bandwidth_per_allocation =
      100; /* a full bucket is one datagram of the largest size, 65,507 bytes */
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_uint_eq(send_many(500), 65);
  /* It would be full again in 11 minutes; at the new rate it is in a second. */
  config.max_bandwidth_per_allocation = 100000;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  send_many(1);
  relay.now += FZR_SECOND;
  ck_assert_uint_eq(send_many(500), 100);
  config.max_bandwidth_per_allocation = 0;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_uint_eq(send_many(500), 500);
}
END_TEST

/* How many of |n| Binding requests of a stranger are answered. */
static unsigned ask_many(unsigned n)
{
  uint8_t buffer[64];
  unsigned answered = 0;
  const fzr_addr from = fzt_addr("198.51.100.77:5"), to = fzt_addr(FZT_LISTEN);
  for (unsigned i = 0; i < n; i++) {
    fzr_stun_builder b;
    static const uint8_t txid[FZR_STUN_TXID_LEN];
    fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
    fzt_client(&relay, &from, &to, buffer, (size_t)fzr_stun_build_finish(&b));
    answered += relay.answer_count != 0;
  }
  return answered;
}

START_TEST(test_rates)
{
  fzr_config config = fzt_config(&relay);
  make_with_client(&config);
  ck_assert_uint_eq(ask_many(300), 300);
  config.unauthenticated_rate = 10;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_uint_eq(ask_many(300), 20);
  config.unauthenticated_burst = 30;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_uint_eq(ask_many(300), 30);
  relay.now += FZR_SECOND;
  ck_assert_uint_eq(ask_many(300), 10);
  /* Errors of a client, and proofs in vain. */
  config.error_rate = 1;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  unsigned refused = 0;
  for (unsigned i = 0; i < 50; i++)
    refused += fzt_allocate(&relay, &client) == 437;
  ck_assert_uint_eq(refused, 1);
  config.integrity_rate = 7;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_uint_eq(relay.engine->limits.proof_rate, 7);
  config.integrity_rate = FZR_UNLIMITED;
  config.unauthenticated_rate = config.error_rate = FZR_UNLIMITED;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_uint_eq(relay.engine->limits.proof_rate, 0);
  ck_assert_uint_eq(ask_many(300), 300);
  /* An unlimited rate takes no memory. */
  ck_assert_ptr_null(relay.engine->limits.prefixes.entries);
  ck_assert_ptr_null(relay.engine->limits.tuples.entries);
}
END_TEST

START_TEST(test_limits_that_are_none)
{
  struct {
    fzr_config known;
    uint64_t later;
  } longer;
  fzr_config config = fzt_config(&relay);
  config.unauthenticated_rate = 10;
  config.error_rate = 0;
  make(&config);
  ck_assert_uint_eq(ask_many(15), 15);
  fzr_config other = config;
  other.max_allocations_per_user = 1;
  other.max_channels = other.max_channels_per_allocation = 1;
  other.max_bandwidth_per_allocation = 1;
  ck_assert_int_eq(fzr_engine_set_limits(NULL, &other), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, NULL), FZR_ERR_INVALID_ARGUMENT);
  other.size = 1;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &other), FZR_ERR_INVALID_ARGUMENT);
  other.size = sizeof other;
  memset(&longer, 0, sizeof longer);
  longer.known = other;
  longer.known.size = sizeof longer;
  longer.later = 1;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &longer.known), FZR_ERR_UNSUPPORTED);
  for (uint64_t n = 1; n <= 3; n++) {
    const uint64_t live = relay.mem.live;
    relay.mem.fail_only = relay.mem.count + n;
    ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &other), FZR_ERR_NO_MEMORY);
    ck_assert_uint_eq(relay.mem.live, live);
  }
  /* Nothing has changed: five were left of twenty, and nobody is limited. */
  ck_assert_uint_eq(ask_many(15), 5);
  ck_assert_uint_eq(relay.engine->max_allocations_per_user, 0);
  ck_assert_uint_eq(relay.engine->max_channels, 4096);
  ck_assert_uint_eq(relay.engine->max_all_channels, 1048576);
  ck_assert_uint_eq(relay.engine->bandwidth, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("settings");
  TCase *tc = tcase_create("settings");
  tcase_add_checked_fixture(tc, NULL, tear_down);
  tcase_add_test(tc, test_secrets);
  tcase_add_loop_test(tc, test_outlived_credentials_of_another_secret, 0, 2);
  tcase_add_loop_test(tc, test_allocate_anew_with_a_credential_of_old, 0, 2);
  tcase_add_loop_test(tc, test_the_same_username_of_another_secret, 0, 2);
  tcase_add_test(tc, test_secrets_that_are_none);
  tcase_add_test(tc, test_users);
  tcase_add_test(tc, test_users_that_are_none);
  tcase_add_test(tc, test_longest_name);
  tcase_add_test(tc, test_of_other_schemes);
  tcase_add_test(tc, test_users_beside_rest);
  tcase_add_test(tc, test_rules_end_channels);
  tcase_add_test(tc, test_rules_end_what_carries_an_address);
  tcase_add_test(tc, test_rules_end_what_rests);
  tcase_add_test(tc, test_rules_keep_to_the_budget);
  tcase_add_test(tc, test_rules_that_are_none);
  tcase_add_test(tc, test_the_application_judges_anew);
  tcase_add_test(tc, test_allocations_of_a_user);
  tcase_add_test(tc, test_channels);
  tcase_add_test(tc, test_bandwidth);
  tcase_add_test(tc, test_rates);
  tcase_add_test(tc, test_alternates);
  tcase_add_test(tc, test_limits_that_are_none);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
