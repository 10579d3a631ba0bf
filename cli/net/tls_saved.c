/* SPDX-License-Identifier: Apache-2.0 */
/* Records as bytes.
 *
 * Numbers as TLS has them, the first byte first: u8 form, u16 version, u8 cipher, u8 flags, u16 most, u8 idle, u8 refused, u8 how much has come of a
 * head, 5 bytes of it, u32 how much has come of what follows it, u32 how much of a whole record was not read, u32 how much of one is still to go out,
 * u32 bytes of data in that, u8 how much has come of a message, 5 bytes of it; twice, for what comes and what goes out, u64 number, and of TLS 1.2 12 bytes
 * of nonce and the key, of TLS 1.3 the secret; then the bytes of those three. */
#include "net/tls_records_internal.h"

#include <stdlib.h>
#include <string.h>

#define SAVED_FORM  1u
#define SAVED_FIXED (9u + 1u + NET_TLS_HEADER + 4u * 4u + 1u + KEY_UPDATE_LEN)
#define NUMBER      8u

enum saved_flag { SAVED_ENDED = 1, SAVED_OWES = 2, SAVED_ASKED = 4 };

bool net_tls_records_can_be_saved(const net_tls_records *r)
{
  return !*r->error;
}

size_t net_tls_records_begun(const net_tls_records *r)
{
  return r->written;
}

static size_t plain_len(const net_tls_records *r)
{
  return r->plain_to - r->plain_from;
}

static size_t rest_len(const net_tls_records *r)
{
  return r->rest ? r->rest_to - r->rest_from : 0;
}

static size_t flow_len(net_tls_version version, net_aead_kind kind)
{
  return NUMBER +
         (version == NET_TLS_13 ? net_tls_secret_len(kind) : NET_AEAD_NONCE + net_aead_key_len(kind));
}

size_t net_tls_records_saved_len(const net_tls_records *r)
{
  const size_t flows = 2 * flow_len(r->in.version, net_aead_kind_of(r->in.aead));
  return SAVED_FIXED + flows + r->got + plain_len(r) + rest_len(r);
}

static void save_flow(const net_tls_flow *f, net_tls_put *put, void *ctx)
{
  const net_aead_kind kind = net_aead_kind_of(f->aead);
  uint8_t number[NUMBER];
  net_tls_put_number(number, f->number, NUMBER);
  put(ctx, number, sizeof number);
  if (f->version == NET_TLS_13) {
    put(ctx, f->secret, net_tls_secret_len(kind));
  } else {
    put(ctx, f->nonce, NET_AEAD_NONCE);
    put(ctx, net_aead_key(f->aead), net_aead_key_len(kind));
  }
}

void net_tls_records_save(const net_tls_records *r, net_tls_put *put, void *ctx)
{
  uint8_t head[SAVED_FIXED] = {SAVED_FORM};
  net_tls_put_number(head + 1, r->in.version, 2);
  head[3] = (uint8_t)net_aead_kind_of(r->in.aead);
  head[4] =
      (uint8_t)((r->ended ? SAVED_ENDED : 0) | (r->owes ? SAVED_OWES : 0) | (r->asked ? SAVED_ASKED : 0));
  net_tls_put_number(head + 5, r->most, 2);
  head[7] = r->idle;
  head[8] = r->refused;
  head[9] = r->head_len;
  memcpy(head + 10, r->head, r->head_len);
  net_tls_put_number(head + 15, r->got, 4);
  net_tls_put_number(head + 19, plain_len(r), 4);
  net_tls_put_number(head + 23, rest_len(r), 4);
  net_tls_put_number(head + 27, r->written, 4);
  head[31] = r->message_len;
  memcpy(head + 32, r->message, r->message_len);
  put(ctx, head, sizeof head);
  save_flow(&r->in, put, ctx);
  save_flow(&r->out, put, ctx);
  if (r->got)
    put(ctx, r->held, r->got);
  if (plain_len(r))
    put(ctx, r->held + r->plain_from, plain_len(r));
  if (rest_len(r))
    put(ctx, r->rest + r->rest_from, rest_len(r));
}

static bool load_flow(net_tls_flow *f, net_tls_version version, net_aead_kind kind, const uint8_t *at)
{
  const uint8_t *keys = at + NUMBER;
  const bool there = version == NET_TLS_13 ? net_tls_flow_begin_13(f, kind, keys)
                                           : net_tls_flow_begin_12(f, kind, keys + NET_AEAD_NONCE, keys);
  f->number = net_tls_get_number(at, NUMBER);
  return there;
}

/* A copy of |len| bytes in memory for |room|. NULL without memory, or without bytes. */
static uint8_t *copy(const uint8_t *from, size_t len, size_t room)
{
  uint8_t *to = len ? malloc(room) : NULL;
  if (to)
    memcpy(to, from, len);
  return to;
}

/* Reads what is of a fixed length, of which the parts behind it are |got|, |plain| and |rest| long. Returns whether it can be so. */
static bool load_head(net_tls_records *r, const uint8_t *at, size_t *got, size_t *plain, size_t *rest)
{
  r->ended = at[4] & SAVED_ENDED;
  r->owes = at[4] & SAVED_OWES;
  r->asked = at[4] & SAVED_ASKED;
  r->most = net_tls_get_number(at + 5, 2);
  r->idle = at[7];
  r->refused = at[8];
  r->head_len = at[9];
  memcpy(r->head, at + 10, NET_TLS_HEADER);
  *got = net_tls_get_number(at + 15, 4);
  *plain = net_tls_get_number(at + 19, 4);
  *rest = net_tls_get_number(at + 23, 4);
  r->written = net_tls_get_number(at + 27, 4);
  r->message_len = at[31];
  memcpy(r->message, at + 32, KEY_UPDATE_LEN);
  if (!r->most || r->most > NET_TLS_RECORD || r->head_len > NET_TLS_HEADER || *plain > NET_TLS_RECORD ||
      *rest > WRITE_MAX || r->written > r->most || (r->written && !*rest) ||
      r->message_len >= (r->in.version == NET_TLS_13 ? KEY_UPDATE_LEN : 1))
    return false;
  if (r->head_len < NET_TLS_HEADER)
    return !*got;
  r->body_len = net_tls_get_number(r->head + 3, 2);
  return r->head[1] == 3 && r->head[2] == 3 && r->body_len >= net_tls_flow_least(&r->in) &&
         r->body_len <= net_tls_flow_most(&r->in) && *got < r->body_len && !*plain;
}

/* Takes copies of what is there in part. Returns whether there is memory. */
static bool load_parts(net_tls_records *r, const uint8_t *at, size_t got, size_t plain, size_t rest)
{
  if (plain)
    r->body_len = plain;
  r->held = got ? copy(at, got, r->body_len) : copy(at, plain, plain);
  r->got = got;
  r->plain_to = plain;
  r->rest = copy(at + got + plain, rest, rest);
  r->rest_to = rest;
  return !((got || plain) && !r->held) && !(rest && !r->rest);
}

/* Reads all of it into |r|, as far as it goes. */
static bool load(net_tls_records *r, const uint8_t *data, size_t len)
{
  size_t got, plain, rest;
  const net_aead_kind kind = (net_aead_kind)data[3];
  const net_tls_version version = (net_tls_version)net_tls_get_number(data + 1, 2);
  const size_t each = flow_len(version, kind), fixed = SAVED_FIXED + 2 * each;
  r->error = "";
  return len >= fixed && load_flow(&r->in, version, kind, data + SAVED_FIXED) &&
         load_flow(&r->out, version, kind, data + SAVED_FIXED + each) &&
         load_head(r, data, &got, &plain, &rest) && len - fixed >= got + plain + rest &&
         load_parts(r, data + fixed, got, plain, rest);
}

net_tls_records *net_tls_records_load(const uint8_t *data, size_t len)
{
  if (len < SAVED_FIXED || data[0] != SAVED_FORM || data[3] > NET_AEAD_CHACHA20_POLY1305)
    return NULL;
  const uint64_t version = net_tls_get_number(data + 1, 2);
  net_tls_records *r = version == NET_TLS_12 || version == NET_TLS_13 ? calloc(1, sizeof *r) : NULL;
  if (!r || load(r, data, len))
    return r;
  net_tls_records_free(r);
  return NULL;
}
