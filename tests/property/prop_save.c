/* SPDX-License-Identifier: Apache-2.0 */
/* A relay that is handed over again and again, and one that never is: to the same input both say the same, until all is over. Random
 * histories of several shards, in both modes, over both families, with mobility, reservations, quotas and secrets that change. */
#include "relay.h"

#include <stdio.h>

#define SHARDS_MAX 3
#define CLIENTS    9
#define CHANNELS   3
#define PEERS      5
#define USERS      3
#define STATE_MAX  (1 << 18)

/* One relay: shards that share their ports. */
typedef struct side {
  fzt_mem mem;
  fzr_shared *shared;
  fzt_relay shards[SHARDS_MAX];
} side;

typedef struct client {
  fzr_addr addr;
  fzr_addr server;
  unsigned shard; /* that hears it */
  unsigned owner; /* that has its allocation */
  int user;
  char username[32];
  int secret; /* of which its key is */
  char nonce[128];
  size_t nonce_len;
  uint16_t port;
  uint8_t ticket[64];
  size_t ticket_len;
  uint8_t token[8];
  bool has_token;
  uint8_t last[600]; /* its last Allocate */
  size_t last_len;
} client;

enum count {
  COUNT_ALLOCATED,
  COUNT_AGAIN,
  COUNT_REFRESHED,
  COUNT_BOUND,
  COUNT_PERMITTED,
  COUNT_MOVED,
  COUNT_TUNNELLED,
  COUNT_RESERVED,
  COUNT_CLAIMED,
  COUNT_QUOTA,
  COUNT_TO_PEER,
  COUNT_TO_CLIENT,
  COUNT_SENT,
  COUNT_DATA,
  COUNT_LOADED,
  COUNT_LOADED_CHANNELS,
  COUNT_LOADED_PERMISSIONS,
  COUNT_EXPIRED,
  COUNTS
};

static const char *const count_names[COUNTS] = {
    "allocated",
    "again",
    "refreshed",
    "bound",
    "permitted",
    "moved",
    "tunnelled",
    "reserved",
    "claimed",
    "quota",
    "to_peer",
    "to_client",
    "sent",
    "data",
    "loaded",
    "loaded channels",
    "loaded permissions",
    "expired",
};

static side sides[2]; /* the first one stays, the second one is handed over */
static fzr_config configs[2];
static fzt_prng prng;
static client clients[CLIENTS];
static fzr_addr peers[PEERS];
static unsigned shard_count;
static fzr_time began, now;
static const char *const secrets[2] = {FZT_SECRET, "another secret, as good as that"};
static int secret;
static enum fzr_auth_kind kind;
static uint64_t counts[COUNTS];
static uint8_t states[2][SHARDS_MAX][STATE_MAX];
static size_t state_lens[2][SHARDS_MAX];

static unsigned below(unsigned n)
{
  return (unsigned)fzt_below(&prng, n);
}

/* ---- both relays ---- */

static void make_config(unsigned s, unsigned shard)
{
  fzt_relay *r = &sides[s].shards[shard];
  fzr_config c = configs[s];
  const fzt_prng random = r->prng;
  fzr_config fresh = fzt_config(r);
  r->prng = random;
  r->now = now;
  c.mem = fresh.mem;
  c.random = fresh.random;
  c.random_ctx = fresh.random_ctx;
  c.shared = sides[s].shared;
  c.auth_secret = secrets[secret];
  fzt_relay_init(r, &c);
  ck_assert_int_eq(
      fzr_engine_set_wallclock(r->engine, FZT_UNIX_NOW + (int64_t)((now - began) / FZR_SECOND), now), 0);
}

static void make_side(unsigned s)
{
  fzt_mem_init(&sides[s].mem);
  ck_assert_int_eq(
      fzr_shared_new(configs[s].lowest_port, configs[s].highest_port, &sides[s].mem.hooks, &sides[s].shared),
      0);
  for (unsigned i = 0; i < shard_count; i++)
    make_config(s, i);
}

static void free_side(unsigned s)
{
  for (unsigned i = 0; i < shard_count; i++)
    fzt_relay_free(&sides[s].shards[i]);
  fzr_shared_free(sides[s].shared);
  ck_assert_uint_eq(sides[s].mem.live, 0);
}

static int keep(void *ctx, const uint8_t *data, size_t len)
{
  const unsigned *at = ctx;
  size_t *used = &state_lens[at[0]][at[1]];
  fzt_check(*used + len <= STATE_MAX);
  memcpy(states[at[0]][at[1]] + *used, data, len);
  *used += len;
  return 0;
}

/* Saves all shards of the second relay into the |place|-th states. */
static void save(unsigned place)
{
  for (unsigned i = 0; i < shard_count; i++) {
    unsigned at[2] = {place, i};
    state_lens[place][i] = 0;
    ck_assert_int_eq(fzr_engine_save(sides[1].shards[i].engine, keep, at, now), 0);
  }
}

static int compare_events(const void *a, const void *b)
{
  return memcmp(a, b, sizeof(fzr_event));
}

static void sort_events(fzt_relay *r)
{
  for (size_t i = 0; i < r->event_count; i++)
    r->events[i].flow = 0;
  qsort(r->events, r->event_count, sizeof *r->events, compare_events);
}

static void compare_verdicts(const fzr_verdict *a, const fzr_verdict *b)
{
  fzt_check(a->data == b->data && a->stride == b->stride && a->count == b->count && a->len == b->len);
  fzt_check(a->tail_len == b->tail_len && a->action == b->action && a->reason == b->reason);
  fzt_check(a->hdr_len == b->hdr_len && a->pad == b->pad && a->tail_pad == b->tail_pad &&
            a->flags == b->flags);
  fzt_check((a->flow == FZR_FLOW_NONE) == (b->flow == FZR_FLOW_NONE));
  if (a->action != FZR_ACT_FORWARD)
    return;
  fzt_check(fzr_addr_equal(&a->to, &b->to) && fzr_addr_equal(&a->from, &b->from) && a->io == b->io);
  for (unsigned i = 0; i < a->count && a->hdr_len; i++)
    fzt_check(memcmp(fzr_verdict_header(a, i), fzr_verdict_header(b, i), a->hdr_len) == 0);
}

static void compare_outputs(unsigned shard)
{
  fzt_relay *a = &sides[0].shards[shard], *b = &sides[1].shards[shard];
  fzt_check(a->verdict_count == b->verdict_count);
  for (size_t i = 0; i < a->verdict_count; i++)
    compare_verdicts(&a->verdicts[i], &b->verdicts[i]);
  fzt_check(a->answer_count == b->answer_count);
  for (size_t i = 0; i < a->answer_count; i++) {
    const fzt_answer *x = &a->answers[i], *y = &b->answers[i];
    fzt_check(x->len == y->len && memcmp(x->data, y->data, x->len) == 0);
    fzt_check(x->to_stranger == y->to_stranger && fzr_addr_equal(&x->to, &y->to) &&
              fzr_addr_equal(&x->from, &y->from));
  }
  sort_events(a);
  sort_events(b);
  fzt_check(a->event_count == b->event_count);
  for (size_t i = 0; i < a->event_count; i++)
    fzt_check(compare_events(&a->events[i], &b->events[i]) == 0);
}

static void compare_state(void)
{
  fzt_check(fzr_shared_ports_in_use(sides[0].shared) == fzr_shared_ports_in_use(sides[1].shared));
  for (unsigned i = 0; i < shard_count; i++) {
    fzr_stats a, b;
    fzr_allocation x[32], y[32];
    uint32_t at = 0, too = 0;
    fzr_engine_stats(sides[0].shards[i].engine, &a);
    fzr_engine_stats(sides[1].shards[i].engine, &b);
    a.memory_bytes = b.memory_bytes = 0;
    fzt_check(memcmp(&a, &b, sizeof a) == 0);
    const size_t n = fzr_engine_list_allocations(sides[0].shards[i].engine, &at, x, 32);
    fzt_check(n == fzr_engine_list_allocations(sides[1].shards[i].engine, &too, y, 32));
    for (size_t k = 0; k < n; k++) {
      size_t m = 0;
      while (m < n && memcmp(&x[k], &y[m], sizeof *x) != 0)
        m++;
      fzt_check(m < n);
    }
  }
}

/* Has both look for what is due in a shard, whichever of them wants to: one that was loaded does so at once, and timers that were set
 * anew are sooner or later noticed to have been. */
static void look(unsigned shard)
{
  for (unsigned s = 0; s < 2; s++) {
    fzr_pkt none;
    fzt_relay *r = &sides[s].shards[shard];
    ck_assert_int_ge(fzr_engine_on_deadline(r->engine, 1000, now), 0);
    fzt_client_run(r, &none, 0);
    while (fzr_engine_deadline(r->engine) <= now)
      ck_assert_int_ge(fzr_engine_on_deadline(r->engine, 1000, now), 0);
  }
}

static size_t next_record(const uint8_t *state, size_t at)
{
  uint32_t len;
  memcpy(&len, state + at + 4, sizeof len);
  return at + 8 + len + 4;
}

/* What was loaded is saved as what it was loaded from, but for the engine's Unix time, which is that of the test's clock. */
static void compare_saved(unsigned shard)
{
  uint8_t *a = states[0][shard], *b = states[1][shard];
  ck_assert_uint_eq(state_lens[0][shard], state_lens[1][shard]);
  memset(a + 32, 0, 8);
  memset(b + 32, 0, 8);
  for (size_t at = 12, end; (end = next_record(a, at)) < state_lens[0][shard]; at = end)
    ck_assert_msg(memcmp(a + at, b + at, end - at - 4) == 0, "record of type %u at %zu", a[at], at);
}

/* The second relay is saved, and another one in its place is loaded with that. */
static void hand_over(void)
{
  fzt_prng random[SHARDS_MAX];
  save(0);
  for (unsigned i = 0; i < shard_count; i++)
    random[i] = sides[1].shards[i].prng;
  free_side(1);
  for (unsigned i = 0; i < shard_count; i++)
    sides[1].shards[i].prng.state = fzt_next(&prng); /* it has keys of its own at first */
  make_side(1);
  for (unsigned i = 0; i < shard_count; i++) {
    fzt_relay *r = &sides[1].shards[i];
    fzr_load_result result;
    const int error = fzr_engine_load(r->engine, states[0][i], state_lens[0][i], now, &result);
    ck_assert_msg(!error, "shard %u: %s at %u of %zu", i, fzr_strerror(error), (unsigned)result.offset,
                  state_lens[0][i]);
    r->prng = random[i];
    counts[COUNT_LOADED] += result.allocations;
    counts[COUNT_LOADED_CHANNELS] += result.channels;
    counts[COUNT_LOADED_PERMISSIONS] += result.permissions;
  }
  save(1);
  for (unsigned i = 0; i < shard_count; i++) {
    compare_saved(i);
  }
  for (unsigned i = 0; i < shard_count; i++)
    look(i);
  compare_state();
}

/* ---- input ---- */

static void set_now(fzr_time to)
{
  now = to;
  for (unsigned s = 0; s < 2; s++)
    for (unsigned i = 0; i < shard_count; i++)
      sides[s].shards[i].now = now;
}

static void put(unsigned shard, enum fzr_side from, const fzr_pkt *pkt)
{
  for (unsigned s = 0; s < 2; s++) {
    fzr_pkt copy = *pkt;
    if (from == FZR_SIDE_CLIENT)
      fzt_client_run(&sides[s].shards[shard], &copy, 1);
    else
      fzt_peer_run(&sides[s].shards[shard], &copy, 1);
  }
  compare_outputs(shard);
  const fzt_relay *a = &sides[0].shards[shard];
  for (size_t i = 0; i < a->verdict_count; i++) {
    const fzr_verdict *v = &a->verdicts[i];
    if (v->action != FZR_ACT_FORWARD || v->flags & FZR_VERDICT_TO_SHARD)
      continue;
    counts[from == FZR_SIDE_CLIENT ? COUNT_TO_PEER : COUNT_TO_CLIENT]++;
    if (v->flow == FZR_FLOW_NONE)
      counts[from == FZR_SIDE_CLIENT ? COUNT_SENT : COUNT_DATA]++;
  }
}

/* Gives what |c| sends to the shard that hears it, and to the one that has its allocation if it goes on to there. Returns the shard that
 * took it. */
static unsigned send_of(const client *c, const uint8_t *data, size_t len)
{
  uint8_t inner[2048];
  fzr_pkt pkt = {.data = data, .len = (uint32_t)len, .from = c->addr, .to = c->server};
  put(c->shard, FZR_SIDE_CLIENT, &pkt);
  const fzt_relay *a = &sides[0].shards[c->shard];
  if (!a->verdict_count || !(a->verdicts[0].flags & FZR_VERDICT_TO_SHARD))
    return c->shard;
  const fzr_verdict *v = &a->verdicts[0];
  fzt_check((size_t)v->hdr_len + v->len <= sizeof inner);
  memcpy(inner, v->hdr, v->hdr_len);
  memcpy(inner + v->hdr_len, v->data, v->len);
  pkt = (fzr_pkt){.data = inner, .len = (uint32_t)v->hdr_len + v->len, .from = v->from, .to = v->to};
  counts[COUNT_TUNNELLED]++;
  for (unsigned i = 0; i < shard_count; i++) {
    fzr_allocation all[32];
    uint32_t cursor = 0;
    const size_t n = fzr_engine_list_allocations(sides[0].shards[i].engine, &cursor, all, 32);
    for (size_t k = 0; k < n; k++)
      if (all[k].relayed[0].port == pkt.to.port || all[k].relayed[1].port == pkt.to.port) {
        put(i, FZR_SIDE_PEER, &pkt);
        return i;
      }
  }
  return c->shard;
}

static void key_of(const client *c, uint8_t key[FZR_STUN_KEY_LEN])
{
  char password[64];
  const size_t len = strlen(c->username);
  if (kind == FZR_AUTH_REST)
    fzr_auth_rest_password(secrets[c->secret], (const uint8_t *)c->username, len, password, sizeof password);
  else
    fzr_auth_stamp_password(secrets[c->secret], 1892160000, (const uint8_t *)c->username + 11, len - 11,
                            password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c->username, len, "firezone", password, key);
}

static uint8_t request[600];
static fzr_stun_builder builder;

static void begin(const client *c, uint16_t method)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  fzt_fill(&prng, txid, sizeof txid);
  fzr_stun_build(&builder, request, sizeof request, method, FZR_STUN_REQUEST, txid);
  fzr_stun_add(&builder, FZR_ATTR_USERNAME, c->username, strlen(c->username));
  fzr_stun_add(&builder, FZR_ATTR_REALM, "firezone", 8);
  if (c->nonce_len)
    fzr_stun_add(&builder, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
}

/* Sends the request. Returns the error code, 0 for success, or -1 without answer, with the answer in |msg|. */
static int finish(client *c, fzr_stun_msg *msg)
{
  static fzt_answer answer;
  uint8_t key[FZR_STUN_KEY_LEN];
  fzr_stun_attr attr;
  key_of(c, key);
  fzr_stun_add_integrity(&builder, key, sizeof key);
  const int len = fzr_stun_build_finish(&builder);
  fzt_check(len > 0);
  const unsigned shard = send_of(c, request, (size_t)len);
  const fzt_relay *a = &sides[0].shards[shard];
  if (!a->answer_count)
    return -1;
  answer = a->answers[a->answer_count - 1];
  fzt_check(fzr_stun_read(answer.data, answer.len, msg) == 0);
  const int code = (int)fzr_stun_error_code(msg);
  if ((code == 401 || code == 438) && fzr_stun_get(msg, FZR_ATTR_NONCE, &attr)) {
    memcpy(c->nonce, attr.value, attr.len);
    c->nonce_len = attr.len;
  }
  if (!code)
    c->owner = shard;
  return code;
}

static bool should_ask_again(int code)
{
  return code == 438 || code == 401;
}

static void keep_allocated(client *c, const fzr_stun_msg *msg)
{
  fzr_addr relayed;
  fzr_stun_attr attr;
  fzt_check(fzr_stun_get_addr(msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
  c->port = relayed.port;
  c->ticket_len = 0;
  if (fzr_stun_get(msg, FZR_ATTR_MOBILITY_TICKET, &attr)) {
    memcpy(c->ticket, attr.value, attr.len);
    c->ticket_len = attr.len;
  }
  c->has_token = fzr_stun_get(msg, FZR_ATTR_RESERVATION_TOKEN, &attr);
  if (c->has_token) {
    memcpy(c->token, attr.value, sizeof c->token);
    counts[COUNT_RESERVED]++;
  }
}

static void allocate(client *c)
{
  fzr_stun_msg msg;
  const unsigned families = below(4), shape = below(4);
  const bool mobile = !below(2);
  client *other = &clients[below(CLIENTS)];
  const bool by_token = !below(3) && other->has_token;
  int code = 401;
  c->secret = secret;
  for (int tries = 0; tries < 2 && should_ask_again(code); tries++) {
    begin(c, FZR_STUN_ALLOCATE);
    fzr_stun_add_u32(&builder, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    if (below(2))
      fzr_stun_add_u32(&builder, FZR_ATTR_LIFETIME, below(2000));
    if (by_token) {
      fzr_stun_add(&builder, FZR_ATTR_RESERVATION_TOKEN, other->token, sizeof other->token);
    } else {
      if (families == 1)
        fzr_stun_add_u32(&builder, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
      if (families == 2)
        fzr_stun_add_u32(&builder, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
      if (shape < 2 && families != 1)
        fzr_stun_add(&builder, FZR_ATTR_EVEN_PORT, shape ? "\x80" : "\0", 1);
    }
    if (mobile && configs[0].mobility)
      fzr_stun_add(&builder, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
    code = finish(c, &msg);
    c->last_len = (size_t)builder.len;
    memcpy(c->last, request, c->last_len);
  }
  if (code == 0) {
    keep_allocated(c, &msg);
    counts[COUNT_ALLOCATED]++;
    counts[COUNT_CLAIMED] += by_token;
  }
  counts[COUNT_QUOTA] += code == 486;
}

/* The last Allocate comes once more. */
static void retransmit(const client *c)
{
  if (!c->last_len)
    return;
  const unsigned shard = send_of(c, c->last, c->last_len);
  fzr_stun_msg msg;
  const fzt_relay *a = &sides[0].shards[shard];
  if (a->answer_count && fzr_stun_read(a->answers[0].data, a->answers[0].len, &msg) == 0 &&
      !fzr_stun_error_code(&msg))
    counts[COUNT_AGAIN]++;
}

static void refresh(client *c)
{
  fzr_stun_msg msg;
  const uint32_t lifetime = below(4) ? below(3000) : 0;
  const bool one = !below(8);
  int code = 438;
  for (int tries = 0; tries < 2 && should_ask_again(code); tries++) {
    begin(c, FZR_STUN_REFRESH);
    fzr_stun_add_u32(&builder, FZR_ATTR_LIFETIME, lifetime);
    if (one)
      fzr_stun_add_u32(&builder, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
    code = finish(c, &msg);
  }
  counts[COUNT_REFRESHED] += code == 0;
}

static void bind(client *c)
{
  fzr_stun_msg msg;
  const uint32_t number = 0x4000 + below(CHANNELS);
  const fzr_addr *peer = &peers[below(PEERS)];
  int code = 438;
  for (int tries = 0; tries < 2 && should_ask_again(code); tries++) {
    begin(c, FZR_STUN_CHANNEL_BIND);
    fzr_stun_add_u32(&builder, FZR_ATTR_CHANNEL_NUMBER, number << 16);
    fzr_stun_add_addr(&builder, FZR_ATTR_XOR_PEER_ADDRESS, peer);
    code = finish(c, &msg);
  }
  counts[COUNT_BOUND] += code == 0;
}

static void permit(client *c)
{
  fzr_stun_msg msg;
  int code = 438;
  for (int tries = 0; tries < 2 && should_ask_again(code); tries++) {
    begin(c, FZR_STUN_CREATE_PERMISSION);
    fzr_stun_add_addr(&builder, FZR_ATTR_XOR_PEER_ADDRESS, &peers[below(PEERS)]);
    if (below(2))
      fzr_stun_add_addr(&builder, FZR_ATTR_XOR_PEER_ADDRESS, &peers[below(PEERS)]);
    code = finish(c, &msg);
  }
  counts[COUNT_PERMITTED] += code == 0;
}

/* The client has another address, which another shard may hear. */
static void move(client *c)
{
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  if (!c->ticket_len)
    return;
  c->addr.port = (uint16_t)(1024 + below(60000));
  c->shard = below(shard_count);
  c->nonce_len = 0;
  int code = 401;
  for (int tries = 0; tries < 2 && should_ask_again(code); tries++) {
    begin(c, FZR_STUN_REFRESH);
    fzr_stun_add(&builder, FZR_ATTR_MOBILITY_TICKET, c->ticket, c->ticket_len);
    code = finish(c, &msg);
  }
  if (code == 0 && fzr_stun_get(&msg, FZR_ATTR_MOBILITY_TICKET, &attr)) {
    memcpy(c->ticket, attr.value, attr.len);
    c->ticket_len = attr.len;
    counts[COUNT_MOVED]++;
  }
}

static void client_data(const client *c)
{
  uint8_t data[64] = {0};
  const uint16_t len = (uint16_t)below(40);
  fzr_channel_data_header(data, (uint16_t)(0x4000 + below(CHANNELS)), len);
  send_of(c, data, FZR_CHANNEL_HEADER_LEN + (size_t)len);
}

static void client_send(const client *c)
{
  uint8_t message[128], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  fzt_fill(&prng, txid, sizeof txid);
  fzr_stun_build(&b, message, sizeof message, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peers[below(PEERS)]);
  fzr_stun_add(&b, FZR_ATTR_DATA, txid, below(12));
  const int len = fzr_stun_build_finish(&b);
  send_of(c, message, (size_t)len);
}

static void peer_data(const client *c)
{
  static const uint8_t data[64];
  const fzr_addr *peer = &peers[below(PEERS)];
  fzr_pkt pkt = {.data = data, .len = 1 + below(60), .from = *peer};
  pkt.to.family = peer->family;
  pkt.to.port = c->port;
  put(c->owner, FZR_SIDE_PEER, &pkt);
}

static void change_secret(void)
{
  secret = !secret;
  for (unsigned s = 0; s < 2; s++)
    for (unsigned i = 0; i < shard_count; i++)
      ck_assert_int_eq(fzr_engine_set_secrets(sides[s].shards[i].engine, secrets[secret], NULL), 0);
}

/* Through all deadlines of both, at the same moments. */
static void pass(fzr_time by)
{
  const fzr_time end = now + by;
  for (;;) {
    fzr_time next = end;
    for (unsigned s = 0; s < 2; s++)
      for (unsigned i = 0; i < shard_count; i++) {
        const fzr_time deadline = fzr_engine_deadline(sides[s].shards[i].engine);
        next = deadline < next ? deadline : next;
      }
    set_now(next > now ? next : now);
    for (unsigned i = 0; i < shard_count; i++) {
      if (fzr_engine_deadline(sides[0].shards[i].engine) > now &&
          fzr_engine_deadline(sides[1].shards[i].engine) > now)
        continue;
      look(i);
      counts[COUNT_EXPIRED] += sides[0].shards[i].event_count;
      compare_outputs(i);
    }
    if (next >= end)
      return;
  }
}

static void step(void)
{
  client *c = &clients[below(CLIENTS)];
  switch (below(20)) {
  case 0:
  case 1:
  case 2:
    allocate(c);
    break;
  case 3:
    retransmit(c);
    break;
  case 4:
  case 5:
    refresh(c);
    break;
  case 6:
  case 7:
  case 8:
    bind(c);
    break;
  case 9:
    permit(c);
    break;
  case 10:
    move(c);
    break;
  case 11:
    if (!below(5))
      change_secret();
    break;
  case 12:
    hand_over();
    break;
  case 13:
    pass(below(3) ? below(20) * FZR_SECOND + below(1000) * FZR_MILLISECOND
                  : (fzr_time)below(400) * FZR_SECOND);
    break;
  case 14:
    client_send(c);
    break;
  case 15:
  case 16:
    peer_data(c);
    break;
  default:
    client_data(c);
  }
  compare_state();
}

static void make_clients(void)
{
  static const char *const names[PEERS] = {"203.0.113.9:5000", "203.0.113.9:5001", "198.51.100.7:443",
                                           "[2001:db8:5::1]:9", "[2001:db8:5::2]:9"};
  for (unsigned i = 0; i < PEERS; i++)
    peers[i] = fzt_addr(names[i]);
  memset(clients, 0, sizeof clients);
  for (unsigned i = 0; i < CLIENTS; i++) {
    client *c = &clients[i];
    c->addr = fzt_addr(i % 3 == 2 ? "[2001:db8:1::1]:4000" : "198.51.100.1:4000");
    c->addr.port = (uint16_t)(c->addr.port + i);
    c->server = fzt_addr(i % 3 == 2 ? FZT_LISTEN6 : FZT_LISTEN);
    if (i % 4 == 3)
      c->addr.transport = c->server.transport = FZR_TRANSPORT_TCP;
    c->shard = c->owner = below(shard_count);
    c->user = (int)below(USERS);
    snprintf(c->username, sizeof c->username, "1892160000:user%d", c->user);
  }
}

/* One history, from the first client until nothing is left. */
static void live(void)
{
  fzt_relay unused;
  began = now = 1000 * FZR_SECOND + below(1000000000);
  secret = 0;
  shard_count = below(2) ? 1 : SHARDS_MAX;
  kind = below(2) ? FZR_AUTH_REST : FZR_AUTH_STAMP;
  fzr_config config = fzt_config(&unused);
  config.auth = kind;
  config.relay_mode = below(2) ? FZR_RELAY_FULL : FZR_RELAY_CHANNELS;
  config.replace_allocations = below(2) ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER;
  config.max_allocations_per_user = below(2) ? 0 : 2;
  config.max_bandwidth_per_allocation = below(2) ? 0 : 40;
  config.max_permissions_per_allocation = below(2) ? 0 : 2;
  config.mobility = below(2);
  config.lowest_port = 50001;
  config.highest_port = 50200;
  configs[0] = configs[1] = config;
  make_clients();
  for (unsigned s = 0; s < 2; s++) {
    for (unsigned i = 0; i < shard_count; i++)
      sides[s].shards[i].prng.state = i;
    make_side(s);
  }
  /* The first hand-over gives both the same keys. */
  for (unsigned i = 0; i < shard_count; i++) {
    unsigned at[2] = {0, i};
    state_lens[0][i] = 0;
    ck_assert_int_eq(fzr_engine_save(sides[0].shards[i].engine, keep, at, now), 0);
    ck_assert_int_eq(fzr_engine_load(sides[1].shards[i].engine, states[0][i], state_lens[0][i], now, NULL),
                     0);
  }
  for (unsigned i = 0; i < shard_count; i++)
    look(i);
  for (unsigned i = 0; i < 400; i++)
    step();
  hand_over();
  pass(8000 * FZR_SECOND);
  compare_state();
  ck_assert_uint_eq(fzr_shared_ports_in_use(sides[1].shared), 0);
  for (unsigned s = 0; s < 2; s++)
    free_side(s);
}

START_TEST(test_hand_over_changes_nothing)
{
  prng.state = fzt_seed("save");
  const uint64_t rounds = fzt_rounds(60);
  for (uint64_t i = 0; i < rounds; i++)
    live();
  for (unsigned i = 0; i < COUNTS; i++)
    printf("%s%s %llu", i ? ", " : "", count_names[i], (unsigned long long)counts[i]);
  printf("\n");
  for (unsigned i = 0; i < COUNTS; i++)
    ck_assert_msg(counts[i], "none: %s", count_names[i]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("save");
  TCase *tc = tcase_create("save");
  tcase_set_timeout(tc, 200);
  tcase_add_test(tc, test_hand_over_changes_nothing);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
