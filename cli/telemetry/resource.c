/* SPDX-License-Identifier: Apache-2.0 */
#include "resource.h"

#include "common/hex.h"
#include "common/strip.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

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
  const stripped s = trim(text, len);
  size_t used = 0;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.text[i];
    if (c == '%') {
      const int byte = percent_byte(s.text + i, s.len - i);
      if (byte < 0)
        return "'%' is not followed by two hexadecimal digits";
      c = (char)byte;
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

/* Sets |key| to text that may be anything; nothing if there is none. */
static void set_text(resource *r, const char *key, const char *text)
{
  char value[RESOURCE_VALUE_MAX + 1];
  if (!text || !*text)
    return;
  utf8_copy((const uint8_t *)text, strlen(text), value, sizeof value);
  set(r, key, value);
}

void resource_make(resource *out, const resource_facts *facts, resource_complain complain, void *ctx)
{
  out->count = 0;
  set(out, "service.name", "relay");
  set(out, "service.namespace", "firezone");
  set_text(out, "service.version", facts->version);
  set_text(out, "service.instance.id", facts->instance);
  set_text(out, "host.name", facts->host);
  set(out, "telemetry.sdk.name", "firezone-relay");
  set(out, "telemetry.sdk.language", "c");
  set_text(out, "telemetry.sdk.version", facts->version);
  for (const char *p = facts->attributes ? facts->attributes : ""; *p;) {
    const size_t len = strcspn(p, ",");
    const char *problem = trim(p, len).len ? read_pair(out, p, len) : NULL;
    if (problem && complain)
      complain(ctx, p, len, problem);
    p += len + (p[len] == ',');
  }
  set_text(out, "service.name", facts->service_name);
}

void resource_make_id(const uint8_t random[16], char out[37])
{
  static const char digits[] = "0123456789abcdef";
  for (unsigned i = 0; i < 16; i++) {
    uint8_t byte = random[i];
    if (i == 6)
      byte = (byte & 0x0f) | 0x40;
    else if (i == 8)
      byte = (byte & 0x3f) | 0x80;
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *out++ = '-';
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
  }
  *out = 0;
}

const char *resource_get(const resource *r, const char *key)
{
  const struct resource_attribute *a = find(r, key);
  return a ? a->value : NULL;
}
