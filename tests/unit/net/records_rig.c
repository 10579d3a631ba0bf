/* SPDX-License-Identifier: Apache-2.0 */
#include "records_rig.h"

#include "net/tls_flow.h"
#include "testing.h"

#include <stdlib.h>

rig_wire wire;
net_tls_records *client, *server;
uint8_t data[50000], seen[50000];
bool rig_copies;
rig_bytes saved;

static const uint8_t keys[NET_TLS_KEYS_MAX] = {1, 2, 3, 4, 5};

/* ---- nonces ---- */

#define MOST_SEALS 4096u

static struct seal {
  uint8_t key[NET_AEAD_KEY_MAX], nonce[NET_AEAD_NONCE];
} seals[MOST_SEALS];
static size_t seal_count;
static bool forging;

bool __real_net_aead_seal(net_aead *a, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                          const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag);
bool __wrap_net_aead_seal(net_aead *a, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                          const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag);

bool __wrap_net_aead_seal(net_aead *a, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                          const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
  if (!forging && seal_count < MOST_SEALS) {
    memcpy(seals[seal_count].key, net_aead_key(a), NET_AEAD_KEY_MAX);
    memcpy(seals[seal_count].nonce, nonce, NET_AEAD_NONCE);
    seal_count++;
  }
  return __real_net_aead_seal(a, nonce, aad, aad_len, in, len, out, tag);
}

static int compare_seals(const void *a, const void *b)
{
  return memcmp(a, b, sizeof(struct seal));
}

static void check_nonces(void)
{
  ck_assert_uint_lt(seal_count, MOST_SEALS);
  qsort(seals, seal_count, sizeof *seals, compare_seals);
  for (size_t i = 1; i < seal_count; i++)
    ck_assert_msg(compare_seals(&seals[i - 1], &seals[i]) != 0, "two records with the same key and nonce");
}

/* ---- the wire ---- */

static ssize_t on_send(void *ctx, const uint8_t *bytes, size_t len)
{
  (void)ctx;
  if (wire.broken)
    return NET_TLS_FAILED;
  const size_t n = len < wire.room ? len : wire.room;
  memcpy(wire.data + wire.to, bytes, n);
  wire.to += n;
  wire.room -= n;
  return n ? (ssize_t)n : NET_TLS_WANT_WRITE;
}

static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  (void)ctx;
  const size_t end = wire.readable < wire.to ? wire.readable : wire.to;
  const size_t left = wire.from < end ? end - wire.from : 0, n = left < cap ? left : cap;
  memcpy(out, wire.data + wire.from, n);
  wire.from += n;
  return n ? (ssize_t)n : NET_TLS_WANT_READ;
}

const net_tls_io io = {NULL, on_send, on_recv};

/* ---- the sides ---- */

net_tls_version rig_version(int i)
{
  return i < 3 ? NET_TLS_12 : NET_TLS_13;
}

net_aead_kind rig_kind(int i)
{
  static const net_aead_kind kinds[] = {NET_AEAD_AES_128_GCM, NET_AEAD_AES_256_GCM,
                                        NET_AEAD_CHACHA20_POLY1305};
  return kinds[i % 3];
}

net_tls_agreed rig_agreed(int i, bool of_server)
{
  const uint64_t number = rig_version(i) == NET_TLS_12;
  return (net_tls_agreed){.version = rig_version(i),
                          .kind = rig_kind(i),
                          .keys = keys,
                          .server = of_server,
                          .most = NET_TLS_RECORD,
                          .in = number,
                          .out = number};
}

void rig_start(int i)
{
  const net_tls_agreed agreed[] = {rig_agreed(i, false), rig_agreed(i, true)};
  wire = (rig_wire){.room = sizeof wire.data, .readable = sizeof wire.data};
  client = net_tls_records_new(&agreed[0]);
  server = net_tls_records_new(&agreed[1]);
  ck_assert(client && server);
  for (size_t k = 0; k < sizeof data; k++)
    data[k] = (uint8_t)(k * 7 + k / 256);
  seal_count = 0;
  rig_copies = false;
}

void rig_stop(void)
{
  net_tls_records_free(client);
  net_tls_records_free(server);
  if (!rig_copies)
    check_nonces();
}

size_t rig_whole(int i, size_t len)
{
  const size_t around = rig_version(i) == NET_TLS_13 ? 1 : rig_kind(i) == NET_AEAD_CHACHA20_POLY1305 ? 0 : 8;
  return RIG_HEADER + around + len + NET_AEAD_TAG;
}

void rig_put_record(int i, uint8_t type, const uint8_t *body, size_t len, size_t padding, unsigned number)
{
  static uint8_t inner[NET_TLS_RECORD + 1024];
  net_tls_flow f;
  const bool is_13 = rig_version(i) == NET_TLS_13;
  const size_t key_len = net_aead_key_len(rig_kind(i));
  ck_assert(is_13 ? net_tls_flow_begin_13(&f, rig_kind(i), keys)
                  : net_tls_flow_begin_12(&f, rig_kind(i), keys, keys + 2 * key_len));
  f.number = number;
  /* What is the type behind the data, is data of which the last byte is the type. */
  memset(inner, 0, sizeof inner);
  if (len)
    memcpy(inner, body, len);
  inner[len] = type;
  const bool padded = is_13 && padding;
  forging = true;
  const size_t whole =
      net_tls_flow_seal(&f, padded ? 0 : type, inner, padded ? len + padding : len, wire.data + wire.to);
  forging = false;
  ck_assert_uint_gt(whole, 0);
  wire.to += whole;
  net_tls_flow_end(&f);
}

void rig_write(net_tls_records *r, size_t len)
{
  ck_assert_int_eq(net_tls_records_write(r, &io, data, len), (ssize_t)len);
}

void rig_read(net_tls_records *r, size_t len, size_t cap)
{
  size_t got = 0;
  while (got < len) {
    const ssize_t n = net_tls_records_read(r, &io, seen + got, cap);
    ck_assert_int_gt(n, 0);
    got += (size_t)n;
  }
  ck_assert_uint_eq(got, len);
  ck_assert_mem_eq(seen, data, len);
  ck_assert(!net_tls_records_pending(r));
}

void rig_fails(const char *error)
{
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_FAILED);
  ck_assert_str_eq(net_tls_records_error(server), error);
  ck_assert_int_eq(net_tls_records_read(server, &io, seen, sizeof seen), NET_TLS_FAILED);
}

void rig_refused(int i, const char *error, uint8_t alert)
{
  uint8_t out[64];
  rig_fails(error);
  wire.from = wire.to - rig_whole(i, 2);
  ck_assert_int_eq(net_tls_records_read(client, &io, out, sizeof out), NET_TLS_FAILED);
  ck_assert_str_eq(net_tls_records_error(client), "the other side ended it with an alert");
  ck_assert_uint_eq(out[0], 2);
  ck_assert_uint_eq(out[1], alert);
}

/* ---- as bytes ---- */

static void put(void *ctx, const void *bytes, size_t len)
{
  (void)ctx;
  ck_assert_uint_le(len, sizeof saved.data - saved.len);
  memcpy(saved.data + saved.len, bytes, len);
  saved.len += len;
}

void rig_save(const net_tls_records *r)
{
  saved.len = 0;
  ck_assert(net_tls_records_can_be_saved(r));
  net_tls_records_save(r, put, NULL);
  ck_assert_uint_eq(saved.len, net_tls_records_saved_len(r));
}

void rig_move(net_tls_records **r)
{
  rig_save(*r);
  net_tls_records_free(*r);
  *r = net_tls_records_load(saved.data, saved.len);
  ck_assert_ptr_nonnull(*r);
}
