/* SPDX-License-Identifier: Apache-2.0 */
/* A stream in pieces. The input begins with the limit and a byte that says how it is cut; the rest is what the client sends. The pieces lie in
 * memory of just their size, and are overwritten when they are done: what is handed out must not point there later. */
#include "fuzz.h"

#include "firezone_relay/stream.h"

#define ROOM 4

static uint32_t sum_of(const fzr_pkt *pkt)
{
  uint32_t sum = pkt->len;
  for (uint32_t i = 0; i < pkt->len; i++)
    sum = sum * 31 + pkt->data[i];
  return sum;
}

/* Adds all messages of one piece to *|sum|. Returns whether the stream is over. */
static bool read_piece(fzr_stream *s, const uint8_t *data, size_t len, uint32_t *sum)
{
  fzr_pkt pkts[ROOM];
  uint8_t *piece = fuzz_exact(data, len);
  fzr_stream_batch b = {.data = piece, .len = len, .out = pkts, .room = ROOM};
  while (b.len) {
    const size_t before = b.len;
    FUZZ_CHECK(fzr_stream_read(s, &b) == 0);
    FUZZ_CHECK(b.len < before && b.written <= ROOM);
    for (size_t i = 0; i < b.written; i++)
      *sum = *sum * 33 + sum_of(&pkts[i]);
  }
  free(piece);
  return b.reason != FZR_DROP_NONE;
}

/* Returns the sum of all messages, with pieces of |step| bytes; *|held| becomes what is left of one that is not whole. */
static uint32_t read_all(const uint8_t *data, size_t size, uint32_t limit, size_t step, size_t *held)
{
  const fzr_addr addr = {.family = FZR_FAMILY_IPV4, .port = 1, .transport = FZR_TRANSPORT_TCP};
  fzr_stream *s;
  bool ended = false;
  uint32_t sum = 0;
  FUZZ_CHECK(fzr_stream_new(&addr, &addr, NULL, &s) == 0);
  fzr_stream_set_limit(s, limit);
  for (size_t at = 0; at < size && !ended; at += step)
    ended = read_piece(s, data + at, step < size - at ? step : size - at, &sum);
  *held = ended ? 0 : fzr_stream_held(s, NULL);
  fzr_stream_free(s);
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  size_t held, held_again;
  const uint32_t limit = fuzz_u16(&in);
  const size_t step = 1u + fuzz_byte(&in);
  const uint32_t sum = read_all(in.data, in.size, limit, step, &held);
  FUZZ_CHECK(read_all(in.data, in.size, limit, 1, &held_again) == sum && held == held_again);
  fuzz_sink = sum;
  return 0;
}
