/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/socket.h"
#ifdef FZR_BENCH_TLS
#include "wire_tls.h"
#endif

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of 64 messages with what TLS puts around them, and of the largest one. */
#define OUT_MAX    160000u
#define IN_MAX     131072u
#define CIPHER_MAX 32768u
#define PATIENCE   10000 /* ms, for connecting and the handshake */

struct wire {
  int fd;
  bool connected;
  bool broken;
  bool wants_write;
#ifdef FZR_BENCH_TLS
  wire_tls *tls; /* NULL: plain TCP */
#endif
  size_t out_from, out_to, in_from, in_to, cipher_from, cipher_to;
  uint8_t out[OUT_MAX];
  uint8_t in[IN_MAX];
  uint8_t cipher[CIPHER_MAX]; /* as it was read */
};

/* Reads once of the socket. Returns how many bytes, 0 if none are there; at the end, and after an error, the wire is broken. */
static size_t read_socket(wire *w, uint8_t *out, size_t cap)
{
  const ssize_t n = recv(w->fd, out, cap, MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
    w->broken = true;
  return n > 0 ? (size_t)n : 0;
}

bool wire_flush(wire *w)
{
  if (w->out_from < w->out_to) {
    const ssize_t n = send(w->fd, w->out + w->out_from, w->out_to - w->out_from, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
      w->out_from += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
      w->broken = true;
  }
  if (w->out_from < w->out_to)
    return false;
  w->out_from = w->out_to = 0;
  return true;
}

static bool append(wire *w, const uint8_t *data, size_t len)
{
  if (len > OUT_MAX - w->out_to)
    return false;
  memcpy(w->out + w->out_to, data, len);
  w->out_to += len;
  return true;
}

#ifdef FZR_BENCH_TLS

bool wire_has_tls(void)
{
  return true;
}

static int on_send(void *ctx, const unsigned char *data, size_t len)
{
  return append(ctx, data, len) ? (int)len : WIRE_TLS_WAIT;
}

static int on_recv(void *ctx, unsigned char *out, size_t cap)
{
  wire *w = ctx;
  if (w->cipher_from == w->cipher_to) {
    w->cipher_from = 0;
    w->cipher_to = read_socket(w, w->cipher, CIPHER_MAX);
  }
  const size_t left = w->cipher_to - w->cipher_from, n = left < cap ? left : cap;
  if (!n)
    return w->broken ? 0 : WIRE_TLS_WAIT;
  memcpy(out, w->cipher + w->cipher_from, n);
  w->cipher_from += n;
  return (int)n;
}

static bool make_tls(wire *w)
{
  w->tls = wire_tls_new(on_send, on_recv, w);
  return w->tls != NULL;
}

static void free_tls(wire *w)
{
  wire_tls_free(w->tls);
}

static int shake_tls(wire *w)
{
  if (!w->tls)
    return 1;
  const int result = wire_tls_shake(w->tls);
  w->wants_write = !wire_flush(w);
  if (w->broken || (result < 0 && result != WIRE_TLS_WAIT))
    return -1;
  return result == 0 && !w->wants_write;
}

/* Likewise, of what is in records. */
static size_t read_some(wire *w, uint8_t *out, size_t cap)
{
  if (!w->tls)
    return read_socket(w, out, cap);
  const int n = wire_tls_read(w->tls, out, cap);
  if (n == 0 || n == WIRE_TLS_FAILED)
    w->broken = true;
  return n > 0 ? (size_t)n : 0;
}

static bool put(wire *w, const uint8_t *data, size_t len)
{
  return w->tls ? wire_tls_write(w->tls, data, len) == (int)len : append(w, data, len);
}

#else

bool wire_has_tls(void)
{
  return false;
}

static bool make_tls(wire *w)
{
  (void)w;
  errno = EPROTONOSUPPORT;
  return false;
}

static void free_tls(wire *w)
{
  (void)w;
}

static int shake_tls(wire *w)
{
  (void)w;
  return 1;
}

static size_t read_some(wire *w, uint8_t *out, size_t cap)
{
  return read_socket(w, out, cap);
}

static bool put(wire *w, const uint8_t *data, size_t len)
{
  return append(w, data, len);
}

#endif

wire *wire_open(const fzr_addr *server)
{
  const int on = 1;
  fzr_sockaddr name;
  const socklen_t len = fzr_addr_to_sockaddr(server, &name);
  wire *w = malloc(sizeof *w);
  if (!w)
    return NULL;
  memset(w, 0, offsetof(wire, out));
  w->fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (w->fd >= 0 && !setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) &&
      (!connect(w->fd, &name.any, len) || errno == EINPROGRESS) &&
      (server->transport != FZR_TRANSPORT_TLS || make_tls(w))) {
    w->wants_write = true;
    return w;
  }
  const int error = errno;
  wire_close(w);
  errno = error;
  return NULL;
}

void wire_close(wire *w)
{
  if (!w)
    return;
  free_tls(w);
  if (w->fd >= 0)
    close(w->fd);
  free(w);
}

int wire_fd(const wire *w)
{
  return w->fd;
}

bool wire_wants_write(const wire *w)
{
  return w->wants_write;
}

int wire_shake(wire *w)
{
  if (!w->connected) {
    struct pollfd p = {.fd = w->fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    if (poll(&p, 1, 0) < 1)
      return 0;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
      errno = error;
      return -1;
    }
    w->connected = true;
    w->wants_write = false;
  }
  const int done = shake_tls(w);
  if (done < 0)
    errno = EPROTO; /* what it has is of an earlier call */
  return done;
}

int wire_wait(wire *w)
{
  int done;
  while ((done = wire_shake(w)) == 0) {
    struct pollfd p = {.fd = w->fd, .events = w->wants_write ? POLLOUT : POLLIN};
    if (poll(&p, 1, PATIENCE) < 1) {
      errno = w->connected ? EPROTO : ETIMEDOUT;
      return -1;
    }
  }
  return done > 0 ? 0 : -1;
}

bool wire_send(wire *w, const uint8_t *data, size_t len, unsigned n)
{
  uint8_t message[4096] = {0};
  const size_t padded = len + (4 - len % 4) % 4;
  if (!wire_flush(w) || w->broken || padded > sizeof message)
    return false;
  for (unsigned i = 0; i < n; i++) {
    const uint8_t *at = data + i * len;
    if (padded != len) {
      memcpy(message, at, len);
      at = message;
    }
    if (!put(w, at, padded))
      w->broken = true;
  }
  wire_flush(w);
  return true;
}

/* Gives the whole messages to |take|, and keeps the rest. */
static void take_messages(wire *w, void (*take)(void *ctx, const uint8_t *data, uint32_t len), void *ctx)
{
  while (w->in_to - w->in_from >= FZR_CHANNEL_HEADER_LEN) {
    const uint8_t *at = w->in + w->in_from;
    const uint32_t len =
        ((uint32_t)at[2] << 8 | at[3]) + (at[0] < 0x40 ? FZR_STUN_HEADER_LEN : FZR_CHANNEL_HEADER_LEN);
    const size_t padded = len + (4 - len % 4) % 4;
    if (w->in_to - w->in_from < padded)
      break;
    w->in_from += padded;
    take(ctx, at, len);
  }
  memmove(w->in, w->in + w->in_from, w->in_to - w->in_from);
  w->in_to -= w->in_from;
  w->in_from = 0;
}

bool wire_read(wire *w, void (*take)(void *ctx, const uint8_t *data, uint32_t len), void *ctx)
{
  for (;;) {
    const size_t n = read_some(w, w->in + w->in_to, IN_MAX - w->in_to);
    if (!n)
      return !w->broken;
    w->in_to += n;
    take_messages(w, take, ctx);
  }
}
