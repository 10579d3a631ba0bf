/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out, and Phoenix messages. */
#include <stdio.h>

#include "portal/phoenix.h"
#include "prng.h"
#include "testing.h"

static portal_json *json;

static void setup(void)
{
  json = portal_json_new();
  ck_assert_ptr_nonnull(json);
}

static void teardown(void)
{
  portal_json_free(json);
}

START_TEST(grammar)
{
  static const char *const good[] = {
      "{}",      "[]",        " [ ] ",
      "[[],{}]", "{\"a\":1}", "{\"a\":{\"b\":[1,-2.5e+3,true,false,null,\"\"]}}",
      "0",       "-0.1E-9",   "\"\\u00ff\\\"\\/\"",
      "[1,2]\n",
  };
  static const char *const bad[] = {
      "",
      " ",
      "{",
      "}",
      "[1,]",
      "[,1]",
      "{,}",
      "{\"a\"}",
      "{\"a\" 1}",
      "{\"a\":}",
      "{\"a\":1,}",
      "{1:2}",
      "{\"a\":1 \"b\":2}",
      "[1 2]",
      "01",
      "1.",
      ".5",
      "+1",
      "1e",
      "tru",
      "nul",
      "'a'",
      "\"a",
      "\"\\x\"",
      "\"\\u12g4\"",
      "\"\\",
      "\"\x01\"",
      "\"\xff\"",
      "\"\xc0\x80\"",
      "\"\xed\xa0\x80\"",
      "[}",
      "{]",
      "{}{}",
      "[]]",
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    ck_assert_msg(portal_json_valid(good[i], strlen(good[i])), "%s", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    ck_assert_msg(!portal_json_valid(bad[i], strlen(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(depth_and_size_are_limited)
{
  static char text[10000];
  for (size_t depth = 1; depth < 100; depth++) {
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    /* The innermost is empty, and so takes no room. */
    ck_assert_int_eq(portal_json_read(json, text, 2 * depth) == NULL, depth <= PORTAL_JSON_MAX_DEPTH + 1);
  }
  size_t len = 0;
  text[len++] = '[';
  for (int i = 0; i < PORTAL_JSON_MAX_TOKENS - 2; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "1,");
  memcpy(text + len, "1]", 3);
  ck_assert_ptr_null(portal_json_read(json, text, len + 2));
  memcpy(text + len, "1,1]", 5);
  ck_assert_str_eq(portal_json_read(json, text, len + 4), "too much JSON");
}
END_TEST

static const char *unescaped(const char *string, size_t cap)
{
  static char out[256];
  char text[512];
  (void)snprintf(text, sizeof text, "[%s]", string);
  ck_assert_ptr_null(portal_json_read(json, text, strlen(text)));
  ck_assert(portal_json_string(json, 1, out, cap));
  return out;
}

START_TEST(strings_are_unescaped)
{
  ck_assert_str_eq(unescaped("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 256), "\"\\/\b\f\n\r\t");
  ck_assert_str_eq(unescaped("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", 256),
                   "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  ck_assert_str_eq(unescaped("\"\\u0000\"", 256), "\xef\xbf\xbd");
  ck_assert_str_eq(unescaped("\"\\ud83dx\"", 256), "\xef\xbf\xbdx");
  ck_assert_str_eq(unescaped("\"\\ude00\\ud83d\"", 256), "\xef\xbf\xbd\xef\xbf\xbd");
  ck_assert_str_eq(unescaped("\"\\ud83d\\u0041\"", 256), "\xef\xbf\xbd"
                                                         "A");
  ck_assert_str_eq(unescaped("\"\xf0\x9f\x98\x80\"", 256), "\xf0\x9f\x98\x80");
  ck_assert_str_eq(unescaped("\"ab\xc3\xa9\"", 4), "ab"); /* never half a character */
  ck_assert_str_eq(unescaped("\"abc\"", 4), "abc");
}
END_TEST

START_TEST(strings_are_escaped)
{
  char out[256];
  text_out text = text_out_of(out, sizeof out);
  text_json(&text, "a\"\\\b\f\n\r\t\v\x01\x1f\x7f\xc3\xa9\xf0\x9f\x98\x80\xff");
  ck_assert_str_eq(out,
                   "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u000b\\u0001\\u001f\\u007f\xc3\xa9\xf0\x9f\x98\x80\\ufffd\"");
}
END_TEST

/* Whatever is written reads back the same. */
START_TEST(round_trip)
{
  fzt_prng prng = {fzt_seed("round_trip")};
  for (uint64_t i = 0; i < fzt_rounds(2000); i++) {
    char in[64], doc[512], out[256];
    const size_t len = (size_t)fzt_below(&prng, sizeof in - 1);
    for (size_t k = 0; k < len; k++)
      in[k] = (char)(1 + fzt_below(&prng, 127));
    in[len] = '\0';
    text_out text = text_out_of(doc, sizeof doc);
    text_puts(&text, "{\"k\":");
    text_json(&text, in);
    text_puts(&text, "}");
    ck_assert_ptr_null(portal_json_read(json, doc, text.len));
    ck_assert(portal_json_string(json, portal_json_member(json, 0, "k"), out, sizeof out));
    ck_assert_str_eq(in, out);
  }
}
END_TEST

static phoenix_message read_ok(const char *text)
{
  phoenix_message message;
  const char *problem = phoenix_read(json, text, strlen(text), &message);
  ck_assert_msg(problem == NULL, "%s: %s", text, problem);
  return message;
}

START_TEST(replies)
{
  phoenix_message m = read_ok("{\"topic\":\"relay\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\","
                              "\"response\":{}},\"ref\":7}");
  ck_assert_int_eq(m.kind, PHOENIX_REPLY_OK);
  ck_assert(m.has_ref);
  ck_assert_uint_eq(m.ref, 7);
  m = read_ok("{\"ref\":\"18446744073709551609\",\"payload\":{\"response\":{\"reason\":\"un\\u006datched "
              "topic\"},\"status\":\"error\"},"
              "\"event\":\"phx_reply\",\"topic\":\"relay\",\"join_ref\":null}");
  ck_assert_int_eq(m.kind, PHOENIX_REPLY_ERROR);
  ck_assert_str_eq(m.reason, "unmatched topic");
  ck_assert_uint_eq(m.ref, UINT64_C(18446744073709551609));
  static const char *const no_refs[] = {
      "null", "-1", "1.5", "1e3", "\"\"", "\"x\"", "{}", "99999999999999999999", "true"};
  for (size_t i = 0; i < sizeof no_refs / sizeof no_refs[0]; i++) {
    char text[256];
    (void)snprintf(text, sizeof text, "{\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\"},\"ref\":%s}",
                   no_refs[i]);
    ck_assert_msg(!read_ok(text).has_ref, "%s", text);
  }
}
END_TEST

START_TEST(events)
{
  static const struct {
    const char *text;
    enum phoenix_kind kind;
    const char *reason;
  } cases[] = {
      {"{\"topic\":\"relay\",\"event\":\"init\",\"payload\":{}}", PHOENIX_INIT, ""},
      {"{\"topic\":\"relay\",\"event\":\"init\"}", PHOENIX_INIT, ""},
      {"{\"topic\":\"other\",\"event\":\"init\",\"payload\":{}}", PHOENIX_OTHER, ""},
      {"{\"topic\":\"relay\",\"event\":\"phx_close\",\"payload\":{}}", PHOENIX_CLOSED, ""},
      {"{\"topic\":\"relay\",\"event\":\"phx_error\",\"payload\":{}}", PHOENIX_CLOSED, ""},
      {"{\"topic\":\"phoenix\",\"event\":\"phx_error\",\"payload\":{}}", PHOENIX_OTHER, ""},
      {"{\"topic\":\"relay\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"}}",
       PHOENIX_DISCONNECT, "token_expired"},
      {"{\"event\":\"disconnect\",\"payload\":[]}", PHOENIX_DISCONNECT, ""},
      {"{\"topic\":\"relay\",\"event\":\"initial\",\"payload\":{}}", PHOENIX_OTHER, ""},
      {"{\"topic\":\"relay\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"odd\"},\"ref\":1}",
       PHOENIX_OTHER, ""},
      {"{\"event\":\"x\",\"event\":\"init\",\"topic\":\"relay\"}", PHOENIX_INIT, ""},
      {"{\"payload\":{\"event\":\"phx_close\",\"topic\":\"x\"},\"event\":\"init\",\"topic\":\"relay\"}",
       PHOENIX_INIT, ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const phoenix_message m = read_ok(cases[i].text);
    ck_assert_msg(m.kind == cases[i].kind, "%s", cases[i].text);
    ck_assert_str_eq(m.reason, cases[i].reason);
  }
}
END_TEST

START_TEST(not_messages)
{
  static const char *const cases[] = {"",
                                      "x",
                                      "[]",
                                      "7",
                                      "\"event\"",
                                      "null",
                                      "{}",
                                      "{\"event\":null}",
                                      "{\"topic\":\"relay\"}",
                                      "{\"event\":\"init\"",
                                      "[\"1\",\"1\",\"relay\",\"init\",{}]"};
  phoenix_message message;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    ck_assert_msg(phoenix_read(json, cases[i], strlen(cases[i]), &message) != NULL, "%s", cases[i]);
}
END_TEST

START_TEST(written)
{
  char out[256];
  text_out text = text_out_of(out, sizeof out);
  phoenix_write_join("00ff", 0, &text);
  ck_assert_str_eq(
      out, "{\"topic\":\"relay\",\"event\":\"phx_join\",\"payload\":{\"stamp_secret\":\"00ff\"},\"ref\":0}");
  text = text_out_of(out, sizeof out);
  phoenix_write_heartbeat(UINT64_MAX, &text);
  ck_assert_str_eq(
      out, "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":18446744073709551615}");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("portal_phoenix");
  TCase *tc = tcase_create("phoenix");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, grammar);
  tcase_add_test(tc, depth_and_size_are_limited);
  tcase_add_test(tc, strings_are_unescaped);
  tcase_add_test(tc, strings_are_escaped);
  tcase_add_test(tc, round_trip);
  tcase_add_test(tc, replies);
  tcase_add_test(tc, events);
  tcase_add_test(tc, not_messages);
  tcase_add_test(tc, written);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
