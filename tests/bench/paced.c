/* SPDX-License-Identifier: Apache-2.0 */
/* Sends Binding requests at a steady rate, whatever comes back, and tells how long the answers took:
 *
 *   fzr-paced ADDR:PORT REQUESTS-A-SECOND SECONDS
 *
 * They are never closer together than half of the time between two: a generator that was held up sends no bunches, and may send fewer.
 *
 * An answer counts from when its request was handed to the kernel to when the server handed the answer to the kernel, which notes that: how
 * late this program gets to read it does not matter.
 *
 * Prints one JSON object; times are in microseconds. Exit status 1 if more than one request in a hundred was lost. */
#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 20u
#define LINGER  (500 * FZR_MILLISECOND)

typedef struct load {
  int fd;
  fzr_time interval;
  uint64_t total, sent, answered;
  fzr_time *sent_at; /* of each request, by number; 0: answered */
  uint32_t *times;   /* of each request, by number, microseconds; all bits set: not answered */
} load;

static fzr_time to_ns(const struct timespec *t)
{
  return (fzr_time)t->tv_sec * FZR_SECOND + (fzr_time)t->tv_nsec;
}

/* By the clock that the kernel's timestamps of packets are from. */
static fzr_time now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return to_ns(&t);
}

static int dial(const char *text)
{
  fzr_addr addr;
  const int bytes = 4 << 20, on = 1;
  if (fzr_addr_parse(text, &addr) || addr.family != FZR_FAMILY_IPV4 || !addr.port)
    return -1;
  fzr_sockaddr to;
  const socklen_t len = fzr_addr_to_sockaddr(&addr, &to);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, &to.any, len) || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on))
    return -1;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return fd;
}

/* The transaction id begins with the request's number. */
static void send_one(load *l)
{
  uint8_t request[REQUEST] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  memcpy(request + 8, &l->sent, sizeof l->sent);
  l->sent_at[l->sent++] = now_ns();
  (void)send(l->fd, request, sizeof request, 0);
}

/* Takes one answer. Returns its length, or less than 0; when it was sent is in *|at|. */
static ssize_t receive_one(int fd, void *answer, size_t size, fzr_time *at)
{
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec))];
  struct iovec iov = {answer, size};
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  const ssize_t n = recvmsg(fd, &msg, 0);
  const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
  struct timespec stamp;
  *at = now_ns();
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    *at = to_ns(&stamp);
  }
  return n;
}

static void receive_all(load *l)
{
  uint8_t answer[256];
  uint64_t number;
  fzr_time at;
  for (ssize_t n; (n = receive_one(l->fd, answer, sizeof answer, &at)) > 0;) {
    memcpy(&number, answer + 8, sizeof number);
    if (n < (ssize_t)REQUEST || number >= l->sent || !l->sent_at[number])
      continue;
    l->times[number] = at > l->sent_at[number] ? (uint32_t)((at - l->sent_at[number]) / 1000) : 0;
    l->answered++;
    l->sent_at[number] = 0;
  }
}

/* When the next request is due. One that was sent late does not put off the others, but neither do they meet at the server. */
static fzr_time due(const load *l, fzr_time start, fzr_time last_sent)
{
  const fzr_time ideal = start + l->sent * l->interval, apart = last_sent + l->interval / 2;
  return ideal > apart ? ideal : apart;
}

/* Sends for as long as |total| requests take. Never sleeps: where the server is to be woken by a processor that idles the one would need as
 * long as the other. */
static void run(load *l)
{
  const fzr_time start = now_ns(), last = start + l->total * l->interval, end = last + LINGER;
  fzr_time last_sent = 0;
  for (fzr_time now = start; now < end && (now < last || l->answered < l->sent); now = now_ns()) {
    const bool sending = now < last && l->sent < l->total;
    if (sending && now < due(l, start, last_sent))
      continue;
    if (sending) {
      send_one(l);
      last_sent = now;
    }
    receive_all(l);
    sched_yield(); /* who else has something to do on this processor, a collector, does it best now */
  }
}

static int by_value(const void *a, const void *b)
{
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Of the |n| times at |times|, sorted. */
static uint32_t quantile(const uint32_t *times, uint64_t n, double q)
{
  return n ? times[(uint64_t)((double)(n - 1) * q)] : 0;
}

int main(int argc, char **argv)
{
  load l = {.fd = -1};
  const double rate = argc == 4 ? strtod(argv[2], NULL) : 0, seconds = argc == 4 ? strtod(argv[3], NULL) : 0;
  if (rate < 1 || rate > 1e6 || seconds <= 0 || seconds > 600 || (l.fd = dial(argv[1])) < 0) {
    fprintf(stderr, "usage: fzr-paced ADDR:PORT REQUESTS-A-SECOND SECONDS\n");
    return 2;
  }
  l.interval = (fzr_time)(1e9 / rate);
  l.total = (uint64_t)(rate * seconds);
  l.sent_at = calloc((size_t)l.total + 1, sizeof *l.sent_at);
  l.times = calloc((size_t)l.total + 1, sizeof *l.times);
  if (!l.sent_at || !l.times) {
    fprintf(stderr, "fzr-paced: out of memory\n");
    free(l.sent_at);
    free(l.times);
    close(l.fd);
    return 2;
  }
  memset(l.times, 0xff, ((size_t)l.total + 1) * sizeof *l.times);
  run(&l);
  qsort(l.times, (size_t)l.total, sizeof *l.times, by_value);
  printf("{\"sent\":%llu,\"answered\":%llu,\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u}\n",
         (unsigned long long)l.sent, (unsigned long long)l.answered, quantile(l.times, l.answered, 0.5),
         quantile(l.times, l.answered, 0.9), quantile(l.times, l.answered, 0.99),
         quantile(l.times, l.answered, 1));
  const int status = l.answered * 100 < l.sent * 99;
  free(l.sent_at);
  free(l.times);
  close(l.fd);
  return status;
}
