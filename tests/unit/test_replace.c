/* SPDX-License-Identifier: Apache-2.0 */
/* A user's new allocation ends the older one, in one shard and across two. */
#include "relay.h"

#include "turn/request.h"

#include <stdio.h>

static fzt_relay one, two;
static fzr_shared *shared;
static const fzr_addr peer = {{203, 0, 113, 9}, 0, 5000, FZR_FAMILY_IPV4, 0};

/* A client at 198.51.100.1:|port| whose user is |name|. */
static fzt_client_state client_of(const char *name, uint16_t port)
{
  fzt_client_state c;
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  fzt_client_init(&c, "198.51.100.1:4000");
  c.addr.port = port;
  snprintf(c.username, sizeof c.username, "1892160000:%s", name);
  fzr_auth_stamp_password(FZT_SECRET, 1892160000, (const uint8_t *)name, strlen(name), password,
                          sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c.username, strlen(c.username), "firezone",
                         password, c.key);
  return c;
}

static unsigned replaced_logs;

static void note(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  replaced_logs += record->event == FZR_LOG_ALLOCATION_REPLACED;
}

/* Two shards with |ports| ports; each user may have |limit| allocations. */
static void begin(uint16_t ports, enum fzr_replace replace, uint32_t limit)
{
  shared = fzt_shared_new(ports);
  for (unsigned i = 0; i < 2; i++) {
    fzt_relay *r = i ? &two : &one;
    fzr_config config = fzt_shard_config(r, i, shared, ports);
    config.replace_allocations = (uint8_t)replace;
    config.max_allocations_per_user = limit;
    config.log = note;
    config.log_level = FZR_LOG_INFO;
    fzt_relay_init(r, &config);
  }
}

static void end(void)
{
  fzt_shards_free(&one, &two, shared);
}

static uint64_t allocations(const fzt_relay *r)
{
  fzr_stats stats = {.size = sizeof stats};
  ck_assert_int_eq(fzr_engine_stats(r->engine, &stats), 0);
  return stats.allocations;
}

static bool relays(fzt_relay *r, const fzt_client_state *c)
{
  uint8_t data[8] = {0};
  fzr_channel_data_header(data, 0x4000, 4);
  fzt_client(r, &c->addr, &c->server, data, sizeof data);
  ck_assert_uint_eq(r->verdict_count, 1);
  return r->verdicts[0].action == FZR_ACT_FORWARD;
}

static void expect_events(const fzt_relay *r, const uint16_t *types, size_t n)
{
  ck_assert_uint_eq(r->event_count, n);
  for (size_t i = 0; i < n; i++)
    ck_assert_uint_eq(r->events[i].type, types[i]);
}

/* Who a user is cannot be told from his name: it takes the shards' key, which all of them have. */
START_TEST(test_the_key_of_users)
{
  const fzri_request r = {.username = {.value = (const uint8_t *)"1892160000:ann", .len = 14}, .from = &peer};
  begin(100, FZR_REPLACE_ALWAYS, 1);
  const uint64_t user = fzri_request_user(one.engine, &r);
  ck_assert_uint_eq(user, fzri_request_user(two.engine, &r));
  end();
  fzt_relay other;
  fzr_config config = fzt_config(&other);
  other.prng.state = 12345;
  fzt_relay_init(&other, &config);
  ck_assert_uint_ne(user, fzri_request_user(other.engine, &r));
  fzt_relay_free(&other);
}
END_TEST

/* Another shard has written down a newer one, and comes to mark the older one only after a request for that. */
START_TEST(test_before_the_mark)
{
  uint16_t older;
  begin(100, FZR_REPLACE_ALWAYS, 1);
  fzt_client_state c = client_of("ann", 4000);
  ck_assert_int_eq(fzt_allocate(&one, &c), 0);
  const fzri_request r = {
      .username = {.value = (const uint8_t *)c.username, .len = (uint16_t)strlen(c.username)},
      .from = &c.addr};
  const uint64_t user = fzri_request_user(two.engine, &r);
  const uint16_t newer = c.relayed_port == 50000 ? 50001 : 50000;
  ck_assert(fzri_shared_set_newest(shared, user, newer, &older));
  ck_assert_uint_eq(older, c.relayed_port);
  replaced_logs = 0;
  ck_assert_int_eq(fzt_refresh(&one, &c, 600), 437);
  ck_assert_uint_eq(replaced_logs, 1);
  ck_assert_uint_eq(allocations(&one), 0);
  fzri_shared_unset_newest(shared, user, newer);
  end();
}
END_TEST

/* A mark that comes late, for what is the newest one by now, is taken away. */
START_TEST(test_a_mark_for_the_newest)
{
  begin(100, FZR_REPLACE_ALWAYS, 1);
  fzt_client_state c = client_of("ann", 4000);
  ck_assert_int_eq(fzt_allocate(&one, &c), 0);
  fzri_shared_mark(shared, c.relayed_port);
  ck_assert_int_eq(fzt_refresh(&one, &c, 600), 0);
  ck_assert_uint_eq(fzri_shared_next_mark(shared, 0), 0);
  end();
}
END_TEST

/* In one shard the older one ends as the new one begins, in order. */
START_TEST(test_in_one_shard)
{
  static const uint16_t expected[] = {FZR_EVENT_PORT_OPEN, FZR_EVENT_CHANNEL_UNBOUND, FZR_EVENT_PORT_CLOSE};
  begin(100, FZR_REPLACE_DEFAULT, 1);
  fzt_client_state first = client_of("ann", 4000), second = client_of("ann", 4001),
                   other = client_of("bob", 4002);
  ck_assert_int_eq(fzt_allocate(&one, &other), 0);
  ck_assert_int_eq(fzt_allocate(&one, &first), 0);
  ck_assert_int_eq(fzt_bind(&one, &first, 0x4000, &peer), 0);
  const uint16_t port = first.relayed_port;
  ck_assert_int_eq(fzt_allocate(&one, &second), 0);
  expect_events(&one, expected, 3);
  ck_assert_uint_eq(one.events[1].port, port);
  ck_assert_uint_eq(one.events[2].port, port);
  ck_assert_uint_eq(allocations(&one), 2);
  ck_assert(!relays(&one, &first));
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 437);
  /* The same again, the other way round: whoever allocated last has it. */
  ck_assert_int_eq(fzt_allocate(&one, &first), 0);
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 0);
  ck_assert_int_eq(fzt_refresh(&one, &second, 600), 437);
  ck_assert_int_eq(fzt_refresh(&one, &other, 600), 0);
  ck_assert_uint_eq(allocations(&one), 2);
  end();
}
END_TEST

/* A client tries all transports at once: what it gets by one does not end what it has by another. */
START_TEST(test_transports)
{
  static const uint8_t transports[] = {FZR_TRANSPORT_UDP, FZR_TRANSPORT_TCP, FZR_TRANSPORT_TLS,
                                       FZR_TRANSPORT_DTLS};
  fzt_client_state c[4], moved[4];
  begin(100, FZR_REPLACE_DEFAULT, 1);
  for (unsigned i = 0; i < 4; i++) {
    c[i] = client_of("ann", 4000);
    moved[i] = client_of("ann", 4001);
    c[i].addr.transport = c[i].server.transport = transports[i];
    moved[i].addr.transport = moved[i].server.transport = transports[i];
    ck_assert_int_eq(fzt_allocate(i & 1 ? &two : &one, &c[i]), 0);
  }
  for (unsigned i = 0; i < 4; i++)
    ck_assert_int_eq(fzt_refresh(i & 1 ? &two : &one, &c[i], 600), 0);
  /* Of each of them the newest one counts, in whichever shard. */
  for (unsigned i = 0; i < 4; i++) {
    ck_assert_int_eq(fzt_allocate(i & 2 ? &two : &one, &moved[i]), 0);
    for (unsigned k = 0; k < 4; k++)
      ck_assert_int_eq(fzt_refresh(k & 1 ? &two : &one, &c[k], 600), k <= i ? 437 : 0);
  }
  end();
  /* Where none is replaced, a user may have so many over all transports. */
  begin(100, FZR_REPLACE_NEVER, 2);
  for (unsigned i = 0; i < 4; i++) {
    c[i].nonce_len = 0;
    ck_assert_int_eq(fzt_allocate(i & 1 ? &two : &one, &c[i]), i < 2 ? 0 : 486);
  }
  end();
}
END_TEST

/* In another shard it ends before a request on its 5-tuple is answered, and within a second without any. */
START_TEST(test_in_two_shards)
{
  static const uint16_t expected[] = {FZR_EVENT_CHANNEL_UNBOUND, FZR_EVENT_PORT_CLOSE};
  begin(100, FZR_REPLACE_DEFAULT, 1);
  fzt_client_state first = client_of("ann", 4000), second = client_of("ann", 4001);
  for (unsigned round = 0; round < 20; round++) {
    ck_assert_int_eq(fzt_allocate(&one, &first), 0);
    ck_assert_int_eq(fzt_bind(&one, &first, 0x4000, &peer), 0);
    ck_assert_int_eq(fzt_allocate(&two, &second), 0);
    ck_assert_int_eq(fzt_bind(&two, &second, 0x4000, &peer), 0);
    if (round % 2) {
      ck_assert_int_eq(fzt_refresh(&one, &first, 600), 437);
    } else {
      fzt_pass(&one, FZR_SECOND);
      two.now = one.now;
      expect_events(&one, expected, 2);
    }
    ck_assert_uint_eq(allocations(&one), 0);
    ck_assert_uint_eq(allocations(&two), 1);
    ck_assert(!relays(&one, &first));
    ck_assert(relays(&two, &second));
    ck_assert_int_eq(fzt_refresh(&two, &second, 600), 0);
    ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 1);
  }
  /* The newest one goes by itself: the next one replaces none. */
  ck_assert_int_eq(fzt_refresh(&two, &second, 0), 0);
  ck_assert_int_eq(fzt_allocate(&one, &first), 0);
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 0);
  end();
}
END_TEST

/* An older one that has not been noticed goes even if the newest is gone before that. */
START_TEST(test_newest_goes_first)
{
  begin(100, FZR_REPLACE_DEFAULT, 0);
  fzt_client_state first = client_of("ann", 4000), second = client_of("ann", 4001);
  ck_assert_int_eq(fzt_allocate(&one, &first), 0);
  ck_assert_int_eq(fzt_allocate(&two, &second), 0);
  ck_assert_int_eq(fzt_refresh(&two, &second, 0), 0);
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 437);
  ck_assert_uint_eq(allocations(&one), 0);
  end();
}
END_TEST

/* An Allocate that fails ends nothing; where it fails because all ports are taken, the older one makes room, and
 * nothing is said before there is some. */
START_TEST(test_failures)
{
  begin(2, FZR_REPLACE_DEFAULT, 0);
  fzt_client_state first = client_of("ann", 4000), second = client_of("ann", 4001),
                   other = client_of("bob", 4002), third = client_of("eve", 4003);
  ck_assert_int_eq(fzt_allocate(&one, &first), 0);
  two.open_errors[0] = FZR_ERR_IO;
  two.open_error_count = 1;
  ck_assert_int_eq(fzt_allocate(&two, &second), 508);
  fzr_engine_set_draining(two.engine, true);
  ck_assert_int_eq(fzt_allocate(&two, &second), 508);
  fzr_engine_set_draining(two.engine, false);
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 0);
  ck_assert_int_eq(fzt_allocate(&two, &other), 0);
  ck_assert_int_eq(fzt_allocate(&two, &third), 508); /* has none to give */
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 0);
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(fzt_allocate(&two, &second),
                     -1); /* asks again, by itself, until the other shard has looked */
  fzt_pass(&one, FZR_SECOND);
  ck_assert_uint_eq(allocations(&one), 0);
  ck_assert_int_eq(fzt_allocate(&two, &second), 0);
  ck_assert_int_eq(fzt_refresh(&two, &other, 600), 0);
  end();
}
END_TEST

/* Fresh credentials of another name on the same 5-tuple: the allocation is that user's from then on. */
START_TEST(test_user_changes)
{
  begin(100, FZR_REPLACE_DEFAULT, 0);
  fzt_client_state old = client_of("ann", 4000), renewed = client_of("ann2", 4000),
                   second = client_of("ann2", 4001), stranger = client_of("ann", 4002);
  ck_assert_int_eq(fzt_allocate(&one, &old), 0);
  memcpy(renewed.nonce, old.nonce, sizeof old.nonce);
  renewed.nonce_len = old.nonce_len;
  ck_assert_int_eq(fzt_refresh(&one, &renewed, 600), 0);
  ck_assert_int_eq(fzt_allocate(&two, &stranger), 0); /* no longer the same user */
  ck_assert_int_eq(fzt_refresh(&one, &renewed, 600), 0);
  ck_assert_int_eq(fzt_allocate(&two, &second), 0);
  ck_assert_int_eq(fzt_refresh(&one, &renewed, 600), 437);
  ck_assert_int_eq(fzt_refresh(&two, &stranger, 600), 0);
  end();
}
END_TEST

/* But not by a request that is refused: that ends nobody's allocation. */
START_TEST(test_refused_requests_change_no_user)
{
  const fzr_addr forbidden = fzt_addr("10.0.0.1:53");
  begin(100, FZR_REPLACE_DEFAULT, 0);
  fzt_client_state old = client_of("ann", 4000), other = client_of("ann2", 4000),
                   second = client_of("ann2", 4001);
  ck_assert_int_eq(fzt_allocate(&one, &old), 0);
  ck_assert_int_eq(fzt_allocate(&two, &second), 0);
  memcpy(other.nonce, old.nonce, sizeof old.nonce);
  other.nonce_len = old.nonce_len;
  ck_assert_int_eq(fzt_bind(&one, &other, 0x3fff, &peer), 400);
  ck_assert_int_eq(fzt_bind(&one, &other, 0x4000, &forbidden), 403);
  ck_assert_int_eq(fzt_refresh(&two, &second, 600), 0);
  ck_assert_int_eq(fzt_bind(&one, &other, 0x4000, &peer), 0); /* this one is good */
  ck_assert_int_eq(fzt_refresh(&two, &second, 600), 437);
  end();
}
END_TEST

START_TEST(test_not_asked_for)
{
  static const fzr_user users[] = {{"alice", "wonderland"}};
  begin(100, FZR_REPLACE_NEVER, 2);
  fzt_client_state a = client_of("ann", 4000), b = client_of("ann", 4001), c = client_of("ann", 4002);
  ck_assert_int_eq(fzt_allocate(&one, &a), 0);
  ck_assert_int_eq(fzt_allocate(&two, &b), 0);
  ck_assert_int_eq(fzt_allocate(&two, &c), 486);
  fzt_pass(&one, 2 * FZR_SECOND);
  ck_assert_int_eq(fzt_refresh(&one, &a, 600), 0);
  end();
  /* By default only with the stamp scheme. */
  for (enum fzr_replace replace = FZR_REPLACE_DEFAULT; replace <= FZR_REPLACE_ALWAYS; replace++) {
    fzr_config config = fzt_config(&one);
    config.auth = FZR_AUTH_STATIC;
    config.users = users;
    config.user_count = 1;
    config.replace_allocations = (uint8_t)replace;
    fzt_relay_init(&one, &config);
    fzt_client_state alice[2];
    for (unsigned i = 0; i < 2; i++) {
      fzt_client_init(&alice[i], i ? "198.51.100.1:4001" : "198.51.100.1:4000");
      strcpy(alice[i].username, "alice");
      fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)"alice", 5, "firezone", "wonderland",
                             alice[i].key);
      ck_assert_int_eq(fzt_allocate(&one, &alice[i]), 0);
    }
    ck_assert_int_eq(fzt_refresh(&one, &alice[0], 600), replace == FZR_REPLACE_ALWAYS ? 437 : 0);
    ck_assert_int_eq(fzt_refresh(&one, &alice[1], 600), 0);
    fzt_relay_free(&one);
  }
  fzr_config config = fzt_config(&one);
  config.replace_allocations = FZR_REPLACE_ALWAYS + 1;
  ck_assert_int_eq(fzr_engine_new(&config, &one.engine, 0), FZR_ERR_CONFIG_LIMIT);
}
END_TEST

/* While the new one's sockets are being opened the older one lives. */
START_TEST(test_slow_opening)
{
  begin(100, FZR_REPLACE_DEFAULT, 0);
  fzt_client_state first = client_of("ann", 4000), second = client_of("ann", 4001);
  ck_assert_int_eq(fzt_allocate(&one, &first), 0);
  two.hold_opens = true;
  ck_assert_int_eq(fzt_allocate(&two, &second), -1);
  const uint16_t port = two.events[0].port;
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 0);
  ck_assert_int_eq(fzr_engine_port_result(two.engine, port, FZR_FAMILY_IPV4, 0,
                                          (void *)((uintptr_t)port << 2 | FZR_FAMILY_IPV4), two.now),
                   0);
  ck_assert_int_eq(fzt_refresh(&one, &first, 600), 437);
  ck_assert_int_eq(fzt_refresh(&two, &second, 600), 0);
  end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("replace");
  TCase *tc = tcase_create("replace");
  tcase_add_test(tc, test_the_key_of_users);
  tcase_add_test(tc, test_before_the_mark);
  tcase_add_test(tc, test_a_mark_for_the_newest);
  tcase_add_test(tc, test_in_one_shard);
  tcase_add_test(tc, test_transports);
  tcase_add_test(tc, test_in_two_shards);
  tcase_add_test(tc, test_newest_goes_first);
  tcase_add_test(tc, test_failures);
  tcase_add_test(tc, test_user_changes);
  tcase_add_test(tc, test_refused_requests_change_no_user);
  tcase_add_test(tc, test_not_asked_for);
  tcase_add_test(tc, test_slow_opening);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
