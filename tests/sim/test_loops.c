/* SPDX-License-Identifier: Apache-2.0 */
/* Two relays that are each other's clients: what one relays to its peer, the other takes for its client's, and each turn puts four
 * bytes in front. A user tries to arrange it through the channels themselves: requests travel within ChannelData, relay by relay. Then
 * everything else of this kind that a user can arrange with his own allocations. */
#include "memory_net.h"
#include "prng.h"
#include "testing.h"

#include <stdio.h>

#define DEPTH 3u /* of ChannelData in ChannelData */

/* A relay, and an allocation of the user at it, which he reaches through the channels |via|, the outermost first. */
typedef struct hop {
  uint16_t channels[DEPTH];
  unsigned count;
  char username[32];
  uint8_t key[FZR_STUN_KEY_LEN];
  uint8_t nonce[64];
  uint16_t nonce_len;
  fzr_addr relayed;
} hop;

typedef struct relay {
  fzr_engine *engine;
  fzr_addr listen;
} relay;

static memory_net *net;
static relay a, b;
static fzr_addr user, other;
static fzt_prng prng;
static hop direct, second, third, blocker;
static unsigned requests;
static uint64_t received; /* by the user, of data that is no answer */
/* The newest answer. */
static uint8_t answer[1500];
static size_t answer_len;
static uint8_t txid[FZR_STUN_TXID_LEN];

static void receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  uint16_t channel, inner;
  fzr_stun_msg msg;
  (void)ctx;
  (void)from;
  (void)to;
  while (len >= 4 && fzr_channel_data_read(data, len, &channel, &inner) == 0) {
    data += 4;
    len = inner;
  }
  if (fzr_stun_read(data, len, &msg) || memcmp(fzr_stun_txid(&msg), txid, sizeof txid) != 0) {
    received++;
    return;
  }
  fzt_check(len <= sizeof answer);
  memcpy(answer, data, len);
  answer_len = len;
}

/* Sends |data| to where |h| leads. */
static void send_by(const hop *h, const void *data, size_t len)
{
  uint8_t buffer[1500];
  size_t at = 4u * h->count;
  fzt_check(at + len <= sizeof buffer);
  memcpy(buffer + at, data, len);
  for (unsigned i = h->count; i--; at -= 4)
    fzr_channel_data_header(buffer + at - 4, h->channels[i], (uint16_t)(len + 4 * (h->count - 1 - i)));
  fzt_check(memory_net_send(net, h == &blocker ? &other : &user, &a.listen, buffer, len + 4u * h->count) ==
            0);
}

/* Sends a request, with what it takes to be let in if |h| has a nonce. */
static void request(hop *h, uint16_t method, uint16_t channel, const fzr_addr *peer, uint32_t lifetime)
{
  uint8_t buffer[512];
  fzr_stun_builder m;
  requests++;
  memcpy(txid, &requests, sizeof requests);
  fzr_stun_build(&m, buffer, sizeof buffer, method, FZR_STUN_REQUEST, txid);
  if (method == FZR_STUN_ALLOCATE)
    fzr_stun_add_u32(&m, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (method == FZR_STUN_REFRESH)
    fzr_stun_add_u32(&m, FZR_ATTR_LIFETIME, lifetime);
  if (peer) {
    fzr_stun_add_u32(&m, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)channel << 16);
    fzr_stun_add_addr(&m, FZR_ATTR_XOR_PEER_ADDRESS, peer);
  }
  if (h->nonce_len && method != FZR_STUN_BINDING) {
    fzr_stun_add(&m, FZR_ATTR_USERNAME, h->username, strlen(h->username));
    fzr_stun_add(&m, FZR_ATTR_REALM, "firezone", 8);
    fzr_stun_add(&m, FZR_ATTR_NONCE, h->nonce, h->nonce_len);
    fzr_stun_add_integrity(&m, h->key, sizeof h->key);
  }
  const int len = fzr_stun_build_finish(&m);
  fzt_check(len > 0);
  answer_len = 0;
  send_by(h, buffer, (size_t)len);
}

/* Waits for the answer. Returns its code, 0 for success, -1 if there is none. */
static int outcome(fzr_stun_msg *msg)
{
  memory_net_run(net, 200 * FZR_MILLISECOND);
  if (!answer_len || fzr_stun_read(answer, answer_len, msg))
    return -1;
  return msg->cls == FZR_STUN_SUCCESS ? 0 : (int)fzr_stun_error_code(msg);
}

static void learn_nonce(hop *h)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  request(h, FZR_STUN_ALLOCATE, 0, NULL, 0);
  ck_assert_int_eq(outcome(&msg), 401);
  fzt_check(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(h->nonce, nonce.value, nonce.len);
  h->nonce_len = nonce.len;
}

static void allocate(hop *h)
{
  fzr_stun_msg msg;
  learn_nonce(h);
  request(h, FZR_STUN_ALLOCATE, 0, NULL, 0);
  ck_assert_int_eq(outcome(&msg), 0);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &h->relayed));
}

static int bind(hop *h, uint16_t channel, const fzr_addr *peer)
{
  fzr_stun_msg msg;
  request(h, FZR_STUN_CHANNEL_BIND, channel, peer, 0);
  return outcome(&msg);
}

/* A hop behind |before|, whose channel |channel| leads to the next relay. */
static hop behind(const hop *before, uint16_t channel, const char *username)
{
  static const char secret[] = "a secret of both relays";
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  hop h;
  memset(&h, 0, sizeof h);
  if (before) {
    memcpy(h.channels, before->channels, sizeof h.channels);
    h.count = before->count;
    h.channels[h.count++] = channel;
  }
  snprintf(h.username, sizeof h.username, "4000000000:%s", username);
  fzr_auth_stamp_password(secret, 4000000000u, (const uint8_t *)username, strlen(username), password,
                          sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)h.username, strlen(h.username), "firezone",
                         password, h.key);
  return h;
}

static void add_relay(relay *r, const char *address, uint16_t listen_port, const char *rule, uint16_t highest)
{
  const fzr_addr none = {.family = FZR_FAMILY_NONE};
  fzr_peer_rule open;
  int error;
  fzr_config config = fzr_config_init();
  config.random = fzt_random;
  config.random_ctx = &prng;
  config.public_ip4 = fzt_addr(address);
  config.listen_port = listen_port;
  config.lowest_port = 50000;
  config.highest_port = highest;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = "a secret of both relays";
  if (rule) {
    ck_assert_int_eq(fzr_peer_rule_parse(rule, true, &open), 0);
    config.peer_rules = &open;
    config.peer_rule_count = 1;
  }
  r->listen = config.public_ip4;
  r->listen.port = listen_port;
  ck_assert_int_eq(fzr_engine_new(&config, &r->engine, memory_net_now(net)), 0);
  ck_assert_int_eq(fzr_engine_set_wallclock(r->engine, 1700000000, memory_net_now(net)), 0);
  ck_assert(memory_net_add_relay(net, r->engine, &r->listen, &none, &config.public_ip4, &none, NULL,
                                 &error) != NULL);
}

/* Two relays; |rule_a| and |rule_b| open peers of theirs (NULL: none), and a has ports 50000 to |highest|. */
static void start(uint16_t port_b, const char *rule_a, const char *rule_b, uint16_t highest)
{
  const memory_link link = {10 * FZR_MILLISECOND, 0, 0, 0};
  received = requests = 0;
  prng.state = 1;
  net = memory_net_new(1, FZR_SECOND);
  fzt_check(net != NULL);
  memory_net_set_link(net, &link);
  add_relay(&a, "203.0.113.1", 3478, rule_a, highest);
  add_relay(&b, "203.0.113.2", port_b, rule_b, 65535);
  user = fzt_addr("198.51.100.1:4000");
  other = fzt_addr("198.51.100.2:4000");
  fzt_check(memory_net_add_host(net, &user, receive, NULL) == 0);
  fzt_check(memory_net_add_host(net, &other, receive, NULL) == 0);
  direct = behind(NULL, 0, "direct");
  blocker = behind(NULL, 0, "blocker");
}

static void stop(void)
{
  memory_net_free(net);
  fzr_engine_free(a.engine);
  fzr_engine_free(b.engine);
}

/* Datagrams that both relays have relayed. */
static uint64_t relayed(void)
{
  uint64_t n = 0;
  for (unsigned i = 0; i < 2; i++) {
    fzr_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.size = sizeof stats;
    ck_assert_int_eq(fzr_engine_stats(i ? b.engine : a.engine, &stats), 0);
    n += stats.packets[0] + stats.packets[1];
  }
  return n;
}

/* How many datagrams the relays still relay when nobody has sent anything for a while. */
static uint64_t still_relayed(void)
{
  memory_net_run(net, 2 * FZR_SECOND);
  const uint64_t before = relayed();
  memory_net_run(net, 10 * FZR_SECOND);
  return relayed() - before;
}

/* The user's plan. His allocation at a has b as peer; through it he allocates at b, as client he is then a's port, and has a as peer there;
 * through both he sends an Allocate to a, frees the port while it is on its way, and hopes to get the same port again, for
 * the client that b's port is. Returns whether it gave a loop. */
static bool plan(void)
{
  allocate(&direct);
  if (bind(&direct, 0x4000, &b.listen))
    return false;
  second = behind(&direct, 0x4000, "second");
  allocate(&second);
  if (bind(&second, 0x4001, &a.listen))
    return false;
  third = behind(&second, 0x4001, "third");
  learn_nonce(&third);
  for (unsigned k = 0; k < 3; k++) { /* all of it on its way, at once */
    request(&third,
            k == 0   ? FZR_STUN_ALLOCATE
            : k == 1 ? FZR_STUN_CHANNEL_BIND
                     : FZR_STUN_BINDING,
            0x4002, k == 1 ? &b.listen : NULL, 0);
    memory_net_run(net, FZR_MILLISECOND);
  }
  memory_net_run(net, 12 * FZR_MILLISECOND);
  request(&direct, FZR_STUN_REFRESH, 0, NULL, 0);
  return still_relayed() > 100;
}

/* The range of ports at a is one but for the one that is asked for: what is freed is all there is. */
static bool plan_with_one_port(uint16_t port_b, const char *rule_a, const char *rule_b)
{
  start(port_b, rule_a, rule_b, 50000);
  const bool loop = plan();
  stop();
  return loop;
}

START_TEST(test_ping_pong)
{
  /* Where operators open the ports of relays to each other, on both sides, it goes on for ever: the plan works. */
  ck_assert(plan_with_one_port(3478, "203.0.113.2:3478", "203.0.113.1:3478"));
  ck_assert(plan_with_one_port(5000, "203.0.113.2:5000", "203.0.113.1:3478"));
  /* Else not; one of both is enough. */
  ck_assert(!plan_with_one_port(3478, NULL, NULL));
  ck_assert(!plan_with_one_port(3478, "203.0.113.2:3478", NULL));
  ck_assert(!plan_with_one_port(3478, NULL, "203.0.113.1:3478"));
  ck_assert(!plan_with_one_port(5000, NULL, NULL)); /* a reaches port 5000, but b no 3478 */
  ck_assert(!plan_with_one_port(3478, "203.0.113.0/24", "203.0.113.0/24"));
}
END_TEST

/* Where there are other ports than the one that was freed, it is not given out again so soon. */
START_TEST(test_a_freed_port_rests)
{
  start(3478, "203.0.113.2:3478", "203.0.113.1:3478", 50001);
  ck_assert(!plan());
  stop();
  /* It is this that prevents it: with the other port taken, there is the loop. */
  start(3478, "203.0.113.2:3478", "203.0.113.1:3478", 50001);
  allocate(&blocker);
  ck_assert(plan());
  stop();
}
END_TEST

static const uint8_t data[100] = {0xff};

static void send_data(hop *h, uint16_t channel)
{
  hop there = *h;
  there.channels[there.count++] = channel;
  send_by(&there, data, sizeof data);
}

/* An allocation that is its own peer: what comes in goes out once. */
START_TEST(test_own_allocation_as_peer)
{
  start(3478, NULL, NULL, 50001);
  allocate(&direct);
  ck_assert_int_eq(bind(&direct, 0x4000, &direct.relayed), 0);
  for (unsigned i = 0; i < 10; i++)
    send_data(&direct, 0x4000);
  memory_net_run(net, FZR_SECOND);
  ck_assert_uint_eq(received, 10);
  ck_assert_uint_eq(relayed(), 20);
  ck_assert_uint_eq(still_relayed(), 0);
  stop();
}
END_TEST

/* Two allocations of one relay that have each other, and each other's clients, as peers. */
START_TEST(test_two_allocations_of_one_relay)
{
  start(3478, NULL, NULL, 50001);
  hop *const mine[2] = {&direct, &blocker};
  const fzr_addr *const clients[2] = {&user, &other};
  for (unsigned i = 0; i < 2; i++)
    allocate(mine[i]);
  for (unsigned i = 0; i < 2; i++) {
    ck_assert_int_eq(bind(mine[i], 0x4000, &mine[1 - i]->relayed), 0);
    ck_assert_int_eq(bind(mine[i], 0x4001, clients[1 - i]), 0);
    ck_assert_int_eq(bind(mine[i], 0x4002, clients[i]), 0);
  }
  for (uint16_t channel = 0x4000; channel <= 0x4002; channel++)
    for (unsigned i = 0; i < 2; i++) {
      fzr_addr from = *clients[i];
      uint8_t buffer[4 + sizeof data];
      fzr_channel_data_header(buffer, channel, sizeof data);
      memcpy(buffer + 4, data, sizeof data);
      fzt_check(memory_net_send(net, &from, &a.listen, buffer, sizeof buffer) == 0);
    }
  memory_net_run(net, FZR_SECOND);
  ck_assert_uint_eq(received, 6);
  ck_assert_uint_eq(relayed(), 8); /* those from allocation to allocation count twice */
  ck_assert_uint_eq(still_relayed(), 0);
  /* A client that is an allocation of the same relay takes its listen port as peer. */
  ck_assert_int_eq(bind(&direct, 0x4003, &a.listen), 403);
  stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("loops");
  TCase *tc = tcase_create("loops");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, test_ping_pong);
  tcase_add_test(tc, test_a_freed_port_rests);
  tcase_add_test(tc, test_own_allocation_as_peer);
  tcase_add_test(tc, test_two_allocations_of_one_relay);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
