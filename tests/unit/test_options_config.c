/* SPDX-License-Identifier: Apache-2.0 */
/* The file of --config: what its lines say, what beats it, and what is told of its mistakes. */
#include "options_rig.h"

#include "options_internal.h"

#include <stdio.h>

#define FILE_OPTION "--config", "relay.conf"

/* Reads a relay's options with |text| in its file, and further words. */
#define READ_FILE_WITH(text, ...)                                                                            \
  (files[0][0] = "relay.conf", files[0][1] = (text), READ(FILE_OPTION, __VA_ARGS__))
#define READ_FILE(text) (files[0][0] = "relay.conf", files[0][1] = (text), READ(FILE_OPTION))

static void setup(void)
{
  clear_env();
  memset(files, 0, sizeof files);
  file_is_public = false;
}

START_TEST(test_lines)
{
  ck_assert_int_eq(READ_FILE("\xef\xbb\xbf# a relay\r\n"
                             "\n"
                             "public-ip4-addr = 203.0.113.7\r\n"
                             "\t listen-port=3479 # another one\n"
                             "auth\t=\trest\n"
                             "auth-secret = \"a # \\\"secret\\\\\" # it is\n"
                             "realm = 'an example'\n"
                             "mobility\n"
                             "pin-workers = no\n"
                             "num-worker-threads = 3\n"
                             "allow-peer = 10.0.0.0/8\n"
                             "allow-peer = 192.0.2.1:5000\n"
                             "auth-second-secret = b#c\n"
                             "name = no end of line"),
                   0);
  ck_assert_uint_eq(o.listen_port, 3479);
  ck_assert_uint_eq(o.auth, AUTH_REST);
  ck_assert_str_eq(o.auth_secret, "a # \"secret\\");
  ck_assert_str_eq(o.auth_second_secret, "b#c");
  ck_assert_str_eq(o.realm, "an example");
  ck_assert_str_eq(o.name, "no end of line");
  ck_assert(o.mobility && !o.pin_workers && o.config.has_secret);
  ck_assert_uint_eq(o.workers, 3);
  ck_assert_uint_eq(o.rule_count, 2);
  ck_assert_uint_eq(o.rules[1].net.port, 5000);
}
END_TEST

START_TEST(test_what_beats_it)
{
  static const char text[] = "public-ip4-addr = 203.0.113.7\nlisten-port = 3001\nlowest-port = 4001\n"
                             "highest-port = 5001\nauth = rest\nauth-secret = of the file\n"
                             "allow-peer = 10.0.0.0/8\nlog-filter = debug\nmobility\n";
  set_env("LISTEN_PORT", "3002");
  set_env("LOWEST_PORT", "4002");
  set_env("HIGHEST_PORT", "");
  set_env("RELAY_MOBILITY", "false");
  ck_assert_int_eq(READ_FILE_WITH(text, "--listen-port", "3003", "--allow-peer", "192.0.2.0/24"), 0);
  ck_assert_uint_eq(o.listen_port, 3003);
  ck_assert_uint_eq(o.lowest_port, 4002);
  ck_assert_uint_eq(o.highest_port, 5001);
  ck_assert_uint_eq(o.rule_count, 1);
  ck_assert_uint_eq(o.rules[0].prefix, 24);
  ck_assert(!o.mobility);
  ck_assert_str_eq(o.auth_secret, "of the file");
  ck_assert_str_eq(o.log_filter, "debug");
  /* What stands for the same, too. */
  set_env("AUTH_SECRET_FILE", "/a/file");
  set_env("FIREZONE_LOG", "warn");
  ck_assert_int_eq(READ_FILE(text), 0);
  ck_assert(!o.auth_secret && !o.log_filter);
  ck_assert_str_eq(o.auth_secret_file, "/a/file");
  clear_env();
  set_env("RUST_LOG", "warn");
  set_env("AUTH_SECRET", "of the environment");
  ck_assert_int_eq(
      READ_FILE_WITH("public-ip4-addr = 203.0.113.7\nauth-secret-file = /b\n", "--log-filter", "info"), 0);
  ck_assert(!o.auth_secret_file);
  ck_assert_str_eq(o.auth_secret, "of the environment");
  ck_assert_str_eq(o.log_filter, "info");
}
END_TEST

START_TEST(test_its_name_in_the_environment)
{
  files[0][0] = "a.conf";
  files[0][1] = "public-ip4-addr = 203.0.113.7";
  files[1][0] = "b.conf";
  files[1][1] = "public-ip4-addr = 203.0.113.8";
  set_env("RELAY_CONFIG", "a.conf");
  ck_assert_int_eq(READ("--relay-mode", "full"), 0);
  ck_assert_uint_eq(o.public_ip4.ip[3], 7);
  ck_assert_int_eq(READ("--config", "b.conf"), 0);
  ck_assert_uint_eq(o.public_ip4.ip[3], 8);
  ck_assert_int_eq(READ("--config", "c.conf"), -1);
  check_complaint("--config", "c.conf");
  ck_assert_int_eq(READ("--config"), -1);
  check_complaint("--config", "a value is missing");
}
END_TEST

START_TEST(test_mistakes)
{
  static const char *const wrong[][2] = {
      {"lisen-port = 3478", "relay.conf:2: unknown option 'lisen-port': expected listen-port, perhaps"},
      {"--listen-port = 3478", "unknown option '--listen-port': expected listen-port, perhaps"},
      {"max-alocations-per-usr = 3", "expected max-allocations-per-user, perhaps"},
      {"nothing-like-it = 3", "relay.conf:2: unknown option 'nothing-like-it': see --help"},
      {"denied-peer-ip = 10.0.0.0-10.0.0.9", "which is coturn's; here: --deny-peer"},
      {"listen-port = x", "relay.conf:2: listen-port: invalid value 'x': expected a port from 0 to 65535"},
      {"listen-port", "relay.conf:2: listen-port: a value is missing: expected a port"},
      {"listen-port =", "relay.conf:2: listen-port: a value is missing: expected a port"},
      {"listen-port = ''", "relay.conf:2: listen-port: a value is missing: expected a port"},
      {"listen-port = # 3", "relay.conf:2: listen-port: a value is missing: expected a port"},
      {"listen-port 3478", "relay.conf:2: there is no '='"},
      {"= 3478", "relay.conf:2: there is no name"},
      {"'listen-port' = 3478", "relay.conf:2: there is no name: expected a line such as"},
      {"listen-port:3478", "relay.conf:2: listen-port: expected '=' behind the name: a line such as"},
      {"realm = \"example", "relay.conf:2: a quote has no end"},
      {"realm = \"example\\\"", "relay.conf:2: a quote has no end"},
      {"realm = 'example' org", "relay.conf:2: there is more behind the value"},
      {"mobility = maybe", "relay.conf:2: mobility: invalid value 'maybe': expected yes or no"},
      {"help", "relay.conf:2: help: it has no place in a file"},
      {"config = b", "relay.conf:2: config: it has no place in a file"},
      {"ttl = 3", "relay.conf:2: ttl: it has no place in a file"},
      {"realm = a\nmobility\nrealm = a", "relay.conf:4: realm: it is there already, in line 2"},
      {"workers = 1\nnum-worker-threads = 2", "num-worker-threads: it is there already, in line 2"},
      {"auth-secret = a\nauth-secret-file = /b", "auth-secret-file: line 2 has what it stands for"},
      {"auth-secret = a\nauth-secret = b", "auth-secret: it is there already, in line 2"},
      {"users-file = /b\nuser = a:b", "relay.conf:3: user: line 2 has what it stands for"},
      {"user = '#a:b'", "relay.conf:2: user: invalid value '(not shown)'"},
      {"user = ' a:b'", "relay.conf:2: user: invalid value '(not shown)'"},
      {"log-filter = loud", "relay.conf:2: log-filter: invalid value 'loud'"},
      {"xdp-interface = a/b", "relay.conf:2: xdp-interface: invalid value"},
  };
  char text[256];
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    snprintf(text, sizeof text, "public-ip4-addr = 203.0.113.7\n%s\n", wrong[i][0]);
    ck_assert_msg(READ_FILE(text) == -1, "%s", wrong[i][0]);
    ck_assert_msg(strstr(error, wrong[i][1]) != NULL, "%s: %s", wrong[i][0], error);
    ck_assert_uint_eq(told_count, 1);
    ck_assert(!strpbrk(error, "\n\r"));
  }
}
END_TEST

START_TEST(test_secrets_are_not_shown)
{
  char text[512];
  for (unsigned i = 0; i < 2; i++) {
    snprintf(text, sizeof text, "public-ip4-addr = 203.0.113.7\ntoken = %s\n",
             i ? "'hush hush hush hush" : "hush hush hush hush");
    ck_assert_int_eq(READ_FILE(text), -1);
    ck_assert_msg(!strstr(error, "hush"), "%s", error);
  }
  /* What is between may be another byte than "=". */
  static const char *const lines[] = {
      "auth-secret:hush",        "auth-secret:hush==",   "user:alice:hush", "auth-secret hush = a",
      "auth-secret\thush=",      "token;hush",           "no-option:hush",  "users-file,hush = b",
      "static-auth-secret:hush", "\"auth-secret\"hush=", "help:hush",       "auth-secret\xc2\xa0hush"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    snprintf(text, sizeof text, "public-ip4-addr = 203.0.113.7\n%s\n", lines[i]);
    ck_assert_msg(READ_FILE(text) == -1, "%s", lines[i]);
    ck_assert_msg(!strstr(error, "hush") && !strstr(error, "alice"), "%s", error);
    ck_assert_ptr_nonnull(strstr(error, "relay.conf:2: "));
  }
}
END_TEST

START_TEST(test_all_mistakes_are_told)
{
  ck_assert_int_eq(
      READ_FILE("listen-port = x\nnonsense\nlowest-port = 9\nhighest-port = 8\ntls-listen-port = 443\n"
                "auth = rest\nrealm = \"\\\\\"\n"),
      -1);
  static const char *const expected[] = {
      "relay.conf:1: listen-port", "relay.conf:2: unknown option 'nonsense'",
      "relay.conf:7: realm",       "--public-ip4-addr, --public-ip6-addr: none",
      "--auth-secret-file",        "--tls-listen-port: there is no certificate"};
  ck_assert_uint_eq(told_count, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < told_count; i++)
    ck_assert_msg(strncmp(told[i], expected[i], strlen(expected[i])) == 0, "%s", told[i]);
  ck_assert_str_eq(error, told[0]);
  /* What comes of a mistake that was told is not told as well. */
  ck_assert_int_eq(READ_FILE("public-ip4-addr = 0.0.0.0\n"), -1);
  ck_assert_uint_eq(told_count, 1);
}
END_TEST

START_TEST(test_a_byte_0)
{
  static const char text[] = "public-ip4-addr = 203.0.113.7\nrealm = a\0b\nworkers = 2";
  options_text whole = {malloc(sizeof text), sizeof text - 1, false};
  config_line line;
  const char *problem = NULL;
  ck_assert_ptr_nonnull(whole.data);
  memcpy(whole.data, text, sizeof text);
  config_reader r = config_read(&whole);
  ck_assert_int_eq(config_next(&r, &line, &problem), 1);
  ck_assert_int_eq(config_next(&r, &line, &problem), -1);
  ck_assert_uint_eq(line.number, 2);
  ck_assert_str_eq(problem, "there is a byte 0: expected text");
  ck_assert_int_eq(config_next(&r, &line, &problem), 1);
  ck_assert_str_eq(line.name, "workers");
  ck_assert_str_eq(line.value, "2");
  ck_assert_int_eq(config_next(&r, &line, &problem), 0);
  free(whole.data);
}
END_TEST

/* They stand in the lines that they have in the file. */
START_TEST(test_users)
{
  ck_assert_int_eq(READ_FILE("public-ip4-addr = 203.0.113.7\nauth = static\n\nuser = alice:wonderland\n# x\n"
                             "user = \"bob:a # b\"\nuser = carol:x"),
                   0);
  ck_assert_uint_eq(o.config.users_len, strlen("\n\n\nalice:wonderland\n\nbob:a # b\ncarol:x"));
  ck_assert_str_eq(o.config.users, "\n\n\nalice:wonderland\n\nbob:a # b\ncarol:x");
  ck_assert_int_eq(READ_FILE("public-ip4-addr = 203.0.113.7\nuser = alice:wonderland"), 0);
  ck_assert_uint_eq(o.idle_count, 1);
  ck_assert_str_eq(o.idle[0].name, "user");
  /* A file on the command line is in their place. */
  ck_assert_int_eq(READ_FILE_WITH("public-ip4-addr = 203.0.113.7\nauth = static\nuser = alice:wonderland",
                                  "--users-file", "/x"),
                   0);
  ck_assert(!o.config.users);
}
END_TEST

/* A command takes of it what is its own, and the rest has to be right. */
START_TEST(test_of_a_command)
{
  static const char text[] = "public-ip4-addr = 203.0.113.7\nauth = rest\nauth-secret = s\nworkers = 3\n"
                             "tcp-listen-port = 3478\nrealm = example.org\nuser = alice:x\n";
  files[0][0] = "relay.conf";
  files[0][1] = text;
  ck_assert_int_eq(READ("credentials", FILE_OPTION), 0);
  ck_assert_uint_eq(o.auth, AUTH_REST);
  ck_assert_str_eq(o.realm, "example.org");
  ck_assert(!o.workers && !o.tcp_listen_port);
  ck_assert_int_eq(READ("credentials", FILE_OPTION, "--format", "webrtc"), 0);
  ck_assert_uint_eq(o.tcp_listen_port, 3478);
  ck_assert_int_eq(READ("credentials", FILE_OPTION, "--auth", "static", "--user", "alice"), 0);
  ck_assert_str_eq(o.config.users, "\n\n\n\n\n\nalice:x");
  files[0][1] = "wrkers = 3\n";
  ck_assert_int_eq(READ("credentials", FILE_OPTION), -1);
}
END_TEST

START_TEST(test_reread)
{
  static options next;
  char names[200];
  ck_assert_int_eq(READ_FILE("public-ip4-addr = 203.0.113.7\nlog-filter = info\nallow-peer = 10.0.0.0/8"), 0);
  files[0][1] =
      "public-ip4-addr = 203.0.113.7\nlowest-port = 49152\nlog-filter = debug\nallow-peer = 10.0.0.0/9\n"
      "auth-secret = a longer secret than that";
  ck_assert_int_eq(options_reread(&o, &next, error), 0);
  ck_assert(!options_fixed_that_differ(&o, &next, names, sizeof names));
  ck_assert_str_eq(next.log_filter, "debug");
  ck_assert_uint_eq(next.rules[0].prefix, 9);
  options_forget(&next);
  files[0][1] = "public-ip4-addr = 203.0.113.7\nlowest-port = 49153\nmobility\n";
  ck_assert_int_eq(options_reread(&o, &next, error), 0);
  ck_assert(options_fixed_that_differ(&o, &next, names, sizeof names));
  ck_assert_str_eq(names, "--lowest-port, --mobility");
  char few[20];
  ck_assert(options_fixed_that_differ(&o, &next, few, sizeof few));
  ck_assert_str_eq(few, "--lowest-port");
  options_forget(&next);
  told_count = 0;
  files[0][1] = "public-ip4-addr = 203.0.113.7\nlowest-port = x\n";
  ck_assert_int_eq(options_reread(&o, &next, error), -1);
  ck_assert_uint_eq(told_count, 0); /* the log has it */
  options_forget(&next);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("options_config");
  TCase *test = tcase_create("options_config");
  tcase_add_checked_fixture(test, setup, NULL);
  tcase_add_test(test, test_lines);
  tcase_add_test(test, test_what_beats_it);
  tcase_add_test(test, test_its_name_in_the_environment);
  tcase_add_test(test, test_mistakes);
  tcase_add_test(test, test_secrets_are_not_shown);
  tcase_add_test(test, test_all_mistakes_are_told);
  tcase_add_test(test, test_a_byte_0);
  tcase_add_test(test, test_users);
  tcase_add_test(test, test_of_a_command);
  tcase_add_test(test, test_reread);
  suite_add_tcase(suite, test);
  return fzt_run(suite);
}
