/* SPDX-License-Identifier: Apache-2.0 */
/* When TLS handshakes have their turn. A step of one takes milliseconds, so it waits for packets, and hundreds that come at once wait in
 * line: while the loop has nothing else to do they go on one after another, and else they have a share of its time. That share nobody can
 * take from them, however much he sends; a priority alone would, for libevent looks at a lower one only when there is nothing of a higher
 * one.
 *
 * Who waits is not read meanwhile: the kernel would tell of all of them each time. */
#include "common/clock.h"
#include "stream/internal.h"

/* So long steps go on in one turn of the loop: many are no more than a byte. */
#define TURN (200 * FZR_SECOND / 1000000)
/* All else has so many times what a turn took, before there is another. */
#define REST 3u
/* Or so long, where the thread itself had to wait. */
#define MOST_REST (100 * FZR_SECOND / 1000)

static struct timeval to_timeval(fzr_time time)
{
  return (struct timeval){(time_t)(time / FZR_SECOND), (suseconds_t)(time % FZR_SECOND / 1000)};
}

static void await_share(streams *s, fzr_time now)
{
  const struct timeval later = to_timeval(s->rests_until > now ? s->rests_until - now : 0);
  event_add(s->share, &later);
}

/* Has both events come. */
static void await_turn(streams *s, fzr_time now)
{
  const struct timeval at_once = {0};
  event_add(s->spare, &at_once);
  await_share(s, now);
}

static void take_turn(streams *s, fzr_time begin)
{
  fzr_time now = begin;
  stream_connection *c;
  while ((c = s->lists[STREAM_IN_LINE].first) && now - begin < TURN) {
    stream_leave_line(c);
    if (event_add(c->readable, NULL))
      streams_end(c, STREAM_END_MEMORY, now);
    else
      stream_read(c, now);
    now = monotonic_now();
  }
  const fzr_time rest = REST * (now - begin);
  s->rests_until = now + (rest < MOST_REST ? rest : MOST_REST);
  if (c) {
    await_turn(s, now);
  } else {
    event_del(s->spare);
    event_del(s->share);
  }
}

/* The loop had nothing else to do. */
static void on_spare(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  take_turn(ctx, monotonic_now());
}

/* It may be early: the loop's clock is coarse. */
static void on_share(evutil_socket_t fd, short what, void *ctx)
{
  streams *s = ctx;
  const fzr_time now = monotonic_now();
  (void)fd;
  (void)what;
  if (now < s->rests_until)
    await_share(s, now);
  else
    take_turn(s, now);
}

void stream_stand_in_line(stream_connection *c, fzr_time now)
{
  streams *s = c->owner;
  if (c->in_line || event_del(c->readable))
    return;
  c->in_line = true;
  stream_append(c, STREAM_IN_LINE);
  if (s->lists[STREAM_IN_LINE].count == 1)
    await_turn(s, now);
}

void stream_leave_line(stream_connection *c)
{
  if (c->in_line)
    stream_remove(c, STREAM_IN_LINE);
  c->in_line = false;
}

void stream_handshakes_go_on(streams *s, fzr_time now)
{
  if (s->lists[STREAM_IN_LINE].count)
    await_turn(s, now);
}

bool stream_handshakes_begin(streams *s)
{
  s->spare = event_new(s->config.base, -1, 0, on_spare, s);
  s->share = event_new(s->config.base, -1, 0, on_share, s);
  return s->spare && s->share && !event_priority_set(s->spare, STREAM_SLOW_PRIORITY);
}
