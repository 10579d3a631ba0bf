/* SPDX-License-Identifier: Apache-2.0 */
/* A connection on loopback: however much comes, others have their turn. */
#include "testing.h"

#include "probe/stream.h"

#include "firezone_relay/socket.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SENT      (2 * PROBE_STREAM_BYTES)
#define BINDING   FZR_STUN_HEADER_LEN
#define PATIENCE  30000 /* ms */
#define TURNS_MAX 1000u

static int listener, far;
static probe_stream *stream;
static size_t got_bytes;
static bool ends;

/* What has come. */
static void on_got(void *ctx, const fzr_addr *from, const uint8_t *data, size_t len)
{
  (void)ctx, (void)from, (void)data;
  got_bytes += len;
  if (ends)
    probe_stream_end(stream);
}

static bool is_ready(int fd, short events, int wait)
{
  struct pollfd p = {.fd = fd, .events = events};
  return poll(&p, 1, wait) == 1;
}

static void setup(void)
{
  const int size = 1 << 20;
  fzr_addr to = fzt_addr("127.0.0.1:0");
  fzr_sockaddr sa;
  socklen_t len = fzr_addr_to_sockaddr(&to, &sa);
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(bind(listener, &sa.any, len), 0);
  ck_assert_int_eq(listen(listener, 1), 0);
  ck_assert_int_eq(getsockname(listener, &sa.any, &len), 0);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&sa.any, len, &to), 0);
  stream = probe_stream_new(&to, NULL);
  ck_assert_ptr_nonnull(stream);
  ck_assert(is_ready(probe_stream_fd(stream), POLLOUT, PATIENCE));
  far = accept(listener, NULL, NULL);
  ck_assert_int_ge(far, 0);
  ck_assert_int_eq(setsockopt(far, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
  probe_stream_go_on(stream, on_got, NULL);
  ck_assert(probe_stream_is_open(stream, &to));
  got_bytes = 0;
  ends = false;
}

static void teardown(void)
{
  probe_stream_free(stream);
  close(far);
  close(listener);
}

/* |len| bytes of messages, as many as the kernel takes at once. */
static void send_messages(size_t len)
{
  static uint8_t data[SENT];
  fzr_stun_builder b;
  for (size_t at = 0; at + BINDING <= sizeof data; at += BINDING) {
    fzr_stun_build(&b, data + at, BINDING, FZR_STUN_BINDING, FZR_STUN_INDICATION,
                   (const uint8_t *)"transaction!");
    ck_assert_int_eq(fzr_stun_build_finish(&b), (int)BINDING);
  }
  ck_assert_int_eq(send(far, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

START_TEST(test_a_turn_has_an_end)
{
  const size_t all = SENT / BINDING * BINDING;
  send_messages(all);
  for (unsigned i = 0; got_bytes < all; i++) {
    const size_t before = got_bytes;
    ck_assert_uint_lt(i, TURNS_MAX);
    ck_assert(is_ready(probe_stream_fd(stream), probe_stream_events(stream), PATIENCE));
    probe_stream_go_on(stream, on_got, NULL);
    /* And up to a message more, of which the first part came in the turn before. */
    ck_assert_uint_le(got_bytes - before, PROBE_STREAM_BYTES + BINDING);
  }
  ck_assert_uint_eq(got_bytes, all);
}
END_TEST

/* Of several messages that have come none is told of behind the one at which it was ended. */
START_TEST(test_ended_by_a_message)
{
  enum probe_failure why;
  send_messages(5 * BINDING);
  ends = true;
  ck_assert(is_ready(probe_stream_fd(stream), POLLIN, PATIENCE));
  probe_stream_go_on(stream, on_got, NULL);
  ck_assert_uint_eq(got_bytes, BINDING);
  ck_assert_ptr_nonnull(probe_stream_failure(stream, &why));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("probe_stream");
  TCase *tc = tcase_create("probe_stream");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, test_a_turn_has_an_end);
  tcase_add_test(tc, test_ended_by_a_message);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
