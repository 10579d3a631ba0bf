/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_rig.h"

#include "firezone_relay/socket.h"

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

static int script[64]; /* see rig_script */
static unsigned script_len, script_at;
int rig_blocked_fd = -1; /* this socket is full */

static int next_step(void)
{
  return script_at < script_len ? script[script_at++] : 0;
}

unsigned rig_most_segments; /* of a message so far */
int (*rig_direct)(void *ctx, const fzr_addr *at, bool begins);

/* No message may be more than what every kernel takes: 64 segments, and the bytes of the largest datagram. */
static void check_message(const struct msghdr *msg)
{
  size_t bytes = 0;
  uint16_t seg = 0;
  for (size_t i = 0; i < msg->msg_iovlen; i++)
    bytes += msg->msg_iov[i].iov_len;
  ck_assert_uint_le(bytes, 65507);
  ck_assert_uint_le(msg->msg_iovlen, 192); /* header, payload and what is behind it */
  struct msghdr copy = *msg;
  for (struct cmsghdr *c = msg->msg_controllen ? CMSG_FIRSTHDR(&copy) : NULL; c; c = CMSG_NXTHDR(&copy, c))
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
      memcpy(&seg, CMSG_DATA(c), sizeof seg);
  const unsigned segments = seg ? (unsigned)((bytes + seg - 1) / seg) : 1;
  ck_assert_uint_le(segments, 64);
  if (segments > rig_most_segments)
    rig_most_segments = segments;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
  for (unsigned i = 0; i < n; i++)
    check_message(&msgs[i].msg_hdr);
  const int step = fd == rig_blocked_fd ? -EAGAIN : next_step();
  if (step < 0) {
    errno = -step;
    return -1;
  }
  return __real_sendmmsg(fd, msgs, step && (unsigned)step < n ? (unsigned)step : n, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
  check_message(msg);
  const int step = fd == rig_blocked_fd ? -EAGAIN : next_step();
  if (step < 0) {
    errno = -step;
    return -1;
  }
  return __real_sendmsg(fd, msg, flags);
}

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len)
{
  const int step = fd == rig_blocked_fd ? -EAGAIN : next_step();
  if (step < 0) {
    errno = -step;
    return -1;
  }
  return __real_sendto(fd, data, len, flags, to, to_len);
}

void rig_script(const int *steps, unsigned n)
{
  memcpy(script, steps, n * sizeof *steps);
  script_len = n;
  script_at = 0;
}

unsigned rig_script_left(void)
{
  return script_len - script_at;
}

/* ---- the host ---- */

static bool is_netlink(int fd)
{
  int domain = 0;
  socklen_t len = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK;
}

int rig_watch(void *ctx, int fd, unsigned events, void *token, void **slot)
{
  rig_host *h = ctx;
  if (!*slot && h->refuse)
    return FZR_ERR_IO_NO_SOCKET;
  if (*slot && h->refuse_changes) {
    h->refused++;
    return FZR_ERR_IO;
  }
  if (is_netlink(fd)) {
    h->addrs_fd = fd;
    h->addrs_token = token;
    *slot = &h->addrs_fd;
    return 0;
  }
  if (!*slot) {
    ck_assert_uint_lt(h->count, RIG_WATCHED);
    *slot = (void *)(uintptr_t)++h->count;
  }
  const unsigned i = (unsigned)(uintptr_t)*slot - 1;
  h->fds[i] = fd;
  h->events[i] = events;
  h->tokens[i] = token;
  return 0;
}

void rig_unwatch(void *ctx, int fd, void *slot)
{
  rig_host *h = ctx;
  if (slot == &h->addrs_fd) {
    ck_assert_int_eq(h->addrs_fd, fd);
    h->addrs_fd = 0;
    return;
  }
  ck_assert_int_eq(h->fds[(uintptr_t)slot - 1], fd);
  h->fds[(uintptr_t)slot - 1] = -1;
}

void rig_serve(rig_host *h, fzr_udp *udp, fzr_time now)
{
  for (unsigned idle = 0; idle < 2;) {
    struct pollfd fds[RIG_WATCHED + 1];
    for (unsigned i = 0; i < h->count; i++)
      fds[i] = (struct pollfd){
          h->fds[i],
          (short)((h->events[i] & FZR_WATCH_READ ? POLLIN : 0) |
                  (h->events[i] & FZR_WATCH_WRITE && h->fds[i] != rig_blocked_fd ? POLLOUT : 0)),
          0};
    fds[h->count] = (struct pollfd){h->addrs_fd ? h->addrs_fd : -1, POLLIN, 0};
    const int n = poll(fds, h->count + 1, 5);
    idle = n ? 0 : idle + 1;
    fzr_udp_ready ready[RIG_WATCHED + 1];
    size_t count = 0;
    if (n > 0 && fds[h->count].revents)
      ready[count++] = (fzr_udp_ready){h->addrs_token, FZR_WATCH_READ, 0};
    for (unsigned i = 0; n > 0 && i < h->count; i++)
      if (fds[i].revents && h->fds[i] >= 0)
        ready[count++] = (fzr_udp_ready){h->tokens[i],
                                         (fds[i].revents & ~POLLOUT ? FZR_WATCH_READ : 0) |
                                             (fds[i].revents & POLLOUT ? FZR_WATCH_WRITE : 0),
                                         0};
    if (h->singly)
      for (size_t i = 0; i < count; i++)
        fzr_udp_on_ready(udp, ready[i].token, ready[i].events, now);
    else
      fzr_udp_on_ready_batch(udp, ready, count, now);
  }
}

udp_rig rig;
const char *rig_own_host = "127.0.0.1"; /* where IPv4 sockets are bound */
uint32_t rig_budget;                    /* of what is started next; 0: the default */
uint8_t rig_relay_mode;                 /* of the next engine */
enum fzr_family rig_only_family;        /* of the next adapter; NONE: both */

static fzr_addr name_of(int fd)
{
  fzr_sockaddr name;
  fzr_addr addr;
  socklen_t len = sizeof name;
  ck_assert_int_eq(getsockname(fd, &name.any, &len), 0);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, len, &addr), 0);
  return addr;
}

static int open_socket(void)
{
  fzr_sockaddr sa;
  const fzr_addr any = fzt_addr(rig.ipv6 ? "::1" : rig_own_host);
  const int fd = socket(rig.ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const int buffer = 4 << 20;
  const socklen_t len = fzr_addr_to_sockaddr(&any, &sa);
  ck_assert_int_ge(fd, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  ck_assert_int_eq(bind(fd, &sa.any, len), 0);
  return fd;
}

void rig_send(int fd, const fzr_addr *to, const void *data, size_t len)
{
  fzr_sockaddr sa;
  const socklen_t sa_len = fzr_addr_to_sockaddr(to, &sa);
  ck_assert_int_eq(__real_sendto(fd, data, len, 0, &sa.any, sa_len), (ssize_t)len);
}

void rig_send_run(int fd, const fzr_addr *to, const uint8_t *data, uint16_t seg, unsigned n, uint16_t tail)
{
  fzr_sockaddr sa;
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof seg)] = {0};
  struct iovec iov = {(void *)(uintptr_t)data, (size_t)(n - 1) * seg + tail};
  struct msghdr msg = {.msg_name = &sa,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
  msg.msg_namelen = fzr_addr_to_sockaddr(to, &sa);
  struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
  c->cmsg_level = IPPROTO_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof seg);
  memcpy(CMSG_DATA(c), &seg, sizeof seg);
  ck_assert_int_eq(__real_sendmsg(fd, &msg, 0), (ssize_t)iov.iov_len);
}

int rig_ask(uint16_t method, void (*add)(fzr_stun_builder *), fzr_stun_msg *msg)
{
  static uint8_t request[512], answer[1500];
  fzr_stun_builder b;
  fzt_begin(&rig.relay, &rig.client, &b, request, sizeof request, method);
  if (add)
    add(&b);
  fzr_stun_add_integrity(&b, rig.client.key, sizeof rig.client.key);
  rig_send(rig.client_fd, &rig.listen, request, (size_t)fzr_stun_build_finish(&b));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  const ssize_t n = recv(rig.client_fd, answer, sizeof answer, 0);
  ck_assert_int_gt(n, 0);
  ck_assert_int_eq(fzr_stun_read(answer, (size_t)n, msg), 0);
  return (int)fzr_stun_error_code(msg);
}

void rig_add_transport(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, rig.ipv6 ? 2u << 24 : 1u << 24);
}

static void add_binding(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_CHANNEL_NUMBER, 0x4000u << 16);
  fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, &rig.peer);
}

/* The client at |addr| gets an allocation, and a channel to the peer. */
static void allocate_and_bind(const char *addr)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  fzt_client_init(&rig.client, addr);
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 401);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(rig.client.nonce, nonce.value, nonce.len);
  rig.client.nonce_len = nonce.len;
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 0);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &rig.relayed));
  ck_assert_int_eq(rig_ask(FZR_STUN_CHANNEL_BIND, add_binding, &msg), 0);
}

void rig_start(bool ipv6, bool no_gso, bool wildcard)
{
  memset(&rig, 0, sizeof rig);
  script_len = script_at = 0;
  rig_blocked_fd = -1;
  rig_own_host = "127.0.0.1";
  rig.ipv6 = ipv6;
  fzr_config config = fzt_config(&rig.relay);
  config.public_ip4 = fzt_addr("127.0.0.1");
  config.public_ip6 = fzt_addr("::1");
  config.relay_mode = rig_relay_mode;
  rig_most_segments = 0;
  config.lowest_port = (uint16_t)(20000 + getpid() % 100 * 100);
  config.highest_port = (uint16_t)(config.lowest_port + 99);
  fzr_udp_config udp = {.size = sizeof udp,
                        .watch = rig_watch,
                        .unwatch = rig_unwatch,
                        .watch_ctx = &rig.host,
                        .disable_gso = no_gso,
                        .direct = rig_direct,
                        .budget = rig_budget};
  udp.bind_ip4 = fzt_addr(wildcard ? "0.0.0.0" : "127.0.0.1");
  udp.bind_ip6 = fzt_addr(wildcard ? "::" : "::1");
  if (rig_only_family == FZR_FAMILY_IPV4)
    memset(&udp.bind_ip6, 0, sizeof udp.bind_ip6);
  if (rig_only_family == FZR_FAMILY_IPV6)
    memset(&udp.bind_ip4, 0, sizeof udp.bind_ip4);
  ck_assert_int_eq(fzr_udp_new(&udp, &rig.udp, NULL), 0);
  fzt_relay_init(&rig.relay, &config);
  ck_assert_int_eq(fzr_udp_attach(rig.udp, rig.relay.engine), 0);
  ck_assert_int_eq(fzr_udp_attach(rig.udp, rig.relay.engine), FZR_ERR_INVALID_STATE);
  rig.client_fd = open_socket();
  rig.peer_fd = open_socket();
  rig.listen = fzt_addr(ipv6 ? "::1" : "127.0.0.1");
  rig.listen.port = fzr_udp_listen_port(rig.udp);
  rig.peer = name_of(rig.peer_fd);
  allocate_and_bind("127.0.0.1:1");
}

void rig_stop(void)
{
  fzr_udp_free(rig.udp);
  fzt_relay_free(&rig.relay);
  close(rig.client_fd);
  close(rig.peer_fd);
}

fzr_udp_stats rig_stats(void)
{
  fzr_udp_stats stats;
  ck_assert_int_eq(fzr_udp_get_stats(rig.udp, &stats), 0);
  return stats;
}

size_t rig_payload(unsigned i, size_t len, uint8_t *out)
{
  for (size_t k = 0; k < len; k++)
    out[k] = (uint8_t)(i * 131 + k * 7 + (k >> 8));
  return len;
}

void rig_expect(int fd, unsigned i, size_t len, bool with_header)
{
  static uint8_t got[70000], want[70000];
  const ssize_t n = recv(fd, got, sizeof got, 0);
  size_t at = 0;
  ck_assert_msg(n >= 0, "payload %u of %zu did not arrive", i, len);
  if (with_header) {
    fzr_channel_data_header(want, 0x4000, (uint16_t)len);
    at = 4;
  }
  rig_payload(i, len, want + at);
  ck_assert_uint_eq((size_t)n, at + len);
  ck_assert_mem_eq(got, want, at + len);
}

void rig_expect_nothing(int fd)
{
  uint8_t byte;
  ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
  ck_assert_int_eq(errno, EAGAIN);
}

fzr_addr rig_client_addr(void)
{
  return name_of(rig.client_fd);
}

int rig_relay_fd(void)
{
  return rig.host.fds[2]; /* after the two listen sockets */
}

const uint16_t rig_mixed[RIG_MIXED] = {50, 50, 50, 20, 60, 60, 10, 10, 10, 0, 0, 80, 80, 80, 80, 3};

void rig_send_mixed(unsigned from)
{
  uint8_t buffer[128];
  for (unsigned i = 0; i < 16; i++) {
    fzr_channel_data_header(buffer, 0x4000, rig_mixed[i]);
    rig_payload(from + i, rig_mixed[i], buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer, 4u + rig_mixed[i]);
  }
  rig_serve(&rig.host, rig.udp, rig.relay.now);
}

void rig_expect_mixed(unsigned from)
{
  for (unsigned i = 0; i < 16; i++)
    rig_expect(rig.peer_fd, from + i, rig_mixed[i], false);
  rig_expect_nothing(rig.peer_fd);
}

static void swap_with(rig_client *o)
{
  const rig_client mine = {rig.client_fd, rig.peer_fd, rig.peer, rig.relayed};
  rig.client_fd = o->client_fd;
  rig.peer_fd = o->peer_fd;
  rig.peer = o->peer;
  rig.relayed = o->relayed;
  *o = mine;
}

rig_client rig_add_client(void)
{
  rig_client o = {.client_fd = open_socket(), .peer_fd = open_socket()};
  o.peer = name_of(o.peer_fd);
  const fzt_client_state first = rig.client;
  swap_with(&o);
  allocate_and_bind("127.0.0.1:2");
  swap_with(&o);
  rig.client = first;
  return o;
}
