/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of TLS. What is read of the socket at once may be many records, and what is written is one for all messages that there
 * are. */
#include "log/log.h"
#include "stream/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* The first byte of a record is one of these (RFC 8446 section 5.1, RFC 6520 section 3). */
#define FIRST_TYPE 20
#define LAST_TYPE  24

static ssize_t on_send(void *ctx, const uint8_t *data, size_t len)
{
  const stream_connection *c = ctx;
  const ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
  if (n >= 0)
    return n;
  return errno == EAGAIN || errno == EINTR ? NET_TLS_WANT_WRITE : NET_TLS_FAILED;
}

/* Gives of what was read of the socket: mbedTLS would read the head of each record by itself. */
static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  const stream_connection *c = ctx;
  streams *s = c->owner;
  const size_t left = s->cipher_to - s->cipher_from, n = left < cap ? left : cap;
  if (!n)
    return NET_TLS_WANT_READ;
  memcpy(out, s->cipher + s->cipher_from, n);
  s->cipher_from += n;
  return (ssize_t)n;
}

/* Where its ciphertext goes and comes from. */
static net_tls_io io_of(stream_connection *c)
{
  return (net_tls_io){c, on_send, on_recv};
}

bool stream_load_secure(stream_connection *c, const uint8_t *data, size_t len, size_t *begun)
{
  const net_tls_io io = io_of(c);
  c->tls = net_tls_load(&io, data, len, begun);
  c->established = c->tls != NULL;
  return c->established;
}

/* Its state takes 40 KiB: who says nothing does not get it. Returns false without memory. */
static bool begin(stream_connection *c)
{
  const net_tls_io io = io_of(c);
  if (!c->tls)
    c->tls = net_tls_accept(c->owner->identity, &io);
  return c->tls != NULL;
}

/* Strangers can have as many fail as they like: one a minute is told of, the others for who asks for them. */
static void tell_failed(const stream_connection *c, const char *error, fzr_time now)
{
  streams *s = c->owner;
  const log_field fields[] = {{"client", LOG_ADDR, {.addr = &c->client}}, {"error", LOG_STR, {.str = error}}};
  const bool may_tell = stream_may_tell(&s->told_handshake, now);
  log_write(may_tell ? FZR_LOG_INFO : FZR_LOG_DEBUG, "relay", "A TLS handshake failed", fields, 2);
}

/* Returns whether the connection goes on. */
static bool shake_hands(stream_connection *c, fzr_time now, enum stream_end *why)
{
  const streams *s = c->owner;
  const int result = net_tls_handshake(c->tls);
  c->established = result == 0;
  if (result == 0 || result == NET_TLS_WANT_READ)
    return true;
  /* What has been read would be lost if it had to wait for the socket. No client sends that early. */
  if (result == NET_TLS_WANT_WRITE && s->cipher_from == s->cipher_to)
    return stream_block(c, now);
  tell_failed(c, net_tls_error(c->tls), now);
  *why = STREAM_END_HANDSHAKE;
  return false;
}

/* Relays all that is in the records that have come. */
static bool read_records(stream_connection *c, fzr_time now, enum stream_end *why)
{
  streams *s = c->owner;
  for (;;) {
    size_t len = 0;
    ssize_t n = 1;
    while (len < sizeof s->in && (n = net_tls_read(c->tls, s->in + len, sizeof s->in - len)) > 0)
      len += (size_t)n;
    if (len && !stream_relay(c, s->in, len, now, why))
      return false;
    *why = n == 0 ? STREAM_END_CLIENT : STREAM_END_ERROR;
    c->failed = n == NET_TLS_FAILED;
    if (n == 0 || c->failed)
      return false;
    /* What has been read would be lost if it had to wait for the socket, which takes no alert. */
    if (n < 0)
      return n == NET_TLS_WANT_READ;
  }
}

bool stream_go_on_secure(stream_connection *c, fzr_time now, enum stream_end *why)
{
  if (!c->established && !shake_hands(c, now, why))
    return false;
  return !c->established || read_records(c, now, why);
}

bool stream_read_secure(stream_connection *c, fzr_time now, enum stream_end *why)
{
  streams *s = c->owner;
  const ssize_t n = recv(c->fd, s->cipher, sizeof s->cipher, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return true;
  *why = n < 0 ? STREAM_END_ERROR : c->established ? STREAM_END_CLIENT : STREAM_END_HANDSHAKE;
  if (n <= 0)
    return false;
  if (!c->tls && (s->cipher[0] < FIRST_TYPE || s->cipher[0] > LAST_TYPE)) {
    tell_failed(c, "that is no TLS", now);
    return false;
  }
  if (!begin(c)) {
    *why = STREAM_END_MEMORY;
    return false;
  }
  s->cipher_from = 0;
  s->cipher_to = (size_t)n;
  const bool goes_on = stream_go_on_secure(c, now, why);
  s->cipher_from = s->cipher_to = 0;
  return goes_on;
}

ssize_t stream_write_secure(stream_connection *c, size_t most)
{
  stream_queue *q = &c->queue;
  const size_t waits = stream_queue_len(q), cap = most < NET_TLS_RECORD ? most : NET_TLS_RECORD,
               len = waits < cap ? waits : cap;
  const ssize_t n = net_tls_write(c->tls, q->data + q->from, len);
  /* The record is made: it has to go out as it is. */
  if (n == NET_TLS_WANT_WRITE)
    stream_queue_hold(q, len);
  return n == NET_TLS_WANT_READ ? NET_TLS_FAILED : n;
}
