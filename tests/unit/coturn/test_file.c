/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a turnserver.conf. */
#include "testing.h"

#include "coturn/file.h"

START_TEST(test_lines)
{
  char text[] = "\xef\xbb\xbf# one\r\n"
                "realm=example.org\r\n"
                "\n"
                " \t listening-port 3478\n"
                "min-port \t=  = 5 \n"
                "cli-password=a=b # c\n"
                "no-cli\n"
                "pidfile=\"/run/a pid\" \t\n"
                "server-name=\"half\n"
                "user=alice:\"x\"\n"
                "#\n"
                "log-file=\n"
                "mobility";
  static const struct {
    unsigned number;
    const char *name, *value;
  } expected[] = {{2, "realm", "example.org"}, {4, "listening-port", "3478"},
                  {5, "min-port", "5 "},       {6, "cli-password", "a=b # c"},
                  {7, "no-cli", ""},           {8, "pidfile", "/run/a pid"},
                  {9, "server-name", "half"},  {10, "user", "alice:\"x\""},
                  {12, "log-file", ""},        {13, "mobility", ""}};
  coturn_reader r = coturn_read(text, sizeof text - 1);
  coturn_line line;
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    ck_assert_int_eq(coturn_next(&r, &line), 1);
    ck_assert_uint_eq(line.number, expected[i].number);
    ck_assert_str_eq(line.name, expected[i].name);
    ck_assert_str_eq(line.value, expected[i].value);
  }
  ck_assert_int_eq(coturn_next(&r, &line), 0);
}
END_TEST

START_TEST(test_a_byte_0)
{
  char text[] = "realm=x\nno\0cli\nrealm=y";
  coturn_reader r = coturn_read(text, sizeof text - 1);
  coturn_line line;
  ck_assert_int_eq(coturn_next(&r, &line), 1);
  ck_assert_int_eq(coturn_next(&r, &line), -1);
  ck_assert_uint_eq(line.number, 2);
}
END_TEST

START_TEST(test_switches)
{
  static const char *const on[] = {"", "1", "9", "yes", "YES", "true", "t", "on", "ON", "On", "y"};
  static const char *const off[] = {"0", "no", "No", "false", "F", "off", "OFF", "Off", "n"};
  static const char *const neither[] = {"enabled", "oN", "-1", "\"yes\""};
  bool is_on;
  for (size_t i = 0; i < sizeof on / sizeof *on; i++)
    ck_assert_msg(coturn_switch(on[i], &is_on) && is_on, "%s", on[i]);
  for (size_t i = 0; i < sizeof off / sizeof *off; i++)
    ck_assert_msg(coturn_switch(off[i], &is_on) && !is_on, "%s", off[i]);
  for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
    ck_assert_msg(!coturn_switch(neither[i], &is_on), "%s", neither[i]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("coturn_file");
  TCase *tc = tcase_create("coturn_file");
  tcase_add_test(tc, test_lines);
  tcase_add_test(tc, test_a_byte_0);
  tcase_add_test(tc, test_switches);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
