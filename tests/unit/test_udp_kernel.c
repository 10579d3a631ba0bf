/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that refuse an option of one socket, or have nothing but errors for a reader. */
#include "udp_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

int __real_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

static bool refuse_gro;
static int read_error; /* of every recvmmsg on |failing_fd|; 0: none */
static int failing_fd;
static unsigned failed_reads;

int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
  if (read_error && fd == failing_fd) {
    failed_reads++;
    errno = read_error;
    return -1;
  }
  return __real_recvmmsg(fd, msgs, n, flags, timeout);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
  if (refuse_gro && level == IPPROTO_UDP && name == UDP_GRO) {
    errno = ENOPROTOOPT;
    return -1;
  }
  return __real_setsockopt(fd, level, name, value, len);
}

#define RUN 64

/* A run of the client's to the relay: RUN numbered payloads of 40 bytes, with headers. */
static void send_run(int fd)
{
  static uint8_t run[RUN * 44];
  for (unsigned i = 0; i < RUN; i++) {
    fzr_channel_data_header(run + (size_t)i * 44, 0x4000, 40);
    rig_payload(i, 40, run + (size_t)i * 44 + 4);
  }
  rig_send_run(fd, &rig.listen, run, 44, RUN, 44);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
}

/* The socket of a second client's allocation has no GRO. Runs on all other sockets are read as runs all the same, and what comes to
 * that one arrives, too. */
START_TEST(test_gro_refused_on_one_socket)
{
  uint8_t run[RUN * 40];
  refuse_gro = false;
  rig_start(false, false, false);
  ck_assert(rig_stats().gro);
  refuse_gro = true;
  const rig_client o = rig_add_client();
  refuse_gro = false;
  ck_assert(rig_stats().gro); /* clients' runs are read as such */
  send_run(rig.client_fd);
  for (unsigned i = 0; i < RUN; i++)
    rig_expect(rig.peer_fd, i, 40, false);
  for (unsigned i = 0; i < RUN; i++)
    rig_payload(i, 40, run + (size_t)i * 40);
  rig_send_run(rig.peer_fd, &rig.relayed, run, 40, RUN, 40);
  rig_send_run(o.peer_fd, &o.relayed, run, 40, RUN, 40);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < RUN; i++) {
    rig_expect(rig.client_fd, i, 40, true);
    rig_expect(o.client_fd, i, 40, true);
  }
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_gro_refused_everywhere)
{
  refuse_gro = true;
  rig_start(false, false, false);
  ck_assert(!rig_stats().gro);
  send_run(rig.client_fd);
  for (unsigned i = 0; i < RUN; i++)
    rig_expect(rig.peer_fd, i, 40, false);
  rig_stop();
  refuse_gro = false;
}
END_TEST

/* Serves as a host with level-triggered events does, until |end|. Returns how often the socket watched as number |i| was served. */
static unsigned serve_until(unsigned i, fzr_time end)
{
  unsigned served = 0;
  while (rig.relay.now < end && served < 10000) {
    struct pollfd fd = {rig.host.fds[i], rig.host.events[i] & FZR_WATCH_READ ? POLLIN : 0, 0};
    if (poll(&fd, 1, 0) == 1 && fd.revents & POLLIN) {
      served++;
      fzr_udp_on_ready(rig.udp, rig.host.tokens[i], FZR_WATCH_READ, rig.relay.now);
    } else {
      const fzr_time due = fzr_udp_deadline(rig.udp);
      rig.relay.now = due < end ? due : end;
      fzr_udp_on_deadline(rig.udp, rig.relay.now);
    }
  }
  return served;
}

/* Reading a socket fails as long as that is tried: it rests, longer and longer, and is read again when that is over. */
START_TEST(test_reading_does_nothing_but_fail)
{
  static const int errors[] = {ENOMEM, EPERM, ENOBUFS};
  uint8_t buffer[64];
  rig_start(false, false, false);
  read_error = errors[_i];
  failing_fd = rig.host.fds[0];
  failed_reads = 0;
  fzr_channel_data_header(buffer, 0x4000, 40);
  rig_payload(0, 40, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  /* Over 10 s: 16 reads, then a rest of at most a second. */
  const fzr_udp_stats before = rig_stats();
  ck_assert_uint_le(serve_until(0, rig.relay.now + 10 * FZR_SECOND), 20);
  ck_assert_uint_ge(failed_reads, 10 * 16);
  ck_assert_uint_le(failed_reads, 20 * 16);
  ck_assert_uint_eq(rig_stats().receive_errors - before.receive_errors, failed_reads);
  /* The other way goes on meanwhile. */
  rig_send(rig.peer_fd, &rig.relayed, buffer + 4, 40);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.client_fd, 0, 40, true);
  read_error = 0;
  rig_expect_nothing(rig.peer_fd);
  const fzr_time ends = rig.relay.now;
  serve_until(0, ends + FZR_SECOND);
  rig_expect(rig.peer_fd, 0, 40, false);
  /* Later, a moment's errors cost a moment. */
  serve_until(0, rig.relay.now + 5 * FZR_SECOND);
  read_error = errors[_i];
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  const fzr_time failed_at = rig.relay.now;
  fzr_udp_on_ready(rig.udp, rig.host.tokens[0], FZR_WATCH_READ, failed_at);
  ck_assert_uint_eq(rig.host.events[0] & FZR_WATCH_READ, 0);
  read_error = 0;
  ck_assert(fzr_udp_deadline(rig.udp) <= failed_at + 10 * FZR_MILLISECOND);
  serve_until(0, failed_at + 11 * FZR_MILLISECOND);
  rig_expect(rig.peer_fd, 0, 40, false);
  rig_stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_kernel");
  TCase *tc = tcase_create("udp_kernel");
  tcase_add_test(tc, test_gro_refused_on_one_socket);
  tcase_add_test(tc, test_gro_refused_everywhere);
  tcase_add_loop_test(tc, test_reading_does_nothing_but_fail, 0, 3);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
