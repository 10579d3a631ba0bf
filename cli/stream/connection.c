/* SPDX-License-Identifier: Apache-2.0 */
/* One client's connection: what comes of it goes through the driver, and what waits for it is written. */
#include "common/clock.h"
#include "stream/internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Packets that are handed to the driver at once. */
#define BATCH 64u
/* Bytes for peers that may wait while more is read of who sends them. */
#define UDP_QUEUE_HIGH 65536u
/* What is written at once to a client that takes less than comes. */
#define LATE 4096

static uint64_t udp_queued(const streams *s)
{
  fzr_udp_stats stats;
  return s->config.udp && !fzr_udp_get_stats(s->config.udp, &stats) ? stats.queued_bytes : 0;
}

static enum stream_end end_of(enum fzr_drop_reason reason)
{
  return reason == FZR_DROP_TOO_LARGE ? STREAM_END_TOO_LONG : STREAM_END_NO_MESSAGE;
}

bool stream_relay(stream_connection *c, const uint8_t *data, size_t len, fzr_time now, enum stream_end *why)
{
  const streams *s = c->owner;
  fzr_pkt pkts[BATCH];
  fzr_stream_batch batch = {.data = data, .len = len, .out = pkts, .room = BATCH};
  while (batch.len) {
    const int error = fzr_stream_read(c->framing, &batch);
    if (batch.written) {
      c->heard = now;
      fzr_driver_rx(s->config.driver, FZR_SIDE_CLIENT, pkts, batch.written, now);
      /* Its Allocate may have been among them. */
      if (!c->allocated)
        stream_look_at(c, now);
    }
    if (error || batch.reason) {
      *why = error ? STREAM_END_MEMORY : end_of(batch.reason);
      return false;
    }
  }
  return true;
}

/* Reads once. Returns whether the connection goes on; *|why| says why not. */
static bool read_plain(stream_connection *c, fzr_time now, enum stream_end *why)
{
  streams *s = c->owner;
  const ssize_t n = recv(c->fd, s->in, sizeof s->in, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return true;
  *why = n < 0 ? STREAM_END_ERROR : STREAM_END_CLIENT;
  return n > 0 && stream_relay(c, s->in, (size_t)n, now, why);
}

void stream_read(stream_connection *c, fzr_time now)
{
  streams *s = c->owner;
  enum stream_end why;
  const uint64_t before = udp_queued(s);
  const bool goes_on = c->kind == STREAM_TLS ? stream_read_secure(c, now, &why) : read_plain(c, now, &why);
  const uint64_t after = udp_queued(s);
  if (!goes_on)
    streams_end(c, why, now);
  else if (after > before && after > UDP_QUEUE_HIGH)
    streams_pause(c, now);
  s->config.settled(s->config.settled_ctx, now);
}

void stream_on_readable(evutil_socket_t fd, short what, void *ctx)
{
  stream_connection *c = ctx;
  const fzr_time now = monotonic_now();
  (void)fd;
  (void)what;
  if (c->closing)
    stream_read_closing(c, now);
  else if (stream_shakes_hands(c))
    stream_stand_in_line(c, now);
  else
    stream_read(c, now);
}

/* Writes |most| bytes at most. Returns how many bytes, or NET_TLS_WANT_WRITE or NET_TLS_FAILED. */
static ssize_t write_plain(const stream_connection *c, size_t most)
{
  const stream_queue *q = &c->queue;
  const size_t waits = stream_queue_len(q), len = waits < most ? waits : most;
  ssize_t n;
  do
    n = send(c->fd, q->data + q->from, len, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0)
    return n;
  return errno == EAGAIN ? NET_TLS_WANT_WRITE : NET_TLS_FAILED;
}

bool stream_block(stream_connection *c, fzr_time now)
{
  c->blocked = event_add(c->writable, NULL) == 0;
  c->blocked_at = now;
  return c->blocked;
}

/* Whether the kernel has enough that it has not sent. It looks by itself only where a segment begins, of which a large one takes 64 KiB. */
static bool has_enough(stream_connection *c, int enough)
{
  int unsent = 0;
  c->unlooked = 0;
  return ioctl(c->fd, SIOCOUTQNSD, &unsent) == 0 && unsent >= enough;
}

bool stream_write(stream_connection *c, fzr_time now)
{
  /* A client that is slow gets little at once, so that what is then too old has not gone into the kernel yet. */
  const bool late = stream_queue_is_late(&c->queue, now);
  while (!c->blocked && stream_queue_len(&c->queue)) {
    const size_t most = late ? LATE : SIZE_MAX;
    const ssize_t n = c->tls ? stream_write_secure(c, most) : write_plain(c, most);
    if (n == NET_TLS_FAILED)
      return false;
    if (n < 0)
      return stream_block(c, now);
    c->owner->stats[c->kind].queued_bytes -= (uint64_t)n;
    stream_queue_sent(&c->queue, (size_t)n);
    c->unlooked += (uint32_t)n;
    if ((late || c->unlooked >= STREAM_UNSENT) && has_enough(c, late ? LATE : STREAM_UNSENT))
      return stream_block(c, now);
  }
  return true;
}

void stream_on_writable(evutil_socket_t fd, short what, void *ctx)
{
  stream_connection *c = ctx;
  streams *s = c->owner;
  enum stream_end why = STREAM_END_ERROR;
  const fzr_time now = monotonic_now();
  (void)fd;
  (void)what;
  c->blocked = false;
  if (c->closing) {
    stream_go_on_closing(c, now);
    return;
  }
  if (stream_shakes_hands(c) ? stream_go_on_secure(c, now, &why) : stream_write(c, now))
    return;
  streams_end(c, why, now);
  s->config.settled(s->config.settled_ctx, now);
}
