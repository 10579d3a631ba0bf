/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/text.h"

#include <string.h>

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

portal_text portal_text_of(char *data, size_t cap)
{
  data[0] = '\0';
  return (portal_text){data, cap, 0, false};
}

void portal_text_put(portal_text *text, const char *data, size_t len)
{
  if (text->overflow || len >= text->cap - text->len) {
    text->overflow = true;
    return;
  }
  memcpy(text->data + text->len, data, len);
  text->len += len;
  text->data[text->len] = '\0';
}

void portal_text_puts(portal_text *text, const char *string)
{
  portal_text_put(text, string, strlen(string));
}

void portal_text_uint(portal_text *text, uint64_t number)
{
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  portal_text_put(text, digits + at, sizeof digits - at);
}

static bool is_form_safe(unsigned char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' || c == '-' ||
         c == '.' || c == '_';
}

void portal_text_form(portal_text *text, const char *string)
{
  for (const char *s = string; *s != '\0'; s++) {
    const unsigned char c = (unsigned char)*s;
    if (is_form_safe(c)) {
      portal_text_put(text, s, 1);
    } else if (c == ' ') {
      portal_text_put(text, "+", 1);
    } else {
      const char escaped[3] = {'%', hex_upper[c >> 4], hex_upper[c & 15]};
      portal_text_put(text, escaped, sizeof escaped);
    }
  }
}

size_t portal_utf8_length(const uint8_t *data, size_t len)
{
  if (len == 0)
    return 0;
  const uint8_t first = data[0];
  if (first < 0x80)
    return 1;
  if (first < 0xc2 || first > 0xf4)
    return 0;
  const size_t need = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (len < need)
    return 0;
  for (size_t i = 1; i < need; i++) {
    if ((data[i] & 0xc0) != 0x80)
      return 0;
  }
  /* Overlong forms, surrogates, and what is beyond U+10FFFF. */
  if ((first == 0xe0 && data[1] < 0xa0) || (first == 0xed && data[1] > 0x9f) ||
      (first == 0xf0 && data[1] < 0x90) || (first == 0xf4 && data[1] > 0x8f))
    return 0;
  return need;
}

static void json_control(portal_text *text, unsigned char c)
{
  static const char names[] = "btn\0fr"; /* for 8 to 13; \v has none */
  if (c >= 8 && c <= 13 && c != 11) {
    const char escaped[2] = {'\\', names[c - 8]};
    portal_text_put(text, escaped, sizeof escaped);
  } else {
    const char escaped[6] = {'\\', 'u', '0', '0', hex_lower[c >> 4], hex_lower[c & 15]};
    portal_text_put(text, escaped, sizeof escaped);
  }
}

void portal_text_json(portal_text *text, const char *string)
{
  size_t left = strlen(string);
  portal_text_put(text, "\"", 1);
  while (left > 0) {
    const unsigned char c = (unsigned char)*string;
    size_t n = portal_utf8_length((const uint8_t *)string, left);
    if (n == 0) {
      portal_text_put(text, "\xef\xbf\xbd", 3);
      n = 1;
    } else if (c < 0x20 || c == 0x7f) {
      json_control(text, c);
    } else {
      if (c == '"' || c == '\\')
        portal_text_put(text, "\\", 1);
      portal_text_put(text, string, n);
    }
    string += n;
    left -= n;
  }
  portal_text_put(text, "\"", 1);
}
