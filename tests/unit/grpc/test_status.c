/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's status codes, what may be sent again and when, and endpoints. */
#include "testing.h"

#include "grpc/internal.h"
#include "grpc/status.h"

#include <nghttp2/nghttp2.h>

START_TEST(test_names)
{
  ck_assert_str_eq(grpc_code_name(0), "OK");
  ck_assert_str_eq(grpc_code_name(14), "UNAVAILABLE");
  ck_assert_str_eq(grpc_code_name(16), "UNAUTHENTICATED");
  ck_assert_str_eq(grpc_code_name(17), "UNKNOWN");
  ck_assert_str_eq(grpc_code_name(-1), "UNKNOWN");
}
END_TEST

/* OTLP's table of what a client may retry (OTLP specification, "Failures"). */
START_TEST(test_what_may_be_retried)
{
  for (int code = 0; code <= GRPC_UNAUTHENTICATED; code++) {
    bool wanted = false;
    switch (code) {
    case GRPC_CANCELLED:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_ABORTED:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
      wanted = true;
      break;
    default:
      break;
    }
    ck_assert_int_eq(grpc_may_retry((enum grpc_code)code, false), wanted);
    ck_assert_int_eq(grpc_may_retry((enum grpc_code)code, true), wanted || code == GRPC_RESOURCE_EXHAUSTED);
  }
}
END_TEST

START_TEST(test_http_and_resets)
{
  ck_assert_int_eq(grpc_code_of_http(400), GRPC_INTERNAL);
  ck_assert_int_eq(grpc_code_of_http(401), GRPC_UNAUTHENTICATED);
  ck_assert_int_eq(grpc_code_of_http(403), GRPC_PERMISSION_DENIED);
  ck_assert_int_eq(grpc_code_of_http(404), GRPC_UNIMPLEMENTED);
  ck_assert_int_eq(grpc_code_of_http(429), GRPC_UNAVAILABLE);
  ck_assert_int_eq(grpc_code_of_http(503), GRPC_UNAVAILABLE);
  ck_assert_int_eq(grpc_code_of_http(500), GRPC_UNKNOWN);
  ck_assert_int_eq(grpc_code_of_reset(NGHTTP2_REFUSED_STREAM), GRPC_UNAVAILABLE);
  ck_assert_int_eq(grpc_code_of_reset(NGHTTP2_CANCEL), GRPC_CANCELLED);
  ck_assert_int_eq(grpc_code_of_reset(NGHTTP2_ENHANCE_YOUR_CALM), GRPC_RESOURCE_EXHAUSTED);
  ck_assert_int_eq(grpc_code_of_reset(NGHTTP2_PROTOCOL_ERROR), GRPC_INTERNAL);
}
END_TEST

static const char *decoded(const char *text)
{
  static char out[64];
  grpc_decode_message((const uint8_t *)text, strlen(text), out, sizeof out);
  return out;
}

START_TEST(test_message)
{
  ck_assert_str_eq(decoded("plain"), "plain");
  ck_assert_str_eq(decoded("a%20b%C3%a9%"), "a b\xc3\xa9%");
  ck_assert_str_eq(decoded("%4"), "%4");
  ck_assert_str_eq(decoded("%zz"), "%zz");
  ck_assert_str_eq(decoded("%ff%00"), "\xef\xbf\xbd\xef\xbf\xbd");
  char big[3000];
  memset(big, 'x', sizeof big - 1);
  big[sizeof big - 1] = 0;
  ck_assert_uint_eq(strlen(decoded(big)), 63);
}
END_TEST

static int64_t delay(const char *base64)
{
  return grpc_retry_delay((const uint8_t *)base64, strlen(base64));
}

/* {code: 14, details: [google.rpc.RetryInfo{retry_delay: {seconds: 3, nanos: 500000000}}]}, encoded by hand. */
START_TEST(test_retry_delay)
{
  ck_assert_int_eq(delay(""), -1);
  ck_assert_int_eq(delay("!!!"), -1);
  ck_assert_int_eq(delay("AAAA"), -1);
  ck_assert_int_eq(delay("CA4="), -1); /* a status without details */
  ck_assert_int_eq(delay("CA4aNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIAxCAyrXuAQ=="),
                   3500);
  /* Without padding, as gRPC sends it. */
  ck_assert_int_eq(delay("CA4aNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIAxCAyrXuAQ"),
                   3500);
}
END_TEST

static const char *endpoint(const char *text)
{
  static char out[400];
  char host[GRPC_HOST_MAX + 1];
  uint16_t port = 0;
  const char *problem = grpc_parse_endpoint(text, host, &port);
  ck_assert_ptr_eq(problem, grpc_check_endpoint(text));
  if (problem)
    snprintf(out, sizeof out, "! %s", problem);
  else
    snprintf(out, sizeof out, "%s %u", host, port);
  return out;
}

/* The dot that ends a complete name is for look-ups: no certificate has it, and RFC 6066 section 3 has SNI without. */
START_TEST(test_peer_names)
{
  static const char *const names[][2] = {
      {"collector.example.", "collector.example"},
      {"collector.example", "collector.example"},
      {"192.0.2.1", "192.0.2.1"},
      {"2001:db8::1", "2001:db8::1"},
      {"fe80::1%eth0.", "fe80::1"},
      {".", ""},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char name[GRPC_HOST_MAX + 1];
    grpc_peer_name(names[i][0], name);
    ck_assert_str_eq(name, names[i][1]);
  }
}
END_TEST

START_TEST(test_endpoints)
{
  ck_assert_str_eq(endpoint("collector:4317"), "collector 4317");
  ck_assert_str_eq(endpoint("127.0.0.1:1"), "127.0.0.1 1");
  ck_assert_str_eq(endpoint("http://a.b:65535/"), "a.b 65535");
  ck_assert_str_eq(endpoint("[2001:db8::1]:4317"), "2001:db8::1 4317");
  ck_assert_str_eq(endpoint("[fe80::1%eth0]:4317"), "fe80::1%eth0 4317");
  ck_assert_str_eq(endpoint("https://h:1"), "h 1");
  ck_assert_str_eq(endpoint("HTTPS://h/"), "h 443");
  ck_assert_str_eq(endpoint("http://h"), "h 4317");
  ck_assert_str_eq(endpoint("https://[::1]"), "::1 443");
  ck_assert_str_eq(endpoint("https://h/v1/metrics"), "! gRPC has no paths: expected host:port");
  ck_assert(grpc_endpoint_has_tls("https://h:1") && grpc_endpoint_has_tls("HTTPS://h"));
  ck_assert(!grpc_endpoint_has_tls("http://h:1") && !grpc_endpoint_has_tls("https:1"));
  static const char *const bad[] = {"",           "host",      ":4317",       "host:",          "host:0",
                                    "host:65536", "host:x",    "host:123456", "::1:4317",       "[::1]",
                                    "[::1]x:1",   "ftp://h:1", "a b:1",       "host:4317/path", "\xff:1"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(endpoint(bad[i])[0] == '!', "%s", bad[i]);
  char big[GRPC_HOST_MAX + 8];
  memset(big, 'h', GRPC_HOST_MAX + 1);
  strcpy(big + GRPC_HOST_MAX + 1, ":1");
  ck_assert(endpoint(big)[0] == '!');
  ck_assert(endpoint(big + 1)[0] == 'h');
}
END_TEST

/* What a server begins with, byte by byte: with nine it is clear. */
START_TEST(test_beginnings)
{
  static const struct {
    const char *bytes;
    bool tls;
    const char *problem; /* NULL: none */
  } cases[] = {{"\0\0\x12\4\0\0\0\0\0", false, NULL},       {"HTTP/1.1 ", false, "an HTTP/1 server"},
               {"HTTP/1.0 ", true, "without TLS"},          {"HTTP/2.0 ", false, NULL},
               {"\x15\3\1\0\2\2\x46..", false, "https://"}, {"\x16\3\3\0\x7a\2...", true, NULL},
               {"\x15\3\3\0\2\2\x28..", true, NULL},        {"SSH-2.0-O", true, "not TLS"},
               {"\0\0\x12\4\0\0\0\0\0", true, "not TLS"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool more = true;
    const char *problem = NULL;
    for (size_t n = 0; n <= 9 && more && !problem; n++)
      problem = grpc_judge_beginning((const uint8_t *)cases[i].bytes, n, cases[i].tls, &more);
    ck_assert_msg((problem != NULL) == (cases[i].problem != NULL), "case %zu: %s", i,
                  problem ? problem : "none");
    if (problem)
      ck_assert_msg(strstr(problem, cases[i].problem) != NULL, "case %zu: %s", i, problem);
    else
      ck_assert(!more);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: gRPC status");
  TCase *c = tcase_create("status");
  tcase_add_test(c, test_names);
  tcase_add_test(c, test_what_may_be_retried);
  tcase_add_test(c, test_http_and_resets);
  tcase_add_test(c, test_message);
  tcase_add_test(c, test_retry_delay);
  tcase_add_test(c, test_peer_names);
  tcase_add_test(c, test_endpoints);
  tcase_add_test(c, test_beginnings);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
