/* SPDX-License-Identifier: Apache-2.0 */
/* What people, editors and orchestrators write around a text: secrets and tokens come out of files and variables. */
#ifndef COMMON_STRIP_H
#define COMMON_STRIP_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct stripped {
  const char *text; /* within what was given */
  size_t len;
} stripped;

static inline bool is_blank(char c)
{
  return c != '\0' && strchr(" \t\r\n\v\f", c) != NULL;
}

/* The |len| bytes |text| without blanks and line ends around it. */
static inline stripped trim(const char *text, size_t len)
{
  while (len > 0 && is_blank(*text)) {
    text++;
    len--;
  }
  while (len > 0 && is_blank(text[len - 1]))
    len--;
  return (stripped){text, len};
}

/* The same, and without byte order marks of UTF-8 before it: what can't be meant. */
static inline stripped strip(const char *text, size_t len)
{
  static const char bom[] = "\xef\xbb\xbf";
  stripped s = trim(text, len);
  while (s.len >= 3 && memcmp(s.text, bom, 3) == 0)
    s = trim(s.text + 3, s.len - 3);
  return s;
}

/* What looks wrong about it and is left as it is: static text; NULL if nothing does. */
static inline const char *strip_oddity(stripped s)
{
  if (s.len >= 2 && (*s.text == '"' || *s.text == '\'') && s.text[s.len - 1] == *s.text)
    return "it stands in quotes, which are taken as a part of it";
  if (memchr(s.text, '\n', s.len))
    return "it has more than one line";
  return NULL;
}

#endif
