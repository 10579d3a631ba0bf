/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket layer alone: bytes in, bytes out. */
#include <malloc.h>
#include <stdio.h>

#include "portal/websocket.h"
#include "prng.h"
#include "testing.h"

typedef struct heard {
  char text[PORTAL_WS_MAX_MESSAGE + 1]; /* the last message */
  size_t len;
  unsigned texts, binaries;
  size_t binary_len;
  bool no_random;
} heard;

static heard got;
static portal_ws *ws;

static void on_text(void *ctx, const char *text, size_t len)
{
  heard *h = ctx;
  ck_assert_uint_le(len, PORTAL_WS_MAX_MESSAGE);
  memcpy(h->text, text, len);
  h->text[len] = '\0';
  h->len = len;
  h->texts++;
}

static void on_binary(void *ctx, size_t len)
{
  heard *h = ctx;
  h->binaries++;
  h->binary_len = len;
}

static int on_random(void *ctx, uint8_t *out, size_t len)
{
  memset(out, 0x5a, len);
  return ((heard *)ctx)->no_random ? -1 : 0;
}

static void setup(void)
{
  const portal_ws_handler handler = {&got, on_text, on_binary, on_random};
  memset(&got, 0, sizeof got);
  ws = portal_ws_new(&handler);
  ck_assert_ptr_nonnull(ws);
}

static void teardown(void)
{
  portal_ws_free(ws);
}

/* A server's frame at |out|: returns its length. */
static size_t frame(uint8_t *out, bool fin, uint8_t opcode, const void *payload, size_t len)
{
  size_t at = 0;
  out[at++] = (uint8_t)((fin ? 0x80 : 0) | opcode);
  if (len < 126) {
    out[at++] = (uint8_t)len;
  } else if (len < 65536) {
    out[at++] = 126;
    out[at++] = (uint8_t)(len >> 8);
    out[at++] = (uint8_t)len;
  } else {
    out[at++] = 127;
    for (int i = 7; i >= 0; i--)
      out[at++] = (uint8_t)((uint64_t)len >> (8 * i));
  }
  if (len > 0)
    memcpy(out + at, payload, len);
  return at + len;
}

static enum portal_ws_state feed(const uint8_t *data, size_t len, size_t step)
{
  enum portal_ws_state state = PORTAL_WS_OPEN;
  for (size_t at = 0; at < len && state == PORTAL_WS_OPEN; at += step)
    state = portal_ws_feed(ws, data + at, step < len - at ? step : len - at);
  return state;
}

/* Takes one client's frame off the output; checks that it is masked; returns its opcode, or -1 if there is none. */
static int sent(char *payload)
{
  uint8_t out[512];
  const ssize_t n = portal_ws_output(ws, out, sizeof out);
  payload[0] = '\0';
  if (n <= 0)
    return -1;
  ck_assert_int_eq(out[1] & 0x80, 0x80);
  const size_t len = out[1] & 0x7f;
  ck_assert_int_eq((ssize_t)len + 6, n);
  for (size_t i = 0; i < len; i++) {
    ck_assert_int_eq(out[2 + i % 4], 0x5a);
    payload[i] = (char)(out[6 + i] ^ 0x5a);
  }
  payload[len] = '\0';
  return out[0] & 0x0f;
}

START_TEST(messages)
{
  static uint8_t data[PORTAL_WS_MAX_MESSAGE + 100], payload[PORTAL_WS_MAX_MESSAGE];
  static const size_t lengths[] = {0, 1, 125, 126, 127, 4096, 65535, 65536};
  memset(payload, 'x', sizeof payload);
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    const size_t n = frame(data, true, 1, payload, lengths[i]);
    ck_assert_int_eq(feed(data, n, 1 + i * 100), PORTAL_WS_OPEN);
    ck_assert_uint_eq(got.texts, i + 1);
    ck_assert_uint_eq(got.len, lengths[i]);
  }
  const size_t n = frame(data, true, 2, payload, 300);
  ck_assert_int_eq(feed(data, n, 100), PORTAL_WS_OPEN);
  ck_assert_uint_eq(got.binaries, 1);
  ck_assert_uint_eq(got.binary_len, 300);
}
END_TEST

START_TEST(fragments_and_pings)
{
  uint8_t data[256];
  char pong[128];
  size_t n = frame(data, false, 1, "one ", 4);
  n += frame(data + n, true, 9, "ping", 4);
  n += frame(data + n, false, 0, "", 0);
  n += frame(data + n, false, 0, "two ", 4);
  n += frame(data + n, true, 10, "unasked", 7);
  n += frame(data + n, true, 0, "three", 5);
  n += frame(data + n, true, 1, "next", 4);
  for (size_t step = 1; step <= n; step++) {
    teardown();
    setup();
    ck_assert_int_eq(feed(data, n - 6, step), PORTAL_WS_OPEN);
    ck_assert_str_eq(got.text, "one two three");
    ck_assert_int_eq(feed(data + n - 6, 6, step), PORTAL_WS_OPEN);
    ck_assert_str_eq(got.text, "next");
    ck_assert_int_eq(sent(pong), 10);
    ck_assert_str_eq(pong, "ping");
    ck_assert_int_eq(sent(pong), -1);
  }
}
END_TEST

START_TEST(too_big)
{
  static uint8_t data[PORTAL_WS_MAX_MESSAGE + 100], payload[PORTAL_WS_MAX_MESSAGE];
  char close[128];
  memset(payload, 'x', sizeof payload);
  size_t n = frame(data, false, 1, payload, 60000);
  ck_assert_int_eq(feed(data, n, 1000), PORTAL_WS_OPEN);
  n = frame(data, true, 0, payload, 5537);
  ck_assert_int_eq(feed(data, n, 1000), PORTAL_WS_FAILED);
  ck_assert(!portal_ws_wants_read(ws));
  ck_assert_int_eq(sent(close), 8);
  ck_assert_int_eq((uint8_t)close[0] << 8 | (uint8_t)close[1], 1009);
  ck_assert_uint_eq(got.texts, 0);
  /* Known by its length, long before it is there. */
  teardown();
  setup();
  const uint8_t huge[] = {0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'};
  ck_assert_int_eq(feed(huge, sizeof huge, 100), PORTAL_WS_FAILED);
  ck_assert_str_eq(portal_ws_reason(ws), "a message is larger than 64 KiB");
}
END_TEST

START_TEST(violations)
{
  static const struct {
    const char *name;
    uint8_t data[12];
    size_t len;
    unsigned code;
  } cases[] = {
      {"masked", {0x81, 0x81, 0, 0, 0, 0, 'x'}, 7, 1002},
      {"reserved bit", {0xc1, 1, 'x'}, 3, 1002},
      {"unknown opcode", {0x83, 1, 'x'}, 3, 1002},
      {"continuation of nothing", {0x80, 1, 'x'}, 3, 1002},
      {"text within fragments", {0x01, 1, 'x', 0x81, 1, 'y'}, 6, 1002},
      {"fragmented ping", {0x09, 1, 'x'}, 3, 1002},
      {"long ping", {0x89, 126, 0, 126, 'x'}, 5, 1002},
      {"not UTF-8", {0x81, 2, 0xc0, 0x80}, 4, 1007},
      {"UTF-8 cut off", {0x81, 1, 0xc3}, 3, 1007},
      {"close of one byte", {0x88, 1, 3}, 3, 1002},
  };
  char close[128];
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    teardown();
    setup();
    ck_assert_msg(feed(cases[i].data, cases[i].len, 100) != PORTAL_WS_OPEN, "%s", cases[i].name);
    ck_assert_msg(sent(close) == 8, "%s", cases[i].name);
    /* wslay closes without a code where the frame itself is broken. */
    const unsigned code =
        close[0] == '\0' ? cases[i].code : (unsigned)(uint8_t)close[0] << 8 | (uint8_t)close[1];
    ck_assert_msg(code == cases[i].code, "%s: %u", cases[i].name, code);
    ck_assert_uint_eq(got.texts, 0);
  }
}
END_TEST

START_TEST(closes)
{
  uint8_t data[200];
  char out[128];
  const size_t n = frame(data, true, 8, "\x03\xe9gone\n\x1b[m", 10);
  ck_assert_int_eq(feed(data, n, 3), PORTAL_WS_CLOSED);
  ck_assert_str_eq(portal_ws_reason(ws), "close 1001: gone??[m");
  ck_assert_int_eq(sent(out), 8);
  ck_assert(!portal_ws_wants_read(ws));
  ck_assert_int_ne(portal_ws_send_text(ws, "x", 1), 0);
  teardown();
  setup();
  ck_assert_int_eq(portal_ws_send_close(ws, 1000), 0);
  ck_assert_int_eq(sent(out), 8);
  ck_assert_int_eq((uint8_t)out[0] << 8 | (uint8_t)out[1], 1000);
  const uint8_t plain[] = {0x88, 0};
  ck_assert(portal_ws_wants_read(ws));
  ck_assert_int_eq(feed(plain, 2, 2), PORTAL_WS_CLOSED);
  ck_assert_str_eq(portal_ws_reason(ws), "close 1005");
}
END_TEST

/* wslay takes codes of the registry that it does not know for a breach of the protocol; what is none stays one. */
START_TEST(closes_that_wslay_does_not_know)
{
  static const struct {
    unsigned code, answer;
    enum portal_ws_state state;
    const char *reason;
  } cases[] = {{1011, 1011, PORTAL_WS_CLOSED, "close 1011: why"},
               {1012, 1000, PORTAL_WS_CLOSED, "close 1012: why"},
               {1013, 1000, PORTAL_WS_CLOSED, "close 1013: why"},
               {1014, 1000, PORTAL_WS_CLOSED, "close 1014: why"},
               {1015, 1002, PORTAL_WS_FAILED, "the peer broke the WebSocket protocol"},
               {1005, 1002, PORTAL_WS_FAILED, "the peer broke the WebSocket protocol"},
               {3000, 3000, PORTAL_WS_CLOSED, "close 3000: why"}};
  for (size_t step = 1; step < 8; step++) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
      const char payload[] = {(char)(cases[i].code >> 8), (char)cases[i].code, 'w', 'h', 'y'};
      uint8_t data[64];
      char out[128];
      teardown();
      setup();
      const size_t n = frame(data, true, 8, payload, sizeof payload);
      ck_assert_int_eq(feed(data, n, step), cases[i].state);
      ck_assert_str_eq(portal_ws_reason(ws), cases[i].reason);
      ck_assert_uint_eq(portal_ws_close_code(ws), cases[i].state == PORTAL_WS_CLOSED ? cases[i].code : 0);
      ck_assert_int_eq(sent(out), 8);
      ck_assert_uint_eq((unsigned)((uint8_t)out[0] << 8 | (uint8_t)out[1]), cases[i].answer);
      ck_assert_int_eq(sent(out), -1);
      ck_assert(!portal_ws_wants_read(ws));
    }
  }
}
END_TEST

START_TEST(output_in_small_pieces)
{
  uint8_t out[64];
  size_t len = 0;
  ck_assert_int_eq(portal_ws_send_text(ws, "hello", 5), 0);
  while (len < sizeof out) {
    const ssize_t n = portal_ws_output(ws, out + len, 1);
    ck_assert_int_ge(n, 0);
    if (n == 0)
      break;
    len += (size_t)n;
  }
  ck_assert_uint_eq(len, 11);
  ck_assert_int_eq(out[0], 0x81);
  ck_assert_int_eq(out[6] ^ 0x5a, 'h');
}
END_TEST

START_TEST(no_randomness_no_frame)
{
  uint8_t out[64];
  got.no_random = true;
  ck_assert_int_eq(portal_ws_send_text(ws, "hello", 5), 0);
  ck_assert_int_eq(portal_ws_output(ws, out, sizeof out), -1);
}
END_TEST

/* A peer that pings as fast as it can and reads nothing stops being read. */
START_TEST(ping_flood_is_bounded)
{
  uint8_t data[PORTAL_WS_MAX_FEED];
  for (size_t i = 0; i + 1 < sizeof data; i += 2) {
    data[i] = 0x89;
    data[i + 1] = 0;
  }
  const size_t before = mallinfo2().uordblks;
  unsigned fed = 0;
  while (portal_ws_wants_read(ws) && fed < 100) {
    ck_assert_int_eq(portal_ws_feed(ws, data, sizeof data), PORTAL_WS_OPEN);
    fed++;
  }
  ck_assert_uint_le(fed, 1);
  ck_assert_uint_lt(mallinfo2().uordblks - before, 200 * 1024);
}
END_TEST

/* Fragments of one byte or none cost no more than what they carry. */
START_TEST(tiny_fragments_are_bounded)
{
  uint8_t data[PORTAL_WS_MAX_FEED];
  size_t n = frame(data, false, 1, "", 0);
  ck_assert_int_eq(feed(data, n, n), PORTAL_WS_OPEN);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 60000; i++) {
    n = frame(data, false, 0, "x", (size_t)(i % 2));
    ck_assert_int_eq(feed(data, n, n), PORTAL_WS_OPEN);
  }
  ck_assert_uint_lt(mallinfo2().uordblks - before, 200 * 1024);
}
END_TEST

START_TEST(noise)
{
  fzt_prng prng = {fzt_seed("noise")};
  for (uint64_t round = 0; round < fzt_rounds(500); round++) {
    uint8_t data[256], out[256];
    teardown();
    setup();
    enum portal_ws_state state = PORTAL_WS_OPEN;
    for (int i = 0; i < 20 && state == PORTAL_WS_OPEN && portal_ws_wants_read(ws); i++) {
      fzt_fill(&prng, data, sizeof data);
      data[0] = (uint8_t)(0x80 | (data[0] & 0x8f));
      data[1] &= 0x7f;
      state = portal_ws_feed(ws, data, 1 + (size_t)fzt_below(&prng, sizeof data));
      (void)portal_ws_output(ws, out, 1 + (size_t)fzt_below(&prng, sizeof out));
    }
    ck_assert(state == PORTAL_WS_OPEN || portal_ws_reason(ws)[0] != '\0');
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("portal_websocket");
  TCase *tc = tcase_create("websocket");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, fragments_and_pings);
  tcase_add_test(tc, too_big);
  tcase_add_test(tc, violations);
  tcase_add_test(tc, closes);
  tcase_add_test(tc, closes_that_wslay_does_not_know);
  tcase_add_test(tc, output_in_small_pieces);
  tcase_add_test(tc, no_randomness_no_frame);
  tcase_add_test(tc, ping_flood_is_bounded);
  tcase_add_test(tc, tiny_fragments_are_bounded);
  tcase_add_test(tc, noise);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
