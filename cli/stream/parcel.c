/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/parcel.h"

#include "handover/number.h"

#include <string.h>

#define HEAD   8u /* magic, version, what is 0 */
#define RECORD 8u /* type, what is 0, length */
#define MAJOR  1u

enum record_type { RECORD_COUNTERS = 1, RECORD_CONNECTION };

static const uint8_t magic[4] = {'F', 'Z', 'H', 'T'};

/* An address as bytes: family, transport, port, scope, sixteen of the address. */
#define ADDR ((size_t)24)
#define MARK ((size_t)16)
/* What is in front of the marks of a connection. */
#define FIXED (2 * ADDR + 60)
/* What is in front of the counters of a kind's ends. */
#define COUNTERS ((size_t)24)

/* ---- writing ---- */

static void put_record(handover_file *file, enum record_type type, size_t len)
{
  uint8_t head[RECORD] = {0};
  handover_put_number(head, type, 2);
  handover_put_number(head + 4, len, 4);
  handover_file_put(file, head, sizeof head);
}

void stream_parcel_begin(handover_file *file)
{
  uint8_t head[HEAD] = {0};
  memcpy(head, magic, sizeof magic);
  handover_put_number(head + 4, MAJOR, 2);
  handover_file_put(file, head, sizeof head);
}

void stream_parcel_put_stats(handover_file *file, enum stream_kind kind, const stream_stats *stats)
{
  uint8_t out[COUNTERS + (size_t)8 * STREAM_ENDS];
  handover_put_number(out, kind, 8);
  handover_put_number(out + 8, stats->accepted, 8);
  handover_put_number(out + 16, stats->dropped, 8);
  for (size_t i = 0; i < STREAM_ENDS; i++)
    handover_put_number(out + COUNTERS + 8 * i, stats->ended[i], 8);
  put_record(file, RECORD_COUNTERS, sizeof out);
  handover_file_put(file, out, sizeof out);
}

static void put_addr(uint8_t out[ADDR], const fzr_addr *addr)
{
  out[0] = addr->family;
  out[1] = addr->transport;
  handover_put_number(out + 2, addr->port, 2);
  handover_put_number(out + 4, addr->scope_id, 4);
  memcpy(out + 8, addr->ip, 16);
}

/* As an age. What is to come has none. */
static void put_time(uint8_t out[8], fzr_time time, fzr_time now)
{
  handover_put_number(out, time < now ? now - time : 0, 8);
}

static void put_piece(void *ctx, const void *data, size_t len)
{
  handover_file_put(ctx, data, len);
}

void stream_parcel_put(handover_file *file, const stream_saved *v, const net_tls *tls, fzr_time now)
{
  const fzr_time times[] = {v->heard, v->stranger_since, v->closing_since, v->blocked_at};
  const size_t tls_len = tls ? net_tls_saved_len(tls) : 0;
  const size_t lengths[] = {v->held_len, v->waits_len, v->begun, tls_len};
  uint8_t head[FIXED + STREAM_QUEUE_MARKS * MARK], *at = head;
  handover_put_number(at, v->cookie, 8);
  put_addr(at + 8, &v->client);
  put_addr(at + 8 + ADDR, &v->server);
  at += 8 + 2 * ADDR;
  at[0] = (uint8_t)v->kind;
  at[1] = (uint8_t)v->marked;
  handover_put_number(at + 2, v->flags, 2);
  at += 4;
  for (size_t i = 0; i < 4; i++, at += 8)
    put_time(at, times[i], now);
  for (size_t i = 0; i < 4; i++, at += 4)
    handover_put_number(at, lengths[i], 4);
  for (uint32_t i = 0; i < v->marked; i++, at += MARK) {
    put_time(at, v->marks[i].time, now);
    handover_put_number(at + 8, v->marks[i].position, 8);
  }
  put_record(file, RECORD_CONNECTION, (size_t)(at - head) + v->held_len + v->waits_len + tls_len);
  handover_file_put(file, head, (size_t)(at - head));
  handover_file_put(file, v->held, v->held_len);
  handover_file_put(file, v->waits, v->waits_len);
  if (tls)
    net_tls_save(tls, put_piece, file);
}

/* ---- reading ---- */

static void get_counters(const uint8_t *in, size_t len, stream_stats stats[STREAM_KINDS])
{
  const uint64_t kind = len >= COUNTERS ? handover_get_number(in, 8) : STREAM_KINDS;
  if (kind >= STREAM_KINDS)
    return;
  stats[kind].accepted = handover_get_number(in + 8, 8);
  stats[kind].dropped = handover_get_number(in + 16, 8);
  for (size_t i = 0; i < STREAM_ENDS && COUNTERS + 8 * (i + 1) <= len; i++)
    stats[kind].ended[i] = handover_get_number(in + COUNTERS + 8 * i, 8);
}

/* Returns whether it is one of a stream of |kind|. */
static bool get_addr(const uint8_t in[ADDR], enum stream_kind kind, fzr_addr *out)
{
  const uint8_t transport = kind == STREAM_TLS ? FZR_TRANSPORT_TLS : FZR_TRANSPORT_TCP;
  const uint16_t port = (uint16_t)handover_get_number(in + 2, 2);
  if ((in[0] != FZR_FAMILY_IPV4 && in[0] != FZR_FAMILY_IPV6) || in[1] != transport)
    return false;
  *out = in[0] == FZR_FAMILY_IPV4 ? fzr_addr_ipv4(in + 8, port) : fzr_addr_ipv6(in + 8, port);
  out->transport = transport;
  out->scope_id = (uint32_t)handover_get_number(in + 4, 4);
  return true;
}

static fzr_time get_time(const uint8_t in[8], fzr_time now)
{
  const fzr_time age = handover_get_number(in, 8);
  return age < now ? now - age : 0;
}

static void get_marks(const uint8_t *in, fzr_time now, stream_saved *out)
{
  for (uint32_t i = 0; i < out->marked; i++, in += MARK)
    out->marks[i] = (stream_mark){get_time(in, now), handover_get_number(in + 8, 8)};
}

static bool get_connection(const uint8_t *in, size_t len, fzr_time now, stream_saved *out)
{
  memset(out, 0, sizeof *out);
  if (len < FIXED)
    return false;
  const uint8_t *at = in + 8 + 2 * ADDR;
  out->cookie = handover_get_number(in, 8);
  out->kind = (enum stream_kind)at[0];
  out->marked = at[1];
  out->flags = (unsigned)handover_get_number(at + 2, 2);
  if (at[0] >= STREAM_KINDS || out->marked > STREAM_QUEUE_MARKS ||
      !get_addr(in + 8, out->kind, &out->client) || !get_addr(in + 8 + ADDR, out->kind, &out->server))
    return false;
  at += 4;
  fzr_time *const times[] = {&out->heard, &out->stranger_since, &out->closing_since, &out->blocked_at};
  for (size_t i = 0; i < 4; i++, at += 8)
    *times[i] = get_time(at, now);
  size_t *const lengths[] = {&out->held_len, &out->waits_len, &out->begun, &out->tls_len};
  for (size_t i = 0; i < 4; i++, at += 4)
    *lengths[i] = (size_t)handover_get_number(at, 4);
  const size_t before = FIXED + out->marked * MARK;
  if (len < before || len - before < (uint64_t)out->held_len + out->waits_len + out->tls_len)
    return false;
  get_marks(at, now, out);
  out->held = in + before;
  out->waits = out->held + out->held_len;
  out->tls = out->waits + out->waits_len;
  return true;
}

const char *stream_parcel_read(const uint8_t *data, size_t len, fzr_time now,
                               stream_stats stats[STREAM_KINDS],
                               const char *(*each)(void *ctx, const stream_saved *saved), void *ctx)
{
  static const char damaged[] = "what is said of connections can't be read";
  stream_saved saved;
  memset(stats, 0, STREAM_KINDS * sizeof *stats);
  if (len < HEAD || memcmp(data, magic, sizeof magic) != 0 || handover_get_number(data + 4, 2) != MAJOR)
    return damaged;
  for (size_t at = HEAD; at < len;) {
    if (len - at < RECORD)
      return damaged;
    const unsigned type = (unsigned)handover_get_number(data + at, 2);
    const size_t size = (size_t)handover_get_number(data + at + 4, 4);
    at += RECORD;
    if (size > len - at || (type == RECORD_CONNECTION && !get_connection(data + at, size, now, &saved)))
      return damaged;
    if (type == RECORD_COUNTERS)
      get_counters(data + at, size, stats);
    const char *why = type == RECORD_CONNECTION ? each(ctx, &saved) : NULL;
    if (why)
      return why;
    at += size;
  }
  return NULL;
}
