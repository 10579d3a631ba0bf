/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp_build.h"

#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCOPE_NAME "firezone-relay"

static Otlp__KeyValue *attribute(arena *a, const char *key, Otlp__AnyValue **value)
{
  OTLP_NEW(a, Otlp__AnyValue, OTLP__ANY_VALUE__INIT, any);
  OTLP_NEW(a, Otlp__KeyValue, OTLP__KEY_VALUE__INIT, pair);
  if (!any || !pair)
    return NULL;
  pair->key = (char *)key;
  pair->value = any;
  *value = any;
  return pair;
}

Otlp__KeyValue *otlp_string(arena *a, const char *key, const char *value)
{
  Otlp__AnyValue *any;
  Otlp__KeyValue *pair = attribute(a, key, &any);
  if (pair) {
    any->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    any->string_value = (char *)value;
  }
  return pair;
}

Otlp__KeyValue *otlp_int(arena *a, const char *key, int64_t value)
{
  Otlp__AnyValue *any;
  Otlp__KeyValue *pair = attribute(a, key, &any);
  if (pair) {
    any->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    any->int_value = value;
  }
  return pair;
}

Otlp__Resource *otlp_resource(arena *a, const resource *r)
{
  OTLP_NEW(a, Otlp__Resource, OTLP__RESOURCE__INIT, out);
  Otlp__KeyValue **list = arena_take(a, RESOURCE_MAX * sizeof *list);
  if (!out || !list)
    return NULL;
  out->attributes = list;
  for (size_t i = 0; i < r->count; i++) {
    list[i] = otlp_string(a, r->attributes[i].key, r->attributes[i].value);
    if (!list[i])
      return NULL;
    out->n_attributes++;
  }
  return out;
}

Otlp__Scope *otlp_scope(arena *a, const char *version)
{
  OTLP_NEW(a, Otlp__Scope, OTLP__SCOPE__INIT, out);
  if (out) {
    out->name = (char *)SCOPE_NAME;
    out->version = (char *)version;
  }
  return out;
}

uint8_t *otlp_pack(arena *a, const ProtobufCMessage *message, size_t *len)
{
  uint8_t *bytes = NULL;
  if (!a->failed) {
    *len = protobuf_c_message_get_packed_size(message);
    bytes = malloc(*len + 1);
    if (bytes)
      protobuf_c_message_pack(message, bytes);
  }
  arena_free(a);
  return bytes;
}

bool otlp_read_response(const uint8_t *data, size_t len, otlp_partial *out)
{
  memset(out, 0, sizeof *out);
  Otlp__ExportResponse *r = otlp__export_response__unpack(NULL, len, data);
  if (!r)
    return false;
  if (r->partial_success) {
    out->rejected = r->partial_success->rejected;
    const char *text = r->partial_success->error_message;
    utf8_copy((const uint8_t *)text, strlen(text), out->message, sizeof out->message);
  }
  otlp__export_response__free_unpacked(r, NULL);
  return true;
}
