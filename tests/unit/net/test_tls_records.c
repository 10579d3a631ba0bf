/* SPDX-License-Identifier: Apache-2.0 */
/* The records of TLS 1.2: both sides against each other, cut at every place, and what no record may be. mbedTLS is the other side in test_tls_server.c. */
#include "net/tls_records.h"
#include "testing.h"

#define HEADER   5u
#define EXPLICIT 8u

/* What the last one who wrote has written, and how much of it the other one may read. */
static struct wire {
  uint8_t data[200000];
  size_t from, to;
  size_t readable; /* up to here */
  size_t room;     /* that may be written still */
  bool broken;
} wire;

static net_tls_records *client, *server;
static const uint8_t keys[NET_TLS_KEYS_MAX] = {1, 2, 3, 4, 5};
static uint8_t data[50000], seen[50000];

static ssize_t on_send(void *ctx, const uint8_t *bytes, size_t len)
{
  (void)ctx;
  if (wire.broken)
    return NET_TLS_FAILED;
  const size_t n = len < wire.room ? len : wire.room;
  memcpy(wire.data + wire.to, bytes, n);
  wire.to += n;
  wire.room -= n;
  return n ? (ssize_t)n : NET_TLS_WANT_WRITE;
}

static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  (void)ctx;
  const size_t end = wire.readable < wire.to ? wire.readable : wire.to;
  const size_t left = wire.from < end ? end - wire.from : 0, n = left < cap ? left : cap;
  memcpy(out, wire.data + wire.from, n);
  wire.from += n;
  return n ? (ssize_t)n : NET_TLS_WANT_READ;
}

static const net_tls_io io = {NULL, on_send, on_recv};

static void start(net_aead_kind kind)
{
  net_tls_agreed agreed = {.kind = kind, .keys = keys, .most = NET_TLS_RECORD, .in = 1, .out = 1};
  wire = (struct wire){.room = sizeof wire.data, .readable = sizeof wire.data};
  client = net_tls_records_new(&agreed);
  agreed.server = true;
  server = net_tls_records_new(&agreed);
  ck_assert(client && server);
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)(i * 7 + i / 256);
}

static void stop(void)
{
  net_tls_records_free(client);
  net_tls_records_free(server);
}

static void write_all(net_tls_records *r, size_t len)
{
  ck_assert_int_eq(net_tls_records_write(r, &io, data, len), (ssize_t)len);
}

/* Reads up to |len| bytes, |cap| at a time, and compares. */
static void read_all(net_tls_records *r, size_t len, size_t cap)
{
  size_t got = 0;
  while (got < len) {
    const ssize_t n = net_tls_records_read(r, &io, seen + got, cap);
    ck_assert_int_gt(n, 0);
    got += (size_t)n;
  }
  ck_assert_uint_eq(got, len);
  ck_assert_mem_eq(seen, data, len);
  ck_assert(!net_tls_records_pending(r));
}

/* The server refuses what comes, for good. */
static void fails(const char *error)
{
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_FAILED);
  ck_assert_str_eq(net_tls_records_error(server), error);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_FAILED);
}

/* Likewise, and it says so with |alert|. */
static void refused(const char *error, uint8_t alert)
{
  enum { LEN = HEADER + EXPLICIT + 2 + NET_AEAD_TAG };
  uint8_t out[32];
  fails(error);
  wire.from = wire.to - LEN;
  ck_assert_int_eq(net_tls_records_read(client, &io, out, sizeof out), NET_TLS_FAILED);
  ck_assert_str_eq(net_tls_records_error(client), "the other side ended it with an alert");
  ck_assert_uint_eq(out[0], 2);
  ck_assert_uint_eq(out[1], alert);
}

START_TEST(test_sizes)
{
  static const net_aead_kind kinds[] = {NET_AEAD_AES_128_GCM, NET_AEAD_AES_256_GCM,
                                        NET_AEAD_CHACHA20_POLY1305};
  static const size_t sizes[] = {1, 15, 16, 17, 1284, NET_TLS_RECORD};
  start(kinds[_i]);
  for (unsigned round = 0; round < 2; round++)
    for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
      write_all(client, sizes[k]);
      read_all(server, sizes[k], sizeof seen);
      write_all(server, sizes[k]);
      read_all(client, sizes[k], 1000);
    }
  /* More than a record holds. */
  ck_assert_int_eq(net_tls_records_write(client, &io, data, NET_TLS_RECORD + 1), NET_TLS_RECORD);
  read_all(server, NET_TLS_RECORD, 5000);
  stop();
}
END_TEST

/* A client that has asked for short records gets no others, however the socket takes them. */
START_TEST(test_most)
{
  enum { MOST = 512, WHOLE = HEADER + EXPLICIT + MOST + NET_AEAD_TAG };
  const net_tls_agreed agreed = {
      .kind = NET_AEAD_AES_128_GCM, .keys = keys, .server = true, .most = MOST, .in = 1, .out = 1};
  start(NET_AEAD_AES_128_GCM);
  net_tls_records_free(server);
  server = net_tls_records_new(&agreed);
  ck_assert_ptr_nonnull(server);
  for (size_t sent = 0; sent < 3 * MOST;) {
    const ssize_t n = net_tls_records_write(server, &io, data + sent, 4 * MOST - sent);
    ck_assert(n == MOST || n == NET_TLS_WANT_WRITE);
    wire.room = sent ? sizeof wire.data / 2 : 100;
    sent += n > 0 ? (size_t)n : 0;
  }
  ck_assert_uint_eq(wire.to, 3 * WHOLE);
  for (unsigned i = 0; i < 3; i++) {
    ck_assert_int_eq(net_tls_records_read(client, &io, seen + (size_t)i * MOST, sizeof seen / 2), MOST);
    ck_assert_uint_eq(wire.from, (i + 1) * WHOLE);
  }
  ck_assert_mem_eq(seen, data, 3 * MOST);
  stop();
}
END_TEST

/* Two records, of which the first |cut| bytes come before the others. */
START_TEST(test_cuts)
{
  enum { LEN = 100 };
  size_t whole = 0;
  for (size_t cut = 0; cut <= whole; cut++) {
    size_t got = 0;
    start(_i ? NET_AEAD_CHACHA20_POLY1305 : NET_AEAD_AES_128_GCM);
    write_all(client, LEN);
    ck_assert_int_eq(net_tls_records_write(client, &io, data + LEN, LEN), LEN);
    whole = wire.to;
    for (unsigned turn = 0; turn < 2; turn++) {
      wire.readable = turn ? whole : cut;
      ssize_t n;
      while ((n = net_tls_records_read(server, &io, seen + got, sizeof seen - got)) > 0)
        got += (size_t)n;
      ck_assert_int_eq(n, NET_TLS_WANT_READ);
    }
    ck_assert_uint_eq(got, 2 * LEN);
    ck_assert_mem_eq(seen, data, got);
    stop();
  }
}
END_TEST

/* The socket takes a record in pieces: the write is repeated until it is done, and then counts. */
START_TEST(test_blocked)
{
  enum { LEN = 3000 };
  start(NET_AEAD_AES_128_GCM);
  for (unsigned round = 0; round < 2; round++) {
    wire.room = 0;
    unsigned blocked = 0;
    ssize_t n;
    while ((n = net_tls_records_write(client, &io, data, LEN)) == NET_TLS_WANT_WRITE) {
      wire.room = 100;
      blocked++;
      /* Nothing comes between. */
      net_tls_records_close(client, &io);
    }
    ck_assert_int_eq(n, LEN);
    ck_assert_uint_ge(blocked, LEN / 100);
    read_all(server, LEN, sizeof seen);
  }
  wire.broken = true;
  ck_assert_int_eq(net_tls_records_write(client, &io, data, LEN), NET_TLS_FAILED);
  stop();
}
END_TEST

/* An alert that could not go out at once goes before the data that is written then. */
START_TEST(test_alert_blocked)
{
  start(NET_AEAD_AES_128_GCM);
  wire.room = 10;
  net_tls_records_close(client, &io);
  ck_assert_int_eq(net_tls_records_write(client, &io, data, 100), NET_TLS_WANT_WRITE);
  wire.room = sizeof wire.data / 2;
  write_all(client, 100);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  stop();
}
END_TEST

/* Each direction begins with the number that it was given, and with no other. */
START_TEST(test_numbers)
{
  static const uint64_t in = 2, out = 0x10000000000;
  const net_tls_agreed agreed = {.kind = _i ? NET_AEAD_CHACHA20_POLY1305 : NET_AEAD_AES_128_GCM,
                                 .keys = keys,
                                 .server = true,
                                 .most = NET_TLS_RECORD,
                                 .in = in,
                                 .out = out},
                       theirs = {
                           .kind = agreed.kind, .keys = keys, .most = NET_TLS_RECORD, .in = out, .out = in};
  start(agreed.kind);
  net_tls_records_free(server);
  server = net_tls_records_new(&agreed);
  ck_assert_ptr_nonnull(server);
  net_tls_records_free(client);
  client = net_tls_records_new(&theirs);
  ck_assert_ptr_nonnull(client);
  for (unsigned round = 0; round < 2; round++) {
    write_all(server, 100);
    read_all(client, 100, sizeof seen);
    write_all(client, 100);
    read_all(server, 100, sizeof seen);
  }
  stop();
  start(agreed.kind);
  net_tls_records_free(server);
  server = net_tls_records_new(&agreed);
  ck_assert_ptr_nonnull(server);
  write_all(client, 100); /* as number 1 */
  fails("a record that was changed on its way");
  stop();
}
END_TEST

START_TEST(test_end)
{
  start(NET_AEAD_AES_128_GCM);
  write_all(client, 10);
  net_tls_records_close(client, &io);
  write_all(client, 10);
  read_all(server, 10, sizeof seen);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  stop();
}
END_TEST

/* Each bit of a record. */
START_TEST(test_changed)
{
  enum { LEN = 20, WHOLE = HEADER + EXPLICIT + LEN + NET_AEAD_TAG };
  for (size_t bit = 0; bit < WHOLE * 8u; bit++) {
    start(NET_AEAD_AES_128_GCM);
    write_all(client, LEN);
    ck_assert_uint_eq(wire.to, WHOLE);
    wire.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const ssize_t n = net_tls_records_read(server, &io, seen, sizeof seen);
    /* One that says it is longer is waited for. */
    ck_assert_msg(n == NET_TLS_FAILED || n == NET_TLS_WANT_READ, "bit %zu: %zd", bit, n);
    ck_assert(n == NET_TLS_FAILED || bit / 8 == 3 || bit / 8 == 4);
    stop();
  }
}
END_TEST

START_TEST(test_no_record)
{
  static const struct {
    uint8_t head[HEADER];
    const char *error;
    uint8_t alert;
  } cases[] = {{{23, 3, 4, 0, 100}, "a record of another version", 70},
               {{'G', 'E', 'T', ' ', '/'}, "a record of another version", 70},
               {{23, 3, 3, 0, EXPLICIT + NET_AEAD_TAG - 1}, "a record that is too short", 50},
               {{23, 3, 3, 0, 0}, "a record that is too short", 50},
               {{23, 3, 3, 0x40, EXPLICIT + NET_AEAD_TAG + 1}, "a record that is too long", 22},
               {{23, 3, 3, 0xff, 0xff}, "a record that is too long", 22}};
  start(NET_AEAD_AES_128_GCM);
  memcpy(wire.data, cases[_i].head, HEADER);
  wire.to = HEADER;
  refused(cases[_i].error, cases[_i].alert);
  stop();
}
END_TEST

/* A record twice, and one that was left out. */
START_TEST(test_order)
{
  start(NET_AEAD_AES_128_GCM);
  write_all(client, 10);
  const size_t len = wire.to;
  if (_i) {
    memcpy(wire.data + len, wire.data, len);
    wire.to = 2 * len;
    read_all(server, 10, sizeof seen);
  } else {
    write_all(client, 10);
    wire.from = len;
  }
  refused("a record that was changed on its way", 20);
  stop();
}
END_TEST

/* Makes what is on the wire of another type, with the same keys: it takes a side of its own that has counted as far. */
static void put_record(uint8_t type, const uint8_t *body, size_t len, unsigned number)
{
  net_aead *a = net_aead_new(NET_AEAD_AES_128_GCM, keys);
  uint8_t *at = wire.data + wire.to;
  uint8_t nonce[NET_AEAD_NONCE] = {0}, aad[13] = {0};
  memcpy(nonce, keys + 32, 4);
  nonce[11] = aad[7] = (uint8_t)number;
  aad[8] = at[0] = type;
  aad[9] = aad[10] = at[1] = at[2] = 3;
  aad[12] = (uint8_t)len;
  at[3] = 0;
  at[4] = (uint8_t)(EXPLICIT + len + NET_AEAD_TAG);
  memcpy(at + HEADER, nonce + 4, EXPLICIT);
  ck_assert(net_aead_seal(a, nonce, aad, sizeof aad, body, len, at + HEADER + EXPLICIT,
                          at + HEADER + EXPLICIT + len));
  net_aead_free(a);
  wire.to += HEADER + EXPLICIT + len + NET_AEAD_TAG;
}

/* Nothing and warnings are borne, but not many of them in a row; requests for another handshake, but not many at all. */
START_TEST(test_nothing)
{
  static const uint8_t warning[] = {1, 90}, hello[] = {1, 0, 0, 0};
  static const struct {
    uint8_t type;
    const uint8_t *body;
    size_t len;
  } kinds[] = {{23, hello, 0}, {21, warning, sizeof warning}, {22, hello, sizeof hello}};
  const bool is_request = kinds[_i].type == 22;
  unsigned number = 1;
  start(NET_AEAD_AES_128_GCM);
  for (unsigned round = 0; round < 3; round++) {
    for (unsigned i = 0; i < (is_request ? 1 : 3); i++)
      put_record(kinds[_i].type, kinds[_i].body, kinds[_i].len, number++);
    put_record(23, data, 50, number++);
    const size_t end = wire.to;
    read_all(server, 50, sizeof seen);
    /* Each such request was answered. */
    ck_assert_uint_eq(wire.to - end, is_request ? HEADER + EXPLICIT + 2 + NET_AEAD_TAG : 0);
    wire.from = end;
    write_all(server, 10);
    read_all(client, 10, sizeof seen);
    wire.from = wire.to = 0;
  }
  for (unsigned i = 0; i < (is_request ? 1 : 4); i++)
    put_record(kinds[_i].type, kinds[_i].body, kinds[_i].len, number++);
  if (is_request)
    refused("too many requests for another handshake", 10);
  else
    fails("too many records with nothing in them");
  stop();
}
END_TEST

START_TEST(test_other_types)
{
  static const uint8_t fatal[] = {2, 40};
  start(NET_AEAD_AES_128_GCM);
  switch (_i) {
  case 0:
    put_record(20, fatal, 1, 1);
    refused("a record of an unexpected type", 10);
    break;
  case 1:
    put_record(21, fatal, 1, 1);
    refused("an alert that is none", 50);
    break;
  default:
    put_record(21, fatal, 2, 1);
    ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_FAILED);
    ck_assert_str_eq(net_tls_records_error(server), "the other side ended it with an alert");
  }
  stop();
}
END_TEST

/* ---- as bytes ---- */

static struct saved {
  uint8_t data[40000];
  size_t len;
} saved;

static void put(void *ctx, const void *bytes, size_t len)
{
  (void)ctx;
  ck_assert_uint_le(len, sizeof saved.data - saved.len);
  memcpy(saved.data + saved.len, bytes, len);
  saved.len += len;
}

static void save(const net_tls_records *r)
{
  saved.len = 0;
  ck_assert(net_tls_records_can_be_saved(r));
  net_tls_records_save(r, put, NULL);
  ck_assert_uint_eq(saved.len, net_tls_records_saved_len(r));
}

/* Another one goes on in its place. */
static void move(net_tls_records **r)
{
  save(*r);
  net_tls_records_free(*r);
  *r = net_tls_records_load(saved.data, saved.len);
  ck_assert_ptr_nonnull(*r);
}

static const net_aead_kind all_kinds[] = {NET_AEAD_AES_128_GCM, NET_AEAD_AES_256_GCM,
                                          NET_AEAD_CHACHA20_POLY1305};

/* Who reads is another one after each byte that has come. */
START_TEST(test_moves_at_each_byte_that_comes)
{
  enum { LEN = 300 };
  size_t got = 0;
  start(all_kinds[_i]);
  write_all(client, LEN);
  write_all(client, 1);
  for (wire.readable = 0; wire.readable <= wire.to; wire.readable++) {
    ssize_t n;
    while ((n = net_tls_records_read(server, &io, seen + got, sizeof seen - got)) > 0)
      got += (size_t)n;
    ck_assert_int_eq(n, NET_TLS_WANT_READ);
    move(&server);
  }
  ck_assert_uint_eq(got, LEN + 1);
  ck_assert_mem_eq(seen, data, LEN);
  ck_assert_uint_eq(seen[LEN], data[0]);
  wire.readable = sizeof wire.data;
  write_all(server, 70);
  move(&client);
  read_all(client, 70, 1000);
  stop();
}
END_TEST

/* Who writes is another one after each byte that has gone out. */
START_TEST(test_moves_at_each_byte_that_goes)
{
  enum { LEN = 300 };
  start(all_kinds[_i]);
  wire.room = 0;
  for (unsigned round = 0; round < 2; round++) {
    ssize_t n;
    ck_assert_uint_eq(net_tls_records_begun(server), 0);
    while ((n = net_tls_records_write(server, &io, data, LEN)) == NET_TLS_WANT_WRITE) {
      ck_assert_uint_eq(net_tls_records_begun(server), LEN);
      move(&server);
      wire.room = 1;
    }
    ck_assert_int_eq(n, LEN);
    wire.room = 0;
    read_all(client, LEN, sizeof seen);
  }
  stop();
}
END_TEST

/* What was decrypted and not read goes along, as does an alert that has begun to go out. */
START_TEST(test_moves_what_is_left)
{
  start(all_kinds[_i]);
  write_all(client, 5000);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, 1200), 1200);
  ck_assert(net_tls_records_pending(server));
  move(&server);
  ck_assert(net_tls_records_pending(server));
  ck_assert_int_eq(net_tls_records_read(server, &io, seen + 1200, sizeof seen), 3800);
  ck_assert_mem_eq(seen, data, 5000);
  wire.room = 3;
  net_tls_records_close(server, &io);
  move(&server);
  ck_assert_uint_eq(net_tls_records_begun(server), 0);
  wire.room = sizeof wire.data;
  write_all(server, 40);
  ck_assert_int_eq(net_tls_records_read(client, &io, seen, sizeof seen), 0);
  /* What the client has ended stays ended. */
  wire.from = wire.to;
  net_tls_records_close(client, &io);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  move(&server);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  stop();
}
END_TEST

START_TEST(test_what_failed_is_not_saved)
{
  start(NET_AEAD_AES_128_GCM);
  write_all(client, 10);
  wire.data[20] ^= 1;
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_FAILED);
  ck_assert(!net_tls_records_can_be_saved(server));
  stop();
}
END_TEST

/* Whatever becomes of the bytes: they can be read, and then be used, or they can't. */
START_TEST(test_saved_and_altered)
{
  start(all_kinds[_i]);
  write_all(client, 300);
  wire.readable = wire.to - 1;
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
  wire.room = 100;
  ck_assert_int_eq(net_tls_records_write(server, &io, data, 300), NET_TLS_WANT_WRITE);
  save(server);
  wire.readable = sizeof wire.data;
  for (size_t len = 0; len < saved.len; len++)
    ck_assert_ptr_null(net_tls_records_load(saved.data, len));
  for (size_t i = 0; i < saved.len; i++)
    for (unsigned bit = 0; bit < 8; bit++) {
      saved.data[i] ^= (uint8_t)(1u << bit);
      net_tls_records *r = net_tls_records_load(saved.data, saved.len);
      saved.data[i] ^= (uint8_t)(1u << bit);
      if (!r)
        continue;
      wire.room = 1000;
      wire.to = 50000;
      wire.from = 49000;
      ck_assert_int_ge(net_tls_records_read(r, &io, seen, sizeof seen), NET_TLS_FAILED);
      ck_assert_uint_le(net_tls_records_begun(r), NET_TLS_RECORD);
      net_tls_records_write(r, &io, data, 300);
      net_tls_records_free(r);
    }
  stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("tls_records");
  TCase *tc = tcase_create("tls_records");
  tcase_add_loop_test(tc, test_sizes, 0, 3);
  tcase_add_test(tc, test_most);
  tcase_add_loop_test(tc, test_cuts, 0, 2);
  tcase_add_test(tc, test_blocked);
  tcase_add_test(tc, test_alert_blocked);
  tcase_add_loop_test(tc, test_numbers, 0, 2);
  tcase_add_test(tc, test_end);
  tcase_add_test(tc, test_changed);
  tcase_add_loop_test(tc, test_no_record, 0, 6);
  tcase_add_loop_test(tc, test_order, 0, 2);
  tcase_add_loop_test(tc, test_nothing, 0, 3);
  tcase_add_loop_test(tc, test_other_types, 0, 3);
  tcase_add_loop_test(tc, test_moves_at_each_byte_that_comes, 0, 3);
  tcase_add_loop_test(tc, test_moves_at_each_byte_that_goes, 0, 3);
  tcase_add_loop_test(tc, test_moves_what_is_left, 0, 3);
  tcase_add_test(tc, test_what_failed_is_not_saved);
  tcase_add_loop_test(tc, test_saved_and_altered, 0, 3);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
