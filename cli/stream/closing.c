/* SPDX-License-Identifier: Apache-2.0 */
/* The last words to a client. What waits for it is written, TLS says that this is the end, and so does TCP; what comes meanwhile is read
 * and thrown away: a socket that is closed with something unread answers by a reset, for which many a client forgets what it has not
 * read yet. */
#include "stream/internal.h"

#include <errno.h>
#include <sys/socket.h>

/* So long a client has for taking them. */
#define PATIENCE (2 * FZR_SECOND)

/* Whether the client could have use for them. */
static bool has_last_words(const stream_connection *c, enum stream_end why)
{
  switch (why) {
  case STREAM_END_CLIENT: /* who has said all that it has to say may still wait for the answers */
  case STREAM_END_IDLE:
  case STREAM_END_AGE:
    return stream_queue_len(&c->queue) > 0 || c->established;
  case STREAM_END_ERROR:
    return c->failed;
  case STREAM_END_NO_MESSAGE:
  case STREAM_END_TOO_LONG:
  case STREAM_END_HANDSHAKE: /* an alert */
    return true;
  default:
    return false;
  }
}

/* Returns whether there is something left to wait for. */
static bool go_on(stream_connection *c, fzr_time now)
{
  if (!stream_write(c, now))
    return false;
  if (stream_queue_len(&c->queue))
    return true;
  if (!c->shut) {
    if (c->established && !c->failed)
      net_tls_close(c->tls);
    c->shut = true;
    shutdown(c->fd, SHUT_WR);
  }
  return !c->over;
}

bool stream_begin_closing(stream_connection *c, enum stream_end why, fzr_time now)
{
  if (!has_last_words(c, why))
    return false;
  /* Of those whose time is over nothing more is to be read: they would have said it. */
  c->over = why == STREAM_END_CLIENT || why == STREAM_END_IDLE || why == STREAM_END_AGE;
  if (c->over)
    event_del(c->readable);
  else
    event_add(c->readable, NULL); /* it may have been paused */
  if (c->failed) {
    c->owner->stats[c->kind].queued_bytes -= stream_queue_len(&c->queue);
    stream_queue_clear(&c->queue);
  }
  c->closing_since = now;
  return c->closing = go_on(c, now);
}

void stream_go_on_closing(stream_connection *c, fzr_time now)
{
  if (!go_on(c, now))
    streams_drop(c, STREAM_END_CLIENT, now);
}

void stream_read_closing(stream_connection *c, fzr_time now)
{
  streams *s = c->owner;
  const ssize_t n = recv(c->fd, s->in, sizeof s->in, 0);
  if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
    return;
  c->over = true;
  event_del(c->readable);
  if (n < 0 || c->shut)
    streams_drop(c, STREAM_END_CLIENT, now);
}

bool stream_has_closed(const stream_connection *c, fzr_time now)
{
  return c->closing && now >= c->closing_since + PATIENCE;
}
