/* SPDX-License-Identifier: Apache-2.0 */
/* What OpenTelemetry's standard environment variables say of an exporter, where the program's own options do not. */
#ifndef TELEMETRY_OTEL_ENV_H
#define TELEMETRY_OTEL_ENV_H

#include "grpc/client.h"
#include "otlp.h"

#define OTEL_ENDPOINT_MAX   300u
#define OTEL_HEADERS_MAX    8192u /* bytes of all, with zeros */
#define OTEL_INTERVAL_MS    60000u
#define OTEL_CALL_MS        10000u
#define OTEL_LEFT_NAMES_MAX 512u
#define OTEL_NAME_MAX       64u /* of a variable */

/* Of metrics or traces. */
typedef struct otel_signal {
  bool on;
  char endpoint[OTEL_ENDPOINT_MAX + 1]; /* see grpc_config */
  const char *certificate;              /* a file; NULL: what the system trusts */
  char certificate_name[OTEL_NAME_MAX]; /* of the variable that has it */
  unsigned timeout_ms;                  /* of one call */
  grpc_header headers[GRPC_MAX_HEADERS];
  size_t header_count;
  char text[OTEL_HEADERS_MAX]; /* of the headers */
  size_t text_len;
} otel_signal;

typedef struct otel_settings {
  otel_signal metrics, traces;
  unsigned interval_ms; /* between two exports of metrics */
  enum otlp_temporality temporality;
  char left
      [OTEL_LEFT_NAMES_MAX]; /* names of variables that are set and not honoured, with commas; "" if there are none */
} otel_settings;

/* Called for what can't be used: the variable's name, its value (NULL: not to be shown), and what is wrong. */
typedef void (*otel_complain)(void *ctx, const char *name, const char *value, const char *problem);

/* Fills |out| by |env|, getenv or a test's, and |all|, the whole environment (NULL: not known, nothing is left). |own_endpoint| is the
 * program's option, which wins over all standard ones; NULL or "": not given. Then the standard endpoint is taken; without any, nothing is
 * on. Strings of the environment have to stay. |complain| is called with |ctx|. */
void otel_read(otel_settings *out, const char *own_endpoint, char *(*env)(const char *name), char *const *all,
               otel_complain complain, void *ctx);

/* Whether both are sent the same way, so that one connection is enough. */
bool otel_is_same(const otel_signal *a, const otel_signal *b);

/* Reads whole milliseconds. Returns 0 if |text| is no number from 1 to 2147483647. */
unsigned otel_read_ms(const char *text);

#endif
