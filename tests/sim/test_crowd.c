/* SPDX-License-Identifier: Apache-2.0 */
/* 3,000 clients behind one address, as a carrier's NAT or a NodePort makes them: all of them get their allocation, and the log has one
 * line a minute for them, whichever of the relay's workers they meet. */
#include "memory_net.h"
#include "prng.h"
#include "testing.h"

#include <stdio.h>

#define CROWD   3000u
#define WORKERS 2u
#define LINES   256u

typedef struct crowd_client {
  fzr_addr addr;
  const fzr_addr *server;
  uint8_t key[FZR_STUN_KEY_LEN];
  char username[32];
  uint8_t nonce[64];
  uint16_t nonce_len;
  uint8_t txid[FZR_STUN_TXID_LEN];
  unsigned tries;
  bool only_binds; /* asks for its address, once */
  bool done;
} crowd_client;

typedef struct line {
  fzr_addr client;
  fzr_time at;
  unsigned worker;
} line;

static memory_net *net;
static fzr_shared *shared;
static fzr_engine *engines[WORKERS];
static fzr_addr listens[WORKERS];
static crowd_client clients[CROWD + 1]; /* the last one is alone in its prefix */
static fzt_prng prng;
static line lines[LINES];
static unsigned line_count, txids;

static void on_record(void *ctx, const fzr_log_record *r)
{
  if (r->event != FZR_LOG_STRANGERS_LIMITED)
    return;
  fzt_check(r->level == FZR_LOG_WARN && line_count < LINES);
  lines[line_count++] = (line){*r->client, r->now, *(const unsigned *)ctx};
}

static void ask(void *ctx);

static void begin(crowd_client *c)
{
  c->tries = 0;
  txids++;
  memcpy(c->txid, &txids, sizeof txids);
  ask(c);
}

static void put_out(crowd_client *c)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_build(&b, buffer, sizeof buffer, c->only_binds ? FZR_STUN_BINDING : FZR_STUN_ALLOCATE,
                 FZR_STUN_REQUEST, c->txid);
  if (!c->only_binds)
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (c->nonce_len && !c->only_binds) {
    fzr_stun_add(&b, FZR_ATTR_USERNAME, c->username, strlen(c->username));
    fzr_stun_add(&b, FZR_ATTR_REALM, "firezone", 8);
    fzr_stun_add(&b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
    fzr_stun_add_integrity(&b, c->key, sizeof c->key);
  }
  const int len = fzr_stun_build_finish(&b);
  fzt_check(len > 0 && memory_net_send(net, &c->addr, c->server, buffer, (size_t)len) == 0);
}

/* Sends, and again after 0.5 s, 1 s, 2 s and so on, until there is an answer. */
static void ask(void *ctx)
{
  crowd_client *c = ctx;
  if (c->done || c->tries > 5)
    return;
  put_out(c);
  fzt_check(memory_net_timer(net, (500 * FZR_MILLISECOND) << c->tries, ask, c) == 0);
  c->tries++;
}

static void receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  crowd_client *c = ctx;
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  (void)from;
  (void)to;
  if (fzr_stun_read(data, len, &msg) || memcmp(fzr_stun_txid(&msg), c->txid, sizeof c->txid) != 0)
    return;
  if (msg.cls == FZR_STUN_SUCCESS) {
    c->done = true;
    return;
  }
  fzt_check(fzr_stun_error_code(&msg) == 401 && !c->nonce_len && fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(c->nonce, nonce.value, nonce.len);
  c->nonce_len = nonce.len;
  txids++;
  memcpy(c->txid, &txids, sizeof txids);
  put_out(c);
}

static void make_client(unsigned i)
{
  static const char secret[] = "a secret of the crowd";
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  crowd_client *c = &clients[i];
  memset(c, 0, sizeof *c);
  c->addr = fzt_addr(i < CROWD ? "198.51.100.7:1" : "198.51.101.7:1");
  c->addr.port = (uint16_t)(10000 + i);
  c->server = &listens[i % WORKERS];
  snprintf(c->username, sizeof c->username, "4000000000:%u", i);
  fzr_auth_stamp_password(secret, 4000000000u, (const uint8_t *)c->username + 11, strlen(c->username) - 11,
                          password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c->username, strlen(c->username), "firezone",
                         password, c->key);
  fzt_check(memory_net_add_host(net, &c->addr, receive, c) == 0);
}

static void start(void)
{
  static unsigned numbers[WORKERS] = {0, 1};
  const memory_link link = {10 * FZR_MILLISECOND, 20 * FZR_MILLISECOND, 0, 0};
  const fzr_addr none = {.family = FZR_FAMILY_NONE};
  int error;
  line_count = txids = 0;
  prng.state = 1;
  net = memory_net_new(1, FZR_SECOND);
  fzt_check(net != NULL);
  memory_net_set_link(net, &link);
  ck_assert_int_eq(fzr_shared_new(49152, 65535, NULL, &shared), 0);
  for (unsigned i = 0; i < WORKERS; i++) {
    fzr_config config = fzr_config_init();
    config.random = fzt_random;
    config.random_ctx = &prng;
    config.log = on_record;
    config.log_ctx = &numbers[i];
    config.log_level = FZR_LOG_WARN;
    config.shared = shared;
    config.public_ip4 = fzt_addr("203.0.113.1");
    config.auth = FZR_AUTH_STAMP;
    config.auth_secret = "a secret of the crowd";
    config.unauthenticated_rate = 500; /* its part of the default */
    listens[i] = fzt_addr(i ? "203.0.113.2:3478" : "203.0.113.1:3478");
    ck_assert_int_eq(fzr_engine_new(&config, &engines[i], memory_net_now(net)), 0);
    ck_assert_int_eq(fzr_engine_set_wallclock(engines[i], 1700000000, memory_net_now(net)), 0);
    ck_assert(memory_net_add_relay(net, engines[i], &listens[i], &none, &config.public_ip4, &none, NULL,
                                   &error) != NULL);
  }
  for (unsigned i = 0; i <= CROWD; i++)
    make_client(i);
}

static void stop(void)
{
  memory_net_free(net);
  for (unsigned i = 0; i < WORKERS; i++)
    fzr_engine_free(engines[i]);
  fzr_shared_free(shared);
}

static unsigned still_waiting(void)
{
  unsigned n = 0;
  for (unsigned i = 0; i <= CROWD; i++)
    n += !clients[i].done;
  return n;
}

static uint64_t limited(void)
{
  uint64_t n = 0;
  for (unsigned i = 0; i < WORKERS; i++) {
    fzr_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.size = sizeof stats;
    ck_assert_int_eq(fzr_engine_stats(engines[i], &stats), 0);
    n += stats.dropped[FZR_DROP_RATE_LIMITED];
  }
  return n;
}

/* All ask for their addresses at once, three times as many as are answered. */
static void all_bind(void)
{
  for (unsigned i = 0; i <= CROWD; i++) {
    clients[i].only_binds = true;
    clients[i].done = false;
    begin(&clients[i]);
    for (unsigned more = 0; more < 2; more++)
      put_out(&clients[i]);
  }
}

START_TEST(test_a_line_a_minute)
{
  const fzr_time minute = 60 * FZR_SECOND;
  start();
  for (unsigned i = 0; i <= CROWD; i++)
    begin(&clients[i]);
  memory_net_run(net, minute / 2);
  ck_assert_uint_eq(still_waiting(), 0);
  ck_assert_uint_gt(limited(), 500);
  ck_assert_uint_eq(line_count, 1);
  ck_assert_uint_eq(lines[0].client.ip[2], 100); /* not the one in the next prefix */
  /* Again within the minute: nothing new. */
  const uint64_t before = limited();
  all_bind();
  memory_net_run(net, minute / 4);
  ck_assert_uint_gt(limited(), before);
  ck_assert_uint_eq(line_count, 1);
  /* While it goes on: one a minute. */
  for (unsigned i = 0; i < 20; i++) {
    all_bind();
    memory_net_run(net, minute / 4);
  }
  ck_assert_uint_ge(line_count, 5);
  ck_assert_uint_le(line_count, 7);
  for (unsigned i = 1; i < line_count; i++)
    ck_assert_uint_ge(lines[i].at - lines[i - 1].at, minute);
  /* When it is over, there is silence. */
  const unsigned told = line_count;
  memory_net_run(net, 10 * minute);
  ck_assert_uint_eq(line_count, told);
  stop();
}
END_TEST

/* A flood from 300 prefixes is no flood of lines. */
START_TEST(test_many_prefixes)
{
  uint8_t request[20];
  fzr_stun_builder b;
  const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  start();
  fzr_stun_build(&b, request, sizeof request, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  ck_assert_int_eq(fzr_stun_build_finish(&b), 20);
  fzr_addr from = fzt_addr("10.0.0.1:1");
  for (unsigned i = 0; i < 300; i++) {
    from.ip[1] = (uint8_t)(i >> 8);
    from.ip[2] = (uint8_t)i;
    for (unsigned k = 0; k < 1100; k++)
      fzt_check(memory_net_send(net, &from, &listens[0], request, sizeof request) == 0);
    if (i % 10 == 9)
      memory_net_run(net, FZR_SECOND);
  }
  memory_net_run(net, FZR_SECOND);
  ck_assert_uint_ge(line_count, 16);
  ck_assert_uint_le(line_count, 64);
  for (unsigned i = 0; i < line_count; i++)
    for (unsigned k = 0; k < i; k++)
      ck_assert_int_ne(memcmp(lines[i].client.ip, lines[k].client.ip, 3), 0);
  stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("crowd");
  TCase *tc = tcase_create("crowd");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, test_a_line_a_minute);
  tcase_add_test(tc, test_many_prefixes);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
