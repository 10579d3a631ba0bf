/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_world.h"

#include "base/bytes.h"
#include "base/siphash.h"
#include "turn/ports.h"
#include "turn/record.h"
#include "turn/state.h"

#include <stdio.h>

/* Permissions lapse at such a moment. */
#define TICK ((fzr_time)1 << 27)

uint64_t world_counts[WORLD_COUNTS];
const char *const world_count_names[WORLD_COUNTS] = {"allocated", "refreshed", "bound",   "permitted",
                                                     "moved",     "reserved",  "claimed", "ended"};

static unsigned below(world *w, unsigned n)
{
  return (unsigned)fzt_below(&w->prng, n);
}

/* ---- states ---- */

typedef struct part {
  const uint8_t *data;
  size_t len;
} part;

static int compare_parts(const void *a, const void *b)
{
  const part *x = a, *y = b;
  const int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
  return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Makes the time at |at| one of the clock, of |base|. */
static void make_absolute(uint8_t *at, fzr_time base)
{
  fzri_put_le(at, fzri_get_le64(at) + base, 8);
}

/* Where an allocation's record says when it began: behind its addresses, its key and its number. */
static size_t began_at(const uint8_t *body)
{
  size_t at = 80;
  for (unsigned i = 0; i < 2; i++)
    at += body[at] == FZR_FAMILY_IPV6 ? 24 : 8;
  return at + body[6] + 4;
}

/* Has a record of |type| say the same whenever it was written. */
static void settle(unsigned type, uint8_t *body, fzr_time base, bool full)
{
  switch (type) {
  case FZRI_RECORD_ALLOCATION:
    make_absolute(body + 8, base);
    make_absolute(body + 16, base);
    make_absolute(body + began_at(body), base);
    break;
  case FZRI_RECORD_CHANNEL:
    make_absolute(body + 5, base);
    break;
  case FZRI_RECORD_PERMISSION:
    make_absolute(body + 2, base);
    /* What has lapsed does so anew, in the tick that follows. */
    if (full && fzri_get_le64(body + 2) < base)
      fzri_put_le(body + 2, (base + TICK - 1) / TICK * TICK, 8);
    break;
  case FZRI_RECORD_MOBILITY:
    make_absolute(body + 15, base);
    break;
  case FZRI_RECORD_RESERVATION:
    body[2] = 0; /* one that is being claimed is again after a crash: test_journal.c */
    memset(body + 11, 0, 8);
    break;
  default:
    break;
  }
}

uint64_t world_state(const fzr_engine *engine, fzr_time now, bool full)
{
  static fzt_state state;
  static part parts[4096];
  size_t n = 0;
  const fzri_siphash_key key = {1, 2};
  fzri_record record;
  fzt_state_save(&state, engine, now);
  fzri_reader r = {.data = state.data, .len = state.len, .offset = FZRI_STATE_HEADER_LEN};
  while (fzri_reader_next(&r, &record)) {
    if (record.type == FZRI_RECORD_ENGINE || record.type == FZRI_RECORD_COUNTERS ||
        record.type == FZRI_RECORD_PORTS)
      continue;
    uint8_t *at = state.data + record.offset;
    settle(record.type, at + FZRI_RECORD_HEAD_LEN, now, full);
    ck_assert_uint_lt(n, 4096);
    parts[n++] = (part){at, FZRI_RECORD_HEAD_LEN + (size_t)record.left};
  }
  qsort(parts, n, sizeof *parts, compare_parts);
  uint64_t hash = n;
  for (size_t i = 0; i < n; i++)
    hash = hash * 31 + fzri_siphash13(&key, parts[i].data, parts[i].len);
  return hash;
}

/* ---- clients ---- */

static const char *const peers[] = {"203.0.113.9:5000", "203.0.113.9:5001", "198.51.100.7:443",
                                    "[2001:db8:5::1]:9", "[2001:db8:5::2]:9"};

static fzr_addr any_peer(world *w)
{
  return fzt_addr(peers[below(w, 5)]);
}

static void make_clients(world *w)
{
  for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
    world_client *c = &w->clients[i];
    char password[FZR_STAMP_PASSWORD_LEN + 1];
    *c = (world_client){0};
    c->addr = fzt_addr(i % 3 == 2 ? "[2001:db8:1::1]:4000" : "198.51.100.1:4000");
    c->addr.port = (uint16_t)(c->addr.port + i);
    c->server = fzt_addr(i % 3 == 2 ? FZT_LISTEN6 : FZT_LISTEN);
    const int len = snprintf(c->username, sizeof c->username, "1892160000:user%u", below(w, 4));
    ck_assert_int_gt(fzr_auth_stamp_password(FZT_SECRET, 1892160000, (const uint8_t *)c->username + 11,
                                             (size_t)len - 11, password, sizeof password),
                     0);
    ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c->username, (size_t)len,
                                            "firezone", password, c->key),
                     FZR_STUN_KEY_LEN);
  }
}

static void learn(world_client *c, const fzr_transmit *t)
{
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  ck_assert_int_eq(fzr_stun_read(t->data, t->len, &msg), 0);
  if (fzr_stun_error_code(&msg)) {
    if (fzr_stun_get(&msg, FZR_ATTR_NONCE, &attr)) {
      memcpy(c->nonce, attr.value, attr.len);
      c->nonce_len = attr.len;
    }
    return;
  }
  switch (msg.method) {
  case FZR_STUN_ALLOCATE:
    world_counts[WORLD_ALLOCATED]++;
    c->ticket_len = 0;
    c->has_token = fzr_stun_get(&msg, FZR_ATTR_RESERVATION_TOKEN, &attr);
    if (c->has_token) {
      memcpy(c->token, attr.value, sizeof c->token);
      world_counts[WORLD_RESERVED]++;
    }
    break;
  case FZR_STUN_REFRESH:
    world_counts[WORLD_REFRESHED]++;
    break;
  case FZR_STUN_CHANNEL_BIND:
    world_counts[WORLD_BOUND]++;
    break;
  default:
    world_counts[WORLD_PERMITTED]++;
  }
  if (fzr_stun_get(&msg, FZR_ATTR_MOBILITY_TICKET, &attr)) {
    memcpy(c->ticket, attr.value, attr.len);
    c->ticket_len = attr.len;
  }
}

/* Takes what the engine has to say, to whichever client. */
static void drain(world *w)
{
  fzr_event event;
  fzr_transmit t;
  while (fzr_engine_next_event(w->relay.engine, &event)) {
    world_counts[WORLD_ENDED] += event.type == FZR_EVENT_PORT_CLOSE;
    if (event.type != FZR_EVENT_PORT_OPEN)
      continue;
    ck_assert_uint_lt(w->open_count, WORLD_OPENS);
    w->opens[w->open_count++] = event;
  }
  while (fzr_engine_next_transmit(w->relay.engine, &t))
    for (unsigned i = 0; i < WORLD_CLIENTS; i++)
      if (fzr_addr_equal(&w->clients[i].addr, &t.to)) {
        learn(&w->clients[i], &t);
        break;
      }
}

typedef struct request {
  fzr_stun_builder b;
  uint8_t data[600];
} request;

static void begin(world *w, const world_client *c, request *r, uint16_t method)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  fzt_fill(&w->prng, txid, sizeof txid);
  fzr_stun_build(&r->b, r->data, sizeof r->data, method, FZR_STUN_REQUEST, txid);
  fzr_stun_add(&r->b, FZR_ATTR_USERNAME, c->username, strlen(c->username));
  fzr_stun_add(&r->b, FZR_ATTR_REALM, "firezone", 8);
  if (c->nonce_len)
    fzr_stun_add(&r->b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
}

static void finish(world *w, const world_client *c, request *r)
{
  fzr_verdict verdict[8];
  fzr_stun_add_integrity(&r->b, c->key, sizeof c->key);
  const int len = fzr_stun_build_finish(&r->b);
  ck_assert_int_gt(len, 0);
  fzr_pkt pkt = {.data = r->data, .len = (uint32_t)len, .from = c->addr, .to = c->server};
  fzr_batch batch = {.in = &pkt, .count = 1, .out = verdict, .room = 8};
  ck_assert_int_eq(fzr_engine_rx(w->relay.engine, FZR_SIDE_CLIENT, &batch, w->relay.now), 0);
}

static void allocate(world *w, const world_client *c)
{
  request r;
  const unsigned families = below(w, 4), shape = below(w, 4);
  const world_client *other = &w->clients[below(w, WORLD_CLIENTS)];
  begin(w, c, &r, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&r.b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (below(w, 2))
    fzr_stun_add_u32(&r.b, FZR_ATTR_LIFETIME, below(w, 2000));
  if (other->has_token && !below(w, 3)) {
    fzr_stun_add(&r.b, FZR_ATTR_RESERVATION_TOKEN, other->token, sizeof other->token);
    world_counts[WORLD_CLAIMED]++;
  } else {
    if (families == 1)
      fzr_stun_add_u32(&r.b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
    if (families == 2)
      fzr_stun_add_u32(&r.b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
    if (shape < 2 && families != 1)
      fzr_stun_add(&r.b, FZR_ATTR_EVEN_PORT, shape ? "\x80" : "\0", 1);
  }
  if (w->config.mobility && below(w, 2))
    fzr_stun_add(&r.b, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
  finish(w, c, &r);
}

static void refresh(world *w, world_client *c)
{
  request r;
  const bool moves = c->ticket_len && !below(w, 3);
  if (moves)
    c->addr.port = (uint16_t)(1024 + below(w, 60000));
  begin(w, c, &r, FZR_STUN_REFRESH);
  if (moves) {
    fzr_stun_add(&r.b, FZR_ATTR_MOBILITY_TICKET, c->ticket, c->ticket_len);
    world_counts[WORLD_MOVED]++;
  }
  fzr_stun_add_u32(&r.b, FZR_ATTR_LIFETIME, below(w, 4) ? below(w, 3000) : 0);
  if (!below(w, 8))
    fzr_stun_add_u32(&r.b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
  finish(w, c, &r);
}

static void bind(world *w, const world_client *c)
{
  request r;
  const fzr_addr peer = any_peer(w);
  begin(w, c, &r, FZR_STUN_CHANNEL_BIND);
  fzr_stun_add_u32(&r.b, FZR_ATTR_CHANNEL_NUMBER, (0x4000 + below(w, 4)) << 16);
  fzr_stun_add_addr(&r.b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  finish(w, c, &r);
}

static void permit(world *w, const world_client *c)
{
  request r;
  begin(w, c, &r, FZR_STUN_CREATE_PERMISSION);
  for (unsigned n = 1 + below(w, 2); n--;) {
    const fzr_addr peer = any_peer(w);
    fzr_stun_add_addr(&r.b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  }
  finish(w, c, &r);
}

/* ---- steps ---- */

void world_prepare(world *w)
{
  if (w->brief || below(w, 4)) {
    w->relay.now += below(w, w->brief ? 400 : 1000) * FZR_MILLISECOND;
    return;
  }
  const fzr_time deadline = fzr_engine_deadline(w->relay.engine);
  const fzr_time wanted = w->relay.now + below(w, 300) * FZR_SECOND;
  w->relay.now = deadline > w->relay.now && deadline < wanted ? deadline : wanted;
}

/* Opens a port, or finds it held. */
static void open_port(world *w)
{
  const fzr_event event = w->opens[--w->open_count];
  const int error = below(w, 8) ? 0 : FZR_ERR_IO_IN_USE;
  fzr_engine_port_result(w->relay.engine, event.port, (enum fzr_family)event.family, error, w, w->relay.now);
}

void world_step(world *w)
{
  world_client *c = &w->clients[below(w, WORLD_CLIENTS)];
  if (w->open_count) {
    open_port(w);
  } else if (fzr_engine_deadline(w->relay.engine) <= w->relay.now) {
    fzr_engine_on_deadline(w->relay.engine, 20, w->relay.now);
  } else {
    switch (below(w, 12)) {
    case 0:
    case 1:
    case 2:
      allocate(w, c);
      break;
    case 3:
    case 4:
    case 5:
      refresh(w, c);
      break;
    case 6:
    case 7:
      permit(w, c);
      break;
    case 8:
      fzr_engine_end_allocation(w->relay.engine, &c->addr, &c->server, w->relay.now);
      break;
    default:
      bind(w, c);
    }
  }
  drain(w);
}

static void note_end(void *ctx, const fzr_usage *usage)
{
  world *w = ctx;
  if (usage->type == FZR_USAGE_ENDED)
    w->ended[usage->allocation->id & 0xffff] = usage->now;
}

unsigned world_check_rest(const world *w, const fzt_relay *other)
{
  unsigned n = 0;
  for (uint32_t port = w->config.lowest_port; port <= w->config.highest_port; port++) {
    const fzr_time now = w->relay.now, expected = w->ended[port] + FZRI_PORT_RESTS;
    fzr_time until = 0;
    bool held;
    if (!w->ended[port] || now >= expected ||
        !fzri_shared_port_rests(w->relay.engine->shared, (uint16_t)port, now, &until, &held))
      continue;
    ck_assert_msg(fzri_shared_port_rests(other->engine->shared, (uint16_t)port, now, &until, &held),
                  "port %u rests no more", port);
    ck_assert_uint_ge(until, expected);
    n++;
  }
  return n;
}

void world_make_other(const world *w, fzt_relay *out)
{
  fzr_config config = fzt_config(out), mine = w->config;
  mine.mem = config.mem;
  mine.usage = NULL;
  mine.random = config.random;
  mine.random_ctx = config.random_ctx;
  out->now = w->relay.now;
  fzt_relay_init(out, &mine);
}

void world_init(world *w, uint64_t seed, bool brief)
{
  memset(w, 0, sizeof *w);
  w->prng.state = seed;
  w->brief = brief;
  fzr_config config = fzt_config(&w->relay);
  config.relay_mode = below(w, 2) ? FZR_RELAY_FULL : FZR_RELAY_CHANNELS;
  config.replace_allocations = below(w, 2) ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER;
  config.max_allocations_per_user = below(w, 2) ? 0 : 2;
  config.max_permissions_per_allocation = below(w, 2) ? 0 : 2;
  config.mobility = below(w, 2);
  config.usage = note_end;
  config.usage_ctx = w;
  config.lowest_port = 50001;
  config.highest_port = 50100;
  w->config = config;
  fzt_relay_init(&w->relay, &config);
  w->relay.prng.state = seed;
  make_clients(w);
}

void world_free(world *w)
{
  fzt_relay_free(&w->relay);
}
