/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the sub-command probe: which relay, and what to log in with. */
#include "options_rig.h"

#define RELAY "turn:relay.example:3478"

START_TEST(test_the_relay)
{
  static const char *const bad[] = {"", "relay.example", "http://relay.example",
                                    "turn:", "turns:a?transport=udp"};
  clear_env();
  set_env("AUTH_SECRET", "a secret of sixteen bytes");
  ck_assert_msg(READ("probe", RELAY) == 0, "%s", error);
  ck_assert_int_eq(o.command, COMMAND_PROBE);
  ck_assert_str_eq(o.probe_target.host, "relay.example");
  ck_assert_uint_eq(o.ttl_seconds, 86400);
  ck_assert(!o.realm_given);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_assert_msg(READ("probe", bad[i]) == -1, "%s", bad[i]);
    check_complaint("URL", "invalid value");
  }
  ck_assert_int_eq(READ("probe"), -1);
  ck_assert_ptr_nonnull(strstr(error, "URL: none is named"));
  ck_assert_int_eq(READ("probe", RELAY, RELAY), -1);
  ck_assert_ptr_nonnull(strstr(error, "second argument"));
  /* A password may stand where some URLs have one. */
  ck_assert_int_eq(READ("probe", "turn:alice:wonderland@relay.example"), -1);
  ck_assert_ptr_null(strstr(error, "wonderland"));
}
END_TEST

START_TEST(test_what_to_log_in_with)
{
  clear_env();
  ck_assert_int_eq(READ("probe", RELAY), -1);
  ck_assert_ptr_nonnull(strstr(error, "none is set: expected what to log in with"));
  ck_assert_msg(READ("probe", "stun:relay.example") == 0, "%s", error);
  ck_assert_msg(READ("probe", RELAY, "--auth-secret-file", "/x", "--auth", "rest", "--user", "carol") == 0,
                "%s", error);
  ck_assert_int_eq(READ("probe", RELAY, "--auth", "static"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--users-file: none is set"));
  ck_assert_int_eq(READ("probe", RELAY, "--auth", "static", "--users-file", "/x"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--user: none is set"));
  ck_assert_msg(READ("probe", RELAY, "--auth", "static", "--users-file", "/x", "--user", "alice") == 0, "%s",
                error);
  ck_assert_int_eq(READ("probe", RELAY, "--username", "alice"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--password-file, PROBE_PASSWORD: none is set"));
  ck_assert_int_eq(READ("probe", RELAY, "--password-file", "/x"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--username: none is set"));
  set_env("PROBE_PASSWORD", "wonderland");
  ck_assert_msg(READ("probe", RELAY, "--username", "alice", "--realm", "example.org") == 0, "%s", error);
  ck_assert_str_eq(o.password, "wonderland");
  ck_assert(o.realm_given);
  /* It may be there for another run. */
  ck_assert_msg(READ("probe", RELAY, "--auth-secret-file", "/x") == 0, "%s", error);
  ck_assert_msg(READ("probe", RELAY, "--auth", "static", "--users-file", "/x", "--user", "alice") == 0, "%s",
                error);
  ck_assert_int_eq(READ("probe", RELAY), -1);
  ck_assert_ptr_nonnull(strstr(error, "--username: none is set"));
  ck_assert_int_eq(READ("probe", RELAY, "--auth-secret-file", "/x", "--password-file", "/x"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--username: none is set"));
  ck_assert_int_eq(READ("probe", RELAY, "--username", ""), -1);
  check_complaint("--username", "508");
  ck_assert_int_eq(READ("probe", RELAY, "--password", "x"), -1);
  ck_assert_ptr_nonnull(strstr(error, "expected --password-file or PROBE_PASSWORD"));
}
END_TEST

START_TEST(test_tls)
{
  clear_env();
  set_env("AUTH_SECRET", "a secret of sixteen bytes");
  ck_assert_msg(READ("probe", "turns:relay.example", "--ca-file", "/x") == 0, "%s", error);
  ck_assert_msg(READ("probe", "turns:relay.example", "--insecure") == 0, "%s", error);
  ck_assert_int_eq(READ("probe", "turns:relay.example", "--insecure", "--ca-file", "/x"), -1);
  ck_assert_int_eq(READ("probe", RELAY, "--insecure"), -1);
  ck_assert_ptr_nonnull(strstr(error, "there is no TLS"));
  ck_assert_int_eq(READ("probe", "turns:relay.example", "--ca-file", ""), -1);
}
END_TEST

/* What is no option of the probe says so; those of the probe are none of the relay. */
START_TEST(test_of_whom_options_are)
{
  clear_env();
  ck_assert_int_eq(READ("probe", RELAY, "--workers", "2"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--workers: not an option of probe"));
  ck_assert_int_eq(READ(PUBLIC, "--insecure"), -1);
  ck_assert_ptr_nonnull(strstr(error, "unknown option"));
  /* The file of the relay has more than the probe wants. */
  files[0][0] = "/relay.conf";
  files[0][1] = "public-ip4-addr = 203.0.113.7\nauth = rest,static\nauth-secret = a secret of sixteen "
                "bytes\nuser = a:b\nworkers = 2\n";
  ck_assert_msg(READ("probe", RELAY, "--config", "/relay.conf") == 0, "%s", error);
  ck_assert_str_eq(o.auth_secret, "a secret of sixteen bytes");
  options_forget(&o);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("options_probe");
  TCase *tc = tcase_create("options_probe");
  tcase_add_test(tc, test_the_relay);
  tcase_add_test(tc, test_what_to_log_in_with);
  tcase_add_test(tc, test_tls);
  tcase_add_test(tc, test_of_whom_options_are);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
