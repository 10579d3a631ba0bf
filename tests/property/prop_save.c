/* SPDX-License-Identifier: Apache-2.0 */
/* A relay that is handed over again and again, and one that never is: to the same input both say the same, until all is over. Random
 * histories of several shards, in both modes, over both families, with mobility, reservations, quotas and secrets that change. */
#include "twins.h"

#include <stdio.h>

#define CLIENTS  9
#define CHANNELS 3
#define PEERS    5
#define USERS    3

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

static client clients[CLIENTS];
static fzr_addr peers[PEERS];
static enum fzr_auth_kind kind;
static bool mobility;

static unsigned below(unsigned n)
{
  return (unsigned)fzt_below(&prng, n);
}

/* Gives what |c| sends to the shard that hears it, and to the one that has its allocation if it goes on to there. Returns the shard that
 * took it. */
static unsigned send_of(const client *c, const uint8_t *data, size_t len)
{
  uint8_t inner[2048];
  fzr_pkt pkt = {.data = data, .len = (uint32_t)len, .from = c->addr, .to = c->server};
  twins_put(c->shard, FZR_SIDE_CLIENT, &pkt);
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
        twins_put(i, FZR_SIDE_PEER, &pkt);
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
    if (mobile && mobility)
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
  twins_put(c->owner, FZR_SIDE_PEER, &pkt);
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
      twins_change_secret();
    break;
  case 12:
    twins_hand_over();
    break;
  case 13:
    twins_pass(below(3) ? below(20) * FZR_SECOND + below(1000) * FZR_MILLISECOND
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
  twins_compare();
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
  shard_count = below(2) ? 1 : SHARDS_MAX;
  kind = below(2) ? FZR_AUTH_REST : FZR_AUTH_STAMP;
  fzr_config config = fzt_config(&unused);
  config.auth = kind;
  config.relay_mode = below(2) ? FZR_RELAY_FULL : FZR_RELAY_CHANNELS;
  config.replace_allocations = below(2) ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER;
  config.max_allocations_per_user = below(2) ? 0 : 2;
  config.max_bandwidth_per_allocation = below(2) ? 0 : 40;
  config.max_permissions_per_allocation = below(2) ? 0 : 2;
  config.mobility = mobility = below(2);
  config.lowest_port = 50001;
  config.highest_port = 50200;
  make_clients();
  twins_make(&config);
  for (unsigned i = 0; i < 400; i++)
    step();
  twins_hand_over();
  twins_pass(8000 * FZR_SECOND);
  twins_compare();
  ck_assert_uint_eq(fzr_shared_ports_in_use(sides[1].shared), 0);
  twins_free();
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
