/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/queue.h"

#include "firezone_relay/stream.h"

#include <stdlib.h>
#include <string.h>

/* What most turns of the loop have for a client fits. */
#define ROOM_MIN 16384u
/* Answers that are looked at in search of something else. */
#define ANSWERS 32u

/* What the message at |data| takes, padding included: all that is in the queue is whole and well-formed. */
static size_t message_at(const uint8_t *data)
{
  const size_t len =
      ((size_t)data[2] << 8 | data[3]) + (data[0] < 0x04 ? FZR_STUN_HEADER_LEN : FZR_CHANNEL_HEADER_LEN);
  return len + fzr_stream_padding(len);
}

/* To a request: STUN's class has the upper bit (RFC 8489 section 5). */
static bool is_answer(const uint8_t *data)
{
  return (data[0] & 0xc1) == 0x01;
}

/* Where the oldest message is of which nothing has gone out, and which is no answer; or |to|. Whoever asks much and reads nothing has
 * many answers here: not all of them are looked at. */
static size_t find_oldest(const stream_queue *q)
{
  size_t at = q->from + q->begun;
  unsigned answers = 0;
  while (at < q->to && is_answer(q->data + at)) {
    if (++answers == ANSWERS)
      return q->to;
    at += message_at(q->data + at);
  }
  return at;
}

/* Takes out the message at |at|. */
static void drop(stream_queue *q, size_t at)
{
  const size_t len = message_at(q->data + at);
  memmove(q->data + q->from + len, q->data + q->from, at - q->from);
  q->from += len;
}

/* Takes out the oldest. Returns false if there is none. */
static bool drop_oldest(stream_queue *q)
{
  size_t at = find_oldest(q);
  if (at == q->to)
    at = q->from + q->begun;
  if (at == q->to)
    return false;
  drop(q, at);
  return true;
}

/* Takes out what is too old. Returns how many. */
static uint64_t drop_aged(stream_queue *q, fzr_time now)
{
  uint64_t dropped = 0;
  uint32_t over = 0;
  while (over < q->marked && now - q->marks[over].time >= STREAM_QUEUE_AGE)
    over++;
  const uint64_t before = over < q->marked ? q->marks[over].position : q->end;
  for (size_t at; over && (at = find_oldest(q)) < q->to && q->end - (q->to - at) < before; dropped++)
    drop(q, at);
  q->marked -= over;
  memmove(q->marks, q->marks + over, q->marked * sizeof *q->marks);
  return dropped;
}

/* A new grain of time may have begun. */
static void mark(stream_queue *q, fzr_time now)
{
  if (!q->marked ||
      (q->marked < STREAM_QUEUE_MARKS && now - q->marks[q->marked - 1].time >= STREAM_QUEUE_GRAIN))
    q->marks[q->marked++] = (stream_mark){now, q->end};
}

bool stream_queue_is_late(const stream_queue *q, fzr_time now)
{
  const uint64_t first = q->end - stream_queue_len(q);
  uint32_t i = q->marked;
  while (i && q->marks[i - 1].position > first)
    i--;
  return i && stream_queue_len(q) && now - q->marks[i - 1].time >= 2 * STREAM_QUEUE_GRAIN;
}

/* Makes room for |len| bytes behind what waits. The buffer is twice as large as what may wait, so that all is moved to its beginning
 * once for each time that as much has gone out. Returns -1 without memory. */
static int reserve(stream_queue *q, size_t len, size_t limit)
{
  const size_t waits = stream_queue_len(q), most = 2 * (limit > len ? limit : len);
  if (q->room - q->to >= len)
    return 0;
  size_t room = q->room ? q->room : ROOM_MIN;
  if (q->room && room < most && q->from < room / 2)
    room *= 2;
  while (room < waits + len)
    room *= 2;
  uint8_t *data = q->data;
  if (room != q->room) {
    data = malloc(room);
    if (!data)
      return -1;
  }
  if (waits)
    memmove(data, q->data + q->from, waits);
  if (data != q->data)
    free(q->data);
  q->data = data;
  q->room = room;
  q->from = 0;
  q->to = waits;
  return 0;
}

uint64_t stream_queue_put(stream_queue *q, const struct iovec *parts, size_t count, size_t limit,
                          fzr_time now)
{
  uint64_t dropped = drop_aged(q, now);
  size_t len = 0;
  for (size_t i = 0; i < count; i++)
    len += parts[i].iov_len;
  const size_t padding = fzr_stream_padding(len);
  while (stream_queue_len(q) + len + padding > limit && drop_oldest(q))
    dropped++;
  if (reserve(q, len + padding, limit))
    return dropped + 1;
  mark(q, now);
  for (size_t i = 0; i < count; i++) {
    if (parts[i].iov_len)
      memcpy(q->data + q->to, parts[i].iov_base, parts[i].iov_len);
    q->to += parts[i].iov_len;
  }
  memset(q->data + q->to, 0, padding);
  q->to += padding;
  q->end += len + padding;
  return dropped;
}

void stream_queue_sent(stream_queue *q, size_t n)
{
  if (n == stream_queue_len(q)) {
    stream_queue_clear(q);
    return;
  }
  while (n) {
    const size_t len = q->begun ? q->begun : message_at(q->data + q->from);
    const size_t done = n < len ? n : len;
    q->from += done;
    q->begun = len - done;
    n -= done;
  }
}

void stream_queue_hold(stream_queue *q, size_t n)
{
  while (q->begun < n)
    q->begun += message_at(q->data + q->from + q->begun);
}

/* Whether the |len| bytes at |data| are messages, from the first to the last. */
static bool are_messages(const uint8_t *data, size_t len)
{
  for (size_t at = 0; at < len; at += message_at(data + at))
    if (len - at < FZR_CHANNEL_HEADER_LEN || message_at(data + at) > len - at)
      return false;
  return true;
}

bool stream_queue_restore(stream_queue *q, const uint8_t *data, size_t len, size_t begun,
                          const stream_mark *marks, uint32_t marked)
{
  size_t room = ROOM_MIN;
  if (!len)
    return !begun;
  if (begun > len || marked > STREAM_QUEUE_MARKS || !are_messages(data + begun, len - begun))
    return false;
  while (room < len)
    room *= 2;
  q->data = malloc(room);
  if (!q->data)
    return false;
  memcpy(q->data, data, len);
  q->room = room;
  q->to = len;
  q->begun = begun;
  q->end = len;
  q->marked = marked;
  memcpy(q->marks, marks, marked * sizeof *marks);
  return true;
}

void stream_queue_clear(stream_queue *q)
{
  free(q->data);
  *q = (stream_queue){0};
}
