/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait for a client's stream, one behind the other as they go out. There is a bound, at which the oldest that has not begun to go
 * out is dropped: media would rather lose what is old. Never is a part of one dropped. */
#ifndef STREAM_QUEUE_H
#define STREAM_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

/* All 0 is an empty one, which has no memory. */
typedef struct stream_queue {
  uint8_t *data;
  size_t room;
  size_t from, to; /* what waits */
  size_t
      begun; /* bytes at |from| that have to go out: the rest of a message, or of several, whose beginning has or will */
} stream_queue;

/* Appends the message of |count| |parts|, padded as a stream wants it. More than |limit| bytes wait only if
 * that is one message, and the rest of another one that has begun to go out. Returns how many
 * messages were dropped for it; itself, too, if there is no memory. */
uint64_t stream_queue_put(stream_queue *q, const struct iovec *parts, size_t count, size_t limit);

/* Bytes that wait, from queue->data + queue->from on. */
static inline size_t stream_queue_len(const stream_queue *q)
{
  return q->to - q->from;
}

/* The first |n| bytes have gone out. With the last one the memory is given back. */
void stream_queue_sent(stream_queue *q, size_t n);

/* A write of the first |n| bytes has begun, and will be repeated until it is done: none of the messages that they are of is dropped. */
void stream_queue_hold(stream_queue *q, size_t n);

/* Forgets all. */
void stream_queue_clear(stream_queue *q);

#endif
