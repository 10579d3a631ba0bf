/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of a prefix are counted together, those of different ones are not. */
#include "stream/prefixes.h"

#include "testing.h"

static stream_prefixes *prefixes;

static void set_up(void)
{
  prefixes = stream_prefixes_new(3);
  ck_assert_ptr_nonnull(prefixes);
}

static void tear_down(void)
{
  stream_prefixes_free(prefixes);
}

static bool enter(const char *text)
{
  const fzr_addr addr = fzt_addr(text);
  return stream_prefixes_enter(prefixes, &addr);
}

static void leave(const char *text)
{
  const fzr_addr addr = fzt_addr(text);
  stream_prefixes_leave(prefixes, &addr);
}

START_TEST(test_ipv4)
{
  ck_assert(enter("198.51.100.1:1") && enter("198.51.100.1:2") && enter("198.51.100.255:1"));
  ck_assert(!enter("198.51.100.7:7"));
  ck_assert(enter("198.51.101.7:7"));
  leave("198.51.100.3:9");
  ck_assert(enter("198.51.100.7:7"));
  ck_assert(!enter("198.51.100.7:8"));
}
END_TEST

START_TEST(test_ipv6)
{
  ck_assert(enter("[2001:db8:1:1::1]:1") && enter("[2001:db8:1:2::1]:1") && enter("[2001:db8:1:ffff::]:1"));
  ck_assert(!enter("[2001:db8:1::5]:1"));
  ck_assert(enter("[2001:db8:2::5]:1"));
  ck_assert(enter("32.1.13.184:1")); /* the same bytes, of the other family */
}
END_TEST

/* Many of them come and go. */
START_TEST(test_many)
{
  fzr_addr addr = fzt_addr("10.0.0.1:1");
  for (unsigned round = 0; round < 2; round++) {
    for (unsigned i = 0; i < 3 * 20000; i++) {
      addr.ip[1] = (uint8_t)(i / 3 >> 8);
      addr.ip[2] = (uint8_t)(i / 3);
      fzt_check(stream_prefixes_enter(prefixes, &addr));
    }
    fzt_check(!stream_prefixes_enter(prefixes, &addr));
    for (unsigned i = 0; i < 3 * 20000; i++) {
      addr.ip[1] = (uint8_t)(i / 3 >> 8);
      addr.ip[2] = (uint8_t)(i / 3);
      stream_prefixes_leave(prefixes, &addr);
    }
  }
}
END_TEST

START_TEST(test_no_limit)
{
  stream_prefixes_free(prefixes);
  prefixes = stream_prefixes_new(0);
  ck_assert_ptr_nonnull(prefixes);
  for (unsigned i = 0; i < 100; i++)
    ck_assert(enter("198.51.100.1:1"));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("prefixes");
  TCase *tc = tcase_create("prefixes");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_ipv4);
  tcase_add_test(tc, test_ipv6);
  tcase_add_test(tc, test_many);
  tcase_add_test(tc, test_no_limit);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
