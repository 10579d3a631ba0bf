/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait for a client's stream, one behind the other as they go out. There is a bound of bytes, at which the oldest that has
 * not begun to go out is dropped, and one of age: media would rather lose what is old. Never is a part of one dropped. Answers are
 * spared as long as there is something else: on a stream no client asks again (RFC 8489 section 6.2.2), so that a Refresh whose answer
 * is lost has failed. */
#ifndef STREAM_QUEUE_H
#define STREAM_QUEUE_H

#include "firezone_relay/types.h"

#include <sys/uio.h>

/* What has waited for so long is dropped when something newer comes. A stall of a lost segment or two is over before (each takes some
 * 200 ms and a round trip, or twice that), and nobody plays what comes later: conversations bear 0.4 s, buffers of players hold some 0.5
 * s. */
#define STREAM_QUEUE_AGE FZR_SECOND
/* So exactly is that known: what has waited for a grain less may go as well. */
#define STREAM_QUEUE_GRAIN (FZR_SECOND / 8)
#define STREAM_QUEUE_MARKS 10u

/* A grain of time: what was put in from |time| on begins at |position|, in bytes since the queue was empty. */
typedef struct stream_mark {
  fzr_time time;
  uint64_t position;
} stream_mark;

/* All 0 is an empty one, which has no memory. */
typedef struct stream_queue {
  uint8_t *data;
  size_t room;
  size_t from, to; /* what waits */
  size_t
      begun; /* bytes at |from| that have to go out: the rest of a message, or of several, whose beginning has or will */
  uint64_t end; /* the position of |to| */
  uint32_t marked;
  stream_mark marks[STREAM_QUEUE_MARKS]; /* the first |marked| of them, the oldest first */
} stream_queue;

/* Appends the message of |count| |parts|, padded as a stream wants it. More than |limit| bytes wait only if
 * that is one message, and the rest of another one that has begun to go out. Returns how many
 * messages were dropped for it, or for their age; itself, too, if there is no memory. */
uint64_t stream_queue_put(stream_queue *q, const struct iovec *parts, size_t count, size_t limit,
                          fzr_time now);

/* Whether what waits longest has waited for a grain of time and more: the client takes less than comes. */
bool stream_queue_is_late(const stream_queue *q, fzr_time now);

/* Bytes that wait, from queue->data + queue->from on. */
static inline size_t stream_queue_len(const stream_queue *q)
{
  return q->to - q->from;
}

/* The first |n| bytes have gone out. With the last one the memory is given back. */
void stream_queue_sent(stream_queue *q, size_t n);

/* A write of the first |n| bytes has begun, and will be repeated until it is done: none of the messages that they are of is dropped. */
void stream_queue_hold(stream_queue *q, size_t n);

/* Makes |q|, which is empty, one in which the |len| bytes at |data| wait, of which the first |begun| are as q->begun; |marks|, no more
 * than STREAM_QUEUE_MARKS and none of them later than now, have their positions from there. Returns false, with |q| still empty, if that
 * is not what a queue can have, or memory is out. */
bool stream_queue_restore(stream_queue *q, const uint8_t *data, size_t len, size_t begun,
                          const stream_mark *marks, uint32_t marked);

/* Forgets all. */
void stream_queue_clear(stream_queue *q);

#endif
