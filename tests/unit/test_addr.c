/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, both ways. */
#include "testing.h"

static const struct {
  const char *text;
  const char *written;      /* with port */
  const char *without_port; /* NULL: the same as text */
} good[] = {
    {"192.0.2.1", "192.0.2.1:0", NULL},
    {"0.0.0.0", "0.0.0.0:0", NULL},
    {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255"},
    {"192.0.2.1:3478", "192.0.2.1:3478", "192.0.2.1"},
    {"::", "[::]:0", NULL},
    {"::1", "[::1]:0", NULL},
    {"1::", "[1::]:0", NULL},
    {"2001:db8::1", "[2001:db8::1]:0", NULL},
    {"[2001:DB8::1]:3478", "[2001:db8::1]:3478", "2001:db8::1"},
    {"[2001:db8::1]", "[2001:db8::1]:0", "2001:db8::1"},
    {"2001:0db8:0000:0000:0000:0000:0000:0001", "[2001:db8::1]:0", "2001:db8::1"},
    {"1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:0", NULL},
    {"1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]:0",
     "1:2:3:4:5:6:7:0"}, /* one group is not shortened: RFC 5952 4.2.2 */
    {"::2:3:4:5:6:7:8", "[0:2:3:4:5:6:7:8]:0", "0:2:3:4:5:6:7:8"},
    {"1:0:0:2:0:0:0:3", "[1:0:0:2::3]:0", "1:0:0:2::3"},     /* the longest run */
    {"1:0:0:2:3:0:0:4", "[1::2:3:0:0:4]:0", "1::2:3:0:0:4"}, /* the first of equals */
    {"::ffff:192.0.2.1", "[::ffff:c000:201]:0", "::ffff:c000:201"},
    {"64:ff9b::10.0.0.1", "[64:ff9b::a00:1]:0", "64:ff9b::a00:1"},
    {"1:2:3:4:5:6:1.2.3.4", "[1:2:3:4:5:6:102:304]:0", "1:2:3:4:5:6:102:304"},
    {"fe80::1%3", "[fe80::1%3]:0", NULL},
    {"[fe80::1%4294967295]:7", "[fe80::1%4294967295]:7", "fe80::1%4294967295"},
};

static const char *const bad[] = {
    "",
    " ",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1.2.3.04",
    "1.2.3.-4",
    "1.2.3.4:",
    "1.2.3.4:65536",
    "1.2.3.4:01",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.4:5:6",
    "a.b.c.d",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "1:",
    ":1",
    "1::2:",
    "[::1",
    "::1]",
    "[::1]:",
    "[::1]x",
    "[::1]:99999",
    "[1.2.3.4]:5",
    "::1.2.3",
    "::1.2.3.4.5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "fe80::1%",
    "fe80::1%eth0",
    "fe80::1%4294967296",
    "[fe80::1]%1",
    "localhost",
    "0x7f.0.0.1",
    "::1%1:5",
};

START_TEST(test_good)
{
  char text[FZR_ADDR_TEXT_MAX];
  fzr_addr addr, again;
  ck_assert_int_eq(fzr_addr_parse(good[_i].text, &addr), 0);
  const char *without = good[_i].without_port ? good[_i].without_port : good[_i].text;
  ck_assert_int_eq(fzr_addr_format(&addr, true, text, sizeof text), (int)strlen(good[_i].written));
  ck_assert_str_eq(text, good[_i].written);
  ck_assert_int_eq(fzr_addr_parse(text, &again), 0);
  ck_assert(fzr_addr_equal(&addr, &again));
  ck_assert_int_eq(fzr_addr_format(&addr, false, text, sizeof text), (int)strlen(without));
  ck_assert_str_eq(text, without);
  /* Just too little room, and just enough. */
  ck_assert_int_eq(fzr_addr_format(&addr, false, text, strlen(without)), FZR_ERR_BUFFER_TOO_SMALL);
  ck_assert_int_eq(fzr_addr_format(&addr, false, text, strlen(without) + 1), (int)strlen(without));
}
END_TEST

START_TEST(test_bad)
{
  fzr_addr addr, before;
  memset(&addr, 0x5a, sizeof addr);
  before = addr;
  ck_assert_msg(fzr_addr_parse(bad[_i], &addr) == FZR_ERR_INVALID_ARGUMENT, "accepted: '%s'", bad[_i]);
  ck_assert(fzr_addr_equal(&addr, &before)); /* untouched */
}
END_TEST

START_TEST(test_misuse)
{
  char text[8];
  fzr_addr addr = {0};
  ck_assert_int_eq(fzr_addr_parse(NULL, &addr), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_addr_parse("::1", NULL), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_addr_format(NULL, true, text, sizeof text), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_addr_format(&addr, true, NULL, 0), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_addr_format(&addr, true, text, sizeof text), 1);
  ck_assert_str_eq(text, "-"); /* no address */
  const uint8_t ip[4] = {192, 0, 2, 1};
  const fzr_addr a = fzr_addr_ipv4(ip, 5), same = fzt_addr("192.0.2.1:5"), other = fzt_addr("192.0.2.1:6");
  ck_assert(fzr_addr_equal(&a, &same));
  ck_assert(!fzr_addr_equal(&a, &other));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("addr");
  TCase *tc = tcase_create("addr");
  tcase_add_loop_test(tc, test_good, 0, (int)(sizeof good / sizeof *good));
  tcase_add_loop_test(tc, test_bad, 0, (int)(sizeof bad / sizeof *bad));
  tcase_add_test(tc, test_misuse);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
