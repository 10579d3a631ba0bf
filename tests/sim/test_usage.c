/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever clients do, and whatever is done to them, what is told of each session's packets and bytes is what went over the wire for it: no byte
 * more, and none less. An hour of random life of two workers: ChannelData, indications, streams, runs of packets, allocations that move from
 * one worker to the other, that lapse, are given back amidst data, replaced, or ended by the operator; what a kernel has relayed; and one
 * process after the other. */
#include "firezone_relay/socket.h"
#include "saved_state.h"

#include <stdio.h>

#define SHARDS     2u
#define ACTORS     8u
#define USERS      6u /* some have the same one */
#define CHANNELS   3u
#define PEERS      4u
#define PORTS      64u
#define FIRST_PORT 50000u
#define SESSIONS   20000u
#define PACKETS    8u
#define ROOM       1500u
#define WAITING    64u

/* What is known of a session: as it was seen on the wire, and as it was told when it had ended. */
typedef struct session {
  uint64_t id;
  uint64_t packets[2], bytes[2];
  fzr_allocation told;
  unsigned bound;
  bool ended;
} session;

typedef struct actor {
  fzt_client_state c;
  unsigned shard; /* that hears it */
  uint8_t ticket[64];
  uint16_t ticket_len;
  uint64_t session;
  char name[32];
} actor;

typedef struct waiting {
  fzr_pkt pkt;
  uint8_t data[ROOM + 100];
} waiting;

static fzt_relay shards[SHARDS];
static fzr_shared *shared;
static fzt_state states[SHARDS];
static fzt_prng prng;
static actor actors[ACTORS];
static fzr_addr peers[PEERS];
static session sessions[SESSIONS];
static unsigned session_count, ends[FZR_END_REASONS], moves, tunnelled;
static session *at_port[PORTS];
static waiting waits[WAITING];
static unsigned wait_count;
static uint64_t offloaded[2], indications;
static bool replaces;

static unsigned below(unsigned n)
{
  return (unsigned)fzt_below(&prng, n);
}

/* ---- what is told ---- */

static session **place_of(uint16_t port)
{
  fzt_check(port >= FIRST_PORT && port < FIRST_PORT + PORTS);
  return &at_port[port - FIRST_PORT];
}

static const char *name_of(const fzr_allocation *a)
{
  static char name[FZR_USER_NAME_MAX + 1];
  memcpy(name, a->user_name, a->user_name_len);
  name[a->user_name_len] = 0;
  return name;
}

static void on_usage(void *ctx, const fzr_usage *u)
{
  const fzr_allocation *a = u->allocation;
  session **place = place_of(a->relayed[0].port);
  (void)ctx;
  fzt_check(a->id && (uint16_t)a->id == a->relayed[0].port && a->began <= u->now && !a->opening);
  if (u->type == FZR_USAGE_ALLOCATED) {
    fzt_check(session_count < SESSIONS && (!*place || (*place)->ended));
    for (unsigned i = 0; i < session_count; i++)
      fzt_check(sessions[i].id != a->id);
    fzt_check(!a->bytes[0] && !a->bytes[1] && !a->packets[0] && !a->packets[1]);
    sessions[session_count] = (session){.id = a->id};
    *place = &sessions[session_count++];
    return;
  }
  session *s = *place;
  fzt_check(s && s->id == a->id && !s->ended);
  if (u->type == FZR_USAGE_BOUND) {
    fzt_check(u->peer && u->channel >= FZR_CHANNEL_MIN);
    s->bound++;
    return;
  }
  fzt_check(u->type == FZR_USAGE_ENDED && u->reason && u->reason < FZR_END_REASONS);
  s->told = *a;
  s->ended = true;
  ends[u->reason]++;
}

/* ---- the wire ---- */

static void wait_with(const fzr_verdict *v, unsigned k)
{
  struct iovec parts[FZR_DATAGRAM_IOVECS];
  fzt_check(wait_count < WAITING);
  waiting *w = &waits[wait_count++];
  size_t len = 0;
  const size_t count = fzr_verdict_iovecs(v, (uint16_t)k, parts);
  for (size_t p = 0; p < count; len += parts[p++].iov_len) {
    fzt_check(len + parts[p].iov_len <= sizeof w->data);
    memcpy(w->data + len, parts[p].iov_base, parts[p].iov_len);
  }
  w->pkt = (fzr_pkt){.data = w->data, .len = (uint32_t)len, .from = v->from, .to = v->to};
}

/* Counts what the last input has sent; |pkts| was that. What goes to an own address comes back to the worker that has the port. */
static void account(const fzt_relay *r, const fzr_pkt *pkts)
{
  for (size_t i = 0; i < r->verdict_count; i++) {
    const fzr_verdict *v = &r->verdicts[i];
    if (v->action != FZR_ACT_FORWARD)
      continue;
    const bool to_shard = v->flags & FZR_VERDICT_TO_SHARD;
    for (unsigned k = 0; v->flags & FZR_VERDICT_TO_OWN && k < v->count; k++)
      wait_with(v, k);
    tunnelled += to_shard;
    if (to_shard)
      continue;
    const unsigned way = v->hdr_len ? 1 : 0;
    session *s = *place_of(way ? pkts[v->in_idx].to.port : v->from.port);
    fzt_check(s);
    s->packets[way] += v->count;
    s->bytes[way] += (uint64_t)(v->count - 1) * v->len + v->tail_len;
    indications += v->flow == FZR_FLOW_NONE;
  }
}

static unsigned shard_of(uint16_t port)
{
  for (unsigned i = 0; i < SHARDS; i++) {
    fzr_allocation all[ACTORS * 4];
    uint32_t cursor = 0;
    const size_t n = fzr_engine_list_allocations(shards[i].engine, &cursor, all, ACTORS * 4);
    for (size_t k = 0; k < n; k++)
      if (all[k].relayed[0].port == port)
        return i;
  }
  return 0;
}

static void from_peers(fzr_pkt *pkts, size_t n);

static void deliver_waiting(void)
{
  for (unsigned i = 0; i < wait_count; i++) {
    waiting w = waits[i];
    w.pkt.data = w.data;
    from_peers(&w.pkt, 1);
  }
  wait_count = 0;
}

/* All to one port. */
static void from_peers(fzr_pkt *pkts, size_t n)
{
  fzt_relay *r = &shards[shard_of(pkts[0].to.port)];
  fzr_pkt before[PACKETS];
  memcpy(before, pkts, n * sizeof *pkts);
  fzt_peer_run(r, pkts, n);
  account(r, before);
}

/* Returns the worker that has answered, if one did. */
static fzt_relay *from_client(const actor *a, fzr_pkt *pkts, size_t n)
{
  fzt_relay *r = &shards[a->shard];
  fzt_client_run(r, pkts, n);
  account(r, pkts);
  if (wait_count == 1 && !r->answer_count)
    r = &shards[shard_of(waits[0].pkt.to.port)];
  deliver_waiting();
  return r;
}

/* ---- requests ---- */

typedef struct request {
  uint16_t method;
  uint32_t lifetime;
  uint16_t channel;
  fzr_addr peer; /* family NONE: none */
  const uint8_t *ticket;
  uint16_t ticket_len;
} request;

static size_t build(actor *a, const request *q, uint8_t *out, size_t cap)
{
  fzr_stun_builder b;
  fzt_begin(&shards[a->shard], &a->c, &b, out, cap, q->method);
  if (q->method == FZR_STUN_ALLOCATE)
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (q->method == FZR_STUN_ALLOCATE || q->method == FZR_STUN_REFRESH)
    fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, q->lifetime);
  if (q->channel)
    fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)q->channel << 16);
  if (q->peer.family)
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &q->peer);
  if (q->ticket)
    fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, q->ticket, q->ticket_len);
  fzr_stun_add_integrity(&b, a->c.key, sizeof a->c.key);
  const int len = fzr_stun_build_finish(&b);
  fzt_check(len > 0);
  return (size_t)len;
}

/* Asks until there is an answer that is not about the nonce. Returns its code, or -1. */
static int ask(actor *a, const request *q)
{
  uint8_t buffer[600];
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  fzr_addr relayed;
  int code = 401;
  for (unsigned tries = 0; tries < 3 && (code == 401 || code == 438); tries++) {
    fzr_pkt pkt = {.data = buffer, .from = a->c.addr, .to = a->c.server};
    pkt.len = (uint32_t)build(a, q, buffer, sizeof buffer);
    const fzt_relay *r = from_client(a, &pkt, 1);
    if (!r->answer_count)
      return -1;
    const fzt_answer *last = &r->answers[r->answer_count - 1];
    fzt_check(fzr_stun_read(last->data, last->len, &msg) == 0);
    code = (int)fzr_stun_error_code(&msg);
    if ((code == 401 || code == 438) && fzr_stun_get(&msg, FZR_ATTR_NONCE, &attr)) {
      memcpy(a->c.nonce, attr.value, attr.len);
      a->c.nonce_len = attr.len;
    }
  }
  if (code)
    return code;
  if (fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed))
    a->c.relayed_port = relayed.port;
  if (q->method == FZR_STUN_ALLOCATE)
    a->session = (*place_of(a->c.relayed_port))->id;
  if (fzr_stun_get(&msg, FZR_ATTR_MOBILITY_TICKET, &attr)) {
    memcpy(a->ticket, attr.value, attr.len);
    a->ticket_len = attr.len;
  }
  return 0;
}

static session *session_of(const actor *a)
{
  session *s = a->c.relayed_port ? *place_of(a->c.relayed_port) : NULL;
  return s && !s->ended && s->id == a->session ? s : NULL;
}

static fzr_addr some_peer(void)
{
  const actor *other = &actors[below(ACTORS)];
  fzr_addr own = fzt_addr("203.0.113.1");
  own.port = other->c.relayed_port;
  return below(6) || !own.port ? peers[below(PEERS)] : own;
}

static void step_allocate(actor *a)
{
  const uint8_t none[1] = {0};
  request q = {.method = FZR_STUN_ALLOCATE, .lifetime = 600};
  const bool mobile = a->c.addr.transport == FZR_TRANSPORT_UDP && below(2);
  a->ticket_len = 0;
  if (mobile)
    q.ticket = none;
  ask(a, &q);
}

static void step_request(actor *a)
{
  static const uint32_t lifetimes[] = {0, 600, 600, 3600};
  request q = {.peer = some_peer()};
  switch (below(3)) {
  case 0:
    q.method = FZR_STUN_CHANNEL_BIND;
    q.channel = (uint16_t)(FZR_CHANNEL_MIN + below(CHANNELS));
    break;
  case 1:
    q.method = FZR_STUN_CREATE_PERMISSION;
    break;
  default:
    q = (request){.method = FZR_STUN_REFRESH, .lifetime = lifetimes[below(4)]};
  }
  ask(a, &q);
}

/* To another port, and perhaps to the other worker, with the allocation. */
static void step_move(actor *a)
{
  if (!a->ticket_len)
    return;
  const request q = {
      .method = FZR_STUN_REFRESH, .lifetime = 600, .ticket = a->ticket, .ticket_len = a->ticket_len};
  a->c.addr.port = (uint16_t)(a->c.addr.port + 100);
  a->shard = below(SHARDS);
  a->c.server.port = (uint16_t)(3478 + a->shard);
  moves += !ask(a, &q);
}

/* ---- data ---- */

static uint16_t some_len(uint16_t last)
{
  return below(3) && last ? last : (uint16_t)below(1200);
}

/* A Send indication, or ChannelData. Returns its length. */
static uint32_t write_data(uint8_t *out, bool indication, uint16_t len)
{
  uint8_t payload[1200];
  fzr_stun_builder b;
  fzt_fill(&prng, payload, len);
  if (!indication) {
    fzr_channel_data_header(out, (uint16_t)(FZR_CHANNEL_MIN + below(CHANNELS)), len);
    memcpy(out + 4, payload, len);
    return 4u + len;
  }
  const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  const fzr_addr peer = some_peer();
  fzr_stun_build(&b, out, ROOM, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  fzr_stun_add(&b, FZR_ATTR_DATA, payload, len);
  const int total = fzr_stun_build_finish(&b);
  fzt_check(total > 0);
  return (uint32_t)total;
}

/* A few packets at once, some of them runs, with a request among them perhaps that ends it all. */
static void step_up(actor *a)
{
  static uint8_t room[PACKETS][8 * ROOM];
  fzr_pkt pkts[PACKETS];
  const unsigned n = 1 + below(PACKETS);
  uint16_t len = 0;
  for (unsigned i = 0; i < n; i++) {
    pkts[i] = (fzr_pkt){.data = room[i], .from = a->c.addr, .to = a->c.server};
    len = some_len(len);
    if (!below(60)) {
      const request q = {.method = FZR_STUN_REFRESH};
      pkts[i].len = (uint32_t)build(a, &q, room[i], ROOM);
      continue;
    }
    pkts[i].len = write_data(room[i], below(2), len);
    if (below(4) || room[i][0] < 4)
      continue;
    pkts[i].seg = (uint16_t)pkts[i].len;
    for (unsigned k = below(6); k; k--) {
      memcpy(room[i] + pkts[i].len, room[i], pkts[i].seg);
      pkts[i].len += pkts[i].seg;
    }
  }
  from_client(a, pkts, n);
}

static void step_down(const actor *a)
{
  static uint8_t room[PACKETS][8 * ROOM];
  fzr_pkt pkts[PACKETS];
  const unsigned n = 1 + below(PACKETS);
  uint16_t len = 0;
  for (unsigned i = 0; i < n; i++) {
    len = some_len(len);
    const unsigned segments = below(4) || !len ? 1 : 1 + below(6);
    const uint32_t tail = segments > 1 ? 1 + below(len) : len;
    pkts[i] = (fzr_pkt){.data = room[i],
                        .len = (segments - 1) * len + tail,
                        .seg = segments > 1 ? len : 0,
                        .from = peers[below(PEERS)]};
    pkts[i].to.family = FZR_FAMILY_IPV4;
    pkts[i].to.port = a->c.relayed_port;
  }
  from_peers(pkts, n);
  deliver_waiting();
}

/* ---- what is done to them ---- */

static void drain_all(void)
{
  for (unsigned i = 0; i < SHARDS; i++)
    fzt_pass(&shards[i], 0);
}

static void step_end(actor *a)
{
  const session *s = session_of(a);
  unsigned done = 0, wanted = 0;
  const bool by_user = below(2);
  for (unsigned i = 0; by_user && i < ACTORS; i++)
    wanted += session_of(&actors[i]) && strcmp(actors[i].name, a->name) == 0;
  for (unsigned i = 0; i < SHARDS; i++) {
    fzr_engine *e = shards[i].engine;
    uint32_t cursor = 0;
    size_t n;
    if (a->c.addr.transport != FZR_TRANSPORT_UDP && !by_user)
      done += !fzr_engine_end_allocation(e, &a->c.addr, &a->c.server, shards[i].now);
    else if (!by_user)
      done += !fzr_engine_end_allocation_by_id(e, s->id, shards[i].now);
    else
      do {
        n = fzr_engine_end_user(e, fzr_engine_user(e, (const uint8_t *)a->c.username, strlen(a->c.username)),
                                &cursor, 1, shards[i].now);
        done += (unsigned)n;
      } while (n == 1);
  }
  /* With those that were replaced, which another worker has not noticed yet. */
  fzt_check(by_user ? done >= 1 && (replaces || done == wanted) : done == 1);
  drain_all();
  fzt_check(s->ended);
}

static void step_offloaded(const actor *a)
{
  session *s = session_of(a);
  const uint64_t packets[2] = {below(100), below(100)}, bytes[2] = {below(100000), below(100000)};
  const unsigned shard = shard_of(a->c.relayed_port);
  fzt_check(fzr_engine_add_offloaded(shards[shard].engine, a->c.relayed_port, packets, bytes) == 0);
  for (unsigned i = 0; i < 2; i++) {
    s->packets[i] += packets[i];
    s->bytes[i] += bytes[i];
    offloaded[i] += bytes[i];
  }
}

/* ---- the world ---- */

static void make_engine(unsigned i, fzr_time now)
{
  fzt_relay *r = &shards[i];
  fzr_config config = fzt_shard_config(r, i, shared, PORTS);
  r->prng.state = fzt_next(&prng);
  r->now = now;
  config.mobility = true;
  config.replace_allocations = replaces ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER;
  config.max_bandwidth_per_allocation = replaces ? 0 : 100000;
  config.usage = on_usage;
  config.keep_user_names = true;
  fzt_relay_init(r, &config);
}

static void hand_over(void)
{
  const fzr_time now = shards[0].now;
  for (unsigned i = 0; i < SHARDS; i++)
    fzt_state_save(&states[i], shards[i].engine, now);
  for (unsigned i = 0; i < SHARDS; i++)
    fzt_relay_free(&shards[i]);
  fzr_shared_free(shared);
  shared = fzt_shared_new(PORTS);
  for (unsigned i = 0; i < SHARDS; i++)
    make_engine(i, now);
  for (unsigned i = 0; i < SHARDS; i++)
    ck_assert_int_eq(fzr_engine_load(shards[i].engine, states[i].data, states[i].len, now, NULL), 0);
  drain_all();
}

static void make_actor(unsigned i)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  actor *a = &actors[i];
  *a = (actor){.shard = i % SHARDS};
  fzt_client_init(&a->c, "198.51.100.1:4000");
  a->c.addr.port = (uint16_t)(4000 + i);
  a->c.server.port = (uint16_t)(3478 + a->shard);
  if (i % 4 == 3)
    a->c.addr.transport = a->c.server.transport = FZR_TRANSPORT_TCP;
  snprintf(a->name, sizeof a->name, "user %u%s", i % USERS, i % 2 ? "" : " with a long name");
  snprintf(a->c.username, sizeof a->c.username, "1892160000:%s", a->name);
  fzr_auth_stamp_password(FZT_SECRET, 1892160000, (const uint8_t *)a->name, strlen(a->name), password,
                          sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)a->c.username, strlen(a->c.username), "firezone",
                         password, a->c.key);
}

static void check_same(const session *s, const fzr_allocation *a)
{
  fzt_check(s->id == a->id);
  for (unsigned way = 0; way < 2; way++)
    ck_assert_msg(s->packets[way] == a->packets[way] && s->bytes[way] == a->bytes[way],
                  "session %016llx, way %u: %llu packets, %llu bytes on the wire, told %llu, %llu",
                  (unsigned long long)s->id, way, (unsigned long long)s->packets[way],
                  (unsigned long long)s->bytes[way], (unsigned long long)a->packets[way],
                  (unsigned long long)a->bytes[way]);
  fzt_check(strncmp(name_of(a), "user ", 5) == 0);
}

/* Of those that live as of those that have ended. Returns how many bytes that is in all. */
static void check_all(uint64_t sums[2])
{
  for (unsigned i = 0; i < SHARDS; i++) {
    fzr_allocation a;
    uint32_t cursor = 0;
    while (fzr_engine_list_allocations(shards[i].engine, &cursor, &a, 1)) {
      check_same(*place_of(a.relayed[0].port), &a);
      sums[0] += a.bytes[0];
      sums[1] += a.bytes[1];
    }
  }
  for (unsigned i = 0; i < session_count; i++) {
    const session *s = &sessions[i];
    if (!s->ended)
      continue;
    check_same(s, &s->told);
    sums[0] += s->told.bytes[0];
    sums[1] += s->told.bytes[1];
  }
}

static void step(actor *a)
{
  if (!session_of(a)) {
    step_allocate(a);
    return;
  }
  const unsigned what = below(100);
  if (what < 40)
    step_up(a);
  else if (what < 80)
    step_down(a);
  else if (what < 94)
    step_request(a);
  else if (what < 97)
    step_move(a);
  else if (what < 98)
    step_offloaded(a);
  else if (!below(4))
    step_end(a);
}

static void pass(fzr_time by)
{
  for (unsigned i = 0; i < SHARDS; i++)
    fzt_pass(&shards[i], by);
}

/* Another hour, which may be of the same process (CK_FORK=no). */
static void forget_all(void)
{
  memset(actors, 0, sizeof actors);
  memset(sessions, 0, session_count * sizeof sessions[0]);
  memset(at_port, 0, sizeof at_port);
  memset(ends, 0, sizeof ends);
  memset(offloaded, 0, sizeof offloaded);
  session_count = moves = tunnelled = wait_count = 0;
  indications = 0;
}

/* |_i| 0: with a limit of bandwidth, and several allocations for a user; 1: without, and one. */
START_TEST(test_a_random_hour)
{
  uint64_t sums[2] = {0, 0}, counted[2] = {0, 0};
  forget_all();
  prng.state = fzt_seed("usage");
  replaces = _i;
  shared = fzt_shared_new(PORTS);
  for (unsigned i = 0; i < SHARDS; i++)
    make_engine(i, 1000 * FZR_SECOND);
  for (unsigned i = 0; i < PEERS; i++) {
    peers[i] = fzt_addr("198.51.100.77:5000");
    peers[i].port = (uint16_t)(5000 + i);
    peers[i].ip[3] = (uint8_t)(77 + i / 2);
  }
  for (unsigned i = 0; i < ACTORS; i++)
    make_actor(i);
  const fzr_time end = shards[0].now + 3600 * FZR_SECOND;
  unsigned hand_overs = 0;
  while (shards[0].now < end) {
    step(&actors[below(ACTORS)]);
    if (!below(4))
      pass(fzt_below(&prng, FZR_SECOND));
    if (!below(2000)) /* what nobody refreshes meanwhile lapses */
      for (unsigned i = 0; i < 70; i++)
        pass(10 * FZR_SECOND);
    if (!below(300)) {
      hand_over();
      hand_overs++;
    }
  }
  check_all(sums);
  for (unsigned i = 0; i < SHARDS; i++) {
    fzr_stats stats;
    ck_assert_int_eq(fzr_engine_stats(shards[i].engine, &stats), 0);
    counted[0] += stats.bytes[0];
    counted[1] += stats.bytes[1];
  }
  printf("%u sessions, %llu and %llu bytes, %llu runs of indications; %u moves, %u runs by way of another "
         "worker, %u hand-overs; ends:",
         session_count, (unsigned long long)sums[0], (unsigned long long)sums[1],
         (unsigned long long)indications, moves, tunnelled, hand_overs);
  for (unsigned i = 1; i < FZR_END_REASONS; i++)
    printf(" %s %u", fzr_end_reason_name(i), ends[i]);
  printf("\n");
  for (unsigned way = 0; way < 2; way++) {
    ck_assert_uint_eq(sums[way], counted[way] + offloaded[way]);
    ck_assert_uint_gt(sums[way], 100000);
  }
  ck_assert_uint_gt(hand_overs, 0);
  ck_assert_uint_gt(indications, 0);
  ck_assert_uint_gt(session_count, ACTORS);
  fzt_shards_free(&shards[0], &shards[1], shared);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sim_usage");
  TCase *tc = tcase_create("usage");
  tcase_set_timeout(tc, 200);
  tcase_add_loop_test(tc, test_a_random_hour, 0, 2);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
