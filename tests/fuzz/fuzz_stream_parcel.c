/* SPDX-License-Identifier: Apache-2.0 */
/* Connections as another process says they are: what can be read can be used. */
#include "fuzz.h"

#include "stream/parcel.h"

#include <string.h>

#include "firezone_relay/stream.h"

#define NOW (1000 * FZR_SECOND)

/* What TLS reads: no record that is whole. */
static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  size_t *left = ctx;
  const size_t n = *left < cap ? *left : cap;
  memset(out, 0x17, n);
  *left -= n;
  return n ? (ssize_t)n : NET_TLS_WANT_READ;
}

static ssize_t on_send(void *ctx, const uint8_t *data, size_t len)
{
  (void)ctx;
  (void)data;
  return len > 9 ? (ssize_t)len - 9 : (ssize_t)len;
}

static void use_tls(const stream_saved *v)
{
  static uint8_t data[NET_TLS_RECORD], out[NET_TLS_RECORD];
  size_t left = 40, begun;
  const net_tls_io io = {&left, on_send, on_recv};
  net_tls *tls = net_tls_load(&io, v->tls, v->tls_len, &begun);
  if (!tls)
    return;
  FUZZ_CHECK(begun <= NET_TLS_RECORD);
  while (net_tls_pending(tls))
    FUZZ_CHECK(net_tls_read(tls, out, 1000) > 0);
  net_tls_read(tls, out, sizeof out);
  if (net_tls_can_be_saved(tls))
    FUZZ_CHECK(net_tls_saved_len(tls) > 0);
  net_tls_write(tls, data, sizeof data);
  net_tls_close(tls);
  net_tls_free(tls);
}

static void use_queue(const stream_saved *v)
{
  static const uint8_t message[8] = {0x40, 0, 0, 4};
  const struct iovec part = {(void *)(uintptr_t)message, sizeof message};
  stream_queue q = {0};
  if (!stream_queue_restore(&q, v->waits, v->waits_len, v->begun, v->marks, v->marked))
    return;
  FUZZ_CHECK(stream_queue_len(&q) == v->waits_len);
  stream_queue_is_late(&q, NOW);
  stream_queue_put(&q, &part, 1, v->waits_len / 2, NOW + FZR_SECOND / 2);
  stream_queue_hold(&q, stream_queue_len(&q) / 2);
  while (stream_queue_len(&q))
    stream_queue_sent(&q, (stream_queue_len(&q) + 1) / 2);
}

static void use_held(const stream_saved *v)
{
  fzr_stream *framing;
  fzr_pkt pkt;
  fzr_stream_batch batch = {.data = v->held, .len = v->held_len, .out = &pkt, .room = 1};
  if (fzr_stream_new(&v->client, &v->server, NULL, &framing))
    return;
  if (v->held_len)
    fzr_stream_read(framing, &batch);
  fzr_stream_free(framing);
}

static const char *use(void *ctx, const stream_saved *v)
{
  (void)ctx;
  FUZZ_CHECK(v->kind < STREAM_KINDS && v->marked <= STREAM_QUEUE_MARKS);
  FUZZ_CHECK(v->heard <= NOW && v->stranger_since <= NOW && v->closing_since <= NOW && v->blocked_at <= NOW);
  FUZZ_CHECK(v->client.transport == v->server.transport && v->client.transport != FZR_TRANSPORT_UDP);
  use_held(v);
  use_queue(v);
  if (v->tls_len)
    use_tls(v);
  return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  stream_stats stats[STREAM_KINDS];
  stream_parcel_read(data, size, NOW, stats, use, NULL);
  return 0;
}
