/* SPDX-License-Identifier: Apache-2.0 */
/* The driver between a real engine and a scripted adapter: what it asks for, and in which order. */
#include "relay.h"

#include "firezone_relay/driver.h"

#include <stdio.h>

typedef struct adapter {
  char trace[1024]; /* one letter a call: o open, c close, f forward, t transmit, b bound, u unbound */
  int open_result;
  size_t forwarded;
  size_t answers;
  fzr_stun_msg last;
  uint8_t answer[512];
  uint16_t pending_port;
} adapter;

static void note(adapter *a, char what)
{
  const size_t len = strlen(a->trace);
  if (len + 1 < sizeof a->trace)
    a->trace[len] = what;
}

static int open_port(void *io, uint16_t port, enum fzr_family family, void **cookie)
{
  adapter *a = io;
  ck_assert_int_eq(family, FZR_FAMILY_IPV4);
  note(a, 'o');
  a->pending_port = port;
  *cookie = a;
  return a->open_result;
}

static void close_port(void *io, uint16_t port, enum fzr_family family, void *cookie)
{
  ck_assert_ptr_eq(cookie, io);
  ck_assert(port && family == FZR_FAMILY_IPV4);
  note(io, 'c');
}

static void forward(void *io, const fzr_verdict *verdicts, size_t n)
{
  adapter *a = io;
  bool any = false;
  for (size_t i = 0; i < n; i++) {
    any = any || verdicts[i].action == FZR_ACT_FORWARD;
    a->forwarded += verdicts[i].action == FZR_ACT_FORWARD ? verdicts[i].count : 0;
  }
  if (any)
    note(a, 'f');
}

static void transmit(void *io, const fzr_transmit *answers, size_t n)
{
  adapter *a = io;
  note(a, 't');
  a->answers += n;
  memcpy(a->answer, answers[n - 1].data, answers[n - 1].len);
  ck_assert_int_eq(fzr_stun_read(a->answer, answers[n - 1].len, &a->last), 0);
}

static void channel(void *io, const fzr_event *event)
{
  note(io, event->type == FZR_EVENT_CHANNEL_BOUND ? 'b' : 'u');
}

static const fzr_io_ops ops = {sizeof ops, open_port, close_port, forward, transmit, channel};

static fzt_relay relay;
static fzt_client_state client;
static adapter io;
static fzr_driver *driver;

static void set_up(void)
{
  memset(&io, 0, sizeof io);
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzr_driver_new(relay.engine, &ops, &io, &relay.mem.hooks, &driver), 0);
}

static void tear_down(void)
{
  fzr_driver_free(driver);
  fzt_relay_free(&relay);
}

static void rx(fzr_stun_builder *b)
{
  fzr_stun_add_integrity(b, client.key, sizeof client.key);
  fzr_pkt pkt = {
      .data = b->data, .len = (uint32_t)fzr_stun_build_finish(b), .from = client.addr, .to = client.server};
  memset(io.trace, 0, sizeof io.trace);
  fzr_driver_rx(driver, FZR_SIDE_CLIENT, &pkt, 1, relay.now);
}

static void begin(fzr_stun_builder *b, uint16_t method)
{
  static uint8_t buffer[512];
  fzt_begin(&relay, &client, b, buffer, sizeof buffer, method);
}

static void allocate(void)
{
  fzr_stun_builder b;
  fzr_stun_attr nonce;
  begin(&b, FZR_STUN_ALLOCATE);
  rx(&b);
  ck_assert_str_eq(io.trace, "t");
  ck_assert(fzr_stun_get(&io.last, FZR_ATTR_NONCE, &nonce));
  memcpy(client.nonce, nonce.value, nonce.len);
  client.nonce_len = nonce.len;
  begin(&b, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  rx(&b);
}

static void bind_channel(void)
{
  fzr_stun_builder b;
  const fzr_addr peer = fzt_addr("203.0.113.9:5000");
  begin(&b, FZR_STUN_CHANNEL_BIND);
  fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, 0x4000u << 16);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  rx(&b);
}

START_TEST(test_ports_open_before_the_answer)
{
  allocate();
  ck_assert_str_eq(io.trace, "ot");
  ck_assert_uint_eq(fzr_stun_error_code(&io.last), 0);
  bind_channel();
  ck_assert_str_eq(io.trace, "bt");
}
END_TEST

START_TEST(test_failed_open_is_508)
{
  io.open_result = FZR_ERR_IO_NO_SOCKET;
  allocate();
  ck_assert_str_eq(io.trace, "ot");
  ck_assert_uint_eq(fzr_stun_error_code(&io.last), 508);
}
END_TEST

/* Others are tried, but not for ever. */
START_TEST(test_taken_ports)
{
  io.open_result = FZR_ERR_IO_IN_USE;
  allocate();
  ck_assert_uint_eq(strspn(io.trace, "o"), 64);
  ck_assert_str_eq(io.trace + 64, "t");
  ck_assert_uint_eq(fzr_stun_error_code(&io.last), 508);
}
END_TEST

START_TEST(test_pending_open)
{
  io.open_result = FZR_ERR_IO_PENDING;
  allocate();
  ck_assert_str_eq(io.trace, "o");
  memset(io.trace, 0, sizeof io.trace);
  ck_assert_int_eq(fzr_driver_port_result(driver, io.pending_port, FZR_FAMILY_IPV4, 0, &io, relay.now), 0);
  ck_assert_str_eq(io.trace, "t");
  ck_assert_uint_eq(fzr_stun_error_code(&io.last), 0);
  ck_assert_int_eq(fzr_driver_port_result(driver, io.pending_port, FZR_FAMILY_IPV4, 0, &io, relay.now),
                   FZR_ERR_INVALID_STATE);
}
END_TEST

START_TEST(test_deadline_closes)
{
  allocate();
  bind_channel();
  memset(io.trace, 0, sizeof io.trace);
  while (fzr_driver_deadline(driver) <= relay.now + 611 * FZR_SECOND)
    fzr_driver_on_deadline(driver, fzr_driver_deadline(driver));
  ck_assert_str_eq(io.trace, "uc");
}
END_TEST

/* More verdicts and answers than fit the driver's arrays: all come through, in order. */
START_TEST(test_large_batches)
{
  enum { N = 500 };
  static uint8_t bytes[N][FZR_STUN_HEADER_LEN];
  static fzr_pkt pkts[N];
  allocate();
  bind_channel();
  for (unsigned i = 0; i < N; i++) {
    fzr_stun_builder b;
    const uint8_t txid[FZR_STUN_TXID_LEN] = {(uint8_t)i, (uint8_t)(i >> 8)};
    fzr_stun_build(&b, bytes[i], sizeof bytes[i], FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
    pkts[i] = (fzr_pkt){.data = bytes[i], .len = 20, .from = client.addr, .to = client.server};
    if (i % 2) {
      fzr_channel_data_header(bytes[i], 0x4000, 8);
      pkts[i].len = 12;
    }
  }
  io.answers = io.forwarded = 0;
  fzr_driver_rx(driver, FZR_SIDE_CLIENT, pkts, N, relay.now);
  ck_assert_uint_eq(io.answers, N / 2);
  ck_assert_uint_eq(io.forwarded, N / 2);
  ck_assert_uint_eq(fzr_stun_txid(&io.last)[0], (N - 2) & 255);
}
END_TEST

START_TEST(test_misuse)
{
  fzr_driver *d;
  fzr_io_ops broken = ops;
  ck_assert_int_eq(fzr_driver_new(NULL, &ops, &io, NULL, &d), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_driver_new(relay.engine, NULL, &io, NULL, &d), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_driver_new(relay.engine, &ops, &io, NULL, NULL), FZR_ERR_INVALID_ARGUMENT);
  broken.forward = NULL;
  ck_assert_int_eq(fzr_driver_new(relay.engine, &broken, &io, NULL, &d), FZR_ERR_INVALID_ARGUMENT);
  relay.mem.fail_from = relay.mem.count + 1;
  ck_assert_int_eq(fzr_driver_new(relay.engine, &ops, &io, &relay.mem.hooks, &d), FZR_ERR_NO_MEMORY);
  relay.mem.fail_from = 0;
  fzr_driver_free(NULL);
  fzr_driver_rx(NULL, FZR_SIDE_CLIENT, NULL, 0, 0);
  fzr_driver_on_deadline(NULL, 0);
  ck_assert_uint_eq(fzr_driver_deadline(NULL), FZR_TIME_NEVER);
  ck_assert_int_eq(fzr_driver_port_result(NULL, 1, FZR_FAMILY_IPV4, 0, NULL, 0), FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("driver");
  TCase *tc = tcase_create("driver");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_ports_open_before_the_answer);
  tcase_add_test(tc, test_failed_open_is_508);
  tcase_add_test(tc, test_taken_ports);
  tcase_add_test(tc, test_pending_open);
  tcase_add_test(tc, test_deadline_closes);
  tcase_add_test(tc, test_large_batches);
  tcase_add_test(tc, test_misuse);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
