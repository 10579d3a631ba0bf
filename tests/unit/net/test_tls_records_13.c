/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS 1.3 alone has in records: changes of keys both ways, messages in parts, padding, types within records, alerts that are errors. */
#include "net/tls_records_internal.h"
#include "records_rig.h"
#include "testing.h"

/* The cases of TLS 1.3. */
#define FIRST       3
#define MESSAGE_LEN 5

static const uint8_t wanted[] = {24, 0, 0, 1, 1}, not_wanted[] = {24, 0, 0, 1, 0};

/* |r| writes |len| bytes, and |to| reads them. Returns how much that was on the wire. */
static size_t talk(net_tls_records *r, net_tls_records *to, size_t len)
{
  wire.from = wire.to = 0;
  rig_write(r, len);
  const size_t whole = wire.to;
  rig_read(to, len, sizeof seen);
  return whole;
}

static void talk_both_ways(void)
{
  for (unsigned round = 0; round < 3; round++) {
    talk(client, server, 100);
    talk(server, client, 5000);
  }
}

/* ---- changes of keys ---- */

/* The client has new keys, and asks for others of ours, or not: ours are announced before the next data, and with it. */
START_TEST(test_asked)
{
  for (unsigned asks = 0; asks < 2; asks++) {
    rig_start(_i);
    talk_both_ways();
    const size_t plain = rig_whole(_i, 100), with_keys = rig_whole(_i, MESSAGE_LEN) + plain;
    client->owes = true; /* of its own accord */
    wire.from = wire.to = 0;
    if (asks) {
      /* It has read many. */
      client->in.number = server->out.number = RENEW_AFTER;
      client->owes = false;
    }
    ck_assert_uint_eq(talk(client, server, 100), with_keys);
    ck_assert(server->owes == asks && client->asked == asks);
    ck_assert_uint_eq(server->in.number, 1);
    if (asks) {
      ck_assert_uint_eq(talk(client, server, 100), plain); /* once is enough */
      ck_assert_uint_eq(talk(server, client, 100), with_keys);
      ck_assert(!server->owes && !client->asked && !client->owes);
      ck_assert_uint_eq(client->in.number, 1);
    }
    ck_assert_uint_eq(talk(server, client, 100), plain);
    talk_both_ways();
    rig_stop();
  }
}
END_TEST

/* A client that is silent gets one answer to many of them (RFC 8446 section 4.6.3). */
START_TEST(test_asked_often)
{
  rig_start(_i);
  for (unsigned round = 0; round < 5; round++) {
    wire.from = wire.to = 0;
    for (unsigned i = 0; i < 3; i++) {
      /* Made with the client's present key. */
      const net_aead_kind kind = rig_kind(_i);
      uint8_t record[64];
      const size_t len =
          net_tls_flow_seal(&client->out, NET_TLS_HANDSHAKE, i ? not_wanted : wanted, MESSAGE_LEN, record);
      ck_assert_uint_eq(len, rig_whole(_i, MESSAGE_LEN));
      ck_assert(net_tls_flow_update(&client->out));
      ck_assert_uint_eq(net_aead_kind_of(client->out.aead), kind);
      memcpy(wire.data + wire.to, record, len);
      wire.to += len;
    }
    const size_t end = wire.to;
    ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
    ck_assert_uint_eq(wire.to, end);
    talk(client, server, 10);
    ck_assert_uint_eq(talk(server, client, 10), rig_whole(_i, MESSAGE_LEN) + rig_whole(_i, 10));
    ck_assert_uint_eq(talk(server, client, 10), rig_whole(_i, 10));
  }
  talk_both_ways();
  rig_stop();
}
END_TEST

/* A key is used for so many records, and then no more. */
START_TEST(test_renewed)
{
  rig_start(_i);
  for (unsigned round = 0; round < 3; round++) {
    server->out.number = client->in.number = RENEW_AFTER - 1;
    ck_assert_uint_eq(talk(server, client, 10), rig_whole(_i, 10));
    ck_assert_uint_eq(server->out.number, RENEW_AFTER);
    uint8_t before[NET_TLS_SECRET_MAX];
    memcpy(before, server->out.secret, sizeof before);
    ck_assert_uint_eq(talk(server, client, 10), rig_whole(_i, MESSAGE_LEN) + rig_whole(_i, 10));
    ck_assert(memcmp(before, server->out.secret, sizeof before) != 0);
    ck_assert_uint_eq(server->out.number, 1);
    ck_assert_uint_eq(client->in.number, 1);
    /* It was for our sake alone. */
    ck_assert(!client->owes);
    ck_assert_uint_eq(talk(client, server, 10), rig_whole(_i, 10));
  }
  rig_stop();
}
END_TEST

/* What the old key opened the new one does not, and the other way round. */
START_TEST(test_old_keys)
{
  rig_start(_i);
  rig_put_record(_i, NET_TLS_HANDSHAKE, not_wanted, MESSAGE_LEN, 0, 0);
  rig_put_record(_i, NET_TLS_DATA, data, 10, 0, 1);
  rig_refused(_i, "a record that was changed on its way", 20);
  rig_stop();
  rig_start(_i);
  ck_assert(net_tls_flow_update(&client->out));
  rig_write(client, 10);
  rig_refused(_i, "a record that was changed on its way", 20);
  rig_stop();
}
END_TEST

/* New keys and the data behind them, which a socket takes byte by byte, and which comes so. Both sides go on elsewhere at each. */
START_TEST(test_renewed_in_parts)
{
  enum { LEN = 60 };
  rig_start(_i);
  server->out.number = client->in.number = RENEW_AFTER;
  size_t got = 0;
  ssize_t n = NET_TLS_WANT_WRITE;
  wire.room = 0;
  while (n == NET_TLS_WANT_WRITE) {
    n = net_tls_records_write(server, &io, data, LEN);
    ck_assert(n == LEN || n == NET_TLS_WANT_WRITE);
    wire.room = 1;
    const ssize_t k = net_tls_records_read(client, &io, seen + got, sizeof seen - got);
    ck_assert(k > 0 || k == NET_TLS_WANT_READ);
    got += k > 0 ? (size_t)k : 0;
    rig_move(&server);
    rig_move(&client);
  }
  ck_assert_uint_eq(wire.to, rig_whole(_i, MESSAGE_LEN) + rig_whole(_i, LEN));
  ck_assert_uint_eq(got, LEN);
  ck_assert_mem_eq(seen, data, LEN);
  wire.room = sizeof wire.data / 2;
  talk_both_ways();
  rig_stop();
}
END_TEST

/* What is owed and what was asked for is so elsewhere, too. */
START_TEST(test_moves_between)
{
  rig_start(_i);
  client->in.number = server->out.number = RENEW_AFTER;
  talk(client, server, 10);
  ck_assert(server->owes && client->asked);
  rig_move(&server);
  rig_move(&client);
  ck_assert(server->owes && client->asked);
  ck_assert_uint_eq(talk(client, server, 10), rig_whole(_i, 10));
  ck_assert_uint_eq(talk(server, client, 10), rig_whole(_i, MESSAGE_LEN) + rig_whole(_i, 10));
  rig_move(&server);
  talk_both_ways();
  rig_stop();
}
END_TEST

/* ---- messages ---- */

/* A message may come in parts, of which the server may change in between, but nothing else. */
START_TEST(test_parts)
{
  for (unsigned from = 1; from < MESSAGE_LEN; from++)
    for (unsigned to = from; to < MESSAGE_LEN; to++) {
      unsigned number = 0;
      rig_start(_i);
      rig_put_record(_i, NET_TLS_HANDSHAKE, wanted, from, 0, number++);
      if (to > from)
        rig_put_record(_i, NET_TLS_HANDSHAKE, wanted + from, to - from, 3, number++);
      ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
      rig_move(&server);
      rig_put_record(_i, NET_TLS_HANDSHAKE, wanted + to, MESSAGE_LEN - to, 0, number++);
      ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
      ck_assert(net_tls_flow_update(&client->out));
      talk_both_ways();
      rig_stop();
    }
  static const uint8_t other_types[] = {NET_TLS_DATA, NET_TLS_ALERT};
  for (unsigned k = 0; k < 2; k++) {
    rig_start(_i);
    rig_put_record(_i, NET_TLS_HANDSHAKE, wanted, 2, 0, 0);
    rig_put_record(_i, other_types[k], (const uint8_t[]){1, 0}, 2, 0, 1);
    rig_refused(_i, "a message that does not go on", 10);
    rig_stop();
  }
}
END_TEST

/* Byte by byte, again and again: it is no more than one message. */
START_TEST(test_many_parts)
{
  rig_start(_i);
  for (unsigned i = 0; i < MESSAGE_LEN; i++)
    rig_put_record(_i, NET_TLS_HANDSHAKE, wanted + i, 1, 0, i);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
  ck_assert(net_tls_flow_update(&client->out));
  talk_both_ways();
  rig_stop();
}
END_TEST

START_TEST(test_wrong_messages)
{
  static const struct {
    uint8_t bytes[12];
    size_t len;
    const char *error;
    uint8_t alert;
  } cases[] = {
      {{0}, 0, "a record of no message", 10},
      {{1, 0, 0, 1, 0}, 5, "a message that no client sends after its handshake", 10},  /* ClientHello */
      {{4, 0, 0, 1, 0}, 5, "a message that no client sends after its handshake", 10},  /* NewSessionTicket */
      {{11, 0, 0, 1, 0}, 5, "a message that no client sends after its handshake", 10}, /* Certificate */
      {{20, 0}, 2, "a message that no client sends after its handshake", 10},          /* Finished */
      {{24, 0, 0, 0}, 4, "a change of keys of another length", 50},
      {{24, 0, 0, 2, 0, 0}, 6, "a change of keys of another length", 50},
      {{24, 1, 0, 1, 0}, 5, "a change of keys of another length", 50},
      {{24, 0, 0, 1, 2}, 5, "a change of keys that asks for something else", 47},
      {{24, 0, 0, 1, 0xff}, 5, "a change of keys that asks for something else", 47},
      {{24, 0, 0, 1, 0, 24}, 6, "a change of keys within a record", 10},
      {{24, 0, 0, 1, 0, 24, 0, 0, 1, 0}, 10, "a change of keys within a record", 10},
  };
  for (unsigned k = 0; k < sizeof cases / sizeof *cases; k++) {
    rig_start(_i);
    rig_put_record(_i, NET_TLS_HANDSHAKE, cases[k].bytes, cases[k].len, 0, 0);
    rig_refused(_i, cases[k].error, cases[k].alert);
    rig_stop();
  }
}
END_TEST

/* Four changes in a row have no use but to make work. */
START_TEST(test_too_many)
{
  rig_start(_i);
  for (unsigned i = 0; i < 4; i++) {
    const size_t len =
        net_tls_flow_seal(&client->out, NET_TLS_HANDSHAKE, wanted, MESSAGE_LEN, wire.data + wire.to);
    wire.to += len;
    ck_assert(net_tls_flow_update(&client->out));
  }
  rig_refused(_i, "too many records with nothing in them", 10);
  rig_stop();
}
END_TEST

/* New keys after |records| of data, |times|. */
static void change_often(unsigned records, unsigned times)
{
  for (unsigned i = 0; i < times; i++) {
    for (unsigned k = 0; k < records; k++)
      talk(client, server, 1);
    wire.from = wire.to = 0;
    wire.to = net_tls_flow_seal(&client->out, NET_TLS_HANDSHAKE, not_wanted, MESSAGE_LEN, wire.data);
    ck_assert(net_tls_flow_update(&client->out));
    if (i + 1 < times)
      ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
  }
}

/* Each is work. After 16 records it is not much beside theirs. */
START_TEST(test_changes_that_are_hasty)
{
  rig_start(_i);
  change_often(16, 100);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
  change_often(1, 32);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
  change_often(15, 1);
  rig_refused(_i, "too many changes of keys", 10);
  rig_stop();
}
END_TEST

/* ---- records ---- */

START_TEST(test_padding)
{
  static const uint8_t warning[] = {1, 90};
  static const size_t lens[] = {1, 50, NET_TLS_RECORD};
  for (unsigned k = 0; k < sizeof lens / sizeof *lens; k++)
    for (size_t padding = 0; padding < 200; padding += 7) {
      const bool fits = lens[k] + padding <= NET_TLS_RECORD;
      rig_start(_i);
      rig_put_record(_i, NET_TLS_DATA, data, lens[k], padding, 0);
      if (fits)
        rig_read(server, lens[k], padding % 2 ? sizeof seen : 20);
      else
        rig_refused(_i, "a record that is too long", 22);
      rig_stop();
    }
  /* Of other types, too; and of nothing but that. */
  rig_start(_i);
  rig_put_record(_i, NET_TLS_ALERT, warning, sizeof warning, 99, 0);
  rig_put_record(_i, NET_TLS_HANDSHAKE, not_wanted, MESSAGE_LEN, 1000, 1);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_WANT_READ);
  ck_assert(net_tls_flow_update(&client->out));
  talk_both_ways();
  rig_stop();
  rig_start(_i);
  rig_put_record(_i, 0, data, 0, 20, 0);
  rig_refused(_i, "a record of nothing but padding", 10);
  rig_stop();
}
END_TEST

/* On the outside all are of one type, whatever was one before the handshake. */
START_TEST(test_outside)
{
  static const uint8_t types[] = {20, 21, 22, 24, 0};
  for (unsigned k = 0; k < sizeof types; k++) {
    rig_start(_i);
    rig_write(client, 10);
    wire.data[0] = types[k];
    rig_refused(_i, "a record of an unexpected type", 10);
    rig_stop();
  }
  /* Nor may a ChangeCipherSpec come in the clear any more. */
  static const uint8_t change[] = {20, 3, 3, 0, 1, 1};
  rig_start(_i);
  memcpy(wire.data, change, sizeof change);
  wire.to = sizeof change;
  rig_refused(_i, "a record of an unexpected type", 10);
  rig_stop();
}
END_TEST

START_TEST(test_alerts)
{
  static const struct {
    uint8_t bytes[2];
    size_t len;
    const char *error; /* NULL: it ends in peace */
    uint8_t alert;     /* 0: no answer */
  } cases[] = {{{1, 0}, 2, NULL, 0},
               {{2, 0}, 2, NULL, 0}, /* the level says nothing */
               {{1, 40}, 2, "the other side ended it with an alert", 0},
               {{1, 100}, 2, "the other side ended it with an alert", 0},
               {{2, 80}, 2, "the other side ended it with an alert", 0},
               {{1, 255}, 2, "the other side ended it with an alert", 0},
               {{0}, 0, "an alert that is none", 10},
               {{1}, 1, "an alert that is none", 50}};
  for (unsigned k = 0; k < sizeof cases / sizeof *cases; k++) {
    rig_start(_i);
    rig_put_record(_i, NET_TLS_ALERT, cases[k].bytes, cases[k].len, 0, 0);
    if (!cases[k].error)
      ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), 0);
    else if (cases[k].alert)
      rig_refused(_i, cases[k].error, cases[k].alert);
    else
      rig_fails(cases[k].error);
    rig_stop();
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("tls_records_13");
  TCase *tc = tcase_create("tls_records_13");
  tcase_add_loop_test(tc, test_asked, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_asked_often, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_renewed, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_old_keys, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_renewed_in_parts, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_moves_between, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_parts, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_many_parts, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_wrong_messages, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_too_many, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_changes_that_are_hasty, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_padding, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_outside, FIRST, RIG_CASES);
  tcase_add_loop_test(tc, test_alerts, FIRST, RIG_CASES);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
