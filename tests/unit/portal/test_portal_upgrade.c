/* SPDX-License-Identifier: Apache-2.0 */
/* The upgrade request, the reader of its answer, and Retry-After. */
#include <stdio.h>

#include "portal/retry_after.h"
#include "portal/upgrade.h"
#include "testing.h"

/* RFC 6455 section 1.3 */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define HEAD   "HTTP/1.1 101 Switching Protocols\r\n"
#define FULL   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"

static portal_upgrade reader;

/* Feeds |text| in pieces of |step|; the rest that was not used is left in |rest|. */
static enum portal_upgrade_result feed(const char *text, size_t step, const char **rest)
{
  const size_t len = strlen(text);
  enum portal_upgrade_result result = PORTAL_UPGRADE_MORE;
  size_t at = 0;
  portal_upgrade_init(&reader, KEY);
  while (at < len && result == PORTAL_UPGRADE_MORE) {
    size_t used;
    result =
        portal_upgrade_feed(&reader, (const uint8_t *)text + at, step < len - at ? step : len - at, &used);
    at += used;
  }
  if (rest != NULL)
    *rest = text + at;
  return result;
}

START_TEST(key_of_the_rfc)
{
  char key[PORTAL_WS_KEY_LEN + 1];
  portal_upgrade_key((const uint8_t *)"the sample nonce", key);
  ck_assert_str_eq(key, KEY);
}
END_TEST

START_TEST(request)
{
  portal_url url;
  char buffer[1024];
  text_out text = text_out_of(buffer, sizeof buffer);
  const portal_login login = {.token = "a\r\nb", .port = 3478};
  ck_assert_ptr_null(portal_url_parse("ws://h:8081", &url));
  portal_upgrade_request(&url, &login, "1.2.3", KEY, &text);
  ck_assert_str_eq(buffer, "GET /relay/websocket?port=3478 HTTP/1.1\r\n"
                           "Host: h:8081\r\n"
                           "Connection: Upgrade\r\n"
                           "Upgrade: websocket\r\n"
                           "Sec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: " KEY "\r\n"
                           "User-Agent: relay/1.2.3\r\n"
                           "X-Authorization: Bearer ab\r\n\r\n");
}
END_TEST

START_TEST(switches)
{
  static const char *const answers[] = {
      HEAD FULL "\r\n",
      "HTTP/1.1 101 \r\n" FULL "\r\n",
      "HTTP/1.1 101\n" FULL "\n",
      HEAD "UPGRADE:\tWebSocket \r\nconnection: keep-alive, upgrade\r\nsec-websocket-accept:" ACCEPT
           "  \r\nServer: x\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    for (size_t step = 1; step < 400; step = step * 3 + 1) {
      char text[1024];
      const char *rest;
      (void)snprintf(text, sizeof text, "%sREST", answers[i]);
      ck_assert_msg(feed(text, step, &rest) == PORTAL_UPGRADE_SWITCHED, "%s: %s", text, reader.problem);
      ck_assert_str_eq(rest, "REST");
    }
  }
}
END_TEST

START_TEST(bad_answers)
{
  static const char *const answers[] = {
      "HTTP/2 101 x\r\n\r\n",
      "HTTP/1.1 1x1 x\r\n\r\n",
      "HTTP/1.1 099 x\r\n\r\n",
      "HTTP/1.1 1011 x\r\n\r\n",
      "\r\n\r\n",
      HEAD "\r\n",
      HEAD "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      HEAD "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x" ACCEPT "\r\n\r\n",
      HEAD "Upgrade: websocket2\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
      HEAD "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
      HEAD FULL "Sec-WebSocket-Protocol: phoenix\r\n\r\n",
      HEAD FULL "Sec-WebSocket-Extensions: x\r\n\r\n",
      HEAD FULL "no colon\r\n\r\n",
      HEAD FULL ": no name\r\n\r\n",
      HEAD FULL " folded: x\r\n\r\n",
      HEAD FULL "space : x\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 403 x\r\nContent-Length: -1\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    ck_assert_msg(feed(answers[i], 7, NULL) == PORTAL_UPGRADE_BAD, "%s", answers[i]);
    ck_assert_ptr_nonnull(reader.problem);
  }
}
END_TEST

START_TEST(limits)
{
  static char text[64 * 1024];
  size_t len = (size_t)snprintf(text, sizeof text, HEAD "X: ");
  memset(text + len, 'a', 20000);
  ck_assert_int_eq(feed(text, 1000, NULL), PORTAL_UPGRADE_BAD);
  len = strlen(HEAD);
  while (len < 20000)
    len += (size_t)snprintf(text + len, sizeof text - len, "X: y\r\n");
  const char *rest;
  ck_assert_int_eq(feed(text, 1000, &rest), PORTAL_UPGRADE_BAD);
  ck_assert_int_eq(rest - text, PORTAL_UPGRADE_MAX_HEADER + 1);
  const uint8_t zero[] = "HTTP/1.1 101 x\r\nA: b\0c\r\n";
  size_t used;
  portal_upgrade_init(&reader, KEY);
  ck_assert_int_eq(portal_upgrade_feed(&reader, zero, sizeof zero - 1, &used), PORTAL_UPGRADE_BAD);
}
END_TEST

START_TEST(refusals)
{
  static const struct {
    const char *answer;
    int status;
    const char *excerpt;
  } cases[] = {
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\nInvalid token", 403, "Invalid token"},
      {"HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", 401, ""},
      {"HTTP/1.1 204 x\r\n\r\n", 204, ""},
      {"HTTP/1.0 503 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;e=1\r\nc\r\n0\r\n\r\n", 503, "abc"},
      {"HTTP/1.1 404 x\r\nContent-Length: 8\r\n\r\na\r\nb\x1b\xff"
       "c\n",
       404, "a  b ?c"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (size_t step = 1; step < 100; step += 13) {
      ck_assert_msg(feed(cases[i].answer, step, NULL) == PORTAL_UPGRADE_REFUSED, "%s", cases[i].answer);
      ck_assert_int_eq(reader.status, cases[i].status);
      ck_assert_str_eq(reader.excerpt, cases[i].excerpt);
    }
  }
}
END_TEST

START_TEST(body_until_the_end)
{
  ck_assert_int_eq(feed("HTTP/1.1 403 x\r\n\r\nabc", 5, NULL), PORTAL_UPGRADE_MORE);
  ck_assert(portal_upgrade_in_body(&reader));
  ck_assert_int_eq(portal_upgrade_end(&reader), PORTAL_UPGRADE_REFUSED);
  ck_assert_str_eq(reader.excerpt, "abc");
  ck_assert_int_eq(feed("HTTP/1.1 403 x\r\n", 5, NULL), PORTAL_UPGRADE_MORE);
  ck_assert(!portal_upgrade_in_body(&reader));
  ck_assert_int_eq(portal_upgrade_end(&reader), PORTAL_UPGRADE_BAD);
  static char text[2000];
  const size_t len = (size_t)snprintf(text, sizeof text, "HTTP/1.1 500 x\r\n\r\n");
  memset(text + len, 'a', sizeof text - 1 - len);
  ck_assert_int_eq(feed(text, 100, NULL), PORTAL_UPGRADE_REFUSED); /* enough read */
  ck_assert_uint_lt(strlen(reader.excerpt), PORTAL_UPGRADE_EXCERPT);
  ck_assert_uint_gt(strlen(reader.excerpt), PORTAL_UPGRADE_EXCERPT - 10);
}
END_TEST

START_TEST(location_without_query)
{
  ck_assert_int_eq(feed("HTTP/1.1 302 x\r\nLocation: https://x/y?token=secret#z\r\nRetry-After:  7 "
                        "\r\nContent-Length: 0\r\n\r\n",
                        9, NULL),
                   PORTAL_UPGRADE_REFUSED);
  ck_assert_str_eq(reader.location, "https://x/y");
  ck_assert_str_eq(reader.retry_after, "7");
}
END_TEST

START_TEST(redaction)
{
  static const struct {
    const char *text, *secret, *result;
  } cases[] = {
      {"a secretsecret b", "secret", "a ************ b"},
      {"nothing", "secret", "nothing"},
      {"text", "", "text"},
      {"cut off at SFMyNTY.abcdef", "SFMyNTY.abcdefghijk", "cut off at **************"},
      {"SFMyNTY.abcdef and more", "SFMyNTY.abcdefghijk", "************** and more"},
      {"aaaab", "aab", "aa***"},
      {"SFM is short", "SFMyNTY.abcdefghijk", "SFM is short"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[64];
    (void)snprintf(text, sizeof text, "%s", cases[i].text);
    portal_redact(text, cases[i].secret);
    ck_assert_str_eq(text, cases[i].result);
  }
}
END_TEST

START_TEST(http_dates)
{
  static const struct {
    const char *text;
    int64_t unix_seconds;
  } cases[] = {
      {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
      {"Sun Nov  6 08:49:37 1994", 784111777},
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
      {"Sunday, 06-Nov-94 08:49:37 GMT", 3939871777}, /* two digits are of this century */
      {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
      {"Tue Feb 29 12:00:00 2000", 951825600},
      {"Wed, 31 Dec 9999 23:59:59 GMT", 253402300799},
  };
  int64_t value;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ck_assert_msg(portal_http_date(cases[i].text, strlen(cases[i].text), &value), "%s", cases[i].text);
    ck_assert_msg(value == cases[i].unix_seconds, "%s: %lld", cases[i].text, (long long)value);
  }
  static const char *const bad[] = {
      "Sun, 06 Nov 1994 08:49:37",     "Sun, 31 Nov 1994 08:49:37 GMT",  "Sun, 29 Feb 1900 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",  "Sun, 06 Nov 1994 08:49:37 CET",
      "Sun, 6 Nov 1994 08:49:37 GMT",  "Xyz, 06 Nov 1994 08:49:37 GMT",  "Sun, 06 Nov 1969 08:49:37 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ", "",
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    ck_assert_msg(!portal_http_date(bad[i], strlen(bad[i]), &value), "%s", bad[i]);
}
END_TEST

START_TEST(retry_after)
{
  static const struct {
    const char *text;
    bool ok;
    uint32_t seconds;
  } cases[] = {
      {"0", true, 0},
      {" 17\t", true, 17},
      {"300", true, 300},
      {"301", true, 300},
      {"99999999999999999999999999", true, 300},
      {"Sun, 06 Nov 1994 08:49:37 GMT", true, 37},
      {"Sun, 06 Nov 1994 08:48:00 GMT", true, 0},
      {"Sun, 06 Nov 2094 08:48:00 GMT", true, 300},
      {"", false, 0},
      {"-1", false, 0},
      {"1.5", false, 0},
      {"1 2", false, 0},
      {"soon", false, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint32_t seconds = 0;
    const bool ok = portal_retry_after(cases[i].text, strlen(cases[i].text), 784111740, &seconds);
    ck_assert_msg(ok == cases[i].ok && seconds == cases[i].seconds, "%s: %d, %u", cases[i].text, ok, seconds);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("portal_upgrade");
  TCase *tc = tcase_create("upgrade");
  tcase_add_test(tc, key_of_the_rfc);
  tcase_add_test(tc, request);
  tcase_add_test(tc, switches);
  tcase_add_test(tc, bad_answers);
  tcase_add_test(tc, limits);
  tcase_add_test(tc, refusals);
  tcase_add_test(tc, body_until_the_end);
  tcase_add_test(tc, location_without_query);
  tcase_add_test(tc, redaction);
  tcase_add_test(tc, http_dates);
  tcase_add_test(tc, retry_after);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
