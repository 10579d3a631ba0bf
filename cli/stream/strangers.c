/* SPDX-License-Identifier: Apache-2.0 */
/* Connections without an allocation: anybody can have them, so what all of them together cost is bounded, and what each of them may.
 *
 * Where there are too many, the one goes that has been a stranger for longest. A client has its allocation within a second of its
 * coming; who holds connections in order that nobody else gets one has to make as many as there may be each second, where refusing those
 * that come would let him do with making them once. */
#include "log/log.h"
#include "stream/internal.h"

/* A client has said who it is with less; before that, nobody's longer messages are kept. */
#define MESSAGE_LIMIT 4096u
/* Bytes of answers that may wait for one who does not take them: more than those to a client that asks for all that it will need at
 * once. */
#define QUEUE_LIMIT 8192u

void stream_append(stream_connection *c, enum stream_order order)
{
  stream_list *list = &c->owner->lists[order];
  c->links[order] = (stream_links){.before = list->last};
  if (list->last)
    list->last->links[order].after = c;
  else
    list->first = c;
  list->last = c;
  list->count++;
}

void stream_remove(stream_connection *c, enum stream_order order)
{
  stream_list *list = &c->owner->lists[order];
  const stream_links *at = &c->links[order];
  if (at->before)
    at->before->links[order].after = at->after;
  else
    list->first = at->after;
  if (at->after)
    at->after->links[order].before = at->before;
  else
    list->last = at->before;
  list->count--;
}

/* Of those with an allocation, of whom other threads ask. */
static void count(stream_connection *c, bool allocated)
{
  atomic_uint *clients = &c->owner->clients[c->kind];
  if (allocated && !c->allocated)
    atomic_fetch_add(clients, 1);
  else if (!allocated && c->allocated)
    atomic_fetch_sub(clients, 1);
  c->allocated = allocated;
}

void stream_begin_stranger(stream_connection *c, fzr_time now)
{
  count(c, false);
  c->stranger_since = now;
  fzr_stream_set_limit(c->framing, MESSAGE_LIMIT);
  stream_append(c, STREAM_STRANGERS);
}

void stream_look_at(stream_connection *c, fzr_time now)
{
  fzr_allocation found;
  if (c->closing)
    return;
  const bool allocated =
      fzr_engine_find_allocation(fzr_driver_engine(c->owner->config.driver), &c->client, &c->server, &found);
  if (allocated == c->allocated)
    return;
  if (!allocated) {
    stream_begin_stranger(c, now);
    return;
  }
  count(c, true);
  fzr_stream_set_limit(c->framing, 0);
  stream_remove(c, STREAM_STRANGERS);
}

void stream_end_stranger(stream_connection *c)
{
  if (!c->allocated)
    stream_remove(c, STREAM_STRANGERS);
  count(c, false);
}

bool stream_may_wait(stream_connection *c, size_t len, fzr_time now)
{
  if (stream_queue_len(&c->queue) + len <= QUEUE_LIMIT)
    return true;
  /* Its allocation may be as new as what waits. */
  stream_look_at(c, now);
  if (c->allocated)
    return true;
  c->unread = true;
  streams_dirty(c);
  return false;
}

static void tell_crowd(streams *s, const stream_connection *c, fzr_time now)
{
  if (!stream_may_tell(&s->told_crowd, now))
    return;
  const log_field field = {"client", LOG_ADDR, {.addr = &c->client}};
  log_write(
      FZR_LOG_WARN, "relay",
      "Connections without an allocation are closed before their time, the oldest first: there are as many "
      "as --max-connections-without-allocation allows",
      &field, 1);
}

void streams_thin_out(streams *s, fzr_time now)
{
  const stream_list *strangers = &s->lists[STREAM_STRANGERS];
  while (strangers->count > s->config.strangers) {
    stream_connection *c = strangers->first;
    stream_look_at(c, now);
    if (c->allocated)
      continue;
    tell_crowd(s, c, now);
    streams_end(c, STREAM_END_CROWD, now);
  }
}

void streams_end_old_strangers(streams *s, fzr_time now)
{
  stream_connection *c;
  while ((c = s->lists[STREAM_STRANGERS].first) && c->stranger_since + s->config.age <= now) {
    stream_look_at(c, now);
    if (!c->allocated)
      streams_end(c, stream_shakes_hands(c) ? STREAM_END_HANDSHAKE_TIME : STREAM_END_AGE, now);
  }
}
