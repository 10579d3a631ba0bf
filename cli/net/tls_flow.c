/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_flow.h"

#include "net/tls.h"

#include <string.h>

#define AAD_12     13u
#define EXPLICIT   8u      /* of a nonce of GCM, in each record of TLS 1.2 (RFC 5288 section 3) */
#define EXPANSION  256u    /* of a record of TLS 1.3 that comes, padding included (RFC 8446 section 5.2) */
#define LEGACY     0x0303u /* the version that all of them say */
#define NUMBER_LEN 8u

/* Bytes of the nonce that are in each record. */
static size_t explicit_len(const net_tls_flow *f)
{
  return f->version == NET_TLS_12 && net_aead_kind_of(f->aead) != NET_AEAD_CHACHA20_POLY1305 ? EXPLICIT : 0;
}

size_t net_tls_flow_fixed_len(net_aead_kind kind)
{
  return kind == NET_AEAD_CHACHA20_POLY1305 ? NET_AEAD_NONCE : NET_AEAD_NONCE - EXPLICIT;
}

bool net_tls_flow_begin_12(net_tls_flow *f, net_aead_kind kind, const uint8_t *key, const uint8_t *fixed)
{
  *f = (net_tls_flow){.version = NET_TLS_12, .aead = net_aead_new(kind, key)};
  memcpy(f->nonce, fixed, net_tls_flow_fixed_len(kind));
  return f->aead != NULL;
}

bool net_tls_flow_begin_13(net_tls_flow *f, net_aead_kind kind, const uint8_t *secret)
{
  uint8_t key[NET_AEAD_KEY_MAX];
  *f = (net_tls_flow){.version = NET_TLS_13};
  memcpy(f->secret, secret, net_tls_secret_len(kind));
  if (net_tls_secret_expand(kind, secret, "key", key, net_aead_key_len(kind)) &&
      net_tls_secret_expand(kind, secret, "iv", f->nonce, sizeof f->nonce))
    f->aead = net_aead_new(kind, key);
  explicit_bzero(key, sizeof key);
  return f->aead != NULL;
}

bool net_tls_flow_update(net_tls_flow *f)
{
  const net_aead_kind kind = net_aead_kind_of(f->aead);
  uint8_t secret[NET_TLS_SECRET_MAX];
  net_tls_flow next = {0};
  const bool done = net_tls_secret_expand(kind, f->secret, "traffic upd", secret, net_tls_secret_len(kind)) &&
                    net_tls_flow_begin_13(&next, kind, secret);
  explicit_bzero(secret, sizeof secret);
  if (done) {
    net_tls_flow_end(f);
    *f = next;
  }
  explicit_bzero(&next, sizeof next);
  return done;
}

void net_tls_flow_end(net_tls_flow *f)
{
  net_aead_free(f->aead);
  explicit_bzero(f, sizeof *f); /* nonces that are not sent are secret, too */
}

size_t net_tls_flow_least(const net_tls_flow *f)
{
  return explicit_len(f) + NET_AEAD_TAG;
}

size_t net_tls_flow_most(const net_tls_flow *f)
{
  return NET_TLS_RECORD + (f->version == NET_TLS_13 ? EXPANSION : net_tls_flow_least(f));
}

/* The nonce of the next record. |sent|: the part of it that is in the record; NULL: none is. */
static void make_nonce(const net_tls_flow *f, const uint8_t *sent, uint8_t nonce[NET_AEAD_NONCE])
{
  uint8_t number[NUMBER_LEN], *end = nonce + (NET_AEAD_NONCE - NUMBER_LEN);
  net_tls_put_number(number, f->number, NUMBER_LEN);
  memcpy(nonce, f->nonce, NET_AEAD_NONCE);
  for (unsigned i = 0; i < NUMBER_LEN; i++)
    end[i] = sent ? sent[i] : end[i] ^ number[i];
}

/* What is authenticated, too, of the next record of TLS 1.2: its number, type, version, and length of data. */
static void make_aad_12(const net_tls_flow *f, uint8_t type, size_t len, uint8_t aad[AAD_12])
{
  net_tls_put_number(aad, f->number, NUMBER_LEN);
  aad[8] = type;
  net_tls_put_number(aad + 9, LEGACY, 2);
  net_tls_put_number(aad + 11, len, 2);
}

static void put_header(uint8_t *out, uint8_t type, size_t len)
{
  out[0] = type;
  net_tls_put_number(out + 1, LEGACY, 2);
  net_tls_put_number(out + 3, len, 2);
}

static size_t seal_12(const net_tls_flow *f, uint8_t type, const uint8_t *data, size_t len, uint8_t *out)
{
  const size_t sent = explicit_len(f), whole = sent + len + NET_AEAD_TAG;
  uint8_t aad[AAD_12], nonce[NET_AEAD_NONCE], *body = out + NET_TLS_HEADER + sent;
  put_header(out, type, whole);
  if (sent)
    net_tls_put_number(out + NET_TLS_HEADER, f->number, EXPLICIT);
  make_nonce(f, sent ? out + NET_TLS_HEADER : NULL, nonce);
  make_aad_12(f, type, len, aad);
  if (!net_aead_seal(f->aead, nonce, aad, sizeof aad, data, len, body, body + len))
    return 0;
  return NET_TLS_HEADER + whole;
}

/* The type is behind the data, and encrypted as well; the header says that all is data. */
static size_t seal_13(const net_tls_flow *f, uint8_t type, const uint8_t *data, size_t len, uint8_t *out)
{
  const size_t inner = len + 1, whole = inner + NET_AEAD_TAG;
  uint8_t nonce[NET_AEAD_NONCE], *body = out + NET_TLS_HEADER;
  put_header(out, NET_TLS_DATA, whole);
  memcpy(body, data, len);
  body[len] = type;
  make_nonce(f, NULL, nonce);
  if (!net_aead_seal(f->aead, nonce, out, NET_TLS_HEADER, body, inner, body, body + inner))
    return 0;
  return NET_TLS_HEADER + whole;
}

size_t net_tls_flow_seal(net_tls_flow *f, uint8_t type, const uint8_t *data, size_t len, uint8_t *out)
{
  if (f->number == UINT64_MAX)
    return 0;
  const size_t whole =
      f->version == NET_TLS_13 ? seal_13(f, type, data, len, out) : seal_12(f, type, data, len, out);
  f->number += whole != 0;
  return whole;
}

static ssize_t open_12(const net_tls_flow *f, uint8_t type, uint8_t *body, size_t len)
{
  const size_t sent = explicit_len(f), inner = len - sent - NET_AEAD_TAG;
  uint8_t aad[AAD_12], nonce[NET_AEAD_NONCE], *in = body + sent;
  make_nonce(f, sent ? body : NULL, nonce);
  make_aad_12(f, type, inner, aad);
  if (!net_aead_open(f->aead, nonce, aad, sizeof aad, in, inner, in + inner, body))
    return NET_TLS_CHANGED;
  return (ssize_t)inner;
}

static ssize_t open_13(const net_tls_flow *f, const uint8_t *head, uint8_t *body, size_t len, uint8_t *type)
{
  size_t inner = len - NET_AEAD_TAG;
  uint8_t nonce[NET_AEAD_NONCE];
  make_nonce(f, NULL, nonce);
  if (!net_aead_open(f->aead, nonce, head, NET_TLS_HEADER, body, inner, body + inner, body))
    return NET_TLS_CHANGED;
  if (inner > NET_TLS_RECORD + 1)
    return NET_TLS_TOO_LONG;
  /* Zeros behind the type are padding (RFC 8446 section 5.4). */
  while (inner && !body[inner - 1])
    inner--;
  if (!inner)
    return NET_TLS_NO_TYPE;
  *type = body[inner - 1];
  return (ssize_t)inner - 1;
}

ssize_t net_tls_flow_open(net_tls_flow *f, const uint8_t head[NET_TLS_HEADER], uint8_t *body, size_t len,
                          uint8_t *type)
{
  if (f->number == UINT64_MAX)
    return NET_TLS_NO_NUMBER;
  *type = head[0];
  const ssize_t result =
      f->version == NET_TLS_13 ? open_13(f, head, body, len, type) : open_12(f, head[0], body, len);
  f->number += result >= 0;
  return result;
}
