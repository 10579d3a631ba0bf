/* SPDX-License-Identifier: Apache-2.0 */
#include "resource.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "hex.h"
#include "utf8.h"

static struct resource_attribute *find(const resource *r, const char *key)
{
  for (size_t i = 0; i < r->count; i++)
    if (strcmp(r->attributes[i].key, key) == 0)
      return (struct resource_attribute *)&r->attributes[i];
  return NULL;
}

/* Sets or replaces. Returns what is wrong, or NULL. */
static const char *set(resource *r, const char *key, const char *value)
{
  struct resource_attribute *a = find(r, key);
  if (!a) {
    if (r->count == RESOURCE_MAX)
      return "there are too many attributes";
    a = &r->attributes[r->count++];
    snprintf(a->key, sizeof a->key, "%s", key);
  }
  snprintf(a->value, sizeof a->value, "%s", value);
  return NULL;
}

static bool is_utf8(const char *text, size_t len)
{
  for (size_t i = 0; i < len;) {
    uint32_t code;
    const size_t n = utf8_read((const uint8_t *)text + i, len - i, &code);
    if (n == 0 || code == 0)
      return false;
    i += n;
  }
  return true;
}

/* Decodes |len| bytes, spaces around them left out, into |out|. Returns what is wrong, or NULL. */
static const char *decode(const char *text, size_t len, char *out, size_t cap)
{
  size_t used = 0;
  while (len && (*text == ' ' || *text == '\t')) {
    text++;
    len--;
  }
  while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
    len--;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return "'%' is not followed by two hexadecimal digits";
      c = (char)(high << 4 | low);
      i += 2;
    }
    if (used + 1 >= cap)
      return "it is too long";
    out[used++] = c;
  }
  out[used] = 0;
  return is_utf8(out, used) ? NULL : "it is not UTF-8";
}

static const char *read_pair(resource *r, const char *pair, size_t len)
{
  char key[RESOURCE_KEY_MAX + 1], value[RESOURCE_VALUE_MAX + 1];
  const char *equals = memchr(pair, '=', len);
  if (!equals)
    return "expected key=value";
  const size_t key_len = (size_t)(equals - pair);
  const char *problem = decode(pair, key_len, key, sizeof key);
  if (!problem)
    problem = decode(equals + 1, len - key_len - 1, value, sizeof value);
  if (!problem && !*key)
    problem = "the key is empty";
  return problem ? problem : set(r, key, value);
}

static bool is_blank(const char *text, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (text[i] != ' ' && text[i] != '\t')
      return false;
  return true;
}

void resource_make(resource *out, const char *version, const char *service_name, const char *attributes,
                   resource_complain complain, void *ctx)
{
  char name[RESOURCE_VALUE_MAX + 1];
  out->count = 0;
  set(out, "service.name", "relay");
  set(out, "service.namespace", "firezone");
  set(out, "service.version", version);
  set(out, "telemetry.sdk.name", "firezone-relay");
  set(out, "telemetry.sdk.language", "c");
  set(out, "telemetry.sdk.version", version);
  for (const char *p = attributes ? attributes : ""; *p;) {
    const size_t len = strcspn(p, ",");
    const char *problem = is_blank(p, len) ? NULL : read_pair(out, p, len);
    if (problem && complain)
      complain(ctx, p, len, problem);
    p += len + (p[len] == ',');
  }
  if (!service_name || !*service_name)
    return;
  (void)utf8_copy((const uint8_t *)service_name, strlen(service_name), name, sizeof name);
  set(out, "service.name", name);
}

const char *resource_get(const resource *r, const char *key)
{
  const struct resource_attribute *a = find(r, key);
  return a ? a->value : NULL;
}
