/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of addresses become the networks that cover just them. */
#include "testing.h"

#include "coturn/ranges.h"
#include "prng.h"

#include <arpa/inet.h>
#include <stdio.h>

static fzr_peer_rule nets[RANGE_NETS_MAX];

static void check(const char *range, const char *expected)
{
  char all[4096] = "", one[FZR_PEER_RULE_TEXT_MAX];
  bool is_net;
  const size_t n = range_nets(range, true, nets, &is_net);
  for (size_t i = 0; i < n && i < 8; i++) {
    ck_assert_int_gt(fzr_peer_rule_format(&nets[i], one, sizeof one), 0);
    strcat(strcat(all, i ? " " : ""), one);
    ck_assert(nets[i].allow);
  }
  ck_assert_msg(strcmp(all, expected) == 0, "%s: %s", range, all);
  ck_assert(is_net == (strchr(range, '/') != NULL));
}

START_TEST(test_ranges)
{
  check("10.0.0.1", "10.0.0.1");
  check("10.0.0.0-10.255.255.255", "10.0.0.0/8");
  check("172.16.0.0-172.31.255.255", "172.16.0.0/12");
  check("192.0.2.1-192.0.2.6", "192.0.2.1 192.0.2.2/31 192.0.2.4/31 192.0.2.6");
  check("0.0.0.0-255.255.255.255", "0.0.0.0/0");
  check("240.0.0.0-255.255.255.255", "240.0.0.0/4");
  check("255.255.255.255", "255.255.255.255");
  check("192.168.1.0/24", "192.168.1.0/24");
  check("fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fc00::/7");
  check("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0");
  check("::1", "::1");
  check("64:ff9b::-64:ff9b::ffff:ffff", "64:ff9b::/96");
  check("fe80::1-fe80::2", "fe80::1 fe80::2");
}
END_TEST

START_TEST(test_what_is_none)
{
  static const char *const none[] = {"",
                                     "example.org",
                                     "10.0.0.1-",
                                     "-10.0.0.1",
                                     "10.0.0.2-10.0.0.1",
                                     "10.0.0.1-::1",
                                     "10.0.0.1 - 10.0.0.2",
                                     "10.0.0.1:3478",
                                     "192.168.1.1/24",
                                     "10.0.0.0/8:80",
                                     "[::1]",
                                     "10.0.0.0-10.0.0.1-10.0.0.2",
                                     "10.0.0.0/33"};
  bool is_net;
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    ck_assert_msg(range_nets(none[i], true, nets, &is_net) == 0, "%s", none[i]);
}
END_TEST

/* Address by address, against what was asked for. */
START_TEST(test_random)
{
  fzt_prng prng = {20};
  for (unsigned round = 0; round < 300; round++) {
    const uint32_t from = 0xc0000200u + (uint32_t)(fzt_next(&prng) % 200),
                   to = from + (uint32_t)(fzt_next(&prng) % 300);
    char text[64];
    bool is_net;
    snprintf(text, sizeof text, "%u.%u.%u.%u-%u.%u.%u.%u", from >> 24, from >> 16 & 255, from >> 8 & 255,
             from & 255, to >> 24, to >> 16 & 255, to >> 8 & 255, to & 255);
    const size_t n = range_nets(text, false, nets, &is_net);
    ck_assert_uint_gt(n, 0);
    for (uint32_t a = from - 300; a <= to + 300; a++) {
      fzr_peer_rule one = {
          .net = {.family = FZR_FAMILY_IPV4,
                  .ip = {(uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a}},
          .prefix = 32};
      unsigned covers = 0;
      for (size_t i = 0; i < n; i++)
        covers += range_contains(&nets[i], &one);
      fzt_check(covers == (a >= from && a <= to));
    }
  }
}
END_TEST

START_TEST(test_contains)
{
  fzr_peer_rule a, b;
  static const struct {
    const char *outer, *inner;
    bool is;
  } pairs[] = {{"10.0.0.0/8", "10.1.0.0/16", true}, {"10.1.0.0/16", "10.0.0.0/8", false},
               {"10.0.0.0/8", "10.0.0.0/8", true},  {"0.0.0.0/0", "::1", false},
               {"::/0", "fe80::/10", true},         {"10.0.0.0/8", "11.0.0.0/9", false}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    ck_assert_int_eq(fzr_peer_rule_parse(pairs[i].outer, true, &a), 0);
    ck_assert_int_eq(fzr_peer_rule_parse(pairs[i].inner, false, &b), 0);
    ck_assert(range_contains(&a, &b) == pairs[i].is);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("coturn_ranges");
  TCase *tc = tcase_create("coturn_ranges");
  tcase_add_test(tc, test_ranges);
  tcase_add_test(tc, test_what_is_none);
  tcase_add_test(tc, test_random);
  tcase_add_test(tc, test_contains);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
