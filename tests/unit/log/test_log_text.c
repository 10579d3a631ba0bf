/* SPDX-License-Identifier: Apache-2.0 */
/* Records as lines, in each style. What strangers can put into them is the property test's. */
#include "testing.h"

#include "log/text.h"

static const struct timespec noon = {1764072000, 123456789}; /* 2025-11-25T12:00:00.123456Z */

static const char *format(const log_look *look, const log_line *line)
{
  static char out[LOG_LINE_MAX + 1];
  const size_t len = log_line_format(look, line, out);
  ck_assert_uint_le(len, LOG_LINE_MAX);
  out[len] = 0;
  ck_assert_ptr_eq(strchr(out, '\n'), out + len - 1);
  return out;
}

static const char *human(const log_line *line)
{
  const log_look look = {.style = LOG_STYLE_HUMAN};
  return format(&look, line);
}

static const char *json(const log_line *line)
{
  const log_look look = {.style = LOG_STYLE_JSON};
  return format(&look, line);
}

static const char *flat(const log_line *line)
{
  const log_look look = {.style = LOG_STYLE_JSON_FLAT};
  return format(&look, line);
}

START_TEST(test_each_style)
{
  const fzr_addr addr = fzt_addr("[2001:db8::1]:3478");
  const log_field fields[] = {
      {"client", LOG_ADDR, {.addr = &addr}},
      {"count", LOG_UINT, {.u = UINT64_MAX}},
      {"change", LOG_INT, {.i = INT64_MIN}},
      {"plain", LOG_STR, {.str = "a-b_c.d:/[]+@%"}},
      {"text", LOG_STR, {.str = "two words"}},
      {"raw", LOG_BYTES, {.bytes = {(const uint8_t *)"x\ny\xff\"\\", 6}}},
  };
  const log_line line = {.level = FZR_LOG_WARN,
                         .target = "relay",
                         .message = "It \"happened\"",
                         .fields = fields,
                         .field_count = 6,
                         .time = noon};
  ck_assert_str_eq(human(&line),
                   "2025-11-25T12:00:00.123456Z  WARN relay: It \"happened\" client=[2001:db8::1]:3478 "
                   "count=18446744073709551615 change=-9223372036854775808 plain=a-b_c.d:/[]+@% "
                   "text=\"two words\" raw=\"x\\ny\\xff\\\"\\\\\"\n");
  ck_assert_str_eq(
      json(&line),
      "{\"timestamp\":\"2025-11-25T12:00:00.123456Z\",\"level\":\"WARN\",\"fields\":{"
      "\"message\":\"It \\\"happened\\\"\",\"client\":\"[2001:db8::1]:3478\",\"count\":18446744073709551615,"
      "\"change\":-9223372036854775808,\"plain\":\"a-b_c.d:/[]+@%\",\"text\":\"two words\","
      "\"raw\":\"x\\ny\\ufffd\\\"\\\\\"},\"target\":\"relay\"}\n");
  ck_assert_str_eq(
      flat(&line),
      "{\"timestamp\":\"2025-11-25T12:00:00.123456Z\",\"level\":\"WARN\",\"target\":\"relay\","
      "\"message\":\"It \\\"happened\\\"\",\"client\":\"[2001:db8::1]:3478\",\"count\":18446744073709551615,"
      "\"change\":-9223372036854775808,\"plain\":\"a-b_c.d:/[]+@%\",\"text\":\"two words\","
      "\"raw\":\"x\\ny\\ufffd\\\"\\\\\"}\n");
}
END_TEST

START_TEST(test_google_cloud)
{
  static const uint8_t trace[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                    0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
  static const uint8_t span[8] = {0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0, 0x11};
  static const char *const severities[] = {"ERROR", "WARNING", "INFO", "DEBUG", "DEBUG"};
  log_look look = {.style = LOG_STYLE_GOOGLE_CLOUD, .project = "my-project"};
  log_line line = {.level = FZR_LOG_INFO,
                   .target = "relay",
                   .message = "m",
                   .time = noon,
                   .trace_id = trace,
                   .span_id = span};
  ck_assert_str_eq(
      format(&look, &line),
      "{\"time\":\"2025-11-25T12:00:00.123456Z\",\"severity\":\"INFO\",\"target\":\"relay\",\"message\":"
      "\"m\","
      "\"logging.googleapis.com/trace\":\"projects/my-project/traces/0123456789abcdeffedcba9876543210\","
      "\"logging.googleapis.com/spanId\":\"aabbccddeeff0011\"}\n");
  /* No project, no ids. */
  look.project[0] = 0;
  ck_assert_ptr_null(strstr(format(&look, &line), "googleapis"));
  line.trace_id = NULL;
  strcpy(look.project, "p\"x");
  ck_assert_ptr_null(strstr(format(&look, &line), "googleapis"));
  line.trace_id = trace;
  ck_assert_ptr_nonnull(strstr(format(&look, &line), "\"projects/p\\\"x/traces/"));
  for (unsigned level = FZR_LOG_ERROR; level <= FZR_LOG_TRACE; level++) {
    char wanted[32] = "\"severity\":\"";
    line.level = (enum fzr_log_level)level;
    strcat(strcat(wanted, severities[level - 1]), "\"");
    ck_assert_ptr_nonnull(strstr(format(&look, &line), wanted));
  }
}
END_TEST

START_TEST(test_what_may_be_missing)
{
  const log_field fields[] = {{"none", LOG_STR, {.str = NULL}},
                              {"empty", LOG_STR, {.str = ""}},
                              {"bytes", LOG_BYTES, {.bytes = {NULL, 0}}}};
  const log_line line = {
      .level = FZR_LOG_ERROR, .target = "t", .message = "", .fields = fields, .field_count = 3, .time = noon};
  ck_assert_str_eq(human(&line), "2025-11-25T12:00:00.123456Z ERROR t:  none= empty=\"\" bytes=\"\"\n");
  ck_assert_str_eq(json(&line),
                   "{\"timestamp\":\"2025-11-25T12:00:00.123456Z\",\"level\":\"ERROR\",\"fields\":{"
                   "\"message\":\"\",\"none\":null,\"empty\":\"\",\"bytes\":\"\"},\"target\":\"t\"}\n");
}
END_TEST

START_TEST(test_escapes)
{
  /* A line end of Unicode, a right-to-left override, an emoji, a tag outside the BMP, a terminal's escape, a NUL. */
  static const char text[] = "a\xe2\x80\xa8\xe2\x80\xae\xf0\x9f\x98\x80\xf3\xa0\x81\x81\x1b[2J";
  const log_field field = {"f", LOG_BYTES, {.bytes = {(const uint8_t *)text, sizeof text}}};
  const log_line line = {.level = FZR_LOG_INFO,
                         .target = "t",
                         .message = "a\r\nb\tc\\",
                         .fields = &field,
                         .field_count = 1,
                         .time = noon};
  ck_assert_ptr_nonnull(
      strstr(human(&line),
             " t: a\\r\\nb\\tc\\\\ f=\"a\\u{2028}\\u{202e}\xf0\x9f\x98\x80\\u{e0041}\\x1b[2J\\x00\"\n"));
  ck_assert_ptr_nonnull(strstr(json(&line),
                               "\"message\":\"a\\r\\nb\\tc\\\\\",\"f\":\"a\\u2028\\u202e\xf0\x9f\x98\x80"
                               "\\udb40\\udc41\\u001b[2J\\u0000\"}"));
}
END_TEST

START_TEST(test_repeated_and_colour)
{
  const log_look look = {.style = LOG_STYLE_HUMAN, .color = true};
  const log_line line = {.level = FZR_LOG_INFO, .target = "t", .message = "m", .time = noon, .repeated = 7};
  ck_assert_str_eq(human(&line), "2025-11-25T12:00:00.123456Z  INFO t: m repeated=7\n");
  ck_assert_ptr_nonnull(strstr(json(&line), "\"message\":\"m\",\"repeated\":7},\"target\":\"t\"}\n"));
  ck_assert_ptr_nonnull(strstr(flat(&line), "\"message\":\"m\",\"repeated\":7}\n"));
  ck_assert_ptr_nonnull(strstr(format(&look, &line), "\033[32m INFO\033[0m"));
  ck_assert_ptr_null(strchr(human(&line), '\033'));
}
END_TEST

START_TEST(test_what_does_not_fit)
{
  static char big[LOG_LINE_MAX * 2];
  log_field fields[8];
  memset(big, 'x', sizeof big - 1);
  for (size_t i = 0; i < 8; i++)
    fields[i] = (log_field){"field", LOG_BYTES, {.bytes = {(const uint8_t *)big, sizeof big - 1}}};
  log_line line = {
      .level = FZR_LOG_INFO, .target = "t", .message = big, .fields = fields, .field_count = 8, .time = noon};
  /* A value by itself, with dots; what does not fit at all, with a word. */
  const char *text = human(&line);
  ck_assert_ptr_nonnull(strstr(text, "x... field=\"xxx"));
  ck_assert_ptr_nonnull(strstr(text, "x...\" truncated=true\n"));
  text = json(&line);
  ck_assert_ptr_nonnull(strstr(text, "x...\",\"field\":\"xxx"));
  ck_assert_ptr_nonnull(strstr(text, "x...\",\"truncated\":true},\"target\":\"t\"}\n"));
  text = flat(&line);
  ck_assert_ptr_nonnull(strstr(text, "x...\",\"truncated\":true}\n"));
  line.target = big;
  ck_assert_ptr_nonnull(strstr(json(&line), "x...\",\"truncated\":true},\"target\":\"xxx"));
  line.target = "t";
  line.field_count = 1;
  ck_assert_ptr_null(strstr(json(&line), "truncated"));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: log text");
  TCase *c = tcase_create("text");
  tcase_add_test(c, test_each_style);
  tcase_add_test(c, test_google_cloud);
  tcase_add_test(c, test_what_may_be_missing);
  tcase_add_test(c, test_escapes);
  tcase_add_test(c, test_repeated_and_colour);
  tcase_add_test(c, test_what_does_not_fit);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
