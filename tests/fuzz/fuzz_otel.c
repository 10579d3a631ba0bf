/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as what configures OpenTelemetry: the first byte says which variable or option. Beside them, what a collector's answer holds
 * in headers and body. */
#include "fuzz.h"

#include "grpc/internal.h"
#include "telemetry/otel_env.h"
#include "telemetry/otlp.h"
#include "telemetry/telemetry.h"
#include "common/utf8.h"

static bool is_utf8(const char *text)
{
  const size_t len = strlen(text);
  for (size_t i = 0; i < len;) {
    uint32_t code;
    const size_t n = utf8_read((const uint8_t *)text + i, len - i, &code);
    if (!n)
      return false;
    i += n;
  }
  return true;
}

static void check_resource(const char *service_name, const char *attributes)
{
  static resource r;
  static const otlp_origin origin = {&r, "1"};
  const resource_facts facts = {.version = "1", .attributes = attributes, .service_name = service_name};
  resource_make(&r, &facts, NULL, NULL);
  FUZZ_CHECK(r.count >= 6 && r.count <= RESOURCE_MAX);
  FUZZ_CHECK(resource_get(&r, "service.name") && resource_get(&r, "telemetry.sdk.name"));
  for (size_t i = 0; i < r.count; i++) {
    FUZZ_CHECK(r.attributes[i].key[0] && is_utf8(r.attributes[i].key) && is_utf8(r.attributes[i].value));
    FUZZ_CHECK(resource_get(&r, r.attributes[i].key) == r.attributes[i].value);
  }
  size_t len;
  otlp_spans *batch = otlp_spans_new(&origin);
  FUZZ_CHECK(batch && otlp_spans_message(batch, &len) && len > 0);
  otlp_spans_free(batch);
}

static void check_answer(const uint8_t *data, size_t size)
{
  char out[64];
  otlp_partial partial;
  uint8_t *exact = fuzz_exact(data, size);
  grpc_decode_message(exact, size, out, sizeof out);
  FUZZ_CHECK(is_utf8(out));
  const int64_t delay = grpc_retry_delay(exact, size);
  FUZZ_CHECK(delay >= -1 && delay <= 3601000);
  if (otlp_read_response(exact, size, &partial))
    FUZZ_CHECK(is_utf8(partial.message));
  free(exact);
}

static char *header_text;

static char *headers_alone(const char *name)
{
  static char where[] = "http://h";
  return strcmp(name, "OTEL_EXPORTER_OTLP_HEADERS") == 0    ? header_text
         : strcmp(name, "OTEL_EXPORTER_OTLP_ENDPOINT") == 0 ? where
                                                            : NULL;
}

/* Whatever it says, no line can end early, and no header is one of HTTP/2's or gRPC's own. */
static void check_headers(char *text)
{
  static otel_settings s;
  header_text = text;
  otel_read(&s, NULL, headers_alone, NULL, NULL, NULL);
  FUZZ_CHECK(s.metrics.on && s.traces.on && s.metrics.header_count <= GRPC_MAX_HEADERS);
  FUZZ_CHECK(otel_is_same(&s.metrics, &s.traces));
  for (size_t i = 0; i < s.metrics.header_count; i++) {
    const grpc_header *h = &s.metrics.headers[i];
    FUZZ_CHECK(*h->name && h->name[0] != ':' && strncmp(h->name, "grpc-", 5) != 0);
    for (const char *p = h->name; *p; p++)
      FUZZ_CHECK(*p > ' ' && *p < 0x7f && !(*p >= 'A' && *p <= 'Z'));
    for (const char *p = h->value; *p; p++)
      FUZZ_CHECK(*p >= ' ' && *p < 0x7f);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  const uint8_t which = fuzz_byte(&in);
  char host[GRPC_HOST_MAX + 1];
  uint16_t port = 0;
  char *text = malloc(in.size + 1);
  FUZZ_CHECK(text);
  if (in.size)
    memcpy(text, in.data, in.size);
  text[in.size] = 0;
  switch (which == UINT8_MAX ? 5 : which % 5) {
  case 0:
    check_resource(NULL, text);
    break;
  case 1:
    check_resource(text, NULL);
    break;
  case 2:
    if (!grpc_parse_endpoint(text, host, &port))
      FUZZ_CHECK(host[0] && port && strlen(host) <= GRPC_HOST_MAX);
    break;
  case 3: {
    const unsigned interval = otel_read_ms(text);
    FUZZ_CHECK(interval <= INT32_MAX);
    break;
  }
  case 5:
    check_headers(text);
    break;
  default:
    check_answer(in.data, in.size);
    break;
  }
  free(text);
  return 0;
}
