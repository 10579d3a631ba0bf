/* SPDX-License-Identifier: Apache-2.0 */
/* Writes text into a buffer of fixed size. What does not fit sets a flag, which is looked at once, at the end. */
#ifndef PORTAL_TEXT_H
#define PORTAL_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct portal_text {
  char *data; /* zero-terminated, if cap is not 0 */
  size_t cap;
  size_t len; /* without the zero */
  bool overflow;
} portal_text;

/* An empty text within the |cap| bytes at |data|; |cap| is at least 1. */
portal_text portal_text_of(char *data, size_t cap);

/* Add to the text; if it does not fit whole, nothing is added, now or later. */
void portal_text_put(portal_text *text, const char *data, size_t len);
void portal_text_puts(portal_text *text, const char *string);
void portal_text_uint(portal_text *text, uint64_t number);

/* Adds |string| as application/x-www-form-urlencoded has it: space as '+', all but A-Z a-z 0-9 * - . _ as %XX. */
void portal_text_form(portal_text *text, const char *string);

/* Adds |string|, UTF-8, as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void portal_text_json(portal_text *text, const char *string);

/* The length in bytes (1 to 4) of the well-formed UTF-8 character at |data|, of which |len| bytes are there, or 0 if there is none. */
size_t portal_utf8_length(const uint8_t *data, size_t len);

#endif
