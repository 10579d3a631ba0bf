/* SPDX-License-Identifier: Apache-2.0 */
/* What the data that came through means, and that each fault has a word, a status and a sentence of one line. */
#include "testing.h"

#include "probe/facts.h"

#include <ctype.h>
#include <string.h>

static fzr_addr addr(const char *text)
{
  fzr_addr a;
  ck_assert_msg(!fzr_addr_parse(text, &a), "%s", text);
  return a;
}

#define ALL (PROBE_SMALL | PROBE_LARGE)

START_TEST(test_direct)
{
  static const struct {
    const char *relayed, *from; /* NULL: nothing came */
    unsigned out, in;
    bool unreachable;
    enum probe_fault fault;
  } rows[] = {
      {"203.0.113.7:50000", "203.0.113.7:50000", ALL, ALL, false, PROBE_WORKS},
      {"203.0.113.7:50000", "203.0.113.7:50001", ALL, ALL, false, PROBE_SOURCE},
      {"203.0.113.7:50000", "203.0.113.8:50000", ALL, ALL, false, PROBE_SOURCE},
      {"203.0.113.7:50000", "203.0.113.7:50000", PROBE_SMALL, ALL, false, PROBE_MTU},
      {"203.0.113.7:50000", "203.0.113.7:50000", ALL, PROBE_SMALL, false, PROBE_MTU},
      {"203.0.113.7:50000", "203.0.113.7:50000", ALL, 0, false, PROBE_RANGE},
      {"203.0.113.7:50000", "203.0.113.7:50000", ALL, 0, true, PROBE_ADDRESS},
      {"203.0.113.9:50000", "203.0.113.7:50000", ALL, 0, false, PROBE_ADDRESS},
      {"203.0.113.7:50000", NULL, 0, ALL, false, PROBE_RANGE_OUT},
      {"203.0.113.7:50000", NULL, 0, 0, false, PROBE_RANGE},
      {"203.0.113.7:50000", NULL, 0, 0, true, PROBE_ADDRESS},
      {"203.0.113.9:50000", NULL, 0, 0, false, PROBE_ADDRESS},
      /* Of the other family any address may be right. */
      {"[2001:db8::9]:50000", NULL, 0, 0, false, PROBE_RANGE},
      /* It comes from its own address, so that is right, though the relay was asked at another one. */
      {"203.0.113.9:50000", "203.0.113.9:50000", ALL, 0, false, PROBE_RANGE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    probe_facts f = {.server = addr("203.0.113.7:3478"),
                     .relayed = addr(rows[i].relayed),
                     .unreachable = rows[i].unreachable,
                     .seen = {[PROBE_OUT] = rows[i].out, [PROBE_IN] = rows[i].in}};
    if (rows[i].from)
      f.from = addr(rows[i].from);
    ck_assert_msg(probe_judge_direct(&f) == rows[i].fault, "row %zu: %s", i,
                  probe_fault_word(probe_judge_direct(&f)));
  }
}
END_TEST

START_TEST(test_second)
{
  for (unsigned there = 0; there <= ALL; there++)
    for (unsigned back = 0; back <= ALL; back++) {
      const probe_facts f = {.seen = {[PROBE_THERE] = there, [PROBE_BACK] = back}};
      const enum probe_fault wanted = !(there & back & PROBE_SMALL) ? PROBE_HAIRPIN
                                      : there & back & PROBE_LARGE  ? PROBE_WORKS
                                                                    : PROBE_MTU;
      ck_assert_int_eq(probe_judge_second(&f), wanted);
    }
}
END_TEST

START_TEST(test_addresses)
{
  static const struct {
    const char *text;
    bool is_public;
  } rows[] = {{"203.0.113.7", true},  {"9.255.255.255", true}, {"10.0.0.1", false},  {"172.15.0.1", true},
              {"172.16.0.1", false},  {"172.31.255.1", false}, {"172.32.0.1", true}, {"192.168.1.1", false},
              {"192.169.1.1", true},  {"127.0.0.1", false},    {"100.63.0.1", true}, {"100.64.0.1", false},
              {"169.254.1.1", false}, {"224.0.0.1", false},    {"0.0.0.0", false},   {"2001:db8::1", true},
              {"fd00::1", false},     {"fe80::1", false},      {"::1", false},       {"::", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const fzr_addr a = addr(rows[i].text);
    ck_assert_msg(probe_addr_is_public(&a) == rows[i].is_public, "%s", rows[i].text);
    const probe_facts f = {.server = addr("203.0.113.7:3478"), .relayed = a};
    ck_assert_int_eq(probe_judge_address(&f), rows[i].is_public ? PROBE_WORKS : PROBE_ADDRESS);
    const probe_facts at_home = {.server = addr("10.0.0.1:3478"), .relayed = a};
    ck_assert_int_eq(probe_judge_address(&at_home), PROBE_WORKS);
  }
  const fzr_addr none = {.family = FZR_FAMILY_NONE};
  ck_assert(!probe_addr_is_public(&none));
}
END_TEST

START_TEST(test_loopback)
{
  static const char *const is[] = {"127.0.0.1", "127.9.9.9", "::1"}, *const is_not[] = {
                                                                         "128.0.0.1", "::", "::2", "fe80::1"};
  for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
    const fzr_addr a = addr(is[i]);
    ck_assert(probe_addr_is_loopback(&a));
  }
  for (size_t i = 0; i < sizeof is_not / sizeof *is_not; i++) {
    const fzr_addr a = addr(is_not[i]);
    ck_assert(!probe_addr_is_loopback(&a));
  }
}
END_TEST

START_TEST(test_each_fault_is_told)
{
  for (unsigned i = 0; i < PROBE_FAULTS; i++)
    for (unsigned j = 0; j < 32; j++) {
      char text[1024], cut[20];
      probe_facts f = {.transport = j & 1 ? PROBE_TCP : PROBE_UDP,
                       .server = addr("203.0.113.7:3478"),
                       .relayed = addr(j & 2 ? "10.0.0.1:50000" : "203.0.113.7:50000"),
                       .doing = "channel",
                       .code = j & 4 ? 486 : 403,
                       .realm = "realm",
                       .wanted = "wanted",
                       .text = "a text",
                       .expiry = j & 8 ? 1700000000 : 0,
                       .is_made = j & 16,
                       .other_works = j & 8,
                       .cut = j & 1};
      if (j & 16)
        f.from = addr("203.0.113.9:1");
      probe_fault_say((enum probe_fault)i, &f, text, sizeof text);
      ck_assert_msg(*text && !strchr(text, '\n') && strlen(text) < 500, "%u: %s", i, text);
      probe_fault_say((enum probe_fault)i, &f, cut, sizeof cut);
      ck_assert_uint_lt(strlen(cut), sizeof cut);
    }
  for (unsigned i = 0; i < PROBE_FAULTS; i++) {
    const char *word = probe_fault_word((enum probe_fault)i);
    ck_assert(word && *word);
    for (const char *p = word; *p; p++)
      ck_assert(islower((unsigned char)*p) || *p == '-');
    ck_assert_int_eq(probe_fault_status((enum probe_fault)i) == 0, i == PROBE_WORKS);
    ck_assert_int_ne(probe_fault_status((enum probe_fault)i), 2);
    for (unsigned j = 0; j < i; j++)
      ck_assert_str_ne(word, probe_fault_word((enum probe_fault)j));
  }
}
END_TEST

START_TEST(test_times_are_told)
{
  char text[1024];
  const probe_facts f = {.expiry = 1700000000}, far = {.expiry = UINT64_MAX};
  probe_fault_say(PROBE_EXPIRED, &f, text, sizeof text);
  ck_assert_ptr_nonnull(strstr(text, "2023-11-14 22:13:20 UTC"));
  probe_fault_say(PROBE_EXPIRED, &far, text, sizeof text);
  ck_assert_ptr_nonnull(strstr(text, "18446744073709551615"));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("probe_facts");
  TCase *tc = tcase_create("probe_facts");
  tcase_add_test(tc, test_direct);
  tcase_add_test(tc, test_second);
  tcase_add_test(tc, test_addresses);
  tcase_add_test(tc, test_loopback);
  tcase_add_test(tc, test_each_fault_is_told);
  tcase_add_test(tc, test_times_are_told);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
