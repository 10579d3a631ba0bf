/* SPDX-License-Identifier: Apache-2.0 */
/* A bare forwarder: what relaying costs when nothing is looked up, checked or allocated.
 *
 * It moves the same bytes through as many sockets as a TURN relay of one worker does: all clients on one port, one more port per client;
 * off on the way up and on on the way down the four bytes of a ChannelData header or the 36 of a Send or Data indication. Who is who, and
 * which of both a peer's datagrams become, follows from the port number (fzr-bench --floor uses the same ones).
 *
 * Clients may come by TCP, too, to the same port. Which of them one is, its first message says by its channel; it holds nothing, and
 * comes back. From then on what the client's peer sends goes there, all that was read at once in one call. */
#include "floor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define MSGS     32u
#define SLOT     65536u
#define SEGMENTS 64u    /* of a GSO message, at most */
#define GSO_MAX  65507u /* bytes of a GSO message, at most */
#define OUTS     256u
#define IOVS     4096u
#define HEADER   36u   /* of an indication: the longest */
#define CHANNEL  4u    /* of ChannelData */
#define ONE_CALL 1024u /* parts of what is sent to a connection at once */
/* Keys of what is not UDP, for epoll: the socket that connections come by, and a connection, by its place. */
#define KEY_ACCEPT 0x10000u
#define KEY_STREAM 0x20000u

/* What leaves at once: a datagram, or with GSO a run of them. */
typedef struct departure {
  int fd;
  unsigned iovs, segments;
  size_t bytes, size;
  bool closed; /* a shorter segment ends a run */
  struct iovec *iov;
  struct sockaddr_in to;
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
} departure;

/* A client's connection. */
typedef struct connection {
  int fd; /* -1: none */
  bool known;
  uint32_t client; /* if it is known */
  size_t len;      /* of a message that has come in part */
  uint8_t in[2 * SLOT];
} connection;

static struct {
  bool gso, gro;
  int epoll, acceptor;
  connection *connections;        /* one for each client that may be there */
  int streams[FLOOR_MAX_CLIENTS]; /* of each client; -1: it comes by UDP */
  uint16_t base;
  struct in_addr own, remote; /* of the forwarder, and of all clients and peers */
  uint32_t clients;
  int listener;
  int relayed[FLOOR_MAX_CLIENTS];
  uint8_t *slots;
  departure outs[OUTS];
  struct iovec iovs[IOVS];
  uint8_t headers[IOVS][HEADER];
  unsigned n_outs, n_iovs;
} f;

static void put16(uint8_t *at, uint32_t value)
{
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static size_t get16(const uint8_t *at)
{
  return (size_t)at[0] << 8 | at[1];
}

static struct sockaddr_in remote(uint32_t port)
{
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = f.remote};
}

static void set_control(struct msghdr *msg, departure *o)
{
  const uint16_t size = (uint16_t)o->size;
  msg->msg_control = o->control;
  msg->msg_controllen = sizeof o->control;
  struct cmsghdr *c = CMSG_FIRSTHDR(msg);
  c->cmsg_level = IPPROTO_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof size);
  memcpy(CMSG_DATA(c), &size, sizeof size);
}

/* Sends all that waits: what leaves by the same socket one after another goes in one system call. */
static void flush(void)
{
  struct mmsghdr msgs[OUTS];
  memset(msgs, 0, sizeof *msgs * f.n_outs);
  for (unsigned i = 0; i < f.n_outs; i++) {
    departure *o = &f.outs[i];
    struct msghdr *msg = &msgs[i].msg_hdr;
    msg->msg_name = &o->to;
    msg->msg_namelen = sizeof o->to;
    msg->msg_iov = o->iov;
    msg->msg_iovlen = o->iovs;
    if (o->segments > 1)
      set_control(msg, o);
  }
  for (unsigned i = 0, n; i < f.n_outs; i += n) {
    for (n = 1; i + n < f.n_outs && f.outs[i + n].fd == f.outs[i].fd;)
      n++;
    const int sent = sendmmsg(f.outs[i].fd, msgs + i, n, 0);
    if (sent >= 1)
      n = (unsigned)sent;
  }
  f.n_outs = f.n_iovs = 0;
}

/* Queues one payload; |header| goes in front if it has a length. */
static void depart(int fd, const struct sockaddr_in *to, const uint8_t *header, size_t header_len,
                   uint8_t *data, size_t len)
{
  const size_t size = len + header_len;
  departure *o = f.n_outs ? &f.outs[f.n_outs - 1] : NULL;
  const bool joins = f.gso && o && !o->closed && o->fd == fd && o->to.sin_port == to->sin_port &&
                     size <= o->size && o->segments < SEGMENTS && o->bytes + size <= GSO_MAX;
  if (f.n_iovs + 2 > IOVS || (!joins && f.n_outs == OUTS)) {
    flush();
    depart(fd, to, header, header_len, data, len);
    return;
  }
  if (!joins) {
    o = &f.outs[f.n_outs++];
    o->fd = fd;
    o->to = *to;
    o->iov = &f.iovs[f.n_iovs];
    o->iovs = o->segments = 0;
    o->bytes = 0;
    o->size = size;
    o->closed = false;
  }
  if (header_len) {
    memcpy(f.headers[f.n_iovs], header, header_len);
    f.iovs[f.n_iovs] = (struct iovec){f.headers[f.n_iovs], header_len};
    f.n_iovs++;
    o->iovs++;
  }
  f.iovs[f.n_iovs++] = (struct iovec){data, len};
  o->iovs++;
  o->segments++;
  o->bytes += size;
  o->closed = size < o->size;
}

/* Sends the first |n| of the parts to a client's connection, and waits until that has taken them. */
static void send_stream(int fd, unsigned n)
{
  struct iovec *iov = f.iovs;
  while (n) {
    const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n < ONE_CALL ? n : ONE_CALL};
    ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    if (sent < 0)
      break;
    for (; n && (size_t)sent >= iov->iov_len; n--)
      sent -= (ssize_t)iov++->iov_len;
    if (n) {
      iov->iov_base = (uint8_t *)iov->iov_base + sent;
      iov->iov_len -= (size_t)sent;
    }
  }
  f.n_iovs = 0;
}

/* Queues one payload, its |header| and what pads it for a connection. */
static void depart_stream(int fd, const uint8_t *header, size_t header_len, uint8_t *data, size_t len)
{
  static uint8_t zeros[4];
  if (f.n_iovs + 3 > IOVS)
    send_stream(fd, f.n_iovs);
  memcpy(f.headers[f.n_iovs], header, header_len);
  f.iovs[f.n_iovs] = (struct iovec){f.headers[f.n_iovs], header_len};
  f.n_iovs++;
  f.iovs[f.n_iovs++] = (struct iovec){data, len};
  if (len % 4)
    f.iovs[f.n_iovs++] = (struct iovec){zeros, 4 - len % 4};
}

static void up(uint32_t client, uint8_t *data, size_t len)
{
  const bool indication = len >= HEADER && data[0] < 4;
  const size_t header = indication ? HEADER : CHANNEL;
  const struct sockaddr_in to = remote(f.base + (indication ? FLOOR_PERMITTED : FLOOR_PEER) + client);
  if (client >= f.clients || len < header)
    return;
  const size_t size = get16(data + header - 2);
  if (size <= len - header)
    depart(f.relayed[client], &to, NULL, 0, data + header, size);
}

/* A Data indication with |len| bytes, which are a multiple of four, from |peer|. */
static void put_indication(uint8_t *header, const struct sockaddr_in *peer, size_t len)
{
  static const uint8_t begin[8] = {0x00, 0x17, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  static uint32_t transaction;
  memset(header, 0, HEADER);
  memcpy(header, begin, sizeof begin);
  put16(header + 2, (uint32_t)(HEADER - 20 + len));
  transaction++;
  memcpy(header + 16, &transaction, sizeof transaction);
  put16(header + 20, 0x0012);
  put16(header + 22, 8);
  header[25] = 1;
  put16(header + 26, ntohs(peer->sin_port) ^ 0x2112u);
  memcpy(header + 28, &peer->sin_addr, 4);
  for (unsigned i = 0; i < 4; i++)
    header[28 + i] ^= begin[4 + i];
  put16(header + 32, 0x0013);
  put16(header + 34, (uint32_t)len);
}

static void down(uint32_t client, const struct sockaddr_in *peer, uint8_t *data, size_t len)
{
  const struct sockaddr_in to = remote(f.base + FLOOR_CLIENT + client);
  uint8_t header[HEADER];
  if (ntohs(peer->sin_port) >= f.base + FLOOR_PERMITTED && len % 4 == 0) {
    put_indication(header, peer, len);
    depart(f.listener, &to, header, HEADER, data, len);
    return;
  }
  put16(header, 0x4000 + client);
  put16(header + 2, (uint32_t)len);
  if (f.streams[client] >= 0)
    depart_stream(f.streams[client], header, CHANNEL, data, len);
  else
    depart(f.listener, &to, header, CHANNEL, data, len);
}

static size_t run_size(struct msghdr *msg)
{
  struct cmsghdr *c = f.gro ? CMSG_FIRSTHDR(msg) : NULL;
  int size = 0;
  if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
    memcpy(&size, CMSG_DATA(c), sizeof size);
  return (size_t)size;
}

/* Forwards one batch from the listener (0) or from the socket of a client (its number + 1). */
static void forward(uint32_t key)
{
  struct mmsghdr msgs[MSGS] = {0};
  struct iovec iovs[MSGS];
  struct sockaddr_in from[MSGS];
  _Alignas(struct cmsghdr) uint8_t controls[MSGS][CMSG_SPACE(sizeof(int))];
  for (unsigned i = 0; i < MSGS; i++) {
    iovs[i] = (struct iovec){f.slots + (size_t)i * SLOT, SLOT};
    msgs[i].msg_hdr = (struct msghdr){
        .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &iovs[i], .msg_iovlen = 1};
    if (f.gro) {
      msgs[i].msg_hdr.msg_control = controls[i];
      msgs[i].msg_hdr.msg_controllen = sizeof controls[i];
    }
  }
  const int n = recvmmsg(key ? f.relayed[key - 1] : f.listener, msgs, MSGS, MSG_DONTWAIT, NULL);
  for (int i = 0; i < n; i++) {
    const size_t len = msgs[i].msg_len, run = run_size(&msgs[i].msg_hdr), step = run ? run : len;
    const uint32_t client = (uint32_t)ntohs(from[i].sin_port) - f.base - FLOOR_CLIENT;
    for (size_t at = 0; at < len; at += step) {
      const size_t left = len - at < step ? len - at : step;
      if (key)
        down(key - 1, &from[i], (uint8_t *)iovs[i].iov_base + at, left);
      else
        up(client, (uint8_t *)iovs[i].iov_base + at, left);
    }
  }
  if (key && f.streams[key - 1] >= 0)
    send_stream(f.streams[key - 1], f.n_iovs);
  else
    flush();
}

/* ---- connections ---- */

static void fail(void)
{
  perror("fzr-floor");
  exit(EXIT_FAILURE);
}

static void watch(int fd, uint32_t key)
{
  struct epoll_event e = {.events = EPOLLIN, .data = {.u32 = key}};
  if (epoll_ctl(f.epoll, EPOLL_CTL_ADD, fd, &e))
    fail();
}

static void take_connection(void)
{
  const int fd = accept4(f.acceptor, NULL, NULL, SOCK_CLOEXEC), one = 1;
  for (uint32_t i = 0; fd >= 0 && i < f.clients; i++) {
    connection *c = &f.connections[i];
    if (c->fd >= 0)
      continue;
    c->fd = fd;
    c->known = false;
    c->len = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(fd, KEY_STREAM + i);
    return;
  }
  if (fd >= 0)
    close(fd);
}

static void end_connection(connection *c)
{
  if (c->known && f.streams[c->client] == c->fd)
    f.streams[c->client] = -1;
  close(c->fd);
  c->fd = -1;
}

/* The first message of |c|. Returns false if it is none of a client. */
static bool introduce(connection *c, const uint8_t *message)
{
  c->client = (uint32_t)get16(message) - 0x4000;
  c->known = c->client < f.clients;
  if (c->known)
    f.streams[c->client] = c->fd;
  return c->known && send(c->fd, message, CHANNEL, MSG_NOSIGNAL) == CHANNEL;
}

/* Forwards the messages that have come by |c|. */
static void forward_stream(connection *c)
{
  const ssize_t n = recv(c->fd, c->in + c->len, SLOT, MSG_DONTWAIT);
  size_t at = 0;
  if (n <= 0) {
    end_connection(c);
    return;
  }
  c->len += (size_t)n;
  while (c->len - at >= CHANNEL) {
    uint8_t *message = c->in + at;
    const size_t len = get16(message + 2) + (message[0] < 4 ? 20 : CHANNEL), whole = (len + 3) & ~(size_t)3;
    if (c->len - at < whole)
      break;
    if (c->known) {
      up(c->client, message, len);
    } else if (!introduce(c, message)) {
      end_connection(c);
      return;
    }
    at += whole;
  }
  flush();
  memmove(c->in, c->in + at, c->len - at);
  c->len -= at;
}

static void open_acceptor(void)
{
  const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(f.base), .sin_addr = f.own};
  const int one = 1;
  f.acceptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (f.acceptor < 0 || setsockopt(f.acceptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
      bind(f.acceptor, (const struct sockaddr *)&at, sizeof at) || listen(f.acceptor, (int)f.clients))
    fail();
  watch(f.acceptor, KEY_ACCEPT);
}

/* ---- */

static int open_socket(uint32_t key)
{
  const struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)(f.base + key)), .sin_addr = f.own};
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1, buffer = 4 << 20;
  if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) ||
      (f.gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one)) ||
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) ||
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer))
    fail();
  watch(fd, key);
  return fd;
}

static bool take_address(const char *option, const char *text)
{
  struct in_addr *into = strcmp(option, "--address") == 0  ? &f.own
                         : strcmp(option, "--remote") == 0 ? &f.remote
                                                           : NULL;
  return into && inet_pton(AF_INET, text, into) == 1;
}

int main(int argc, char **argv)
{
  long base = 0, clients = 1;
  f.own.s_addr = f.remote.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--gso") == 0)
      f.gso = true;
    else if (strcmp(argv[i], "--gro") == 0)
      f.gro = true;
    else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
      base = strtol(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--clients") == 0 && i + 1 < argc)
      clients = strtol(argv[++i], NULL, 10);
    else if (i + 1 < argc && take_address(argv[i], argv[i + 1]))
      i++;
    else
      base = -1;
  }
  if (base < 1 || base > 60000 || clients < 1 || clients > (long)FLOOR_MAX_CLIENTS) {
    fprintf(stderr,
            "Usage: fzr-floor --port PORT [--clients N] [--gro] [--gso] [--address IP] [--remote IP]\n");
    return 2;
  }
  f.base = (uint16_t)base;
  f.clients = (uint32_t)clients;
  f.slots = malloc((size_t)MSGS * SLOT);
  f.connections = calloc(f.clients, sizeof *f.connections);
  f.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (!f.slots || !f.connections || f.epoll < 0)
    return EXIT_FAILURE;
  open_acceptor();
  f.listener = open_socket(0);
  for (uint32_t i = 0; i < f.clients; i++) {
    f.connections[i].fd = f.streams[i] = -1;
    f.relayed[i] = open_socket(FLOOR_RELAYED + i);
  }
  for (;;) {
    struct epoll_event ready[64];
    const int n = epoll_wait(f.epoll, ready, 64, -1);
    for (int i = 0; i < n; i++) {
      const uint32_t key = ready[i].data.u32;
      if (key >= KEY_STREAM)
        forward_stream(&f.connections[key - KEY_STREAM]);
      else if (key == KEY_ACCEPT)
        take_connection();
      else
        forward(key);
    }
  }
}
