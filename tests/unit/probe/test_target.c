/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of relays (RFC 7064, RFC 7065). */
#include "testing.h"

#include "probe/target.h"

#include <string.h>

START_TEST(test_what_is_read)
{
  static const struct {
    const char *text, *host;
    unsigned port;
    probe_transport transport;
    bool is_ip, stun_only;
  } rows[] = {
      {"turn:relay.example", "relay.example", 3478, PROBE_UDP, false, false},
      {"TURN:Relay.Example.:19302?transport=UDP", "relay.example", 19302, PROBE_UDP, false, false},
      {"turn:192.0.2.7:3478?transport=tcp", "192.0.2.7", 3478, PROBE_TCP, true, false},
      {"turn:[2001:DB8::7]", "2001:db8::7", 3478, PROBE_UDP, true, false},
      {"turn:[2001:db8::7]:80?transport=tcp", "2001:db8::7", 80, PROBE_TCP, true, false},
      {"turns:relay.example", "relay.example", 5349, PROBE_TLS, false, false},
      {"turns:relay.example:443?transport=tcp", "relay.example", 443, PROBE_TLS, false, false},
      {"stun:relay.example", "relay.example", 3478, PROBE_UDP, false, true},
      {"stuns:relay.example:65535", "relay.example", 65535, PROBE_TLS, false, true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    probe_target t;
    ck_assert_msg(!probe_target_parse(rows[i].text, &t), "%s", rows[i].text);
    ck_assert_str_eq(t.host, rows[i].host);
    ck_assert_uint_eq(t.port, rows[i].port);
    ck_assert_int_eq(t.transport, rows[i].transport);
    ck_assert_msg(t.host_is_ip == rows[i].is_ip && t.stun_only == rows[i].stun_only, "%s", rows[i].text);
  }
}
END_TEST

START_TEST(test_what_is_none)
{
  static const char *const texts[] = {"",
                                      "relay.example",
                                      "turn:",
                                      "turn::3478",
                                      "http://relay.example",
                                      "turn:relay.example:",
                                      "turn:a:0",
                                      "turn:a:65536",
                                      "turn:a:1x",
                                      "turn:[::1",
                                      "turn:[192.0.2.1]",
                                      "turn:[relay.example]",
                                      "turn:a b",
                                      "turn:2001:db8::7",
                                      "turn:a?tls",
                                      "turn:a?transport=sctp",
                                      "turns:a?transport=udp",
                                      "turn://a",
                                      "turn:u@a",
                                      "turn:[::1]3478"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    probe_target t;
    ck_assert_msg(probe_target_parse(texts[i], &t) != NULL, "%s", texts[i]);
  }
}
END_TEST

START_TEST(test_long_names)
{
  char text[400] = "turn:";
  probe_target t;
  memset(text + 5, 'a', PROBE_HOST_MAX);
  ck_assert(!probe_target_parse(text, &t));
  ck_assert_uint_eq(strlen(t.host), PROBE_HOST_MAX);
  text[5 + PROBE_HOST_MAX] = 'a';
  ck_assert(probe_target_parse(text, &t));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("probe_target");
  TCase *tc = tcase_create("probe_target");
  tcase_add_test(tc, test_what_is_read);
  tcase_add_test(tc, test_what_is_none);
  tcase_add_test(tc, test_long_names);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
