/* SPDX-License-Identifier: Apache-2.0 */
/* What the headers say of NULL, of sizes that are not the library's, and of outputs in which anything may be: for each function
 * that the version map names. A function without a row fails the test. */
#include "firezone_relay/socket.h"
#include "firezone_relay/udp.h"
#include "relay.h"

#include <stdio.h>

#define INVALID(call) ck_assert_int_eq(call, FZR_ERR_INVALID_ARGUMENT)

/* ---- what the rows work on ---- */

static fzt_relay relay;
static fzr_engine *engine;
static fzr_driver *driver;
static fzr_udp *udp;

static fzr_udp_config loopback(void)
{
  fzr_udp_config config = fzr_udp_config_init();
  config.bind_ip4 = fzt_addr("127.0.0.1");
  config.ignore_host_addrs = true;
  return config;
}

static void set_up(void)
{
  const fzr_config config = fzt_config(&relay);
  const fzr_udp_config adapter = loopback();
  fzt_relay_init(&relay, &config);
  engine = relay.engine;
  ck_assert_int_eq(fzr_driver_new(engine, NULL, &driver), 0);
  ck_assert_int_eq(fzr_udp_new(&adapter, &udp, NULL), 0);
}

static void tear_down(void)
{
  fzr_udp_free(udp);
  fzr_driver_free(driver);
  fzt_relay_free(&relay);
}

static _Alignas(16) uint8_t out[1024]; /* an output that nobody may write to */

static void *untouched(void)
{
  memset(out, 0xA5, sizeof out);
  return out;
}

static void check_untouched(void)
{
  for (size_t i = 0; i < sizeof out; i++)
    ck_assert_uint_eq(out[i], 0xA5);
}

/* ---- NULL: a row for each function ---- */

static void null_fzr_addr_parse(void)
{
  INVALID(fzr_addr_parse(NULL, untouched()));
  check_untouched();
  INVALID(fzr_addr_parse("192.0.2.1", NULL));
}

static void null_fzr_addr_format(void)
{
  const fzr_addr addr = fzt_addr("192.0.2.1");
  INVALID(fzr_addr_format(NULL, true, untouched(), sizeof out));
  check_untouched();
  INVALID(fzr_addr_format(&addr, true, NULL, 100));
}

static void null_fzr_auth_long_term_key(void)
{
  const uint8_t *user = (const uint8_t *)"u";
  INVALID(fzr_auth_long_term_key(FZR_PASSWORD_MD5, NULL, 1, "r", "p", untouched()));
  INVALID(fzr_auth_long_term_key(FZR_PASSWORD_MD5, user, 1, NULL, "p", untouched()));
  INVALID(fzr_auth_long_term_key(FZR_PASSWORD_MD5, user, 1, "r", NULL, untouched()));
  INVALID(fzr_auth_long_term_key((enum fzr_password_algorithm)0, user, 1, "r", "p", untouched()));
  check_untouched();
  INVALID(fzr_auth_long_term_key(FZR_PASSWORD_MD5, user, 1, "r", "p", NULL));
}

static void null_fzr_auth_stamp_password(void)
{
  const uint8_t *salt = (const uint8_t *)"s";
  INVALID(fzr_auth_stamp_password(NULL, 1, salt, 1, untouched(), sizeof out));
  INVALID(fzr_auth_stamp_password("x", 1, NULL, 1, untouched(), sizeof out));
  check_untouched();
  INVALID(fzr_auth_stamp_password("x", 1, salt, 1, NULL, sizeof out));
}

static void null_fzr_auth_rest_password(void)
{
  const uint8_t *user = (const uint8_t *)"u";
  INVALID(fzr_auth_rest_password(NULL, user, 1, untouched(), sizeof out));
  INVALID(fzr_auth_rest_password("x", NULL, 1, untouched(), sizeof out));
  check_untouched();
  INVALID(fzr_auth_rest_password("x", user, 1, NULL, sizeof out));
}

static void null_fzr_auth_userhash(void)
{
  const uint8_t *user = (const uint8_t *)"u";
  INVALID(fzr_auth_userhash(NULL, 1, "r", untouched()));
  INVALID(fzr_auth_userhash(user, 1, NULL, untouched()));
  check_untouched();
  INVALID(fzr_auth_userhash(user, 1, "r", NULL));
}

static void null_fzr_auth_nonce_features(void)
{
  ck_assert_uint_eq(fzr_auth_nonce_features(NULL, 13), 0);
}

static void null_fzr_driver_new(void)
{
  INVALID(fzr_driver_new(NULL, NULL, untouched()));
  check_untouched();
  INVALID(fzr_driver_new(engine, NULL, NULL));
}

static void null_fzr_driver_add(void)
{
  fzr_io_ops ops = *fzr_udp_ops();
  INVALID(fzr_driver_add(NULL, FZR_TRANSPORT_UDP, &ops, udp));
  INVALID(fzr_driver_add(driver, FZR_TRANSPORT_UDP, NULL, udp));
  ops.transmit = NULL;
  INVALID(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, udp));
  ops = *fzr_udp_ops();
  ops.channel = NULL;
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, udp), 0);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, udp), FZR_ERR_INVALID_STATE);
  fzr_driver_remove(NULL, FZR_TRANSPORT_UDP, udp);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, udp), FZR_ERR_INVALID_STATE);
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, udp);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, udp), 0);
}

static void null_fzr_driver_engine(void)
{
  ck_assert_ptr_null(fzr_driver_engine(NULL));
  ck_assert_ptr_eq(fzr_driver_engine(driver), engine);
}

static void null_fzr_driver_deadline(void)
{
  ck_assert_uint_eq(fzr_driver_deadline(NULL), FZR_TIME_NEVER);
}

static void null_fzr_driver_on_deadline(void)
{
  fzr_driver_on_deadline(NULL, relay.now);
}

static int take_state(void *ctx, const uint8_t *data, size_t len)
{
  ck_assert(!ctx && data && len);
  return 0;
}

static void null_fzr_engine_save(void)
{
  INVALID(fzr_engine_save(NULL, take_state, NULL, relay.now));
  INVALID(fzr_engine_save(engine, NULL, NULL, relay.now));
}

static void null_fzr_engine_expect(void)
{
  INVALID(fzr_engine_expect(NULL, 1, 1, 1));
}

static void null_fzr_engine_load(void)
{
  fzr_load_result result, zeros;
  const uint8_t byte = 0;
  memset(&result, 0xA5, sizeof result);
  memset(&zeros, 0, sizeof zeros);
  INVALID(fzr_engine_load(NULL, &byte, 1, relay.now, &result));
  ck_assert_mem_eq(&result, &zeros, sizeof result);
  INVALID(fzr_engine_load(engine, NULL, 1, relay.now, NULL));
  ck_assert_int_eq(fzr_engine_load(engine, NULL, 0, relay.now, NULL), FZR_ERR_STATE_DAMAGED);
}

static void null_fzr_journal(void)
{
  fzr_load_result result, zeros;
  uint8_t byte = 0;
  memset(&result, 0xA5, sizeof result);
  memset(&zeros, 0, sizeof zeros);
  INVALID(fzr_engine_set_journal(NULL, &byte, 1, relay.now));
  ck_assert_int_eq(fzr_engine_set_journal(engine, NULL, 1, relay.now), 0);
  ck_assert_int_eq(fzr_engine_set_journal(engine, &byte, 0, relay.now), FZR_ERR_BUFFER_TOO_SMALL);
  ck_assert(!fzr_engine_has_journal(NULL));
  ck_assert(!fzr_engine_has_journal(engine));
  INVALID(fzr_engine_load_journal(NULL, &byte, 1, relay.now, &result));
  ck_assert_mem_eq(&result, &zeros, sizeof result);
  INVALID(fzr_engine_load_journal(engine, NULL, 1, relay.now, NULL));
  ck_assert_int_eq(fzr_engine_load_journal(engine, NULL, 0, relay.now, NULL), FZR_ERR_STATE_DAMAGED);
  ck_assert_uint_le(fzr_journal_size(UINT32_MAX, UINT32_MAX), SIZE_MAX);
}

static void null_fzr_peer_error(void)
{
  const fzr_peer_error error = {.port = 50000};
  fzr_stats before, after;
  INVALID(fzr_engine_peer_error(NULL, &error, relay.now));
  INVALID(fzr_engine_peer_error(engine, NULL, relay.now));
  INVALID(fzr_engine_peer_error(engine, &error, relay.now));
  ck_assert(!fzr_engine_wants_peer_errors(NULL));
  ck_assert_int_eq(fzr_engine_stats(engine, &before), 0);
  fzr_driver_peer_errors(NULL, &error, 1, relay.now);
  fzr_driver_peer_errors(driver, NULL, 1, relay.now);
  fzr_driver_peer_errors(driver, &error, 1, relay.now);
  ck_assert_int_eq(fzr_engine_stats(engine, &after), 0);
  ck_assert_mem_eq(&before, &after, sizeof before);
}

static void null_fzr_driver_port_result(void)
{
  INVALID(fzr_driver_port_result(NULL, 50000, FZR_FAMILY_IPV4, 0, NULL, relay.now));
  INVALID(fzr_driver_port_result(driver, 50000, FZR_FAMILY_NONE, 0, NULL, relay.now));
  INVALID(fzr_driver_port_result(driver, 50000, FZR_FAMILY_IPV4, 1, NULL, relay.now));
}

static void null_fzr_driver_rx(void)
{
  fzr_pkt pkt = {.data = (const uint8_t *)"x", .len = 1};
  fzr_stats before, after;
  ck_assert_int_eq(fzr_engine_stats(engine, &before), 0);
  fzr_driver_rx(NULL, FZR_SIDE_CLIENT, &pkt, 1, relay.now);
  fzr_driver_rx(driver, FZR_SIDE_CLIENT, NULL, 1, relay.now);
  fzr_driver_rx(driver, (enum fzr_side)2, &pkt, 1, relay.now);
  ck_assert_int_eq(fzr_engine_stats(engine, &after), 0);
  ck_assert_mem_eq(&before, &after, sizeof before);
}

/* All _free: NULL is fine. */
static void null_free(void)
{
  fzr_driver_free(NULL);
  fzr_engine_free(NULL);
  fzr_shared_free(NULL);
  fzr_udp_free(NULL);
}

static void null_fzr_engine_own_addrs(void)
{
  const fzr_addr addr = fzt_addr("192.0.2.1");
  INVALID(fzr_engine_set_own_addrs(NULL, &addr, 1));
  INVALID(fzr_engine_set_own_addrs(engine, NULL, 1));
  ck_assert_int_eq(fzr_engine_set_own_addrs(engine, NULL, 0), 0);
  INVALID(fzr_engine_add_own_addrs(NULL, &addr, 1));
  INVALID(fzr_engine_add_own_addrs(engine, NULL, 1));
  ck_assert_int_eq(fzr_engine_add_own_addrs(engine, NULL, 0), 0);
}

static void null_fzr_engine_add_listen_port(void)
{
  INVALID(fzr_engine_add_listen_port(NULL, 3478));
  INVALID(fzr_engine_add_listen_port(engine, 0));
}

static void null_fzr_engine_deadline(void)
{
  ck_assert_uint_eq(fzr_engine_deadline(NULL), FZR_TIME_NEVER);
}

static void null_fzr_engine_end_allocation(void)
{
  const fzr_addr addr = fzt_addr("192.0.2.1:1");
  INVALID(fzr_engine_end_allocation(NULL, &addr, &addr, relay.now));
  INVALID(fzr_engine_end_allocation(engine, NULL, &addr, relay.now));
  INVALID(fzr_engine_end_allocation(engine, &addr, NULL, relay.now));
  INVALID(fzr_engine_end_allocation_at(NULL, 50000, relay.now));
}

static void null_fzr_engine_end_some(void)
{
  const uint64_t figures[2] = {0, 0};
  uint32_t cursor = 0;
  INVALID(fzr_engine_end_allocation_by_id(NULL, 1, relay.now));
  ck_assert_uint_eq(fzr_engine_end_user(NULL, 0, &cursor, 1, relay.now), 0);
  ck_assert_uint_eq(fzr_engine_end_user(engine, 0, NULL, 1, relay.now), 0);
  INVALID(fzr_engine_add_offloaded(NULL, 50000, figures, figures));
  INVALID(fzr_engine_add_offloaded(engine, 50000, NULL, figures));
  INVALID(fzr_engine_add_offloaded(engine, 50000, figures, NULL));
}

static void null_fzr_engine_find_allocation(void)
{
  const fzr_addr addr = fzt_addr("192.0.2.1:1");
  fzr_allocation found;
  ck_assert(!fzr_engine_find_allocation(NULL, &addr, &addr, untouched()));
  ck_assert(!fzr_engine_find_allocation(engine, NULL, &addr, untouched()));
  ck_assert(!fzr_engine_find_allocation(engine, &addr, NULL, untouched()));
  check_untouched();
  ck_assert(!fzr_engine_find_allocation(engine, &addr, &addr, &found));
  ck_assert(!fzr_engine_find_allocation(engine, &addr, &addr, NULL));
}

static void null_fzr_engine_list(void)
{
  uint32_t cursor = 0;
  ck_assert_uint_eq(fzr_engine_list_allocations(NULL, &cursor, untouched(), 1), 0);
  ck_assert_uint_eq(fzr_engine_list_allocations(engine, NULL, untouched(), 1), 0);
  ck_assert_uint_eq(fzr_engine_list_channels(NULL, &cursor, untouched(), 1), 0);
  ck_assert_uint_eq(fzr_engine_list_channels(engine, NULL, untouched(), 1), 0);
  check_untouched();
  ck_assert_uint_eq(fzr_engine_list_allocations(engine, &cursor, NULL, 1), 0);
  ck_assert_uint_eq(fzr_engine_list_channels(engine, &cursor, NULL, 1), 0);
}

static void null_fzr_engine_new(void)
{
  fzr_config config = fzr_config_init();
  INVALID(fzr_engine_new(NULL, untouched(), 0));
  INVALID(fzr_engine_new(&config, untouched(), 0)); /* `random` is required */
  check_untouched();
  INVALID(fzr_engine_new(&config, NULL, 0));
}

static void null_fzr_engine_next(void)
{
  ck_assert(!fzr_engine_next_event(NULL, untouched()));
  ck_assert(!fzr_engine_next_event(engine, untouched())); /* there is none */
  ck_assert(!fzr_engine_next_transmit(NULL, untouched()));
  ck_assert(!fzr_engine_next_transmit(engine, untouched()));
  check_untouched();
  ck_assert(!fzr_engine_next_event(engine, NULL));
  ck_assert(!fzr_engine_next_transmit(engine, NULL));
}

static void null_fzr_engine_on_deadline(void)
{
  INVALID(fzr_engine_on_deadline(NULL, 1, relay.now));
}

static void null_fzr_engine_port_is_live(void)
{
  ck_assert(!fzr_engine_port_is_live(NULL, 50000, FZR_FAMILY_IPV4));
}

static void null_fzr_engine_port_result(void)
{
  INVALID(fzr_engine_port_result(NULL, 50000, FZR_FAMILY_IPV4, 0, NULL, relay.now));
  INVALID(fzr_engine_port_result(engine, 50000, FZR_FAMILY_NONE, 0, NULL, relay.now));
  INVALID(fzr_engine_port_result(engine, 50000, FZR_FAMILY_IPV4, 1, NULL, relay.now));
}

static void null_fzr_engine_public_addr(void)
{
  ck_assert(!fzr_engine_public_addr(NULL, FZR_FAMILY_IPV4, untouched()));
  ck_assert(!fzr_engine_public_addr(engine, FZR_FAMILY_NONE, untouched()));
  check_untouched();
  ck_assert(!fzr_engine_public_addr(engine, FZR_FAMILY_IPV4, NULL));
}

static void null_fzr_engine_rx(void)
{
  fzr_pkt pkt = {.data = (const uint8_t *)"x", .len = 1};
  const fzr_batch good = {.in = &pkt, .count = 1, .out = untouched(), .room = 1, .written = 7};
  fzr_batch batches[] = {good, good, good, good, good};
  batches[1].in = NULL;
  batches[2].out = NULL;
  batches[3].room = 0;
  for (unsigned i = 0; i < 5; i++) {
    INVALID(fzr_engine_rx(i ? engine : NULL, i == 4 ? (enum fzr_side)2 : FZR_SIDE_CLIENT, &batches[i],
                          relay.now));
    ck_assert_uint_eq(batches[i].written, 0);
    ck_assert_uint_eq(batches[i].consumed, 0);
  }
  INVALID(fzr_engine_rx(engine, FZR_SIDE_CLIENT, NULL, relay.now));
  check_untouched();
}

static void null_fzr_engine_set_draining(void)
{
  fzr_engine_set_draining(NULL, true);
}

static void null_fzr_engine_set_alternates(void)
{
  const fzr_config config = fzr_config_init();
  INVALID(fzr_engine_set_alternates(NULL, &config));
  INVALID(fzr_engine_set_alternates(engine, NULL));
}

static void null_fzr_engine_set_limits(void)
{
  const fzr_config config = fzr_config_init();
  INVALID(fzr_engine_set_limits(NULL, &config));
  INVALID(fzr_engine_set_limits(engine, NULL));
}

static void null_fzr_engine_set_log_level(void)
{
  fzr_engine_set_log_level(NULL, FZR_LOG_INFO);
}

static void null_fzr_engine_set_offered(void)
{
  INVALID(fzr_engine_set_offered(NULL, FZR_FAMILY_IPV4, true));
  INVALID(fzr_engine_set_offered(engine, FZR_FAMILY_NONE, true));
}

static void null_fzr_engine_set_peer_rules(void)
{
  fzr_peer_rule rule;
  ck_assert_int_eq(fzr_peer_rule_parse("192.0.2.0/24", true, &rule), 0);
  INVALID(fzr_engine_set_peer_rules(NULL, &rule, 1));
  INVALID(fzr_engine_set_peer_rules(engine, NULL, 1));
  ck_assert_int_eq(fzr_engine_set_peer_rules(engine, NULL, 0), 0);
}

static void null_fzr_engine_set_secrets(void)
{
  INVALID(fzr_engine_set_secrets(NULL, "a", "b"));
  INVALID(fzr_engine_set_secrets(engine, NULL, "b"));
  ck_assert_int_eq(fzr_engine_set_secrets(engine, "a", NULL), 0);
}

static void null_fzr_engine_set_users(void)
{
  const fzr_user user = {"a", "b"};
  INVALID(fzr_engine_set_users(NULL, &user, 1));
  INVALID(fzr_engine_set_users(engine, NULL, 1));
}

static void null_fzr_engine_set_wallclock(void)
{
  INVALID(fzr_engine_set_wallclock(NULL, 1, relay.now));
  INVALID(fzr_engine_set_wallclock(engine, -1, relay.now));
}

static void null_fzr_engine_stats_sized(void)
{
  INVALID(fzr_engine_stats_sized(NULL, untouched(), sizeof out));
  INVALID(fzr_engine_stats_sized(engine, untouched(), sizeof(size_t) - 1));
  check_untouched();
  INVALID(fzr_engine_stats_sized(engine, NULL, sizeof out));
  INVALID(fzr_engine_stats(engine, NULL));
}

static void null_fzr_engine_user(void)
{
  ck_assert_uint_eq(fzr_engine_user(NULL, (const uint8_t *)"u", 1), 0);
  ck_assert_uint_eq(fzr_engine_user(engine, NULL, 1), 0);
}

static void null_fzr_offload_from_event(void)
{
  const fzr_event event = {.type = FZR_EVENT_CHANNEL_BOUND}, other = {.type = FZR_EVENT_PORT_OPEN};
  INVALID(fzr_offload_from_event(NULL, untouched()));
  INVALID(fzr_offload_from_event(&other, untouched()));
  check_untouched();
  INVALID(fzr_offload_from_event(&event, NULL));
}

static void null_fzr_peer_rule_parse(void)
{
  ck_assert_int_eq(fzr_peer_rule_parse(NULL, true, untouched()), FZR_ERR_CONFIG_RULE);
  check_untouched();
  ck_assert_int_eq(fzr_peer_rule_parse("192.0.2.0/24", true, NULL), FZR_ERR_CONFIG_RULE);
}

static void null_fzr_peer_rule_format(void)
{
  fzr_peer_rule rule;
  ck_assert_int_eq(fzr_peer_rule_parse("192.0.2.0/24", true, &rule), 0);
  INVALID(fzr_peer_rule_format(NULL, untouched(), sizeof out));
  check_untouched();
  INVALID(fzr_peer_rule_format(&rule, NULL, 100));
}

static void null_fzr_shared(void)
{
  INVALID(fzr_shared_new(1, 2, NULL, NULL));
  ck_assert_int_eq(fzr_shared_lacks(NULL, relay.now), 0);
  ck_assert_uint_eq(fzr_shared_ports_in_use(NULL), 0);
}

static void null_fzr_stream(void)
{
  const fzr_addr addr = fzt_addr("192.0.2.1:1");
  fzr_stream *stream;
  fzr_pkt pkt;
  INVALID(fzr_stream_new(NULL, &addr, NULL, untouched()));
  INVALID(fzr_stream_new(&addr, NULL, NULL, untouched()));
  check_untouched();
  INVALID(fzr_stream_new(&addr, &addr, NULL, NULL));
  ck_assert_int_eq(fzr_stream_new(&addr, &addr, NULL, &stream), 0);
  const fzr_stream_batch good = {.out = &pkt, .room = 1};
  fzr_stream_batch batches[] = {good, good, good, good};
  batches[1].out = NULL;
  batches[2].room = 0;
  batches[3].len = 1;
  INVALID(fzr_stream_read(NULL, &batches[0]));
  INVALID(fzr_stream_read(stream, NULL));
  for (unsigned i = 1; i < 4; i++)
    INVALID(fzr_stream_read(stream, &batches[i]));
  ck_assert_int_eq(fzr_stream_read(stream, &batches[0]), 0);
  fzr_stream_set_limit(NULL, 1);
  ck_assert_uint_eq(fzr_stream_held(NULL, NULL), 0);
  fzr_stream_free(stream);
  fzr_stream_free(NULL);
}

static void null_fzr_stun_add(void)
{
  uint8_t data[64];
  fzr_stun_builder b;
  fzr_stun_build(&b, data, sizeof data, FZR_STUN_BINDING, FZR_STUN_REQUEST, (const uint8_t *)"123456789012");
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, NULL, 0);
  ck_assert_int_eq(fzr_stun_build_finish(&b), 24);
}

static void unwatch(void *ctx, int fd, void *slot)
{
  ck_abort_msg("%p %d %p is not watched", ctx, fd, slot);
}

static void null_fzr_udp_new(void)
{
  fzr_udp_config config = loopback();
  INVALID(fzr_udp_new(NULL, untouched(), NULL));
  config.unwatch = unwatch; /* not without `watch` */
  INVALID(fzr_udp_new(&config, untouched(), NULL));
  check_untouched();
  config.unwatch = NULL;
  INVALID(fzr_udp_new(&config, NULL, NULL));
}

static void null_fzr_udp_attach(void)
{
  INVALID(fzr_udp_attach_to(NULL, driver));
  INVALID(fzr_udp_attach_to(udp, NULL));
  INVALID(fzr_udp_attach(NULL, engine));
  INVALID(fzr_udp_attach(udp, NULL));
}

static void null_fzr_udp_deadline(void)
{
  ck_assert_uint_eq(fzr_udp_deadline(NULL), FZR_TIME_NEVER);
  ck_assert_uint_eq(fzr_udp_gather_time(NULL), 0);
}

static void null_fzr_udp_get_stats_sized(void)
{
  INVALID(fzr_udp_get_stats_sized(NULL, untouched(), sizeof out));
  INVALID(fzr_udp_get_stats_sized(udp, untouched(), sizeof(size_t) - 1));
  check_untouched();
  INVALID(fzr_udp_get_stats_sized(udp, NULL, sizeof out));
  INVALID(fzr_udp_get_stats(udp, NULL));
}

static void null_fzr_udp_listen_port(void)
{
  ck_assert_uint_eq(fzr_udp_listen_port(NULL), 0);
  ck_assert_uint_ne(fzr_udp_listen_port(udp), 0);
}

/* Nothing happens, and nothing before the adapter is attached. */
static void null_fzr_udp_on(void)
{
  const fzr_udp_ready ready = {.token = NULL, .events = FZR_WATCH_READ};
  fzr_udp_on_ready(NULL, NULL, FZR_WATCH_READ, relay.now);
  fzr_udp_on_ready(udp, NULL, FZR_WATCH_READ, relay.now);
  fzr_udp_on_ready_batch(NULL, &ready, 1, relay.now);
  fzr_udp_on_ready_batch(udp, &ready, 1, relay.now);
  fzr_udp_on_deadline(NULL, relay.now);
  fzr_udp_on_deadline(udp, relay.now);
  fzr_udp_set_channel_hook(NULL, NULL, NULL);
  fzr_udp_set_channel_hook(udp, NULL, NULL);
  ck_assert_int_eq(fzr_udp_attach(udp, engine), 0);
  fzr_udp_on_ready_batch(udp, NULL, 1, relay.now);
}

static void null_fzr_udp_poll(void)
{
  INVALID(fzr_udp_poll(NULL, 0));
  ck_assert_int_eq(fzr_udp_poll(udp, 0), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_udp_poll_fd(NULL), -1);
  ck_assert_int_ge(fzr_udp_poll_fd(udp), 0);
}

static void null_fzr_udp_common_socket(void)
{
  ck_assert_int_eq(fzr_udp_common_socket(NULL, FZR_FAMILY_IPV4), -1);
  ck_assert_int_eq(fzr_udp_common_socket(udp, FZR_FAMILY_IPV4), -1);
}

static void null_fzr_udp_port_addr(void)
{
  void *cookie;
  fzr_addr addr;
  ck_assert_int_eq(fzr_udp_attach(udp, engine), 0);
  ck_assert_int_eq(fzr_udp_ops()->open_port(udp, 0, FZR_FAMILY_IPV4, &cookie), 0);
  INVALID(fzr_udp_port_addr(NULL, cookie, untouched()));
  INVALID(fzr_udp_port_addr(udp, NULL, untouched()));
  check_untouched();
  INVALID(fzr_udp_port_addr(udp, cookie, NULL));
  ck_assert_int_eq(fzr_udp_port_addr(udp, cookie, &addr), 0);
  fzr_udp_ops()->close_port(udp, 0, FZR_FAMILY_IPV4, cookie);
}

static void ignore(void *ctx, const fzr_udp_unsent *unsent)
{
  ck_abort_msg("%p %p", ctx, (const void *)unsent);
}

static void null_fzr_udp_adopt(void)
{
  const fzr_udp_config config = loopback();
  const fzr_udp_socket listen = {.fd = -1};
  const fzr_udp_unsent none = {.count = 1};
  fzr_udp_socket sockets[4];
  uint32_t cursor = 0;
  INVALID(fzr_udp_pause(NULL, relay.now));
  INVALID(fzr_udp_resume(NULL, relay.now));
  ck_assert_int_eq(fzr_udp_pause(udp, relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_udp_resume(udp, relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_uint_eq(fzr_udp_list_sockets(NULL, &cursor, sockets, 4), 0);
  ck_assert_uint_eq(fzr_udp_list_sockets(udp, NULL, sockets, 4), 0);
  ck_assert_uint_eq(fzr_udp_list_sockets(udp, &cursor, NULL, 4), 0);
  ck_assert_uint_ge(fzr_udp_list_sockets(udp, &cursor, sockets, 4), 1);
  fzr_udp_each_unsent(NULL, ignore, NULL);
  fzr_udp_each_unsent(udp, NULL, NULL);
  INVALID(fzr_udp_adopt(NULL, &listen, 1, untouched(), NULL));
  INVALID(fzr_udp_adopt(&config, NULL, 1, untouched(), NULL));
  INVALID(fzr_udp_adopt(&config, &listen, 1, NULL, NULL));
  INVALID(fzr_udp_adopt_port(NULL, 0));
  ck_assert_int_eq(fzr_udp_adopt_port(udp, 0), FZR_ERR_INVALID_STATE);
  INVALID(fzr_udp_adopt_unsent(NULL, &none, relay.now));
  INVALID(fzr_udp_adopt_unsent(udp, NULL, relay.now));
  ck_assert_int_eq(fzr_udp_attach(udp, engine), 0);
  ck_assert_int_eq(fzr_udp_pause(udp, relay.now), 0);
  ck_assert_int_eq(fzr_udp_poll(udp, 0), FZR_ERR_INVALID_STATE);
}

static void null_fzr_udp_random(void)
{
  uint8_t bytes[32] = {0}, zeros[32] = {0};
  ck_assert_int_eq(fzr_udp_random(NULL, bytes, sizeof bytes), 0);
  ck_assert_mem_ne(bytes, zeros, sizeof bytes);
}

#define NO_POINTERS "takes none"
#define OF_STUN     "stun.h: no pointer may be NULL, unless it is said"
#define NOT_SAID    "the conventions of firezone_relay.h: NULL only where it is said"

static const struct row {
  const char *name;
  void (*test)(void);
  const char *why_none;
} rows[] = {
    {"fzr_addr_equal", NULL, NOT_SAID},
    {"fzr_addr_format", null_fzr_addr_format, NULL},
    {"fzr_addr_from_sockaddr", NULL, NOT_SAID},
    {"fzr_addr_parse", null_fzr_addr_parse, NULL},
    {"fzr_addr_to_sockaddr", NULL, NOT_SAID},
    {"fzr_auth_long_term_key", null_fzr_auth_long_term_key, NULL},
    {"fzr_auth_nonce_features", null_fzr_auth_nonce_features, NULL},
    {"fzr_auth_rest_password", null_fzr_auth_rest_password, NULL},
    {"fzr_auth_stamp_password", null_fzr_auth_stamp_password, NULL},
    {"fzr_auth_userhash", null_fzr_auth_userhash, NULL},
    {"fzr_channel_data_header", NULL, OF_STUN},
    {"fzr_channel_data_read", NULL, OF_STUN},
    {"fzr_driver_add", null_fzr_driver_add, NULL},
    {"fzr_driver_deadline", null_fzr_driver_deadline, NULL},
    {"fzr_driver_engine", null_fzr_driver_engine, NULL},
    {"fzr_driver_free", null_free, NULL},
    {"fzr_driver_new", null_fzr_driver_new, NULL},
    {"fzr_driver_on_deadline", null_fzr_driver_on_deadline, NULL},
    {"fzr_driver_peer_errors", null_fzr_peer_error, NULL},
    {"fzr_driver_port_result", null_fzr_driver_port_result, NULL},
    {"fzr_driver_remove", null_fzr_driver_add, NULL},
    {"fzr_driver_rx", null_fzr_driver_rx, NULL},
    {"fzr_drop_reason_name", NULL, NO_POINTERS},
    {"fzr_end_reason_name", NULL, NO_POINTERS},
    {"fzr_engine_add_listen_port", null_fzr_engine_add_listen_port, NULL},
    {"fzr_engine_add_offloaded", null_fzr_engine_end_some, NULL},
    {"fzr_engine_add_own_addrs", null_fzr_engine_own_addrs, NULL},
    {"fzr_engine_deadline", null_fzr_engine_deadline, NULL},
    {"fzr_engine_end_allocation", null_fzr_engine_end_allocation, NULL},
    {"fzr_engine_end_allocation_at", null_fzr_engine_end_allocation, NULL},
    {"fzr_engine_end_allocation_by_id", null_fzr_engine_end_some, NULL},
    {"fzr_engine_end_user", null_fzr_engine_end_some, NULL},
    {"fzr_engine_expect", null_fzr_engine_expect, NULL},
    {"fzr_engine_find_allocation", null_fzr_engine_find_allocation, NULL},
    {"fzr_engine_free", null_free, NULL},
    {"fzr_engine_has_journal", null_fzr_journal, NULL},
    {"fzr_engine_list_allocations", null_fzr_engine_list, NULL},
    {"fzr_engine_list_channels", null_fzr_engine_list, NULL},
    {"fzr_engine_load", null_fzr_engine_load, NULL},
    {"fzr_engine_load_journal", null_fzr_journal, NULL},
    {"fzr_engine_new", null_fzr_engine_new, NULL},
    {"fzr_engine_next_event", null_fzr_engine_next, NULL},
    {"fzr_engine_next_transmit", null_fzr_engine_next, NULL},
    {"fzr_engine_on_deadline", null_fzr_engine_on_deadline, NULL},
    {"fzr_engine_peer_error", null_fzr_peer_error, NULL},
    {"fzr_engine_port_is_live", null_fzr_engine_port_is_live, NULL},
    {"fzr_engine_port_result", null_fzr_engine_port_result, NULL},
    {"fzr_engine_public_addr", null_fzr_engine_public_addr, NULL},
    {"fzr_engine_rx", null_fzr_engine_rx, NULL},
    {"fzr_engine_save", null_fzr_engine_save, NULL},
    {"fzr_engine_set_alternates", null_fzr_engine_set_alternates, NULL},
    {"fzr_engine_set_draining", null_fzr_engine_set_draining, NULL},
    {"fzr_engine_set_journal", null_fzr_journal, NULL},
    {"fzr_engine_set_limits", null_fzr_engine_set_limits, NULL},
    {"fzr_engine_set_log_level", null_fzr_engine_set_log_level, NULL},
    {"fzr_engine_set_offered", null_fzr_engine_set_offered, NULL},
    {"fzr_engine_set_own_addrs", null_fzr_engine_own_addrs, NULL},
    {"fzr_engine_set_peer_rules", null_fzr_engine_set_peer_rules, NULL},
    {"fzr_engine_set_secrets", null_fzr_engine_set_secrets, NULL},
    {"fzr_engine_set_users", null_fzr_engine_set_users, NULL},
    {"fzr_engine_set_wallclock", null_fzr_engine_set_wallclock, NULL},
    {"fzr_engine_stats_sized", null_fzr_engine_stats_sized, NULL},
    {"fzr_engine_user", null_fzr_engine_user, NULL},
    {"fzr_engine_wants_peer_errors", null_fzr_peer_error, NULL},
    {"fzr_journal_size", null_fzr_journal, NULL},
    {"fzr_offload_from_event", null_fzr_offload_from_event, NULL},
    {"fzr_peer_rule_format", null_fzr_peer_rule_format, NULL},
    {"fzr_peer_rule_parse", null_fzr_peer_rule_parse, NULL},
    {"fzr_shared_free", null_free, NULL},
    {"fzr_shared_lacks", null_fzr_shared, NULL},
    {"fzr_shared_new", null_fzr_shared, NULL},
    {"fzr_shared_ports_in_use", null_fzr_shared, NULL},
    {"fzr_stat_code", NULL, NO_POINTERS},
    {"fzr_stat_method_handler", NULL, NO_POINTERS},
    {"fzr_stat_method_name", NULL, NO_POINTERS},
    {"fzr_stat_method_of", NULL, NO_POINTERS},
    {"fzr_stream_free", null_fzr_stream, NULL},
    {"fzr_stream_held", null_fzr_stream, NULL},
    {"fzr_stream_new", null_fzr_stream, NULL},
    {"fzr_stream_read", null_fzr_stream, NULL},
    {"fzr_stream_set_limit", null_fzr_stream, NULL},
    {"fzr_strerror", NULL, NO_POINTERS},
    {"fzr_stun_add", null_fzr_stun_add, NULL},
    {"fzr_stun_add_addr", NULL, OF_STUN},
    {"fzr_stun_add_address_error", NULL, OF_STUN},
    {"fzr_stun_add_algorithms", NULL, OF_STUN},
    {"fzr_stun_add_error", NULL, OF_STUN},
    {"fzr_stun_add_fingerprint", NULL, OF_STUN},
    {"fzr_stun_add_integrity", NULL, OF_STUN},
    {"fzr_stun_add_integrity_sha256", NULL, OF_STUN},
    {"fzr_stun_add_plain_addr", NULL, OF_STUN},
    {"fzr_stun_add_u32", NULL, OF_STUN},
    {"fzr_stun_attr_addr", NULL, OF_STUN},
    {"fzr_stun_attr_plain_addr", NULL, OF_STUN},
    {"fzr_stun_build", NULL, OF_STUN},
    {"fzr_stun_build_finish", NULL, OF_STUN},
    {"fzr_stun_error_code", NULL, OF_STUN},
    {"fzr_stun_error_reason", NULL, NO_POINTERS},
    {"fzr_stun_get", NULL, OF_STUN},
    {"fzr_stun_get_addr", NULL, OF_STUN},
    {"fzr_stun_get_u32", NULL, OF_STUN},
    {"fzr_stun_has", NULL, OF_STUN},
    {"fzr_stun_method_name", NULL, NO_POINTERS},
    {"fzr_stun_next", NULL, OF_STUN},
    {"fzr_stun_next_algorithm", NULL, OF_STUN},
    {"fzr_stun_read", NULL, OF_STUN},
    {"fzr_stun_txid", NULL, OF_STUN},
    {"fzr_stun_verify", NULL, OF_STUN},
    {"fzr_stun_verify_sha256", NULL, OF_STUN},
    {"fzr_udp_adopt", null_fzr_udp_adopt, NULL},
    {"fzr_udp_adopt_port", null_fzr_udp_adopt, NULL},
    {"fzr_udp_adopt_unsent", null_fzr_udp_adopt, NULL},
    {"fzr_udp_attach", null_fzr_udp_attach, NULL},
    {"fzr_udp_attach_to", null_fzr_udp_attach, NULL},
    {"fzr_udp_deadline", null_fzr_udp_deadline, NULL},
    {"fzr_udp_each_unsent", null_fzr_udp_adopt, NULL},
    {"fzr_udp_free", null_free, NULL},
    {"fzr_udp_gather_time", null_fzr_udp_deadline, NULL},
    {"fzr_udp_get_stats_sized", null_fzr_udp_get_stats_sized, NULL},
    {"fzr_udp_list_sockets", null_fzr_udp_adopt, NULL},
    {"fzr_udp_listen_port", null_fzr_udp_listen_port, NULL},
    {"fzr_udp_new", null_fzr_udp_new, NULL},
    {"fzr_udp_now", NULL, NO_POINTERS},
    {"fzr_udp_on_deadline", null_fzr_udp_on, NULL},
    {"fzr_udp_on_ready", null_fzr_udp_on, NULL},
    {"fzr_udp_on_ready_batch", null_fzr_udp_on, NULL},
    {"fzr_udp_ops", NULL, NO_POINTERS},
    {"fzr_udp_pause", null_fzr_udp_adopt, NULL},
    {"fzr_udp_poll", null_fzr_udp_poll, NULL},
    {"fzr_udp_poll_fd", null_fzr_udp_poll, NULL},
    {"fzr_udp_common_socket", null_fzr_udp_common_socket, NULL},
    {"fzr_udp_port_addr", null_fzr_udp_port_addr, NULL},
    {"fzr_udp_random", null_fzr_udp_random, NULL},
    {"fzr_udp_resume", null_fzr_udp_adopt, NULL},
    {"fzr_udp_set_channel_hook", null_fzr_udp_on, NULL},
    {"fzr_verdict_iovecs", NULL, NOT_SAID},
    {"fzr_version", NULL, NO_POINTERS},
};
#define ROWS ((int)(sizeof rows / sizeof rows[0]))

START_TEST(test_null)
{
  if (rows[_i].test)
    rows[_i].test();
  else
    ck_assert_str_ne(rows[_i].why_none, "");
}
END_TEST

static const char *map_path;

START_TEST(test_every_function_has_a_row)
{
  char line[256], name[128];
  int named = 0;
  FILE *map = fopen(map_path, "r");
  ck_assert_ptr_nonnull(map);
  while (fgets(line, sizeof line, map)) {
    if (sscanf(line, "    %127[a-z0-9_];", name) != 1 || strncmp(name, "fzr_", 4) != 0)
      continue;
    int found = 0;
    for (int i = 0; i < ROWS; i++)
      found += strcmp(rows[i].name, name) == 0;
    ck_assert_msg(found == 1, "%s has %d rows", name, found);
    named++;
  }
  fclose(map);
  ck_assert_int_eq(named, ROWS);
}
END_TEST

/* ---- sizes ---- */

/* A struct of another release: |extra| bytes longer, the last of them |last|. */
typedef union {
  fzr_config config;
  fzr_udp_config udp;
  fzr_mem mem;
  fzr_io_ops ops;
  uint8_t bytes[1024];
} sized;

static sized longer(const void *object, size_t size, uint8_t last)
{
  sized s = {.bytes = {0}};
  memcpy(s.bytes, object, size);
  const size_t told = size + 16;
  memcpy(s.bytes, &told, sizeof told);
  s.bytes[told - 1] = last;
  return s;
}

static sized told(const void *object, size_t size, size_t say)
{
  sized s = {.bytes = {0}};
  memcpy(s.bytes, object, size);
  memcpy(s.bytes, &say, sizeof say);
  return s;
}

static int make_engine(const sized *s)
{
  fzr_engine *made = untouched();
  const int error = fzr_engine_new(&s->config, &made, relay.now);
  ck_assert(!error || (void *)made == out);
  if (!error)
    fzr_engine_free(made);
  return error;
}

static int set_limits(const sized *s)
{
  return fzr_engine_set_limits(engine, &s->config);
}

static int make_udp(const sized *s)
{
  fzr_udp *made = untouched();
  const int error = fzr_udp_new(&s->udp, &made, NULL);
  ck_assert(!error || (void *)made == out);
  if (!error)
    fzr_udp_free(made);
  return error;
}

static int make_shared(const sized *s)
{
  fzr_shared *made = untouched();
  const int error = fzr_shared_new(50000, 50010, &s->mem, &made);
  ck_assert(!error || (void *)made == out);
  if (!error)
    fzr_shared_free(made);
  return error;
}

static int make_driver(const sized *s)
{
  fzr_driver *made = untouched();
  const int error = fzr_driver_new(engine, &s->mem, &made);
  ck_assert(!error || (void *)made == out);
  if (!error)
    fzr_driver_free(made);
  return error;
}

static int make_engine_with_mem(const sized *s)
{
  fzr_config config = fzt_config(&(fzt_relay){.now = 0});
  config.random_ctx = &relay.prng;
  config.mem = &s->mem;
  return make_engine(&(sized){.config = config});
}

static int make_udp_with_mem(const sized *s)
{
  fzr_udp_config config = loopback();
  config.mem = &s->mem;
  return make_udp(&(sized){.udp = config});
}

static int add_adapter(const sized *s)
{
  const int error = fzr_driver_add(driver, FZR_TRANSPORT_UDP, &s->ops, udp);
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, udp);
  return error;
}

/* What every function that reads a sized struct makes of its size. |least| is the smallest size that it takes, and |shortest| what it says
 * of that one. */
static void check_sizes(const void *object, size_t size, int (*use)(const sized *), size_t least,
                        int shortest)
{
  sized s = told(object, size, size);
  ck_assert_int_eq(use(&s), 0);
  s = told(object, size, 0);
  INVALID(use(&s));
  s = told(object, size, least - 1);
  INVALID(use(&s));
  s = told(object, size, least);
  ck_assert_int_eq(use(&s), shortest);
  s = longer(object, size, 0);
  ck_assert_int_eq(use(&s), 0);
  s = longer(object, size, 1);
  ck_assert_int_eq(use(&s), FZR_ERR_UNSUPPORTED);
}

START_TEST(test_sizes_read)
{
  fzt_relay other;
  fzr_config config = fzt_config(&other);
  config.mem = NULL;
  config.random_ctx = &relay.prng;
  const fzr_udp_config adapter = loopback();
  const fzr_mem mem = relay.mem.hooks;
  /* A config that ends with `size` lacks `random`; limits, or an adapter, are then those by default. Hooks have no default. */
  check_sizes(&config, sizeof config, make_engine, sizeof(size_t), FZR_ERR_INVALID_ARGUMENT);
  check_sizes(&config, sizeof config, set_limits, sizeof(size_t), 0);
  check_sizes(&adapter, sizeof adapter, make_udp, sizeof(size_t), 0);
  check_sizes(fzr_udp_ops(), sizeof(fzr_io_ops), add_adapter, sizeof(size_t), FZR_ERR_INVALID_ARGUMENT);
  check_sizes(&mem, sizeof mem, make_shared, sizeof mem, 0);
  check_sizes(&mem, sizeof mem, make_driver, sizeof mem, 0);
  check_sizes(&mem, sizeof mem, make_engine_with_mem, sizeof mem, 0);
  check_sizes(&mem, sizeof mem, make_udp_with_mem, sizeof mem, 0);
}
END_TEST

/* Filled up to |given|, zeros behind what the library knows, and not a byte beyond. */
static void check_stats(int (*get)(void *stats, size_t size), size_t known)
{
  static _Alignas(16) uint8_t whole[16384], part[16384];
  const size_t sizes[] = {sizeof(size_t), sizeof(size_t) + 3, known - 1, known, known + 1, known + 40};
  ck_assert_uint_lt(known + 41, sizeof whole);
  memset(whole, 0xA5, sizeof whole);
  ck_assert_int_eq(get(whole, known), 0);
  for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    memset(part, 0x5A, sizeof part);
    ck_assert_int_eq(get(part, sizes[i]), 0);
    const size_t common = sizes[i] < known ? sizes[i] : known;
    size_t filled;
    memcpy(&filled, part, sizeof filled);
    ck_assert_uint_eq(filled, common);
    ck_assert_mem_eq(part + sizeof filled, whole + sizeof filled, common - sizeof filled);
    for (size_t k = common; k < sizes[i]; k++)
      ck_assert_uint_eq(part[k], 0);
    for (size_t k = sizes[i]; k < sizes[i] + 100; k++)
      ck_assert_uint_eq(part[k], 0x5A);
  }
}

static int engine_stats(void *stats, size_t size)
{
  return fzr_engine_stats_sized(engine, stats, size);
}

static int udp_stats(void *stats, size_t size)
{
  return fzr_udp_get_stats_sized(udp, stats, size);
}

START_TEST(test_sizes_written)
{
  check_stats(engine_stats, sizeof(fzr_stats));
  check_stats(udp_stats, sizeof(fzr_udp_stats));
}
END_TEST

/* ---- outputs in which anything may be ---- */

/* Runs |fill| on memory of two kinds: the first |size| bytes have to come out alike, so all of them were written. */
#define SAME(type, size, fill)                                                                               \
  do {                                                                                                       \
    type o[2];                                                                                               \
    memset(&o[0], 0xA5, sizeof o[0]);                                                                        \
    memset(&o[1], 0x5A, sizeof o[1]);                                                                        \
    for (unsigned k = 0; k < 2; k++) {                                                                       \
      type *const p = &o[k];                                                                                 \
      fzt_check(fill);                                                                                       \
    }                                                                                                        \
    fzt_check(memcmp(&o[0], &o[1], size) == 0);                                                              \
  } while (0)
#define WHOLE(type, fill) SAME(type, sizeof(type), fill)
#define ATTR_BYTES        (offsetof(fzr_stun_attr, len) + sizeof(uint16_t)) /* the rest is padding */

#define BUILDER_BYTES (offsetof(fzr_stun_builder, error) + sizeof(int))

typedef struct text {
  char s[100];
} text;
typedef struct numbers {
  uint16_t n[2];
} numbers;
typedef struct parts {
  struct iovec v[FZR_DATAGRAM_IOVECS];
} parts;

START_TEST(test_outputs_of_plain_functions)
{
  const fzr_addr addr4 = fzt_addr("192.0.2.1:5"), addr6 = fzt_addr("[2001:db8::1]:5");
  fzr_sockaddr name4, name6;
  fzr_peer_rule rule;
  const socklen_t len4 = fzr_addr_to_sockaddr(&addr4, &name4), len6 = fzr_addr_to_sockaddr(&addr6, &name6);
  const uint8_t *bytes = (const uint8_t *)"u";
  WHOLE(fzr_addr, fzr_addr_parse("192.0.2.1:5", p) == 0);
  WHOLE(fzr_addr, fzr_addr_parse("[2001:db8::1]:5", p) == 0);
  SAME(text, 12, fzr_addr_format(&addr4, true, p->s, sizeof p->s) == 11);
  SAME(fzr_sockaddr, len4, fzr_addr_to_sockaddr(&addr4, p) == len4);
  SAME(fzr_sockaddr, len6, fzr_addr_to_sockaddr(&addr6, p) == len6);
  WHOLE(fzr_addr, fzr_addr_from_sockaddr(&name4.any, len4, p) == 0);
  WHOLE(fzr_addr, fzr_addr_from_sockaddr(&name6.any, len6, p) == 0);
  SAME(text, 16, fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes, 1, "r", "p", (uint8_t *)p) == 16);
  SAME(text, 32, fzr_auth_long_term_key(FZR_PASSWORD_SHA256, bytes, 1, "r", "p", (uint8_t *)p) == 32);
  SAME(text, 32, fzr_auth_userhash(bytes, 1, "r", (uint8_t *)p) == 0);
  SAME(text, FZR_STAMP_PASSWORD_LEN + 1,
       fzr_auth_stamp_password("x", 1, bytes, 1, p->s, sizeof p->s) == FZR_STAMP_PASSWORD_LEN);
  SAME(text, FZR_REST_PASSWORD_LEN + 1,
       fzr_auth_rest_password("x", bytes, 1, p->s, sizeof p->s) == FZR_REST_PASSWORD_LEN);
  WHOLE(fzr_peer_rule, fzr_peer_rule_parse("192.0.2.0/24:5", true, p) == 0);
  ck_assert_int_eq(fzr_peer_rule_parse("192.0.2.0/24:5", true, &rule), 0);
  SAME(text, 15, fzr_peer_rule_format(&rule, p->s, sizeof p->s) == 14);
  SAME(text, 4, (fzr_channel_data_header((uint8_t *)p, 0x4000, 7), true));
  WHOLE(numbers,
        fzr_channel_data_read((const uint8_t *)"\x40\0\0\0", 4, &p->n[0], &p->n[1]) == FZR_DROP_NONE);
}
END_TEST

START_TEST(test_outputs_of_stun)
{
  const fzr_addr addr = fzt_addr("[2001:db8::1]:5");
  uint8_t data[128];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  uint16_t offset;
  memset(&b, 0xA5, sizeof b);
  memset(&msg, 0xA5, sizeof msg);
  SAME(fzr_stun_builder, BUILDER_BYTES,
       (fzr_stun_build(p, data, sizeof data, FZR_STUN_BINDING, FZR_STUN_REQUEST,
                       (const uint8_t *)"123456789012"),
        true));
  fzr_stun_build(&b, data, sizeof data, FZR_STUN_BINDING, FZR_STUN_REQUEST, (const uint8_t *)"123456789012");
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 600);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &addr);
  const int len = fzr_stun_build_finish(&b);
  ck_assert_int_gt(len, 0);
  WHOLE(fzr_stun_msg, fzr_stun_read(data, (size_t)len, p) == FZR_DROP_NONE);
  ck_assert_int_eq(fzr_stun_read(data, (size_t)len, &msg), FZR_DROP_NONE);
  SAME(fzr_stun_attr, ATTR_BYTES, fzr_stun_get(&msg, FZR_ATTR_XOR_PEER_ADDRESS, p));
  SAME(fzr_stun_attr, ATTR_BYTES, (offset = 0, fzr_stun_next(&msg, &offset, p)));
  WHOLE(uint32_t, fzr_stun_get_u32(&msg, FZR_ATTR_LIFETIME, p));
  WHOLE(fzr_addr, fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, p));
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &attr));
  WHOLE(fzr_addr, fzr_stun_attr_addr(&msg, &attr, p));
  WHOLE(fzr_addr, fzr_stun_attr_plain_addr(&attr, p));
  /* What is not there leaves them as they are. */
  ck_assert(!fzr_stun_get(&msg, FZR_ATTR_NONCE, untouched()));
  ck_assert(!fzr_stun_get_u32(&msg, FZR_ATTR_XOR_PEER_ADDRESS, untouched()));
  ck_assert(!fzr_stun_get_addr(&msg, FZR_ATTR_LIFETIME, untouched()));
  ck_assert(!fzr_stun_next(&msg, &msg.len, untouched()));
  check_untouched();
}
END_TEST

/* What an engine gives, its own pointers left out. */
typedef struct given {
  fzr_event listed, event;
  fzr_allocation allocation;
  fzr_verdict forward, handled, dropped;
  fzr_transmit transmit;
  fzr_addr public_addr;
  fzr_offload_channel offload;
} given;

static fzr_verdict *rx(fzt_relay *r, const fzt_client_state *client, const void *data, size_t len,
                       fzr_verdict *verdict)
{
  fzr_pkt pkt = {.data = data, .len = (uint32_t)len, .from = client->addr, .to = client->server};
  fzr_batch batch = {.in = &pkt, .count = 1, .out = verdict, .room = 1};
  ck_assert_int_eq(fzr_engine_rx(r->engine, FZR_SIDE_CLIENT, &batch, r->now), 0);
  ck_assert_uint_eq(batch.written, 1);
  verdict->hdr = NULL;
  return verdict;
}

static bool have_given(given *g)
{
  static const uint8_t channel_data[] = {0x40, 0, 0, 2, 'h', 'i'};
  uint8_t request[512];
  fzt_relay r;
  fzt_client_state client;
  fzr_stun_builder b;
  uint32_t cursor = 0;
  const fzr_addr peer = fzt_addr("198.51.100.9:99");
  const fzr_config config = fzt_config(&r);
  fzt_relay_init(&r, &config);
  fzt_client_init(&client, "198.51.100.1:1");
  ck_assert_int_eq(fzt_allocate(&r, &client), 0);
  ck_assert_int_eq(fzt_bind(&r, &client, 0x4000, &peer), 0);
  ck_assert_uint_eq(fzr_engine_list_channels(r.engine, &cursor, &g->listed, 1), 1);
  cursor = 0;
  ck_assert_uint_eq(fzr_engine_list_allocations(r.engine, &cursor, &g->allocation, 1), 1);
  ck_assert(fzr_engine_public_addr(r.engine, FZR_FAMILY_IPV6, &g->public_addr));
  ck_assert_int_eq(fzr_offload_from_event(&g->listed, &g->offload), 0);
  ck_assert_uint_eq(rx(&r, &client, channel_data, sizeof channel_data, &g->forward)->action, FZR_ACT_FORWARD);
  ck_assert_uint_eq(rx(&r, &client, "\xff", 1, &g->dropped)->action, FZR_ACT_DROP);
  fzt_begin(&r, &client, &b, request, sizeof request, FZR_STUN_REFRESH);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 0);
  fzr_stun_add_integrity(&b, client.key, sizeof client.key);
  const int len = fzr_stun_build_finish(&b);
  ck_assert_uint_eq(rx(&r, &client, request, (size_t)len, &g->handled)->action, FZR_ACT_HANDLED);
  /* Bytes of this stack, the same each time, but for where it is. */
  g->handled.data = g->dropped.data = NULL;
  ck_assert(fzr_engine_next_event(r.engine, &g->event));
  ck_assert_uint_eq(g->event.type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert(fzr_engine_next_transmit(r.engine, &g->transmit));
  g->transmit.data = NULL;
  fzr_event event;
  while (fzr_engine_next_event(r.engine, &event))
    ;
  fzt_relay_free(&r);
  return true;
}

START_TEST(test_outputs_of_an_engine)
{
  given g[2];
  memset(&g[0], 0xA5, sizeof g[0]);
  memset(&g[1], 0x5A, sizeof g[1]);
  ck_assert(have_given(&g[0]) && have_given(&g[1]));
  ck_assert_mem_eq(&g[0].listed, &g[1].listed, sizeof g[0].listed);
  ck_assert_mem_eq(&g[0].event, &g[1].event, sizeof g[0].event);
  ck_assert_mem_eq(&g[0].allocation, &g[1].allocation, sizeof g[0].allocation);
  ck_assert_mem_eq(&g[0].forward, &g[1].forward, sizeof g[0].forward);
  ck_assert_mem_eq(&g[0].transmit, &g[1].transmit, sizeof g[0].transmit);
  ck_assert_mem_eq(&g[0].public_addr, &g[1].public_addr, sizeof g[0].public_addr);
  ck_assert_mem_eq(&g[0].offload, &g[1].offload, sizeof g[0].offload);
  /* Nothing is sent for these, so the addresses mean nothing. */
  ck_assert_mem_eq(&g[0].handled, &g[1].handled, offsetof(fzr_verdict, to));
  ck_assert_mem_eq(&g[0].dropped, &g[1].dropped, offsetof(fzr_verdict, to));
}
END_TEST

START_TEST(test_outputs_of_verdicts_and_ports)
{
  const fzr_verdict verdict = {
      .data = (const uint8_t *)"x", .count = 1, .tail_len = 1, .action = FZR_ACT_FORWARD};
  void *cookie;
  SAME(parts, sizeof(struct iovec), fzr_verdict_iovecs(&verdict, 0, p->v) == 1);
  ck_assert_int_eq(fzr_udp_attach(udp, engine), 0);
  ck_assert_int_eq(fzr_udp_ops()->open_port(udp, 0, FZR_FAMILY_IPV4, &cookie), 0);
  WHOLE(fzr_addr, fzr_udp_port_addr(udp, cookie, p) == 0);
  fzr_udp_ops()->close_port(udp, 0, FZR_FAMILY_IPV4, cookie);
}
END_TEST

int main(int argc, char **argv)
{
  map_path = argc > 1 ? argv[1] : "";
  Suite *suite = suite_create("misuse");
  TCase *tc = tcase_create("misuse");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_every_function_has_a_row);
  tcase_add_loop_test(tc, test_null, 0, ROWS);
  tcase_add_test(tc, test_sizes_read);
  tcase_add_test(tc, test_sizes_written);
  tcase_add_test(tc, test_outputs_of_plain_functions);
  tcase_add_test(tc, test_outputs_of_stun);
  tcase_add_test(tc, test_outputs_of_an_engine);
  tcase_add_test(tc, test_outputs_of_verdicts_and_ports);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
