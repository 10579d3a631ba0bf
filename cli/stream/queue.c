/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/queue.h"

#include "firezone_relay/stream.h"

#include <stdlib.h>
#include <string.h>

/* What most turns of the loop have for a client fits. */
#define ROOM_MIN 16384u

/* What the message at |data| takes, padding included: all that is in the queue is whole and well-formed. */
static size_t message_at(const uint8_t *data)
{
  const size_t len =
      ((size_t)data[2] << 8 | data[3]) + (data[0] < 0x04 ? FZR_STUN_HEADER_LEN : FZR_CHANNEL_HEADER_LEN);
  return len + fzr_stream_padding(len);
}

/* Takes out the oldest message of which nothing has gone out. Returns 0 if there is none. */
static int drop_oldest(stream_queue *q)
{
  uint8_t *begun = q->data + q->from;
  if (q->from + q->begun == q->to)
    return 0;
  const size_t len = message_at(begun + q->begun);
  memmove(begun + len, begun, q->begun);
  q->from += len;
  return 1;
}

/* Makes room for |len| bytes behind what waits. The buffer is twice as large as what may wait, so that all is moved to its beginning once for each
 * time that as much has gone out. Returns -1 without memory. */
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

uint64_t stream_queue_put(stream_queue *q, const struct iovec *parts, size_t count, size_t limit)
{
  uint64_t dropped = 0;
  size_t len = 0;
  for (size_t i = 0; i < count; i++)
    len += parts[i].iov_len;
  const size_t padding = fzr_stream_padding(len);
  while (stream_queue_len(q) + len + padding > limit && drop_oldest(q))
    dropped++;
  if (reserve(q, len + padding, limit))
    return dropped + 1;
  for (size_t i = 0; i < count; i++) {
    if (parts[i].iov_len)
      memcpy(q->data + q->to, parts[i].iov_base, parts[i].iov_len);
    q->to += parts[i].iov_len;
  }
  memset(q->data + q->to, 0, padding);
  q->to += padding;
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

void stream_queue_clear(stream_queue *q)
{
  free(q->data);
  *q = (stream_queue){0};
}
