/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_engine.h"

static const char username[] = "4000000000:fuzz";
static const fzr_user users[] = {{username, "password", NULL}, {"another", "password", NULL}};

static int repeatable(void *ctx, uint8_t *out, size_t len)
{
  fuzz_engine *f = ctx;
  for (size_t i = 0; i < len; i++) {
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    out[i] = (uint8_t)(f->random >> 56);
  }
  return 0;
}

void fuzz_engine_init(fuzz_engine *f, uint8_t flags)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  memset(f, 0, sizeof *f);
  f->random = 1;
  f->now = FZR_SECOND;
  fzr_config config = fzr_config_init();
  config.random = repeatable;
  config.random_ctx = f;
  FUZZ_CHECK(fzr_addr_parse("203.0.113.1", &config.public_ip4) == 0);
  FUZZ_CHECK(fzr_addr_parse("2001:db8:ffff::1", &config.public_ip6) == 0);
  config.lowest_port = 50000;
  config.highest_port = 50015;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = FUZZ_SECRET;
  config.max_channels_per_allocation = 8;
  config.max_permissions_per_allocation = 6;
  config.relay_mode = flags & 16 ? FZR_RELAY_CHANNELS : FZR_RELAY_FULL;
  config.mobility = f->mobility = flags & 32;
  config.max_allocations_per_user = flags & 1 ? 2 : 0;
  config.max_bandwidth_per_allocation = flags & 2 ? 2000 : 0;
  config.answer_ring = flags & 4 ? 1 : 0;
  config.replace_allocations =
      flags & 8 ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER; /* all clients are one user */
  f->by_sha256 = flags & 0x80;
  if (f->by_sha256) {
    config.auth = FZR_AUTH_STATIC;
    config.users = users;
    config.user_count = 2;
  }
  FUZZ_CHECK(fzr_engine_new(&config, &f->engine, f->now) == 0);
  FUZZ_CHECK(fzr_engine_set_wallclock(f->engine, 1700000000, f->now) == 0);
  fzr_auth_stamp_password(FUZZ_SECRET, 4000000000u, (const uint8_t *)"fuzz", 4, password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)username, sizeof username - 1, "firezone",
                         password, f->key);
  fzr_auth_long_term_key(FZR_PASSWORD_SHA256, (const uint8_t *)username, sizeof username - 1, "firezone",
                         users[0].password, f->key256);
}

/* The login of clients, with what RFC 8489 adds if |f| is for that. */
static void log_in(const fuzz_engine *f, fzr_stun_builder *b, unsigned client)
{
  static const uint16_t offered[] = {FZR_PASSWORD_SHA256, FZR_PASSWORD_MD5};
  uint8_t hash[FZR_STUN_USERHASH_LEN];
  if (f->by_sha256) {
    FUZZ_CHECK(fzr_auth_userhash((const uint8_t *)username, sizeof username - 1, "firezone", hash) == 0);
    fzr_stun_add(b, FZR_ATTR_USERHASH, hash, sizeof hash);
    fzr_stun_add_algorithms(b, FZR_ATTR_PASSWORD_ALGORITHMS, offered, 2);
    fzr_stun_add_algorithms(b, FZR_ATTR_PASSWORD_ALGORITHM, offered, 1);
  } else
    fzr_stun_add(b, FZR_ATTR_USERNAME, username, sizeof username - 1);
  fzr_stun_add(b, FZR_ATTR_NONCE, f->nonce[client], f->nonce_len[client]);
}

static void sign(const fuzz_engine *f, fzr_stun_builder *b)
{
  if (f->by_sha256)
    fzr_stun_add_integrity_sha256(b, f->key256, sizeof f->key256, 32);
  else
    fzr_stun_add_integrity(b, f->key, sizeof f->key);
}

fzr_addr fuzz_client_addr(unsigned client)
{
  const uint8_t ip4[4] = {198, 51, 100, (uint8_t)(client + 1)};
  const uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (uint8_t)(client + 1)};
  return client & 1 ? fzr_addr_ipv6(ip6, 4000) : fzr_addr_ipv4(ip4, 4000);
}

fzr_addr fuzz_peer_addr(unsigned peer)
{
  const uint8_t ip4[4] = {203, 0, 113, (uint8_t)(peer % 8 + 10)};
  const uint8_t ip6[16] = {0x26, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (uint8_t)(peer % 8 + 10)};
  return peer & 8 ? fzr_addr_ipv6(ip6, 5000) : fzr_addr_ipv4(ip4, 5000);
}

static void note_ticket(fuzz_engine *f, unsigned client, const fzr_stun_msg *msg)
{
  fzr_stun_attr ticket;
  if (!fzr_stun_get(msg, FZR_ATTR_MOBILITY_TICKET, &ticket))
    return;
  FUZZ_CHECK(f->mobility && msg->cls == FZR_STUN_SUCCESS && ticket.len && ticket.len <= FUZZ_TICKET);
  memcpy(f->ticket[1][client], f->ticket[0][client], FUZZ_TICKET);
  f->ticket_len[1][client] = f->ticket_len[0][client];
  memcpy(f->ticket[0][client], ticket.value, ticket.len);
  f->ticket_len[0][client] = ticket.len;
}

static void note_answer(fuzz_engine *f, const fzr_transmit *t)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  fzr_addr relayed;
  FUZZ_CHECK(fzr_stun_read(t->data, t->len, &msg) == 0);
  FUZZ_CHECK(msg.cls == FZR_STUN_SUCCESS || msg.cls == FZR_STUN_ERROR);
  for (unsigned i = 0; i < FUZZ_CLIENTS; i++) {
    const fzr_addr client = fuzz_client_addr(i);
    if (!fzr_addr_equal(&client, &t->to))
      continue;
    if (fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce) && nonce.len <= sizeof f->nonce[i]) {
      memcpy(f->nonce[i], nonce.value, nonce.len);
      f->nonce_len[i] = nonce.len;
    }
    if (fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed))
      f->port[i] = relayed.port;
    note_ticket(f, i, &msg);
  }
}

static void drain(fuzz_engine *f)
{
  fzr_event event;
  fzr_transmit transmit;
  for (uint32_t n = 0; !f->events_wait && fzr_engine_next_event(f->engine, &event); n++) {
    FUZZ_CHECK(n < 10000);
    if (event.type == FZR_EVENT_PORT_OPEN) {
      FUZZ_CHECK(event.port >= 50000 && event.port <= 50015);
      const int error = f->next_open_error;
      f->next_open_error = 0;
      const int result = fzr_engine_port_result(f->engine, event.port, event.family, error, f, f->now);
      FUZZ_CHECK(result == 0 || result == FZR_ERR_INVALID_STATE);
      if (!result && !error)
        f->open_ports++;
    } else if (event.type == FZR_EVENT_PORT_CLOSE) {
      FUZZ_CHECK(f->open_ports > 0 && event.io == f);
      f->open_ports--;
    } else if (event.type == FZR_EVENT_CHANNEL_BOUND) {
      f->channels++;
    } else {
      FUZZ_CHECK(event.type == FZR_EVENT_CHANNEL_UNBOUND && f->channels-- > 0);
    }
  }
  while (fzr_engine_next_transmit(f->engine, &transmit))
    note_answer(f, &transmit);
}

/* Header |i| is of ChannelData, or of a Data indication, with a payload of |len| bytes and |pad| behind it. */
static void check_header(const fzr_verdict *v, unsigned i, unsigned len, unsigned pad)
{
  const uint8_t *hdr = fzr_verdict_header(v, i);
  if (v->hdr_len == FZR_CHANNEL_HEADER_LEN) {
    FUZZ_CHECK((hdr[0] & 0xf0) == 0x40 && (unsigned)(hdr[2] << 8 | hdr[3]) == len && !pad);
    return;
  }
  FUZZ_CHECK(v->hdr_len == 36 || v->hdr_len == 48);
  FUZZ_CHECK(hdr[0] == 0 && hdr[1] == 0x17 &&
             (unsigned)(hdr[2] << 8 | hdr[3]) + 20u == v->hdr_len + len + pad);
  FUZZ_CHECK((unsigned)(hdr[v->hdr_len - 2] << 8 | hdr[v->hdr_len - 1]) == len && (len + pad) % 4 == 0);
  FUZZ_CHECK(!i || memcmp(hdr + 8, fzr_verdict_header(v, i - 1) + 8, FZR_STUN_TXID_LEN) != 0);
}

static void check_verdict(const fzr_verdict *v, const uint8_t *data, size_t len)
{
  if (v->action != FZR_ACT_FORWARD)
    return;
  FUZZ_CHECK(v->count >= 1 && v->tail_len <= v->len);
  const uint8_t *end = v->data + (size_t)(v->count - 1) * v->stride + v->tail_len;
  FUZZ_CHECK(v->data >= data && end <= data + len);
  FUZZ_CHECK(v->pad <= FZR_PAD_MAX && v->tail_pad <= FZR_PAD_MAX &&
             v->tail_len + v->tail_pad <= v->len + v->pad);
  FUZZ_CHECK(v->hdr_len + (unsigned)v->len + v->pad <= FZR_UDP_PAYLOAD_MAX);
  for (unsigned i = 0; v->hdr_len && i < v->count; i++) {
    const bool tail = i + 1u == v->count;
    check_header(v, i, tail ? v->tail_len : v->len, tail ? v->tail_pad : v->pad);
  }
  FUZZ_CHECK(v->to.family == FZR_FAMILY_IPV4 || v->to.family == FZR_FAMILY_IPV6);
  FUZZ_CHECK(v->to.port && v->from.port);
}

static void put_in(fuzz_engine *f, enum fzr_side side, fzr_pkt pkt)
{
  fzr_verdict verdicts[4];
  const uint8_t *data = pkt.data;
  const size_t len = pkt.len;
  fzr_batch batch = {.in = &pkt, .count = 1, .out = verdicts, .room = 4};
  while (batch.consumed == 0) {
    FUZZ_CHECK(fzr_engine_rx(f->engine, side, &batch, f->now) == 0);
    FUZZ_CHECK(batch.written <= 4 && batch.consumed <= 1 && (batch.written || batch.consumed));
    for (size_t i = 0; i < batch.written; i++)
      check_verdict(&verdicts[i], data, len);
    drain(f);
  }
}

/* Where |client| listens. */
static fzr_addr server_of(unsigned client)
{
  fzr_addr server;
  FUZZ_CHECK(fzr_addr_parse(client & 1 ? "[2001:db8::1]:3478" : "192.0.2.1:3478", &server) == 0);
  return server;
}

void fuzz_from_client(fuzz_engine *f, unsigned client, const uint8_t *data, size_t len, uint16_t seg)
{
  uint8_t *exact = fuzz_exact(data, len);
  fzr_pkt pkt = {.data = exact,
                 .len = (uint32_t)len,
                 .seg = seg,
                 .from = fuzz_client_addr(client),
                 .to = server_of(client)};
  put_in(f, FZR_SIDE_CLIENT, pkt);
  free(exact);
}

void fuzz_from_peer(fuzz_engine *f, unsigned peer, uint16_t port, const uint8_t *data, size_t len,
                    uint16_t seg)
{
  uint8_t *exact = fuzz_exact(data, len);
  fzr_pkt pkt = {.data = exact, .len = (uint32_t)len, .seg = seg, .from = fuzz_peer_addr(peer)};
  pkt.to.family = pkt.from.family;
  pkt.to.port = port;
  put_in(f, FZR_SIDE_PEER, pkt);
  free(exact);
}

void fuzz_own(fuzz_engine *f, uint8_t how)
{
  const fzr_addr addrs[2] = {fuzz_peer_addr(how & 15u), fuzz_peer_addr(how >> 4)};
  switch (how % 5) {
  case 0:
    FUZZ_CHECK(fzr_engine_set_own_addrs(f->engine, addrs, how >> 7) == 0);
    break;
  case 1:
  case 2:
    FUZZ_CHECK(fzr_engine_add_own_addrs(f->engine, addrs, 1 + (how >> 7)) == 0);
    break;
  case 3:
    FUZZ_CHECK(fzr_engine_add_listen_port(f->engine, how & 16 ? 5000 : 50003) == 0);
    break;
  default:
    FUZZ_CHECK(fzr_engine_set_offered(f->engine, how & 16 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6, how & 32) ==
               0);
  }
}

static void set_limits(fuzz_engine *f, uint32_t allocations, uint64_t bandwidth)
{
  fzr_config config = fzr_config_init();
  config.max_channels_per_allocation = 8;
  config.max_allocations_per_user = allocations;
  config.max_bandwidth_per_allocation = bandwidth;
  FUZZ_CHECK(fzr_engine_set_limits(f->engine, &config) == 0);
}

/* As many are listed as are counted, and no client has two. */
static void check_list(const fuzz_engine *f)
{
  fzr_allocation list[3];
  fzr_stats stats;
  uint32_t cursor = 0;
  uint64_t count = 0;
  bool has[FUZZ_CLIENTS] = {false};
  for (size_t n; (n = fzr_engine_list_allocations(f->engine, &cursor, list, 3)) != 0;)
    for (size_t i = 0; i < n; i++) {
      FUZZ_CHECK(n <= 3 && list[i].client.family && list[i].expires && list[i].channels <= 8);
      FUZZ_CHECK(!list[i].opening || !list[i].channels);
      const uint8_t client =
          (uint8_t)(list[i].client.ip[list[i].client.family == FZR_FAMILY_IPV4 ? 3 : 15] - 1);
      FUZZ_CHECK(client < FUZZ_CLIENTS && !has[client]);
      has[client] = true;
      count += !list[i].opening;
    }
  FUZZ_CHECK(fzr_engine_stats(f->engine, &stats) == 0 && stats.allocations == count);
}

/* Whether clients log in as they do now (|ours|), or others do, or |both|. */
static void change_logins(fuzz_engine *f, bool ours, bool both)
{
  static const uint8_t key[FZR_STUN_KEY_LEN] = {1};
  static const fzr_user by_key[] = {{"by key", NULL, key}};
  const int error = fzr_engine_set_secrets(f->engine, ours ? FUZZ_SECRET : "other",
                                           both ? ours ? "other" : FUZZ_SECRET : NULL);
  FUZZ_CHECK(error == (f->by_sha256 ? FZR_ERR_UNSUPPORTED : 0));
  if (!f->by_sha256)
    return;
  if (ours || both)
    FUZZ_CHECK(fzr_engine_set_users(f->engine, users, ours && both ? 2 : 1) == 0);
  else
    FUZZ_CHECK(fzr_engine_set_users(f->engine, by_key, 1) == 0);
}

void fuzz_change(fuzz_engine *f, unsigned client, uint8_t how)
{
  const fzr_addr from = fuzz_client_addr(client), to = server_of(client), peer = fuzz_peer_addr(how);
  const fzr_peer_rule rule = {.net = peer, .prefix = peer.family == FZR_FAMILY_IPV4 ? 32 : 128};
  int ended = 0;
  switch (how >> 3 & 7) {
  case 0:
  case 1:
    FUZZ_CHECK(fzr_engine_set_peer_rules(f->engine, &rule, how >> 3 & 1) == 0);
    break;
  case 2:
  case 3:
    set_limits(f, how & 1 ? 2 : 0, how & 2 ? 2000 : 0);
    break;
  case 4:
    change_logins(f, true, how & 1);
    break;
  case 5:
    change_logins(f, false, how & 1);
    break;
  case 6:
    ended = fzr_engine_end_allocation(f->engine, &from, &to, f->now);
    break;
  default:
    ended = fzr_engine_end_allocation_at(f->engine, f->port[client], f->now);
  }
  FUZZ_CHECK(ended == 0 || ended == FZR_ERR_INVALID_STATE);
  check_list(f);
  drain(f);
}

void fuzz_pass(fuzz_engine *f, fzr_time by)
{
  const fzr_time end = f->now + by;
  for (unsigned i = 0; i < 1000 && fzr_engine_deadline(f->engine) <= end; i++) {
    const fzr_time deadline = fzr_engine_deadline(f->engine);
    if (deadline > f->now)
      f->now = deadline;
    fzr_engine_on_deadline(f->engine, 16, f->now);
    drain(f);
  }
  f->now = end;
}

void fuzz_skip(fuzz_engine *f, fzr_time by)
{
  f->now += by;
}

void fuzz_signed(fuzz_engine *f, unsigned client, uint16_t method, const uint8_t *attrs, size_t len)
{
  uint8_t buffer[1500], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  repeatable(f, txid, sizeof txid);
  fzr_stun_build(&b, buffer, sizeof buffer, method & 0xfff, FZR_STUN_REQUEST, txid);
  fzr_stun_add(&b, FZR_ATTR_REALM, "firezone", 8);
  log_in(f, &b, client);
  while (len >= 3) {
    const uint16_t type = (uint16_t)(attrs[0] << 8 | attrs[1]);
    const size_t n = attrs[2] % 24 < len - 3 ? attrs[2] % 24 : len - 3;
    fzr_stun_add(&b, type, attrs + 3, n);
    attrs += 3 + n;
    len -= 3 + n;
  }
  sign(f, &b);
  const int size = fzr_stun_build_finish(&b);
  if (size > 0)
    fuzz_from_client(f, client, buffer, (size_t)size, 0);
}

void fuzz_allocate(fuzz_engine *f, unsigned client, bool both, bool mobile)
{
  static const uint8_t all[] = {0x80, 0x30, 0, 0x00, 0x19, 4, 17, 0, 0, 0, 0x80, 0x00, 4, 2, 0, 0, 0};
  const size_t begin = mobile ? 0 : 3, end = both ? sizeof all : 10;
  fuzz_signed(f, client, FZR_STUN_ALLOCATE, all + begin, end - begin);
}

void fuzz_move(fuzz_engine *f, unsigned client, uint8_t how)
{
  uint8_t buffer[512], txid[FZR_STUN_TXID_LEN], ticket[FUZZ_TICKET];
  fzr_stun_builder b;
  fzr_allocation now;
  const unsigned whose = how & 3, old = how >> 2 & 1;
  memcpy(ticket, f->ticket[old][whose], sizeof ticket);
  size_t len = f->ticket_len[old][whose];
  if (how & 8)
    ticket[how >> 4] ^= how;
  if (how & 16 && len)
    len--;
  repeatable(f, txid, sizeof txid);
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_REFRESH, FZR_STUN_REQUEST, txid);
  log_in(f, &b, client);
  fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, ticket, len);
  if (how & 32)
    fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, how & 64 ? 0 : 600);
  sign(f, &b);
  const int size = fzr_stun_build_finish(&b);
  FUZZ_CHECK(size > 0);
  fuzz_from_client(f, client, buffer, (size_t)size, 0);
  const fzr_addr addr = fuzz_client_addr(client), server = server_of(client);
  if (fzr_engine_find_allocation(f->engine, &addr, &server, &now))
    f->port[client] = now.relayed[now.relayed[0].family ? 0 : 1].port;
  check_list(f);
}

void fuzz_bind(fuzz_engine *f, unsigned client, uint16_t channel, unsigned peer)
{
  uint8_t buffer[512], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  const fzr_addr addr = fuzz_peer_addr(peer);
  repeatable(f, txid, sizeof txid);
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_CHANNEL_BIND, FZR_STUN_REQUEST, txid);
  log_in(f, &b, client);
  fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)channel << 16);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &addr);
  sign(f, &b);
  const int size = fzr_stun_build_finish(&b);
  FUZZ_CHECK(size > 0);
  fuzz_from_client(f, client, buffer, (size_t)size, 0);
}

void fuzz_permit(fuzz_engine *f, unsigned client, unsigned peer)
{
  uint8_t buffer[512], txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  const fzr_addr addr = fuzz_peer_addr(peer);
  repeatable(f, txid, sizeof txid);
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION, FZR_STUN_REQUEST, txid);
  fzr_stun_add(&b, FZR_ATTR_USERNAME, username, sizeof username - 1);
  fzr_stun_add(&b, FZR_ATTR_NONCE, f->nonce[client], f->nonce_len[client]);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &addr);
  fzr_stun_add_integrity(&b, f->key, sizeof f->key);
  const int size = fzr_stun_build_finish(&b);
  FUZZ_CHECK(size > 0);
  fuzz_from_client(f, client, buffer, (size_t)size, 0);
}

void fuzz_engine_free(fuzz_engine *f)
{
  fzr_stats stats;
  f->events_wait = false;
  drain(f); /* channels of an allocation that has ended are counted until their events were taken */
  FUZZ_CHECK(fzr_engine_stats(f->engine, &stats) == 0);
  FUZZ_CHECK(stats.allocations <= 16 && stats.channels <= stats.allocations * 8);
  /* Whatever happened: when all lifetimes are over, nothing is left. */
  fuzz_pass(f, 10000 * FZR_SECOND);
  FUZZ_CHECK(fzr_engine_stats(f->engine, &stats) == 0);
  FUZZ_CHECK(stats.allocations == 0 && stats.channels == 0 && stats.permissions == 0 && f->open_ports == 0);
  fzr_engine_free(f->engine);
}
