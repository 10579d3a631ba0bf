/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text.h"

#include "common/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char hex_upper[] = "0123456789ABCDEF";

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

/* Percent-encodes what is no letter or digit and not one of |safe|; but a space becomes |space|, if that is not NULL. */
static void put_encoded(text_out *text, const char *string, const char *safe, const char *space)
{
  for (const char *s = string; *s; s++) {
    const unsigned char c = (unsigned char)*s;
    const char escaped[3] = {'%', hex_upper[c >> 4], hex_upper[c & 15]};
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(safe, c))
      text_put(text, s, 1);
    else if (c == ' ' && space)
      text_puts(text, space);
    else
      text_put(text, escaped, sizeof escaped);
  }
}

void text_form(text_out *text, const char *string)
{
  put_encoded(text, string, "*-._", "+");
}

void text_percent(text_out *text, const char *string)
{
  put_encoded(text, string, "-._~", NULL);
}

size_t text_json_escape(uint32_t code, bool valid, char out[TEXT_ESCAPE_MAX])
{
  static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
  if (!valid)
    return (size_t)snprintf(out, TEXT_ESCAPE_MAX, "\\ufffd");
  for (size_t i = 0; letters[i]; i += 2) {
    if (code == (uint32_t)letters[i]) {
      out[0] = '\\';
      out[1] = letters[i + 1];
      return 2;
    }
  }
  if (!utf8_is_unsafe(code))
    return 0;
  if (code < 0x10000)
    return (size_t)snprintf(out, TEXT_ESCAPE_MAX, "\\u%04" PRIx32, code);
  const uint32_t rest = code - 0x10000;
  return (size_t)snprintf(out, TEXT_ESCAPE_MAX, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + (rest >> 10),
                          0xdc00 + (rest & 0x3ff));
}

void text_json(text_out *text, const char *string)
{
  const uint8_t *at = (const uint8_t *)string;
  text_put(text, "\"", 1);
  for (size_t left = strlen(string); left > 0;) {
    char escaped[TEXT_ESCAPE_MAX];
    uint32_t code = 0;
    const size_t n = utf8_read(at, left, &code), size = text_json_escape(code, n > 0, escaped);
    text_put(text, size > 0 ? escaped : (const char *)at, size > 0 ? size : n);
    at += n > 0 ? n : 1;
    left -= n > 0 ? n : 1;
  }
  text_put(text, "\"", 1);
}
