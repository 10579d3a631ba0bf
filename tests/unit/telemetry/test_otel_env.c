/* SPDX-License-Identifier: Apache-2.0 */
/* OpenTelemetry's variables, in an environment of the test's. */
#include "testing.h"

#include "telemetry/otel_env.h"

#include <stdio.h>

static otel_settings s;
static char *variables[32];
static unsigned count, complaints;
static char last_name[64], last_value[64], last_problem[128];

static void complain(void *ctx, const char *name, const char *value, const char *problem)
{
  ck_assert_ptr_eq(ctx, &s);
  complaints++;
  snprintf(last_name, sizeof last_name, "%s", name);
  snprintf(last_value, sizeof last_value, "%s", value ? value : "-");
  snprintf(last_problem, sizeof last_problem, "%s", problem);
}

static char *env(const char *name)
{
  const size_t len = strlen(name);
  for (unsigned i = 0; i < count; i++)
    if (strncmp(variables[i], name, len) == 0 && variables[i][len] == '=')
      return variables[i] + len + 1;
  return NULL;
}

/* Reads with |own| as the option and the lines of |text| as the environment. */
static void read_with(const char *own, const char *text)
{
  static char copy[16384];
  count = complaints = 0;
  snprintf(copy, sizeof copy, "%s", text);
  for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
    variables[count++] = line;
  variables[count] = NULL;
  otel_read(&s, own, env, variables, complain, &s);
}

#define E "OTEL_EXPORTER_OTLP_"

START_TEST(test_nothing_is_on_by_itself)
{
  read_with(NULL, "PATH=/bin");
  ck_assert(!s.metrics.on && !s.traces.on && !complaints);
  read_with("", "OTEL_SERVICE_NAME=x\n" E "ENDPOINT=");
  ck_assert(!s.metrics.on && !s.traces.on && !complaints);
  read_with(NULL, E "HEADERS=a=b");
  ck_assert(!s.metrics.on && !s.traces.on);
  ck_assert_uint_eq(complaints, 1);
  ck_assert_str_eq(last_problem, "it has no effect: no endpoint is set");
}
END_TEST

START_TEST(test_option)
{
  read_with("collector:4317", "");
  ck_assert(s.metrics.on && s.traces.on && !complaints);
  ck_assert_str_eq(s.metrics.endpoint, "collector:4317");
  ck_assert_uint_eq(s.metrics.timeout_ms, 10000);
  ck_assert_uint_eq(s.interval_ms, 60000);
  ck_assert_int_eq(s.temporality, OTLP_CUMULATIVE);
  ck_assert(otel_is_same(&s.metrics, &s.traces));
  read_with("collector:4317", E "ENDPOINT=http://other:1");
  ck_assert_str_eq(s.traces.endpoint, "collector:4317");
  ck_assert_uint_eq(complaints, 1); /* once for both signals */
  ck_assert_str_eq(last_name, E "ENDPOINT");
  read_with("collector:4317", "OTEL_SDK_DISABLED=true");
  ck_assert(s.metrics.on && complaints == 1);
  /* What says where to and how is the option's; all else holds beside it. */
  static const char *const without_effect[] = {E "INSECURE=true", E "METRICS_INSECURE=false",
                                               E "PROTOCOL=http/protobuf", E "TRACES_ENDPOINT=http://t"};
  for (size_t i = 0; i < sizeof without_effect / sizeof *without_effect; i++) {
    read_with("collector:4317", without_effect[i]);
    ck_assert_msg(complaints == 1 && s.metrics.on && s.traces.on, "%s: %u", without_effect[i], complaints);
    ck_assert_str_eq(last_problem, "it has no effect: --otlp-grpc-endpoint is set");
  }
  read_with("collector:4317", E "HEADERS=k=v\n" E "CERTIFICATE=/ca\n" E "TRACES_CERTIFICATE=/t\n" E
                                "TIMEOUT=7\n" E "PROTOCOL=grpc\nOTEL_TRACES_SAMPLER=always_on");
  ck_assert(!complaints && s.metrics.header_count == 1 && s.metrics.timeout_ms == 7);
  ck_assert_str_eq(s.metrics.certificate, "/ca");
  ck_assert_str_eq(s.metrics.certificate_name, E "CERTIFICATE");
  ck_assert_str_eq(s.traces.certificate_name, E "TRACES_CERTIFICATE");
}
END_TEST

START_TEST(test_endpoints)
{
  static const struct {
    const char *text, *metrics, *traces; /* "": off */
  } cases[] = {{E "ENDPOINT=https://h", "https://h", "https://h"},
               {E "ENDPOINT=h:1", "https://h:1", "https://h:1"},
               {E "ENDPOINT=h:1\n" E "INSECURE=TRUE", "http://h:1", "http://h:1"},
               {E "ENDPOINT=h:1\n" E "METRICS_INSECURE=true", "http://h:1", "https://h:1"},
               {E "ENDPOINT=https://h:1\n" E "INSECURE=true", "https://h:1", "https://h:1"},
               {E "TRACES_ENDPOINT=http://t", "", "http://t"},
               {E "ENDPOINT=http://h\n" E "METRICS_ENDPOINT=http://m", "http://m", "http://h"},
               {E "ENDPOINT=http://h\n" E "METRICS_PROTOCOL=http/protobuf", "", "http://h"},
               {E "ENDPOINT=http://h\n" E "PROTOCOL=grpc", "http://h", "http://h"},
               {E "ENDPOINT=http://h\nOTEL_SDK_DISABLED=true", "", ""},
               {E "ENDPOINT=http://h\nOTEL_SDK_DISABLED=no", "http://h", "http://h"},
               {E "ENDPOINT=http://h\nOTEL_METRICS_EXPORTER=none", "", "http://h"},
               {E "ENDPOINT=http://h\nOTEL_TRACES_EXPORTER=none", "http://h", ""},
               {E "ENDPOINT=http://h\nOTEL_METRICS_EXPORTER=console, otlp", "http://h", "http://h"},
               {E "ENDPOINT=http://h\nOTEL_TRACES_SAMPLER=always_off", "http://h", ""}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    read_with(NULL, cases[i].text);
    ck_assert_msg(s.metrics.on == (*cases[i].metrics != 0) && s.traces.on == (*cases[i].traces != 0), "%s",
                  cases[i].text);
    if (s.metrics.on)
      ck_assert_str_eq(s.metrics.endpoint, cases[i].metrics);
    if (s.traces.on)
      ck_assert_str_eq(s.traces.endpoint, cases[i].traces);
  }
}
END_TEST

START_TEST(test_what_is_wrong_is_named)
{
  static const struct {
    const char *text, *name, *value, *problem;
  } cases[] = {
      /* An endpoint is not shown, as there may be secrets in it. */
      {E "ENDPOINT=http://h:x", E "ENDPOINT", "-", "the port is not a number from 1 to 65535"},
      {E "ENDPOINT=http://h/v1", E "ENDPOINT", "-",
       "gRPC has no paths: expected a URL without a path or query"},
      {E "ENDPOINT=https://user:S3CRET@h", E "ENDPOINT", "-", "expected a URL without a user name"},
      {E "ENDPOINT=https://h?api-key=S3CRET", E "ENDPOINT", "-",
       "gRPC has no paths: expected a URL without a path or query"},
      {E "METRICS_ENDPOINT=https://h:1/#S3CRET@x", E "METRICS_ENDPOINT", "-",
       "gRPC has no paths: expected a URL without a path or query"},
      /* Without an export nothing is kept quiet of either. */
      {"OTEL_METRIC_EXPORT_INTERVAL=x", "OTEL_METRIC_EXPORT_INTERVAL", "-",
       "it has no effect: no metrics are exported"},
      {E "METRICS_TEMPORALITY_PREFERENCE=delta", E "METRICS_TEMPORALITY_PREFERENCE", "-",
       "it has no effect: no metrics are exported"},
      {E "ENDPOINT=http://h\n" E "PROTOCOL=http/json", E "PROTOCOL", "http/json",
       "only grpc is spoken, so nothing is exported"},
      {E "ENDPOINT=http://h\n" E "TIMEOUT=10s", E "TIMEOUT", "10s", "it is no number of milliseconds"},
      {E "ENDPOINT=http://h\nOTEL_METRIC_EXPORT_INTERVAL=-1", "OTEL_METRIC_EXPORT_INTERVAL", "-1",
       "it is no number of milliseconds"},
      {E "ENDPOINT=http://h\nOTEL_METRICS_EXPORTER=console", "OTEL_METRICS_EXPORTER", "console",
       "only otlp and none are known, so nothing of it is exported"},
      {E "ENDPOINT=http://h\nOTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER", "traceidratio",
       "only always_on and always_off are known: there is a span for each request"},
      {E "ENDPOINT=http://h\n" E "HEADERS=secret", E "HEADERS", "-",
       "expected key=value, with commas between them"},
      {E "ENDPOINT=http://h\n" E "HEADERS=a b=c", E "HEADERS", "-", "a key is no name of a header"},
      {E "ENDPOINT=http://h\n" E "HEADERS=TE=c", E "HEADERS", "-", "a header is one that gRPC sets itself"},
      {E "ENDPOINT=http://h\n" E "HEADERS=grpc-timeout=c", E "HEADERS", "-",
       "a header is one that gRPC sets itself"},
      {E "ENDPOINT=http://h\n" E "HEADERS=:path=c", E "HEADERS", "-", "a key is no name of a header"},
      {E "ENDPOINT=http://h\n" E "HEADERS=a=b%0d%0ac: d", E "HEADERS", "-",
       "a value is no text for a header"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    read_with(NULL, cases[i].text);
    ck_assert_msg(complaints == 1, "%s: %u", cases[i].text, complaints);
    ck_assert_str_eq(last_name, cases[i].name);
    ck_assert_str_eq(last_value, cases[i].value);
    ck_assert_str_eq(last_problem, cases[i].problem);
  }
}
END_TEST

START_TEST(test_headers)
{
  read_with(NULL,
            E "ENDPOINT=http://h\n" E "HEADERS=Api-Key=a%20b%2Cc, ,x = y=%zz ,e=\n" E "TRACES_HEADERS=t=1");
  ck_assert_uint_eq(complaints, 0);
  ck_assert_uint_eq(s.metrics.header_count, 3);
  ck_assert_str_eq(s.metrics.headers[0].name, "api-key");
  ck_assert_str_eq(s.metrics.headers[0].value, "a b,c");
  ck_assert_str_eq(s.metrics.headers[1].name, "x");
  ck_assert_str_eq(s.metrics.headers[1].value, "y=%zz");
  ck_assert_str_eq(s.metrics.headers[2].value, "");
  ck_assert_uint_eq(s.traces.header_count, 1); /* a signal's own replace the general ones */
  ck_assert(!otel_is_same(&s.metrics, &s.traces));
  /* Too many, and too long. */
  char text[12000] = E "ENDPOINT=http://h\n" E "HEADERS=";
  for (unsigned i = 0; i < 20; i++)
    strcat(text, "a=b,");
  read_with(NULL, text);
  ck_assert_uint_eq(s.metrics.header_count, GRPC_MAX_HEADERS);
  ck_assert_str_eq(last_problem, "there are too many headers");
  strcpy(text, E "ENDPOINT=http://h\n" E "HEADERS=a=");
  memset(text + strlen(text), 'v', OTEL_HEADERS_MAX);
  read_with(NULL, text);
  ck_assert_uint_eq(s.metrics.header_count, 0);
}
END_TEST

START_TEST(test_what_nobody_reads_is_listed)
{
  read_with(NULL,
            E "ENDPOINT=http://h\nOTEL_BSP_MAX_QUEUE_SIZE=1\n" E "COMPRESSION=none\nOTEL_LOGS_EXPORTER=none\n"
              "OTEL_LOGS_EXPORTER=otlp\nOTEL_PROPAGATORS=b3\nOTEL_SERVICE_NAME=x\nOTHER=1\nOTEL_RESOURCE_"
              "ATTRIBUTES=a=b\n" E "TRACES_COMPRESSION=gzip\nOTEL_EMPTY=\n" E "CLIENT_KEY=k\n" E
              "METRICS_TIMEOUT=5");
  ck_assert_str_eq(s.left, "OTEL_BSP_MAX_QUEUE_SIZE, OTEL_LOGS_EXPORTER, OTEL_PROPAGATORS, " E
                           "TRACES_COMPRESSION, " E "CLIENT_KEY");
  ck_assert_uint_eq(s.metrics.timeout_ms, 5);
  ck_assert_uint_eq(s.traces.timeout_ms, 10000);
}
END_TEST

/* Nor does it matter whether anything is exported, unless that is what was asked for. */
START_TEST(test_what_nobody_reads_is_listed_without_an_export)
{
  static const char *const because[] = {"", E "ENDPOINT=http://h\n" E "PROTOCOL=http/protobuf\n",
                                        E "ENDPOINT=http://h:x\n"};
  char text[512];
  for (size_t i = 0; i < sizeof because / sizeof *because; i++) {
    snprintf(text, sizeof text, "%sOTEL_LOGS_EXPORTER=otlp\nOTEL_PROPAGATORS=b3\nOTEL_BSP_SCHEDULE_DELAY=1",
             because[i]);
    read_with(NULL, text);
    ck_assert(!s.metrics.on && !s.traces.on);
    ck_assert_str_eq(s.left, "OTEL_LOGS_EXPORTER, OTEL_PROPAGATORS, OTEL_BSP_SCHEDULE_DELAY");
  }
  read_with(NULL, "OTEL_SDK_DISABLED=true\nOTEL_PROPAGATORS=b3");
  ck_assert_str_eq(s.left, "");
}
END_TEST

START_TEST(test_milliseconds)
{
  ck_assert_uint_eq(otel_read_ms("1"), 1);
  ck_assert_uint_eq(otel_read_ms("2147483647"), 2147483647);
  static const char *const bad[] = {"", "0", "2147483648", "99999999999999999999", "-1", " 1", "1s"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_uint_eq(otel_read_ms(bad[i]), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: OpenTelemetry's variables");
  TCase *c = tcase_create("environment");
  tcase_add_test(c, test_nothing_is_on_by_itself);
  tcase_add_test(c, test_option);
  tcase_add_test(c, test_endpoints);
  tcase_add_test(c, test_what_is_wrong_is_named);
  tcase_add_test(c, test_headers);
  tcase_add_test(c, test_what_nobody_reads_is_listed);
  tcase_add_test(c, test_what_nobody_reads_is_listed_without_an_export);
  tcase_add_test(c, test_milliseconds);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
