/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of lines, with a reader that reads, stalls, or goes away. */
#include "testing.h"

#include "log/queue.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static atomic_uint_least64_t told;

static void idle(uint64_t dropped)
{
  atomic_fetch_add(&told, dropped);
}

static const log_queue_hooks hooks = {idle};

static int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Fills the pipe |fd| to the brim. Returns how many bytes went in. */
static size_t fill(int fd)
{
  static const char zeros[4096];
  size_t n = 0;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  while (write(fd, zeros, sizeof zeros) > 0)
    n += sizeof zeros;
  fcntl(fd, F_SETFL, 0);
  return n;
}

/* Reads |fd| to its end, or until |want| bytes have come. */
static size_t read_all(int fd, char *out, size_t want)
{
  size_t len = 0;
  while (len < want) {
    struct pollfd p = {fd, POLLIN, 0};
    if (poll(&p, 1, 20000) <= 0)
      break;
    const ssize_t n = read(fd, out + len, want - len);
    if (n <= 0)
      break;
    len += (size_t)n;
  }
  return len;
}

START_TEST(test_lines_come_out_in_order)
{
  int ends[2];
  static char out[200000], wanted[200000];
  size_t len = 0;
  ck_assert_int_eq(pipe(ends), 0);
  log_queue *q = log_queue_new(ends[1], 1 << 20, &hooks);
  ck_assert_ptr_nonnull(q);
  for (unsigned i = 0; i < 5000; i++) {
    const int n = snprintf(wanted + len, sizeof wanted - len, "line %u of many\n", i);
    ck_assert(log_queue_add(q, wanted + len, (size_t)n));
    len += (size_t)n;
  }
  ck_assert_uint_eq(read_all(ends[0], out, len), len);
  ck_assert(memcmp(out, wanted, len) == 0);
  ck_assert_uint_eq(log_queue_dropped(q), 0);
  ck_assert(log_queue_free(q, 1000));
  close(ends[0]);
  close(ends[1]);
}
END_TEST

START_TEST(test_reader_that_stalls)
{
  int ends[2];
  static char out[1 << 20];
  unsigned added = 0, refused = 0;
  atomic_store(&told, 0);
  ck_assert_int_eq(pipe(ends), 0);
  const size_t full = fill(ends[1]);
  log_queue *q = log_queue_new(ends[1], 8192, &hooks);
  const int64_t start = now_ms();
  /* Twice the queue, and more: nobody waits, what does not fit is counted. */
  for (unsigned i = 0; i < 10000; i++) {
    const bool fits = log_queue_add(q, "0123456789abcde\n", 16);
    added += fits;
    refused += !fits;
  }
  ck_assert_int_lt(now_ms() - start, 5000);
  ck_assert_uint_ge(added, 8192 / 16);
  ck_assert_uint_le(added, 2 * 8192 / 16);
  ck_assert_uint_eq(log_queue_dropped(q), refused);
  /* When it reads again, all that was kept comes whole, and the loss is told. */
  ck_assert_uint_eq(read_all(ends[0], out, full), full);
  ck_assert_uint_eq(read_all(ends[0], out, (size_t)added * 16), (size_t)added * 16);
  for (unsigned i = 0; i < added; i++)
    fzt_check(memcmp(out + (size_t)i * 16, "0123456789abcde\n", 16) == 0);
  ck_assert(log_queue_add(q, "0123456789abcde\n", 16));
  ck_assert_uint_eq(read_all(ends[0], out, 16), 16);
  ck_assert(log_queue_free(q, 2000));
  ck_assert_uint_eq(atomic_load(&told), refused);
  close(ends[0]);
  close(ends[1]);
}
END_TEST

START_TEST(test_end_does_not_wait_for_a_reader)
{
  int ends[2];
  ck_assert_int_eq(pipe(ends), 0);
  fill(ends[1]);
  log_queue *q = log_queue_new(ends[1], 8192, &hooks);
  ck_assert(log_queue_add(q, "never seen\n", 11));
  const int64_t start = now_ms();
  ck_assert(log_queue_free(q, 100));
  ck_assert_int_lt(now_ms() - start, 5000);
  close(ends[0]);
  close(ends[1]);
}
END_TEST

/* A reader that is gone, and a descriptor that is none. */
START_TEST(test_reader_that_is_gone)
{
  int ends[2];
  signal(SIGPIPE, SIG_IGN);
  ck_assert_int_eq(pipe(ends), 0);
  close(ends[0]);
  for (unsigned round = 0; round < 2; round++) {
    log_queue *q = log_queue_new(ends[1], 8192, &hooks);
    ck_assert(log_queue_add(q, "a\nb\nc\n", 6));
    const int64_t start = now_ms();
    while (log_queue_dropped(q) < 3 && now_ms() - start < 20000)
      poll(NULL, 0, 5);
    ck_assert_uint_eq(log_queue_dropped(q), 3);
    ck_assert(log_queue_free(q, 1000));
    if (round == 0)
      close(ends[1]);
  }
}
END_TEST

START_TEST(test_write_now)
{
  int ends[2];
  char out[8];
  ck_assert_int_eq(pipe(ends), 0);
  ck_assert(log_write_now(ends[1], "now\n", 4));
  ck_assert_uint_eq(read_all(ends[0], out, 4), 4);
  fill(ends[1]);
  ck_assert(!log_write_now(ends[1], "now\n", 4));
  close(ends[0]);
  close(ends[1]);
  ck_assert(!log_write_now(ends[1], "now\n", 4));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: log queue");
  TCase *c = tcase_create("queue");
  tcase_set_timeout(c, 60);
  tcase_add_test(c, test_lines_come_out_in_order);
  tcase_add_test(c, test_reader_that_stalls);
  tcase_add_test(c, test_end_does_not_wait_for_a_reader);
  tcase_add_test(c, test_reader_that_is_gone);
  tcase_add_test(c, test_write_now);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
