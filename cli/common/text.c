/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text.h"

#include <string.h>

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

text_out text_out_of(char *data, size_t cap)
{
  data[0] = '\0';
  return (text_out){data, cap, 0, false};
}

void text_put(text_out *text, const char *data, size_t len)
{
  if (text->overflow || len >= text->cap - text->len) {
    text->overflow = true;
    return;
  }
  memcpy(text->data + text->len, data, len);
  text->len += len;
  text->data[text->len] = '\0';
}

void text_puts(text_out *text, const char *string)
{
  text_put(text, string, strlen(string));
}

void text_uint(text_out *text, uint64_t number)
{
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  text_put(text, digits + at, sizeof digits - at);
}

static bool is_form_safe(unsigned char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' || c == '-' ||
         c == '.' || c == '_';
}

void text_form(text_out *text, const char *string)
{
  for (const char *s = string; *s != '\0'; s++) {
    const unsigned char c = (unsigned char)*s;
    if (is_form_safe(c)) {
      text_put(text, s, 1);
    } else if (c == ' ') {
      text_put(text, "+", 1);
    } else {
      const char escaped[3] = {'%', hex_upper[c >> 4], hex_upper[c & 15]};
      text_put(text, escaped, sizeof escaped);
    }
  }
}

size_t utf8_length(const uint8_t *data, size_t len)
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

static void json_control(text_out *text, unsigned char c)
{
  static const char names[] = "btn\0fr"; /* for 8 to 13; \v has none */
  if (c >= 8 && c <= 13 && c != 11) {
    const char escaped[2] = {'\\', names[c - 8]};
    text_put(text, escaped, sizeof escaped);
  } else {
    const char escaped[6] = {'\\', 'u', '0', '0', hex_lower[c >> 4], hex_lower[c & 15]};
    text_put(text, escaped, sizeof escaped);
  }
}

void text_json(text_out *text, const char *string)
{
  size_t left = strlen(string);
  text_put(text, "\"", 1);
  while (left > 0) {
    const unsigned char c = (unsigned char)*string;
    size_t n = utf8_length((const uint8_t *)string, left);
    if (n == 0) {
      text_put(text, "\xef\xbf\xbd", 3);
      n = 1;
    } else if (c < 0x20 || c == 0x7f) {
      json_control(text, c);
    } else {
      if (c == '"' || c == '\\')
        text_put(text, "\\", 1);
      text_put(text, string, n);
    }
    string += n;
    left -= n;
  }
  text_put(text, "\"", 1);
}
