/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that come again and again. */
#include "testing.h"

#include "log/repeat.h"

static log_repeat repeat;
static log_repeat_slot ended;

static void setup(void)
{
  memset(&repeat, 0, sizeof repeat);
  repeat.key[0] = 0x1234567;
  repeat.key[1] = 0xabcdef1;
}

/* Judges a line of |message| with the number |n| in it. */
static enum log_repeat_verdict judge(const char *message, uint64_t n, fzr_time now)
{
  const log_field field = {"n", LOG_UINT, {.u = n}};
  const log_line line = {
      .level = FZR_LOG_WARN, .target = "t", .message = message, .fields = &field, .field_count = 1};
  return log_repeat_judge(&repeat, &line, log_repeat_hash(&repeat, &line), now, &ended);
}

START_TEST(test_burst_then_silence_then_the_count)
{
  for (unsigned i = 0; i < LOG_REPEAT_BURST; i++)
    ck_assert_int_eq(judge("again", 1, i), LOG_REPEAT_WRITE);
  for (unsigned i = 0; i < 100; i++) {
    ck_assert_int_eq(judge("again", 1, 1000 + i), LOG_REPEAT_HOLD_BACK);
    ck_assert_uint_eq(ended.written, 0);
  }
  /* Another line is not meant by that. */
  ck_assert_int_eq(judge("again", 2, 2000), LOG_REPEAT_WRITE);
  /* After the window the count is told, before the line is written again. */
  ck_assert_int_eq(judge("again", 1, LOG_REPEAT_WINDOW), LOG_REPEAT_WRITE);
  ck_assert_uint_eq(ended.held_back, 100);
  ck_assert_str_eq(ended.message, "again");
  ck_assert_str_eq(ended.target, "t");
  ck_assert_int_eq(ended.level, FZR_LOG_WARN);
  ck_assert_int_eq(judge("again", 1, LOG_REPEAT_WINDOW + 1), LOG_REPEAT_WRITE);
  ck_assert_uint_eq(ended.written, 0);
}
END_TEST

START_TEST(test_told_without_another_line)
{
  for (unsigned i = 0; i < LOG_REPEAT_BURST + 3; i++)
    judge("once", 1, 5);
  ck_assert(!log_repeat_expire(&repeat, 4 + LOG_REPEAT_WINDOW, &ended));
  ck_assert(log_repeat_expire(&repeat, 5 + LOG_REPEAT_WINDOW, &ended));
  ck_assert_uint_eq(ended.held_back, 3);
  ck_assert(!log_repeat_expire(&repeat, 5 + LOG_REPEAT_WINDOW, &ended));
  /* At the end all is told at once. */
  for (unsigned i = 0; i < LOG_REPEAT_BURST + 2; i++)
    judge("once", 1, 20 * LOG_REPEAT_WINDOW);
  ck_assert(log_repeat_expire(&repeat, FZR_TIME_NEVER, &ended));
  ck_assert_uint_eq(ended.held_back, 2);
}
END_TEST

/* More different lines than slots: nothing is lost, whatever shares a slot. */
START_TEST(test_every_line_is_written_or_counted)
{
  uint64_t written = 0, told = 0, judged = 0;
  for (unsigned round = 0; round < 40; round++) {
    for (uint64_t n = 0; n < 3 * (uint64_t)LOG_REPEAT_SLOTS; n++, judged++) {
      written += judge("many", n, judged) == LOG_REPEAT_WRITE;
      told += ended.written ? ended.held_back : 0;
    }
  }
  while (log_repeat_expire(&repeat, FZR_TIME_NEVER, &ended))
    told += ended.held_back;
  ck_assert_uint_eq(written + told, judged);
  ck_assert_uint_eq(repeat.waiting, 0);
}
END_TEST

START_TEST(test_what_makes_a_line_another)
{
  const uint8_t id[16] = {1};
  const fzr_addr a = fzt_addr("192.0.2.1:1"), b = fzt_addr("192.0.2.1:2");
  log_field f = {"f", LOG_ADDR, {.addr = &a}};
  log_line line = {.level = FZR_LOG_INFO, .target = "t", .message = "m", .fields = &f, .field_count = 1};
  const uint64_t hash = log_repeat_hash(&repeat, &line);
  line.time.tv_sec = 99;
  line.trace_id = line.span_id = id;
  ck_assert_uint_eq(log_repeat_hash(&repeat, &line), hash);
  f.v.addr = &b;
  ck_assert_uint_ne(log_repeat_hash(&repeat, &line), hash);
  f.v.addr = &a;
  f.key = "g";
  ck_assert_uint_ne(log_repeat_hash(&repeat, &line), hash);
  f.key = "f";
  line.target = "u";
  ck_assert_uint_ne(log_repeat_hash(&repeat, &line), hash);
  line.target = "t";
  line.level = FZR_LOG_WARN;
  ck_assert_uint_ne(log_repeat_hash(&repeat, &line), hash);
  line.level = FZR_LOG_INFO;
  f = (log_field){"f", LOG_BYTES, {.bytes = {(const uint8_t *)"123456789", 9}}};
  const uint64_t nine = log_repeat_hash(&repeat, &line);
  f.v.bytes.data = (const uint8_t *)"12345678x";
  ck_assert_uint_ne(log_repeat_hash(&repeat, &line), nine);
  f.v.bytes.len = 8;
  ck_assert_uint_ne(log_repeat_hash(&repeat, &line), nine);
  /* Nobody outside can tell which lines share a slot. */
  const uint64_t eight = log_repeat_hash(&repeat, &line);
  repeat.key[1] ^= 2;
  ck_assert_uint_ne(log_repeat_hash(&repeat, &line), eight);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: log repeat");
  TCase *c = tcase_create("repeat");
  tcase_add_checked_fixture(c, setup, NULL);
  tcase_add_test(c, test_burst_then_silence_then_the_count);
  tcase_add_test(c, test_told_without_another_line);
  tcase_add_test(c, test_every_line_is_written_or_counted);
  tcase_add_test(c, test_what_makes_a_line_another);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
