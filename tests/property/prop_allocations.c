/* SPDX-License-Identifier: Apache-2.0 */
/* Two shards, clients that allocate single ports and pairs, claim what was reserved, move from address to address, and go; against a model
 * that knows which port is whose. What a client sends comes to the shard that its address leads to, as the kernel would have it. */
#include "relay.h"

#include "turn/state.h"

#include <limits.h>

#define CLIENTS 8
#define PORTS   12
#define STEPS   6000

typedef struct model_client {
  bool alive;
  unsigned shard; /* that has its allocation */
  uint16_t port;
  fzr_time ends; /* when the relay forgets it */
  uint8_t ticket[64];
  uint16_t ticket_len;
  fzr_time bound_until;
  /* What it has reserved. */
  bool reserved;
  fzr_time reserved_until;
  uint8_t token[8];
} model_client;

static fzt_relay shards[2];
static fzt_client_state clients[CLIENTS];
static model_client model[CLIENTS];
static fzt_prng prng;
static const fzr_addr peer = {{203, 0, 113, 9}, 0, 5000, FZR_FAMILY_IPV4, 0};

static unsigned shard_of(const fzr_addr *addr)
{
  return addr->port % 2;
}

/* Both shards' time goes on. */
static void pass(fzr_time by)
{
  for (unsigned i = 0; i < 2; i++)
    fzt_pass(&shards[i], by);
}

static fzr_time now(void)
{
  return shards[0].now;
}

static void forget_what_is_over(void)
{
  for (unsigned i = 0; i < CLIENTS; i++) {
    model_client *m = &model[i];
    if (m->alive && now() >= m->ends)
      m->alive = m->reserved = false;
    if (m->reserved && now() >= m->reserved_until)
      m->reserved = false;
  }
}

/* What |c| sends comes to its shard, and from there, if that says so, to the other one. Returns the shard that has dealt with it. */
static fzt_relay *deliver(const fzt_client_state *c, const uint8_t *data, size_t len)
{
  uint8_t datagram[2048];
  fzt_relay *heard = &shards[shard_of(&c->addr)], *other = &shards[!shard_of(&c->addr)];
  fzt_client(heard, &c->addr, &c->server, data, len);
  fzt_check(heard->verdict_count == 1);
  const fzr_verdict *v = &heard->verdicts[0];
  if (v->action != FZR_ACT_FORWARD || !v->hdr_len)
    return heard;
  fzt_check(v->flags == (FZR_VERDICT_TO_OWN | FZR_VERDICT_TO_SHARD) && v->count == 1);
  memcpy(datagram, v->hdr, v->hdr_len);
  memcpy(datagram + v->hdr_len, v->data, v->len);
  fzt_peer(other, &v->from, v->to.port, datagram, (size_t)v->hdr_len + v->len);
  return other;
}

/* Sends a request until nothing but its nonce was wrong. Returns the code, and the answer. */
static int ask(unsigned i, uint16_t method, uint16_t type, const void *value, size_t len, fzr_stun_msg *msg)
{
  static uint8_t answer[512];
  fzt_client_state *c = &clients[i];
  for (unsigned tries = 0; tries < 2; tries++) {
    uint8_t buffer[512];
    fzr_stun_builder b;
    fzr_stun_attr nonce;
    fzt_begin(&shards[0], c, &b, buffer, sizeof buffer, method);
    if (method == FZR_STUN_ALLOCATE)
      fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    if (method == FZR_STUN_ALLOCATE)
      fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
    if (method == FZR_STUN_CHANNEL_BIND)
      fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
    if (type)
      fzr_stun_add(&b, type, value, len);
    fzr_stun_add_integrity(&b, c->key, FZR_STUN_KEY_LEN);
    const int built = fzr_stun_build_finish(&b);
    fzt_check(built > 0);
    const fzt_relay *by = deliver(c, buffer, (size_t)built);
    fzt_check(by->answer_count == 1 && fzr_addr_equal(&by->answers[0].to, &c->addr));
    memcpy(answer, by->answers[0].data, by->answers[0].len);
    fzt_check(fzr_stun_read(answer, by->answers[0].len, msg) == 0);
    const unsigned code = msg->cls == FZR_STUN_ERROR ? fzr_stun_error_code(msg) : 0;
    if (code != 401 && code != 438)
      return (int)code;
    fzt_check(fzr_stun_get(msg, FZR_ATTR_NONCE, &nonce));
    memcpy(c->nonce, nonce.value, nonce.len);
    c->nonce_len = nonce.len;
  }
  return 438;
}

static bool is_taken(uint16_t port)
{
  for (unsigned i = 0; i < CLIENTS; i++)
    if ((model[i].alive && model[i].port == port) || (model[i].reserved && model[i].port + 1 == port))
      return true;
  return false;
}

static unsigned taken(void)
{
  unsigned n = 0;
  for (uint16_t port = 50000; port < 50000 + PORTS; port++)
    n += is_taken(port);
  return n;
}

static bool has_pair(void)
{
  for (uint16_t port = 50000; port + 1 < 50000 + PORTS; port += 2)
    if (!is_taken(port) && !is_taken((uint16_t)(port + 1)))
      return true;
  return false;
}

static bool has_even(void)
{
  for (uint16_t port = 50000; port < 50000 + PORTS; port += 2)
    if (!is_taken(port))
      return true;
  return false;
}

static void keep_ticket(model_client *m, const fzr_stun_msg *msg)
{
  fzr_stun_attr attr;
  fzt_check(fzr_stun_get(msg, FZR_ATTR_MOBILITY_TICKET, &attr) && attr.len <= sizeof m->ticket);
  memcpy(m->ticket, attr.value, attr.len);
  m->ticket_len = attr.len;
}

/* It lives now. Returns its port. */
static uint16_t begins(unsigned i, const fzr_stun_msg *msg)
{
  fzr_addr relayed;
  model_client *m = &model[i];
  fzt_check(fzr_stun_get_addr(msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
  fzt_check(!is_taken(relayed.port));
  *m = (model_client){.alive = true,
                      .shard = shard_of(&clients[i].addr),
                      .port = relayed.port,
                      .ends = now() + 610 * FZR_SECOND};
  keep_ticket(m, msg);
  return relayed.port;
}

static void step_allocate(unsigned i)
{
  static const struct {
    const char *value;
    size_t len;
  } shapes[3] = {{NULL, 0}, {"\0", 1}, {"\x80", 1}};
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  const unsigned shape = (unsigned)fzt_below(&prng, 3);
  const bool room = shape == 0 ? taken() < PORTS : shape == 1 ? has_even() : has_pair();
  const int code =
      ask(i, FZR_STUN_ALLOCATE, shape ? FZR_ATTR_EVEN_PORT : 0, shapes[shape].value, shapes[shape].len, &msg);
  fzt_check(code == (model[i].alive ? 437 : room ? 0 : 508));
  if (code)
    return;
  const uint16_t port = begins(i, &msg);
  fzt_check(!shape || port % 2 == 0);
  fzt_check(fzr_stun_get(&msg, FZR_ATTR_RESERVATION_TOKEN, &attr) == (shape == 2));
  if (shape < 2)
    return;
  fzt_check(!is_taken((uint16_t)(port + 1)));
  model[i].reserved = true;
  model[i].reserved_until = now() + 30 * FZR_SECOND;
  memcpy(model[i].token, attr.value, attr.len);
}

/* By the token of any client's last reservation, of which it may have heard. */
static void step_claim(unsigned i)
{
  fzr_stun_msg msg;
  model_client *of = &model[fzt_below(&prng, CLIENTS)];
  const bool good = of->reserved && !model[i].alive;
  const uint16_t port = (uint16_t)(of->port + 1);
  const int code = ask(i, FZR_STUN_ALLOCATE, FZR_ATTR_RESERVATION_TOKEN, of->token, sizeof of->token, &msg);
  fzt_check(code == (model[i].alive ? 437 : good ? 0 : 508));
  if (code)
    return;
  of->reserved = false;
  fzt_check(begins(i, &msg) == port);
}

static void step_move(unsigned i)
{
  fzr_stun_msg msg;
  model_client *m = &model[i];
  if (!m->ticket_len)
    return;
  clients[i].addr.port = (uint16_t)(4000 + 100 * i + fzt_below(&prng, 4));
  const fzr_addr before = clients[i].addr;
  const int code = ask(i, FZR_STUN_REFRESH, FZR_ATTR_MOBILITY_TICKET, m->ticket, m->ticket_len, &msg);
  fzt_check(fzr_addr_equal(&before, &clients[i].addr));
  /* 400: it is where it was. */
  fzt_check(m->alive ? code == 0 || code == 400 : code == 437);
  if (code)
    return;
  keep_ticket(m, &msg);
  m->ends = now() + 610 * FZR_SECOND;
}

static void step_end(unsigned i)
{
  fzr_stun_msg msg;
  const uint8_t none[4] = {0};
  const int code = ask(i, FZR_STUN_REFRESH, FZR_ATTR_LIFETIME, none, sizeof none, &msg);
  fzt_check(code == (model[i].alive ? 0 : 437));
  model[i].alive = model[i].reserved = false;
}

static void step_bind(unsigned i)
{
  fzr_stun_msg msg;
  const uint8_t number[4] = {0x40, 0};
  const int code = ask(i, FZR_STUN_CHANNEL_BIND, FZR_ATTR_CHANNEL_NUMBER, number, sizeof number, &msg);
  fzt_check(code == (model[i].alive ? 0 : 437));
  if (model[i].alive)
    model[i].bound_until = now() + 610 * FZR_SECOND;
}

/* Both ways, wherever the client is. */
static void step_data(unsigned i)
{
  uint8_t data[12] = {0};
  const model_client *m = &model[i];
  fzr_channel_data_header(data, 0x4000, 8);
  const fzt_relay *by = deliver(&clients[i], data, sizeof data);
  fzt_check(by->verdict_count == 1);
  if (!m->alive || now() >= m->bound_until) {
    fzt_check(by->verdicts[0].action == FZR_ACT_DROP);
    return;
  }
  fzt_check(by->verdicts[0].action == FZR_ACT_FORWARD && fzr_addr_equal(&by->verdicts[0].to, &peer) &&
            by->verdicts[0].from.port == m->port && by == &shards[m->shard]);
  fzt_peer(&shards[m->shard], &peer, m->port, data, 8);
  const fzr_verdict *back = &shards[m->shard].verdicts[0];
  fzt_check(back->action == FZR_ACT_FORWARD && fzr_addr_equal(&back->to, &clients[i].addr));
}

/* Whether |due| was a moment ago: timers are a little late. */
static bool just_now(fzr_time due)
{
  return now() >= due && now() - due < FZR_SECOND;
}

/* Not into the last seconds of an allocation, in which another one may take its place, nor to where a timer is about to fire. */
static void step_time(void)
{
  pass(fzt_below(&prng, 20) ? fzt_below(&prng, 12 * FZR_SECOND) : 40 * FZR_SECOND);
  for (unsigned i = 0; i < CLIENTS; i++)
    if (model[i].alive && now() < model[i].ends && now() + 10 * FZR_SECOND >= model[i].ends)
      pass(model[i].ends - now());
  for (unsigned i = 0; i < CLIENTS; i++)
    if ((model[i].alive && just_now(model[i].ends)) ||
        (model[i].reserved && just_now(model[i].reserved_until))) {
      pass(FZR_SECOND);
      i = UINT_MAX; /* from the first one on again */
    }
  forget_what_is_over();
}

static void set_up(void)
{
  fzr_shared *shared;
  fzt_check(fzr_shared_new(50000, 50000 + PORTS - 1, NULL, &shared) == 0);
  for (unsigned i = 0; i < 2; i++) {
    fzr_config config = fzt_config(&shards[i]);
    shards[i].prng.state = fzt_next(&prng);
    config.shared = shared;
    config.lowest_port = 50000;
    config.highest_port = 50000 + PORTS - 1;
    config.mobility = true;
    config.replace_allocations = FZR_REPLACE_NEVER; /* all clients are one user */
    config.unauthenticated_rate = config.error_rate = FZR_UNLIMITED;
    fzt_relay_init(&shards[i], &config);
  }
  memset(model, 0, sizeof model);
  for (unsigned i = 0; i < CLIENTS; i++) {
    fzt_client_init(&clients[i], "198.51.100.1:4000");
    clients[i].addr.port = (uint16_t)(4000 + 100 * i);
  }
}

/* The shards know the same of ports as the model does. */
static void check(const fzr_shared *shared)
{
  uint64_t alive = 0, live = 0;
  for (unsigned i = 0; i < CLIENTS; i++)
    alive += model[i].alive;
  for (unsigned i = 0; i < 2; i++) {
    fzr_stats stats;
    fzt_check(fzr_engine_stats(shards[i].engine, &stats) == 0);
    live += stats.allocations;
  }
  fzt_check(live == alive);
  fzt_check(fzr_shared_ports_in_use(shared) == taken());
}

START_TEST(test_shards_agree_with_the_model)
{
  prng.state = fzt_seed("allocations");
  set_up();
  fzr_shared *shared = shards[0].engine->shared;
  for (unsigned step = 0; step < STEPS; step++) {
    const unsigned i = (unsigned)fzt_below(&prng, CLIENTS);
    switch (fzt_below(&prng, 10)) {
    case 0:
    case 1:
      step_allocate(i);
      break;
    case 2:
      step_claim(i);
      break;
    case 3:
    case 4:
      step_move(i);
      break;
    case 5:
      step_end(i);
      break;
    case 6:
      step_bind(i);
      break;
    case 7:
    case 8:
      step_data(i);
      break;
    default:
      step_time();
    }
    check(shared);
  }
  for (unsigned i = 0; i < 2; i++)
    fzt_relay_free(&shards[i]);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 0);
  fzr_shared_free(shared);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("allocations");
  TCase *tc = tcase_create("allocations");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, test_shards_agree_with_the_model, 0, 5);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
