/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for a client: in order, whole, and the oldest goes first where there is too much. */
#include "stream/queue.h"

#include "prng.h"
#include "testing.h"

#include "firezone_relay/stream.h"

static stream_queue queue;
static fzr_time now;

static void set_up(void)
{
  queue = (stream_queue){0};
  now = 1000 * FZR_SECOND;
}

static void tear_down(void)
{
  stream_queue_clear(&queue);
}

/* ChannelData of |len| bytes with |number| in it, in three parts. */
static uint64_t put(uint32_t number, uint16_t len, size_t limit)
{
  uint8_t header[4], payload[2000];
  fzr_channel_data_header(header, 0x4000, len);
  memset(payload, (int)(number & 0xff), sizeof payload);
  memcpy(payload, &number, 4);
  const struct iovec parts[] = {{header, 4}, {payload, 4}, {payload + 4, len - 4u}};
  return stream_queue_put(&queue, parts, 3, limit, now);
}

/* Another queue goes on in the place of this one. */
static void move(void)
{
  stream_mark marks[STREAM_QUEUE_MARKS];
  stream_queue next = {0};
  const uint64_t first = queue.end - stream_queue_len(&queue);
  for (uint32_t i = 0; i < queue.marked; i++)
    marks[i] = (stream_mark){queue.marks[i].time,
                             queue.marks[i].position > first ? queue.marks[i].position - first : 0};
  ck_assert(stream_queue_restore(&next, queue.data + queue.from, stream_queue_len(&queue), queue.begun, marks,
                                 queue.marked));
  stream_queue_clear(&queue);
  queue = next;
}

static uint32_t number_at(const uint8_t *message)
{
  uint32_t number;
  memcpy(&number, message + 4, 4);
  return number;
}

START_TEST(test_order_and_padding)
{
  ck_assert_uint_eq(put(1, 5, 1000), 0);
  ck_assert_uint_eq(put(2, 8, 1000), 0);
  static const uint8_t stun[20] = {0x01, 0x01, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  const struct iovec part = {(void *)(uintptr_t)stun, sizeof stun};
  ck_assert_uint_eq(stream_queue_put(&queue, &part, 1, 1000, now), 0);
  ck_assert_uint_eq(stream_queue_len(&queue), 12 + 12 + 20);
  const uint8_t *at = queue.data + queue.from;
  ck_assert_uint_eq(number_at(at), 1);
  ck_assert_uint_eq(at[9], 0);
  ck_assert_uint_eq(at[11], 0);
  ck_assert_uint_eq(number_at(at + 12), 2);
  ck_assert_mem_eq(at + 24, stun, 20);
  stream_queue_sent(&queue, 44);
  ck_assert_ptr_null(queue.data);
}
END_TEST

START_TEST(test_oldest_goes)
{
  for (uint32_t i = 0; i < 10; i++)
    ck_assert_uint_eq(put(i, 96, 1000), 0); /* 100 bytes each */
  ck_assert_uint_eq(put(10, 96, 1000), 1);
  ck_assert_uint_eq(stream_queue_len(&queue), 1000);
  ck_assert_uint_eq(number_at(queue.data + queue.from), 1);
  ck_assert_uint_eq(put(11, 196, 1000), 2);
  ck_assert_uint_eq(number_at(queue.data + queue.from), 3);
}
END_TEST

/* Half of one has gone out: its rest stays, and the next one goes. */
START_TEST(test_begun_stays)
{
  for (uint32_t i = 0; i < 10; i++)
    put(i, 96, 1000);
  const uint8_t *rest = queue.data + queue.from + 130;
  uint8_t copy[70];
  memcpy(copy, rest, sizeof copy);
  stream_queue_sent(&queue, 130); /* the first, and 30 bytes of the second */
  ck_assert_uint_eq(put(10, 96, 1000), 0);
  ck_assert_uint_eq(put(11, 96, 1000), 1);
  ck_assert_uint_eq(stream_queue_len(&queue), 70 + 900);
  ck_assert_mem_eq(queue.data + queue.from, copy, sizeof copy);
  ck_assert_uint_eq(number_at(queue.data + queue.from + 70), 3);
  stream_queue_sent(&queue, 71);
  ck_assert_uint_eq(put(12, 196, 1000), 1);
  ck_assert_uint_eq(stream_queue_len(&queue), 99 + 700 + 200);
}
END_TEST

/* One that is over the bound by itself waits alone. */
START_TEST(test_larger_than_the_bound)
{
  put(1, 96, 1000);
  ck_assert_uint_eq(put(2, 1996, 1000), 1);
  ck_assert_uint_eq(stream_queue_len(&queue), 2000);
  ck_assert_uint_eq(put(3, 96, 1000), 1);
  ck_assert_uint_eq(stream_queue_len(&queue), 100);
}
END_TEST

static uint64_t put_answer(void)
{
  static const uint8_t stun[20] = {0x01, 0x04, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  const struct iovec part = {(void *)(uintptr_t)stun, sizeof stun};
  return stream_queue_put(&queue, &part, 1, 100000, now);
}

/* Nothing waits for more than a second when there is something newer, whether it came all at once or little by little. */
START_TEST(test_age)
{
  const unsigned each = _i ? 1 : 20; /* ms between one and the next */
  uint64_t dropped = 0;
  for (uint32_t i = 0; i < 5000 / each; i++) {
    dropped += put(i, 96, 1000000);
    const uint32_t first = number_at(queue.data + queue.from);
    ck_assert_uint_eq(first, dropped);
    ck_assert_uint_le((i - first) * each, 1000);
    ck_assert(i * each < 900 || (i - first) * each >= 850);
    now += each * FZR_SECOND / 1000;
  }
  now += FZR_SECOND;
  const size_t waits = stream_queue_len(&queue) / 100;
  ck_assert_uint_eq(put(77, 96, 1000000), waits);
  ck_assert_uint_eq(stream_queue_len(&queue), 100);
  ck_assert_uint_eq(number_at(queue.data + queue.from), 77);
}
END_TEST

/* Nor is there anything to drop for if nothing is newer; and what has begun stays, however old. */
START_TEST(test_age_of_what_has_begun)
{
  for (uint32_t i = 0; i < 10; i++)
    put(i, 96, 1000000);
  stream_queue_sent(&queue, 130);
  now += 5 * FZR_SECOND;
  ck_assert_uint_eq(stream_queue_len(&queue), 870);
  ck_assert_uint_eq(put(10, 96, 1000000), 8);
  ck_assert_uint_eq(stream_queue_len(&queue), 70 + 100);
  ck_assert_uint_eq(number_at(queue.data + queue.from + 70), 10);
}
END_TEST

/* Answers are not dropped for their age, nor for want of room while there is something else; and stay in order. */
START_TEST(test_answers_are_spared)
{
  put_answer();
  put(1, 96, 1000000);
  put_answer();
  put(2, 96, 1000000);
  now += 2 * FZR_SECOND;
  ck_assert_uint_eq(put(3, 96, 1000000), 2);
  ck_assert_uint_eq(stream_queue_len(&queue), 20 + 20 + 100);
  ck_assert_uint_eq(queue.data[queue.from], 1);
  ck_assert_uint_eq(queue.data[queue.from + 20], 1);
  ck_assert_uint_eq(number_at(queue.data + queue.from + 40), 3);
  ck_assert_uint_eq(put(4, 96, 240), 0);
  ck_assert_uint_eq(put(5, 96, 240), 1);
  ck_assert_uint_eq(queue.data[queue.from + 20], 1);
  ck_assert_uint_eq(number_at(queue.data + queue.from + 40), 4);
  /* Who asks all the time gets no more room by that. */
  uint64_t dropped = 0;
  for (unsigned i = 0; i < 10000; i++)
    dropped += put_answer();
  ck_assert_uint_gt(dropped, 4900);
  ck_assert_uint_le(stream_queue_len(&queue), 100000);
}
END_TEST

START_TEST(test_late)
{
  put(1, 96, 1000000);
  ck_assert(!stream_queue_is_late(&queue, now));
  now += FZR_SECOND / 5;
  ck_assert(!stream_queue_is_late(&queue, now));
  put(2, 96, 1000000);
  now += FZR_SECOND / 10;
  ck_assert(stream_queue_is_late(&queue, now));
  stream_queue_sent(&queue, 100);
  ck_assert(!stream_queue_is_late(&queue, now));
  stream_queue_sent(&queue, 100);
  now += FZR_SECOND;
  ck_assert(!stream_queue_is_late(&queue, now));
}
END_TEST

/* Any mixture, against what a client would read: whole messages with rising numbers; and what is missing was counted. */
START_TEST(test_random)
{
  fzt_prng prng = {fzt_seed("stream queue")};
  for (uint64_t round = 0; round < fzt_rounds(200); round++) {
    static uint8_t read[2000000];
    const size_t limit = 2048 + (size_t)fzt_below(&prng, 60000);
    uint64_t dropped = 0, got = 0;
    uint32_t number = 0, next = 0;
    size_t end = 0;
    while (number < 1000) {
      if (round & 1)
        now += fzt_below(&prng, FZR_SECOND / 20);
      if (round & 2 && queue.data && !fzt_below(&prng, 10))
        move();
      if (fzt_below(&prng, 3)) {
        dropped += put(number++, (uint16_t)(8 + fzt_below(&prng, 1400)), limit);
        /* One that has begun cannot go. */
        fzt_check(stream_queue_len(&queue) <= (limit > 2900 ? limit : 2900));
        fzt_check(queue.room <= 4 * limit + 32768);
        continue;
      }
      const size_t n = (size_t)fzt_below(&prng, stream_queue_len(&queue) + 1);
      if (!n)
        continue;
      memcpy(read + end, queue.data + queue.from, n);
      end += n;
      stream_queue_sent(&queue, n);
    }
    if (stream_queue_len(&queue)) {
      memcpy(read + end, queue.data + queue.from, stream_queue_len(&queue));
      end += stream_queue_len(&queue);
    }
    stream_queue_clear(&queue);
    for (size_t at = 0; at < end; got++) {
      const size_t len = (size_t)read[at + 2] << 8 | read[at + 3];
      fzt_check(read[at] == 0x40 && number_at(read + at) >= next && at + 4 + len <= end);
      next = number_at(read + at) + 1;
      for (size_t i = 8; i < 4 + len; i++)
        fzt_check(read[at + i] == ((next - 1) & 0xff));
      at += 4 + len + fzr_stream_padding(len);
    }
    fzt_check(got + dropped == number);
    if (dropped)
      fzt_check(next == number); /* the newest is never what goes */
  }
}
END_TEST

/* What can't be in a queue. */
START_TEST(test_no_queue)
{
  static const stream_mark marks[STREAM_QUEUE_MARKS];
  uint8_t bytes[40];
  put(1, 16, 1000);
  put(2, 16, 1000);
  memcpy(bytes, queue.data + queue.from, sizeof bytes);
  stream_queue_clear(&queue);
  for (size_t len = 0; len <= sizeof bytes; len++) {
    const bool whole = len % 20 == 0;
    ck_assert(stream_queue_restore(&queue, bytes, len, 0, marks, 0) == whole);
    stream_queue_clear(&queue);
  }
  for (size_t begun = 0; begun <= sizeof bytes + 1; begun++) {
    const bool can = begun <= sizeof bytes && begun % 20 == 0;
    ck_assert(stream_queue_restore(&queue, bytes, sizeof bytes, begun, marks, 1) == can);
    stream_queue_clear(&queue);
  }
  ck_assert(!stream_queue_restore(&queue, bytes, sizeof bytes, 0, marks, STREAM_QUEUE_MARKS + 1));
  ck_assert(!stream_queue_restore(&queue, bytes, 0, 1, marks, 0));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("queue");
  TCase *tc = tcase_create("queue");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_order_and_padding);
  tcase_add_test(tc, test_oldest_goes);
  tcase_add_test(tc, test_begun_stays);
  tcase_add_test(tc, test_larger_than_the_bound);
  tcase_add_loop_test(tc, test_age, 0, 2);
  tcase_add_test(tc, test_age_of_what_has_begun);
  tcase_add_test(tc, test_answers_are_spared);
  tcase_add_test(tc, test_late);
  tcase_add_test(tc, test_random);
  tcase_add_test(tc, test_no_queue);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
