/* SPDX-License-Identifier: Apache-2.0 */
/* The driver between a real engine and scripted adapters: what it asks for, whom, and in which order. */
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
  uint8_t transport; /* its clients' */
  fzr_time now;      /* of the call that is under way */
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

static void forward(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  adapter *a = io;
  bool any = false;
  ck_assert_uint_eq(now, a->now);
  for (size_t i = 0; i < n; i++) {
    any = any || verdicts[i].action == FZR_ACT_FORWARD;
    ck_assert(verdicts[i].action != FZR_ACT_FORWARD || verdicts[i].to.transport == a->transport);
    a->forwarded += verdicts[i].action == FZR_ACT_FORWARD ? verdicts[i].count : 0;
  }
  if (any)
    note(a, 'f');
}

static void transmit(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  adapter *a = io;
  ck_assert_uint_eq(now, a->now);
  note(a, 't');
  for (size_t i = 0; i < n; i++)
    ck_assert_uint_eq(answers[i].to.transport, a->transport);
  a->answers += n;
  memcpy(a->answer, answers[n - 1].data, answers[n - 1].len);
  ck_assert_int_eq(fzr_stun_read(a->answer, answers[n - 1].len, &a->last), 0);
}

static void channel(void *io, const fzr_event *event)
{
  note(io, event->type == FZR_EVENT_CHANNEL_BOUND ? 'b' : 'u');
}

static const fzr_io_ops ops = {sizeof ops, open_port, close_port, forward, transmit, channel};
/* Of one that has no ports. */
static const fzr_io_ops stream_ops = {.size = sizeof stream_ops, .forward = forward, .transmit = transmit};

static fzt_relay relay;
static fzt_client_state client;
static adapter io, stream;
static fzr_driver *driver;

static void set_up(void)
{
  memset(&io, 0, sizeof io);
  memset(&stream, 0, sizeof stream);
  stream.transport = FZR_TRANSPORT_TCP;
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  io.now = stream.now = relay.now;
  ck_assert_int_eq(fzr_driver_new(relay.engine, &relay.mem.hooks, &driver), 0);
  ck_assert_ptr_eq(fzr_driver_engine(driver), relay.engine);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, &io), 0);
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

/* The client at |from| allocates, by |a|, which is its adapter. */
static void allocate_by(adapter *a)
{
  fzr_stun_builder b;
  fzr_stun_attr nonce;
  begin(&b, FZR_STUN_ALLOCATE);
  memset(a->trace, 0, sizeof a->trace);
  rx(&b);
  ck_assert_str_eq(a->trace, "t");
  ck_assert(fzr_stun_get(&a->last, FZR_ATTR_NONCE, &nonce));
  memcpy(client.nonce, nonce.value, nonce.len);
  client.nonce_len = nonce.len;
  begin(&b, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  rx(&b);
}

static void allocate(void)
{
  allocate_by(&io);
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
  while (fzr_driver_deadline(driver) <= relay.now + 611 * FZR_SECOND) {
    io.now = fzr_driver_deadline(driver);
    fzr_driver_on_deadline(driver, io.now);
  }
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

/* ---- several adapters ---- */

/* The same client, by TCP, beside the UDP one of the same address. */
static void add_stream(void)
{
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, &stream_ops, &stream), 0);
  client.addr.transport = client.server.transport = FZR_TRANSPORT_TCP;
  client.nonce_len = 0;
}

/* |n| datagrams of the clients by UDP and by TCP, in turns: Binding requests, or data of a channel that both have. */
static void rx_in_turns(unsigned n, bool data)
{
  static uint8_t bytes[64][FZR_STUN_HEADER_LEN];
  static fzr_pkt pkts[64];
  ck_assert_uint_le(n, 64);
  for (unsigned i = 0; i < n; i++) {
    fzr_stun_builder b;
    const uint8_t txid[FZR_STUN_TXID_LEN] = {(uint8_t)i};
    fzr_stun_build(&b, bytes[i], sizeof bytes[i], FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
    if (data)
      fzr_channel_data_header(bytes[i], 0x4000, 8);
    pkts[i] = (fzr_pkt){.data = bytes[i], .len = data ? 12 : 20, .from = client.addr, .to = client.server};
    pkts[i].from.transport = pkts[i].to.transport = i % 2 ? FZR_TRANSPORT_TCP : FZR_TRANSPORT_UDP;
  }
  fzr_driver_rx(driver, FZR_SIDE_CLIENT, pkts, n, relay.now);
}

/* A datagram of the peer to each of two ports, in turns. */
static void peer_in_turns(unsigned n, const uint16_t ports[2])
{
  static uint8_t bytes[] = "from the peer";
  fzr_pkt pkts[64];
  for (unsigned i = 0; i < n; i++) {
    pkts[i] = (fzr_pkt){
        .data = bytes, .len = sizeof bytes, .from = fzt_addr("203.0.113.9:5000"), .to = client.server};
    pkts[i].to.transport = FZR_TRANSPORT_UDP;
    pkts[i].to.port = ports[i % 2];
  }
  fzr_driver_rx(driver, FZR_SIDE_PEER, pkts, n, relay.now);
}

START_TEST(test_answers_go_by_transport)
{
  add_stream();
  rx_in_turns(41, false);
  ck_assert_uint_eq(io.answers, 21);
  ck_assert_uint_eq(fzr_stun_txid(&io.last)[0], 40);
  ck_assert_uint_eq(stream.answers, 20);
  ck_assert_uint_eq(fzr_stun_txid(&stream.last)[0], 39);
}
END_TEST

/* Ports are UDP's, whoever asks for them; data for a client go to the adapter of its transport, whoever brought them. */
START_TEST(test_data_go_by_transport)
{
  uint16_t ports[2];
  allocate();
  bind_channel();
  ports[0] = io.pending_port;
  add_stream();
  memset(io.trace, 0, sizeof io.trace);
  allocate_by(&stream);
  ck_assert_uint_eq(fzr_stun_error_code(&stream.last), 0);
  ck_assert_str_eq(io.trace, "o");
  ports[1] = io.pending_port;
  memset(stream.trace, 0, sizeof stream.trace);
  bind_channel();
  ck_assert_str_eq(io.trace, "b");
  ck_assert_str_eq(stream.trace, "t");
  rx_in_turns(40, true);
  ck_assert_uint_eq(io.forwarded, 40);
  ck_assert_uint_eq(stream.forwarded, 0);
  peer_in_turns(40, ports);
  ck_assert_uint_eq(io.forwarded, 60);
  ck_assert_uint_eq(stream.forwarded, 20);
}
END_TEST

START_TEST(test_nobody_gets_what_was_anothers)
{
  uint16_t ports[2];
  add_stream();
  allocate_by(&stream);
  ports[0] = ports[1] = io.pending_port;
  bind_channel();
  peer_in_turns(10, ports);
  ck_assert_uint_eq(stream.forwarded, 10);
  fzr_driver_remove(driver, FZR_TRANSPORT_TCP, &stream);
  memset(io.trace, 0, sizeof io.trace);
  memset(stream.trace, 0, sizeof stream.trace);
  peer_in_turns(10, ports);
  rx_in_turns(2, false);
  ck_assert_str_eq(io.trace, "t"); /* to the other one */
  ck_assert_str_eq(stream.trace, "");
  client.addr.transport = 77; /* no transport at all */
  fzr_stun_builder b;
  begin(&b, FZR_STUN_ALLOCATE);
  rx(&b);
  ck_assert_str_eq(io.trace, "");
}
END_TEST

START_TEST(test_no_ports_without_udp)
{
  add_stream();
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, &io);
  allocate_by(&stream);
  ck_assert_uint_eq(fzr_stun_error_code(&stream.last), 508);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, &io), 0);
  client.nonce_len = 0;
  allocate_by(&stream);
  ck_assert_uint_eq(fzr_stun_error_code(&stream.last), 0);
}
END_TEST

/* The cookies of ports are those of the adapter that opened them: no other one gets them. */
START_TEST(test_no_other_adapter_while_there_are_ports)
{
  adapter second = {.now = relay.now};
  fzr_driver *other;
  io.open_result = FZR_ERR_IO_PENDING;
  allocate();
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, &io);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, &second), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_driver_port_result(driver, io.pending_port, FZR_FAMILY_IPV4, 0, &io, relay.now), 0);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, &second), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_driver_new(relay.engine, NULL, &other), 0);
  ck_assert_int_eq(fzr_driver_add(other, FZR_TRANSPORT_UDP, &ops, &second), FZR_ERR_INVALID_STATE);
  fzr_driver_free(other);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, &stream_ops, &stream), 0);
  /* What is left of one that has ended goes to nobody. */
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &client.addr, &client.server, relay.now), 0);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, &second), 0);
  fzr_driver_on_deadline(driver, relay.now);
  ck_assert_str_eq(second.trace, "");
}
END_TEST

START_TEST(test_misuse)
{
  fzr_driver *d;
  fzr_io_ops broken = ops;
  ck_assert_int_eq(fzr_driver_new(NULL, NULL, &d), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_driver_new(relay.engine, NULL, NULL), FZR_ERR_INVALID_ARGUMENT);
  relay.mem.fail_from = relay.mem.count + 1;
  ck_assert_int_eq(fzr_driver_new(relay.engine, &relay.mem.hooks, &d), FZR_ERR_NO_MEMORY);
  relay.mem.fail_from = 0;
  ck_assert_int_eq(fzr_driver_add(NULL, FZR_TRANSPORT_TCP, &ops, &io), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, NULL, &io), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_driver_add(driver, (enum fzr_transport)4, &ops, &io), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &ops, &io), FZR_ERR_INVALID_STATE);
  broken.forward = NULL;
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, &broken, &io), FZR_ERR_INVALID_ARGUMENT);
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, &io);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &stream_ops, &io), FZR_ERR_INVALID_ARGUMENT);
  fzr_driver_remove(driver, (enum fzr_transport)4, &io);
  fzr_driver_remove(NULL, FZR_TRANSPORT_UDP, NULL);
  ck_assert_ptr_null(fzr_driver_engine(NULL));
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
  tcase_add_test(tc, test_answers_go_by_transport);
  tcase_add_test(tc, test_data_go_by_transport);
  tcase_add_test(tc, test_nobody_gets_what_was_anothers);
  tcase_add_test(tc, test_no_ports_without_udp);
  tcase_add_test(tc, test_no_other_adapter_while_there_are_ports);
  tcase_add_test(tc, test_misuse);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
