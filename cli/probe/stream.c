/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include "firezone_relay/socket.h"
#include "firezone_relay/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/tcp.h>

#define OUT_MAX      16384u
#define MOST_AT_ONCE 64
#define PACKETS      8u
/* The most that a relay has to say at once; more is none of what was asked for. */
#define MESSAGE_MAX 4096u

enum state { STATE_CONNECTING, STATE_SHAKING, STATE_OPEN, STATE_FAILED };

struct probe_stream {
  enum state state;
  fzr_addr to;
  int fd;
  const probe_tls_config *tls_config;
  net_tls *tls;
  net_tls_memory memory;
  bool retried, wants_write;
  bool ended;          /* no more bytes will come */
  size_t bytes_left;   /* that may be read before others have their turn, and the time is looked at */
  unsigned reads_left; /* likewise: mbedTLS goes on by itself as long as records come that say nothing */
  fzr_stream *framing;
  uint8_t out[OUT_MAX];
  size_t out_len;
  enum probe_failure why;
  char text[NET_TLS_ERROR_MAX];
};

static void fail(probe_stream *s, enum probe_failure why, const char *text)
{
  if (s->state == STATE_FAILED)
    return;
  s->state = STATE_FAILED;
  s->why = why;
  snprintf(s->text, sizeof s->text, "%s", text);
}

static void fail_by(probe_stream *s, int error)
{
  fail(s,
       error == ECONNREFUSED                           ? PROBE_FAILURE_REFUSED
       : error == EHOSTUNREACH || error == ENETUNREACH ? PROBE_FAILURE_UNREACHABLE
       : error == ECONNRESET || error == EPIPE         ? PROBE_FAILURE_ENDED
                                                       : PROBE_FAILURE_OWN,
       strerror(error));
}

/* ---- ciphertext ---- */

static ssize_t on_send(void *ctx, const uint8_t *data, size_t len)
{
  const probe_stream *s = ctx;
  const ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL);
  return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? NET_TLS_WANT_WRITE : NET_TLS_FAILED;
}

static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  probe_stream *s = ctx;
  if (!s->bytes_left || !s->reads_left)
    return NET_TLS_WANT_READ;
  const ssize_t n = recv(s->fd, out, cap < s->bytes_left ? cap : s->bytes_left, 0);
  s->reads_left--;
  s->bytes_left -= n > 0 ? (size_t)n : 0;
  s->ended |= n == 0 || (n < 0 && errno == ECONNRESET);
  return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? NET_TLS_WANT_READ : NET_TLS_FAILED;
}

/* ---- beginning ---- */

static void start(probe_stream *s)
{
  const int on = 1;
  fzr_sockaddr sa;
  const socklen_t len = fzr_addr_to_sockaddr(&s->to, &sa);
  s->state = STATE_CONNECTING;
  s->ended = false;
  s->fd = socket(sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (s->fd < 0) {
    fail_by(s, errno);
    return;
  }
  setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(s->fd, &sa.any, len) && errno != EINPROGRESS)
    fail_by(s, errno);
}

probe_stream *probe_stream_new(const fzr_addr *to, const probe_tls_config *tls)
{
  probe_stream *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  s->to = *to;
  s->tls_config = tls;
  s->fd = -1;
  if (fzr_stream_new(to, to, NULL, &s->framing)) {
    free(s);
    return NULL;
  }
  fzr_stream_set_limit(s->framing, MESSAGE_MAX);
  start(s);
  return s;
}

void probe_stream_end(probe_stream *s)
{
  if (s->tls && s->state == STATE_OPEN)
    net_tls_close(s->tls);
  s->state = STATE_FAILED;
}

void probe_stream_free(probe_stream *s)
{
  if (!s)
    return;
  probe_stream_end(s);
  net_tls_free(s->tls);
  if (s->fd >= 0)
    close(s->fd);
  fzr_stream_free(s->framing);
  free(s);
}

static void begin_tls(probe_stream *s)
{
  const probe_tls_config *c = s->tls_config;
  const net_tls_io io = {s, on_send, on_recv};
  s->tls = net_tls_new(c->host, c->host_is_ip, c->trust, &s->memory, &io);
  if (!s->tls) {
    fail(s, PROBE_FAILURE_OWN, "out of memory");
    return;
  }
  if (c->insecure)
    net_tls_accept_any(s->tls);
  s->state = STATE_SHAKING;
}

static void on_connected(probe_stream *s)
{
  int error = 0;
  socklen_t len = sizeof error;
  if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len))
    error = errno;
  if (error)
    fail_by(s, error);
  else if (s->tls_config)
    begin_tls(s);
  else
    s->state = STATE_OPEN;
}

/* Once more, with what the first try has taught (see net_tls_memory). */
static void retry(probe_stream *s)
{
  s->retried = true;
  net_tls_free(s->tls);
  s->tls = NULL;
  close(s->fd);
  start(s);
}

static void shake(probe_stream *s)
{
  const int result = net_tls_handshake(s->tls);
  s->wants_write = result == NET_TLS_WANT_WRITE;
  if (result == 0)
    s->state = STATE_OPEN;
  else if (result == NET_TLS_FAILED && s->memory.only_12 && !s->retried)
    retry(s);
  else if (result == NET_TLS_FAILED)
    fail(s, s->ended ? PROBE_FAILURE_CUT : PROBE_FAILURE_TLS,
         *net_tls_error(s->tls) ? net_tls_error(s->tls)
                                : "TLS: the connection was reset within the handshake");
}

/* ---- bytes ---- */

static ssize_t read_some(probe_stream *s, uint8_t *out, size_t cap)
{
  return s->tls ? net_tls_read(s->tls, out, cap) : on_recv(s, out, cap);
}

static void flush(probe_stream *s)
{
  while (s->state == STATE_OPEN && s->out_len) {
    const ssize_t n = s->tls ? net_tls_write(s->tls, s->out, s->out_len) : on_send(s, s->out, s->out_len);
    if (n == NET_TLS_FAILED)
      fail(s, PROBE_FAILURE_ENDED, "the connection is lost");
    if (n <= 0)
      break;
    s->out_len -= (size_t)n;
    memmove(s->out, s->out + n, s->out_len);
  }
  s->wants_write = s->out_len > 0;
}

void probe_stream_send(probe_stream *s, const uint8_t *data, size_t len)
{
  const size_t padding = fzr_stream_padding(len);
  if (s->state != STATE_OPEN || len + padding > OUT_MAX - s->out_len)
    return;
  memcpy(s->out + s->out_len, data, len);
  memset(s->out + s->out_len + len, 0, padding);
  s->out_len += len + padding;
  flush(s);
}

static void frame(probe_stream *s, const uint8_t *data, size_t len, probe_got *got, void *ctx)
{
  fzr_pkt packets[PACKETS];
  fzr_stream_batch b = {.data = data, .len = len, .out = packets, .room = PACKETS};
  while (b.len && s->state == STATE_OPEN) {
    if (fzr_stream_read(s->framing, &b)) {
      fail(s, PROBE_FAILURE_OWN, "out of memory");
      return;
    }
    for (size_t i = 0; i < b.written && s->state == STATE_OPEN; i++)
      got(ctx, &s->to, packets[i].data, packets[i].len);
    if (b.reason != FZR_DROP_NONE)
      fail(s, PROBE_FAILURE_NOT_STUN, "what comes is no STUN");
  }
}

static void read_all(probe_stream *s, probe_got *got, void *ctx)
{
  uint8_t data[4096];
  for (unsigned i = 0; i < MOST_AT_ONCE && s->state == STATE_OPEN; i++) {
    const ssize_t n = read_some(s, data, sizeof data);
    if (n > 0)
      frame(s, data, (size_t)n, got, ctx);
    else if (n == 0 || n == NET_TLS_FAILED)
      fail(s, PROBE_FAILURE_ENDED, "the other end has closed the connection");
    if (n <= 0)
      return;
  }
}

void probe_stream_go_on(probe_stream *s, probe_got *got, void *ctx)
{
  s->bytes_left = PROBE_STREAM_BYTES;
  s->reads_left = PROBE_STREAM_READS;
  if (s->state == STATE_CONNECTING)
    on_connected(s);
  if (s->state == STATE_SHAKING)
    shake(s);
  else if (s->state == STATE_OPEN) {
    flush(s);
    read_all(s, got, ctx);
  }
}

int probe_stream_fd(const probe_stream *s)
{
  return s->fd;
}

short probe_stream_events(const probe_stream *s)
{
  return (short)(s->state == STATE_CONNECTING ? POLLOUT : POLLIN | (s->wants_write ? POLLOUT : 0));
}

bool probe_stream_is_open(const probe_stream *s, fzr_addr *local)
{
  fzr_sockaddr sa;
  socklen_t len = sizeof sa;
  if (s->state != STATE_OPEN)
    return false;
  if (getsockname(s->fd, &sa.any, &len) || fzr_addr_from_sockaddr(&sa.any, len, local))
    *local = (fzr_addr){.family = FZR_FAMILY_NONE};
  return true;
}

const char *probe_stream_failure(const probe_stream *s, enum probe_failure *why)
{
  if (s->state != STATE_FAILED)
    return NULL;
  *why = s->why;
  return s->text;
}
