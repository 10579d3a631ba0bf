/* SPDX-License-Identifier: Apache-2.0 */
/* What is given to a grpc_output arrives whole and in order, whatever the socket takes at once. */
#include "prng.h"
#include "testing.h"

#include "grpc/output.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t given[400u << 10], got[sizeof given];

typedef struct wires {
  struct event_base *base;
  struct bufferevent *bev;
  int far;
} wires;

static wires connect_them(void)
{
  int fds[2];
  const int small = 4096;
  wires w = {.base = event_base_new()};
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  w.bev = bufferevent_socket_new(w.base, fds[0], BEV_OPT_CLOSE_ON_FREE);
  w.far = fds[1];
  ck_assert_int_eq(bufferevent_enable(w.bev, EV_WRITE), 0);
  return w;
}

static void disconnect_them(wires *w)
{
  bufferevent_free(w->bev);
  event_base_free(w->base);
  if (w->far >= 0)
    close(w->far);
}

/* Reads at the far end until |len| bytes are there. */
static void receive(wires *w, size_t len)
{
  size_t have = 0;
  for (unsigned idle = 0; have < len && idle < 2;) {
    const ssize_t n = read(w->far, got + have, len - have);
    have += n > 0 ? (size_t)n : 0;
    idle = n > 0 ? 0 : idle + 1;
    fzt_check(event_base_loop(w->base, EVLOOP_NONBLOCK) >= 0);
  }
  ck_assert_uint_eq(have, len);
  ck_assert_mem_eq(got, given, len);
  ck_assert_int_lt(read(w->far, got, 1), 0);
}

/* Gives |given| from |at| on in 0 to 99 parts of |largest| bytes at most, some to be copied. Returns the end. */
static size_t give(fzt_prng *prng, grpc_output *o, size_t at, size_t largest)
{
  for (uint64_t parts = fzt_below(prng, 100); parts && at + largest < sizeof given; parts--) {
    const size_t n = 1 + (size_t)fzt_below(prng, largest);
    if (fzt_below(prng, 2)) {
      uint8_t *gone = malloc(n);
      memcpy(gone, given + at, n);
      ck_assert_int_eq(grpc_output_copy(o, gone, n), 0);
      memset(gone, 0xee, n);
      free(gone);
    } else {
      ck_assert_int_eq(grpc_output_refer(o, given + at, n), 0);
    }
    at += n;
  }
  return at;
}

START_TEST(test_any_parts)
{
  fzt_prng prng = {fzt_seed("any parts")};
  static grpc_output o;
  wires w = connect_them();
  for (unsigned round = 0; round < 200; round++) {
    static const size_t sizes[] = {1, 9, 40, GRPC_OUTPUT_SMALL, 3000, 16384, 70000};
    size_t end = 0;
    fzt_fill(&prng, given, sizeof given);
    /* All turns but the first begin while the socket has not taken all of the one before. */
    for (uint64_t turns = 1 + fzt_below(&prng, 4); turns; turns--) {
      grpc_output_begin(&o, w.bev, NULL);
      end = give(&prng, &o, end, sizes[fzt_below(&prng, sizeof sizes / sizeof *sizes)]);
      ck_assert_int_eq(grpc_output_end(&o), 0);
    }
    receive(&w, end);
  }
  disconnect_them(&w);
}
END_TEST

/* A connection that is gone is not this side's to report, and no signal. */
START_TEST(test_gone)
{
  static grpc_output o;
  wires w = connect_them();
  close(w.far);
  w.far = -1;
  grpc_output_begin(&o, w.bev, NULL);
  ck_assert_int_eq(grpc_output_copy(&o, given, 9), 0);
  ck_assert_int_eq(grpc_output_end(&o), 0);
  ck_assert_uint_eq(evbuffer_get_length(bufferevent_get_output(w.bev)), 9);
  disconnect_them(&w);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: output");
  TCase *c = tcase_create("output");
  tcase_add_test(c, test_any_parts);
  tcase_add_test(c, test_gone);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
