/* SPDX-License-Identifier: Apache-2.0 */
/* Text that may be anything: what is UTF-8 in it, and what may be shown. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the character that the |len| > 0 bytes at |p| begin with into |code|. Returns how many bytes it has, or 0 if they do not
 * begin with one (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
size_t utf8_read(const uint8_t *p, size_t len, uint32_t *code);

/* How many bytes the character has that the |len| bytes at |p| begin with; 0 if there is none. */
static inline size_t utf8_length(const uint8_t *p, size_t len)
{
  uint32_t code;
  return len > 0 ? utf8_read(p, len, &code) : 0;
}

/* Whether the |len| bytes at |p| are UTF-8. */
bool utf8_is_valid(const void *p, size_t len);

/* Whether |code| can end a line, steer a terminal, or make text look as if it stood elsewhere or were something else. */
bool utf8_is_unsafe(uint32_t code);

/* Copies the |len| bytes at |p| to the |cap| > 0 bytes at |out|, zero-terminated, with U+FFFD for each byte that is no UTF-8 and
 * for U+0000; cut off between characters if it does not fit. Returns the length written. */
size_t utf8_copy(const uint8_t *p, size_t len, char *out, size_t cap);

#endif
