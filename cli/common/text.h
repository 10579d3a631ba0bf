/* SPDX-License-Identifier: Apache-2.0 */
/* Writes text into a buffer of fixed size. What does not fit sets a flag, which is looked at once, at the end. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct text_out {
  char *data; /* zero-terminated, if cap is not 0 */
  size_t cap;
  size_t len; /* without the zero */
  bool overflow;
} text_out;

/* An empty text within the |cap| bytes at |data|; |cap| is at least 1. */
text_out text_out_of(char *data, size_t cap);

/* Add to the text; if it does not fit whole, nothing is added, now or later. */
void text_put(text_out *text, const char *data, size_t len);
void text_puts(text_out *text, const char *string);
void text_uint(text_out *text, uint64_t number);

/* Adds |string| as application/x-www-form-urlencoded has it: space as '+', all but A-Z a-z 0-9 * - . _ as %XX. */
void text_form(text_out *text, const char *string);

/* Adds |string|, UTF-8, as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void text_json(text_out *text, const char *string);

/* The length in bytes (1 to 4) of the well-formed UTF-8 character at |data|, of which |len| bytes are there, or 0 if there is none. */
size_t utf8_length(const uint8_t *data, size_t len);

#endif
