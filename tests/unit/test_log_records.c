/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's log records: of what, at which level, and what is in them. */
#include "relay.h"

#include <stdio.h>

static fzt_relay relay;

typedef struct logged {
  fzr_log_record last;
  unsigned count[32];
  char software[64];
  fzr_addr peer; /* of the last one */
  fzr_addr inner;
  char rule[FZR_PEER_RULE_TEXT_MAX];
} logged;

static void keep_record(void *ctx, const fzr_log_record *record)
{
  logged *l = ctx;
  l->last = *record;
  l->count[record->event]++;
  l->peer = record->peer ? *record->peer : (fzr_addr){.family = FZR_FAMILY_NONE};
  l->inner = record->peer_inner ? *record->peer_inner : (fzr_addr){.family = FZR_FAMILY_NONE};
  l->rule[0] = 0;
  if (record->peer_rule)
    fzr_peer_rule_format(record->peer_rule, l->rule, sizeof l->rule);
  snprintf(l->software, sizeof l->software, "%.*s", record->software_len, (const char *)record->software);
}

START_TEST(test_log_records)
{
  logged l;
  fzt_client_state c;
  fzr_stun_builder b;
  uint8_t buffer[512];
  const fzr_addr peer = fzt_addr("203.0.113.9:5000"), forbidden = fzt_addr("127.0.0.1:1"),
                 other = fzt_addr("203.0.113.10:5000");
  memset(&l, 0, sizeof l);
  fzr_config config = fzt_config(&relay);
  config.log = keep_record;
  config.log_ctx = &l;
  config.log_level = FZR_LOG_DEBUG;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_uint_eq(l.count[FZR_LOG_REQUEST], 1); /* the 401 */
  ck_assert_uint_eq(l.count[FZR_LOG_ALLOCATION_CREATED], 1);
  ck_assert_uint_eq(l.last.port, c.relayed_port);
  ck_assert_uint_eq(l.last.level, FZR_LOG_INFO);
  ck_assert_uint_eq(l.last.method, FZR_STUN_ALLOCATE);
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_REFRESH);
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, "tests", 5);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 0);
  ck_assert_uint_eq(l.count[FZR_LOG_ALLOCATION_REFRESHED], 1);
  ck_assert_str_eq(l.software, "tests");
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peer), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peer), 0);
  /* Refused, and it is told who and what: with 403, and with 400 for a number that has another peer. */
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4001, &forbidden), 403);
  ck_assert_uint_eq(l.last.error_code, 403);
  ck_assert_uint_eq(l.last.channel, 0x4001);
  ck_assert_uint_eq(l.last.port, c.relayed_port);
  ck_assert(fzr_addr_equal(&l.peer, &forbidden));
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &other), 400);
  ck_assert_uint_eq(l.last.event, FZR_LOG_REQUEST);
  ck_assert_uint_eq(l.last.channel, 0x4000);
  ck_assert(fzr_addr_equal(&l.peer, &other));
  ck_assert_uint_eq(l.count[FZR_LOG_CHANNEL_BOUND], 1);
  ck_assert_uint_eq(l.count[FZR_LOG_CHANNEL_REBOUND], 1);
  ck_assert_uint_eq(l.count[FZR_LOG_PEER_REFUSED], 1);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
  fzt_pass(&relay, 611 * FZR_SECOND);
  ck_assert_uint_eq(l.count[FZR_LOG_CHANNEL_EXPIRED], 1);
  fzt_pass(&relay, 3000 * FZR_SECOND);
  ck_assert_uint_eq(l.count[FZR_LOG_ALLOCATION_EXPIRED], 1);
  relay.open_errors[0] = FZR_ERR_IO_IN_USE;
  relay.open_error_count = 1;
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_uint_eq(l.count[FZR_LOG_PORT_UNAVAILABLE], 1);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  ck_assert_uint_eq(l.count[FZR_LOG_ALLOCATION_DELETED], 1);
  /* Levels change while it runs. */
  memset(&l, 0, sizeof l);
  fzr_engine_set_log_level(relay.engine, FZR_LOG_INFO);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4001, &forbidden), 403);
  ck_assert_uint_eq(l.count[FZR_LOG_ALLOCATION_CREATED], 1);
  ck_assert_uint_eq(l.count[FZR_LOG_PEER_REFUSED], 0);
  ck_assert_uint_eq(l.count[FZR_LOG_PEER_OUT_OF_REACH], 1); /* it is more than an hour since the last one */
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4001, &forbidden), 403);
  ck_assert_uint_eq(l.count[FZR_LOG_PEER_OUT_OF_REACH], 1);
  fzr_engine_set_log_level(relay.engine, FZR_LOG_OFF);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  ck_assert_uint_eq(l.count[FZR_LOG_ALLOCATION_DELETED], 0);
  fzt_relay_free(&relay);
}
END_TEST

/* Sends |count| of them for |peer|; NULL: without one. */
static void send_indications(const fzt_client_state *c, const fzr_addr *peer, unsigned count)
{
  uint8_t buffer[128], txid[FZR_STUN_TXID_LEN] = {1};
  fzr_stun_builder b;
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
  if (peer)
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
  fzr_stun_add(&b, FZR_ATTR_DATA, "data", 4);
  const int len = fzr_stun_build_finish(&b);
  ck_assert_int_gt(len, 0);
  for (unsigned i = 0; i < count; i++)
    fzt_client(&relay, &c->addr, &c->server, buffer, (size_t)len);
}

static void make_logging(logged *l, enum fzr_relay_mode mode, enum fzr_log_level level)
{
  memset(l, 0, sizeof *l);
  fzr_config config = fzt_config(&relay);
  config.relay_mode = (uint8_t)mode;
  config.log = keep_record;
  config.log_ctx = l;
  config.log_level = (uint8_t)level;
  fzt_relay_init(&relay, &config);
}

/* Not each one that is dropped is told of: one in ten seconds for each allocation and reason. */
START_TEST(test_dropped_indications)
{
  logged l;
  fzt_client_state c, d, stranger;
  const fzr_addr peer = fzt_addr("203.0.113.9:5000"), other = fzt_addr("203.0.113.10:5000");
  make_logging(&l, FZR_RELAY_FULL, FZR_LOG_DEBUG);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzt_client_init(&d, "198.51.100.1:4001");
  fzt_client_init(&stranger, "198.51.100.1:4002");
  snprintf(d.username, sizeof d.username, "%s", c.username);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  send_indications(&c, &peer, 100);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 1);
  ck_assert_uint_eq(l.last.level, FZR_LOG_DEBUG);
  ck_assert_uint_eq(l.last.method, FZR_STUN_SEND);
  ck_assert_uint_eq(l.last.port, c.relayed_port);
  ck_assert_uint_eq(l.last.drop_reason, FZR_DROP_NO_PERMISSION);
  ck_assert(fzr_addr_equal(&l.peer, &peer));
  send_indications(&c, NULL, 100); /* another reason */
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 2);
  ck_assert_uint_eq(l.last.drop_reason, FZR_DROP_SEND_MALFORMED);
  ck_assert_int_eq(l.peer.family, FZR_FAMILY_NONE);
  send_indications(&stranger, &peer, 100);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 3);
  ck_assert_uint_eq(l.last.drop_reason, FZR_DROP_UNKNOWN_CLIENT);
  ck_assert_uint_eq(l.last.port, 0);
  send_indications(&c, &other, 100);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 3);
  fzt_pass(&relay, 10 * FZR_SECOND);
  send_indications(&c, &other, 100);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 4);
  /* Strangers of any number are told of 64 times at most. */
  for (unsigned i = 0; i < 1000; i++) {
    char text[32];
    snprintf(text, sizeof text, "198.%u.%u.1:4000", 60 + i / 250, i % 250);
    fzt_client_init(&stranger, text);
    send_indications(&stranger, &peer, 2);
  }
  ck_assert_uint_le(l.count[FZR_LOG_INDICATION_DROPPED], 4 + 64);
  ck_assert_uint_gt(l.count[FZR_LOG_INDICATION_DROPPED], 4 + 32);
  /* At other levels nobody is told. */
  fzr_engine_set_log_level(relay.engine, FZR_LOG_INFO);
  fzt_pass(&relay, 10 * FZR_SECOND);
  memset(&l, 0, sizeof l);
  send_indications(&c, &other, 100);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 0);
  fzt_relay_free(&relay);
}
END_TEST

/* A browser on a relay of channels ends without a word: an operator sees why at the usual level, once an hour. */
START_TEST(test_indications_in_the_wrong_mode)
{
  logged l;
  fzt_client_state c, stranger;
  const fzr_addr peer = fzt_addr("203.0.113.9:5000");
  make_logging(&l, FZR_RELAY_CHANNELS, FZR_LOG_INFO);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzt_client_init(&stranger, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  send_indications(&stranger, &peer, 3); /* anybody can */
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 0);
  send_indications(&c, &peer, 3);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 1);
  ck_assert_uint_eq(l.last.level, FZR_LOG_INFO);
  ck_assert_uint_eq(l.last.port, c.relayed_port);
  ck_assert_uint_eq(l.last.drop_reason, FZR_DROP_STUN_NOT_REQUEST);
  fzr_engine_set_log_level(relay.engine, FZR_LOG_DEBUG);
  send_indications(&c, &peer, 3);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 2);
  ck_assert_uint_eq(l.last.level, FZR_LOG_DEBUG);
  send_indications(&stranger, &peer, 3);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 3);
  fzr_engine_set_log_level(relay.engine, FZR_LOG_INFO);
  fzt_pass(&relay, 3600 * FZR_SECOND);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  send_indications(&c, &peer, 3);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 4);
  fzr_engine_set_log_level(relay.engine, FZR_LOG_WARN);
  fzt_pass(&relay, 3600 * FZR_SECOND);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  send_indications(&c, &peer, 3);
  ck_assert_uint_eq(l.count[FZR_LOG_INDICATION_DROPPED], 4);
  fzt_relay_free(&relay);
}
END_TEST

/* A login with a key that is wrong, |count| times. */
static void fail_to_log_in(fzt_client_state *c, unsigned count)
{
  if (!c->nonce_len)
    c->nonce[c->nonce_len++] = 'x'; /* it is told of a good one, and tries again */
  c->key[0] ^= 1;
  for (unsigned i = 0; i < count; i++)
    ck_assert_int_eq(fzt_refresh(&relay, c, 600), 401);
  c->key[0] ^= 1;
}

/* Who mistyped a secret, or whose clock is wrong, sees why nobody comes in; a flood of it is no flood of lines. */
START_TEST(test_failed_logins)
{
  logged l;
  fzt_client_state c, other;
  make_logging(&l, FZR_RELAY_CHANNELS, FZR_LOG_INFO);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0); /* a 401 came first, as ever */
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  fail_to_log_in(&c, 1);
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 1);
  ck_assert_uint_eq(l.last.level, FZR_LOG_INFO);
  ck_assert_uint_eq(l.last.method, FZR_STUN_REFRESH);
  ck_assert_uint_eq(l.last.error_code, 401);
  ck_assert_uint_eq(l.last.refusal, FZR_REFUSAL_PASSWORD);
  ck_assert_uint_eq(l.last.count, 1);
  ck_assert_uint_eq(l.last.username_len, strlen(FZT_USERNAME));
  /* Once a minute for each network and reason: the next line says how many there were. */
  fzt_client_init(&other, "198.51.100.2:4000");
  fail_to_log_in(&other, 40);
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 1);
  fzt_client_init(&other, "198.51.101.2:4000");
  fail_to_log_in(&other, 2);
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 2);
  snprintf(other.username, sizeof other.username, "nobody");
  fail_to_log_in(&other, 2);
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 3);
  ck_assert_uint_eq(l.last.refusal, FZR_REFUSAL_USERNAME);
  fzt_pass(&relay, 60 * FZR_SECOND);
  fail_to_log_in(&c, 1);
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 4);
  ck_assert_uint_eq(l.last.refusal, FZR_REFUSAL_PASSWORD);
  ck_assert_uint_eq(l.last.count, 41);
  fail_to_log_in(&c, 1);
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 4);
  /* Many networks: of 64 at most. */
  for (unsigned i = 0; i < 1000; i++) {
    char text[32];
    snprintf(text, sizeof text, "198.%u.%u.1:4000", 60 + i / 250, i % 250);
    fzt_client_init(&other, text);
    fail_to_log_in(&other, 2);
  }
  ck_assert_uint_le(l.count[FZR_LOG_LOGIN_FAILED], 4 + 64);
  ck_assert_uint_gt(l.count[FZR_LOG_LOGIN_FAILED], 4 + 32);
  fzr_engine_set_log_level(relay.engine, FZR_LOG_WARN);
  fzt_pass(&relay, 60 * FZR_SECOND);
  memset(&l, 0, sizeof l);
  fail_to_log_in(&c, 1);
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 0);
  fzt_relay_free(&relay);
}
END_TEST

/* Nobody has to be where these requests seem to come from: they are no logins, and no line. */
START_TEST(test_what_is_no_login)
{
  logged l;
  fzt_client_state c;
  make_logging(&l, FZR_RELAY_CHANNELS, FZR_LOG_INFO);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 401); /* no nonce */
  c.nonce_len = (size_t)snprintf(c.nonce, sizeof c.nonce, "of another life");
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 437); /* after a 438 */
  ck_assert_uint_eq(l.count[FZR_LOG_LOGIN_FAILED], 0);
  fzt_relay_free(&relay);
}
END_TEST

static bool reject_port_666(void *ctx, const fzr_addr *client, const fzr_addr *peer, bool by_default)
{
  (void)ctx;
  (void)client;
  return by_default && peer->port != 666;
}

/* Why a peer was refused; once an hour for each reason and scope at a level that operators see. */
START_TEST(test_refused_peers)
{
  static const struct {
    const char *peer;
    enum fzr_peer_reason reason;
    enum fzr_log_level level;
    const char *inner, *rule;
  } steps[] = {
      {"127.0.0.1:5000", FZR_PEER_SCOPE, FZR_LOG_INFO, NULL, ""},
      {"127.0.0.2:5001", FZR_PEER_SCOPE, FZR_LOG_DEBUG, NULL, ""},
      {"10.0.0.1:5000", FZR_PEER_SCOPE, FZR_LOG_INFO, NULL, ""}, /* farther away than loopback */
      {"192.168.0.1:5000", FZR_PEER_SCOPE, FZR_LOG_DEBUG, NULL, ""},
      {"203.0.113.9:3478", FZR_PEER_RELAY, FZR_LOG_INFO, NULL, ""},
      {"198.51.100.7:5000", FZR_PEER_DENIED, FZR_LOG_INFO, NULL, "198.51.100.0/24"},
      {"[64:ff9b::198.51.100.7]:5000", FZR_PEER_DENIED, FZR_LOG_DEBUG, "198.51.100.7:5000",
       "198.51.100.0/24"},
      {"203.0.113.1:53", FZR_PEER_OWN, FZR_LOG_INFO, NULL, ""},
      {"224.0.0.1:53", FZR_PEER_NOBODY, FZR_LOG_INFO, NULL, ""},
      {"203.0.113.9:666", FZR_PEER_APPLICATION, FZR_LOG_INFO, NULL, ""},
      {"203.0.113.10:666", FZR_PEER_APPLICATION, FZR_LOG_DEBUG, NULL, ""},
  };
  logged l;
  fzt_client_state c;
  fzr_stun_builder b;
  uint8_t buffer[512];
  fzr_peer_rule rule;
  memset(&l, 0, sizeof l);
  fzr_config config = fzt_config(&relay);
  ck_assert_int_eq(fzr_peer_rule_parse("198.51.100.0/24", false, &rule), 0);
  config.peer_rules = &rule;
  config.peer_rule_count = 1;
  config.peer_policy = reject_port_666;
  config.log = keep_record;
  config.log_ctx = &l;
  config.log_level = FZR_LOG_DEBUG;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0); /* it was for the nonce; now one with both families */
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 0);
  unsigned refused = 0;
  for (unsigned hour = 0; hour < 2; hour++) {
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
      const fzr_addr peer = fzt_addr(steps[i].peer);
      ck_assert_int_eq(fzt_bind(&relay, &c, 0x4001, &peer), 403);
      ck_assert_uint_eq(l.last.event,
                        steps[i].level == FZR_LOG_INFO ? FZR_LOG_PEER_OUT_OF_REACH : FZR_LOG_PEER_REFUSED);
      ck_assert_uint_eq(l.count[FZR_LOG_PEER_REFUSED], ++refused);
      ck_assert_msg(l.last.peer_reason == steps[i].reason, "%s: %u", steps[i].peer, l.last.peer_reason);
      ck_assert_msg(l.last.level == steps[i].level, "%s: %u", steps[i].peer, l.last.level);
      ck_assert_str_eq(l.rule, steps[i].rule);
      const fzr_addr inner =
          steps[i].inner ? fzt_addr(steps[i].inner) : (fzr_addr){.family = FZR_FAMILY_NONE};
      ck_assert(fzr_addr_equal(&l.inner, &inner));
    }
    for (unsigned minute = 0; minute < 60; minute += 5) {
      fzt_pass(&relay, 300 * FZR_SECOND);
      ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
    }
  }
  fzt_relay_free(&relay);
}
END_TEST

static logged heard;

/* The last request was refused with |code|, and the log was told why. */
static void expect_refusal(int code, enum fzr_refusal why, unsigned attribute, int lack)
{
  ck_assert_uint_eq(heard.last.event, FZR_LOG_REQUEST);
  ck_assert_uint_eq(heard.last.level, FZR_LOG_DEBUG);
  ck_assert_int_eq(heard.last.error_code, code);
  ck_assert_uint_eq(heard.last.refusal, why);
  ck_assert_uint_eq(heard.last.attribute, attribute);
  ck_assert_int_eq(heard.last.adapter_error, lack);
}

/* A request of |c| with the attribute |type|, 0: none, of |len| bytes. Returns the error code. */
static int ask(fzt_client_state *c, uint16_t method, uint16_t type, const void *value, size_t len)
{
  fzr_stun_builder b;
  uint8_t buffer[1024];
  fzt_begin(&relay, c, &b, buffer, sizeof buffer, method);
  if (type)
    fzr_stun_add(&b, type, value, len);
  return fzt_finish(&relay, c, &b, NULL);
}

static void begin_refusals(void)
{
  memset(&heard, 0, sizeof heard);
  fzr_config config = fzt_config(&relay);
  config.log = keep_record;
  config.log_ctx = &heard;
  config.log_level = FZR_LOG_DEBUG;
  config.max_channels_per_allocation = 1;
  config.lowest_port = config.highest_port = 50000;
  config.replace_allocations = FZR_REPLACE_NEVER;
  fzt_relay_init(&relay, &config);
}

/* 401 and 438, which say nothing of their cause to whoever asks. */
START_TEST(test_why_nobody_is_let_in)
{
  fzt_client_state c, d;
  fzr_stun_builder b;
  uint8_t buffer[1024];
  begin_refusals();
  fzt_client_init(&c, "198.51.100.1:4000");
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_REFRESH, FZR_STUN_REQUEST,
                 (const uint8_t *)"no credentia");
  fzt_client(&relay, &c.addr, &c.server, buffer, (size_t)fzr_stun_build_finish(&b));
  expect_refusal(401, FZR_REFUSAL_NO_CREDENTIALS, 0, 0);
  ck_assert_int_eq(ask(&c, FZR_STUN_REFRESH, 0, NULL, 0), 401);
  expect_refusal(401, FZR_REFUSAL_NO_NONCE, 0, 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  d = c;
  d.key[0] ^= 1;
  ck_assert_int_eq(ask(&d, FZR_STUN_REFRESH, 0, NULL, 0), 401);
  expect_refusal(401, FZR_REFUSAL_PASSWORD, 0, 0);
  snprintf(d.username, sizeof d.username, "nobody");
  ck_assert_int_eq(ask(&d, FZR_STUN_REFRESH, 0, NULL, 0), 401);
  expect_refusal(401, FZR_REFUSAL_USERNAME, 0, 0);
  snprintf(d.username, sizeof d.username, "\xff");
  ck_assert_int_eq(ask(&d, FZR_STUN_REFRESH, 0, NULL, 0), 400);
  expect_refusal(400, FZR_REFUSAL_USERNAME_TEXT, 0, 0);
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_REFRESH, FZR_STUN_REQUEST,
                 (const uint8_t *)"other realm.");
  fzr_stun_add(&b, FZR_ATTR_USERNAME, c.username, strlen(c.username));
  fzr_stun_add(&b, FZR_ATTR_REALM, "elsewhere", 9);
  fzr_stun_add(&b, FZR_ATTR_NONCE, c.nonce, c.nonce_len);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 401);
  expect_refusal(401, FZR_REFUSAL_REALM, 0, 0);
  d = c;
  d.addr.port++;
  ck_assert_int_eq(ask(&d, FZR_STUN_REFRESH, 0, NULL, 0), 438);
  expect_refusal(438, FZR_REFUSAL_NONCE_FOREIGN, 0, 0);
  fzt_pass(&relay, 3601 * FZR_SECOND);
  ck_assert_int_eq(ask(&c, FZR_STUN_REFRESH, 0, NULL, 0), 438);
  expect_refusal(438, FZR_REFUSAL_NONCE_OLD, 0, 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzr_engine_set_wallclock(relay.engine, 1892160001, relay.now), 0);
  ck_assert_int_eq(ask(&c, FZR_STUN_REFRESH, 0, NULL, 0), 401);
  expect_refusal(401, FZR_REFUSAL_EXPIRED, 0, 0);
  fzt_relay_free(&relay);
}
END_TEST

/* What those who are let in may have done wrong, and what the relay lacks. */
START_TEST(test_why_requests_are_refused)
{
  static const uint8_t udp[4] = {17}, both[4] = {FZR_FAMILY_IPV4}, channel[4] = {0x3f, 0xff};
  const fzr_addr peer = fzt_addr("203.0.113.9:5000"), other = fzt_addr("203.0.113.10:5000");
  fzt_client_state c, d;
  fzr_stun_builder b;
  uint8_t buffer[1024];
  begin_refusals();
  fzt_client_init(&c, "198.51.100.1:4000");
  fzt_client_init(&d, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(ask(&c, 0x00b, 0, NULL, 0), 400);
  expect_refusal(400, FZR_REFUSAL_METHOD, 0, 0);
  ck_assert_int_eq(ask(&c, FZR_STUN_REFRESH, 0x7777, udp, 4), 420);
  expect_refusal(420, FZR_REFUSAL_UNKNOWN, 0x7777, 0);
  ck_assert_int_eq(ask(&c, FZR_STUN_REFRESH, FZR_ATTR_LIFETIME, udp, 3), 400);
  expect_refusal(400, FZR_REFUSAL_VALUE, FZR_ATTR_LIFETIME, 0);
  ck_assert_int_eq(ask(&c, FZR_STUN_CHANNEL_BIND, 0, NULL, 0), 400);
  expect_refusal(400, FZR_REFUSAL_MISSING, FZR_ATTR_CHANNEL_NUMBER, 0);
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_CHANNEL_BIND);
  fzr_stun_add(&b, FZR_ATTR_CHANNEL_NUMBER, channel, sizeof channel);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 400);
  expect_refusal(400, FZR_REFUSAL_VALUE, FZR_ATTR_CHANNEL_NUMBER, 0);
  ck_assert_int_eq(ask(&c, FZR_STUN_CREATE_PERMISSION, 0, NULL, 0), 400);
  expect_refusal(400, FZR_REFUSAL_MISSING, FZR_ATTR_XOR_PEER_ADDRESS, 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peer), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &other), 400);
  expect_refusal(400, FZR_REFUSAL_CHANNEL_TAKEN, 0, 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4001, &other), 508);
  expect_refusal(508, FZR_REFUSAL_CHANNELS, 0, 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 437);
  expect_refusal(437, FZR_REFUSAL_NONE, 0, 0);
  ck_assert_int_eq(fzt_allocate(&relay, &d), 508);
  expect_refusal(508, FZR_REFUSAL_LACK, 0, FZR_ERR_NO_PORT);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  ck_assert_int_eq(ask(&c, FZR_STUN_ALLOCATE, 0, NULL, 0), 400);
  expect_refusal(400, FZR_REFUSAL_MISSING, FZR_ATTR_REQUESTED_TRANSPORT, 0);
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add(&b, FZR_ATTR_REQUESTED_TRANSPORT, udp, sizeof udp);
  fzr_stun_add(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, both, sizeof both);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 400);
  expect_refusal(400, FZR_REFUSAL_VALUE, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 0);
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add(&b, FZR_ATTR_REQUESTED_TRANSPORT, udp, sizeof udp);
  fzr_stun_add(&b, 0x7ffe, NULL, 0);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 420);
  expect_refusal(420, FZR_REFUSAL_UNKNOWN, 0x7ffe, 0);
  relay.open_errors[0] = FZR_ERR_IO_NO_SOCKET;
  relay.open_error_count = 1;
  ck_assert_int_eq(fzt_allocate(&relay, &c), 508);
  expect_refusal(508, FZR_REFUSAL_LACK, 0, FZR_ERR_IO_NO_SOCKET);
  fzr_engine_set_draining(relay.engine, true);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 508);
  expect_refusal(508, FZR_REFUSAL_DRAINING, 0, 0);
  fzt_relay_free(&relay);
}
END_TEST

/* Who the client says it is, in the record; who the relay is, in the answer. */
START_TEST(test_software)
{
  logged l;
  fzt_client_state c;
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr software;
  uint8_t buffer[512];
  const fzr_addr peer = fzt_addr("203.0.113.9:5000");
  memset(&l, 0, sizeof l);
  fzr_config config = fzt_config(&relay);
  config.software = "another/1";
  config.log = keep_record;
  config.log_ctx = &l;
  config.log_level = FZR_LOG_DEBUG;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, "tests", 5);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, &msg), 0);
  ck_assert_int_eq(l.last.event, FZR_LOG_ALLOCATION_CREATED);
  ck_assert_str_eq(l.software, "tests");
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_SOFTWARE, &software));
  ck_assert(software.len == 9 && memcmp(software.value, "another/1", 9) == 0);
  /* What changes nothing is told at level debug. */
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, "permits", 7);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 0);
  ck_assert_int_eq(l.last.event, FZR_LOG_PERMISSION);
  ck_assert_int_eq(l.last.level, FZR_LOG_DEBUG);
  ck_assert_str_eq(l.software, "permits");
  ck_assert(fzr_addr_equal(&l.peer, &peer));
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_BINDING);
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, "binds", 5);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 0);
  ck_assert_int_eq(l.last.event, FZR_LOG_REQUEST);
  ck_assert_int_eq(l.last.method, FZR_STUN_BINDING);
  ck_assert_int_eq(l.last.level, FZR_LOG_DEBUG);
  ck_assert_int_eq(l.last.error_code, 0);
  ck_assert_str_eq(l.software, "binds");
  fzt_relay_free(&relay);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("log-records");
  TCase *tc = tcase_create("log-records");
  tcase_add_test(tc, test_log_records);
  tcase_add_test(tc, test_dropped_indications);
  tcase_add_test(tc, test_indications_in_the_wrong_mode);
  tcase_add_test(tc, test_failed_logins);
  tcase_add_test(tc, test_what_is_no_login);
  tcase_add_test(tc, test_refused_peers);
  tcase_add_test(tc, test_why_nobody_is_let_in);
  tcase_add_test(tc, test_why_requests_are_refused);
  tcase_add_test(tc, test_software);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
