/* SPDX-License-Identifier: Apache-2.0 */
/* To whom runs go, after what the kernel refused. */
#include "testing.h"

#include "io/udp_gso.h"

#include <errno.h>

#define RETRY_AFTER 10000u /* datagrams */
#define OFF_AFTER   1000u  /* refusals of devices, one after the other */

static fzri_gso gso;
static fzr_addr near, far;

static void set_up(void)
{
  memset(&gso, 0, sizeof gso);
  gso.on = true;
  near = fzt_addr("192.0.2.1:1000");
  far = fzt_addr("[2001:db8::7]:2000");
}

START_TEST(test_all_may_at_first)
{
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), UINT16_MAX);
  gso.on = false;
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), 0);
}
END_TEST

START_TEST(test_what_is_no_refusal)
{
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EAGAIN, 100), FZRI_SEND_BLOCKED);
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EINTR, 100), FZRI_SEND_AGAIN);
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, ECONNREFUSED, 100), FZRI_SEND_LOST);
  /* One datagram that is refused is no run. */
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EINVAL, 0), FZRI_SEND_LOST);
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EIO, 0), FZRI_SEND_LOST);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), UINT16_MAX);
  ck_assert_uint_eq(gso.refused, 0);
}
END_TEST

/* A path with a small MTU: shorter segments still go in runs, to any port of the host, and to all others as before. */
START_TEST(test_path)
{
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EMSGSIZE, 1400), FZRI_SEND_SINGLY);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), 1400);
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EINVAL, 1300), FZRI_SEND_SINGLY);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), 1300);
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EINVAL, 1350), FZRI_SEND_SINGLY); /* was on its way */
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), 1300);
  near.port = 7;
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), 1300);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &far), UINT16_MAX);
  ck_assert_uint_eq(gso.refused, 3);
  ck_assert_uint_eq(gso.count, 1);
}
END_TEST

START_TEST(test_tried_again)
{
  fzri_gso_outcome(&gso, &near, EMSGSIZE, 1400);
  fzri_gso_single(&gso, &far, 9); /* nothing was refused to it */
  for (unsigned i = 0; i < RETRY_AFTER / 50 - 1; i++)
    fzri_gso_single(&gso, &near, 50);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), 1400);
  fzri_gso_single(&gso, &near, 60);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), UINT16_MAX);
  ck_assert_uint_eq(gso.count, 0);
}
END_TEST

START_TEST(test_devices)
{
  ck_assert_int_eq(fzri_gso_outcome(&gso, &near, EIO, 100), FZRI_SEND_SINGLY);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &near), 0);
  for (unsigned i = 2; i < OFF_AFTER; i++)
    fzri_gso_outcome(&gso, &near, EOPNOTSUPP, 100);
  fzri_gso_taken(&gso); /* another device takes them */
  for (unsigned i = 1; i < OFF_AFTER; i++)
    fzri_gso_outcome(&gso, &near, EIO, 100);
  ck_assert(gso.on);
  fzri_gso_outcome(&gso, &near, EIO, 100);
  ck_assert(!gso.on);
  ck_assert_uint_eq(fzri_gso_limit(&gso, &far), 0);
}
END_TEST

/* Whoever makes many paths refuse runs makes the table forget, not grow. */
START_TEST(test_table_is_bounded)
{
  fzr_addr addr = near;
  for (unsigned i = 0; i < 10 * FZRI_REFUSALS; i++) {
    addr.ip[2] = (uint8_t)(i >> 8);
    addr.ip[3] = (uint8_t)i;
    fzri_gso_outcome(&gso, &addr, EMSGSIZE, 1000);
    ck_assert_uint_eq(fzri_gso_limit(&gso, &addr), 1000);
    ck_assert_uint_le(gso.count, FZRI_REFUSALS);
  }
  unsigned in_use = 0;
  for (unsigned i = 0; i < FZRI_REFUSALS; i++)
    in_use += gso.refusals[i].left != 0;
  ck_assert_uint_eq(gso.count, in_use);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_gso");
  TCase *tc = tcase_create("udp_gso");
  tcase_add_checked_fixture(tc, set_up, NULL);
  tcase_add_test(tc, test_all_may_at_first);
  tcase_add_test(tc, test_what_is_no_refusal);
  tcase_add_test(tc, test_path);
  tcase_add_test(tc, test_tried_again);
  tcase_add_test(tc, test_devices);
  tcase_add_test(tc, test_table_is_bounded);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
