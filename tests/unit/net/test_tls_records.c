/* SPDX-License-Identifier: Apache-2.0 */
/* Records of both versions: both sides against each other, cut at every place, and what no record may be. What TLS 1.3 alone has is in test_tls_records_13.c;
 * mbedTLS is the other side in test_tls_server.c. */
#include "records_rig.h"
#include "testing.h"

START_TEST(test_sizes)
{
  static const size_t sizes[] = {1, 15, 16, 17, 1284, NET_TLS_RECORD};
  rig_start(_i);
  for (unsigned round = 0; round < 2; round++)
    for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
      rig_write(client, sizes[k]);
      rig_read(server, sizes[k], sizeof seen);
      rig_write(server, sizes[k]);
      rig_read(client, sizes[k], 1000);
    }
  /* More than a record holds. */
  ck_assert_int_eq(net_tls_records_write(client, &io, data, NET_TLS_RECORD + 1), NET_TLS_RECORD);
  rig_read(server, NET_TLS_RECORD, 5000);
  rig_stop();
}
END_TEST

/* A client that has asked for short records gets no others, however the socket takes them. */
START_TEST(test_most)
{
  enum { MOST = 512 };
  const size_t whole = rig_whole(_i, MOST);
  net_tls_agreed agreed = rig_agreed(_i, true);
  agreed.most = MOST;
  rig_start(_i);
  net_tls_records_free(server);
  server = net_tls_records_new(&agreed);
  ck_assert_ptr_nonnull(server);
  for (size_t sent = 0; sent < 3 * MOST;) {
    const ssize_t n = net_tls_records_write(server, &io, data + sent, 4 * MOST - sent);
    ck_assert(n == MOST || n == NET_TLS_WANT_WRITE);
    wire.room = sent ? sizeof wire.data / 2 : 100;
    sent += n > 0 ? (size_t)n : 0;
  }
  ck_assert_uint_eq(wire.to, 3 * whole);
  for (unsigned i = 0; i < 3; i++) {
    ck_assert_int_eq(net_tls_records_read(client, &io, seen + (size_t)i * MOST, sizeof seen / 2), MOST);
    ck_assert_uint_eq(wire.from, (i + 1) * whole);
  }
  ck_assert_mem_eq(seen, data, 3 * MOST);
  rig_stop();
}
END_TEST

/* Two records, of which the first |cut| bytes come before the others. */
START_TEST(test_cuts)
{
  enum { LEN = 100 };
  size_t whole = 0;
  for (size_t cut = 0; cut <= whole; cut++) {
    size_t got = 0;
    rig_start(_i);
    rig_write(client, LEN);
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
    rig_stop();
  }
}
END_TEST

/* The socket takes a record in pieces: the write is repeated until it is done, and then counts. */
START_TEST(test_blocked)
{
  enum { LEN = 3000 };
  rig_start(_i);
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
    rig_read(server, LEN, sizeof seen);
  }
  wire.broken = true;
  ck_assert_int_eq(net_tls_records_write(client, &io, data, LEN), NET_TLS_FAILED);
  rig_stop();
}
END_TEST

/* An alert that could not go out at once goes before the data that is written then. */
START_TEST(test_alert_blocked)
{
  rig_start(_i);
  wire.room = 10;
  net_tls_records_close(client, &io);
  ck_assert_int_eq(net_tls_records_write(client, &io, data, 100), NET_TLS_WANT_WRITE);
  wire.room = sizeof wire.data / 2;
  rig_write(client, 100);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  rig_stop();
}
END_TEST

/* Each direction begins with the number that it was given, and with no other. */
START_TEST(test_numbers)
{
  static const uint64_t in = 2, out = 0x10000000000;
  net_tls_agreed agreed = rig_agreed(_i, true), theirs = rig_agreed(_i, false);
  agreed.in = theirs.out = in;
  agreed.out = theirs.in = out;
  rig_start(_i);
  net_tls_records_free(server);
  server = net_tls_records_new(&agreed);
  ck_assert_ptr_nonnull(server);
  net_tls_records_free(client);
  client = net_tls_records_new(&theirs);
  ck_assert_ptr_nonnull(client);
  for (unsigned round = 0; round < 2; round++) {
    rig_write(server, 100);
    rig_read(client, 100, sizeof seen);
    rig_write(client, 100);
    rig_read(server, 100, sizeof seen);
  }
  rig_stop();
  rig_start(_i);
  net_tls_records_free(server);
  server = net_tls_records_new(&agreed);
  ck_assert_ptr_nonnull(server);
  rig_write(client, 100); /* as another number */
  rig_fails("a record that was changed on its way");
  rig_stop();
}
END_TEST

START_TEST(test_end)
{
  rig_start(_i);
  rig_write(client, 10);
  net_tls_records_close(client, &io);
  rig_write(client, 10);
  rig_read(server, 10, sizeof seen);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  rig_stop();
}
END_TEST

/* Each bit of a record. */
START_TEST(test_changed)
{
  enum { LEN = 20 };
  const size_t whole = rig_whole(_i, LEN);
  for (size_t bit = 0; bit < whole * 8; bit++) {
    rig_start(_i);
    rig_write(client, LEN);
    ck_assert_uint_eq(wire.to, whole);
    wire.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    const ssize_t n = net_tls_records_read(server, &io, seen, sizeof seen);
    /* One that says it is longer is waited for. */
    ck_assert_msg(n == NET_TLS_FAILED || n == NET_TLS_WANT_READ, "bit %zu: %zd", bit, n);
    ck_assert(n == NET_TLS_FAILED || bit / 8 == 3 || bit / 8 == 4);
    rig_stop();
  }
}
END_TEST

START_TEST(test_no_record)
{
  static const struct {
    uint8_t head[RIG_HEADER];
    const char *error;
    uint8_t alert;
  } cases[] = {{{23, 3, 4, 0, 100}, "a record of another version", 70},
               {{'G', 'E', 'T', ' ', '/'}, "a record of another version", 70},
               {{23, 3, 3, 0, 0}, "a record that is too short", 50},
               {{23, 3, 3, 0xff, 0xff}, "a record that is too long", 22}};
  for (int i = 0; i < RIG_CASES; i++) {
    rig_start(i);
    memcpy(wire.data, cases[_i].head, RIG_HEADER);
    wire.to = RIG_HEADER;
    rig_refused(i, cases[_i].error, cases[_i].alert);
    rig_stop();
  }
}
END_TEST

/* The shortest and the longest record that may be, by its header, and those beyond. */
START_TEST(test_bounds)
{
  const bool is_13 = rig_version(_i) == NET_TLS_13;
  const size_t least = rig_whole(_i, 0) - RIG_HEADER - is_13, most = NET_TLS_RECORD + (is_13 ? 256 : least);
  const size_t lens[] = {least - 1, least, most, most + 1};
  for (unsigned k = 0; k < 4; k++) {
    rig_start(_i);
    const uint8_t head[RIG_HEADER] = {23, 3, 3, (uint8_t)(lens[k] >> 8), (uint8_t)lens[k]};
    memcpy(wire.data, head, sizeof head);
    wire.to = sizeof head;
    if (k == 0)
      rig_refused(_i, "a record that is too short", 50);
    else if (k == 3)
      rig_refused(_i, "a record that is too long", 22);
    else
      ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
    rig_stop();
  }
}
END_TEST

/* A record twice, and one that was left out. */
START_TEST(test_order)
{
  const int i = _i / 2;
  rig_start(i);
  rig_write(client, 10);
  const size_t len = wire.to;
  if (_i & 1) {
    memcpy(wire.data + len, wire.data, len);
    wire.to = 2 * len;
    rig_read(server, 10, sizeof seen);
  } else {
    rig_write(client, 10);
    wire.from = len;
  }
  rig_refused(i, "a record that was changed on its way", 20);
  rig_stop();
}
END_TEST

/* Nothing and warnings are borne, but not many of them in a row. */
START_TEST(test_nothing)
{
  static const uint8_t warning[] = {1, 90};
  const bool is_warning = _i & 1;
  const int i = _i / 2;
  unsigned number = rig_version(i) == NET_TLS_12;
  rig_start(i);
  for (unsigned round = 0; round < 4; round++) {
    for (unsigned k = 0; k < (round < 3 ? 3 : 4); k++)
      rig_put_record(i, is_warning ? 21 : 23, warning, is_warning ? sizeof warning : 0, 0, number++);
    if (round == 3)
      break;
    rig_put_record(i, 23, data, 50, 0, number++);
    const size_t end = wire.to;
    rig_read(server, 50, sizeof seen);
    ck_assert_uint_eq(wire.to, end); /* none is answered */
    rig_write(server, 10);
    rig_read(client, 10, sizeof seen);
    wire.from = wire.to = 0;
  }
  rig_fails("too many records with nothing in them");
  rig_stop();
}
END_TEST

/* TLS 1.2: requests for another handshake are answered, but not many of them. */
START_TEST(test_requests)
{
  static const uint8_t hello[] = {1, 0, 0, 0};
  unsigned number = 1;
  rig_start(_i);
  for (unsigned round = 0; round < 3; round++) {
    rig_put_record(_i, 22, hello, sizeof hello, 0, number++);
    rig_put_record(_i, 23, data, 50, 0, number++);
    const size_t end = wire.to;
    rig_read(server, 50, sizeof seen);
    ck_assert_uint_eq(wire.to - end, rig_whole(_i, 2));
    wire.from = end;
    rig_write(server, 10);
    rig_read(client, 10, sizeof seen);
    wire.from = wire.to = 0;
  }
  rig_put_record(_i, 22, hello, sizeof hello, 0, number++);
  rig_refused(_i, "too many requests for another handshake", 10);
  rig_stop();
}
END_TEST

START_TEST(test_other_types)
{
  static const uint8_t fatal[] = {2, 40};
  for (int i = 0; i < RIG_CASES; i++) {
    const unsigned number = rig_version(i) == NET_TLS_12;
    rig_start(i);
    switch (_i) {
    case 0:
      rig_put_record(i, 20, fatal, 1, 0, number);
      rig_refused(i, "a record of an unexpected type", 10);
      break;
    case 1:
      rig_put_record(i, 21, fatal, 1, 0, number);
      rig_refused(i, "an alert that is none", 50);
      break;
    default:
      rig_put_record(i, 21, fatal, 2, 0, number);
      rig_fails("the other side ended it with an alert");
    }
    rig_stop();
  }
}
END_TEST

/* ---- as bytes ---- */

/* Who reads is another one after each byte that has come. */
START_TEST(test_moves_at_each_byte_that_comes)
{
  enum { LEN = 300 };
  size_t got = 0;
  rig_start(_i);
  rig_write(client, LEN);
  rig_write(client, 1);
  for (wire.readable = 0; wire.readable <= wire.to; wire.readable++) {
    ssize_t n;
    while ((n = net_tls_records_read(server, &io, seen + got, sizeof seen - got)) > 0)
      got += (size_t)n;
    ck_assert_int_eq(n, NET_TLS_WANT_READ);
    rig_move(&server);
  }
  ck_assert_uint_eq(got, LEN + 1);
  ck_assert_mem_eq(seen, data, LEN);
  ck_assert_uint_eq(seen[LEN], data[0]);
  wire.readable = sizeof wire.data;
  rig_write(server, 70);
  rig_move(&client);
  rig_read(client, 70, 1000);
  rig_stop();
}
END_TEST

/* Who writes is another one after each byte that has gone out. */
START_TEST(test_moves_at_each_byte_that_goes)
{
  enum { LEN = 300 };
  rig_start(_i);
  wire.room = 0;
  for (unsigned round = 0; round < 2; round++) {
    ssize_t n;
    ck_assert_uint_eq(net_tls_records_begun(server), 0);
    while ((n = net_tls_records_write(server, &io, data, LEN)) == NET_TLS_WANT_WRITE) {
      ck_assert_uint_eq(net_tls_records_begun(server), LEN);
      rig_move(&server);
      wire.room = 1;
    }
    ck_assert_int_eq(n, LEN);
    wire.room = 0;
    rig_read(client, LEN, sizeof seen);
  }
  rig_stop();
}
END_TEST

/* What was decrypted and not read goes along, as does an alert that has begun to go out. */
START_TEST(test_moves_what_is_left)
{
  rig_start(_i);
  rig_write(client, 5000);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, 1200), 1200);
  ck_assert(net_tls_records_pending(server));
  rig_move(&server);
  ck_assert(net_tls_records_pending(server));
  ck_assert_int_eq(net_tls_records_read(server, &io, seen + 1200, sizeof seen), 3800);
  ck_assert_mem_eq(seen, data, 5000);
  wire.room = 3;
  net_tls_records_close(server, &io);
  rig_move(&server);
  ck_assert_uint_eq(net_tls_records_begun(server), 0);
  wire.room = sizeof wire.data;
  rig_write(server, 40);
  ck_assert_int_eq(net_tls_records_read(client, &io, seen, sizeof seen), 0);
  /* What the client has ended stays ended. */
  wire.from = wire.to;
  net_tls_records_close(client, &io);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  rig_move(&server);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
  rig_stop();
}
END_TEST

START_TEST(test_what_failed_is_not_saved)
{
  rig_start(_i);
  rig_write(client, 10);
  wire.data[20] ^= 1;
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_FAILED);
  ck_assert(!net_tls_records_can_be_saved(server));
  rig_stop();
}
END_TEST

/* Whatever becomes of the bytes: they can be read, and then be used, or they can't. */
START_TEST(test_saved_and_altered)
{
  rig_start(_i);
  rig_write(client, 300);
  wire.readable = wire.to - 1;
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
  wire.room = 100;
  ck_assert_int_eq(net_tls_records_write(server, &io, data, 300), NET_TLS_WANT_WRITE);
  rig_save(server);
  rig_copies = true;
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
  rig_stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("tls_records");
  TCase *tc = tcase_create("tls_records");
  tcase_add_loop_test(tc, test_sizes, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_most, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_cuts, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_blocked, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_alert_blocked, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_numbers, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_end, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_changed, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_no_record, 0, 4);
  tcase_add_loop_test(tc, test_bounds, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_order, 0, 2 * RIG_CASES);
  tcase_add_loop_test(tc, test_nothing, 0, 2 * RIG_CASES);
  tcase_add_loop_test(tc, test_requests, 0, 3);
  tcase_add_loop_test(tc, test_other_types, 0, 3);
  tcase_add_loop_test(tc, test_moves_at_each_byte_that_comes, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_moves_at_each_byte_that_goes, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_moves_what_is_left, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_what_failed_is_not_saved, 0, RIG_CASES);
  tcase_add_loop_test(tc, test_saved_and_altered, 0, RIG_CASES);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
