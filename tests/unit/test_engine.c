/* SPDX-License-Identifier: Apache-2.0 */
/* Engines: their clock, statistics, and sharing a pool of ports. */
#include "relay.h"

#include "turn/state.h"

static fzt_relay relay;

static fzr_stats stats_now(void)
{
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  return stats;
}

START_TEST(test_statistics)
{
  fzt_client_state c;
  uint8_t data[104] = {0};
  const fzr_addr peer = fzt_addr("203.0.113.9:5000");
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peer), 0);
  fzr_channel_data_header(data, 0x4000, 100);
  fzt_client(&relay, &c.addr, &c.server, data, sizeof data);
  fzt_peer(&relay, &peer, c.relayed_port, data, 101);
  fzt_client(&relay, &peer, &c.server, data, sizeof data);
  fzr_stats s = stats_now();
  ck_assert_uint_eq(s.allocations, 1);
  ck_assert_uint_eq(s.allocations_by_transport[FZR_TRANSPORT_UDP], 1);
  ck_assert_uint_eq(s.channels, 1);
  ck_assert_uint_eq(s.packets[0], 1);
  ck_assert_uint_eq(s.packets[1], 1);
  ck_assert_uint_eq(s.bytes[0], 100);
  ck_assert_uint_eq(s.bytes[1], 101);
  ck_assert_uint_eq(s.packet_sizes[0], 1);
  ck_assert_uint_eq(s.packet_sizes[1], 1);
  ck_assert_uint_eq(s.dropped[FZR_DROP_UNKNOWN_CLIENT], 1);
  ck_assert_uint_eq(s.responses[FZR_STAT_ALLOCATE][0], 1);
  ck_assert_uint_eq(fzr_stat_code(3), 401);
  ck_assert_uint_eq(s.responses[FZR_STAT_ALLOCATE][3], 1);
  ck_assert_uint_eq(s.responses[FZR_STAT_CHANNEL_BIND][0], 1);
  ck_assert_uint_eq(s.memory_bytes, relay.mem.live);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  s = stats_now();
  ck_assert_uint_eq(s.allocations, 0);
  ck_assert_uint_eq(s.channels, 0);
  ck_assert_uint_eq(s.allocations_ended, 1);

  const fzr_stats before = s;
  memset(&s, 0xff, sizeof s); /* whatever is in it */
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &s), 0);
  ck_assert_mem_eq(&s, &before, sizeof s);
  ck_assert_uint_eq(s.size, sizeof s);

  fzr_stats tiny;
  memset(&tiny, 0xff, sizeof tiny);
  ck_assert_int_eq(fzr_engine_stats_sized(relay.engine, &tiny, offsetof(fzr_stats, channels)), 0);
  ck_assert_uint_eq(tiny.size, offsetof(fzr_stats, channels));
  ck_assert_uint_eq(tiny.allocations, 0);
  ck_assert_uint_eq(tiny.channels, UINT64_MAX);
  ck_assert_int_eq(fzr_engine_stats_sized(relay.engine, &tiny, 1), FZR_ERR_INVALID_ARGUMENT);
  struct {
    fzr_stats known;
    uint64_t later;
  } longer;
  memset(&longer, 0xff, sizeof longer);
  ck_assert_int_eq(fzr_engine_stats_sized(relay.engine, &longer.known, sizeof longer), 0);
  ck_assert_uint_eq(longer.known.size, sizeof longer.known);
  ck_assert_uint_eq(longer.known.allocations_ended, 1);
  ck_assert_uint_eq(longer.later, 0);
  ck_assert_int_eq(fzr_engine_stats(NULL, &tiny), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_stats(relay.engine, NULL), FZR_ERR_INVALID_ARGUMENT);
  fzt_relay_free(&relay);
}
END_TEST

/* Each index has names of its own, and each method that is answered an index. */
/* The places of what a later release counts are 0, and no others than now are used. */
START_TEST(test_statistics_have_room)
{
  fzr_stats s;
  fzr_config config = fzt_config(&relay);
  fzt_client_state c;
  memset(&s, 0xff, sizeof s);
  ck_assert_uint_eq(sizeof s.responses, sizeof(uint64_t) * FZR_STAT_METHOD_ROOM * FZR_STAT_CODE_ROOM);
  ck_assert_uint_gt(FZR_STAT_METHOD_ROOM, FZR_STAT_METHODS);
  ck_assert_uint_gt(FZR_STAT_CODE_ROOM, FZR_STAT_CODES);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &s), 0);
  uint64_t in_use = 0, all = 0;
  for (unsigned m = 0; m < FZR_STAT_METHOD_ROOM; m++)
    for (unsigned k = 0; k < FZR_STAT_CODE_ROOM; k++) {
      all += s.responses[m][k];
      in_use += m < FZR_STAT_METHODS && k < FZR_STAT_CODES ? s.responses[m][k] : 0;
    }
  ck_assert(all == 2 && in_use == 2);
  ck_assert_str_eq(fzr_stat_method_name(FZR_STAT_METHOD_ROOM - 1), "other");
  ck_assert_uint_eq(fzr_stat_code(FZR_STAT_CODE_ROOM - 1), 0);
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_methods)
{
  static const struct {
    unsigned method, index;
    const char *name, *handler;
  } rows[] = {
      {FZR_STUN_BINDING, FZR_STAT_BINDING, "binding", "handle_binding_request"},
      {FZR_STUN_ALLOCATE, FZR_STAT_ALLOCATE, "allocate", "handle_allocate_request"},
      {FZR_STUN_REFRESH, FZR_STAT_REFRESH, "refresh", "handle_refresh_request"},
      {FZR_STUN_CHANNEL_BIND, FZR_STAT_CHANNEL_BIND, "channelbind", "handle_channel_bind_request"},
      {FZR_STUN_CREATE_PERMISSION, FZR_STAT_CREATE_PERMISSION, "createpermission",
       "handle_create_permission_request"},
      {FZR_STUN_SEND, FZR_STAT_OTHER, "other", "handle_unknown_request"},
      {0, FZR_STAT_OTHER, "other", "handle_unknown_request"},
      {0x10000 + FZR_STUN_BINDING, FZR_STAT_OTHER, "other", "handle_unknown_request"},
      {UINT32_MAX, FZR_STAT_OTHER, "other", "handle_unknown_request"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_uint_eq(fzr_stat_method_of(rows[i].method), rows[i].index);
    ck_assert_str_eq(fzr_stat_method_name(rows[i].index), rows[i].name);
    ck_assert_str_eq(fzr_stat_method_handler(rows[i].index), rows[i].handler);
  }
  ck_assert_str_eq(fzr_stat_method_name(FZR_STAT_METHODS), "other");
  ck_assert_str_eq(fzr_stat_method_handler(UINT32_MAX), "handle_unknown_request");
}
END_TEST

START_TEST(test_memory_per_allocation)
{
  enum { N = 4096 };
  const fzr_addr peer = fzt_addr("203.0.113.9:5000");
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  const uint64_t before = relay.mem.live;
  for (unsigned i = 0; i < N; i++) {
    fzt_client_state c;
    fzt_client_init(&c, "198.51.100.1:4000");
    c.addr.ip[2] = (uint8_t)(i >> 8);
    c.addr.ip[3] = (uint8_t)i;
    ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
    ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peer), 0);
  }
  ck_assert_uint_le((relay.mem.live - before) / N, 512);
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_two_shards_share_the_ports)
{
  enum { PORTS = 4 };
  static fzt_relay other;
  fzr_shared *shared;
  unsigned made = 0;
  ck_assert_int_eq(fzr_shared_new(50000, 50000 + PORTS - 1, NULL, &shared), 0);
  fzr_config a = fzt_config(&relay), b = fzt_config(&other);
  a.shared = b.shared = shared;
  ck_assert_int_eq(fzr_engine_new(&a, &relay.engine, 0),
                   FZR_ERR_CONFIG_PORTS); /* the pool's range is another one */
  a.lowest_port = b.lowest_port = 50000;
  a.highest_port = b.highest_port = 50000 + PORTS - 1;
  fzt_relay_init(&relay, &a);
  fzt_relay_init(&other, &b);
  for (unsigned i = 0; i < 2 * PORTS; i++) {
    fzt_client_state c;
    fzt_client_init(&c, "198.51.100.1:4000");
    c.addr.ip[3] = (uint8_t)i;
    const int code = fzt_allocate(i % 2 ? &other : &relay, &c);
    ck_assert(code == 0 || code == 508);
    made += code == 0;
  }
  ck_assert_uint_eq(made, PORTS);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), PORTS);
  fzt_relay_free(&relay);
  fzt_relay_free(&other);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 0);
  fzr_shared_free(shared);
}
END_TEST

START_TEST(test_clock_never_goes_back)
{
  fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  const fzr_time at = relay.now;
  relay.now = at + 599 * FZR_SECOND;
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  relay.now = at; /* as if the caller's clock had jumped: the allocation lives on until 1,199 s */
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  relay.now = at + 1198 * FZR_SECOND;
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  ck_assert_int_eq(fzr_engine_set_wallclock(relay.engine, -1, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_set_wallclock(NULL, 1, relay.now), FZR_ERR_INVALID_ARGUMENT);
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_port_result_misuse)
{
  fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzr_engine_port_result(NULL, 50000, FZR_FAMILY_IPV4, 0, NULL, 0),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, 50000, FZR_FAMILY_NONE, 0, NULL, 0),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, 50000, FZR_FAMILY_IPV4, 1, NULL, 0),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, 50000, FZR_FAMILY_IPV4, 0, NULL, 0),
                   FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, 1, FZR_FAMILY_IPV4, 0, NULL, 0),
                   FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, c.relayed_port, FZR_FAMILY_IPV4, 0, NULL, relay.now),
                   FZR_ERR_INVALID_STATE);
  fzt_relay_free(&relay);
}
END_TEST

/* While its sockets are being opened: the same Allocate again is not answered, anything else finds no allocation, and if nobody
 * ever says what became of them, it ends with its lifetime. */
START_TEST(test_pending_allocation)
{
  fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  relay.hold_opens = true;
  ck_assert_int_eq(fzt_allocate(&relay, &c), -1);
  ck_assert_uint_eq(relay.event_count, 1);
  const fzr_event open = relay.events[0];
  ck_assert_uint_eq(open.type, FZR_EVENT_PORT_OPEN);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 437);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 437);
  fzt_pass(&relay, 611 * FZR_SECOND);
  ck_assert_uint_eq(relay.event_count, 0);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, open.port, FZR_FAMILY_IPV4, 0, NULL, relay.now),
                   FZR_ERR_INVALID_STATE);
  relay.hold_opens = false;
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  fzt_relay_free(&relay);
}
END_TEST

/* A socket that is still being opened when its allocation ends keeps the port from others until it is known what became of it. */
START_TEST(test_late_result_keeps_the_port)
{
  static const int outcomes[] = {0, FZR_ERR_IO, FZR_ERR_IO_IN_USE};
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_event event;
  fzt_client_state c, other;
  fzr_config config = fzt_config(&relay);
  config.lowest_port = config.highest_port = 50000;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzt_client_init(&other, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  relay.hold_opens = true;
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), -1);
  ck_assert_uint_eq(relay.event_count, 2);
  /* IPv6 fails, so the client gets 508; IPv4 is not known yet. */
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, 50000, FZR_FAMILY_IPV6, FZR_ERR_IO, NULL, relay.now),
                   0);
  ck_assert(!fzr_engine_next_event(relay.engine, &event));
  ck_assert_int_eq(fzt_allocate(&relay, &other), 508);
  ck_assert_uint_eq(relay.event_count, 0);
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, 50000, FZR_FAMILY_IPV6, 0, NULL, relay.now),
                   FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(
      fzr_engine_port_result(relay.engine, 50000, FZR_FAMILY_IPV4, outcomes[_i], NULL, relay.now),
      FZR_ERR_INVALID_STATE);
  ck_assert(!fzr_engine_next_event(relay.engine, &event));
  relay.hold_opens = false;
  ck_assert_int_eq(fzt_allocate(&relay, &other), 0);
  fzt_relay_free(&relay);
}
END_TEST

/* ---- secrets ---- */

static fzt_mem *counting;
static uint8_t secret_key[FZR_STUN_KEY_LEN];
static unsigned secrets_found;

static bool holds(const void *data, size_t size, const void *secret, size_t len)
{
  return data && size >= len && memmem(data, size, secret, len) != NULL;
}

/* Looks for what must not be left in memory that goes back to whoever gave it. */
static void suspicious_free(void *ctx, void *ptr, size_t size)
{
  (void)ctx;
  secrets_found += holds(ptr, size, FZT_SECRET, 16) || holds(ptr, size, secret_key, sizeof secret_key);
  counting->hooks.free(counting->hooks.ctx, ptr, size);
}

START_TEST(test_secrets_are_wiped)
{
  static const fzr_user users[] = {{"alice", "wonderland"}};
  fzt_client_state c;
  for (unsigned with_users = 0; with_users < 2; with_users++) {
    fzr_config config = fzt_config(&relay);
    counting = &relay.mem;
    fzr_mem hooks = relay.mem.hooks;
    hooks.free = suspicious_free;
    config.mem = &hooks;
    fzt_client_init(&c, "198.51.100.1:4000");
    if (with_users) {
      config.auth = FZR_AUTH_STATIC;
      config.users = users;
      config.user_count = 1;
      strcpy(c.username, "alice");
      fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)"alice", 5, "firezone", "wonderland", c.key);
    }
    memcpy(secret_key, c.key, sizeof secret_key);
    secrets_found = 0;
    fzt_relay_init(&relay, &config);
    ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
    fzt_relay_free(&relay); /* with a live allocation */
    ck_assert_uint_eq(secrets_found, 0);
    fzt_relay_init(&relay, &config);
    c.nonce_len = 0;
    ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
    ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
    fzt_relay_free(&relay);
    ck_assert_uint_eq(secrets_found, 0);
  }
}
END_TEST

static unsigned asked;
static uint64_t answered_expiry = FZR_NO_EXPIRY;

static uint64_t asked_at;

static enum fzr_auth_result ask(void *ctx, const fzr_auth_request *request, fzr_auth_key *out)
{
  static const uint8_t zeros[sizeof request->reserved];
  ck_assert_ptr_eq(ctx, &asked);
  asked++;
  asked_at = request->unix_now;
  ck_assert_str_eq(request->realm, "firezone");
  ck_assert_uint_eq(request->username_len, strlen(FZT_USERNAME));
  ck_assert_mem_eq(request->username, FZT_USERNAME, request->username_len);
  ck_assert_uint_eq(request->algorithm, FZR_PASSWORD_MD5);
  ck_assert_mem_eq(request->reserved, zeros, sizeof zeros);
  fzt_client_state c;
  fzt_client_init(&c, "198.51.100.1:4000");
  memcpy(out->key, c.key, sizeof c.key);
  out->key_len = sizeof c.key;
  out->algorithm = FZR_PASSWORD_MD5;
  out->expires = answered_expiry;
  return FZR_AUTH_OK;
}

START_TEST(test_callback_scheme)
{
  fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  config.auth = FZR_AUTH_CALLBACK;
  config.auth_fn = ask;
  config.auth_ctx = &asked;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  asked = 0;
  /* Asked for each request: what it says may change. */
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  ck_assert_uint_eq(asked, 2);
  ck_assert_uint_eq(asked_at, FZT_UNIX_NOW);
  /* A time that is over is over, though it is called a good one; its last second still counts. */
  answered_expiry = FZT_UNIX_NOW - 1;
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 401);
  answered_expiry = FZT_UNIX_NOW;
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  answered_expiry = FZR_NO_EXPIRY;
  fzt_relay_free(&relay);
}
END_TEST

static uint8_t given_len, given_algorithm;

/* A key of ones. */
static enum fzr_auth_result give(void *ctx, const fzr_auth_request *request, fzr_auth_key *out)
{
  (void)request;
  memset(out->key, 1, sizeof out->key);
  out->sign_unauthenticated = ctx;
  out->key_len = given_len;
  out->algorithm = given_algorithm;
  out->expires = FZR_NO_EXPIRY;
  return FZR_AUTH_OK;
}

/* By whichever algorithm the key is that |give| gives, the request asks for it. The error code of an Allocate (|begins|) or a Refresh whose sender has the first |key_len| bytes of that key, -1 for none, and whether
 * the answer is signed with all of it. */
static int ask_with(fzt_client_state *c, bool begins, size_t key_len, bool *is_signed)
{
  static const uint8_t ones[FZR_STUN_KEY_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  static const uint16_t offered[] = {FZR_PASSWORD_SHA256, FZR_PASSWORD_MD5};
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzt_begin(&relay, c, &b, buffer, sizeof buffer, begins ? FZR_STUN_ALLOCATE : FZR_STUN_REFRESH);
  if (begins)
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  const bool by_sha256 = given_algorithm == FZR_PASSWORD_SHA256;
  if (by_sha256) {
    fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHMS, offered, 2);
    fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHM, offered, 1);
    fzr_stun_add_integrity_sha256(&b, ones, key_len, 32);
  } else
    fzr_stun_add_integrity(&b, ones, key_len);
  fzt_client(&relay, &c->addr, &c->server, buffer, (size_t)fzr_stun_build_finish(&b));
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert_int_eq(fzr_stun_read(relay.answers[0].data, relay.answers[0].len, &msg), 0);
  *is_signed =
      by_sha256 ? fzr_stun_verify_sha256(&msg, ones, given_len, 32) : fzr_stun_verify(&msg, ones, given_len);
  ck_assert(!fzr_stun_has(&msg, by_sha256 ? FZR_ATTR_MESSAGE_INTEGRITY : FZR_ATTR_MESSAGE_INTEGRITY_SHA256));
  return (int)fzr_stun_error_code(&msg);
}

/* Keys of both lengths, with which the answers are signed, too; the one that an allocation keeps among them, which signs the answer to
 * its Allocate. */
START_TEST(test_keys)
{
  fzt_client_state c;
  bool is_signed;
  fzr_config config = fzt_config(&relay);
  config.auth = FZR_AUTH_CALLBACK;
  config.auth_fn = give;
  given_len = _i ? FZR_STUN_KEY_MAX : FZR_STUN_KEY_LEN;
  given_algorithm = _i ? FZR_PASSWORD_SHA256 : FZR_PASSWORD_MD5;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 401); /* with a key of its own: it has a nonce by now */
  ck_assert_int_eq(ask_with(&c, true, given_len - 1u, &is_signed), 401);
  relay.open_errors[0] = FZR_ERR_IO_IN_USE; /* another port is tried: the key goes along */
  relay.open_error_count = 1;
  ck_assert_int_eq(ask_with(&c, true, given_len, &is_signed), 0);
  ck_assert(is_signed);
  ck_assert_int_eq(ask_with(&c, false, given_len, &is_signed), 0);
  ck_assert(is_signed);
  ck_assert_int_eq(ask_with(&c, false, given_len == 16 ? 32 : 16, &is_signed), 401);
  fzt_relay_free(&relay);
}
END_TEST

/* A key that can be none is nobody's: one of no length would be everybody's. */
START_TEST(test_keys_of_wrong_lengths)
{
  static const struct {
    uint8_t len, algorithm;
  } rows[] = {{0, 0},
              {0, FZR_PASSWORD_MD5},
              {16, 0},
              {32, FZR_PASSWORD_MD5},
              {16, FZR_PASSWORD_SHA256},
              {33, FZR_PASSWORD_SHA256},
              {255, 3}};
  fzt_client_state c;
  bool is_signed;
  fzr_config config = fzt_config(&relay);
  config.auth = FZR_AUTH_CALLBACK;
  config.auth_fn = give;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 401);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    given_len = rows[i].len;
    given_algorithm = rows[i].algorithm;
    for (size_t len = 0; len <= 32; len += 16)
      ck_assert_int_eq(ask_with(&c, true, len, &is_signed), 401);
  }
  fzt_relay_free(&relay);
}
END_TEST

/* What the application says of an allocation's user counts, also when the nonce is old, and when the time is over. */
START_TEST(test_callback_scheme_in_long_calls)
{
  fzt_client_state c;
  for (unsigned outlive = 0; outlive < 2; outlive++) {
    fzr_config config = fzt_config(&relay);
    config.auth = FZR_AUTH_CALLBACK;
    config.auth_fn = ask;
    config.auth_ctx = &asked;
    config.allocations_outlive_credentials = outlive;
    fzt_relay_init(&relay, &config);
    fzt_client_init(&c, "198.51.100.1:4000");
    ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
    for (int i = 0; i < 3; i++) {
      char nonce[sizeof c.nonce];
      memcpy(nonce, c.nonce, sizeof nonce);
      ck_assert_int_eq(fzt_refresh(&relay, &c, 3600), 0);
      ck_assert_mem_eq(nonce, c.nonce, sizeof nonce);
      fzt_pass(&relay, 3500 * FZR_SECOND);
    }
    answered_expiry = FZT_UNIX_NOW;
    ck_assert_int_eq(fzt_refresh(&relay, &c, 600), outlive ? 0 : 401);
    answered_expiry = FZR_NO_EXPIRY;
    fzt_relay_free(&relay);
  }
}
END_TEST

/* Allocates that fail when their sockets are opened are errors like others. */
START_TEST(test_late_errors_are_limited)
{
  fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  config.error_rate = 10;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  for (int i = 0; i < 10; i++) {
    relay.open_errors[0] = FZR_ERR_IO;
    relay.open_error_count = 1;
    ck_assert_int_eq(fzt_allocate(&relay, &c), i < 5 ? 508 : -1);
  }
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  ck_assert_uint_eq(stats.dropped[FZR_DROP_RATE_LIMITED], 5);
  ck_assert_uint_eq(stats.allocations, 0);
  relay.open_error_count = 0;
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  fzt_relay_free(&relay);
}
END_TEST

/* However many forge requests that would have to be signed, who has an allocation is answered, and so is a client that took its
 * nonce; and the longer a request is the fewer of them are looked at. */
START_TEST(test_forged_requests)
{
  fzt_client_state allocated, coming, forged;
  static const uint8_t zeros[4096];
  uint8_t buffer[9000];
  fzr_config config = fzt_config(&relay);
  config.unauthenticated_rate = 0; /* the default */
  fzt_relay_init(&relay, &config);
  fzt_client_init(&allocated, "198.51.100.1:4000");
  fzt_client_init(&coming, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &allocated), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &coming), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &coming, 0), 0);
  fzt_client_init(&forged, "10.0.0.1:4000");
  memset(forged.key, 1, sizeof forged.key);
  unsigned answered[2] = {0};
  for (unsigned large = 0; large < 2; large++) {
    relay.now += 10 * FZR_SECOND;
    for (unsigned i = 0; i < 45000; i++) {
      fzr_stun_builder b;
      forged.addr.ip[1] = (uint8_t)(i >> 8);
      forged.addr.ip[2] = (uint8_t)i;
      fzt_begin(&relay, &forged, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
      if (large)
        fzr_stun_add(&b, 0x8fff, zeros, sizeof zeros);
      answered[large] += fzt_finish(&relay, &forged, &b, NULL) == 401;
    }
  }
  ck_assert_uint_eq(answered[0], 40000);
  ck_assert_uint_eq(answered[1], 40000 / 9); /* nine times as long */
  ck_assert_int_eq(fzt_refresh(&relay, &allocated, 600), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &coming), 0);
  fzt_relay_free(&relay);
}
END_TEST

static uint16_t asked_port;

static bool only_port_80(void *ctx, const fzr_addr *client, const fzr_addr *peer, bool by_default)
{
  ck_assert_ptr_eq(ctx, &relay);
  ck_assert_uint_eq(client->port, 4000);
  ck_assert(by_default == (peer->ip[0] != 10));
  asked_port = peer->port;
  return peer->port == 80;
}

START_TEST(test_policy_callback)
{
  fzt_client_state c;
  const fzr_addr good = fzt_addr("10.0.0.1:80"), bad = fzt_addr("203.0.113.9:81");
  fzr_config config = fzt_config(&relay);
  config.peer_policy = only_port_80;
  config.peer_policy_ctx = &relay;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &good), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4001, &bad), 403);
  /* A permission may name no port: the application is asked about one that a peer could have. */
  uint8_t buffer[512];
  fzr_stun_builder b;
  const fzr_addr no_port = fzt_addr("203.0.113.9");
  asked_port = 0;
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &no_port);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 403);
  ck_assert_uint_eq(asked_port, 49152);
  fzt_relay_free(&relay);
}
END_TEST

/* What a user has counts in all shards; a shard that goes takes its part with it. */
START_TEST(test_users_leave_with_their_shard)
{
  static fzt_relay other;
  fzr_shared *shared;
  fzt_client_state c;
  ck_assert_int_eq(fzr_shared_new(50000, 50003, NULL, &shared), 0);
  fzr_config a = fzt_config(&relay), b = fzt_config(&other);
  a.shared = b.shared = shared;
  a.lowest_port = b.lowest_port = 50000;
  a.highest_port = b.highest_port = 50003;
  a.max_allocations_per_user = b.max_allocations_per_user = 1;
  fzt_relay_init(&relay, &a);
  fzt_relay_init(&other, &b);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  fzt_client_init(&c, "198.51.100.1:4001");
  ck_assert_int_eq(fzt_allocate(&other, &c), 486);
  fzt_relay_free(&relay);
  ck_assert_int_eq(fzt_allocate(&other, &c), 0);
  fzt_relay_free(&other);
  fzr_shared_free(shared);
}
END_TEST

/* From the end that a client was told on, a new Allocate makes a new allocation, and the old one counts no more; a Refresh may still
 * save it for a while. */
START_TEST(test_allocate_after_the_told_end)
{
  fzt_client_state c, other;
  fzr_config config = fzt_config(&relay);
  config.max_allocations_per_user = 1;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzt_client_init(&other, "198.51.100.1:4001");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  const uint16_t port = c.relayed_port;
  fzt_pass(&relay, 599 * FZR_SECOND);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 437);
  ck_assert_int_eq(fzt_allocate(&relay, &other), 486);
  fzt_pass(&relay, 2 * FZR_SECOND);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_PORT_CLOSE);
  ck_assert_uint_eq(relay.events[0].port, port);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_PORT_OPEN);
  ck_assert_uint_ne(c.relayed_port, port);
  ck_assert_int_eq(fzt_allocate(&relay, &other), 486); /* the new one counts */
  /* Another 5-tuple's, and then the late Refresh. */
  fzt_pass(&relay, 601 * FZR_SECOND);
  ck_assert_int_eq(fzt_allocate(&relay, &other), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &other, 0), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &other), 486); /* it counts again */
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &other), 0);
  /* One that has ended after it had ceased to count is not taken off twice. */
  fzt_pass(&relay, 620 * FZR_SECOND);
  ck_assert_int_eq(fzt_allocate(&relay, &other), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 486);
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_amplification_is_small)
{
  fzt_client_state c;
  uint8_t buffer[64];
  fzr_stun_builder b;
  const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  fzt_client(&relay, &c.addr, &c.server, buffer, (size_t)fzr_stun_build_finish(&b));
  ck_assert_uint_eq(relay.answers[0].len, 32);
  const fzr_addr from6 = fzt_addr("[2001:db8::5]:4000"), to6 = fzt_addr(FZT_LISTEN6);
  fzt_client(&relay, &from6, &to6, buffer, 20);
  ck_assert_uint_eq(relay.answers[0].len, 44);
  /* The largest 401: signed, with fingerprint. */
  uint8_t request[512];
  fzt_begin(&relay, &c, &b, request, sizeof request, FZR_STUN_ALLOCATE);
  fzr_stun_add_integrity(&b, c.key, sizeof c.key);
  fzr_stun_add_fingerprint(&b);
  fzt_client(&relay, &c.addr, &c.server, request, (size_t)fzr_stun_build_finish(&b));
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert_uint_le(relay.answers[0].len, 120);
  fzt_relay_free(&relay);
}
END_TEST

/* Nor is what clients of other schemes are offered. */
START_TEST(test_offers_amplify_little)
{
  static const fzr_user users[] = {{"alice", "wonderland", NULL}};
  const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  uint8_t buffer[64];
  fzt_client_state c;
  fzr_stun_builder b;
  fzr_config config = fzt_config(&relay);
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 1;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_ALLOCATE, FZR_STUN_REQUEST, txid);
  fzt_client(&relay, &c.addr, &c.server, buffer, (size_t)fzr_stun_build_finish(&b));
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert_uint_le(relay.answers[0].len, 120);
  fzt_relay_free(&relay);
}
END_TEST

/* The longest 401 fits: the longest realm and SOFTWARE, what is offered, both HMACs, and a FINGERPRINT. */
START_TEST(test_longest_answer)
{
  static const uint16_t offered[] = {FZR_PASSWORD_SHA256, FZR_PASSWORD_MD5};
  static const uint8_t ones[FZR_STUN_KEY_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  char realm[128], software[64];
  uint8_t request[512];
  fzt_client_state c;
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_config config = fzt_config(&relay);
  memset(realm, 'r', 127);
  memset(software, 's', 63);
  realm[127] = software[63] = 0;
  config.realm = realm;
  config.software = software;
  config.auth = FZR_AUTH_CALLBACK;
  config.auth_fn = give;
  config.auth_ctx = &config; /* it has challenges signed */
  given_len = FZR_STUN_KEY_MAX;
  given_algorithm = FZR_PASSWORD_SHA256;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 401);
  fzt_begin(&relay, &c, &b, request, sizeof request, FZR_STUN_ALLOCATE); /* of another realm */
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, software, 63);
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHMS, offered, 2);
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHM, offered, 1);
  fzr_stun_add_integrity(&b, ones, sizeof ones);
  fzr_stun_add_fingerprint(&b);
  fzt_client(&relay, &c.addr, &c.server, request, (size_t)fzr_stun_build_finish(&b));
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert_int_eq(fzr_stun_read(relay.answers[0].data, relay.answers[0].len, &msg), 0);
  ck_assert_uint_eq(fzr_stun_error_code(&msg), 401);
  ck_assert(fzr_stun_has(&msg, FZR_ATTR_SOFTWARE) && fzr_stun_has(&msg, FZR_ATTR_FINGERPRINT));
  ck_assert(fzr_stun_verify(&msg, ones, sizeof ones) && fzr_stun_verify_sha256(&msg, ones, sizeof ones, 32));
  fzt_relay_free(&relay);
}
END_TEST

/* SOFTWARE is in answers to strangers, too, but never makes an answer grow by more than the request has brought for it. */
START_TEST(test_software_does_not_amplify)
{
  static const char *const sources[] = {"198.51.100.1:4000", "[2001:db8::5]:4000"};
  const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  unsigned with = 0, without = 0;
  fzr_config config = fzt_config(&relay);
  config.unauthenticated_rate = config.error_rate = FZR_UNLIMITED;
  fzt_relay_init(&relay, &config);
  for (unsigned i = 0; i < 2 * 2 * 2 * 100; i++) {
    uint8_t request[256];
    char text[100];
    fzr_stun_builder b;
    fzr_stun_msg msg;
    const unsigned len = i / 8; /* of an attribute: 99 is none */
    const bool v6 = i & 1, allocate = i & 2, software = i & 4;
    memset(text, 'x', sizeof text);
    fzr_stun_build(&b, request, sizeof request, allocate ? FZR_STUN_ALLOCATE : FZR_STUN_BINDING,
                   FZR_STUN_REQUEST, txid);
    if (len < 99)
      fzr_stun_add(&b, software ? FZR_ATTR_SOFTWARE : 0x8fff, text, len);
    const size_t size = (size_t)fzr_stun_build_finish(&b);
    const fzr_addr from = fzt_addr(sources[v6]), to = fzt_addr(v6 ? FZT_LISTEN6 : FZT_LISTEN);
    fzt_client(&relay, &from, &to, request, size);
    ck_assert_uint_eq(relay.answer_count, 1);
    const size_t bare = allocate ? 88 : v6 ? 44 : 32, ours = 4 + 20;
    const bool expected = bare + ours <= size || (software && len < 99 && len > 16);
    ck_assert_int_eq(fzr_stun_read(relay.answers[0].data, relay.answers[0].len, &msg), 0);
    ck_assert_msg(fzr_stun_has(&msg, FZR_ATTR_SOFTWARE) == expected, "%u: %u bytes of %zu", i, len, size);
    ck_assert_uint_eq(relay.answers[0].len, bare + (expected ? ours : 0));
    /* No more is added to a request than to a bare one. */
    ck_assert_uint_le(relay.answers[0].len + FZR_STUN_HEADER_LEN, bare + size);
    *(expected ? &with : &without) += 1;
  }
  ck_assert_uint_gt(with, 100);
  ck_assert_uint_gt(without, 100);
  fzt_relay_free(&relay);
}
END_TEST

static uint8_t long_request[4096];

/* A Refresh that |padding| bytes make longer, with the right MESSAGE-INTEGRITY or a wrong one; as fzt_finish. */
static int long_refresh(const fzt_client_state *c, size_t padding, bool right)
{
  static const uint8_t zeros[3000];
  fzt_client_state sender = *c;
  fzr_stun_builder b;
  sender.key[0] = (uint8_t)(c->key[0] + !right);
  fzt_begin(&relay, &sender, &b, long_request, sizeof long_request, FZR_STUN_REFRESH);
  if (padding)
    fzr_stun_add(&b, 0xc0de, zeros, padding);
  return fzt_finish(&relay, &sender, &b, NULL);
}

/* Who has an allocation does not get long messages looked at without end, but is never silenced by whoever sends such in its name. */
START_TEST(test_long_proofs_in_vain_of_an_allocation_are_limited)
{
  fzt_client_state c, stranger;
  fzr_config config = fzt_config(&relay);
  config.error_rate = 10;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  /* Who does not know the nonce takes nothing from who does. */
  stranger = c;
  stranger.nonce_len = 0;
  for (unsigned i = 0; i < 200; i++)
    long_refresh(&stranger, 3000, false);
  ck_assert_int_eq(long_refresh(&c, 3000, true), 0);
  /* The right one is not looked at, either, once so many were wrong. */
  for (unsigned i = 0; i < 101; i++)
    ck_assert_int_eq(long_refresh(&c, 3000, false), i < 5 ? 401 : -1);
  ck_assert_int_eq(long_refresh(&c, 3000, true), -1);
  ck_assert_int_eq(long_refresh(&c, 1000, true), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  fzt_pass(&relay, FZR_SECOND);
  ck_assert_int_eq(long_refresh(&c, 3000, true), 0);
  fzt_relay_free(&relay);
}
END_TEST

static unsigned proofs_told;

static void count_proofs_limited(void *ctx, const fzr_log_record *r)
{
  (void)ctx;
  if (r->event == FZR_LOG_PROOFS_LIMITED) {
    ck_assert(r->level == FZR_LOG_WARN && !r->client);
    proofs_told++;
  }
}

/* A flood from everywhere takes the proofs of all: the log says so, once a minute. */
START_TEST(test_the_log_tells_of_proofs_that_are_used_up)
{
  fzt_client_state c;
  fzr_config config = fzt_config(&relay);
  config.integrity_rate = 5;
  config.log = count_proofs_limited;
  config.log_level = FZR_LOG_WARN;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  proofs_told = 0;
  for (unsigned i = 0; i < 10; i++)
    ck_assert_int_eq(long_refresh(&c, 0, false), 401);
  ck_assert_uint_eq(proofs_told, 0);
  for (unsigned i = 0; i < 10; i++)
    ck_assert_int_eq(long_refresh(&c, 0, false), -1);
  ck_assert_uint_eq(proofs_told, 1);
  fzt_pass(&relay, 60 * FZR_SECOND);
  for (unsigned i = 0; i < 20; i++)
    long_refresh(&c, 0, false);
  ck_assert_uint_eq(proofs_told, 2);
  fzt_relay_free(&relay);
}
END_TEST

/* Who has proved nothing is a stranger, whatever it asks for. */
START_TEST(test_answers_to_strangers_are_marked)
{
  fzt_client_state c;
  uint8_t request[64];
  fzr_stun_builder b;
  const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  fzr_stun_build(&b, request, sizeof request, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  fzt_client(&relay, &c.addr, &c.server, request, (size_t)fzr_stun_build_finish(&b));
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert(relay.answers[0].to_stranger);
  fzr_stun_build(&b, request, sizeof request, FZR_STUN_ALLOCATE, FZR_STUN_REQUEST, txid);
  fzt_client(&relay, &c.addr, &c.server, request, (size_t)fzr_stun_build_finish(&b));
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert(relay.answers[0].to_stranger);
  /* So is who repeats what somebody else has signed: without a nonce, the address may be forged. */
  fzt_client_state repeater = c;
  fzt_begin(&relay, &repeater, &b, long_request, sizeof long_request, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_msg answer;
  ck_assert_int_eq(fzt_finish(&relay, &repeater, &b, &answer), 401);
  ck_assert(fzr_stun_has(&answer, FZR_ATTR_MESSAGE_INTEGRITY));
  ck_assert(relay.answers[0].to_stranger);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert(!relay.answers[0].to_stranger);
  ck_assert_int_eq(fzt_refresh(&relay, &c, 600), 0);
  ck_assert(!relay.answers[0].to_stranger);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x3fff, &c.addr), 400);
  ck_assert(!relay.answers[0].to_stranger);
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_null_is_harmless)
{
  fzr_event event;
  fzr_transmit transmit;
  uint32_t cursor = 0;
  fzr_engine_free(NULL);
  fzr_shared_free(NULL);
  fzr_engine_set_draining(NULL, true);
  ck_assert(!fzr_engine_next_event(NULL, &event));
  ck_assert(!fzr_engine_next_transmit(NULL, &transmit));
  ck_assert_uint_eq(fzr_engine_deadline(NULL), FZR_TIME_NEVER);
  ck_assert_int_eq(fzr_engine_on_deadline(NULL, 1, 0), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_uint_eq(fzr_engine_list_channels(NULL, &cursor, &event, 1), 0);
  ck_assert_uint_eq(fzr_shared_ports_in_use(NULL), 0);
}
END_TEST

/* Memory that never begins at a cache line, one piece right behind the other: the worst that an allocator may do. */
static _Alignas(64) uint8_t arena[4 << 20];
static size_t arena_used;

static void *pack(void *ctx, size_t size)
{
  (void)ctx;
  const size_t at = (arena_used + 15) / 16 * 16 + (arena_used % 64 == 0 ? 16 : 0);
  ck_assert_uint_le(at + size, sizeof arena);
  arena_used = at + size;
  return arena + at;
}

static void keep(void *ctx, void *ptr, size_t size)
{
  (void)ctx;
  memset(ptr, 0xee, size);
}

/* What a shard's thread writes for each packet (its clock and counters, its answers, allocations and channels) shares no cache
 * line with another shard's. */
START_TEST(test_shards_share_no_cache_line)
{
  fzr_engine *engines[3];
  const fzr_mem hooks = {.size = sizeof hooks, .alloc = pack, .free = keep};
  arena_used = 0;
  for (unsigned i = 0; i < 3; i++) {
    fzr_config config = fzt_config(&relay);
    config.mem = &hooks;
    ck_assert_int_eq(fzr_engine_new(&config, &engines[i], 0), 0);
    uint32_t index;
    ck_assert_uint_eq((uintptr_t)engines[i] % FZRI_CACHE_LINE, 0);
    ck_assert_uint_eq((uintptr_t)engines[i]->answers % FZRI_CACHE_LINE, 0);
    ck_assert_uint_eq((uintptr_t)fzri_pool_take(&engines[i]->allocations, &index) % FZRI_CACHE_LINE, 0);
    ck_assert_uint_eq((uintptr_t)fzri_pool_take(&engines[i]->channels, &index) % FZRI_CACHE_LINE, 0);
    fzri_pool_give(&engines[i]->allocations, 0);
    fzri_pool_give(&engines[i]->channels, 0);
  }
  ck_assert_uint_eq(sizeof *engines[0] % FZRI_CACHE_LINE, 0);
  ck_assert_uint_eq(sizeof(fzri_allocation) % FZRI_CACHE_LINE, 0);
  ck_assert_uint_eq(sizeof(fzri_channel) % FZRI_CACHE_LINE, 0);
  /* Pieces that hold no whole number of lines have room behind them, so that nobody begins in their last one. */
  void *a = fzri_mem_zalloc_lines(&engines[0]->mem, 70), *b = fzri_mem_zalloc_lines(&engines[0]->mem, 1);
  ck_assert_uint_ge((uintptr_t)b / FZRI_CACHE_LINE, (uintptr_t)a / FZRI_CACHE_LINE + 2);
  fzri_mem_free_lines(&engines[0]->mem, a, 70);
  fzri_mem_free_lines(&engines[0]->mem, b, 1);
  fzri_mem_free_lines(&engines[0]->mem, NULL, 1);
  for (unsigned i = 0; i < 3; i++)
    fzr_engine_free(engines[i]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("engine");
  TCase *tc = tcase_create("engine");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, test_statistics);
  tcase_add_test(tc, test_statistics_have_room);
  tcase_add_test(tc, test_methods);
  tcase_add_test(tc, test_memory_per_allocation);
  tcase_add_test(tc, test_two_shards_share_the_ports);
  tcase_add_test(tc, test_shards_share_no_cache_line);
  tcase_add_test(tc, test_clock_never_goes_back);
  tcase_add_test(tc, test_port_result_misuse);
  tcase_add_test(tc, test_pending_allocation);
  tcase_add_test(tc, test_secrets_are_wiped);
  tcase_add_loop_test(tc, test_late_result_keeps_the_port, 0, 3);
  tcase_add_test(tc, test_callback_scheme);
  tcase_add_loop_test(tc, test_keys, 0, 2);
  tcase_add_test(tc, test_keys_of_wrong_lengths);
  tcase_add_test(tc, test_callback_scheme_in_long_calls);
  tcase_add_test(tc, test_late_errors_are_limited);
  tcase_add_test(tc, test_forged_requests);
  tcase_add_test(tc, test_policy_callback);
  tcase_add_test(tc, test_users_leave_with_their_shard);
  tcase_add_test(tc, test_allocate_after_the_told_end);
  tcase_add_test(tc, test_amplification_is_small);
  tcase_add_test(tc, test_offers_amplify_little);
  tcase_add_test(tc, test_longest_answer);
  tcase_add_test(tc, test_software_does_not_amplify);
  tcase_add_test(tc, test_answers_to_strangers_are_marked);
  tcase_add_test(tc, test_long_proofs_in_vain_of_an_allocation_are_limited);
  tcase_add_test(tc, test_the_log_tells_of_proofs_that_are_used_up);
  tcase_add_test(tc, test_null_is_harmless);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
