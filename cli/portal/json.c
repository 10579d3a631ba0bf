/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/json.h"

#include "common/decimal.h"
#include "common/hex.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

struct portal_json {
  const char *text;
  int count;
  jsmntok_t tokens[PORTAL_JSON_MAX_TOKENS];
};

/* jsmn finds where values begin and end, but lets much through that is no JSON ({"a" "b"}, 1x, [,]), so the grammar is
 * checked first, without recursion. */
typedef struct scanner {
  const char *at;
  const char *end;
  uint32_t objects; /* bit n: the container at depth n is an object */
  unsigned depth;
} scanner;

static void skip_space(scanner *s)
{
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
    s->at++;
}

static bool take(scanner *s, char c)
{
  if (s->at == s->end || *s->at != c)
    return false;
  s->at++;
  return true;
}

static bool scan_escape(scanner *s)
{
  if (s->at == s->end)
    return false;
  const char c = *s->at++;
  if (c != 'u')
    return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
  for (int i = 0; i < 4; i++)
    if (s->at == s->end || hex_digit(*s->at++) < 0)
      return false;
  return true;
}

static bool scan_string(scanner *s)
{
  if (!take(s, '"'))
    return false;
  while (s->at < s->end) {
    const unsigned char c = (unsigned char)*s->at;
    const size_t n = utf8_length((const uint8_t *)s->at, (size_t)(s->end - s->at));
    if (n == 0 || c < 0x20)
      return false;
    s->at += n;
    if (c == '"')
      return true;
    if (c == '\\' && !scan_escape(s))
      return false;
  }
  return false;
}

static bool scan_digits(scanner *s)
{
  const char *start = s->at;
  while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
    s->at++;
  return s->at > start;
}

static bool scan_number(scanner *s)
{
  take(s, '-');
  if (!take(s, '0') && !scan_digits(s))
    return false;
  if (take(s, '.') && !scan_digits(s))
    return false;
  if (take(s, 'e') || take(s, 'E')) {
    if (!take(s, '+'))
      take(s, '-');
    return scan_digits(s);
  }
  return true;
}

static bool scan_word(scanner *s, const char *word)
{
  const size_t len = strlen(word);
  if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
    return false;
  s->at += len;
  return true;
}

static bool scan_key(scanner *s)
{
  skip_space(s);
  if (!scan_string(s))
    return false;
  skip_space(s);
  return take(s, ':');
}

enum scan { SCAN_BAD, SCAN_OPENED /* a container that is not empty: a value follows */, SCAN_DONE };

static enum scan scan_open(scanner *s, bool object)
{
  s->at++;
  skip_space(s);
  if (take(s, object ? '}' : ']'))
    return SCAN_DONE;
  if (s->depth == PORTAL_JSON_MAX_DEPTH)
    return SCAN_BAD;
  s->objects = (s->objects & ~(UINT32_C(1) << s->depth)) | ((uint32_t)object << s->depth);
  s->depth++;
  return !object || scan_key(s) ? SCAN_OPENED : SCAN_BAD;
}

static enum scan scan_value(scanner *s)
{
  skip_space(s);
  if (s->at == s->end)
    return SCAN_BAD;
  bool ok;
  switch (*s->at) {
  case '{':
  case '[':
    return scan_open(s, *s->at == '{');
  case '"':
    ok = scan_string(s);
    break;
  case 't':
    ok = scan_word(s, "true");
    break;
  case 'f':
    ok = scan_word(s, "false");
    break;
  case 'n':
    ok = scan_word(s, "null");
    break;
  default:
    ok = scan_number(s);
    break;
  }
  return ok ? SCAN_DONE : SCAN_BAD;
}

/* After a value: closes containers that end here. Returns whether another value follows; |bad| if neither. */
static bool scan_after(scanner *s, bool *bad)
{
  while (s->depth > 0) {
    const bool object = (s->objects >> (s->depth - 1) & 1) != 0;
    skip_space(s);
    if (take(s, ',')) {
      *bad = object && !scan_key(s);
      return !*bad;
    }
    if (!take(s, object ? '}' : ']')) {
      *bad = true;
      return false;
    }
    s->depth--;
  }
  return false;
}

bool portal_json_valid(const char *text, size_t len)
{
  scanner s = {text, text + len, 0, 0};
  bool more = true;
  while (more) {
    const enum scan result = scan_value(&s);
    if (result == SCAN_BAD)
      return false;
    bool bad = false;
    more = result == SCAN_OPENED || scan_after(&s, &bad);
    if (bad)
      return false;
  }
  skip_space(&s);
  return s.at == s.end;
}

portal_json *portal_json_new(void)
{
  return calloc(1, sizeof(portal_json));
}

void portal_json_free(portal_json *json)
{
  free(json);
}

const char *portal_json_read(portal_json *json, const char *text, size_t len)
{
  jsmn_parser parser;
  json->count = 0;
  if (!portal_json_valid(text, len))
    return "malformed JSON";
  jsmn_init(&parser);
  const int count = jsmn_parse(&parser, text, len, json->tokens, PORTAL_JSON_MAX_TOKENS);
  if (count == JSMN_ERROR_NOMEM)
    return "too much JSON";
  if (count <= 0)
    return "malformed JSON";
  json->text = text;
  json->count = count;
  return NULL;
}

static const jsmntok_t *token_of(const portal_json *json, portal_json_value value)
{
  return value >= 0 && value < json->count ? &json->tokens[value] : NULL;
}

bool portal_json_is_object(const portal_json *json, portal_json_value value)
{
  const jsmntok_t *token = token_of(json, value);
  return token != NULL && token->type == JSMN_OBJECT;
}

/* One UTF-16 unit: four hex digits. */
static uint32_t utf16_unit(const char *at)
{
  uint32_t unit = 0;
  for (int i = 0; i < 4; i++)
    unit = unit << 4 | (uint32_t)hex_digit(at[i]);
  return unit;
}

static size_t utf8_encode(uint32_t c, char out[4])
{
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3f));
  out[2] = (char)(0x80 | (c >> 6 & 0x3f));
  out[3] = (char)(0x80 | (c & 0x3f));
  return 4;
}

/* Reads the \u escape whose digits begin at |*at|, and the second half of a surrogate pair if it is one. */
static uint32_t unicode_escape(const char **at, const char *end)
{
  uint32_t c = utf16_unit(*at);
  *at += 4;
  if (c >= 0xd800 && c < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
    const uint32_t low = utf16_unit(*at + 2);
    if (low >= 0xdc00 && low < 0xe000) {
      *at += 6;
      return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
  }
  return c == 0 || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c;
}

/* Decodes one character of a string from |*at| on; the grammar was checked. Returns its length in |out|. */
static size_t next_char(const char **at, const char *end, char out[4])
{
  static const char names[] = "bfnrt";
  static const char values[] = "\b\f\n\r\t";
  if (**at != '\\') {
    const size_t n = utf8_length((const uint8_t *)*at, (size_t)(end - *at));
    memcpy(out, *at, n);
    *at += n;
    return n;
  }
  const char kind = (*at)[1];
  *at += 2;
  if (kind == 'u')
    return utf8_encode(unicode_escape(at, end), out);
  const char *name = strchr(names, kind);
  out[0] = kind;
  if (name)
    out[0] = values[name - names];
  return 1;
}

bool portal_json_string(const portal_json *json, portal_json_value value, char *out, size_t cap)
{
  const jsmntok_t *token = token_of(json, value);
  out[0] = '\0';
  if (!token || token->type != JSMN_STRING)
    return false;
  const char *at = json->text + token->start;
  const char *const end = json->text + token->end;
  size_t len = 0;
  while (at < end) {
    char c[4];
    const size_t n = next_char(&at, end, c);
    if (len + n >= cap)
      break;
    memcpy(out + len, c, n);
    len += n;
  }
  out[len] = '\0';
  return true;
}

bool portal_json_uint(const portal_json *json, portal_json_value value, uint64_t *out)
{
  const jsmntok_t *token = token_of(json, value);
  if (!token || (token->type != JSMN_PRIMITIVE && token->type != JSMN_STRING))
    return false;
  return decimal_read(json->text + token->start, (size_t)(token->end - token->start), UINT64_MAX, out);
}

portal_json_value portal_json_member(const portal_json *json, portal_json_value object, const char *key)
{
  portal_json_value found = PORTAL_JSON_NONE;
  char name[64];
  if (!portal_json_is_object(json, object))
    return found;
  for (int i = object + 1; i < json->count && json->tokens[i].start < json->tokens[object].end; i++)
    if (json->tokens[i].parent == object && portal_json_string(json, i, name, sizeof name) &&
        strcmp(name, key) == 0)
      found = i + 1; /* a key's value is the token after it */
  return found;
}
