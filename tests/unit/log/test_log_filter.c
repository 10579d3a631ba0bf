/* SPDX-License-Identifier: Apache-2.0 */
/* RUST_LOG's directives. */
#include "testing.h"

#include "log/filter.h"

#include <stdio.h>

typedef struct complaints {
  unsigned count;
  char last[64];
  char problem[96];
} complaints;

static void complain(void *ctx, const char *directive, size_t len, const char *problem)
{
  complaints *c = ctx;
  c->count++;
  snprintf(c->last, sizeof c->last, "%.*s", (int)len, directive);
  snprintf(c->problem, sizeof c->problem, "%s", problem);
}

/* What |text| means, written as directives; |skipped| of it must have been skipped. */
static const char *meaning(const char *text, size_t skipped)
{
  static char out[LOG_FILTER_TEXT_MAX];
  log_filter filter;
  complaints c = {0};
  ck_assert_msg(log_filter_parse(&filter, text, complain, &c) == skipped, "'%s' skipped %u", text, c.count);
  ck_assert_uint_eq(c.count, skipped);
  log_filter_format(&filter, out, sizeof out);
  return out;
}

START_TEST(test_levels)
{
  ck_assert_str_eq(meaning("", 0), "info");
  ck_assert_str_eq(meaning("info", 0), "info");
  ck_assert_str_eq(meaning("WARN", 0), "warn");
  ck_assert_str_eq(meaning("Trace", 0), "trace");
  ck_assert_str_eq(meaning("off", 0), "off");
  ck_assert_str_eq(meaning("0", 0), "off");
  ck_assert_str_eq(meaning("1", 0), "error");
  ck_assert_str_eq(meaning("5", 0), "trace");
  ck_assert_str_eq(meaning("error,debug", 0), "debug");
}
END_TEST

START_TEST(test_targets)
{
  ck_assert_str_eq(meaning("info,relay=debug,wire=trace,portal=debug", 0),
                   "info,relay=debug,wire=trace,portal=debug");
  /* Targets alone: the rest is off. */
  ck_assert_str_eq(meaning("relay=warn", 0), "off,relay=warn");
  ck_assert_str_eq(meaning("relay", 0), "off,relay=trace");
  ck_assert_str_eq(meaning(" info , relay = debug ,, ", 0), "info,relay=debug");
  ck_assert_str_eq(meaning("relay=debug,relay=error", 0), "off,relay=error");
  /* So with those of other programs' beside them, as Firezone's relay has them. */
  ck_assert_str_eq(meaning("firezone_relay=error,hyper=off", 0), "off,firezone_relay=error,hyper=off");
  ck_assert_str_eq(meaning("hyper=off,h2=off,relay=debug", 0), "off,hyper=off,h2=off,relay=debug");
  ck_assert_str_eq(meaning("hyper=off,h2=off", 2), "info,hyper=off,h2=off");
  /* Nobody's lines, where the rest has a level. */
  ck_assert_str_eq(meaning("warn,hyper=debug", 0), "warn,hyper=debug");
  ck_assert_str_eq(meaning("hyper=debug,off", 0), "off,hyper=debug");
}
END_TEST

START_TEST(test_wrong_directives_are_skipped)
{
  static const char *const wrong[] = {
      "relay=loud",       "=debug",   "relay=",     "re lay=debug", "a=b=c",
      "relay[span]=info", "{x}=info", "info;debug", "\xff",         "relay=debug\x1b[31m"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char text[64];
    log_filter filter;
    complaints c = {0};
    snprintf(text, sizeof text, "warn,%s,portal=debug", wrong[i]);
    ck_assert_msg(log_filter_parse(&filter, text, complain, &c) == 1, "%s", text);
    ck_assert_str_eq(c.last, wrong[i]);
    ck_assert_uint_gt(strlen(c.problem), 0);
    ck_assert_str_eq(meaning(text, 1), "warn,portal=debug");
    /* Without anyone to complain to as well. */
    ck_assert_uint_eq(log_filter_parse(&filter, text, NULL, NULL), 1);
  }
  ck_assert_str_eq(meaning("nonsense=", 1), "info");
}
END_TEST

/* A slip does not silence the relay: what it was about stays as it is without it. */
START_TEST(test_slips)
{
  static const struct {
    const char *text, *meaning, *last;
  } slips[] = {
      {"debgu", "info", "debgu"},
      {"relay=debgu", "info", "relay=debgu"},
      {"rely=debug", "info,rely=debug", "rely"},
      {"rely", "info", "rely"},
      {"warn,rely", "warn", "rely"},
      {"debgu,off", "off", "debgu"},
      {"relay=debug,portal=inof", "info,relay=debug", "portal=inof"},
      {"relay=debug;portal=info", "info", "relay=debug;portal=info"},
      {"relay debug", "info", "relay debug"},
      {"firezone_relay::server=debug", "info,firezone_relay::server=debug", "firezone_relay::server"},
  };
  for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
    log_filter filter;
    complaints c = {0};
    ck_assert_str_eq(meaning(slips[i].text, 1), slips[i].meaning);
    ck_assert_uint_eq(log_filter_parse(&filter, slips[i].text, complain, &c), 1);
    ck_assert_str_eq(c.last, slips[i].last);
    ck_assert_uint_eq(log_filter_parse(&filter, slips[i].text, NULL, NULL), 1);
  }
}
END_TEST

START_TEST(test_limits)
{
  char text[LOG_FILTER_INPUT_MAX + 2], target[LOG_FILTER_TARGET_MAX + 2];
  log_filter filter;
  memset(target, 't', sizeof target);
  target[LOG_FILTER_TARGET_MAX + 1] = 0;
  snprintf(text, sizeof text, "info,%s=debug", target);
  ck_assert_str_eq(meaning(text, 1), "info");
  snprintf(text, sizeof text, "info,%s=debug", target + 1);
  ck_assert_uint_eq(log_filter_parse(&filter, text, NULL, NULL), 0);
  ck_assert_int_eq(log_filter_level(&filter, target + 1), FZR_LOG_DEBUG);

  size_t len = 0;
  for (unsigned i = 0; i < LOG_FILTER_DIRECTIVES + 3; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "target_%u=trace,", i);
  ck_assert_uint_eq(log_filter_parse(&filter, text, NULL, NULL), 3);
  ck_assert_uint_eq(filter.count, LOG_FILTER_DIRECTIVES);

  memset(text, ',', sizeof text);
  text[sizeof text - 1] = 0;
  ck_assert_str_eq(meaning(text, 1), "info");
  text[sizeof text - 2] = 0;
  ck_assert_str_eq(meaning(text, 0), "info");
}
END_TEST

START_TEST(test_level_of_a_target)
{
  log_filter f;
  log_filter_parse(&f, "warn,relay=debug,relay::data=trace,portal=off", NULL, NULL);
  ck_assert_int_eq(log_filter_level(&f, "relay"), FZR_LOG_DEBUG);
  ck_assert_int_eq(log_filter_level(&f, "relay::data"), FZR_LOG_TRACE);
  ck_assert_int_eq(log_filter_level(&f, "relay::data::deep"), FZR_LOG_TRACE);
  ck_assert_int_eq(log_filter_level(&f, "relay::other"), FZR_LOG_DEBUG);
  ck_assert_int_eq(log_filter_level(&f, "relays"), FZR_LOG_WARN);
  ck_assert_int_eq(log_filter_level(&f, "rel"), FZR_LOG_WARN);
  ck_assert_int_eq(log_filter_level(&f, "portal"), FZR_LOG_OFF);
  ck_assert_int_eq(log_filter_level(&f, "otlp"), FZR_LOG_WARN);
  ck_assert_int_eq(f.highest, FZR_LOG_TRACE);
}
END_TEST

/* What the environment of Firezone's relay has still means the same lines. */
START_TEST(test_targets_of_firezones_relay)
{
  static const struct {
    const char *text;
    enum fzr_log_level relay, portal, otlp;
  } cases[] = {
      {"info,relay_proto::server=debug", FZR_LOG_DEBUG, FZR_LOG_INFO, FZR_LOG_INFO},
      {"info,relay_proto=debug", FZR_LOG_DEBUG, FZR_LOG_INFO, FZR_LOG_INFO},
      {"info,firezone_relay=debug", FZR_LOG_DEBUG, FZR_LOG_INFO, FZR_LOG_INFO},
      {"warn,phoenix_channel=debug", FZR_LOG_WARN, FZR_LOG_DEBUG, FZR_LOG_WARN},
      {"info,wire=trace", FZR_LOG_TRACE, FZR_LOG_TRACE, FZR_LOG_INFO},
      {"info,wire::api=trace", FZR_LOG_INFO, FZR_LOG_TRACE, FZR_LOG_INFO},
      {"warn,relay=debug,relay_proto::server=info", FZR_LOG_DEBUG, FZR_LOG_WARN, FZR_LOG_WARN},
      {"warn,relay=info,relay_proto::server=debug", FZR_LOG_DEBUG, FZR_LOG_WARN, FZR_LOG_WARN},
      {"phoenix_channel=info", FZR_LOG_OFF, FZR_LOG_INFO, FZR_LOG_OFF},
      {"info,relay_proto::other=trace", FZR_LOG_INFO, FZR_LOG_INFO, FZR_LOG_INFO},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    log_filter f;
    ck_assert_uint_eq(log_filter_parse(&f, cases[i].text, NULL, NULL), 0);
    ck_assert_msg(log_filter_level(&f, "relay") == cases[i].relay, "%s: relay", cases[i].text);
    ck_assert_msg(log_filter_level(&f, "portal") == cases[i].portal, "%s: portal", cases[i].text);
    ck_assert_msg(log_filter_level(&f, "otlp") == cases[i].otlp, "%s: otlp", cases[i].text);
  }
}
END_TEST

static bool misses_all(const char *text)
{
  log_filter f;
  log_filter_parse(&f, text, NULL, NULL);
  return log_filter_misses_all(&f);
}

START_TEST(test_filters_that_nobody_can_mean)
{
  static const char *const pointless[] = {"off,wiring=trace", "relay=off", "relay=off,portal=off",
                                          "relay=off,wire=off", "off,portal=off"};
  static const char *const meant[] = {"",         "info",         "off",
                                      "0",        "info,inof",    "relay",
                                      "portal=1", "off,otlp=5",   "xdp=error",
                                      "control",  "log=info",     "inof,log=warn",
                                      "inof",     "wiring=trace", "relay::deep=debug",
                                      "inof=off"};
  for (size_t i = 0; i < sizeof pointless / sizeof *pointless; i++)
    ck_assert_msg(misses_all(pointless[i]), "%s", pointless[i]);
  for (size_t i = 0; i < sizeof meant / sizeof *meant; i++)
    ck_assert_msg(!misses_all(meant[i]), "%s", meant[i]);
}
END_TEST

START_TEST(test_format_is_read_back)
{
  char text[LOG_FILTER_TEXT_MAX], again[LOG_FILTER_TEXT_MAX], cut[12];
  log_filter f, g;
  log_filter_parse(&f, "error,a=info,b::c=off,d", NULL, NULL);
  log_filter_format(&f, text, sizeof text);
  ck_assert_uint_eq(log_filter_parse(&g, text, NULL, NULL), 0);
  log_filter_format(&g, again, sizeof again);
  ck_assert_str_eq(text, again);
  log_filter_format(&f, cut, sizeof cut);
  ck_assert_str_eq(cut, "error,a=inf");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: log filter");
  TCase *c = tcase_create("filter");
  tcase_add_test(c, test_levels);
  tcase_add_test(c, test_targets);
  tcase_add_test(c, test_wrong_directives_are_skipped);
  tcase_add_test(c, test_slips);
  tcase_add_test(c, test_limits);
  tcase_add_test(c, test_level_of_a_target);
  tcase_add_test(c, test_targets_of_firezones_relay);
  tcase_add_test(c, test_filters_that_nobody_can_mean);
  tcase_add_test(c, test_format_is_read_back);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
