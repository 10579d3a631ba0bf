/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of messages, cut wherever chance says, gives the same messages: to whoever reads them, and to peers behind a relay. */
#include "firezone_relay/stream.h"

#include "relay.h"

#include <stdio.h>

#define BYTES    200000u
#define MESSAGES 400u
#define ROOM     16u
#define CUTS     150u

static uint8_t bytes[BYTES];

typedef struct message {
  uint32_t at, len;
} message;

static message messages[MESSAGES];
static size_t message_count, byte_count;

static uint32_t some_len(fzt_prng *prng)
{
  switch (fzt_below(prng, 8)) {
  case 0:
    return (uint32_t)fzt_below(prng, 4);
  case 1:
    return (uint32_t)fzt_below(prng, 20000);
  default:
    return (uint32_t)fzt_below(prng, 1500);
  }
}

static void put(uint16_t type, uint32_t told, uint32_t len)
{
  uint8_t *at = bytes + byte_count;
  at[0] = (uint8_t)(type >> 8);
  at[1] = (uint8_t)type;
  at[2] = (uint8_t)(told >> 8);
  at[3] = (uint8_t)told;
  messages[message_count++] = (message){(uint32_t)byte_count, len};
  byte_count += len + fzr_stream_padding(len);
}

/* Messages of all kinds and lengths, padding of any value, until |most| of them or no room. */
static void make(fzt_prng *prng, size_t most)
{
  message_count = byte_count = 0;
  fzt_fill(prng, bytes, sizeof bytes);
  while (message_count < most && byte_count < BYTES - 25000) {
    uint32_t told = some_len(prng);
    if (fzt_below(prng, 3)) {
      put((uint16_t)(0x4000 + fzt_below(prng, 0x1000)), told, 4 + told);
    } else {
      told -= told % 4;
      put((uint16_t)fzt_below(prng, 0x400), told, FZR_STUN_HEADER_LEN + told);
    }
  }
}

/* Reads |len| bytes that lie in memory of just that size, and compares what comes out from the |done|-th message on. Returns how many are
 * done then. */
static size_t read_piece(fzr_stream *s, fzt_prng *prng, const uint8_t *data, size_t len, size_t done)
{
  fzr_pkt pkts[ROOM];
  uint8_t *piece = malloc(len);
  fzt_check(piece);
  memcpy(piece, data, len);
  fzr_stream_batch b = {.data = piece, .len = len, .out = pkts, .room = 1 + fzt_below(prng, ROOM)};
  while (b.len) {
    const size_t before = b.len;
    fzt_check(fzr_stream_read(s, &b) == 0 && b.reason == FZR_DROP_NONE && b.len < before);
    for (size_t i = 0; i < b.written; i++, done++) {
      fzt_check(done < message_count && pkts[i].len == messages[done].len);
      fzt_check(memcmp(pkts[i].data, bytes + messages[done].at, pkts[i].len) == 0);
    }
  }
  free(piece);
  return done;
}

START_TEST(test_cuts)
{
  fzt_prng prng = {fzt_seed("stream")};
  const fzr_addr client = fzt_addr("198.51.100.1:4000"), server = fzt_addr("192.0.2.1:3478");
  fzt_mem mem;
  fzt_mem_init(&mem);
  for (uint64_t round = 0; round < fzt_rounds(60); round++) {
    fzr_stream *s;
    size_t done = 0, at = 0;
    make(&prng, MESSAGES);
    fzt_check(fzr_stream_new(&client, &server, &mem.hooks, &s) == 0);
    /* At least CUTS pieces; some rounds end in single bytes. */
    const size_t most = 1 + (round % 5 ? 2 * byte_count / CUTS : 8);
    while (at < byte_count) {
      size_t len = 1 + (size_t)fzt_below(&prng, most);
      len = len < byte_count - at ? len : byte_count - at;
      done = read_piece(s, &prng, bytes + at, len, done);
      at += len;
      const size_t whole = done < message_count ? messages[done].at : byte_count;
      fzt_check(fzr_stream_held(s, NULL) == at - (whole < at ? whole : at));
    }
    fzt_check(done == message_count && fzr_stream_held(s, NULL) == 0);
    fzr_stream_free(s);
    fzt_check(mem.live == 0);
  }
}
END_TEST

/* Whatever is read, it gets on, and hands out what lies in the input or in its own buffer, of the right length. */
START_TEST(test_any_bytes)
{
  fzt_prng prng = {fzt_seed("stream of anything")};
  const fzr_addr client = fzt_addr("198.51.100.1:4000"), server = fzt_addr("192.0.2.1:3478");
  for (uint64_t round = 0; round < fzt_rounds(2000); round++) {
    fzr_stream *s;
    fzr_pkt pkts[ROOM];
    make(&prng, 20);
    bytes[fzt_below(&prng, byte_count)] ^= (uint8_t)(1 + fzt_below(&prng, 255)); /* one byte is wrong */
    fzt_check(fzr_stream_new(&client, &server, NULL, &s) == 0);
    for (size_t at = 0, len; at < byte_count; at += len) {
      len = 1 + (size_t)fzt_below(&prng, 3000);
      len = len < byte_count - at ? len : byte_count - at;
      fzr_stream_batch b = {.data = bytes + at, .len = len, .out = pkts, .room = ROOM};
      while (b.len) {
        const size_t before = b.len;
        fzt_check(fzr_stream_read(s, &b) == 0 && b.len < before);
        for (size_t i = 0; i < b.written; i++) {
          const uint8_t *p = pkts[i].data;
          const uint32_t told = (uint32_t)p[2] << 8 | p[3];
          fzt_check(pkts[i].len == told + (p[0] < 4 ? FZR_STUN_HEADER_LEN : 4u));
        }
      }
    }
    fzr_stream_free(s);
  }
}
END_TEST

/* ---- behind it a relay ---- */

#define DATA 300u

/* What peers get of the stream, one after another. */
typedef struct heard {
  uint64_t hash;
  size_t count;
} heard;

static void hear(heard *h, const fzt_relay *relay)
{
  for (size_t i = 0; i < relay->verdict_count; i++) {
    const fzr_verdict *v = &relay->verdicts[i];
    fzt_check(v->action == FZR_ACT_FORWARD);
    for (uint16_t k = 0; k < v->count; k++, h->count++) {
      const uint16_t len = k + 1 == v->count ? v->tail_len : v->len;
      const uint8_t *data = v->data + (size_t)k * v->stride;
      h->hash = (h->hash ^ v->to.port ^ len) * 0x100000001b3u;
      for (uint16_t n = 0; n < len; n++)
        h->hash = (h->hash ^ data[n]) * 0x100000001b3u;
    }
  }
}

/* Puts the stream through a relay, cut at |cuts| random places. */
static heard relay_all(fzt_relay *relay, const fzt_client_state *c, fzt_prng *prng, size_t cuts)
{
  heard h = {0xcbf29ce484222325u, 0};
  fzr_stream *s;
  fzr_pkt pkts[ROOM];
  size_t at = 0;
  fzt_check(fzr_stream_new(&c->addr, &c->server, NULL, &s) == 0);
  for (size_t cut = 0; at < byte_count; cut++) {
    size_t len = byte_count - at;
    if (cut < cuts)
      len = 1 + (size_t)fzt_below(prng, 2 * len / (cuts - cut) + 1);
    len = len < byte_count - at ? len : byte_count - at;
    fzr_stream_batch b = {.data = bytes + at, .len = len, .out = pkts, .room = ROOM};
    while (b.len) {
      fzt_check(fzr_stream_read(s, &b) == 0 && !b.reason);
      if (!b.written)
        continue;
      fzt_client_run(relay, pkts, b.written);
      hear(&h, relay);
    }
    at += len;
  }
  fzr_stream_free(s);
  return h;
}

START_TEST(test_same_for_peers)
{
  static fzt_relay relay;
  fzt_prng prng = {fzt_seed("stream to peers")};
  fzr_config config = fzt_config(&relay);
  fzt_client_state c;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  c.addr.transport = c.server.transport = FZR_TRANSPORT_TCP;
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  for (uint16_t i = 0; i < 3; i++) {
    fzr_addr peer = fzt_addr("203.0.113.9:5000");
    peer.port = (uint16_t)(peer.port + i);
    ck_assert_int_eq(fzt_bind(&relay, &c, (uint16_t)(0x4000 + i), &peer), 0);
  }
  message_count = byte_count = 0;
  fzt_fill(&prng, bytes, sizeof bytes);
  uint32_t told = 1200;
  for (unsigned i = 0; i < DATA / 2; i++) {
    if (!fzt_below(&prng, 4))
      told = (uint32_t)fzt_below(&prng, 1300);
    put((uint16_t)(0x4000 + fzt_below(&prng, 3)), told, 4 + told);
  }
  const heard whole = relay_all(&relay, &c, &prng, 0);
  ck_assert_uint_eq(whole.count, message_count);
  for (uint64_t round = 0; round < fzt_rounds(20); round++) {
    const heard cut = relay_all(&relay, &c, &prng, 100 + round * 50);
    ck_assert_uint_eq(cut.count, whole.count);
    ck_assert_uint_eq(cut.hash, whole.hash);
  }
  fzt_relay_free(&relay);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("property_stream");
  TCase *tc = tcase_create("stream");
  tcase_set_timeout(tc, 200);
  tcase_add_test(tc, test_cuts);
  tcase_add_test(tc, test_any_bytes);
  tcase_add_test(tc, test_same_for_peers);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
