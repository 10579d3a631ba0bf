/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp_build.h"

#include <string.h>

#include "trace.pb-c.h"

#define MAX_ATTRIBUTES 7u

static void add(Otlp__Span *out, Otlp__KeyValue *pair)
{
  if (pair)
    out->attributes[out->n_attributes++] = pair;
}

static void add_addr(arena *a, Otlp__Span *out, const char *key, const fzr_addr *addr)
{
  char *text = addr->family ? arena_take(a, FZR_ADDR_TEXT_MAX) : NULL;
  if (text && fzr_addr_format(addr, true, text, FZR_ADDR_TEXT_MAX) > 0)
    add(out, otlp_string(a, key, text));
}

static void add_txid(arena *a, Otlp__Span *out, const uint8_t txid[12])
{
  static const char digits[] = "0123456789abcdef";
  char *text = arena_take(a, 25);
  if (!text)
    return;
  for (size_t i = 0; i < 12; i++) {
    text[2 * i] = digits[txid[i] >> 4];
    text[2 * i + 1] = digits[txid[i] & 15];
  }
  add(out, otlp_string(a, "tid", text));
}

static void add_attributes(arena *a, Otlp__Span *out, const span *s)
{
  add_addr(a, out, "sender", &s->sender);
  if (s->has_txid)
    add_txid(a, out, s->txid);
  if (s->software_len) {
    const char *text = otlp_text(a, s->software, s->software_len);
    if (text)
      add(out, otlp_string(a, "software", text));
  }
  add_addr(a, out, "peer", &s->peer);
  if (s->allocation)
    add(out, otlp_int(a, "allocation", s->allocation));
  if (s->channel)
    add(out, otlp_int(a, "channel", s->channel));
  if (s->error_code)
    add(out, otlp_int(a, "error_code", s->error_code));
}

static Otlp__Status *make_status(arena *a, uint16_t error_code)
{
  OTLP_NEW(a, Otlp__Status, OTLP__STATUS__INIT, status);
  if (status) {
    status->code = OTLP__STATUS_CODE__STATUS_CODE_ERROR;
    status->message = (char *)fzr_stun_error_reason(error_code);
  }
  return status;
}

static Otlp__Span *make_span(arena *a, const span *s, uint64_t to_unix_ns)
{
  OTLP_NEW(a, Otlp__Span, OTLP__SPAN__INIT, out);
  Otlp__KeyValue **attributes = arena_take(a, MAX_ATTRIBUTES * sizeof *attributes);
  if (!out || !attributes)
    return NULL;
  out->trace_id.data = (uint8_t *)s->trace_id;
  out->trace_id.len = sizeof s->trace_id;
  out->span_id.data = (uint8_t *)s->span_id;
  out->span_id.len = sizeof s->span_id;
  out->name = (char *)span_name(s);
  out->kind = OTLP__SPAN_KIND__SPAN_KIND_SERVER;
  out->start_time_unix_nano = s->start + to_unix_ns;
  out->end_time_unix_nano = s->end + to_unix_ns;
  out->attributes = attributes;
  add_attributes(a, out, s);
  if (s->error_code)
    out->status = make_status(a, s->error_code);
  return out;
}

uint8_t *otlp_pack_spans(const otlp_origin *origin, const span *spans, size_t n, uint64_t to_unix_ns,
                         size_t *len)
{
  arena a = {0};
  Otlp__ExportTraces request = OTLP__EXPORT_TRACES__INIT;
  Otlp__ResourceSpans resources = OTLP__RESOURCE_SPANS__INIT, *resources_list = &resources;
  Otlp__ScopeSpans scopes = OTLP__SCOPE_SPANS__INIT, *scopes_list = &scopes;
  Otlp__Span **list = arena_take(&a, (n ? n : 1) * sizeof *list);
  for (size_t i = 0; list && i < n && !a.failed; i++)
    list[i] = make_span(&a, &spans[i], to_unix_ns);
  request.resource_spans = &resources_list;
  request.n_resource_spans = 1;
  resources.resource = otlp_resource(&a, origin->resource);
  resources.scope_spans = &scopes_list;
  resources.n_scope_spans = 1;
  scopes.scope = otlp_scope(&a, origin->version);
  scopes.spans = list;
  scopes.n_spans = n;
  return otlp_pack(&a, &request.base, len);
}
