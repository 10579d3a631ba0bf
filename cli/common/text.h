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

/* Adds |string| percent-encoded: all but RFC 3986's unreserved characters. */
void text_percent(text_out *text, const char *string);

/* Adds |string| as a JSON string with its quotes (RFC 8259 section 7), see text_json_escape. */
void text_json(text_out *text, const char *string);

/* Writes what stands in a JSON string for the character |code|: an escape, for those that have to have one and for those that
 * utf8_is_unsafe. Returns its length, or 0 if |code| can stand for itself. A byte that is no UTF-8, |valid| false, can't be in JSON:
 * U+FFFD is. */
#define TEXT_ESCAPE_MAX 16u
size_t text_json_escape(uint32_t code, bool valid, char out[TEXT_ESCAPE_MAX]);

#endif
