/* SPDX-License-Identifier: Apache-2.0 */
/* The engine against a small reference model of what RFC 8656 and this relay's documentation say, through random sequences of
 * requests, data and time. */
#include "engine_data.h"
#include "engine_model.h"

#include <stdio.h>

static const uint32_t lifetimes[] = {0, 1, 60, 600, 3600, 5000};

typedef struct allocate {
  bool dual, mobile;
} allocate;

static void add_allocate(fzr_stun_builder *b, const void *ctx)
{
  const allocate *wanted = ctx;
  fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (wanted->dual)
    fzr_stun_add_u32(b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  if (wanted->mobile)
    fzr_stun_add(b, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
}

static void step_allocate(int c)
{
  const allocate wanted = {.dual = fzt_below(&prng, 2), .mobile = fzt_below(&prng, 4)};
  /* Ports of what is over are given back by timers, which may be a tick late. */
  fzt_pass(&relay, FZR_SECOND / 5);
  const bool no_port = model_live_count() == PORTS, maybe_full = last_expiry + FZR_SECOND / 5 > relay.now;
  const bool stays = model_alive(c) && !model_lapsed(c);
  const int code = model_ask(c, FZR_STUN_ALLOCATE, add_allocate, &wanted);
  if (stays ? model_unless_locked_out(c, 0) : secret_is_good[used[c]] ? 0 : 401) {
    fzt_check(code == 401);
    return;
  }
  if (wanted.mobile && !mobility && !stays) {
    fzt_check(code == 405);
    return;
  }
  /* Who has another one that makes room for the next try is told nothing. */
  const int none = model_replaces_other(c) && model_alive((c + USERS) % CLIENTS) ? -1 : 508;
  fzt_check(code == (stays ? 437 : no_port ? none : 0) || (code == none && maybe_full && !stays));
  if (!code || (code == -1 && !stays))
    model_replace_other(c);
  if (code && !stays && model[c].allocated) {
    memset(&model[c], 0, sizeof model[c]); /* it gave way, though its port is still its own */
    last_expiry = relay.now;
  }
  if (code)
    return;
  model[c] = (model_client){.allocated = true,
                            .dual = wanted.dual,
                            .secret = used[c],
                            .id = wanted.mobile ? ++last_id : 0,
                            .expires = relay.now + 600 * FZR_SECOND + GRACE};
  model_keep_ticket(c);
  for (int i = 0; i < CHANNELS; i++)
    model[c].channels[i].peer = -1;
}

static void add_lifetime(fzr_stun_builder *b, const void *ctx)
{
  fzr_stun_add_u32(b, FZR_ATTR_LIFETIME, *(const uint32_t *)ctx);
}

static void refresh(int c, uint32_t lifetime)
{
  const int expected = model_unless_locked_out(c, model_alive(c) ? 0 : 437);
  fzt_check(model_ask(c, FZR_STUN_REFRESH, add_lifetime, &lifetime) == expected);
  fzt_check(!told.len);
  if (expected)
    return;
  model[c].secret = used[c];
  model_set_lifetime(c, lifetime);
}

static void step_refresh(int c)
{
  refresh(c, lifetimes[fzt_below(&prng, 6)]);
}

typedef struct move {
  model_ticket ticket;
  uint32_t lifetime;
} move;

static void add_ticket(fzr_stun_builder *b, const void *ctx)
{
  const move *m = ctx;
  fzr_stun_add(b, FZR_ATTR_MOBILITY_TICKET, m->ticket.bytes, m->ticket.len);
  fzr_stun_add_u32(b, FZR_ATTR_LIFETIME, m->lifetime);
}

/* A Refresh with a ticket, the last one or the one before of any client, or one that was changed. */
static void step_move(int c)
{
  /* Most often that of the other client of the same user, whose allocation may move to this one. */
  const int whose = fzt_below(&prng, 4) ? (c + USERS) % CLIENTS : (int)fzt_below(&prng, CLIENTS);
  move m = {.ticket = tickets[whose][!fzt_below(&prng, 4)], .lifetime = lifetimes[fzt_below(&prng, 6)]};
  if (!m.ticket.len || !fzt_below(&prng, 8)) {
    m.ticket.id = 0;
    m.ticket.bytes[fzt_below(&prng, 32)] ^= (uint8_t)(1u << fzt_below(&prng, 8));
    m.ticket.len = fzt_below(&prng, 4) ? 32 : fzt_below(&prng, 64);
  }
  const int owner = model_owner_of(&m.ticket), expected = model_expected_move(c, &m.ticket, owner);
  fzt_check(model_ask(c, FZR_STUN_REFRESH, add_ticket, &m) == expected);
  if (expected) {
    fzt_check(!told.len);
    return;
  }
  if (owner != c) {
    moves++;
    model[c] = model[owner];
    model[c].generation++;
    clients[c].relayed_port = clients[owner].relayed_port;
    memset(&model[owner], 0, sizeof *model);
  }
  model[c].secret = used[c];
  model_keep_ticket(c);
  if (owner != c)
    model_set_lifetime(c, m.lifetime);
}

typedef struct binding {
  uint16_t number;
  const fzr_addr *peer;
} binding;

static void add_binding(fzr_stun_builder *b, const void *ctx)
{
  const binding *wanted = ctx;
  fzr_stun_add_u32(b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)wanted->number << 16);
  fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, wanted->peer);
}

static void step_bind(int c)
{
  const int channel = (int)fzt_below(&prng, CHANNELS), peer = (int)fzt_below(&prng, PEERS);
  const binding wanted = {(uint16_t)(0x4000 + channel), &peers[peer]};
  const int expected = model_expected_bind(c, channel, peer);
  fzt_check(model_ask(c, FZR_STUN_CHANNEL_BIND, add_binding, &wanted) == expected);
  if (expected)
    return;
  model_bound(c, channel, peer);
  model[c].secret = used[c];
}

static void add_peers(fzr_stun_builder *b, const void *ctx)
{
  const wish *w = ctx;
  for (int i = 0; i < w->count; i++)
    fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, &peers[w->peers[i]]);
}

static void step_permission(int c)
{
  wish w = {.count = 1 + (int)fzt_below(&prng, 4)};
  for (int i = 0; i < w.count; i++)
    w.peers[i] = (int)fzt_below(&prng, PEERS);
  const int expected = model_expected_permission(c, &w);
  fzt_check(model_ask(c, FZR_STUN_CREATE_PERMISSION, add_peers, &w) == expected);
  if (expected)
    return;
  model[c].secret = used[c];
  for (int i = 0; full && i < w.count; i++)
    model[c].permitted[model_address_of(w.peers[i])] = relay.now;
}

/* Some requests of a client in one call, perhaps after a time in which no deadline was seen to; events are taken after all of
 * them. */
#define BURST 4

typedef struct burst {
  uint8_t buffers[BURST][512];
  fzr_pkt pkts[BURST];
  int channel[BURST], peer[BURST]; /* channel -1: a Refresh to 0 */
} burst;

static void add_to_burst(burst *b, int c, int i, bool end)
{
  fzr_stun_builder builder;
  const int channel = (int)fzt_below(&prng, CHANNELS);
  const bool again = model[c].allocated && model[c].channels[channel].peer >= 0 && fzt_below(&prng, 2);
  b->channel[i] = end ? -1 : channel;
  b->peer[i] = again ? model[c].channels[channel].peer : (int)fzt_below(&prng, PEERS);
  const binding wanted = {(uint16_t)(0x4000 + channel), &peers[b->peer[i]]};
  const uint32_t lifetime = 0;
  fzt_begin(&relay, &clients[c], &builder, b->buffers[i], sizeof b->buffers[i],
            end ? FZR_STUN_REFRESH : FZR_STUN_CHANNEL_BIND);
  if (end)
    add_lifetime(&builder, &lifetime);
  else
    add_binding(&builder, &wanted);
  fzr_stun_add_integrity(&builder, clients[c].key, sizeof clients[c].key);
  b->pkts[i] = (fzr_pkt){.data = b->buffers[i],
                         .len = (uint32_t)fzr_stun_build_finish(&builder),
                         .from = clients[c].addr,
                         .to = clients[c].server};
}

/* The answer to request |i|, and what it means for the model. */
static void check_burst_answer(const burst *b, int c, int i, const fzt_answer *answer)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  fzt_check(fzr_stun_read(answer->data, answer->len, &msg) == 0);
  const int code = (int)fzr_stun_error_code(&msg), channel = b->channel[i];
  if (code == 438) { /* stale by now: nothing was done */
    fzt_check(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
    memcpy(clients[c].nonce, nonce.value, nonce.len);
    clients[c].nonce_len = nonce.len;
    return;
  }
  fzt_check(code == (channel >= 0 ? model_expected_bind(c, channel, b->peer[i])
                                  : model_unless_locked_out(c, model_alive(c) ? 0 : 437)));
  if (!code)
    model[c].secret = used[c];
  if (!code && channel >= 0)
    model_bound(c, channel, b->peer[i]);
  else if (!code)
    memset(&model[c], 0, sizeof model[c]);
}

static void step_burst(int c)
{
  burst b;
  if (!clients[c].nonce_len)
    return;
  if (fzt_below(&prng, 2)) {
    refresh(c, 3600);
    relay.now += 600 * FZR_SECOND + fzt_below(&prng, 320 * FZR_SECOND);
  }
  const int n = 1 + (int)fzt_below(&prng, BURST);
  const bool ends = fzt_below(&prng, 2);
  for (int i = 0; i < n; i++)
    add_to_burst(&b, c, i, ends && i == n - 1);
  fzt_client_run(&relay, b.pkts, (size_t)n);
  fzt_check(relay.answer_count == (size_t)n);
  for (int i = 0; i < n; i++)
    check_burst_answer(&b, c, i, &relay.answers[i]);
}

/* Other rules: those of the peers that have no rule are as they were at the start. Channels to who is out of reach end. */
static void step_rules(void)
{
  fzr_peer_rule rules[PEERS];
  size_t n = 0;
  for (int p = 0; p < PEERS; p++) {
    const bool by_default = p != PEERS - 2;
    allowed[p] = fzt_below(&prng, 4) ? by_default : !by_default;
    if (allowed[p] == by_default)
      continue;
    const uint8_t prefix = peers[p].family == FZR_FAMILY_IPV4 ? 32 : 128;
    rules[n++] = (fzr_peer_rule){.net = peers[p], .prefix = prefix, .allow = allowed[p]};
  }
  fzt_check(fzr_engine_set_peer_rules(relay.engine, rules, n) == 0);
  fzt_pass(&relay, 0);
  for (int c = 0; c < CLIENTS; c++)
    for (int i = 0; model[c].allocated && i < CHANNELS; i++)
      if (model[c].channels[i].peer >= 0 && !allowed[model[c].channels[i].peer])
        model[c].channels[i].peer = -1;
  /* The others are denied at one port, and may be reached at others. */
  for (int c = 0; c < CLIENTS; c++)
    if (!allowed[PEERS - 2])
      model[c].permitted[1] = 0;
}

/* One of both secrets, the other, both in either order, or none. */
static void step_secrets(void)
{
  const unsigned which = (unsigned)fzt_below(&prng, 5);
  const char *const first = which == 4 ? "third" : secrets[which & 1];
  secret_is_good[0] = which == 0 || which == 2 || which == 3;
  secret_is_good[1] = which == 1 || which == 2 || which == 3;
  fzt_check(fzr_engine_set_secrets(relay.engine, first,
                                   which == 2 || which == 3 ? secrets[!(which & 1)] : NULL) == 0);
}

/* The client gets the password that another secret makes for its username. */
static void step_password(int c)
{
  used[c] = (int)fzt_below(&prng, 2);
  memcpy(clients[c].key, keys[c][used[c]], sizeof clients[c].key);
}

static void step_end(int c)
{
  const uint16_t port = clients[c].relayed_port;
  const int expected = model_alive(c) ? 0 : FZR_ERR_INVALID_STATE;
  int owner = -1;
  for (int i = 0; i < CLIENTS; i++)
    if (model_alive(i) && clients[i].relayed_port == port)
      owner = i;
  const uint64_t how = fzt_below(&prng, 3);
  if (how == 0) {
    fzr_allocation found = {.id = 0};
    const bool is_there =
        fzr_engine_find_allocation(relay.engine, &clients[c].addr, &clients[c].server, &found);
    fzt_check(is_there == !expected && is_there == (found.id != 0));
    fzt_check(fzr_engine_end_allocation_by_id(relay.engine, found.id, relay.now) == expected);
    owner = expected ? -1 : c;
  } else if (how == 1) {
    fzt_check(fzr_engine_end_allocation(relay.engine, &clients[c].addr, &clients[c].server, relay.now) ==
              expected);
    owner = expected ? -1 : c;
  } else { /* which may be another client's by now */
    fzt_check(fzr_engine_end_allocation_at(relay.engine, port, relay.now) ==
              (owner < 0 ? FZR_ERR_INVALID_STATE : 0));
  }
  if (owner >= 0)
    memset(&model[owner], 0, sizeof model[owner]);
  fzt_pass(&relay, 0);
}

/* All that live are listed, each once; |exact|: nothing else is. */
static void check_list(bool exact)
{
  fzr_allocation list[2];
  uint32_t cursor = 0;
  size_t n;
  unsigned found[CLIENTS] = {0}, others = 0;
  while ((n = fzr_engine_list_allocations(relay.engine, &cursor, list, 2)) != 0)
    for (size_t i = 0; i < n; i++) {
      int c = 0;
      while (c < CLIENTS && !(model_alive(c) && fzr_addr_equal(&clients[c].addr, &list[i].client)))
        c++;
      if (c == CLIENTS) {
        others++;
        continue;
      }
      found[c]++;
      fzt_check(list[i].expires == model[c].expires);
      fzt_check(list[i].relayed[0].port == clients[c].relayed_port);
      fzt_check((list[i].relayed[1].family == FZR_FAMILY_IPV6) == model[c].dual);
      fzt_check(list[i].user == fzr_engine_user(relay.engine, (const uint8_t *)clients[c].username,
                                                strlen(clients[c].username)));
    }
  for (int c = 0; c < CLIENTS; c++)
    fzt_check(found[c] == model_alive(c));
  fzt_check(!exact || !others);
}

static void step_time(void)
{
  static const uint32_t seconds[] = {1, 10, 59, 300, 599, 600, 610, 900, 910, 3600};
  const fzr_time by = fzt_below(&prng, 2) ? fzt_below(&prng, 100 * FZR_SECOND)
                                          : seconds[fzt_below(&prng, 10)] * FZR_SECOND - fzt_below(&prng, 2);
  if (fzt_below(&prng, 4)) {
    fzt_pass(&relay, by);
  } else {
    relay.now += by; /* and the timers come late */
  }
}

static void check_gauges(void)
{
  fzr_stats stats;
  unsigned channels = 0, permissions = 0;
  /* Only when all that is due has been seen to: timers may be a tick late. */
  fzt_pass(&relay, FZR_SECOND / 5);
  for (int c = 0; c < CLIENTS; c++)
    for (int i = 0; model_alive(c) && i < CHANNELS; i++)
      channels += model_relays(&model[c].channels[i]);
  for (int c = 0; c < CLIENTS; c++)
    permissions += model_alive(c) ? (unsigned)model_permit_count(c) : 0;
  fzt_check(fzr_engine_stats(relay.engine, &stats) == 0);
  /* What ended within the last tick may still be counted. */
  uint64_t of_all = 0;
  for (unsigned i = 0; i < FZR_TRANSPORT_ROOM; i++)
    of_all += stats.allocations_by_transport[i];
  fzt_check(of_all == stats.allocations);
  fzt_check(stats.allocations >= model_live_count() && stats.allocations <= CLIENTS);
  fzt_check(stats.channels >= channels && stats.permissions >= permissions);
  fzt_check(stats.allocations_moved == moves);
  check_list(stats.allocations == model_live_count());
  if (last_expiry + FZR_SECOND / 5 > relay.now)
    return;
  for (int c = 0; c < CLIENTS; c++)
    for (int i = 0; i < CHANNELS; i++) {
      const fzr_time end = model[c].channels[i].bound + 600 * FZR_SECOND + GRACE;
      if (model[c].allocated && end <= relay.now && end + FZR_SECOND / 5 > relay.now)
        return;
    }
  fzt_check(stats.allocations == model_live_count() && stats.channels == channels);
  fzt_check(stats.permissions == permissions);
}

static void make_client(int c)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1], salt[16];
  fzt_client_init(&clients[c], "198.51.100.1:4000");
  clients[c].addr.port = (uint16_t)(4000 + c);
  if (c == BY_TCP)
    clients[c].addr.transport = clients[c].server.transport = FZR_TRANSPORT_TCP;
  snprintf(salt, sizeof salt, "user%d", c % USERS);
  snprintf(clients[c].username, sizeof clients[c].username, "1892160000:%s", salt);
  for (unsigned i = 0; i < 2; i++) {
    fzr_auth_stamp_password(secrets[i], 1892160000, (const uint8_t *)salt, strlen(salt), password,
                            sizeof password);
    fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)clients[c].username,
                           strlen(clients[c].username), "firezone", password, keys[c][i]);
  }
  used[c] = 0;
  memcpy(clients[c].key, keys[c][0], sizeof clients[c].key);
}

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  full = fzt_below(&prng, 4);
  config.relay_mode = full ? FZR_RELAY_FULL : FZR_RELAY_CHANNELS;
  config.max_permissions_per_allocation = PERMITS;
  replaces = fzt_below(&prng, 2);
  config.replace_allocations = replaces ? FZR_REPLACE_DEFAULT : FZR_REPLACE_NEVER;
  config.mobility = mobility = fzt_below(&prng, 4);
  moves = 0;
  memset(tickets, 0, sizeof tickets);
  config.lowest_port = 50000;
  config.highest_port = 50000 + PORTS - 1;
  relay.prng.state = fzt_next(&prng);
  fzt_relay_init(&relay, &config);
  memset(model, 0, sizeof model);
  last_expiry = 0;
  secret_is_good[0] = true;
  secret_is_good[1] = false;
  for (int p = 0; p < PEERS; p++)
    allowed[p] = p != PEERS - 2;
  for (int c = 0; c < CLIENTS; c++)
    make_client(c);
  for (int p = 0; p < PEERS; p++) {
    peers[p] = fzt_addr("203.0.113.9:5000");
    peers[p].port = (uint16_t)(5000 + p);
  }
  peers[PEERS - 2] = fzt_addr("10.0.0.1:5000");
  peers[PEERS - 1] = fzt_addr("[2600::1]:5000");
}

START_TEST(test_engine_agrees_with_the_model)
{
  prng.state = fzt_seed("engine");
  for (uint64_t round = 0; round < fzt_rounds(60); round++) {
    set_up();
    for (unsigned step = 0; step < 400; step++) {
      const int c = (int)fzt_below(&prng, CLIENTS);
      switch (fzt_below(&prng, 20)) {
      case 0:
        step_allocate(c);
        break;
      case 1:
        step_refresh(c);
        break;
      case 2:
      case 3:
        step_bind(c);
        break;
      case 4:
        data_of_client(c);
        break;
      case 5:
        data_of_peer(c);
        break;
      case 6:
        step_time();
        break;
      case 7:
        step_burst(c);
        break;
      case 8:
        step_rules();
        break;
      case 9:
        step_secrets();
        break;
      case 10:
        step_end(c);
        break;
      case 11:
        step_password(c);
        break;
      case 12:
      case 13:
        step_permission(c);
        break;
      case 14:
        data_indications(c);
        break;
      case 15:
      case 16:
      case 17:
      case 18:
        step_move(c);
        break;
      default:
        check_gauges();
      }
    }
    /* In the end all is over, and every port free again. */
    fzt_pass(&relay, 5000 * FZR_SECOND);
    fzr_stats stats;
    fzt_check(fzr_engine_stats(relay.engine, &stats) == 0);
    fzt_check(stats.allocations == 0 && stats.channels == 0 && stats.permissions == 0);
    fzt_relay_free(&relay);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("engine-model");
  TCase *tc = tcase_create("model");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, test_engine_agrees_with_the_model);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
