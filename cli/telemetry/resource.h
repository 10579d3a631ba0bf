/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are, for a collector: OTLP's resource attributes. */
#ifndef TELEMETRY_RESOURCE_H
#define TELEMETRY_RESOURCE_H

#include <stddef.h>
#include <stdint.h>

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

/* Who we are, and what was said of it. Strings may be NULL: not known, or unset. */
typedef struct resource_facts {
  const char *version;
  const char *instance;   /* an identifier that no other process has */
  const char *host;       /* its name */
  const char *attributes; /* OTEL_RESOURCE_ATTRIBUTES: key=value with commas between them, percent-encoded */
  const char *service_name; /* OTEL_SERVICE_NAME */
} resource_facts;

/* Fills |out| with service.name=relay, service.namespace=firezone, service.version, service.instance.id, host.name, telemetry.sdk.name,
 * .language and .version; then with the attributes, which win over those; then with the service's name, which wins over all. Parts that
 * make no sense are skipped and complained about; |complain| may be NULL. */
void resource_make(resource *out, const resource_facts *facts, resource_complain complain, void *ctx);

/* Writes a random identifier of 36 characters (RFC 9562, version 4) made of the 16 random bytes |random|. */
void resource_make_id(const uint8_t random[16], char out[37]);

/* The value of |key|, or NULL. */
const char *resource_get(const resource *r, const char *key);

#endif
