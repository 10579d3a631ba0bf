/* SPDX-License-Identifier: Apache-2.0 */
#include "otel_env.h"

#include "common/decimal.h"
#include "common/hex.h"
#include "common/strip.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COMPLAINTS_MAX 32

/* What was complained about, so that a variable of both signals is named once. */
typedef struct complaints {
  unsigned count;
  struct {
    char name[OTEL_NAME_MAX];
    const char *problem;
  } each[COMPLAINTS_MAX];
} complaints;

typedef struct reader {
  const char *own;
  complaints *told;
  char *(*env)(const char *name);
  otel_complain complain;
  void *ctx;
} reader;

/* All that is read here or in resource.c, and what belongs to the container's script. Of those with a signal's name in them also those
 * with that of the other, and without. */
static const char *const honoured[] = {
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_METRICS_EXPORTER",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "OTEL_METADATA_DISCOVERY_METHOD",
};

static const char *const of_signals[] = {"ENDPOINT", "HEADERS",     "PROTOCOL",
                                         "TIMEOUT",  "CERTIFICATE", "INSECURE"};

static void complain(const reader *r, const char *name, const char *value, const char *problem)
{
  complaints *told = r->told;
  for (unsigned i = 0; i < told->count; i++)
    if (told->each[i].problem == problem && strcmp(told->each[i].name, name) == 0)
      return;
  if (told->count < COMPLAINTS_MAX) {
    snprintf(told->each[told->count].name, OTEL_NAME_MAX, "%s", name);
    told->each[told->count++].problem = problem;
  }
  if (r->complain)
    r->complain(r->ctx, name, value, problem);
}

/* The variable's value, or NULL: an empty one is unset. */
static const char *get(const reader *r, const char *name)
{
  const char *value = r->env(name);
  return value && *value ? value : NULL;
}

/* OTEL_EXPORTER_OTLP_|signal|_|what|, or without the signal where that is not set. |name| is the one that it is. */
static const char *get_of(const reader *r, const char *signal, const char *what, char name[OTEL_NAME_MAX])
{
  snprintf(name, OTEL_NAME_MAX, "OTEL_EXPORTER_OTLP_%s_%s", signal, what);
  const char *value = get(r, name);
  if (value)
    return value;
  snprintf(name, OTEL_NAME_MAX, "OTEL_EXPORTER_OTLP_%s", what);
  return get(r, name);
}

static bool is_true(const char *text)
{
  return text && strcasecmp(text, "true") == 0;
}

unsigned otel_read_ms(const char *text)
{
  uint64_t value;
  return decimal_read(text, strlen(text), INT32_MAX, &value) ? (unsigned)value : 0;
}

static unsigned read_ms(const reader *r, const char *name, const char *value, unsigned otherwise)
{
  const unsigned ms = value ? otel_read_ms(value) : otherwise;
  if (!ms)
    complain(r, name, value, "it is no number of milliseconds");
  return ms ? ms : otherwise;
}

/* ---- headers ---- */

static bool is_token(const char *text, size_t len)
{
  static const char others[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < len; i++) {
    const char c = text[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(others, c)))
      return false;
  }
  return len > 0;
}

/* Those that HTTP/2 and gRPC have a use of their own for. */
static bool is_reserved(const char *name)
{
  static const char *const names[] = {"te",         "content-type",    "user-agent",        "host",
                                      "connection", "content-length",  "transfer-encoding", "upgrade",
                                      "keep-alive", "proxy-connection"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return strncmp(name, "grpc-", 5) == 0;
}

/* Decodes per cent into the |len| + 1 bytes at |out|. Returns whether all of it may stand in a header. */
static bool decode_value(const char *text, size_t len, char *out)
{
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    const int byte = percent_byte(text + i, len - i);
    if (byte >= 0) {
      c = (char)byte;
      i += 2;
    }
    if (c < ' ' || c > '~')
      return false;
    *out++ = c;
  }
  *out = 0;
  return true;
}

/* Takes one key=value. Returns what is wrong with it, or NULL. */
static const char *add_header(otel_signal *s, const char *pair, size_t len)
{
  const char *equals = memchr(pair, '=', len);
  if (!equals)
    return "expected key=value, with commas between them";
  const stripped name = trim(pair, (size_t)(equals - pair)),
                 value = trim(equals + 1, (size_t)(pair + len - equals) - 1);
  if (!is_token(name.text, name.len))
    return "a key is no name of a header";
  if (s->header_count == GRPC_MAX_HEADERS || name.len + value.len + 2 > sizeof s->text - s->text_len)
    return "there are too many headers";
  char *at = s->text + s->text_len, *decoded = at + name.len + 1;
  for (size_t i = 0; i < name.len; i++)
    at[i] = (char)(name.text[i] >= 'A' && name.text[i] <= 'Z' ? name.text[i] + ('a' - 'A') : name.text[i]);
  at[name.len] = 0;
  if (is_reserved(at))
    return "a header is one that gRPC sets itself";
  if (!decode_value(value.text, value.len, decoded))
    return "a value is no text for a header";
  s->headers[s->header_count++] = (grpc_header){at, decoded};
  s->text_len += name.len + 1 + strlen(decoded) + 1;
  return NULL;
}

/* Values may be secrets, and are not complained about in words. */
static void read_headers(const reader *r, otel_signal *s, const char *signal)
{
  char name[OTEL_NAME_MAX];
  const char *p = get_of(r, signal, "HEADERS", name);
  while (p && *p) {
    const size_t len = strcspn(p, ",");
    const stripped part = trim(p, len);
    p += len + (p[len] == ',');
    const char *problem = part.len ? add_header(s, part.text, part.len) : NULL;
    if (problem)
      complain(r, name, NULL, problem);
  }
}

/* ---- signals ---- */

/* Whether |list|, with commas, has |word|. */
static bool has_word(const char *list, const char *word)
{
  const size_t wanted = strlen(word);
  while (*list) {
    const size_t len = strcspn(list, ",");
    const stripped part = trim(list, len);
    list += len + (list[len] == ',');
    if (part.len == wanted && strncasecmp(part.text, word, wanted) == 0)
      return true;
  }
  return false;
}

/* OTEL_METRICS_EXPORTER and OTEL_TRACES_EXPORTER. */
static bool is_exported(const reader *r, const char *name)
{
  const char *list = get(r, name);
  if (!list || has_word(list, "otlp"))
    return true;
  /* What Prometheus asks for is always there. */
  if (!has_word(list, "none") && !has_word(list, "prometheus"))
    complain(r, name, list, "only otlp and none are known, so nothing of it is exported");
  return false;
}

static bool is_sampled(const reader *r)
{
  static const char name[] = "OTEL_TRACES_SAMPLER";
  const char *sampler = get(r, name);
  if (!sampler || strcmp(sampler, "always_on") == 0 || strcmp(sampler, "parentbased_always_on") == 0)
    return true;
  if (strcmp(sampler, "always_off") == 0 || strcmp(sampler, "parentbased_always_off") == 0)
    return false;
  complain(r, name, sampler, "only always_on and always_off are known: there is a span for each request");
  return true;
}

static const char beaten[] = "it has no effect: --otlp-grpc-endpoint is set";

/* What is wrong with an endpoint, or NULL. It may hold a password, or a key in its query: this is all that is told of it. */
static const char *judge_endpoint(const char *text)
{
  const char *scheme = strstr(text, "://");
  const char *host = scheme ? scheme + 3 : text;
  const char *end = host + strcspn(host, "/?#");
  if (memchr(host, '@', (size_t)(end - host)))
    return "expected a URL without a user name";
  if (*end && strcmp(end, "/") != 0)
    return "gRPC has no paths: expected a URL without a path or query";
  return grpc_check_endpoint(text);
}

/* Where to: the option's endpoint, or the variables'. Returns whether there is one. */
static bool read_endpoint(const reader *r, otel_signal *s, const char *signal)
{
  char name[OTEL_NAME_MAX], other[OTEL_NAME_MAX];
  const char *standard = get_of(r, signal, "ENDPOINT", name);
  const char *scheme = "";
  if (r->own) {
    if (standard)
      complain(r, name, NULL, beaten);
    if (get_of(r, signal, "INSECURE", other))
      complain(r, other, NULL, beaten);
    standard = r->own;
  } else if (standard && !strstr(standard, "://")) {
    scheme = is_true(get_of(r, signal, "INSECURE", other)) ? "http://" : "https://";
  }
  if (!standard)
    return false;
  const int len = snprintf(s->endpoint, sizeof s->endpoint, "%s%s", scheme, standard);
  const char *problem = len < (int)sizeof s->endpoint ? judge_endpoint(s->endpoint) : "it is too long";
  if (problem)
    complain(r, name, NULL, problem);
  return !problem;
}

/* Without an endpoint nothing else has an effect. */
static void complain_of_rest(const reader *r, const char *signal)
{
  char name[OTEL_NAME_MAX];
  for (size_t i = 0; i < sizeof of_signals / sizeof *of_signals; i++)
    if (get_of(r, signal, of_signals[i], name))
      complain(r, name, NULL, "it has no effect: no endpoint is set");
}

static void read_signal(const reader *r, otel_signal *s, const char *signal)
{
  char name[OTEL_NAME_MAX];
  if (!read_endpoint(r, s, signal)) {
    if (!s->endpoint[0])
      complain_of_rest(r, signal);
    return;
  }
  const char *protocol = get_of(r, signal, "PROTOCOL", name);
  if (protocol && strcmp(protocol, "grpc") != 0) {
    complain(r, name, protocol, r->own ? beaten : "only grpc is spoken, so nothing is exported");
    if (!r->own)
      return;
  }
  const char *timeout = get_of(r, signal, "TIMEOUT", name);
  s->timeout_ms = read_ms(r, name, timeout, OTEL_CALL_MS);
  s->certificate = get_of(r, signal, "CERTIFICATE", s->certificate_name);
  read_headers(r, s, signal);
  s->on = true;
}

bool otel_is_same(const otel_signal *a, const otel_signal *b)
{
  const bool same_certificate = a->certificate && b->certificate ? strcmp(a->certificate, b->certificate) == 0
                                                                 : a->certificate == b->certificate;
  return same_certificate && strcmp(a->endpoint, b->endpoint) == 0 && a->text_len == b->text_len &&
         memcmp(a->text, b->text, a->text_len) == 0;
}

/* ---- the rest ---- */

static const char temporality_name[] = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

static enum otlp_temporality read_temporality(const reader *r)
{
  static const char *const names[] = {
      [OTLP_CUMULATIVE] = "cumulative", [OTLP_DELTA] = "delta", [OTLP_LOW_MEMORY] = "lowmemory"};
  const char *text = get(r, temporality_name);
  for (unsigned i = 0; text && i < sizeof names / sizeof *names; i++)
    if (strcasecmp(text, names[i]) == 0)
      return (enum otlp_temporality)i;
  if (text)
    complain(r, temporality_name, text,
             "it is none of cumulative, delta and lowmemory: it stays at cumulative");
  return OTLP_CUMULATIVE;
}

/* What there is for metrics alone. */
static void read_of_metrics(const reader *r, otel_settings *out)
{
  static const char interval[] = "OTEL_METRIC_EXPORT_INTERVAL";
  if (out->metrics.on) {
    out->interval_ms = read_ms(r, interval, get(r, interval), OTEL_INTERVAL_MS);
    out->temporality = read_temporality(r);
    return;
  }
  out->interval_ms = OTEL_INTERVAL_MS;
  out->temporality = OTLP_CUMULATIVE;
  if (get(r, interval))
    complain(r, interval, NULL, "it has no effect: no metrics are exported");
  if (get(r, temporality_name))
    complain(r, temporality_name, NULL, "it has no effect: no metrics are exported");
}

static bool is_name(const char *entry, size_t len, const char *name)
{
  return strlen(name) == len && strncmp(entry, name, len) == 0;
}

static bool is_honoured(const char *entry, size_t len)
{
  static const char *const signals[] = {"", "METRICS_", "TRACES_"};
  char name[OTEL_NAME_MAX];
  for (size_t i = 0; i < sizeof honoured / sizeof *honoured; i++)
    if (is_name(entry, len, honoured[i]))
      return true;
  for (size_t i = 0; i < sizeof of_signals / sizeof *of_signals; i++) {
    for (size_t k = 0; k < sizeof signals / sizeof *signals; k++) {
      snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s%s", signals[k], of_signals[i]);
      if (is_name(entry, len, name))
        return true;
    }
  }
  return false;
}

/* Whether to say "none" is what is done anyway. */
static bool is_met(const char *entry, size_t len)
{
  return strcmp(entry + len + 1, "none") == 0 &&
         (is_name(entry, len, "OTEL_LOGS_EXPORTER") || strncmp(entry + len - 11, "COMPRESSION", 11) == 0);
}

/* Names those that nobody reads. */
static void name_left(otel_settings *out, char *const *all)
{
  static const char prefix[] = "OTEL_";
  size_t used = 0;
  for (; all && *all; all++) {
    const size_t len = strcspn(*all, "=");
    if (strncmp(*all, prefix, sizeof prefix - 1) != 0 || !(*all)[len] || !(*all)[len + 1] || len < 12 ||
        is_honoured(*all, len) || is_met(*all, len) || used + len + 3 > sizeof out->left)
      continue;
    used += (size_t)snprintf(out->left + used, sizeof out->left - used, "%s%.*s", used ? ", " : "", (int)len,
                             *all);
  }
}

void otel_read(otel_settings *out, const char *own_endpoint, char *(*env)(const char *name), char *const *all,
               otel_complain complain_to, void *ctx)
{
  complaints told = {0};
  const reader r = {own_endpoint && *own_endpoint ? own_endpoint : NULL, &told, env, complain_to, ctx};
  memset(out, 0, sizeof *out);
  const bool disabled = is_true(get(&r, "OTEL_SDK_DISABLED"));
  if (disabled && r.own)
    complain(&r, "OTEL_SDK_DISABLED", NULL, beaten);
  if (disabled && !r.own)
    return;
  if (is_exported(&r, "OTEL_METRICS_EXPORTER"))
    read_signal(&r, &out->metrics, "METRICS");
  if (is_exported(&r, "OTEL_TRACES_EXPORTER") && is_sampled(&r))
    read_signal(&r, &out->traces, "TRACES");
  read_of_metrics(&r, out);
  name_left(out, all);
}
