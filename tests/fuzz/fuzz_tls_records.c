/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends once its handshake is done. The input begins with the cipher, how it is cut, how much is read at once and whether the socket takes
 * alerts; then it says what there is: bytes as they are, and records as they should be, with a byte changed, or with one left out before them. However
 * it is cut, it comes to the same, and what comes out is what was sealed, in its order, up to some place. */
#include "fuzz.h"

#include "net/tls_records.h"

#define HEADER   5u
#define EXPLICIT 8u
#define WIRE     65536u

/* Of what there is in the input, by the bits of a byte: bytes as they are, as many; or a record, of one of four types. */
enum { OP_RECORD = 0x80, OP_CHANGED = 0x40, OP_LONG = 0x20, OP_LEFT_OUT = 0x10, OP_TYPE = 3 };

static const uint8_t keys[NET_TLS_KEYS_MAX] = {1, 2, 3, [70] = 4};

/* What is sent, and what has to come out of it at the most. */
static uint8_t wire[WIRE], plain[WIRE];
static size_t wire_len, plain_len;

static void put64(uint8_t *at, uint64_t value)
{
  for (unsigned i = 0; i < 8; i++)
    at[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* The client's record |number|, at |out|. Returns its length. */
static size_t seal(net_aead_kind kind, uint64_t number, uint8_t type, const uint8_t *data, size_t len,
                   uint8_t *out)
{
  const size_t key_len = net_aead_key_len(kind);
  const size_t explicit_len = kind == NET_AEAD_CHACHA20_POLY1305 ? 0 : EXPLICIT;
  uint8_t nonce[NET_AEAD_NONCE], counter[EXPLICIT], aad[13] = {0}, *body = out + HEADER + explicit_len;
  net_aead *a = net_aead_new(kind, keys);
  FUZZ_CHECK(a);
  put64(counter, number);
  memcpy(nonce, keys + 2 * key_len, sizeof nonce);
  for (unsigned i = 0; i < EXPLICIT; i++)
    nonce[4 + i] = explicit_len ? counter[i] : nonce[4 + i] ^ counter[i];
  memcpy(aad, counter, sizeof counter);
  memcpy(out + HEADER, counter, explicit_len);
  const size_t body_len = explicit_len + len + NET_AEAD_TAG;
  aad[8] = out[0] = type;
  aad[9] = aad[10] = out[1] = out[2] = 3;
  aad[11] = (uint8_t)(len >> 8);
  aad[12] = (uint8_t)len;
  out[3] = (uint8_t)(body_len >> 8);
  out[4] = (uint8_t)body_len;
  FUZZ_CHECK(net_aead_seal(a, nonce, aad, sizeof aad, data, len, body, body + len));
  net_aead_free(a);
  return HEADER + body_len;
}

/* Makes what is sent of the rest of the input. */
static void make_wire(fuzz_input *in, net_aead_kind kind)
{
  static uint8_t data[NET_TLS_RECORD];
  uint64_t number = 1;
  bool sound = true;
  wire_len = plain_len = 0;
  while (in->size && wire_len + HEADER + EXPLICIT + sizeof data + NET_AEAD_TAG <= WIRE) {
    const uint8_t op = fuzz_byte(in);
    if (!(op & OP_RECORD)) {
      const size_t n = fuzz_bytes(in, wire + wire_len, op);
      wire_len += n;
      sound = sound && !n;
      continue;
    }
    const size_t at = op & OP_CHANGED ? fuzz_u16(in) : 0;
    const uint8_t change = op & OP_CHANGED ? fuzz_byte(in) | 1 : 0;
    const size_t len = op & OP_LONG ? fuzz_u16(in) % (sizeof data + 1) : fuzz_byte(in);
    const uint8_t type = 20 + (op & OP_TYPE);
    number += op & OP_LEFT_OUT ? 2 : 1;
    sound = sound && !(op & (OP_LEFT_OUT | OP_CHANGED));
    memset(data, 0, len);
    fuzz_bytes(in, data, len);
    const size_t whole = seal(kind, number - 1, type, data, len, wire + wire_len);
    wire[wire_len + at % whole] ^= change;
    wire_len += whole;
    if (sound && type == 23) {
      memcpy(plain + plain_len, data, len);
      plain_len += len;
    }
  }
}

/* A reader, and what it has come to. */
typedef struct reader {
  size_t from, step;
  bool waits;   /* for more: each piece comes by itself */
  bool blocked; /* the socket takes nothing */
  size_t sent, got;
  ssize_t result;
} reader;

static ssize_t on_send(void *ctx, const uint8_t *data, size_t len)
{
  reader *r = ctx;
  (void)data;
  if (r->blocked)
    return NET_TLS_WANT_WRITE;
  r->sent += len;
  return (ssize_t)len;
}

static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  reader *r = ctx;
  const size_t left = wire_len - r->from, most = cap < r->step ? cap : r->step, n = left < most ? left : most;
  r->waits = !r->waits;
  if (!n || !r->waits)
    return NET_TLS_WANT_READ;
  memcpy(out, wire + r->from, n);
  r->from += n;
  return (ssize_t)n;
}

static void read_all(net_tls_records *records, reader *r, size_t cap)
{
  const net_tls_io io = {r, on_send, on_recv};
  uint8_t *out = malloc(cap);
  FUZZ_CHECK(out);
  do {
    r->result = net_tls_records_read(records, &io, out, cap);
    if (r->result <= 0)
      continue;
    FUZZ_CHECK((size_t)r->result <= cap && r->got + (size_t)r->result <= plain_len);
    FUZZ_CHECK(memcmp(out, plain + r->got, (size_t)r->result) == 0);
    r->got += (size_t)r->result;
  } while (r->result > 0 || (r->result == NET_TLS_WANT_READ && r->from < wire_len));
  FUZZ_CHECK(!net_tls_records_pending(records));
  /* An end is one for good. */
  if (r->result != NET_TLS_WANT_READ)
    FUZZ_CHECK(net_tls_records_read(records, &io, out, cap) == r->result);
  FUZZ_CHECK((r->result == NET_TLS_FAILED) == (*net_tls_records_error(records) != 0));
  free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  net_tls_agreed agreed = {
      .kind = fuzz_byte(&in) % 3, .keys = keys, .server = true, .most = NET_TLS_RECORD, .in = 1, .out = 1};
  const size_t step = 1u + fuzz_byte(&in) * 16u, cap = 1u + fuzz_byte(&in) * 80u;
  const bool blocked = fuzz_byte(&in) & 1;
  reader readers[] = {{.step = step, .blocked = blocked}, {.step = 1, .blocked = blocked}};
  make_wire(&in, agreed.kind);
  net_tls_records *records[2];
  for (unsigned i = 0; i < 2; i++) {
    records[i] = net_tls_records_new(&agreed);
    FUZZ_CHECK(records[i]);
    read_all(records[i], &readers[i], i ? NET_TLS_RECORD + EXPLICIT + NET_AEAD_TAG : cap);
  }
  FUZZ_CHECK(readers[0].got == readers[1].got && readers[0].sent == readers[1].sent);
  FUZZ_CHECK(readers[0].result == readers[1].result);
  FUZZ_CHECK(strcmp(net_tls_records_error(records[0]), net_tls_records_error(records[1])) == 0);
  for (unsigned i = 0; i < 2; i++)
    net_tls_records_free(records[i]);
  fuzz_sink = (uint32_t)readers[0].got;
  return 0;
}
