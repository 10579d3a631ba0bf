/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/url.h"
#include "testing.h"

static char buffer[PORTAL_URL_MAX * 8];

static const char *target(const char *url, const portal_login *login)
{
  portal_url parsed;
  text_out text = text_out_of(buffer, sizeof buffer);
  const char *wrong = portal_url_parse(url, &parsed);
  ck_assert_msg(wrong == NULL, "%s: %s", url, wrong);
  portal_url_target(&parsed, login, &text);
  ck_assert(!text.overflow);
  return buffer;
}

static const char *authority(const char *url)
{
  portal_url parsed;
  text_out text = text_out_of(buffer, sizeof buffer);
  const char *wrong = portal_url_parse(url, &parsed);
  ck_assert_msg(wrong == NULL, "%s: %s", url, wrong);
  portal_url_authority(&parsed, &text);
  return buffer;
}

START_TEST(schemes_and_ports)
{
  static const struct {
    const char *url;
    bool tls;
    uint16_t port;
    const char *authority;
  } cases[] = {
      {"wss://api.firezone.dev", true, 443, "api.firezone.dev"},
      {"https://api.firezone.dev/", true, 443, "api.firezone.dev"},
      {"ws://api.firezone.dev", false, 80, "api.firezone.dev"},
      {"http://api.firezone.dev", false, 80, "api.firezone.dev"},
      {"WSS://API.Firezone.Dev:443", true, 443, "api.firezone.dev"},
      {"ws://h:443", false, 443, "h:443"},
      {"wss://h:80/x", true, 80, "h:80"},
      {"wss://h:/x", true, 443, "h"},
      {"ws://h.:8081", false, 8081, "h:8081"},
      {"ws://127.0.0.1:8081", false, 8081, "127.0.0.1:8081"},
      {"ws://[::1]", false, 80, "[::1]"},
      {"ws://[2001:DB8::1]:1", false, 1, "[2001:db8::1]:1"},
      {" \twss://h?x=1:2 \n", true, 443, "h"},
      {"ws://my_host-1.x", false, 80, "my_host-1.x"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    portal_url url;
    ck_assert_ptr_null(portal_url_parse(cases[i].url, &url));
    ck_assert_msg(url.tls == cases[i].tls && url.port == cases[i].port, "%s", cases[i].url);
    ck_assert_str_eq(authority(cases[i].url), cases[i].authority);
  }
}
END_TEST

START_TEST(what_is_no_url)
{
  static const char *const cases[] = {
      "",
      "api.firezone.dev",
      "ftp://h",
      "wss:/h",
      "wss://",
      "wss:///path",
      "ws://h:0",
      "ws://h:65536",
      "ws://h:99999999999",
      "ws://h:8o",
      "ws://h:1:2",
      "ws://u@h",
      "ws://u:p@h/",
      "ws://a b/",
      "ws://h\xc3\xb6st",
      "ws://.h",
      "ws://a..b",
      "ws://[::1",
      "ws://::1",
      "ws://[h]",
      "ws://[1.2.3.4]",
      "ws://[::1]x:1",
      "ws://h\r\nX: y",
      "ws://[]",
      "ws://.",
      "ws://h%41",
      "ws://h\\x",
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    portal_url url;
    ck_assert_msg(portal_url_parse(cases[i], &url) != NULL, "%s", cases[i]);
  }
  char label[80], longest[PORTAL_URL_MAX + 10];
  portal_url url;
  memset(label, 'a', sizeof label);
  memcpy(label, "ws://", 5);
  label[68] = '\0';
  ck_assert_ptr_null(portal_url_parse(label, &url)); /* 63 letters */
  label[68] = 'a';
  label[69] = '\0';
  ck_assert_ptr_nonnull(portal_url_parse(label, &url));
  memset(longest, 'a', sizeof longest);
  memcpy(longest, "ws://h/", 7);
  longest[sizeof longest - 1] = '\0';
  ck_assert_ptr_nonnull(portal_url_parse(longest, &url));
}
END_TEST

START_TEST(literal_addresses_are_known)
{
  static const struct {
    const char *url;
    bool ip, ip6;
  } cases[] = {{"ws://1.2.3.4", true, false},
               {"ws://[::1]", true, true},
               {"ws://a.b", false, false},
               {"ws://1.2.3", false, false}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    portal_url url;
    ck_assert_ptr_null(portal_url_parse(cases[i].url, &url));
    ck_assert_int_eq(url.host_is_ip, cases[i].ip);
    ck_assert_int_eq(url.host_is_ip6, cases[i].ip6);
  }
}
END_TEST

START_TEST(query_in_order)
{
  portal_login login = {.token = "t", .port = 3478};
  ck_assert_str_eq(target("ws://h", &login), "/relay/websocket?port=3478");
  login.token_in_query = true;
  ck_assert_str_eq(target("ws://h", &login), "/relay/websocket?token=t&port=3478");
  login.token_in_query = false;
  login.name = "n m";
  login.ipv6 = fzt_addr("2001:db8::1");
  ck_assert_str_eq(target("ws://h/", &login), "/relay/websocket?name=n+m&ipv6=2001%3Adb8%3A%3A1&port=3478");
  login.ipv4 = fzt_addr("192.0.2.1:9");
  login.token_in_query = true;
  ck_assert_str_eq(target("ws://h/a/b/?token=old&x#y", &login),
                   "/a/b/relay/websocket?token=t&name=n+m&ipv4=192.0.2.1&ipv6=2001%3Adb8%3A%3A1&port=3478");
}
END_TEST

START_TEST(form_encoding)
{
  const portal_login login = {
      .token = "aZ09*-._~ +&=%/?#\"\xc3\xbc\r\n.", .token_in_query = true, .name = "\x01\x7f", .port = 1};
  ck_assert_str_eq(target("ws://h", &login),
                   "/relay/websocket?token=aZ09*-._%7E+%2B%26%3D%25%2F%3F%23%22%C3%BC.&name=%01%7F&port=1");
}
END_TEST

START_TEST(path_cannot_break_the_request_line)
{
  const portal_login login = {.token = "t", .port = 1};
  ck_assert_str_eq(target("ws://h/a b\r\nX/\"%41\xff", &login),
                   "/a%20b%0D%0AX/%22%41%FF/relay/websocket?port=1");
}
END_TEST

START_TEST(display_has_no_query)
{
  portal_url url;
  text_out text = text_out_of(buffer, sizeof buffer);
  ck_assert_ptr_null(portal_url_parse("https://h:1/x/?token=secret", &url));
  portal_url_display(&url, &text);
  ck_assert_str_eq(buffer, "wss://h:1/x/relay/websocket");
}
END_TEST

START_TEST(overflow_is_sticky)
{
  char small[8];
  text_out text = text_out_of(small, sizeof small);
  text_puts(&text, "1234567");
  ck_assert(!text.overflow);
  text_puts(&text, "8");
  ck_assert(text.overflow);
  text_puts(&text, "");
  ck_assert_str_eq(small, "1234567");
  text = text_out_of(small, sizeof small);
  text_puts(&text, "12345678");
  text_puts(&text, "1");
  ck_assert(text.overflow);
  ck_assert_str_eq(small, "");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("portal_url");
  TCase *tc = tcase_create("url");
  tcase_add_test(tc, schemes_and_ports);
  tcase_add_test(tc, what_is_no_url);
  tcase_add_test(tc, literal_addresses_are_known);
  tcase_add_test(tc, query_in_order);
  tcase_add_test(tc, form_encoding);
  tcase_add_test(tc, path_cannot_break_the_request_line);
  tcase_add_test(tc, display_has_no_query);
  tcase_add_test(tc, overflow_is_sticky);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
