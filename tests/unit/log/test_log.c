/* SPDX-License-Identifier: Apache-2.0 */
/* The logger as a whole: filters, repeats, spans, start and end. */
#include "testing.h"

#include "log/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static FILE *file;
static char text[65536];

static void start(enum log_style style, const char *filter, const char *project)
{
  file = tmpfile();
  ck_assert_ptr_nonnull(file);
  const log_options options = {
      .style = style, .fd = fileno(file), .filter = filter, .google_cloud_project = project};
  ck_assert_int_eq(log_init(&options), 0);
}

/* Ends the logger; what it wrote is then in |text|. Returns how many lines. */
static unsigned finish(void)
{
  unsigned lines = 0;
  log_shutdown();
  const ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
  ck_assert_int_ge(n, 0);
  text[n] = 0;
  fclose(file);
  for (const char *p = text; *p; p++)
    lines += *p == '\n';
  return lines;
}

static bool wrote(const char *part)
{
  return strstr(text, part) != NULL;
}

START_TEST(test_filter)
{
  char error[128], filter[1024];
  start(LOG_STYLE_HUMAN, "warn,relay=debug,bad=loud", NULL);
  log_info("other", "not this");
  log_warn("other", "warning %d", 1);
  log_debug("relay", "detail %d", 2);
  ck_assert_int_eq(log_level_of("relay"), FZR_LOG_DEBUG);
  ck_assert_int_eq(log_level_of("other"), FZR_LOG_WARN);
  /* Changed while it runs, or not at all. */
  ck_assert_int_eq(log_set_filter("info,what=ever", error, sizeof error), -1);
  ck_assert_ptr_nonnull(strstr(error, "'what=ever': "));
  log_get_filter(filter, sizeof filter);
  ck_assert_str_eq(filter, "warn,relay=debug");
  ck_assert_int_eq(log_set_filter("off", error, sizeof error), 0);
  ck_assert_int_eq(log_level_of("relay"), FZR_LOG_OFF);
  log_error("relay", "nor this");
  ck_assert_int_eq(log_set_filter("trace", error, sizeof error), 0);
  ck_assert_int_eq(log_level_of("relay"), FZR_LOG_TRACE);
  log_debug("other", "detail 3");
  ck_assert(!log_enabled(FZR_LOG_OFF, "relay"));
  ck_assert_uint_eq(finish(), 4);
  ck_assert(wrote("WARN log: Skipped a directive of the log filter directive=\"bad=loud\" problem="));
  ck_assert(wrote(" WARN other: warning 1\n"));
  ck_assert(wrote("DEBUG relay: detail 2\n"));
  ck_assert(wrote("DEBUG other: detail 3\n"));
}
END_TEST

START_TEST(test_repeats_are_counted)
{
  start(LOG_STYLE_JSON, NULL, NULL);
  for (unsigned i = 0; i < 1000; i++)
    log_warn("relay", "again");
  log_info("relay", "something else");
  ck_assert_uint_eq(finish(), 12);
  ck_assert(wrote("\"message\":\"again\",\"repeated\":990},\"target\":\"relay\"}"));
  ck_assert(wrote("something else"));
  ck_assert_uint_eq(log_lines_dropped(), 0);
}
END_TEST

START_TEST(test_span)
{
  static const uint8_t trace[16] = {0xab}, span[8] = {0xcd};
  start(LOG_STYLE_GOOGLE_CLOUD, "info", "proj");
  log_set_span(trace, span);
  log_info("relay", "within");
  log_set_span(NULL, NULL);
  log_info("relay", "without");
  ck_assert_uint_eq(finish(), 2);
  ck_assert(wrote("\"message\":\"within\",\"logging.googleapis.com/trace\":\"projects/proj/traces/ab00"));
  ck_assert(wrote("\"logging.googleapis.com/spanId\":\"cd00000000000000\"}"));
  ck_assert(wrote("\"message\":\"without\"}"));
}
END_TEST

START_TEST(test_dropped_lines_are_told)
{
  int ends[2];
  static char buffer[1 << 20];
  static const char mark[] = "too slow lines=";
  ck_assert_int_eq(pipe(ends), 0);
  /* Full, so that no line gets out before the last one was dropped. */
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  while (write(ends[1], buffer, 4096) > 0)
    continue;
  const log_options options = {.fd = ends[1], .queue_bytes = 8192};
  ck_assert_int_eq(log_init(&options), 0);
  for (unsigned i = 0; i < 5000; i++)
    log_info("relay", "line %u", i);
  const uint64_t dropped = log_lines_dropped();
  ck_assert_uint_gt(dropped, 4000);
  /* Once somebody reads, it is told by itself, all of it, in one line or several. */
  size_t len = 0;
  uint64_t told = 0;
  while (told < dropped) {
    ck_assert_uint_lt(len, sizeof buffer);
    const ssize_t n = read(ends[0], buffer + len, sizeof buffer - len);
    ck_assert_int_gt(n, 0);
    len += (size_t)n;
    told = 0;
    for (const char *at = buffer; (at = memmem(at, len - (size_t)(at - buffer), mark, strlen(mark))) != NULL;
         at++)
      if (memchr(at, '\n', len - (size_t)(at - buffer)))
        told += strtoull(at + strlen(mark), NULL, 10);
  }
  ck_assert_uint_eq(told, dropped);
  log_shutdown();
  ck_assert_uint_eq(log_lines_dropped(), dropped);
  close(ends[0]);
  close(ends[1]);
}
END_TEST

static const char *rust, *firezone;

static char *fake_env(const char *name)
{
  return (char *)(strcmp(name, "RUST_LOG") == 0 ? rust : strcmp(name, "FIREZONE_LOG") == 0 ? firezone : NULL);
}

START_TEST(test_environment)
{
  ck_assert_ptr_null(log_filter_from(fake_env));
  firezone = "debug";
  ck_assert_str_eq(log_filter_from(fake_env), "debug");
  rust = "";
  ck_assert_str_eq(log_filter_from(fake_env), "debug");
  rust = "warn";
  ck_assert_str_eq(log_filter_from(fake_env), "warn");
  /* A file is no terminal. */
  FILE *f = tmpfile();
  ck_assert(!log_wants_color(fileno(f)));
  fclose(f);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: log");
  TCase *c = tcase_create("log");
  tcase_add_test(c, test_filter);
  tcase_add_test(c, test_repeats_are_counted);
  tcase_add_test(c, test_span);
  tcase_add_test(c, test_dropped_lines_are_told);
  tcase_add_test(c, test_environment);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
