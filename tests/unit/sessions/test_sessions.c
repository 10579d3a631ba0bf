/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as text, which of them are meant, and what the client makes of answers. */
#include "sessions/client.h"
#include "sessions/filter.h"
#include "sessions/format.h"
#include "testing.h"

#include <stdio.h>

static fzr_allocation session(const char *user, const char *client)
{
  fzr_allocation a = {.id = UINT64_C(0x0123456789abc350), .client = fzt_addr(client)};
  a.server = fzt_addr("203.0.113.1:3478");
  a.relayed[0] = fzt_addr("203.0.113.1:50000");
  a.began = 100 * FZR_SECOND;
  a.expires = 800 * FZR_SECOND;
  a.packets[0] = 1;
  a.packets[1] = 2;
  a.bytes[0] = 3;
  a.bytes[1] = UINT64_MAX;
  a.channels = 4;
  a.permissions = 5;
  a.user_name_len = (uint8_t)strlen(user);
  memcpy(a.user_name, user, a.user_name_len);
  return a;
}

static const char *json(const fzr_allocation *a, fzr_time now)
{
  static char line[SESSION_LINE_MAX];
  text_out out = text_out_of(line, sizeof line);
  session_json(&out, a, 7, now);
  ck_assert(!out.overflow);
  return line;
}

START_TEST(test_json)
{
  fzr_allocation a = session("alice", "198.51.100.1:4000");
  ck_assert_str_eq(
      json(&a, 165 * FZR_SECOND),
      "{\"id\":\"0123456789abc350\",\"user\":\"alice\",\"client\":\"198.51.100.1:4000\",\"server\":"
      "\"203.0.113.1:3478\",\"transport\":\"udp\",\"relayed\":[\"203.0.113.1:50000\"],\"age\":65,"
      "\"left\":635,\"channels\":4,\"permissions\":5,\"packets_from_client\":1,\"bytes_from_client\":3,"
      "\"packets_to_client\":2,\"bytes_to_client\":18446744073709551615,\"worker\":7}\n");
  a.relayed[1] = fzt_addr("[2001:db8::1]:50000");
  a.client.transport = FZR_TRANSPORT_TLS;
  ck_assert_ptr_nonnull(
      strstr(json(&a, 0), "\"tls\",\"relayed\":[\"203.0.113.1:50000\",\"[2001:db8::1]:50000\"],\"age\":0,"));
  a.relayed[0] = (fzr_addr){0};
  ck_assert_ptr_nonnull(
      strstr(json(&a, 900 * FZR_SECOND), "\"relayed\":[\"[2001:db8::1]:50000\"],\"age\":800,\"left\":0,"));
}
END_TEST

/* Whatever bytes a name has, it is one line, and as long as it may be it fits. */
START_TEST(test_names)
{
  fzr_allocation a = session("", "[2001:db8:1111:2222:3333:4444:5555:6666]:40000");
  char line[SESSION_LINE_MAX];
  for (unsigned byte = 0; byte < 256; byte++) {
    memset(a.user_name, (int)byte, FZR_USER_NAME_MAX);
    a.user_name_len = FZR_USER_NAME_MAX;
    a.bytes[0] = a.packets[0] = a.packets[1] = UINT64_MAX;
    a.channels = a.permissions = UINT32_MAX;
    a.began = 0;
    a.expires = UINT64_MAX;
    const char *text = json(&a, UINT64_MAX / 2);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    text_out out = text_out_of(line, sizeof line);
    session_row(&out, &a, UINT64_MAX / 2);
    ck_assert(!out.overflow);
    ck_assert_ptr_eq(strchr(line, '\n'), line + out.len - 1);
    for (const char *p = line; p + 1 < line + out.len; p++)
      ck_assert_int_ge((unsigned char)*p, 0x20);
  }
}
END_TEST

START_TEST(test_row)
{
  const fzr_allocation a = session("a \"b\"", "198.51.100.1:4000");
  char line[SESSION_LINE_MAX];
  text_out out = text_out_of(line, sizeof line);
  session_row(&out, &a, 3865 * FZR_SECOND);
  ck_assert_str_eq(line,
                   "0123456789abc350 udp  198.51.100.1:4000      203.0.113.1:50000       1:02:45   0:00    4 "
                   "             3 18446744073709551615  a \\\"b\\\"\n");
  ck_assert_uint_eq(strcspn(session_head, "\n"), strlen(session_head) - 1);
}
END_TEST

START_TEST(test_filter)
{
  session_filter f;
  const fzr_allocation a = session("alice", "198.51.100.1:4000"), b = session("alic", "198.51.100.1:4001"),
                       six = session("alice", "[2001:db8::1]:4000");
  ck_assert_ptr_null(session_filter_parse(NULL, NULL, &f));
  ck_assert(session_filter_matches(&f, &a) && session_filter_matches(&f, &b));
  ck_assert_ptr_null(session_filter_parse("alice", NULL, &f));
  ck_assert(session_filter_matches(&f, &a) && !session_filter_matches(&f, &b));
  ck_assert_ptr_null(session_filter_parse(NULL, "198.51.100.1", &f));
  ck_assert(session_filter_matches(&f, &a) && session_filter_matches(&f, &b) &&
            !session_filter_matches(&f, &six));
  ck_assert_ptr_null(session_filter_parse(NULL, "198.51.100.1:4001", &f));
  ck_assert(!session_filter_matches(&f, &a) && session_filter_matches(&f, &b));
  ck_assert_ptr_null(session_filter_parse("alice", "[2001:db8::1]:4000", &f));
  ck_assert(!session_filter_matches(&f, &a) && session_filter_matches(&f, &six));
  ck_assert_ptr_nonnull(session_filter_parse("", NULL, &f));
  ck_assert_ptr_nonnull(session_filter_parse(NULL, "", &f));
  ck_assert_ptr_nonnull(session_filter_parse(NULL, "198.51.100.1/24", &f));
}
END_TEST

/* Of a longer name as much counts as there is of one. */
START_TEST(test_long_names)
{
  char name[200];
  session_filter f;
  memset(name, 'x', sizeof name);
  name[sizeof name - 1] = 0;
  ck_assert_ptr_null(session_filter_parse(name, NULL, &f));
  fzr_allocation a = session("", "198.51.100.1:4000");
  memset(a.user_name, 'x', sizeof a.user_name);
  a.user_name_len = sizeof a.user_name;
  ck_assert(session_filter_matches(&f, &a));
  a.user_name_len--;
  ck_assert(!session_filter_matches(&f, &a));
}
END_TEST

START_TEST(test_ids)
{
  static const char *const bad[] = {"",
                                    "0",
                                    "0123456789abcde",
                                    "0123456789abcdef0",
                                    "0123456789abcdeg",
                                    "0000000000000000",
                                    " 123456789abcdef",
                                    "0x23456789abcdef",
                                    "+123456789abcdef"};
  char text[SESSION_ID_TEXT];
  uint64_t id;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!session_id_read(bad[i], &id), "%s", bad[i]);
  ck_assert(session_id_read("0123456789ABCDEF", &id));
  ck_assert_uint_eq(id, UINT64_C(0x0123456789abcdef));
  session_id_write(id, text);
  ck_assert_str_eq(text, "0123456789abcdef");
  ck_assert(session_id_read("ffffffffffffffff", &id) && id == UINT64_MAX);
}
END_TEST

START_TEST(test_limits)
{
  static const char *const bad[] = {"", "0", "x", "-1", "1 ", "4294967296"};
  uint64_t limit;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(session_limit_parse(bad[i], &limit) != NULL, "%s", bad[i]);
  ck_assert_ptr_null(session_limit_parse(NULL, &limit));
  ck_assert_uint_eq(limit, 10000);
  ck_assert_ptr_null(session_limit_parse("4294967295", &limit));
  ck_assert_uint_eq(limit, UINT32_MAX);
}
END_TEST

START_TEST(test_heads)
{
  static const struct {
    const char *head;
    int status;
    uint64_t length;
    bool cut;
  } rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n", 200, 12},
      {"HTTP/1.0 404 Not Found\r\nX: y\r\ncontent-length:0\r\n", 404, 0},
      {"HTTP/1.1 503\r\nContent-Length:\t 7\r\n", 503, 7},
      {"HTTP/1.1 200 OK\r\nX-Sessions-Cut: 1\r\nContent-Length: 12\r\n", 200, 12, true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx-sessions-cut:1\r\n", 200, 12, true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Sessions-Cut: 0\r\n", 200, 12, false},
      {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Sessions-Cut: yes\r\n", 200, 12, false},
      {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Sessions-Cut\r\nX-Sessions-Cutter: 1\r\n", 200, 12, false},
      {"HTTP/1.1 200 OK\r\n", -1, 0},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n", -1, 0},
      {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n", -1, 0},
      {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n", -1, 0},
      {"HTTP/1.1 200 OK\r\nContent-Length: \r\n", -1, 0},
      {"HTTP/1.1 20x OK\r\nContent-Length: 1\r\n", -1, 0},
      {"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n", -1, 0},
      {"HTTP/1.1 600 OK\r\nContent-Length: 1\r\n", -1, 0},
      {"HTTP/2 200\r\nContent-Length: 1\r\n", -1, 0},
      {"220 mail\r\nContent-Length: 1\r\n", -1, 0},
      {"", -1, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    client_head head;
    const bool is_one = client_read_head(rows[i].head, strlen(rows[i].head), &head);
    ck_assert_msg(is_one == (rows[i].status > 0), "%s", rows[i].head);
    if (!is_one)
      continue;
    ck_assert_msg(head.status == rows[i].status && head.length == rows[i].length && head.cut == rows[i].cut,
                  "%s", rows[i].head);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sessions");
  TCase *tc = tcase_create("sessions");
  tcase_add_test(tc, test_json);
  tcase_add_test(tc, test_names);
  tcase_add_test(tc, test_row);
  tcase_add_test(tc, test_filter);
  tcase_add_test(tc, test_long_names);
  tcase_add_test(tc, test_ids);
  tcase_add_test(tc, test_limits);
  tcase_add_test(tc, test_heads);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
