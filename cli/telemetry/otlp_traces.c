/* SPDX-License-Identifier: Apache-2.0 */
/* Spans are written by hand: protobuf-c takes 230 ns for one, and this 26 (512 spans of Binding requests). A request that arrives while
 * the exporter runs has to interrupt it, which makes it late: at 10,000 a second that were 8 of 512 with protobuf-c, now it is 2, most of
 * it the kernel's part. */
#include "otlp_build.h"

#include "common/utf8.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

/* Field numbers of OTLP's messages, see proto/trace.proto and proto/common.proto. */
enum { TRACES_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS = 2 };
enum {
  SPAN_TRACE_ID = 1,
  SPAN_SPAN_ID = 2,
  SPAN_NAME = 5,
  SPAN_KIND = 6,
  SPAN_START = 7,
  SPAN_END = 8,
  SPAN_ATTRIBUTES = 9,
  SPAN_STATUS = 15
};
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };
enum { ANY_STRING = 1, ANY_INT = 3 };

enum { KIND_SERVER = 2, CODE_ERROR = 2 };

#define SPAN_MAX    1024u /* bytes of one, with everything in it */
#define FIRST_BYTES 65536u
#define LENGTHS     12u /* two tags and lengths of up to five bytes */

struct otlp_spans {
  uint8_t *bytes; /* room for the head, and spans */
  size_t cap, len;
  size_t count;
  fzr_time oldest;
  uint8_t *resource, *scope; /* fields of their messages, with tag and length */
  size_t resource_len, scope_len;
};

/* ---- one span ---- */

/* Inlined, so that the compiler knows the keys' lengths. */
#define INLINE static inline __attribute__((always_inline))

INLINE void add_text(wire *w, const char *key, const void *text, size_t len)
{
  const size_t key_len = strlen(key), any_len = wire_len_size(len);
  wire_open(w, SPAN_ATTRIBUTES, wire_len_size(key_len) + wire_len_size(any_len));
  wire_bytes(w, PAIR_KEY, key, key_len);
  wire_open(w, PAIR_VALUE, any_len);
  wire_bytes(w, ANY_STRING, text, len);
}

INLINE void add_int(wire *w, const char *key, uint64_t value)
{
  const size_t key_len = strlen(key), any_len = 1 + wire_varint_size(value);
  if (!value)
    return;
  wire_open(w, SPAN_ATTRIBUTES, wire_len_size(key_len) + wire_len_size(any_len));
  wire_bytes(w, PAIR_KEY, key, key_len);
  wire_open(w, PAIR_VALUE, any_len);
  wire_uint(w, ANY_INT, value);
}

INLINE void add_addr(wire *w, const char *key, const fzr_addr *addr)
{
  char text[FZR_ADDR_TEXT_MAX];
  const int len = addr->family ? fzr_addr_format(addr, true, text, sizeof text) : 0;
  if (len > 0)
    add_text(w, key, text, (size_t)len);
}

static void add_txid(wire *w, const uint8_t txid[12])
{
  static const char digits[] = "0123456789abcdef";
  char text[24];
  for (size_t i = 0; i < 12; i++) {
    text[2 * i] = digits[txid[i] >> 4];
    text[2 * i + 1] = digits[txid[i] & 15];
  }
  add_text(w, "tid", text, sizeof text);
}

static void add_software(wire *w, const span *s)
{
  char text[SPAN_SOFTWARE_MAX * 3 + 1]; /* each byte may become U+FFFD */
  if (s->software_len)
    add_text(w, "software", text, utf8_copy(s->software, s->software_len, text, sizeof text));
}

static void add_status(wire *w, uint16_t error_code)
{
  const char *reason = fzr_stun_error_reason(error_code);
  const size_t len = strlen(reason);
  wire_open(w, SPAN_STATUS, (len ? wire_len_size(len) : 0) + 2);
  if (len)
    wire_bytes(w, STATUS_MESSAGE, reason, len);
  wire_uint(w, STATUS_CODE, CODE_ERROR);
}

static void write_span(wire *w, const span *s, uint64_t to_unix_ns)
{
  const char *name = span_name(s);
  wire_bytes(w, SPAN_TRACE_ID, s->trace_id, sizeof s->trace_id);
  wire_bytes(w, SPAN_SPAN_ID, s->span_id, sizeof s->span_id);
  wire_bytes(w, SPAN_NAME, name, strlen(name));
  wire_uint(w, SPAN_KIND, KIND_SERVER);
  wire_fixed64(w, SPAN_START, s->start + to_unix_ns);
  wire_fixed64(w, SPAN_END, s->end + to_unix_ns);
  add_addr(w, "sender", &s->sender);
  if (s->has_txid)
    add_txid(w, s->txid);
  add_software(w, s);
  add_addr(w, "peer", &s->peer);
  add_int(w, "allocation", s->allocation);
  add_int(w, "channel", s->channel);
  add_int(w, "error_code", s->error_code);
  if (s->error_code)
    add_status(w, s->error_code);
}

/* ---- many ---- */

static size_t head_room(const otlp_spans *b)
{
  return LENGTHS + b->resource_len + b->scope_len;
}

/* |message| as a field of number 1, malloc'ed; NULL if memory is out. */
static uint8_t *as_field_1(arena *a, const ProtobufCMessage *message, size_t *len)
{
  size_t inner_len;
  uint8_t *inner = otlp_pack(a, message, &inner_len),
          *field = inner ? malloc(wire_len_size(inner_len)) : NULL;
  if (field) {
    *len = wire_len_size(inner_len);
    wire w = {field, field + *len, false};
    wire_bytes(&w, 1, inner, inner_len);
  }
  free(inner);
  return field;
}

otlp_spans *otlp_spans_new(const otlp_origin *origin)
{
  arena a = {0};
  otlp_spans *b = calloc(1, sizeof *b);
  if (!b)
    return NULL;
  _Static_assert(RESOURCE_SPANS_RESOURCE == 1 && SCOPE_SPANS_SCOPE == 1, "as_field_1 is for both");
  const Otlp__Resource *who = otlp_resource(&a, origin->resource);
  b->resource = who ? as_field_1(&a, &who->base, &b->resource_len) : NULL;
  const Otlp__Scope *program = otlp_scope(&a, origin->version);
  b->scope = program ? as_field_1(&a, &program->base, &b->scope_len) : NULL;
  arena_free(&a);
  b->cap = head_room(b) + FIRST_BYTES;
  b->bytes = malloc(b->cap);
  if (!b->resource || !b->scope || !b->bytes) {
    otlp_spans_free(b);
    return NULL;
  }
  otlp_spans_clear(b);
  return b;
}

void otlp_spans_free(otlp_spans *b)
{
  if (!b)
    return;
  free(b->bytes);
  free(b->resource);
  free(b->scope);
  free(b);
}

void otlp_spans_clear(otlp_spans *b)
{
  b->len = head_room(b);
  b->count = 0;
}

static bool reserve(otlp_spans *b, size_t more)
{
  if (b->cap - b->len >= more)
    return true;
  uint8_t *bytes = realloc(b->bytes, 2 * b->cap);
  if (!bytes)
    return false;
  b->bytes = bytes;
  b->cap *= 2;
  return true;
}

int otlp_spans_add(otlp_spans *b, const span *s, uint64_t to_unix_ns)
{
  uint8_t one[SPAN_MAX];
  wire w = {one, one + sizeof one, false};
  write_span(&w, s, to_unix_ns);
  const size_t len = (size_t)(w.p - one), size = wire_len_size(len);
  if (w.full || !reserve(b, size))
    return -1;
  w = (wire){b->bytes + b->len, b->bytes + b->cap, false};
  wire_bytes(&w, SCOPE_SPANS_SPANS, one, len);
  if (!b->count++)
    b->oldest = s->end;
  b->len += size;
  return 0;
}

size_t otlp_spans_count(const otlp_spans *b)
{
  return b->count;
}

fzr_time otlp_spans_oldest(const otlp_spans *b)
{
  return b->oldest;
}

const uint8_t *otlp_spans_message(otlp_spans *b, size_t *len)
{
  const size_t room = head_room(b), scope_spans = b->scope_len + b->len - room;
  const size_t resource_spans = b->resource_len + wire_len_size(scope_spans);
  *len = wire_len_size(resource_spans);
  uint8_t *begin = b->bytes + b->len - *len;
  wire w = {begin, b->bytes + room, false};
  wire_open(&w, TRACES_RESOURCE_SPANS, resource_spans);
  wire_raw(&w, b->resource, b->resource_len);
  wire_open(&w, RESOURCE_SPANS_SCOPE_SPANS, scope_spans);
  wire_raw(&w, b->scope, b->scope_len);
  return begin;
}
