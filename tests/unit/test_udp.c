/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP adapter on real loopback sockets, with the kernel's answers to sends scripted where that matters: byte for byte, in order,
 * nothing twice, nothing lost. */
#include "relay.h"

#include "firezone_relay/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* ---- the kernel, as told: --wrap=sendmmsg, sendmsg and sendto ---- */

int __real_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len);
ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len);

/* What the next calls do: > 0 takes that many messages, < 0 fails with -errno, 0 is as the kernel likes. */
static int script[64];
static unsigned script_len, script_at;
static int blocked_fd = -1; /* this socket is full */

static int next_step(void)
{
  return script_at < script_len ? script[script_at++] : 0;
}

static unsigned most_segments; /* of a message so far */

/* No message may be more than what every kernel takes: 64 segments, and the bytes of the largest datagram. */
static void check_message(const struct msghdr *msg)
{
  size_t bytes = 0;
  uint16_t seg = 0;
  for (size_t i = 0; i < msg->msg_iovlen; i++)
    bytes += msg->msg_iov[i].iov_len;
  ck_assert_uint_le(bytes, 65507);
  ck_assert_uint_le(msg->msg_iovlen, 128);
  struct msghdr copy = *msg;
  for (struct cmsghdr *c = msg->msg_controllen ? CMSG_FIRSTHDR(&copy) : NULL; c; c = CMSG_NXTHDR(&copy, c))
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
      memcpy(&seg, CMSG_DATA(c), sizeof seg);
  const unsigned segments = seg ? (unsigned)((bytes + seg - 1) / seg) : 1;
  ck_assert_uint_le(segments, 64);
  if (segments > most_segments)
    most_segments = segments;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
  for (unsigned i = 0; i < n; i++)
    check_message(&msgs[i].msg_hdr);
  const int step = fd == blocked_fd ? -EAGAIN : next_step();
  if (step < 0) {
    errno = -step;
    return -1;
  }
  return __real_sendmmsg(fd, msgs, step && (unsigned)step < n ? (unsigned)step : n, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
  check_message(msg);
  const int step = fd == blocked_fd ? -EAGAIN : next_step();
  if (step < 0) {
    errno = -step;
    return -1;
  }
  return __real_sendmsg(fd, msg, flags);
}

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len)
{
  const int step = fd == blocked_fd ? -EAGAIN : next_step();
  if (step < 0) {
    errno = -step;
    return -1;
  }
  return __real_sendto(fd, data, len, flags, to, to_len);
}

static void set_script(const int *steps, unsigned n)
{
  memcpy(script, steps, n * sizeof *steps);
  script_len = n;
  script_at = 0;
}

#define SCRIPT(...) set_script((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/* ---- the host ---- */

#define MAX_WATCHED 32

typedef struct host {
  int fds[MAX_WATCHED];
  unsigned events[MAX_WATCHED];
  void *tokens[MAX_WATCHED];
  unsigned count;
  bool refuse; /* to watch one more */
  bool singly; /* each descriptor by itself, instead of all that are ready at once */
} host;

static int watch(void *ctx, int fd, unsigned events, void *token, void **slot)
{
  host *h = ctx;
  if (!*slot && h->refuse)
    return FZR_ERR_IO_NO_SOCKET;
  if (!*slot) {
    ck_assert_uint_lt(h->count, MAX_WATCHED);
    *slot = (void *)(uintptr_t)++h->count;
  }
  const unsigned i = (unsigned)(uintptr_t)*slot - 1;
  h->fds[i] = fd;
  h->events[i] = events;
  h->tokens[i] = token;
  return 0;
}

static void unwatch(void *ctx, int fd, void *slot)
{
  host *h = ctx;
  ck_assert_int_eq(h->fds[(uintptr_t)slot - 1], fd);
  h->fds[(uintptr_t)slot - 1] = -1;
}

/* Serves whatever is ready until nothing is. */
static void serve(host *h, fzr_udp *udp, fzr_time now)
{
  for (unsigned idle = 0; idle < 2;) {
    struct pollfd fds[MAX_WATCHED];
    for (unsigned i = 0; i < h->count; i++)
      fds[i] =
          (struct pollfd){h->fds[i],
                          (short)((h->events[i] & FZR_WATCH_READ ? POLLIN : 0) |
                                  (h->events[i] & FZR_WATCH_WRITE && h->fds[i] != blocked_fd ? POLLOUT : 0)),
                          0};
    const int n = poll(fds, h->count, 5);
    idle = n ? 0 : idle + 1;
    fzr_udp_ready ready[MAX_WATCHED];
    size_t count = 0;
    for (unsigned i = 0; n > 0 && i < h->count; i++)
      if (fds[i].revents && h->fds[i] >= 0)
        ready[count++] = (fzr_udp_ready){h->tokens[i],
                                         (fds[i].revents & POLLIN ? FZR_WATCH_READ : 0) |
                                             (fds[i].revents & POLLOUT ? FZR_WATCH_WRITE : 0),
                                         0};
    if (h->singly)
      for (size_t i = 0; i < count; i++)
        fzr_udp_on_ready(udp, ready[i].token, ready[i].events, now);
    else
      fzr_udp_on_ready_batch(udp, ready, count, now);
  }
}

/* ---- a relay with one client, one channel and one peer ---- */

typedef struct setup {
  fzt_relay relay;
  host host;
  fzr_udp *udp;
  fzt_client_state client;
  int client_fd, peer_fd;
  fzr_addr listen, peer, relayed;
  bool ipv6;
} setup;

static setup s;
static const char *own_host = "127.0.0.1"; /* where IPv4 sockets are bound */
static uint32_t budget;                    /* of what is started next; 0: the default */

static fzr_addr name_of(int fd)
{
  struct sockaddr_storage sa;
  socklen_t len = sizeof sa;
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
  fzr_addr a = fzt_addr(sa.ss_family == AF_INET ? own_host : "::1");
  a.port = ntohs(((struct sockaddr_in *)(void *)&sa)->sin_port);
  return a;
}

static socklen_t to_sockaddr(const fzr_addr *a, struct sockaddr_storage *sa)
{
  struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
  memcpy(&in4.sin_addr, a->ip, 4);
  memcpy(&in6.sin6_addr, a->ip, 16);
  if (a->family == FZR_FAMILY_IPV4)
    memcpy(sa, &in4, sizeof in4);
  else
    memcpy(sa, &in6, sizeof in6);
  return a->family == FZR_FAMILY_IPV4 ? sizeof in4 : sizeof in6;
}

static int open_socket(void)
{
  struct sockaddr_storage sa;
  const fzr_addr any = fzt_addr(s.ipv6 ? "::1" : own_host);
  const int fd = socket(s.ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const int buffer = 4 << 20;
  const socklen_t len = to_sockaddr(&any, &sa);
  ck_assert_int_ge(fd, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
  return fd;
}

static void send_to(int fd, const fzr_addr *to, const void *data, size_t len)
{
  struct sockaddr_storage sa;
  const socklen_t sa_len = to_sockaddr(to, &sa);
  ck_assert_int_eq(__real_sendto(fd, data, len, 0, (struct sockaddr *)&sa, sa_len), (ssize_t)len);
}

/* Sends |n| datagrams of |seg| bytes, the last of |tail|, in one GSO message. */
static void send_run(int fd, const fzr_addr *to, const uint8_t *data, uint16_t seg, unsigned n, uint16_t tail)
{
  struct sockaddr_storage sa;
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof seg)] = {0};
  struct iovec iov = {(void *)(uintptr_t)data, (size_t)(n - 1) * seg + tail};
  struct msghdr msg = {.msg_name = &sa,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
  msg.msg_namelen = to_sockaddr(to, &sa);
  struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
  c->cmsg_level = IPPROTO_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof seg);
  memcpy(CMSG_DATA(c), &seg, sizeof seg);
  ck_assert_int_eq(__real_sendmsg(fd, &msg, 0), (ssize_t)iov.iov_len);
}

/* Sends a request of the client and reads the answer; returns its error code. */
static int ask(uint16_t method, void (*add)(fzr_stun_builder *), fzr_stun_msg *msg)
{
  static uint8_t request[512], answer[1500];
  fzr_stun_builder b;
  fzt_begin(&s.relay, &s.client, &b, request, sizeof request, method);
  if (add)
    add(&b);
  fzr_stun_add_integrity(&b, s.client.key, sizeof s.client.key);
  send_to(s.client_fd, &s.listen, request, (size_t)fzr_stun_build_finish(&b));
  serve(&s.host, s.udp, s.relay.now);
  const ssize_t n = recv(s.client_fd, answer, sizeof answer, 0);
  ck_assert_int_gt(n, 0);
  ck_assert_int_eq(fzr_stun_read(answer, (size_t)n, msg), 0);
  return (int)fzr_stun_error_code(msg);
}

static void add_transport(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, s.ipv6 ? 2u << 24 : 1u << 24);
}

static void add_binding(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_CHANNEL_NUMBER, 0x4000u << 16);
  fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, &s.peer);
}

static void start(bool ipv6, bool no_gso, bool wildcard)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  memset(&s, 0, sizeof s);
  script_len = script_at = 0;
  blocked_fd = -1;
  own_host = "127.0.0.1";
  s.ipv6 = ipv6;
  fzr_config config = fzt_config(&s.relay);
  config.public_ip4 = fzt_addr("127.0.0.1");
  config.public_ip6 = fzt_addr("::1");
  most_segments = 0;
  config.lowest_port = (uint16_t)(20000 + getpid() % 100 * 100);
  config.highest_port = (uint16_t)(config.lowest_port + 99);
  fzr_udp_config udp = {.size = sizeof udp,
                        .watch = watch,
                        .unwatch = unwatch,
                        .watch_ctx = &s.host,
                        .disable_gso = no_gso,
                        .budget = budget};
  udp.bind_ip4 = fzt_addr(wildcard ? "0.0.0.0" : "127.0.0.1");
  udp.bind_ip6 = fzt_addr(wildcard ? "::" : "::1");
  ck_assert_int_eq(fzr_udp_new(&udp, &s.udp, NULL), 0);
  config.listen_port = fzr_udp_listen_port(s.udp);
  fzt_relay_init(&s.relay, &config);
  ck_assert_int_eq(fzr_udp_attach(s.udp, s.relay.engine), 0);
  ck_assert_int_eq(fzr_udp_attach(s.udp, s.relay.engine), FZR_ERR_INVALID_STATE);
  s.client_fd = open_socket();
  s.peer_fd = open_socket();
  s.listen = fzt_addr(ipv6 ? "::1" : "127.0.0.1");
  s.listen.port = fzr_udp_listen_port(s.udp);
  s.peer = name_of(s.peer_fd);
  fzt_client_init(&s.client, "127.0.0.1:1");
  ck_assert_int_eq(ask(FZR_STUN_ALLOCATE, add_transport, &msg), 401);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(s.client.nonce, nonce.value, nonce.len);
  s.client.nonce_len = nonce.len;
  ck_assert_int_eq(ask(FZR_STUN_ALLOCATE, add_transport, &msg), 0);
  ck_assert_int_eq(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &s.relayed), 0);
  ck_assert_int_eq(ask(FZR_STUN_CHANNEL_BIND, add_binding, &msg), 0);
}

static void stop(void)
{
  fzr_udp_free(s.udp);
  fzt_relay_free(&s.relay);
  close(s.client_fd);
  close(s.peer_fd);
}

static fzr_udp_stats udp_stats(void)
{
  fzr_udp_stats stats = {.size = sizeof stats};
  ck_assert_int_eq(fzr_udp_get_stats(s.udp, &stats), 0);
  return stats;
}

/* Payload number |i|: its length and bytes follow from the number. */
static size_t payload(unsigned i, size_t len, uint8_t *out)
{
  for (size_t k = 0; k < len; k++)
    out[k] = (uint8_t)(i * 131 + k * 7 + (k >> 8));
  return len;
}

static void expect_payload(int fd, unsigned i, size_t len, bool with_header)
{
  static uint8_t got[70000], want[70000];
  const ssize_t n = recv(fd, got, sizeof got, 0);
  size_t at = 0;
  ck_assert_msg(n >= 0, "payload %u of %zu did not arrive", i, len);
  if (with_header) {
    fzr_channel_data_header(want, 0x4000, (uint16_t)len);
    at = 4;
  }
  payload(i, len, want + at);
  ck_assert_uint_eq((size_t)n, at + len);
  ck_assert_mem_eq(got, want, at + len);
}

static void expect_nothing(int fd)
{
  uint8_t byte;
  ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
  ck_assert_int_eq(errno, EAGAIN);
}

static const size_t lengths[] = {0,  1,    3,    4,    5, 99, 100, 100,  100,  100,
                                 33, 1200, 1200, 1200, 1, 0,  0,   1472, 9000, 65000};
#define LENGTHS (sizeof lengths / sizeof *lengths)

static void both_ways(void)
{
  static uint8_t buffer[70000];
  for (unsigned i = 0; i < LENGTHS; i++) {
    fzr_channel_data_header(buffer, 0x4000, (uint16_t)lengths[i]);
    payload(i, lengths[i], buffer + 4);
    send_to(s.client_fd, &s.listen, buffer,
            4 + lengths[i] + (i % 3 && lengths[i] < 60000 ? 3 : 0)); /* padding of any size */
  }
  serve(&s.host, s.udp, s.relay.now);
  for (unsigned i = 0; i < LENGTHS; i++)
    expect_payload(s.peer_fd, i, lengths[i], false);
  for (unsigned i = 0; i < LENGTHS; i++) {
    payload(i, lengths[i], buffer);
    send_to(s.peer_fd, &s.relayed, buffer, lengths[i]);
  }
  serve(&s.host, s.udp, s.relay.now);
  for (unsigned i = 0; i < LENGTHS; i++)
    expect_payload(s.client_fd, i, lengths[i], true);
  expect_nothing(s.peer_fd);
  expect_nothing(s.client_fd);
}

START_TEST(test_single_datagrams)
{
  start(_i & 1, _i & 2, _i & 4);
  s.host.singly = _i & 8;
  both_ways();
  const fzr_udp_stats stats = udp_stats();
  ck_assert_uint_eq(stats.send_errors, 0);
  ck_assert_uint_eq(stats.queue_dropped, 0);
  ck_assert_uint_eq(stats.sockets, 3);
  if (_i & 2)
    ck_assert(!stats.gso && !stats.gro);
  stop();
}
END_TEST

static void runs(uint16_t len, unsigned n, uint16_t tail)
{
  static uint8_t buffer[70000];
  for (unsigned i = 0; i < n; i++) {
    const uint16_t this_len = i + 1 == n ? tail : len;
    fzr_channel_data_header(buffer + i * (len + 4u), 0x4000, this_len);
    payload(i, this_len, buffer + i * (len + 4u) + 4);
  }
  send_run(s.client_fd, &s.listen, buffer, (uint16_t)(len + 4), n, (uint16_t)(tail + 4));
  serve(&s.host, s.udp, s.relay.now);
  for (unsigned i = 0; i < n; i++)
    expect_payload(s.peer_fd, i, i + 1 == n ? tail : len, false);
  for (unsigned i = 0; i < n; i++)
    payload(i, i + 1 == n ? tail : len, buffer + (size_t)i * len);
  if (tail) {
    send_run(s.peer_fd, &s.relayed, buffer, len, n, tail);
  } else { /* GSO has no empty tail */
    send_run(s.peer_fd, &s.relayed, buffer, len, n - 1, len);
    send_to(s.peer_fd, &s.relayed, buffer, 0);
  }
  serve(&s.host, s.udp, s.relay.now);
  for (unsigned i = 0; i < n; i++)
    expect_payload(s.client_fd, i, i + 1 == n ? tail : len, true);
  expect_nothing(s.client_fd);
  expect_nothing(s.peer_fd);
}

START_TEST(test_runs)
{
  start(_i & 1, _i & 2, _i & 4);
  runs(100, 64, 100);
  runs(1200, 40, 7);
  runs(1200, 50, 1200);
  runs(1, 64, 1);
  runs(1000, 2, 999);
  runs(500, 5, 0); /* an empty one at the end, which is no part of a GSO message */
  /* Peer to client this grows past the largest datagram with its headers, so it has to be split. */
  runs(1279, 51, 1200);
  const fzr_udp_stats stats = udp_stats();
  if (stats.gso)
    ck_assert_uint_lt(stats.send_calls, 60);
  ck_assert_uint_eq(stats.send_errors, 0);
  stop();
}
END_TEST

/* Runs that follow each other are one, as far as a message goes: 4 of 50 and 3 alone, with a short tail in the middle. */
static void several_runs(uint16_t len, uint16_t tail)
{
  static uint8_t buffer[70000];
  static uint16_t want[203];
  unsigned sent = 0;
  for (unsigned up = 0; up < 2; up++, sent = 0) {
    const size_t header = up ? 4 : 0;
    for (unsigned k = 0; k < 4; k++) {
      for (unsigned i = 0; i < 50; i++, sent++) {
        want[sent] = k == 1 && i == 49 ? tail : len;
        if (up)
          fzr_channel_data_header(buffer + i * (len + header), 0x4000, want[sent]);
        payload(sent, want[sent], buffer + i * (len + header) + header);
      }
      send_run(up ? s.client_fd : s.peer_fd, up ? &s.listen : &s.relayed, buffer, (uint16_t)(len + header),
               50, (uint16_t)(want[sent - 1] + header));
    }
    for (unsigned i = 0; i < 3; i++, sent++) {
      want[sent] = len;
      if (up)
        fzr_channel_data_header(buffer, 0x4000, len);
      payload(sent, len, buffer + header);
      send_to(up ? s.client_fd : s.peer_fd, up ? &s.listen : &s.relayed, buffer, len + header);
    }
    serve(&s.host, s.udp, s.relay.now);
    for (unsigned i = 0; i < sent; i++)
      expect_payload(up ? s.peer_fd : s.client_fd, i, want[i], !up);
  }
  expect_nothing(s.client_fd);
  expect_nothing(s.peer_fd);
}

START_TEST(test_runs_are_joined_and_split)
{
  start(_i & 1, _i & 2, false);
  several_runs(100, 33);
  if (udp_stats().gso)
    ck_assert_uint_eq(most_segments, 64);
  several_runs(1200, 1);
  several_runs(1, 1);
  ck_assert_uint_eq(udp_stats().send_errors, 0);
  ck_assert_uint_eq(udp_stats().queue_dropped, 0);
  stop();
}
END_TEST

/* One socket may not keep the others waiting: it is read up to the budget, and then it is their turn. */
START_TEST(test_budget)
{
  enum { BUDGET = 40, SENT = 150, RUN = 50 };
  static uint8_t buffer[RUN * 104];
  budget = BUDGET;
  start(false, false, false);
  budget = 0;
  for (unsigned i = 0; i < SENT; i++) {
    fzr_channel_data_header(buffer, 0x4000, 100);
    payload(i, 100, buffer + 4);
    send_to(s.client_fd, &s.listen, buffer, 104);
  }
  for (unsigned done = 0; done < SENT; done += BUDGET) {
    const uint64_t before = udp_stats().received;
    fzr_udp_on_ready(s.udp, s.host.tokens[0], FZR_WATCH_READ, s.relay.now);
    ck_assert_uint_eq(udp_stats().received - before, SENT - done < BUDGET ? SENT - done : BUDGET);
    /* All that was read has gone out: nothing waits for more. */
    for (unsigned i = done; i < done + BUDGET && i < SENT; i++)
      expect_payload(s.peer_fd, i, 100, false);
    expect_nothing(s.peer_fd);
  }
  /* A run counts as many as it is: the batch that has the first one reaches the budget. */
  for (unsigned k = 0; k < 64; k++) {
    for (unsigned i = 0; i < RUN; i++)
      fzr_channel_data_header(buffer + i * 104, 0x4000, 100);
    send_run(s.client_fd, &s.listen, buffer, 104, RUN, 104);
  }
  const uint64_t before = udp_stats().received;
  fzr_udp_on_ready(s.udp, s.host.tokens[0], FZR_WATCH_READ, s.relay.now);
  ck_assert_uint_ge(udp_stats().received - before, BUDGET);
  ck_assert_uint_le(udp_stats().received - before, 32 * RUN);
  serve(&s.host, s.udp, s.relay.now);
  stop();
}
END_TEST

START_TEST(test_datagrams_of_one_batch_leave_as_one_run)
{
  uint8_t buffer[104];
  start(false, false, false);
  const uint64_t before = udp_stats().send_calls;
  for (unsigned i = 0; i < 20; i++) {
    fzr_channel_data_header(buffer, 0x4000, 100);
    payload(i, 100, buffer + 4);
    send_to(s.client_fd, &s.listen, buffer, sizeof buffer);
  }
  serve(&s.host, s.udp, s.relay.now);
  for (unsigned i = 0; i < 20; i++)
    expect_payload(s.peer_fd, i, 100, false);
  ck_assert_uint_eq(udp_stats().send_calls - before, 1);
  stop();
}
END_TEST

/* Sends 30 numbered datagrams from the client, of lengths that make several runs. */
static const uint16_t mixed[] = {50, 50, 50, 20, 60, 60, 10, 10, 10, 0, 0, 80, 80, 80, 80, 3};

static void send_mixed(unsigned from)
{
  uint8_t buffer[128];
  for (unsigned i = 0; i < 16; i++) {
    fzr_channel_data_header(buffer, 0x4000, mixed[i]);
    payload(from + i, mixed[i], buffer + 4);
    send_to(s.client_fd, &s.listen, buffer, 4u + mixed[i]);
  }
  serve(&s.host, s.udp, s.relay.now);
}

static void expect_mixed(unsigned from)
{
  for (unsigned i = 0; i < 16; i++)
    expect_payload(s.peer_fd, from + i, mixed[i], false);
  expect_nothing(s.peer_fd);
}

START_TEST(test_partial_sends)
{
  start(false, false, false);
  SCRIPT(1, 2, -EINTR, 1, -EAGAIN);
  send_mixed(0);
  expect_mixed(0);
  ck_assert_uint_eq(udp_stats().queued_packets, 0);
  ck_assert_uint_eq(udp_stats().queued_bytes, 0);
  SCRIPT(-EAGAIN, -EAGAIN, 0, -EAGAIN, -EINTR);
  send_mixed(100);
  expect_mixed(100);
  stop();
}
END_TEST

START_TEST(test_gso_refused)
{
  static const int errors[] = {EINVAL, EIO, EOPNOTSUPP, EMSGSIZE};
  start(false, false, false);
  SCRIPT(-errors[_i]);
  send_mixed(0);
  expect_mixed(0);
  ck_assert_uint_eq(udp_stats().send_errors, 0);
  /* It was this peer's path: GSO is on for all others. */
  ck_assert(udp_stats().gso);
  ck_assert_uint_eq(udp_stats().gso_refused, 1);
  SCRIPT(2, -EAGAIN); /* and blocked in the midst of what is sent singly from now on */
  send_mixed(50);
  expect_mixed(50);
  stop();
}
END_TEST

START_TEST(test_errors_are_counted_and_go_on)
{
  uint8_t buffer[16];
  start(false, false, false);
  SCRIPT(-EPERM);
  fzr_channel_data_header(buffer, 0x4000, 4);
  payload(0, 4, buffer + 4);
  send_to(s.client_fd, &s.listen, buffer, 8);
  serve(&s.host, s.udp, s.relay.now);
  expect_nothing(s.peer_fd);
  ck_assert_uint_eq(udp_stats().send_errors, 1);
  send_mixed(0);
  expect_mixed(0);
  stop();
}
END_TEST

static void send_one(unsigned i)
{
  uint8_t buffer[64];
  fzr_channel_data_header(buffer, 0x4000, 40);
  payload(i, 40, buffer + 4);
  send_to(s.client_fd, &s.listen, buffer, 44);
  serve(&s.host, s.udp, s.relay.now);
}

/* It goes another way than several do: the same holds for it. */
START_TEST(test_a_datagram_alone)
{
  start(_i & 1, false, _i & 2);
  SCRIPT(-EINTR, -EINTR, 0, -EAGAIN, -EAGAIN, 0, -EPERM);
  send_one(0);
  send_one(1);
  send_one(2);
  send_one(3);
  expect_payload(s.peer_fd, 0, 40, false);
  expect_payload(s.peer_fd, 1, 40, false);
  expect_payload(s.peer_fd, 3, 40, false);
  expect_nothing(s.peer_fd);
  ck_assert_uint_eq(script_at, script_len);
  ck_assert_uint_eq(udp_stats().send_errors, 1);
  ck_assert_uint_eq(udp_stats().queued_packets, 0);
  stop();
}
END_TEST

static int relay_fd(void)
{
  return s.host.fds[2]; /* after the two listen sockets */
}

START_TEST(test_blocked_relay_socket_queues_in_order)
{
  start(false, false, false);
  blocked_fd = relay_fd();
  send_mixed(0);
  send_mixed(16);
  expect_nothing(s.peer_fd);
  ck_assert_uint_eq(udp_stats().queued_packets, 32);
  ck_assert_uint_gt(udp_stats().queued_bytes, 0);
  /* The client still gets answers, and what its peer sends. */
  fzr_stun_msg msg;
  ck_assert_int_eq(ask(FZR_STUN_REFRESH, NULL, &msg), 0);
  uint8_t buffer[16];
  send_to(s.peer_fd, &s.relayed, buffer, payload(7, 10, buffer));
  serve(&s.host, s.udp, s.relay.now);
  expect_payload(s.client_fd, 7, 10, true);
  blocked_fd = -1;
  serve(&s.host, s.udp, s.relay.now);
  for (unsigned from = 0; from < 32; from += 16)
    for (unsigned i = 0; i < 16; i++)
      expect_payload(s.peer_fd, from + i, mixed[i], false);
  ck_assert_uint_eq(udp_stats().queued_packets, 0);
  ck_assert_uint_eq(udp_stats().queue_dropped, 0);
  stop();
}
END_TEST

START_TEST(test_blocked_listen_socket_pauses_its_sources)
{
  uint8_t buffer[64];
  start(false, false, false);
  blocked_fd = s.host.fds[0];
  for (unsigned i = 0; i < 3; i++) {
    send_to(s.peer_fd, &s.relayed, buffer, payload(i, 40, buffer));
    serve(&s.host, s.udp, s.relay.now);
  }
  /* The first one is queued; the source is not read any more, so the others wait in the kernel. */
  ck_assert_uint_eq(udp_stats().queued_packets, 1);
  ck_assert_uint_eq(s.host.events[2], 0);
  blocked_fd = -1;
  serve(&s.host, s.udp, s.relay.now);
  ck_assert_uint_eq(s.host.events[2], FZR_WATCH_READ);
  for (unsigned i = 0; i < 3; i++)
    expect_payload(s.client_fd, i, 40, true);
  stop();
}
END_TEST

/* A second client of the same relay, with a channel to a peer of its own. */
typedef struct other {
  int client_fd, peer_fd;
  fzr_addr peer, relayed;
} other;

static void swap_with(other *o)
{
  const other mine = {s.client_fd, s.peer_fd, s.peer, s.relayed};
  s.client_fd = o->client_fd;
  s.peer_fd = o->peer_fd;
  s.peer = o->peer;
  s.relayed = o->relayed;
  *o = mine;
}

static other add_client(void)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  other o = {.client_fd = open_socket(), .peer_fd = open_socket()};
  o.peer = name_of(o.peer_fd);
  const fzt_client_state first = s.client;
  swap_with(&o);
  fzt_client_init(&s.client, "127.0.0.1:2");
  ck_assert_int_eq(ask(FZR_STUN_ALLOCATE, add_transport, &msg), 401);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(s.client.nonce, nonce.value, nonce.len);
  s.client.nonce_len = nonce.len;
  ck_assert_int_eq(ask(FZR_STUN_ALLOCATE, add_transport, &msg), 0);
  ck_assert_int_eq(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &s.relayed), 0);
  ck_assert_int_eq(ask(FZR_STUN_CHANNEL_BIND, add_binding, &msg), 0);
  swap_with(&o);
  s.client = first;
  return o;
}

START_TEST(test_what_many_sockets_received_leaves_in_one_call)
{
  uint8_t buffer[64];
  start(false, false, false);
  other o = add_client();
  send_to(s.peer_fd, &s.relayed, buffer, payload(0, 40, buffer));
  send_to(o.peer_fd, &o.relayed, buffer, payload(1, 50, buffer));
  const uint64_t calls = udp_stats().send_calls;
  serve(&s.host, s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().send_calls, calls + 1);
  expect_payload(s.client_fd, 0, 40, true);
  expect_payload(o.client_fd, 1, 50, true);
  stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_who_feeds_a_blocked_socket_is_not_read)
{
  uint8_t buffer[64];
  start(false, false, false);
  other o = add_client();
  send_to(o.peer_fd, &o.relayed, buffer, payload(0, 40, buffer));
  serve(&s.host, s.udp, s.relay.now);
  expect_payload(o.client_fd, 0, 40, true);
  blocked_fd = s.host.fds[0];
  send_to(s.peer_fd, &s.relayed, buffer, payload(1, 40, buffer));
  serve(&s.host, s.udp, s.relay.now);
  const uint64_t received = udp_stats().received;
  send_to(o.peer_fd, &o.relayed, buffer, payload(2, 40, buffer));
  serve(&s.host, s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().received, received);
  ck_assert_uint_eq(udp_stats().queued_packets, 1);
  blocked_fd = -1;
  serve(&s.host, s.udp, s.relay.now);
  expect_payload(s.client_fd, 1, 40, true);
  expect_payload(o.client_fd, 2, 40, true);
  stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

/* What waits for a blocked socket when a batch of sockets is read pauses who sent it, and not who is read last. */
START_TEST(test_the_other_family_goes_on)
{
  uint8_t buffer[64];
  start(false, false, false);
  const fzr_addr listen4 = s.listen;
  s.listen = fzt_addr("::1");
  s.listen.port = listen4.port;
  s.ipv6 = true;
  other o = add_client();
  s.ipv6 = false;
  s.listen = listen4;
  blocked_fd = s.host.fds[0];
  send_to(s.peer_fd, &s.relayed, buffer, payload(0, 40, buffer));
  for (unsigned i = 0; i < 40; i++)
    send_to(o.peer_fd, &o.relayed, buffer, payload(i, 40, buffer));
  serve(&s.host, s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().queued_packets, 1);
  for (unsigned i = 0; i < 40; i++)
    expect_payload(o.client_fd, i, 40, true);
  blocked_fd = -1;
  serve(&s.host, s.udp, s.relay.now);
  expect_payload(s.client_fd, 0, 40, true);
  stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_queue_bound)
{
  static uint8_t buffer[1204];
  unsigned got = 0;
  start(false, false, false);
  blocked_fd = relay_fd();
  for (unsigned i = 0; i < 2000; i++) { /* 2.4 MB against the bound of 1 MiB */
    fzr_channel_data_header(buffer, 0x4000, 1200);
    payload(i, 1200, buffer + 4);
    send_to(s.client_fd, &s.listen, buffer, sizeof buffer);
    if (i % 16 == 15)
      serve(&s.host, s.udp, s.relay.now);
  }
  const fzr_udp_stats full = udp_stats();
  ck_assert_uint_le(full.queued_bytes, 1 << 20);
  ck_assert_uint_eq(full.queued_packets + full.queue_dropped, 2000);
  blocked_fd = -1;
  for (unsigned i = 0; i < full.queued_packets; i++) {
    if (i % 16 == 0)
      serve(&s.host, s.udp, s.relay.now);
    expect_payload(s.peer_fd, i, 1200, false);
    got++;
  }
  ck_assert_uint_eq(got, full.queued_packets);
  stop();
}
END_TEST

/* Datagrams without a byte take memory, too. */
START_TEST(test_queue_bound_of_empty_datagrams)
{
  uint8_t buffer[4];
  start(false, false, false);
  blocked_fd = relay_fd();
  fzr_channel_data_header(buffer, 0x4000, 0);
  for (unsigned i = 0; i < 20480; i++) {
    send_to(s.client_fd, &s.listen, buffer, sizeof buffer);
    if (i % 256 == 255)
      serve(&s.host, s.udp, s.relay.now);
  }
  const fzr_udp_stats full = udp_stats();
  ck_assert_uint_gt(full.queue_dropped, 0);
  ck_assert_uint_lt(full.queued_packets, (1 << 20) / 64);
  ck_assert_uint_eq(full.queued_packets + full.queue_dropped, 20480);
  stop();
}
END_TEST

/* Sends a run of |n| to a client; returns how many system calls it took to relay it. */
static uint64_t relay_run(int from, const fzr_addr *to, unsigned n)
{
  static const uint8_t buffer[64 * 500];
  const uint64_t calls = udp_stats().send_calls;
  send_run(from, to, buffer, 500, n, 500);
  serve(&s.host, s.udp, s.relay.now);
  return udp_stats().send_calls - calls;
}

/* A path that takes no runs is one client's: another one's still leave as runs, and so do the first one's after a while. */
START_TEST(test_gso_refused_to_one_of_two)
{
  start(false, false, false);
  own_host = "127.0.0.2";
  other o = add_client();
  SCRIPT(-EMSGSIZE);
  relay_run(s.peer_fd, &s.relayed, 2);
  ck_assert_uint_eq(udp_stats().gso_refused, 1);
  const uint64_t sent = udp_stats().sent;
  ck_assert_uint_eq(relay_run(o.peer_fd, &o.relayed, 64), 1);
  ck_assert_uint_eq(udp_stats().sent, sent + 64);
  ck_assert_uint_gt(relay_run(s.peer_fd, &s.relayed, 64), 1); /* 64 messages do not fit one sendmmsg */
  for (unsigned i = 0; i < 10000 / 64; i++)
    relay_run(s.peer_fd, &s.relayed, 64);
  ck_assert_uint_eq(relay_run(s.peer_fd, &s.relayed, 64), 1);
  ck_assert_uint_eq(udp_stats().gso_refused, 1);
  stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_deleting_an_allocation_closes_its_socket)
{
  fzr_stun_msg msg;
  start(false, false, false);
  ck_assert_uint_eq(udp_stats().sockets, 3);
  s.relay.now += 601 * FZR_SECOND;
  fzr_udp_on_deadline(s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().sockets, 2);
  /* A token of a closed socket is harmless. */
  fzr_udp_on_ready(s.udp, s.host.tokens[2], FZR_WATCH_READ | FZR_WATCH_WRITE, s.relay.now);
  ck_assert_int_eq(ask(FZR_STUN_REFRESH, NULL, &msg), 437);
  stop();
}
END_TEST

/* What waits for a socket that is closed is gone with it, whatever it waited for. */
START_TEST(test_deleting_an_allocation_that_is_blocked)
{
  start(false, false, false);
  blocked_fd = relay_fd();
  send_mixed(0);
  ck_assert_uint_eq(udp_stats().queued_packets, 16);
  s.relay.now += 601 * FZR_SECOND;
  fzr_udp_on_deadline(s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().sockets, 2);
  ck_assert_uint_eq(udp_stats().queued_packets, 0);
  ck_assert_uint_eq(udp_stats().queued_bytes, 0);
  blocked_fd = -1;
  serve(&s.host, s.udp, s.relay.now);
  expect_nothing(s.peer_fd);
  stop();
}
END_TEST

START_TEST(test_deleting_an_allocation_that_is_paused)
{
  uint8_t buffer[64];
  start(false, false, false);
  other o = add_client();
  blocked_fd = s.host.fds[0];
  send_to(s.peer_fd, &s.relayed, buffer, payload(0, 40, buffer));
  serve(&s.host, s.udp, s.relay.now);
  send_to(o.peer_fd, &o.relayed, buffer, payload(1, 40, buffer));
  serve(&s.host, s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().queued_packets, 2);
  /* Both sources wait now, with something to read. */
  send_to(s.peer_fd, &s.relayed, buffer, payload(2, 40, buffer));
  send_to(o.peer_fd, &o.relayed, buffer, payload(3, 40, buffer));
  serve(&s.host, s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().queued_packets, 2);
  s.relay.now += 601 * FZR_SECOND;
  fzr_udp_on_deadline(s.udp, s.relay.now);
  ck_assert_uint_eq(udp_stats().sockets, 2);
  /* What was taken over before goes out; nobody is read on behalf of those that are gone. */
  blocked_fd = -1;
  serve(&s.host, s.udp, s.relay.now);
  expect_payload(s.client_fd, 0, 40, true);
  expect_payload(o.client_fd, 1, 40, true);
  expect_nothing(s.client_fd);
  expect_nothing(o.client_fd);
  stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_errors_while_the_queue_is_flushed)
{
  uint8_t byte[2000];
  unsigned got = 0;
  start(false, _i == 1, false);
  blocked_fd = relay_fd();
  send_mixed(0);
  send_mixed(16);
  ck_assert_uint_eq(udp_stats().queued_packets, 32);
  const fzr_udp_stats before = udp_stats();
  blocked_fd = -1;
  SCRIPT(-ECONNREFUSED, 0, -EINTR, -EPERM, 0, -EIO, -ENETUNREACH, 0, 0, -EAGAIN, -ENOBUFS);
  serve(&s.host, s.udp, s.relay.now);
  while (recv(s.peer_fd, byte, sizeof byte, 0) >= 0)
    got++;
  const fzr_udp_stats after = udp_stats();
  ck_assert_uint_eq(after.queued_packets, 0);
  ck_assert_uint_eq(after.queued_bytes, 0);
  ck_assert_uint_gt(after.send_errors, before.send_errors);
  ck_assert_uint_eq(got + after.send_errors - before.send_errors, 32);
  ck_assert_uint_eq(after.sent - before.sent, got);
  /* Nothing has stopped. */
  send_mixed(0);
  for (unsigned i = 0; i < 16; i++)
    expect_payload(s.peer_fd, i, mixed[i], false);
  stop();
}
END_TEST

START_TEST(test_host_that_can_watch_no_more)
{
  fzr_stun_msg msg;
  start(false, false, false);
  s.relay.now += 601 * FZR_SECOND;
  fzr_udp_on_deadline(s.udp, s.relay.now);
  s.host.refuse = true;
  ck_assert_int_eq(ask(FZR_STUN_ALLOCATE, add_transport, &msg), 508);
  ck_assert_uint_eq(udp_stats().sockets, 2);
  s.host.refuse = false;
  ck_assert_int_eq(ask(FZR_STUN_ALLOCATE, add_transport, &msg), 0);
  ck_assert_uint_eq(udp_stats().sockets, 3);
  stop();
}
END_TEST

/* The port belongs to whoever has it first, also if he would share it. */
START_TEST(test_a_taken_port_is_refused)
{
  host h = {.count = 0};
  fzr_udp *first, *second = NULL, *joined;
  int sys_errno = 0;
  fzr_udp_config c = {
      .size = sizeof c, .watch = watch, .unwatch = unwatch, .watch_ctx = &h, .reuse_port = true};
  c.bind_ip4 = fzt_addr("127.0.0.1");
  c.bind_ip6 = fzt_addr("::1");
  ck_assert_int_eq(fzr_udp_new(&c, &first, NULL), 0);
  c.listen_port = fzr_udp_listen_port(first);
  ck_assert_int_eq(fzr_udp_new(&c, &second, &sys_errno), FZR_ERR_IO_IN_USE);
  ck_assert_int_eq(sys_errno, EADDRINUSE);
  ck_assert_ptr_null(second);
  c.group = first;
  ck_assert_int_eq(fzr_udp_new(&c, &joined, NULL), 0);
  ck_assert_uint_eq(fzr_udp_listen_port(joined), fzr_udp_listen_port(first));
  c.group = NULL;
  ck_assert_int_eq(fzr_udp_new(&c, &second, NULL), FZR_ERR_IO_IN_USE);
  /* Each is written by a thread of its own. */
  ck_assert_uint_eq((uintptr_t)first % 64, 0);
  ck_assert_uint_eq((uintptr_t)joined % 64, 0);
  fzr_udp_free(joined);
  fzr_udp_free(first);
}
END_TEST

START_TEST(test_config)
{
  host h = {.count = 0};
  fzr_udp *udp;
  fzr_udp_config c = {.size = sizeof c, .watch = watch, .unwatch = unwatch, .watch_ctx = &h};
  ck_assert_int_eq(fzr_udp_new(&c, &udp, NULL), FZR_ERR_CONFIG_ADDRESS);
  c.bind_ip4 = fzt_addr("::1");
  ck_assert_int_eq(fzr_udp_new(&c, &udp, NULL), FZR_ERR_CONFIG_ADDRESS);
  c.bind_ip4 = fzt_addr("127.0.0.1");
  c.watch = NULL;
  ck_assert_int_eq(fzr_udp_new(&c, &udp, NULL), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_new(NULL, &udp, NULL), FZR_ERR_INVALID_ARGUMENT);
  c.watch = watch;
  c.bind_ip4 = fzt_addr("203.0.113.1"); /* not an address of this host */
  int sys_errno = 0;
  ck_assert_int_eq(fzr_udp_new(&c, &udp, &sys_errno), FZR_ERR_IO);
  ck_assert_int_eq(sys_errno, EADDRNOTAVAIL);
  fzt_mem mem;
  fzt_mem_init(&mem);
  c.bind_ip4 = fzt_addr("127.0.0.1");
  c.mem = &mem.hooks;
  int error = FZR_ERR_NO_MEMORY;
  for (uint64_t n = 1; error; n++) {
    mem.count = 0;
    mem.fail_from = n;
    error = fzr_udp_new(&c, &udp, NULL);
    ck_assert(error == 0 || error == FZR_ERR_NO_MEMORY);
    if (error)
      ck_assert_uint_eq(mem.live, 0);
  }
  fzr_udp_free(udp);
  ck_assert_uint_eq(mem.live, 0);
  fzr_udp_free(NULL);
  ck_assert_uint_eq(fzr_udp_listen_port(NULL), 0);
  ck_assert_uint_eq(fzr_udp_deadline(NULL), FZR_TIME_NEVER);
  ck_assert_int_eq(fzr_udp_attach(NULL, NULL), FZR_ERR_INVALID_ARGUMENT);
  fzr_udp_on_ready(NULL, NULL, 0, 0);
  fzr_udp_on_deadline(NULL, 0);
  fzr_udp_set_channel_hook(NULL, NULL, NULL);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp");
  TCase *tc = tcase_create("udp");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, test_single_datagrams, 0, 16);
  tcase_add_loop_test(tc, test_runs, 0, 8);
  tcase_add_loop_test(tc, test_runs_are_joined_and_split, 0, 4);
  tcase_add_test(tc, test_budget);
  tcase_add_test(tc, test_datagrams_of_one_batch_leave_as_one_run);
  tcase_add_test(tc, test_partial_sends);
  tcase_add_loop_test(tc, test_gso_refused, 0, 4);
  tcase_add_test(tc, test_errors_are_counted_and_go_on);
  tcase_add_loop_test(tc, test_a_datagram_alone, 0, 4);
  tcase_add_test(tc, test_blocked_relay_socket_queues_in_order);
  tcase_add_test(tc, test_blocked_listen_socket_pauses_its_sources);
  tcase_add_test(tc, test_what_many_sockets_received_leaves_in_one_call);
  tcase_add_test(tc, test_who_feeds_a_blocked_socket_is_not_read);
  tcase_add_test(tc, test_the_other_family_goes_on);
  tcase_add_test(tc, test_queue_bound);
  tcase_add_test(tc, test_queue_bound_of_empty_datagrams);
  tcase_add_test(tc, test_gso_refused_to_one_of_two);
  tcase_add_test(tc, test_deleting_an_allocation_closes_its_socket);
  tcase_add_test(tc, test_deleting_an_allocation_that_is_blocked);
  tcase_add_test(tc, test_deleting_an_allocation_that_is_paused);
  tcase_add_loop_test(tc, test_errors_while_the_queue_is_flushed, 0, 2);
  tcase_add_test(tc, test_host_that_can_watch_no_more);
  tcase_add_test(tc, test_a_taken_port_is_refused);
  tcase_add_test(tc, test_config);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
