/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "flows.h"

#include <stdio.h>

#define TICK          (500 * FZR_MILLISECOND)
#define TRIES         7u
#define REFRESH_EVERY (300 * FZR_SECOND)
#define BIND_EVERY    (240 * FZR_SECOND)
#define OTHER_PORT    3479u /* of the second worker */

/* ---- a client's requests ---- */

static void begin(sim_client *c, fzr_stun_builder *b, uint16_t method)
{
  sim_world *w = c->world;
  w->requests++;
  memset(c->txid, 0, sizeof c->txid);
  memcpy(c->txid, &w->requests, sizeof w->requests);
  fzr_stun_build(b, c->request, sizeof c->request, method, FZR_STUN_REQUEST, c->txid);
  fzr_stun_add(b, FZR_ATTR_USERNAME, c->username, strlen(c->username));
  fzr_stun_add(b, FZR_ATTR_REALM, "firezone", 8);
  if (c->nonce_len)
    fzr_stun_add(b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
}

static void put_out(sim_client *c)
{
  memory_net_send(c->world->net, &c->addr, &c->server, c->request, c->request_len);
  c->next_try = memory_net_now(c->world->net) + (TICK << c->tries);
  c->tries++;
}

static void ask(sim_client *c, uint16_t method, int subject)
{
  fzr_stun_builder b;
  begin(c, &b, method);
  if (method == FZR_STUN_ALLOCATE || method == FZR_STUN_REFRESH) {
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
    fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, c->deletes ? 0 : c->lifetime);
    if (c->mobile && method == FZR_STUN_ALLOCATE)
      fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
    else if (c->moves)
      fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, c->ticket, c->ticket_len);
  } else {
    const sim_channel *channel = &c->channels[subject];
    if (method == FZR_STUN_CHANNEL_BIND)
      fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)channel->number << 16);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &channel->peer);
  }
  fzr_stun_add_integrity(&b, c->key, sizeof c->key);
  fzr_stun_add_fingerprint(&b);
  const int len = fzr_stun_build_finish(&b);
  fzt_check(len > 0);
  c->request_len = (uint16_t)len;
  c->method = method;
  c->subject = subject;
  c->busy = true;
  c->tries = 0;
  put_out(c);
}

static void keep_ticket(sim_client *c, const fzr_stun_msg *msg)
{
  fzr_stun_attr attr;
  c->moves = false;
  if (!fzr_stun_get(msg, FZR_ATTR_MOBILITY_TICKET, &attr))
    return;
  fzt_check(attr.len && attr.len <= sizeof c->ticket);
  memcpy(c->ticket, attr.value, attr.len);
  c->ticket_len = attr.len;
}

static void on_success(sim_client *c, const fzr_stun_msg *msg)
{
  const fzr_time now = memory_net_now(c->world->net);
  fzr_stun_attr attr;
  fzr_addr addr;
  uint16_t offset = 0;
  switch (c->method) {
  case FZR_STUN_ALLOCATE:
    while (fzr_stun_next(msg, &offset, &attr))
      if (attr.type == FZR_ATTR_XOR_RELAYED_ADDRESS && fzr_stun_attr_addr(msg, &attr, &addr))
        c->relayed[addr.family == FZR_FAMILY_IPV6] = addr;
    fzt_check(fzr_stun_get_addr(msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &addr));
    fzt_check(fzr_addr_equal(&addr, &c->addr));
    c->allocated = true;
    c->allocations++;
    keep_ticket(c, msg);
    c->refresh_due = now + c->refresh_every;
    break;
  case FZR_STUN_REFRESH:
    c->refresh_due = c->deletes ? now : now + c->refresh_every;
    c->deletes = false;
    if (c->moves && !c->took)
      c->took = now - c->flipped;
    keep_ticket(c, msg);
    break;
  default:
    c->channels[c->subject].bound = true;
    c->channels[c->subject].due = now + c->bind_every;
    for (unsigned i = 0; i < SIM_CHANNELS; i++)
      if (c->channels[i].wanted && !c->channels[i].bound)
        return;
    if (!c->took)
      c->took = now - c->flipped;
  }
}

static void on_error(sim_client *c, unsigned code)
{
  const fzr_time later = memory_net_now(c->world->net) + 30 * FZR_SECOND;
  if (code == 400 && c->moves) {
    c->moves = false; /* he is where he was */
    c->refresh_due = memory_net_now(c->world->net);
  } else if (code == 437 && c->mobile && c->allocated && !c->moves) {
    c->moves = true; /* an earlier Refresh, which was on its way for long, has taken it where he is no more */
    c->refresh_due = memory_net_now(c->world->net);
  } else if (code == 437 && c->method == FZR_STUN_ALLOCATE) {
    c->deletes = true;
    ask(c, FZR_STUN_REFRESH, -1);
  } else if (code == 437) {
    c->deletes = c->allocated = c->moves = false;
    c->refresh_due = memory_net_now(c->world->net);
    for (unsigned i = 0; i < SIM_CHANNELS; i++) {
      c->channels[i].bound = false;
      c->channels[i].due = 0;
    }
  } else if (c->subject >= 0) {
    c->channels[c->subject].bound = false;
    c->channels[c->subject].due = later;
  } else {
    c->refresh_due = later;
  }
}

static void on_answer(sim_client *c, const fzr_stun_msg *msg)
{
  fzr_stun_attr nonce;
  if (!c->busy || memcmp(fzr_stun_txid(msg), c->txid, sizeof c->txid) != 0)
    return; /* of a request that was answered already */
  /* All credentials here are well formed, so every answer is signed. */
  fzt_check(fzr_stun_verify(msg, c->key, FZR_STUN_KEY_LEN));
  fzt_check(fzr_stun_has(msg, FZR_ATTR_FINGERPRINT));
  const unsigned code = fzr_stun_error_code(msg);
  c->busy = false;
  c->codes[code]++;
  if (c->subject >= 0)
    c->channels[c->subject].last_code = (int)code;
  if (code == 401 || code == 438) {
    fzt_check(fzr_stun_get(msg, FZR_ATTR_NONCE, &nonce) && nonce.len <= sizeof c->nonce);
    memcpy(c->nonce, nonce.value, nonce.len);
    c->nonce_len = nonce.len;
    ask(c, c->method, c->subject);
  } else if (code) {
    on_error(c, code);
  } else {
    on_success(c, msg);
  }
}

static void look_after(sim_client *c, fzr_time now);

/* Data of |l| has come on |channel|. */
static void take_data(sim_client *c, const sim_label *l, sim_channel *channel)
{
  fzt_check(channel != NULL);
  if (l->client != c->index) {
    /* From the other client, through both allocations. */
    fzt_check(channel == &c->channels[SIM_PEERS] && !l->back);
    sim_arrived(&c->world->clients[l->client].channels[l->channel].out, l->number);
    return;
  }
  fzt_check(l->back && channel == &c->channels[l->channel]);
  sim_arrived(&channel->back, l->number);
  if (!c->data_took)
    c->data_took = memory_net_now(c->world->net) - c->flipped;
}

/* Returns whether it was a Data indication. */
static bool take_indication(sim_client *c, const uint8_t *data, size_t len)
{
  fzr_addr peer;
  sim_channel *channel = NULL;
  const uint8_t *payload = sim_read_indication(data, len, FZR_STUN_DATA, &peer);
  if (!payload)
    return false;
  fzt_check(c->indications);
  for (unsigned i = 0; i < SIM_CHANNELS; i++)
    if (c->channels[i].wanted && fzr_addr_equal(&c->channels[i].peer, &peer))
      channel = &c->channels[i];
  const sim_label l = sim_read_label(payload, SIM_PAYLOAD);
  take_data(c, &l, channel);
  return true;
}

static void client_receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data,
                           size_t len)
{
  sim_client *c = ctx;
  fzr_stun_msg msg;
  uint16_t number, payload;
  if (!fzr_addr_equal(to, &c->addr)) {
    sim_lost(c->world, from, to, data, len); /* the NAT has forgotten that port */
    return;
  }
  fzt_check(fzr_addr_equal(from, &c->server));
  if (take_indication(c, data, len))
    return;
  if (fzr_channel_data_read(data, len, &number, &payload) != 0) {
    fzt_check(fzr_stun_read(data, len, &msg) == 0);
    on_answer(c, &msg);
    if (c->eager)
      look_after(c, memory_net_now(c->world->net));
    return;
  }
  fzt_check(payload + 4u == len);
  const sim_label l = sim_read_label(data + 4, payload);
  sim_channel *channel = NULL;
  fzt_check(!c->indications);
  for (unsigned i = 0; i < SIM_CHANNELS; i++)
    if (c->channels[i].number == number)
      channel = &c->channels[i];
  take_data(c, &l, channel);
}

/* ---- what clients do by themselves ---- */

static void find_work(sim_client *c, fzr_time now)
{
  if (!c->keeps)
    return;
  if (!c->allocated) {
    if (now >= c->refresh_due)
      ask(c, FZR_STUN_ALLOCATE, -1);
    return;
  }
  if (now >= c->refresh_due) {
    ask(c, FZR_STUN_REFRESH, -1);
    return;
  }
  for (unsigned i = 0; i < SIM_CHANNELS; i++) {
    if (!c->channels[i].wanted || now < c->channels[i].due)
      continue;
    ask(c, c->indications ? FZR_STUN_CREATE_PERMISSION : FZR_STUN_CHANNEL_BIND, (int)i);
    return;
  }
}

static void look_after(sim_client *c, fzr_time now)
{
  if (c->busy && now >= c->next_try) {
    if (c->tries < TRIES) {
      put_out(c);
    } else {
      c->busy = false;
      c->given_up++;
    }
  }
  if (!c->busy)
    find_work(c, now);
}

static void send_indication(sim_client *c, const fzr_addr *peer, const uint8_t payload[SIM_PAYLOAD])
{
  uint8_t data[128], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  fzt_fill(&c->world->prng, txid, sizeof txid);
  fzr_stun_build(&b, data, sizeof data, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
  fzr_stun_add(&b, FZR_ATTR_DATA, payload, SIM_PAYLOAD);
  const int len = fzr_stun_build_finish(&b);
  fzt_check(len > 0);
  memory_net_send(c->world->net, &c->addr, &c->server, data, (size_t)len);
}

static void talk(sim_client *c)
{
  uint8_t data[4 + SIM_PAYLOAD];
  for (unsigned i = 0; i < SIM_CHANNELS; i++) {
    sim_channel *channel = &c->channels[i];
    if (!channel->bound || !c->talks)
      continue;
    /* The other client is reached when he has a channel, too. */
    if (i == SIM_PEERS && !c->world->clients[1 - c->index].channels[i].bound)
      continue;
    const sim_label l = {(uint8_t)c->index, (uint8_t)i, 0, channel->out.sent++};
    fzr_channel_data_header(data, channel->number, SIM_PAYLOAD);
    sim_write_label(data + 4, &l);
    if (c->indications)
      send_indication(c, &channel->peer, data + 4);
    else
      memory_net_send(c->world->net, &c->addr, &c->server, data, sizeof data);
  }
}

static void on_tick(void *ctx)
{
  sim_world *w = ctx;
  const fzr_time now = memory_net_now(w->net);
  if (w->stopped)
    return;
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    look_after(&w->clients[i], now);
  fzt_check(memory_net_timer(w->net, TICK, on_tick, w) == 0);
}

static void on_talk(void *ctx)
{
  sim_world *w = ctx;
  if (w->stopped)
    return;
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    talk(&w->clients[i]);
  fzt_check(memory_net_timer(w->net, w->talk_every, on_talk, w) == 0);
}

/* ---- the world ---- */

static void make_client(sim_world *w, unsigned i)
{
  static const char *const addrs[SIM_CLIENTS] = {"198.51.100.1:40001", "[2001:db8:c::2]:40002"};
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  sim_client *c = &w->clients[i];
  c->world = w;
  c->index = i;
  c->addr = fzt_addr(addrs[i]);
  c->server = i ? w->listen6 : w->listen4;
  c->lifetime = 600;
  c->refresh_every = REFRESH_EVERY;
  c->bind_every = BIND_EVERY;
  c->indications = w->full && !i;
  snprintf(c->username, sizeof c->username, "4000000000:client%u", i);
  fzr_auth_stamp_password(SIM_SECRET, 4000000000u, (const uint8_t *)c->username + 11,
                          strlen(c->username) - 11, password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c->username, strlen(c->username), "firezone",
                         password, c->key);
  for (unsigned k = 0; k < SIM_CHANNELS; k++) {
    c->channels[k].number = (uint16_t)(0x4000 + 16 * i + k);
    c->channels[k].last_code = -1;
    if (k < SIM_PEERS)
      c->channels[k].peer = w->peers[k].addr;
  }
  fzt_check(memory_net_add_host(w->net, &c->addr, client_receive, c) == 0);
}

static void make_peers(sim_world *w)
{
  for (unsigned i = 0; i < SIM_PEERS; i++) {
    sim_peer *p = &w->peers[i];
    p->world = w;
    p->addr = fzt_addr(i % 3 == 2 ? "[2600::1]:5000" : "203.0.113.9:5000");
    p->addr.port = (uint16_t)(5000 + i);
    fzt_check(memory_net_add_host(w->net, &p->addr, sim_peer_receive, p) == 0);
  }
}

void sim_flip(sim_client *c)
{
  const fzr_addr addr = c->addr, server = c->server;
  c->addr = c->other_addr;
  c->server = c->other_server;
  c->other_addr = addr;
  c->other_server = server;
  c->flipped = memory_net_now(c->world->net);
  c->took = c->data_took = 0;
  c->deletes = false;
  c->moves = c->mobile && c->allocated;
  c->refresh_due = c->flipped;
  ask(c, c->allocated ? FZR_STUN_REFRESH : FZR_STUN_ALLOCATE, -1);
}

static int make_engine(sim_world *w, fzr_engine **out)
{
  fzr_config config = fzr_config_init();
  config.shared = w->shared;
  config.relay_mode = w->full ? FZR_RELAY_FULL : FZR_RELAY_CHANNELS;
  config.mobility = w->mobility;
  config.max_allocations_per_user = w->limit;
  config.mem = &w->mem.hooks;
  config.random = fzt_random;
  config.random_ctx = &w->prng;
  config.public_ip4 = w->public4;
  config.public_ip6 = w->public6;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = SIM_SECRET;
  const int error = fzr_engine_new(&config, out, memory_net_now(w->net));
  if (!error)
    fzt_check(fzr_engine_set_wallclock(*out, 1700000000, memory_net_now(w->net)) == 0);
  return error;
}

static memory_relay *make_relay(sim_world *w, fzr_engine *engine, uint16_t port, int *error)
{
  fzr_addr listen4 = w->listen4, listen6 = w->listen6;
  listen4.port = listen6.port = port;
  return memory_net_add_relay(w->net, engine, &listen4, &listen6, &w->public4, &w->public6, &w->mem.hooks,
                              error);
}

/* The client's other address, at the other worker. */
static void make_other_address(sim_world *w, sim_client *c)
{
  c->other_addr = c->addr;
  c->other_addr.port = (uint16_t)(c->addr.port + 1000);
  c->other_server = c->server;
  c->other_server.port = OTHER_PORT;
  fzt_check(memory_net_add_host(w->net, &c->other_addr, client_receive, c) == 0);
}

static int make_other_worker(sim_world *w)
{
  int error = make_engine(w, &w->other_engine);
  if (!error)
    w->other_relay = make_relay(w, w->other_engine, OTHER_PORT, &error);
  for (unsigned i = 0; i < SIM_CLIENTS && !error; i++)
    make_other_address(w, &w->clients[i]);
  return error;
}

static void make_net(sim_world *w, uint64_t seed, const memory_link *link)
{
  memset(w, 0, sizeof *w);
  fzt_mem_init(&w->mem);
  w->prng.state = seed;
  w->listen4 = fzt_addr("203.0.113.1:3478");
  w->listen6 = fzt_addr("[2001:db8:ffff::1]:3478");
  w->public4 = fzt_addr("203.0.113.1");
  w->public6 = fzt_addr("2001:db8:ffff::1");
  w->talk_every = FZR_SECOND;
  w->net = memory_net_new(seed, 50 * FZR_SECOND);
  fzt_check(w->net != NULL);
  memory_net_set_link(w->net, link);
  memory_net_set_tap(w->net, sim_lost, w);
}

static int start(sim_world *w)
{
  int error = make_engine(w, &w->engine);
  if (!error)
    w->relay = make_relay(w, w->engine, w->listen4.port, &error);
  if (error)
    return error;
  make_peers(w);
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    make_client(w, i);
  fzt_check(memory_net_timer(w->net, 0, on_tick, w) == 0);
  fzt_check(memory_net_timer(w->net, w->talk_every, on_talk, w) == 0);
  return 0;
}

int sim_start(sim_world *w, uint64_t seed, const memory_link *link, uint64_t fail_from, uint64_t fail_only)
{
  make_net(w, seed, link);
  w->mem.fail_from = fail_from;
  w->mem.fail_only = fail_only;
  return start(w);
}

int sim_start_full(sim_world *w, uint64_t seed, const memory_link *link, uint64_t fail_from,
                   uint64_t fail_only)
{
  make_net(w, seed, link);
  w->full = true;
  w->mem.fail_from = fail_from;
  w->mem.fail_only = fail_only;
  return start(w);
}

static int start_two(sim_world *w, uint32_t limit)
{
  w->limit = limit;
  int error = fzr_shared_new(49152, 65535, &w->mem.hooks, &w->shared);
  if (!error)
    error = start(w);
  return error ? error : make_other_worker(w);
}

int sim_start_two(sim_world *w, uint64_t seed, const memory_link *link, uint32_t limit)
{
  make_net(w, seed, link);
  return start_two(w, limit);
}

int sim_start_mobile(sim_world *w, uint64_t seed, const memory_link *link)
{
  make_net(w, seed, link);
  w->mobility = true;
  const int error = start_two(w, 1);
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    w->clients[i].mobile = true;
  return error;
}

/* An engine's state, as it leaves the old process. */
typedef struct state {
  uint8_t *data;
  size_t len;
} state;

static int keep(void *ctx, const uint8_t *data, size_t len)
{
  state *s = ctx;
  uint8_t *more = realloc(s->data, s->len + len);
  fzt_check(more);
  memcpy(more + s->len, data, len);
  *s = (state){more, s->len + len};
  return 0;
}

static state take_state(sim_world *w, fzr_engine *engine, memory_relay *relay)
{
  state s = {0};
  if (!engine)
    return s;
  fzt_check(fzr_engine_save(engine, keep, &s, memory_net_now(w->net)) == 0);
  memory_net_remove_relay(w->net, relay);
  fzr_engine_free(engine);
  return s;
}

static void load_state(sim_world *w, state *s, uint16_t port, fzr_engine **engine, memory_relay **relay)
{
  int error;
  if (!s->data)
    return;
  fzt_check(make_engine(w, engine) == 0);
  *relay = make_relay(w, *engine, port, &error);
  fzt_check(*relay && fzr_engine_load(*engine, s->data, s->len, memory_net_now(w->net), NULL) == 0);
  free(s->data);
}

void sim_hand_over(sim_world *w)
{
  state first = take_state(w, w->engine, w->relay), other = take_state(w, w->other_engine, w->other_relay);
  if (w->shared) {
    fzr_shared_free(w->shared);
    fzt_check(fzr_shared_new(49152, 65535, &w->mem.hooks, &w->shared) == 0);
  }
  load_state(w, &first, w->listen4.port, &w->engine, &w->relay);
  load_state(w, &other, OTHER_PORT, &w->other_engine, &w->other_relay);
  memory_net_run(w->net, 0);
}

void sim_end(sim_world *w)
{
  memory_net_free(w->net);
  fzr_engine_free(w->engine);
  fzr_engine_free(w->other_engine);
  fzr_shared_free(w->shared);
  fzt_check(w->mem.live == 0 && w->mem.live_blocks == 0);
}

void sim_client_go(sim_client *c)
{
  c->keeps = c->talks = true;
  for (unsigned i = 0; i < SIM_PEERS; i++)
    c->channels[i].wanted = true;
}

void sim_run(sim_world *w, fzr_time by)
{
  memory_net_run(w->net, by);
}

fzr_stats sim_stats(const sim_world *w)
{
  fzr_stats stats;
  fzt_check(fzr_engine_stats(w->engine, &stats) == 0);
  return stats;
}
