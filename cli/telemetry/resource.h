/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are, for a collector: OTLP's resource attributes. */
#ifndef TELEMETRY_RESOURCE_H
#define TELEMETRY_RESOURCE_H

#include <stddef.h>

#define RESOURCE_MAX       64
#define RESOURCE_KEY_MAX   255
#define RESOURCE_VALUE_MAX 1023

typedef struct resource {
  size_t count;
  struct resource_attribute {
    char key[RESOURCE_KEY_MAX + 1];     /* UTF-8 */
    char value[RESOURCE_VALUE_MAX + 1]; /* UTF-8 */
  } attributes[RESOURCE_MAX];           /* no key twice */
} resource;

/* Called for what can't be used: |len| bytes of |part| and what is wrong. */
typedef void (*resource_complain)(void *ctx, const char *part, size_t len, const char *problem);

/* Fills |out| with service.name=relay, service.namespace=firezone, service.version, telemetry.sdk.name, .language and .version; then with
 * |attributes| (OTEL_RESOURCE_ATTRIBUTES: key=value with commas between them, percent-encoded; NULL: unset), which win over those; then with
 * |service_name| (OTEL_SERVICE_NAME), which wins over all. Parts that make no sense are skipped and complained about; |complain| may be
 * NULL. */
void resource_make(resource *out, const char *version, const char *service_name, const char *attributes,
                   resource_complain complain, void *ctx);

/* The value of |key|, or NULL. */
const char *resource_get(const resource *r, const char *key);

#endif
