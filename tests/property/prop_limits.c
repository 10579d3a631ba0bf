/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that are refused, at random times: no second has more answers to the same request than may be, and whoever asks seldom
 * enough is answered each time. */
#include "relay.h"

#define CLIENTS  4u
#define KINDS    12u   /* of requests of one client */
#define REQUESTS 2000u /* of a round */

/* One that was sent: when, and whether it was answered. */
typedef struct sent {
  fzr_time at;
  uint8_t client;
  uint8_t kind;
  bool answered;
} sent;

static fzt_relay relay;
static fzt_prng prng;
static fzt_client_state clients[CLIENTS];
static sent log_of_all[REQUESTS];

static fzr_addr peer_of(unsigned kind)
{
  fzr_addr peer = fzt_addr(kind & 1 ? "203.0.113.9:5000" : "[2001:db8:7::9]:5000");
  peer.port = (uint16_t)(5000 + kind / 4);
  return peer;
}

/* All kinds are refused, each time with the same code. */
static bool ask(const fzt_client_state *c, unsigned kind)
{
  uint8_t buffer[512], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  const fzr_addr peer = peer_of(kind);
  if (kind == 0 || kind == 1) {
    fzt_fill(&prng, txid, sizeof txid);
    fzr_stun_build(&b, buffer, sizeof buffer, kind ? FZR_STUN_BINDING : FZR_STUN_ALLOCATE, FZR_STUN_REQUEST,
                   txid);
    fzr_stun_add_u32(&b, 0x7777, 0); /* nobody knows it: 420, or 401 */
    fzt_client(&relay, &c->addr, &c->server, buffer, (size_t)fzr_stun_build_finish(&b));
    return relay.answer_count;
  }
  const uint16_t method = kind == 2   ? FZR_STUN_REFRESH
                          : kind == 3 ? 0x0fe
                          : kind & 2  ? FZR_STUN_CHANNEL_BIND
                                      : FZR_STUN_CREATE_PERMISSION;
  fzt_begin(&relay, c, &b, buffer, sizeof buffer, method);
  if (method == FZR_STUN_CHANNEL_BIND)
    fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, 0x4000u << 16);
  if (kind > 3)
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  const int code = fzt_finish(&relay, c, &b, NULL);
  fzt_check(code == -1 || code == (kind == 3 ? 400 : 437));
  return code != -1;
}

static fzr_time pause(unsigned manner)
{
  switch (manner) {
  case 0: /* as fast as it can */
    return fzt_below(&prng, FZR_MILLISECOND);
  case 1: /* bursts */
    return fzt_below(&prng, 40) ? 0 : fzt_below(&prng, 3 * FZR_SECOND);
  case 2: /* some that come on the very edge of a second */
    return fzt_below(&prng, 4) ? FZR_SECOND / 20 : FZR_SECOND / 20 - 1 + fzt_below(&prng, 3);
  default:
    return fzt_below(&prng, FZR_SECOND / 5);
  }
}

static bool is_repeat(const sent *a, const sent *b)
{
  return a->client == b->client && a->kind == b->kind;
}

/* Looks at the second that ends with request |i|, its edges included. */
static void check(unsigned i, uint32_t rate)
{
  const sent *last = &log_of_all[i];
  unsigned answers = 0, asked = 0, all = 0;
  for (unsigned k = i + 1; k-- > 0;) {
    const sent *s = &log_of_all[k];
    const fzr_time ago = last->at - s->at;
    if (ago > FZR_SECOND + FZR_SECOND / 1000000)
      break;
    answers += ago <= FZR_SECOND && is_repeat(s, last) && s->answered;
    asked += is_repeat(s, last);
    all += s->client == last->client;
  }
  fzt_check(answers <= rate);
  /* Half of them are always there, and the rate for what differs, whatever was before. */
  if (rate > 1 && asked <= rate / 2 && all <= rate)
    fzt_check(last->answered);
}

static void round_of(unsigned manner)
{
  /* A second has a whole number of nanoseconds for each: no rounding takes one away. */
  static const uint32_t rates[] = {1, 2, 4, 10, 10, 10, 20, 50, 100};
  fzr_config config = fzt_config(&relay);
  const uint32_t rate = rates[fzt_below(&prng, sizeof rates / sizeof *rates)];
  config.error_rate = rate;
  fzt_relay_init(&relay, &config);
  for (unsigned i = 0; i < CLIENTS; i++) {
    fzt_client_init(&clients[i], "198.51.100.1:4000");
    clients[i].addr.port = (uint16_t)(4000 + i);
    fzt_check(fzt_allocate(&relay, &clients[i]) == 0);
    fzt_check(fzt_refresh(&relay, &clients[i], 0) == 0);
  }
  relay.now += 100 * FZR_SECOND;
  unsigned client = 0, kind = 0;
  for (unsigned i = 0; i < REQUESTS; i++) {
    /* Runs of one, and all mixed. */
    if (manner == 3 || !fzt_below(&prng, 30)) {
      client = (unsigned)fzt_below(&prng, CLIENTS);
      kind = (unsigned)fzt_below(&prng, KINDS);
    }
    relay.now += pause(manner);
    log_of_all[i] = (sent){relay.now, (uint8_t)client, (uint8_t)kind, ask(&clients[client], kind)};
    check(i, rate);
  }
  fzt_relay_free(&relay);
}

START_TEST(test_any_second)
{
  prng.state = fzt_seed("limits");
  for (uint64_t i = 0; i < fzt_rounds(40); i++)
    round_of((unsigned)(i % 4));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("limits");
  TCase *tc = tcase_create("limits");
  tcase_set_timeout(tc, 200);
  tcase_add_test(tc, test_any_second);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
