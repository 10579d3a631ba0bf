/* SPDX-License-Identifier: Apache-2.0 */
/* Connections go on in another adapter, of another engine, with copies of their sockets as another process has: at each byte, with what
 * waits, and with whatever a parcel may say. */
#include "stream/streams.h"

#include "../net/certs.h"
#include "common/clock.h"
#include "net/tls_records.h"
#include "prng.h"
#include "proxy_header.h"
#include "relay.h"
#include "stream/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firezone_relay/save.h"
#include "firezone_relay/socket.h"

enum { REQUEST = FZR_STUN_HEADER_LEN, ANSWER = 32, TLS_OVERHEAD = 5 + 8 + 16, FDS = 32 };

/* One process's. */
typedef struct side {
  fzt_relay relay;
  fzr_driver *driver;
  stream_prefixes *prefixes;
  streams *s;
} side;

static side *now_it, sides[2];
static struct event_base *base;
static streams_config config;
static fzr_peer_rule balancers;

/* What goes along. */
static struct parcel {
  uint8_t engine[65536], data[1 << 20];
  size_t engine_len, len, count;
  int fds[FDS];
  fzr_time now;
  unsigned left;
} parcel;

static void on_settled(void *ctx, fzr_time now)
{
  (void)ctx;
  (void)now;
}

/* That of all sides. */
static net_tls_identity *identity;

static void make_identity(void)
{
  static const fzt_cert_spec spec = {.common_name = "Relay"};
  static fzt_cert cert;
  char error[NET_TLS_ERROR_MAX];
  fzt_cert_make(&spec, NULL, NULL, &cert);
  identity = net_tls_identity_new((const uint8_t *)cert.cert, strlen(cert.cert) + 1,
                                  (const uint8_t *)cert.key, strlen(cert.key) + 1, error);
  ck_assert_msg(identity != NULL, "%s", error);
}

static void begin_side(side *x)
{
  const fzr_config engine = fzt_config(&x->relay);
  fzt_relay_init(&x->relay, &engine);
  ck_assert_int_eq(fzr_driver_new(x->relay.engine, NULL, &x->driver), 0);
  x->prefixes = stream_prefixes_new(0);
  config.driver = x->driver;
  config.prefixes = x->prefixes;
  x->s = streams_new(&config);
  ck_assert(x->prefixes && x->s);
  if (identity)
    streams_set_identity(x->s, net_tls_identity_hold(identity));
}

static void end_side(side *x)
{
  streams_free(x->s);
  stream_prefixes_free(x->prefixes);
  fzr_driver_free(x->driver);
  fzt_relay_free(&x->relay);
}

static void set_up(void)
{
  base = event_base_new();
  ck_assert_ptr_nonnull(base);
  event_base_priority_init(base, STREAM_PRIORITIES);
  config = (streams_config){.base = base,
                            .settled = on_settled,
                            .queue_bytes = 65536,
                            .idle = 30 * FZR_SECOND,
                            .age = 120 * FZR_SECOND,
                            .unread = 10 * FZR_SECOND,
                            .strangers = 100,
                            .end_fd = 1000};
  now_it = &sides[0];
  make_identity();
  begin_side(now_it);
}

static void tear_down(void)
{
  end_side(now_it);
  event_base_free(base);
  net_tls_identity_drop(identity);
}

static int put_engine(void *ctx, const uint8_t *data, size_t len)
{
  (void)ctx;
  ck_assert_uint_le(len, sizeof parcel.engine - parcel.engine_len);
  memcpy(parcel.engine + parcel.engine_len, data, len);
  parcel.engine_len += len;
  return 0;
}

static bool add(void *ctx, int fd)
{
  (void)ctx;
  ck_assert_uint_lt(parcel.count, FDS);
  parcel.fds[parcel.count] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  ck_assert_int_ge(parcel.fds[parcel.count++], 0);
  return true;
}

/* Halts the side that it is, and saves it. */
static void save(void)
{
  const uint8_t *data;
  handover_file *file = handover_file_new("test");
  ck_assert_ptr_nonnull(file);
  streams_halt(now_it->s);
  parcel.engine_len = parcel.count = 0;
  parcel.now = monotonic_now();
  ck_assert_int_eq(fzr_engine_save(now_it->relay.engine, put_engine, NULL, parcel.now), 0);
  ck_assert(streams_save(now_it->s, file, parcel.now, add, NULL, &parcel.left));
  const int fd = handover_file_seal(file);
  ck_assert(handover_file_map(fd, &data, &parcel.len) && parcel.len <= sizeof parcel.data);
  memcpy(parcel.data, data, parcel.len);
  handover_file_unmap(data, parcel.len);
  close(fd);
}

static side *other(void)
{
  return &sides[now_it == &sides[0]];
}

/* Makes the other side of what was saved. Returns what streams_load has said. */
static const char *load(void)
{
  side *x = other();
  begin_side(x);
  ck_assert_int_eq(fzr_engine_load(x->relay.engine, parcel.engine, parcel.engine_len, parcel.now, NULL), 0);
  x->relay.now = monotonic_now();
  fzt_pass(&x->relay, 1);
  return streams_load(x->s, parcel.data, parcel.len, parcel.fds, parcel.count, parcel.now);
}

/* The other side goes on from here. */
static void move(void)
{
  save();
  const char *why = load();
  ck_assert_msg(!why, "%s", why);
  streams_leave(now_it->s);
  end_side(now_it);
  now_it = other();
  streams_go_on(now_it->s);
}

/* A successor that fails: whoever it was goes on. */
static void move_in_vain(void)
{
  save();
  const char *why = load();
  ck_assert_msg(!why, "%s", why);
  end_side(other());
  streams_go_on(now_it->s);
}

static void turn(void)
{
  event_base_loop(base, EVLOOP_NONBLOCK);
}

static stream_connection *first(void)
{
  return now_it->s->lists[STREAM_BY_TIME].first;
}

static stream_stats stats_of(enum stream_kind kind)
{
  stream_stats stats[STREAM_KINDS];
  streams_stats(now_it->s, stats);
  return stats[kind];
}

static fzr_addr as(const char *text, enum stream_kind kind)
{
  fzr_addr addr = fzt_addr(text);
  addr.transport = kind == STREAM_TLS ? FZR_TRANSPORT_TLS : FZR_TRANSPORT_TCP;
  return addr;
}

/* The client's end of a new connection. */
static int connect_to(const char *client, enum stream_kind kind)
{
  int fds[2];
  const fzr_addr from = as(client, kind), to = as(FZT_LISTEN, kind);
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  streams_take(now_it->s, kind, fds[0], &from, &to, monotonic_now());
  return fds[1];
}

static bool is_open(int fd)
{
  char byte;
  return recv(fd, &byte, 1, 0) < 0 && errno == EAGAIN;
}

/* Binding requests with rising numbers. */
static void make_requests(uint8_t *out, unsigned count)
{
  static const uint8_t request[REQUEST] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  for (unsigned i = 0; i < count; i++, out += REQUEST) {
    memcpy(out, request, REQUEST);
    memcpy(out + 16, &i, sizeof i);
  }
}

/* Whether |data| is the answers to all of them, in order. */
static void check_answers(const uint8_t *data, size_t len, unsigned count)
{
  ck_assert_uint_eq(len, count * ANSWER);
  for (unsigned i = 0; i < count; i++, data += ANSWER) {
    ck_assert(data[0] == 1 && data[1] == 1);
    ck_assert_mem_eq(data + 16, &i, sizeof i);
  }
}

static size_t read_some(int fd, uint8_t *out, size_t cap)
{
  const ssize_t n = recv(fd, out, cap, 0);
  ck_assert(n > 0 || (n < 0 && errno == EAGAIN));
  return n > 0 ? (size_t)n : 0;
}

/* ---- TLS: a client of the same records ---- */

static struct secure {
  int fd;
  net_tls_records *records;
  size_t most; /* that is sent now; then nothing */
} secure;

static ssize_t on_send(void *ctx, const uint8_t *data, size_t len)
{
  (void)ctx;
  const size_t n = len < secure.most ? len : secure.most;
  if (!n)
    return NET_TLS_WANT_WRITE;
  if (secure.most != SIZE_MAX)
    secure.most -= n;
  const ssize_t sent = send(secure.fd, data, n, MSG_NOSIGNAL);
  return sent < 0 ? NET_TLS_WANT_WRITE : sent;
}

static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  (void)ctx;
  const ssize_t n = recv(secure.fd, out, cap, 0);
  return n < 0 ? NET_TLS_WANT_READ : n;
}

static const net_tls_io client_io = {NULL, on_send, on_recv};

/* What a handshake leaves. */
static struct saved {
  uint8_t data[1024];
  size_t len;
} saved;

static void put_bytes(void *ctx, const void *data, size_t len)
{
  (void)ctx;
  ck_assert_uint_le(len, sizeof saved.data - saved.len);
  memcpy(saved.data + saved.len, data, len);
  saved.len += len;
}

/* A connection whose handshake is done: both ends have the keys. */
static void connect_securely(net_tls_version version)
{
  static const uint8_t keys[NET_TLS_KEYS_MAX] = {7, 8, 9};
  net_tls_agreed agreed = {.version = version,
                           .kind = NET_AEAD_AES_128_GCM,
                           .keys = keys,
                           .most = NET_TLS_RECORD,
                           .in = 1,
                           .out = 1};
  size_t begun;
  secure.fd = connect_to("198.51.100.1:1000", STREAM_TLS);
  secure.most = SIZE_MAX;
  secure.records = net_tls_records_new(&agreed);
  agreed.server = true;
  net_tls_records *ours = net_tls_records_new(&agreed);
  ck_assert(secure.records && ours);
  saved.len = 0;
  net_tls_records_save(ours, put_bytes, NULL);
  net_tls_records_free(ours);
  ck_assert(stream_load_secure(now_it->s->lists[STREAM_BY_TIME].last, saved.data, saved.len, &begun));
}

static void disconnect_securely(void)
{
  net_tls_records_free(secure.records);
  close(secure.fd);
}

static size_t read_secure(uint8_t *out, size_t cap)
{
  const ssize_t n = net_tls_records_read(secure.records, &client_io, out, cap);
  ck_assert(n > 0 || n == NET_TLS_WANT_READ);
  return n > 0 ? (size_t)n : 0;
}

/* ---- bytes ---- */

/* After each byte that comes another one goes on; at each third a successor has failed before. */
START_TEST(test_tcp_at_each_byte)
{
  enum { COUNT = 8 };
  uint8_t out[COUNT * REQUEST], in[COUNT * ANSWER + 1];
  size_t got = 0;
  const int fd = connect_to("198.51.100.1:1000", STREAM_TCP);
  make_requests(out, COUNT);
  for (size_t i = 0; i < sizeof out; i++) {
    ck_assert_int_eq(send(fd, out + i, 1, 0), 1);
    if (i % 2)
      turn();
    if (i % 3 == 0)
      move_in_vain();
    move();
    turn();
    got += read_some(fd, in + got, sizeof in - got);
  }
  check_answers(in, got, COUNT);
  ck_assert_uint_eq(stats_of(STREAM_TCP).accepted, 1);
  ck_assert_uint_eq(stats_of(STREAM_TCP).connections, 1);
  ck_assert(is_open(fd));
  close(fd);
  while (first())
    turn();
  ck_assert_uint_eq(stats_of(STREAM_TCP).ended[STREAM_END_CLIENT], 1);
}
END_TEST

START_TEST(test_tls_at_each_byte)
{
  enum { COUNT = 4 };
  uint8_t out[COUNT * REQUEST], in[COUNT * ANSWER + 1];
  size_t got = 0;
  connect_securely(_i ? NET_TLS_13 : NET_TLS_12);
  make_requests(out, COUNT);
  /* Records end within messages. */
  for (size_t at = 0; at < sizeof out; at += 16) {
    secure.most = 0;
    while (net_tls_records_write(secure.records, &client_io, out + at, 16) < 0) {
      if (secure.most % 3 == 0)
        move_in_vain();
      move();
      turn();
      secure.most = 1;
    }
    turn();
    got += read_secure(in + got, sizeof in - got);
  }
  check_answers(in, got, COUNT);
  ck_assert_uint_eq(stats_of(STREAM_TLS).connections, 1);
  disconnect_securely();
}
END_TEST

/* A slow reader: what waits goes along, a record that has gone out in part, too. */
START_TEST(test_what_waits)
{
  enum { COUNT = 300 };
  const int least = 1;
  static uint8_t out[COUNT * REQUEST], in[COUNT * ANSWER + 1];
  size_t got = 0;
  const bool tls = _i; /* 1: of TLS 1.2, 2: of 1.3 */
  unsigned moves = 0, held = 0;
  int fd;
  config.queue_bytes = 1 << 20;
  end_side(now_it);
  begin_side(now_it);
  if (tls)
    connect_securely(_i == 2 ? NET_TLS_13 : NET_TLS_12);
  fd = tls ? secure.fd : connect_to("198.51.100.1:1000", STREAM_TCP);
  fzt_client_state client;
  fzt_client_init(&client, "198.51.100.1:1000");
  client.addr.transport = client.server.transport = tls ? FZR_TRANSPORT_TLS : FZR_TRANSPORT_TCP;
  now_it->relay.now = monotonic_now();
  ck_assert_int_eq(fzt_allocate(&now_it->relay, &client), 0); /* strangers may not have so much */
  setsockopt(first()->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  make_requests(out, COUNT);
  secure.most = SIZE_MAX;
  if (tls)
    ck_assert_int_eq(net_tls_records_write(secure.records, &client_io, out, sizeof out), sizeof out);
  else
    ck_assert_int_eq(send(fd, out, sizeof out, 0), sizeof out);
  while (!first()->blocked)
    turn();
  ck_assert_uint_eq(streams_clients(now_it->s, tls ? STREAM_TLS : STREAM_TCP), 1);
  while (got < COUNT * ANSWER) {
    const size_t waits = stream_queue_len(&first()->queue);
    held += first()->queue.begun != 0;
    if (moves % 3 == 0)
      move_in_vain();
    move();
    moves++;
    ck_assert_uint_eq(stream_queue_len(&first()->queue), waits);
    ck_assert_uint_eq(stats_of(tls ? STREAM_TLS : STREAM_TCP).queued_bytes, waits);
    ck_assert(first()->allocated);
    got += tls ? read_secure(in + got, 1000) : read_some(fd, in + got, 1000);
    turn();
  }
  check_answers(in, got, COUNT);
  ck_assert_uint_ge(moves, 3);
  ck_assert(held || !tls);
  ck_assert_uint_eq(stats_of(tls ? STREAM_TLS : STREAM_TCP).queued_bytes, 0);
  ck_assert_uint_eq(stats_of(tls ? STREAM_TLS : STREAM_TCP).dropped, 0);
  if (tls)
    disconnect_securely();
  else
    close(fd);
}
END_TEST

/* ---- who they are ---- */

/* Times go along, and the order of strangers; and limits of a prefix are for who comes. */
START_TEST(test_ages)
{
  int fds[3];
  fzr_time since[3];
  for (unsigned i = 0; i < 3; i++) {
    char addr[32];
    snprintf(addr, sizeof addr, "198.51.100.1:%u", 1000 + i);
    fds[i] = connect_to(addr, i == 1 ? STREAM_TLS : STREAM_TCP);
    since[i] = now_it->s->lists[STREAM_STRANGERS].last->stranger_since;
  }
  stream_prefixes_free(now_it->prefixes); /* others of the prefix have come meanwhile */
  now_it->s->config.prefixes = now_it->prefixes = stream_prefixes_new(1);
  for (unsigned i = 0; i < 3; i++)
    ck_assert(stream_prefixes_keep(now_it->prefixes, &first()->client));
  const fzr_time heard = first()->heard;
  move();
  ck_assert_uint_eq(now_it->s->count, 3);
  const stream_connection *c = now_it->s->lists[STREAM_STRANGERS].first;
  ck_assert_uint_eq(c->heard, heard);
  for (unsigned i = 0; i < 3; i++, c = c->links[STREAM_STRANGERS].after) {
    ck_assert_uint_eq(c->stranger_since, since[i]);
    ck_assert_uint_eq(c->client.port, 1000 + i);
    ck_assert_uint_eq(c->kind, i == 1 ? STREAM_TLS : STREAM_TCP);
    ck_assert(is_open(fds[i]));
    close(fds[i]);
  }
}
END_TEST

/* A connection has its allocation again, by its 5-tuple. */
START_TEST(test_allocations)
{
  fzt_client_state client;
  const int fd = connect_to("198.51.100.1:1000", STREAM_TCP),
            stranger = connect_to("198.51.100.1:1001", STREAM_TCP);
  fzt_client_init(&client, "198.51.100.1:1000");
  client.addr.transport = client.server.transport = FZR_TRANSPORT_TCP;
  now_it->relay.now = monotonic_now();
  ck_assert_int_eq(fzt_allocate(&now_it->relay, &client), 0);
  move();
  ck_assert_uint_eq(streams_clients(now_it->s, STREAM_TCP), 1);
  ck_assert_uint_eq(streams_clients(now_it->s, STREAM_TLS), 0);
  ck_assert_uint_eq(now_it->s->lists[STREAM_STRANGERS].count, 1);
  ck_assert(streams_has(now_it->s, &client.addr, &client.server));
  fzr_allocation found;
  close(fd);
  while (streams_has(now_it->s, &client.addr, &client.server))
    turn();
  ck_assert(!fzr_engine_find_allocation(now_it->relay.engine, &client.addr, &client.server, &found));
  ck_assert_uint_eq(streams_clients(now_it->s, STREAM_TCP), 0);
  fzt_pass(&now_it->relay, 1);
  close(stranger);
}
END_TEST

/* The last words are said by whoever goes on, and the end is the client's: no descriptor stays anywhere. */
START_TEST(test_closing)
{
  enum { COUNT = 200 };
  const int least = 1;
  static uint8_t out[COUNT * REQUEST + 1], in[COUNT * ANSWER + 1];
  size_t got = 0;
  const int fd = connect_to("198.51.100.1:1000", STREAM_TCP);
  setsockopt(first()->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  make_requests(out, COUNT);
  out[sizeof out - 1] = 0xff; /* no message */
  ck_assert_int_eq(send(fd, out, sizeof out, 0), sizeof out);
  while (!stats_of(STREAM_TCP).ended[STREAM_END_NO_MESSAGE])
    turn();
  ck_assert(first()->closing && stream_queue_len(&first()->queue));
  ssize_t n = -1;
  while (n) {
    move();
    ck_assert_uint_eq(now_it->s->count, 0);
    n = recv(fd, in + got, 1000, 0);
    ck_assert(n >= 0 || errno == EAGAIN);
    got += n > 0 ? (size_t)n : 0;
    turn();
  }
  check_answers(in, got, COUNT);
  ck_assert(!first() || first()->shut);
  move();
  close(fd);
  while (first())
    turn();
  ck_assert_uint_eq(stats_of(STREAM_TCP).ended[STREAM_END_NO_MESSAGE], 1);
}
END_TEST

/* A client that breaks off within a message is told by an alert, and waited for. */
START_TEST(test_closing_securely)
{
  static const uint8_t no_record[5 + 40] = {0x17, 3, 3, 0, 40};
  uint8_t out[REQUEST], in[100];
  connect_securely(_i ? NET_TLS_13 : NET_TLS_12);
  make_requests(out, 1);
  ck_assert_int_eq(net_tls_records_write(secure.records, &client_io, out, 7), 7);
  turn();
  move();
  ck_assert_int_eq(send(secure.fd, no_record, sizeof no_record, 0), sizeof no_record);
  turn();
  ck_assert(first() && first()->closing && first()->failed);
  move();
  ck_assert(first()->closing && first()->failed && !first()->tls);
  ck_assert_int_eq(net_tls_records_read(secure.records, &client_io, in, sizeof in), NET_TLS_FAILED);
  ck_assert_str_eq(net_tls_records_error(secure.records), "the other side ended it with an alert");
  disconnect_securely();
  while (first())
    turn();
}
END_TEST

/* A balancer's header in part goes along, and what it says is the client's address. */
START_TEST(test_arrivals)
{
  balancers = (fzr_peer_rule){.net = fzt_addr("10.0.0.0"), .prefix = 8};
  config.proxies = &balancers;
  config.proxy_count = 1;
  end_side(now_it);
  begin_side(now_it);
  static fzt_proxy_header header;
  const fzr_addr client = as("198.51.100.1:1000", STREAM_TCP), server = as("203.0.113.1:443", STREAM_TCP);
  fzt_proxy_tcp(&header, &client, &server);
  int fds[2];
  const fzr_addr proxy = as("10.0.0.1:5000", STREAM_TCP), own = as(FZT_LISTEN, STREAM_TCP);
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  stream_await(now_it->s, STREAM_TCP, fds[0], &proxy, &own);
  for (size_t i = 0; i < header.len; i++) {
    ck_assert_uint_eq(now_it->s->arrival_count, 1);
    if (i % 3 == 0)
      move_in_vain();
    move();
    ck_assert_int_eq(send(fds[1], header.data + i, 1, 0), 1);
    turn();
  }
  ck_assert_uint_eq(now_it->s->arrival_count, 0);
  ck_assert(streams_has(now_it->s, &client, &server));
  move();
  ck_assert(streams_has(now_it->s, &client, &server));
  ck_assert(is_open(fds[1]));
  close(fds[1]);
}
END_TEST

/* ---- what stays ---- */

/* A handshake that has begun can't go along: its client is told by the end of the connection. One of which nothing has come can. */
START_TEST(test_handshakes_are_left)
{
  const int silent = connect_to("198.51.100.1:1000", STREAM_TLS),
            speaks = connect_to("198.51.100.1:1001", STREAM_TLS);
  ck_assert_int_eq(send(speaks, "\x16\x03\x01\x02\x00\x01", 6, 0), 6);
  while (!now_it->s->lists[STREAM_BY_TIME].last->tls)
    turn();
  move_in_vain();
  ck_assert_uint_eq(parcel.left, 1);
  ck_assert(is_open(silent) && is_open(speaks));
  move();
  ck_assert_uint_eq(parcel.left, 1);
  ck_assert_uint_eq(now_it->s->count, 1);
  ck_assert(is_open(silent) && !is_open(speaks));
  ck_assert_uint_eq(stats_of(STREAM_TLS).ended[STREAM_END_HAND_OVER], 1);
  ck_assert_uint_eq(stats_of(STREAM_TLS).connections, 1);
  close(silent);
  close(speaks);
}
END_TEST

/* Where TLS is not listened for any more, nobody can begin with it; who has is heard. */
START_TEST(test_without_certificate)
{
  const int silent = connect_to("198.51.100.1:1001", STREAM_TLS);
  connect_securely(NET_TLS_12);
  net_tls_identity_drop(identity);
  identity = NULL;
  move();
  ck_assert(!is_open(silent) && is_open(secure.fd));
  ck_assert_uint_eq(now_it->s->count, 1);
  ck_assert_uint_eq(stats_of(STREAM_TLS).ended[STREAM_END_HAND_OVER], 1);
  close(silent);
  disconnect_securely();
}
END_TEST

/* Nobody is heard while it is halted, nothing is said, and a listener is not asked. */
START_TEST(test_halted)
{
  uint8_t out[REQUEST], in[64];
  const int fd = connect_to("198.51.100.1:1000", STREAM_TCP);
  const fzr_addr any = fzt_addr("127.0.0.1:0");
  int listeners[STREAM_LISTENERS];
  ck_assert_int_eq(streams_listen(now_it->s, STREAM_TCP, &any, false, true), 0);
  ck_assert_uint_eq(streams_listeners(now_it->s, listeners), 1);
  fzr_sockaddr name;
  socklen_t len = sizeof name;
  ck_assert_int_eq(getsockname(listeners[0], &name.any, &len), 0);
  const int guest = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  make_requests(out, 1);
  streams_halt(now_it->s);
  ck_assert_int_eq(send(fd, out, sizeof out, 0), sizeof out);
  ck_assert_int_eq(connect(guest, &name.any, len), 0);
  for (unsigned i = 0; i < 10; i++)
    turn();
  ck_assert_int_lt(recv(fd, in, sizeof in, 0), 0);
  ck_assert_uint_eq(now_it->s->count, 1);
  /* Another one has the same listener, and the client that waits there. */
  save();
  const int listener = fcntl(listeners[0], F_DUPFD_CLOEXEC, 0);
  ck_assert_ptr_null(load());
  ck_assert_int_eq(streams_adopt_listener(other()->s, STREAM_TCP, listener), 0);
  streams_leave(now_it->s);
  end_side(now_it);
  now_it = other();
  streams_go_on(now_it->s);
  while (now_it->s->count < 2)
    turn();
  check_answers(in, read_some(fd, in, sizeof in), 1);
  close(guest);
  close(fd);
}
END_TEST

/* ---- whatever clients do ---- */

/* One of them: its connection, and where it is in what it says. */
typedef struct actor {
  int fd; /* -1: it is not there */
  unsigned port;
  size_t said;
} actor;

enum { ACTORS = 8 };

static void come(actor *a, fzt_prng *prng)
{
  const int least = 1;
  char addr[32];
  snprintf(addr, sizeof addr, "198.51.100.%u:%u", (unsigned)fzt_below(prng, 3), a->port);
  a->fd = connect_to(addr, fzt_below(prng, 3) ? STREAM_TCP : STREAM_TLS);
  a->said = 0;
  if (fzt_below(prng, 2) && now_it->s->lists[STREAM_BY_TIME].last)
    setsockopt(now_it->s->lists[STREAM_BY_TIME].last->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  if (fzt_below(prng, 2))
    return;
  fzt_client_state client;
  fzt_client_init(&client, addr);
  client.addr.transport = client.server.transport = FZR_TRANSPORT_TCP;
  now_it->relay.now = monotonic_now();
  fzt_allocate(&now_it->relay, &client); /* if it came by TLS it is another one's, and nobody's connection */
}

static void go(actor *a)
{
  close(a->fd);
  a->fd = -1;
}

static void act(actor *a, fzt_prng *prng)
{
  static uint8_t requests[100 * REQUEST], in[20000];
  make_requests(requests, 100);
  const size_t left = sizeof requests - a->said, most = fzt_below(prng, 4) ? 50 : left;
  const uint8_t junk[] = {0x16, 3, 1, 0, 200, 1, (uint8_t)fzt_below(prng, 256)};
  switch (fzt_below(prng, 8)) {
  case 0:
    send(a->fd, junk, 1 + fzt_below(prng, sizeof junk), MSG_NOSIGNAL);
    break;
  case 1:
    shutdown(a->fd, SHUT_WR);
    break;
  case 2:
    go(a);
    break;
  case 3:
    while (recv(a->fd, in, 1 + fzt_below(prng, sizeof in), 0) > 0 && fzt_below(prng, 3))
      continue;
    break;
  default: {
    const size_t len = fzt_below(prng, most < left ? most + 1 : left + 1);
    const ssize_t n = send(a->fd, requests + a->said, len, MSG_NOSIGNAL);
    a->said = n > 0 ? (a->said + (size_t)n) % sizeof requests : a->said;
  }
  }
}

/* The same of one who is done with the handshake; |a| is what has its socket. */
static void act_securely(actor *a, fzt_prng *prng)
{
  static uint8_t requests[100 * REQUEST], in[20000];
  make_requests(requests, 100);
  if (a->fd < 0) {
    connect_securely(fzt_below(prng, 2) ? NET_TLS_13 : NET_TLS_12);
    *a = (actor){.fd = secure.fd, .port = 1};
    return;
  }
  secure.most = fzt_below(prng, 3) ? SIZE_MAX : fzt_below(prng, 60);
  switch (fzt_below(prng, 24)) {
  case 0:
    net_tls_records_close(secure.records, &client_io);
    break;
  case 1:
    disconnect_securely();
    a->fd = -1;
    break;
  case 2:
    send(secure.fd, requests, 9, MSG_NOSIGNAL); /* no record */
    break;
  default:
    if (fzt_below(prng, 2)) {
      while (net_tls_records_read(secure.records, &client_io, in, 1 + fzt_below(prng, 3000)) > 0)
        continue;
      break;
    }
    /* Of a record in part all is written again. */
    if (a->port == 1)
      a->port = 1 + (unsigned)fzt_below(prng, sizeof requests - a->said);
    if (net_tls_records_write(secure.records, &client_io, requests + a->said, a->port) > 0) {
      a->said = (a->said + a->port) % sizeof requests;
      a->port = 1;
    }
  }
}

/* Any state that a connection can be in can be saved, and loaded. */
START_TEST(test_random)
{
  fzt_prng prng = {fzt_seed("moving")};
  actor actors[ACTORS];
  for (unsigned i = 0; i < ACTORS; i++)
    actors[i] = (actor){.fd = -1, .port = 2000 + i};
  config.strangers = 4;
  end_side(now_it);
  begin_side(now_it);
  for (uint64_t round = 0; round < fzt_rounds(3000); round++) {
    actor *a = &actors[fzt_below(&prng, ACTORS)];
    if (a == actors)
      act_securely(a, &prng);
    else if (a->fd < 0)
      come(a, &prng);
    else
      act(a, &prng);
    if (fzt_below(&prng, 3))
      turn();
    if (!fzt_below(&prng, 8))
      move_in_vain();
    if (!fzt_below(&prng, 4))
      move();
  }
  if (actors[0].fd >= 0)
    disconnect_securely();
  for (unsigned i = 1; i < ACTORS; i++)
    if (actors[i].fd >= 0)
      go(&actors[i]);
  fzt_pass(&now_it->relay, 1);
}
END_TEST

/* ---- what can't be ---- */

static int count_descriptors(void)
{
  int n = 0;
  for (int fd = 0; fd < 1000; fd++)
    n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

/* Saves, |alter|s that with |i|, and loads it. Whatever comes of it, nothing is left of it. Returns what was said. */
static const char *load_altered(void (*alter)(size_t i), size_t i)
{
  const int before = count_descriptors();
  save();
  alter(i);
  const char *why = load();
  if (!why) {
    streams_go_on(other()->s); /* it can be used, whatever it is */
    turn();
  }
  end_side(other());
  ck_assert_int_eq(count_descriptors(), before);
  streams_go_on(now_it->s);
  return why;
}

static void truncate_it(size_t i)
{
  parcel.len = i;
}

static void flip_it(size_t i)
{
  parcel.data[i / 8] ^= (uint8_t)(1u << i % 8);
}

/* Two with all that a connection can have: a part of a message, and a queue; TLS in the midst of a record. */
static void have_much(net_tls_version version, int fds[2])
{
  const int least = 1;
  static uint8_t out[30 * REQUEST];
  fds[0] = connect_to("198.51.100.2:1000", STREAM_TCP);
  setsockopt(first()->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  make_requests(out, 30);
  for (unsigned i = 0; i < 4 && !first()->blocked; i++) {
    ck_assert_int_eq(send(fds[0], out, sizeof out, 0), sizeof out);
    turn();
  }
  ck_assert(first()->blocked);
  ck_assert_int_eq(send(fds[0], out, 7, 0), 7);
  turn();
  connect_securely(version);
  secure.most = 11;
  net_tls_records_write(secure.records, &client_io, out, 40);
  turn();
  fds[1] = secure.fd;
}

START_TEST(test_truncated)
{
  int fds[2];
  have_much(_i % 2 ? NET_TLS_13 : NET_TLS_12, fds);
  save();
  streams_go_on(now_it->s);
  for (size_t i = 0; i < parcel.count; i++)
    close(parcel.fds[i]);
  const size_t len = parcel.len;
  for (size_t i = 0; i < len; i += i < 40 ? 1 : 7)
    if (!load_altered(truncate_it, i))
      ck_assert_uint_ge(i, len - 400); /* counters come last, and need not */
  close(fds[0]);
  disconnect_securely();
}
END_TEST

START_TEST(test_altered)
{
  int fds[2];
  have_much(_i % 2 ? NET_TLS_13 : NET_TLS_12, fds);
  save();
  streams_go_on(now_it->s);
  for (size_t i = 0; i < parcel.count; i++)
    close(parcel.fds[i]);
  const size_t len = parcel.len;
  unsigned refused = 0;
  for (size_t i = (size_t)_i; i < 8 * len; i += 4 * 11)
    refused += load_altered(flip_it, i) != NULL;
  ck_assert_uint_gt(refused, 10);
  close(fds[0]);
  disconnect_securely();
}
END_TEST

static void forget_one(size_t i)
{
  (void)i;
  close(parcel.fds[--parcel.count]);
}

static void add_one(size_t i)
{
  (void)i;
  parcel.fds[parcel.count] = fcntl(parcel.fds[0], F_DUPFD_CLOEXEC, 0);
  parcel.count++;
}

static void swap_two(size_t i)
{
  (void)i;
  const int fd = parcel.fds[0];
  parcel.fds[0] = parcel.fds[1];
  parcel.fds[1] = fd;
}

static void leave_it(size_t i)
{
  (void)i;
}

/* Nobody gets what is another's. */
START_TEST(test_other_sockets)
{
  const int one = connect_to("198.51.100.1:1000", STREAM_TCP),
            two = connect_to("198.51.100.1:1001", STREAM_TCP);
  ck_assert_str_eq(load_altered(forget_one, 0), "there are fewer sockets than connections");
  ck_assert_str_eq(load_altered(add_one, 0), "there are more sockets than connections");
  ck_assert_str_eq(load_altered(swap_two, 0), "a connection's socket is another one's");
  config.end_fd = 3; /* for who comes; who is there stays */
  ck_assert_ptr_null(load_altered(leave_it, 0));
  ck_assert(is_open(one) && is_open(two));
  close(one);
  close(two);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("moving");
  TCase *tc = tcase_create("moving");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_tcp_at_each_byte);
  tcase_add_loop_test(tc, test_tls_at_each_byte, 0, 2);
  tcase_add_loop_test(tc, test_what_waits, 0, 3);
  tcase_add_test(tc, test_ages);
  tcase_add_test(tc, test_allocations);
  tcase_add_test(tc, test_closing);
  tcase_add_loop_test(tc, test_closing_securely, 0, 2);
  tcase_add_test(tc, test_arrivals);
  tcase_add_test(tc, test_handshakes_are_left);
  tcase_add_test(tc, test_without_certificate);
  tcase_add_test(tc, test_halted);
  tcase_add_test(tc, test_random);
  tcase_add_loop_test(tc, test_truncated, 0, 2);
  tcase_add_loop_test(tc, test_altered, 0, 4);
  tcase_add_test(tc, test_other_sockets);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
