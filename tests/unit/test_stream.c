/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a stream: each form, each way to end it, and what it keeps meanwhile. */
#include "firezone_relay/stream.h"

#include "testing.h"

#define ROOM 4u

static fzt_mem mem;
static fzr_stream *stream;
static fzr_addr client, server;
static fzr_pkt pkts[ROOM];

static void set_up(void)
{
  fzt_mem_init(&mem);
  client = fzt_addr("198.51.100.1:4000");
  server = fzt_addr("192.0.2.1:443");
  client.transport = server.transport = FZR_TRANSPORT_TLS;
  ck_assert_int_eq(fzr_stream_new(&client, &server, &mem.hooks, &stream), 0);
}

static void tear_down(void)
{
  fzr_stream_free(stream);
  ck_assert_uint_eq(mem.live, 0);
}

static fzr_stream_batch batch_of(const void *data, size_t len)
{
  return (fzr_stream_batch){.data = data, .len = len, .out = pkts, .room = ROOM};
}

/* A Binding request, data of 5 bytes on a channel, a request with an attribute, data of none. */
static const uint8_t four[] = {
    0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, 1,   2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, /* STUN */
    0x40, 0x00, 0x00, 0x05, 'h',  'e',  'l',  'l',  'o', 0, 0, 0,                            /* ChannelData */
    0x00, 0x01, 0x00, 0x04, 0x21, 0x12, 0xa4, 0x42, 1,   2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, /* STUN */
    0x80, 0x22, 0x00, 0x00,                                                                  /* SOFTWARE */
    0x4f, 0xff, 0x00, 0x00,                                                                  /* ChannelData */
};
static const struct {
  uint8_t at, len;
} places[] = {{0, 20}, {20, 9}, {32, 24}, {56, 4}};

START_TEST(test_whole)
{
  fzr_stream_batch b = batch_of(four, sizeof four);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 4);
  ck_assert_uint_eq(b.len, 0);
  ck_assert_ptr_eq(b.data, four + sizeof four);
  ck_assert_uint_eq(b.reason, FZR_DROP_NONE);
  for (unsigned i = 0; i < 4; i++) {
    ck_assert_ptr_eq(pkts[i].data, four + places[i].at); /* nothing was copied */
    ck_assert_uint_eq(pkts[i].len, places[i].len);
    ck_assert_uint_eq(pkts[i].seg, 0);
    ck_assert(fzr_addr_equal(&pkts[i].from, &client) && fzr_addr_equal(&pkts[i].to, &server));
  }
  ck_assert_uint_eq(fzr_stream_held(stream, NULL), 0);
  ck_assert_uint_eq(mem.live_blocks, 1); /* the object itself */
}
END_TEST

/* Byte by byte: each message comes with its last one, padding included, and its bytes are the stream's. */
START_TEST(test_byte_by_byte)
{
  unsigned next = 0;
  for (size_t i = 0; i < sizeof four; i++) {
    fzr_stream_batch b = batch_of(four + i, 1);
    ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
    ck_assert_uint_eq(b.len, 0);
    const size_t end = next == 3 ? sizeof four : places[next + 1].at;
    ck_assert_uint_eq(b.written, i + 1 == end);
    ck_assert_uint_eq(fzr_stream_held(stream, NULL), i + 1 == end ? 0 : i + 1 - places[next].at);
    if (!b.written)
      continue;
    ck_assert_uint_eq(pkts[0].len, places[next].len);
    ck_assert_mem_eq(pkts[0].data, four + places[next].at, places[next].len);
    next++;
  }
  ck_assert_uint_eq(next, 4);
}
END_TEST

/* Another stream goes on in the place of one that was cut anywhere, with what that holds. */
START_TEST(test_goes_on_elsewhere)
{
  for (size_t cut = 0; cut <= sizeof four; cut++) {
    const uint8_t *held;
    fzr_stream *other;
    fzr_stream_batch b = batch_of(four, cut);
    ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
    const size_t came = b.written, len = fzr_stream_held(stream, &held);
    ck_assert_uint_eq(b.len, 0);
    ck_assert(!len == !held);
    ck_assert_int_eq(fzr_stream_new(&client, &server, NULL, &other), 0);
    b = batch_of(held, len);
    ck_assert_int_eq(fzr_stream_read(other, &b), 0);
    ck_assert_uint_eq(b.written, 0);
    ck_assert_uint_eq(fzr_stream_held(other, NULL), len);
    size_t next = came;
    for (b = batch_of(four + cut, sizeof four - cut); b.len;) {
      ck_assert_int_eq(fzr_stream_read(other, &b), 0);
      for (size_t i = 0; i < b.written; i++, next++) {
        ck_assert_uint_eq(pkts[i].len, places[next].len);
        ck_assert_mem_eq(pkts[i].data, four + places[next].at, places[next].len);
      }
    }
    ck_assert_uint_eq(next, 4);
    fzr_stream_free(other);
    if (len) { /* its rest, so that the next turn begins with a message */
      b = batch_of(four + cut, sizeof four - cut);
      while (b.len)
        ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
    }
  }
}
END_TEST

/* More messages than there is room for: the rest is for the next call. */
START_TEST(test_room)
{
  fzr_stream_batch b = batch_of(four, sizeof four);
  b.room = 3;
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 3);
  ck_assert_uint_eq(b.len, 4);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 1);
  ck_assert_ptr_eq(pkts[0].data, four + 56);
  ck_assert_uint_eq(b.len, 0);
}
END_TEST

/* A message that was cut has been handed out, and the bytes behind it end in another one that is cut: the buffer is not taken from under
 * the first one. */
START_TEST(test_two_cuts)
{
  uint8_t copy[sizeof four];
  fzr_stream_batch b = batch_of(four, 10);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  memcpy(copy, four, sizeof four);
  b = batch_of(copy + 10, 30); /* the rest of the first, the second, and 8 bytes of the third */
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 2);
  ck_assert_mem_eq(pkts[0].data, four, 20);
  ck_assert_mem_eq(pkts[1].data, four + 20, 9);
  ck_assert_uint_eq(b.len, 8);
  ck_assert_uint_eq(fzr_stream_held(stream, NULL), 0);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 0);
  ck_assert_uint_eq(b.len, 0);
  ck_assert_uint_eq(fzr_stream_held(stream, NULL), 8);
  memset(copy, 0xee, sizeof copy);
  b = batch_of(four + 40, 20);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 2);
  ck_assert_mem_eq(pkts[0].data, four + 32, 24);
}
END_TEST

/* What ends a stream, with as many of its bytes as tell so. */
static const struct {
  uint8_t bytes[4];
  uint8_t len;
  enum fzr_drop_reason reason;
} bad[] = {
    {{0x80}, 1, FZR_DROP_NOT_STUN},
    {{0x04}, 1, FZR_DROP_NOT_STUN},
    {{0x50}, 1, FZR_DROP_NOT_STUN}, /* reserved channel numbers: RFC 8656 section 12 */
    {{0x16, 0x03, 0x01, 0x02}, 4, FZR_DROP_TLS},
    {{0x00, 0x01, 0x00, 0x02}, 4, FZR_DROP_STUN_LENGTH},
    {{0x00, 0x01, 0xff, 0xf0}, 4, FZR_DROP_TOO_LARGE},
    {{0x40, 0x00, 0xff, 0xfd}, 4, FZR_DROP_TOO_LARGE},
};
#define BAD ((int)(sizeof bad / sizeof *bad))

START_TEST(test_ends)
{
  uint8_t bytes[24];
  memcpy(bytes, four, 20);
  memcpy(bytes + 20, bad[_i].bytes, 4);
  fzr_stream_batch b = batch_of(bytes, 20 + bad[_i].len);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 1); /* what came before it counts */
  ck_assert_uint_eq(b.reason, bad[_i].reason);
  ck_assert_uint_eq(b.len, 0);
  b = batch_of(four, sizeof four);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 0);
  ck_assert_uint_eq(b.reason, bad[_i].reason); /* and stays */
  ck_assert_uint_eq(b.len, 0);
}
END_TEST

/* The same where each byte comes alone. */
START_TEST(test_ends_byte_by_byte)
{
  for (uint8_t i = 0; i < bad[_i].len; i++) {
    fzr_stream_batch b = batch_of(&bad[_i].bytes[i], 1);
    ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
    ck_assert_uint_eq(b.written, 0);
    if (i == 0 && bad[_i].reason != FZR_DROP_STUN_LENGTH && bad[_i].reason != FZR_DROP_TOO_LARGE)
      ck_assert_uint_eq(b.reason, bad[_i].reason);
    if (i + 1 == bad[_i].len)
      ck_assert_uint_eq(b.reason, bad[_i].reason);
  }
}
END_TEST

/* The longest that there may be, in two pieces: all of it is kept, and given back. */
START_TEST(test_longest)
{
  static uint8_t data[FZR_STREAM_MESSAGE_MAX];
  data[0] = 0x40;
  data[2] = 0xff;
  data[3] = 0xfc;
  data[sizeof data - 1] = 7;
  for (unsigned i = 0; i < 2; i++) {
    fzr_stream_batch b = batch_of(data, sizeof data - 1);
    ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
    ck_assert_uint_eq(b.written, 0);
    ck_assert_uint_eq(fzr_stream_held(stream, NULL), sizeof data - 1);
    b = batch_of(data + sizeof data - 1, 1);
    ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
    ck_assert_uint_eq(b.written, 1);
    ck_assert_uint_eq(pkts[0].len, sizeof data);
    ck_assert_mem_eq(pkts[0].data, data, sizeof data);
  }
  fzr_stream_batch b = batch_of(four, 1);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_le(mem.live, 4096);
}
END_TEST

/* What is kept grows with what has come, not with what a header promises. */
START_TEST(test_promise)
{
  const uint8_t header[] = {0x40, 0x00, 0xff, 0xf0};
  fzr_stream_batch b = batch_of(header, sizeof header);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_le(mem.live, 4096);
}
END_TEST

START_TEST(test_limit)
{
  const uint8_t fits[] = {0x40, 0, 0, 12}, longer[] = {0x40, 0, 0, 13};
  fzr_stream_set_limit(stream, 16);
  fzr_stream_batch b = batch_of(fits, 4);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.reason, FZR_DROP_NONE);
  b = batch_of("0123456789ab", 12);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.written, 1);
  fzr_stream_set_limit(stream, 0);
  b = batch_of(longer, 4);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.reason, FZR_DROP_NONE);
  fzr_stream_set_limit(stream, 16);
  b = batch_of("0", 1);
  ck_assert_int_eq(fzr_stream_read(stream, &b), 0);
  ck_assert_uint_eq(b.reason, FZR_DROP_TOO_LARGE);
}
END_TEST

/* No memory for what is cut: what was whole is good. */
START_TEST(test_no_memory)
{
  fzr_stream *other;
  fzr_stream_batch b = batch_of(four, 25);
  mem.fail_from = mem.count + 1;
  ck_assert_int_eq(fzr_stream_new(&client, &server, &mem.hooks, &other), FZR_ERR_NO_MEMORY);
  ck_assert_int_eq(fzr_stream_read(stream, &b), FZR_ERR_NO_MEMORY);
  ck_assert_uint_eq(b.written, 1);
  ck_assert_uint_eq(pkts[0].len, 20);
}
END_TEST

START_TEST(test_padding)
{
  static const size_t rows[][2] = {{0, 0}, {1, 3}, {2, 2}, {3, 1}, {4, 0}, {65539, 1}};
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_uint_eq(fzr_stream_padding(rows[i][0]), rows[i][1]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("stream");
  TCase *tc = tcase_create("stream");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_whole);
  tcase_add_test(tc, test_byte_by_byte);
  tcase_add_test(tc, test_goes_on_elsewhere);
  tcase_add_test(tc, test_room);
  tcase_add_test(tc, test_two_cuts);
  tcase_add_loop_test(tc, test_ends, 0, BAD);
  tcase_add_loop_test(tc, test_ends_byte_by_byte, 0, BAD);
  tcase_add_test(tc, test_longest);
  tcase_add_test(tc, test_promise);
  tcase_add_test(tc, test_limit);
  tcase_add_test(tc, test_no_memory);
  tcase_add_test(tc, test_padding);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
