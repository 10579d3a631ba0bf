/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends once its handshake is done. The input begins with version and cipher, how it is cut, how much is read at once and whether the socket
 * takes alerts; then it says what there is: bytes as they are, and records as they should be, with a byte changed, or with one left out before them; of TLS 1.3
 * with padding, and with keys that change as they should. However it is cut, and whoever reads on in between, it comes to the same, and what comes out is
 * what was sealed, in its order, up to some place. */
#include "fuzz.h"

#include "net/tls_flow.h"
#include "net/tls_records.h"

#define HEADER  5u
#define WIRE    65536u
#define PADDING 256u

/* Of what there is in the input, by the bits of a byte: bytes as they are, as many; or a record, of one of four types. A change of keys is one of a
 * handshake's messages, behind which the client has other keys. */
enum {
  OP_RECORD = 0x80,
  OP_CHANGED = 0x40,
  OP_LONG = 0x20,
  OP_LEFT_OUT = 0x10,
  OP_PADDED = 8,
  OP_UPDATE = 4,
  OP_TYPE = 3
};

static const uint8_t keys[NET_TLS_KEYS_MAX] = {1, 2, 3, [70] = 4};

/* What is sent, and what has to come out of it at the most. */
static uint8_t wire[WIRE], plain[WIRE];
static size_t wire_len, plain_len;

/* Seals what is of |type|; of TLS 1.3 with |padding| bytes of zeros. Returns the length of the record at |out|. */
static size_t seal(net_tls_flow *f, uint8_t type, const uint8_t *data, size_t len, size_t padding,
                   uint8_t *out)
{
  static uint8_t inner[NET_TLS_RECORD + 1 + PADDING];
  size_t whole;
  if (f->version == NET_TLS_12 || !padding) {
    whole = net_tls_flow_seal(f, type, data, len, out);
  } else {
    /* The last zero is where the type would be. */
    memset(inner, 0, sizeof inner);
    memcpy(inner, data, len);
    inner[len] = type;
    whole = net_tls_flow_seal(f, 0, inner, len + padding, out);
  }
  FUZZ_CHECK(whole);
  return whole;
}

/* The client's side of what is sent. */
typedef struct sender {
  net_tls_flow flow;
  bool sound; /* what comes next is still as it should be */
} sender;

static void put_update(sender *s, uint8_t request)
{
  const uint8_t message[] = {24, 0, 0, 1, request & 1};
  wire_len += seal(&s->flow, NET_TLS_HANDSHAKE, message, sizeof message, 0, wire + wire_len);
  FUZZ_CHECK(net_tls_flow_update(&s->flow));
}

static void put_record(sender *s, fuzz_input *in, uint8_t op)
{
  static uint8_t data[NET_TLS_RECORD];
  const size_t at = op & OP_CHANGED ? fuzz_u16(in) : 0;
  const uint8_t change = op & OP_CHANGED ? fuzz_byte(in) | 1 : 0;
  const size_t len = op & OP_LONG ? fuzz_u16(in) % (sizeof data + 1) : fuzz_byte(in);
  const size_t padding = op & OP_PADDED ? fuzz_byte(in) : 0;
  const uint8_t type = 20 + (op & OP_TYPE);
  s->flow.number += op & OP_LEFT_OUT ? 1 : 0;
  s->sound = s->sound && !(op & (OP_LEFT_OUT | OP_CHANGED));
  memset(data, 0, len);
  fuzz_bytes(in, data, len);
  const size_t whole = seal(&s->flow, type, data, len, padding, wire + wire_len);
  wire[wire_len + at % whole] ^= change;
  wire_len += whole;
  if (s->sound && type == NET_TLS_DATA) {
    memcpy(plain + plain_len, data, len);
    plain_len += len;
  }
}

/* Makes what is sent of the rest of the input. */
static void make_wire(fuzz_input *in, sender *s)
{
  wire_len = plain_len = 0;
  while (in->size && wire_len + HEADER + NET_TLS_RECORD + PADDING + NET_TLS_OVERHEAD <= WIRE) {
    const uint8_t op = fuzz_byte(in);
    if (!(op & OP_RECORD)) {
      const size_t n = fuzz_bytes(in, wire + wire_len, op);
      wire_len += n;
      s->sound = s->sound && !n;
    } else if (s->flow.version == NET_TLS_13 && (op & OP_UPDATE)) {
      put_update(s, op);
    } else {
      put_record(s, in, op);
    }
  }
}

/* A reader, and what it has come to. */
typedef struct reader {
  size_t from, step;
  bool waits;   /* for more: each piece comes by itself */
  bool blocked; /* the socket takes nothing */
  bool moves;   /* another one goes on whenever there is nothing to read */
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

typedef struct saved {
  uint8_t data[2 * WIRE];
  size_t len;
} saved;

static void on_put(void *ctx, const void *data, size_t len)
{
  saved *to = ctx;
  FUZZ_CHECK(len <= sizeof to->data - to->len);
  memcpy(to->data + to->len, data, len);
  to->len += len;
}

static net_tls_records *move(net_tls_records *records)
{
  static saved bytes;
  bytes.len = 0;
  net_tls_records_save(records, on_put, &bytes);
  FUZZ_CHECK(bytes.len == net_tls_records_saved_len(records));
  net_tls_records_free(records);
  records = net_tls_records_load(bytes.data, bytes.len);
  FUZZ_CHECK(records);
  return records;
}

static net_tls_records *read_all(net_tls_records *records, reader *r, size_t cap)
{
  const net_tls_io io = {r, on_send, on_recv};
  uint8_t *out = malloc(cap);
  FUZZ_CHECK(out);
  do {
    r->result = net_tls_records_read(records, &io, out, cap);
    if (r->result == NET_TLS_WANT_READ && r->moves)
      records = move(records);
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
  return records;
}

/* It can be written all the same, and new keys that were asked for go before that. */
static void write_one(net_tls_records *records, reader *r)
{
  const net_tls_io io = {r, on_send, on_recv};
  r->blocked = false;
  FUZZ_CHECK(net_tls_records_write(records, &io, plain, 100) == 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  const uint8_t kind = fuzz_byte(&in) % 6;
  const net_tls_version version = kind < 3 ? NET_TLS_12 : NET_TLS_13;
  const uint64_t number = version == NET_TLS_12;
  net_tls_agreed agreed = {.version = version,
                           .kind = kind % 3,
                           .keys = keys,
                           .server = true,
                           .most = NET_TLS_RECORD,
                           .in = number,
                           .out = number};
  const size_t step = 1u + fuzz_byte(&in) * 16u, cap = 1u + fuzz_byte(&in) * 80u;
  const bool blocked = fuzz_byte(&in) & 1;
  reader readers[] = {{.step = step, .blocked = blocked},
                      {.step = 1, .blocked = blocked},
                      {.step = step, .blocked = blocked, .moves = true}};
  sender s = {.sound = true};
  FUZZ_CHECK(version == NET_TLS_13 ? net_tls_flow_begin_13(&s.flow, agreed.kind, keys)
                                   : net_tls_flow_begin_12(&s.flow, agreed.kind, keys,
                                                           keys + 2 * net_aead_key_len(agreed.kind)));
  s.flow.number = number;
  make_wire(&in, &s);
  net_tls_flow_end(&s.flow);
  net_tls_records *records[3];
  for (unsigned i = 0; i < 3; i++) {
    records[i] = net_tls_records_new(&agreed);
    FUZZ_CHECK(records[i]);
    records[i] =
        read_all(records[i], &readers[i], i == 1 ? NET_TLS_RECORD + PADDING + NET_TLS_OVERHEAD : cap);
  }
  for (unsigned i = 1; i < 3; i++) {
    FUZZ_CHECK(readers[0].got == readers[i].got && readers[0].sent == readers[i].sent);
    FUZZ_CHECK(readers[0].result == readers[i].result);
    FUZZ_CHECK(strcmp(net_tls_records_error(records[0]), net_tls_records_error(records[i])) == 0);
  }
  for (unsigned i = 0; i < 3; i++) {
    write_one(records[i], &readers[i]);
    FUZZ_CHECK(i == 0 || readers[i].sent == readers[0].sent);
    net_tls_records_free(records[i]);
  }
  fuzz_sink = (uint32_t)readers[0].got;
  return 0;
}
