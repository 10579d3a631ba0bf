/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors over a Unix socket, files in memory, and parcels of descriptors. */
#include "testing.h"

#include "common/clock.h"
#include "handover/parcel.h"
#include "handover/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];
static const char *why;

static void open_pair(void)
{
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
  why = NULL;
}

static void close_pair(void)
{
  close(ends[0]);
  close(ends[1]);
}

static fzr_time soon(void)
{
  return monotonic_now() + 5 * FZR_SECOND;
}

START_TEST(test_descriptors_go_along)
{
  const handover_message m = {.type = HANDOVER_GIVE, .kind = HANDOVER_PORTS, .fds = HANDOVER_FDS_MAX};
  handover_message got;
  int fds[HANDOVER_FDS_MAX], came[HANDOVER_FDS_MAX];
  size_t n = 0;
  for (size_t i = 0; i < HANDOVER_FDS_MAX; i++)
    fds[i] = ends[0];
  ck_assert_int_eq(handover_send(ends[0], &m, fds, HANDOVER_FDS_MAX, soon(), &why), 0);
  ck_assert_int_eq(handover_receive(ends[1], &got, came, &n, soon(), &why), 0);
  ck_assert_uint_eq(n, HANDOVER_FDS_MAX);
  ck_assert_uint_eq(got.kind, HANDOVER_PORTS);
  for (size_t i = 0; i < n; i++) {
    ck_assert_int_eq(fcntl(came[i], F_GETFD), FD_CLOEXEC);
    close(came[i]);
  }
}
END_TEST

/* None of its descriptors is left behind. */
START_TEST(test_another_number_of_descriptors_than_is_said)
{
  const handover_message m = {.type = HANDOVER_GIVE, .kind = HANDOVER_PORTS, .fds = 2};
  handover_message got;
  int came[HANDOVER_FDS_MAX];
  const int before = dup(ends[0]);
  close(before);
  ck_assert_int_eq(handover_send(ends[0], &m, &ends[0], 1, soon(), &why), 0);
  ck_assert_int_eq(handover_receive(ends[1], &got, came, NULL, soon(), &why), -1);
  ck_assert_str_eq(why, "the other process says what can't be understood");
  const int after = dup(ends[0]);
  ck_assert_int_eq(after, before);
  close(after);
}
END_TEST

START_TEST(test_descriptors_that_are_not_wanted)
{
  char reason[HANDOVER_REASON_MAX];
  const handover_message m = {.type = HANDOVER_READY};
  handover_message got;
  ck_assert_int_eq(handover_send(ends[0], &m, &ends[0], 1, soon(), &why), 0);
  ck_assert_int_eq(handover_await(ends[1], HANDOVER_READY, &got, soon(), reason), -1);
  ck_assert_str_eq(reason, "the other process says what can't be understood");
}
END_TEST

START_TEST(test_who_does_not_answer_and_who_is_gone)
{
  char reason[HANDOVER_REASON_MAX];
  handover_message got = {.type = HANDOVER_READY};
  ck_assert_int_eq(handover_await(ends[1], HANDOVER_GO, &got, monotonic_now() + FZR_MILLISECOND, reason), -1);
  ck_assert_str_eq(reason, "the other process does not answer");
  handover_refuse(ends[0], "not today");
  ck_assert_int_eq(handover_await(ends[1], HANDOVER_GO, &got, soon(), reason), -1);
  ck_assert_str_eq(reason, "not today");
  close(ends[0]);
  ends[0] = -1;
  ck_assert_int_eq(handover_await(ends[1], HANDOVER_GO, &got, soon(), reason), -1);
  ck_assert_str_eq(reason, "the other process is gone");
  ck_assert_int_eq(handover_send(ends[1], &got, NULL, 0, soon(), &why), -1);
  ck_assert_str_eq(why, "the other process is gone");
}
END_TEST

/* By which both sides know whether it was: there is no moment at which one takes it for said and the other does not. */
START_TEST(test_what_was_said_before_hanging_up)
{
  const handover_message m = {.type = HANDOVER_BEGUN};
  char reason[HANDOVER_REASON_MAX];
  handover_message got;
  ck_assert_int_eq(handover_send(ends[0], &m, NULL, 0, soon(), &why), 0);
  handover_hang_up(ends[1]);
  ck_assert_int_eq(handover_send(ends[0], &m, NULL, 0, soon(), &why), -1);
  ck_assert_str_eq(why, "the other process is gone");
  ck_assert_int_eq(handover_await(ends[1], HANDOVER_BEGUN, &got, soon(), reason), 0);
  ck_assert_int_eq(handover_await(ends[1], HANDOVER_BEGUN, &got, soon(), reason), -1);
  ck_assert_str_eq(reason, "the other process is gone");
}
END_TEST

START_TEST(test_who_takes_nothing)
{
  const handover_message m = {.type = HANDOVER_READY};
  const fzr_time until = monotonic_now() + 20 * FZR_MILLISECOND;
  int sent = 0;
  while (!handover_send(ends[0], &m, NULL, 0, until, &why))
    ck_assert_int_lt(sent++, 100000);
  ck_assert_str_eq(why, "the other process takes nothing");
  ck_assert_int_gt(sent, 0);
}
END_TEST

START_TEST(test_a_file_is_sealed_and_read)
{
  static uint8_t bytes[200000];
  const uint8_t *data;
  size_t len;
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)(i * 7 + i / 256);
  handover_file *file = handover_file_new("test");
  ck_assert_ptr_nonnull(file);
  for (size_t i = 0; i < sizeof bytes; i += 4000)
    handover_file_put(file, bytes + i, 4000);
  const int fd = handover_file_seal(file);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, "x", 1), -1);
  ck_assert_int_eq(ftruncate(fd, 0), -1);
  ck_assert(handover_file_map(fd, &data, &len));
  ck_assert_uint_eq(len, sizeof bytes);
  ck_assert_mem_eq(data, bytes, len);
  handover_file_unmap(data, len);
  close(fd);
}
END_TEST

START_TEST(test_a_file_that_may_shrink_is_not_mapped)
{
  const uint8_t *data;
  size_t len;
  const int fd = memfd_create("test", MFD_ALLOW_SEALING);
  ck_assert_int_eq(write(fd, "x", 1), 1);
  ck_assert(!handover_file_map(fd, &data, &len));
  ck_assert_int_eq(errno, EINVAL);
  ck_assert(!handover_file_map(ends[0], &data, &len));
  close(fd);
}
END_TEST

START_TEST(test_a_parcel_takes_what_there_can_be)
{
  handover_parcel p;
  const int fds[3] = {dup(ends[0]), dup(ends[0]), dup(ends[0])};
  ck_assert(handover_parcel_init(&p, 2, false));
  ck_assert(!handover_parcel_add(&p, HANDOVER_LISTEN, 2, fds, 1)); /* no such worker */
  ck_assert(!handover_parcel_add(&p, HANDOVER_KINDS, 0, fds, 1));
  ck_assert(!handover_parcel_add(&p, HANDOVER_STATE, 0, fds, 2));
  ck_assert(!handover_parcel_add(&p, HANDOVER_LISTEN, 0, fds, 3));
  ck_assert(handover_parcel_add(&p, HANDOVER_STATE, 0, fds, 1));
  ck_assert(!handover_parcel_add(&p, HANDOVER_STATE, 0, fds + 1, 1)); /* a second one */
  ck_assert(!handover_parcel_all_have(&p, HANDOVER_STATE));
  ck_assert(handover_parcel_add(&p, HANDOVER_PORTS, 1, fds + 1, 2));
  ck_assert_uint_eq(handover_parcel_count(&p), 3);
  handover_fds *ports = handover_parcel_fds(&p, HANDOVER_PORTS, 1);
  ck_assert_int_eq(ports->each[--ports->count], fds[2]); /* taken out: it is not closed with the rest */
  handover_parcel_drop(&p);
  ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
  ck_assert_int_eq(fcntl(fds[1], F_GETFD), -1);
  ck_assert_int_ge(fcntl(fds[2], F_GETFD), 0);
  close(fds[2]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("handover-wire");
  TCase *tc = tcase_create("wire");
  tcase_add_checked_fixture(tc, open_pair, close_pair);
  tcase_add_test(tc, test_descriptors_go_along);
  tcase_add_test(tc, test_another_number_of_descriptors_than_is_said);
  tcase_add_test(tc, test_descriptors_that_are_not_wanted);
  tcase_add_test(tc, test_who_does_not_answer_and_who_is_gone);
  tcase_add_test(tc, test_what_was_said_before_hanging_up);
  tcase_add_test(tc, test_who_takes_nothing);
  tcase_add_test(tc, test_a_file_is_sealed_and_read);
  tcase_add_test(tc, test_a_file_that_may_shrink_is_not_mapped);
  tcase_add_test(tc, test_a_parcel_takes_what_there_can_be);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
