/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <string.h>

coturn_reader coturn_read(char *text, size_t len)
{
  static const char bom[] = "\xef\xbb\xbf";
  coturn_reader r = {text, text + len, 0};
  if (len >= 3 && memcmp(text, bom, 3) == 0)
    r.next += 3;
  return r;
}

/* |value|, in its place, without the quote that it begins with, and one at its end. */
static char *without_quotes(char *value)
{
  size_t len;
  if (*value != '"')
    return value;
  value++;
  len = strlen(value);
  while (len > 0 && strchr(" \t", value[len - 1]))
    value[--len] = '\0';
  if (len > 0 && value[len - 1] == '"')
    value[--len] = '\0';
  return value;
}

int coturn_next(coturn_reader *r, coturn_line *out)
{
  while (r->next < r->end) {
    char *begin = r->next, *end = memchr(begin, '\n', (size_t)(r->end - begin));
    end = end ? end : r->end;
    r->next = end + 1;
    out->number = ++r->number;
    if (memchr(begin, 0, (size_t)(end - begin)))
      return -1;
    *end = '\0';
    while (end > begin && end[-1] == '\r')
      *--end = '\0';
    begin += strspn(begin, " \t\f\v");
    if (!*begin || *begin == '#')
      continue;
    char *value = begin + strcspn(begin, " \t=");
    if (*value) {
      *value++ = '\0';
      value += strspn(value, " \t=");
    }
    out->name = begin;
    out->value = without_quotes(value);
    return 1;
  }
  return 0;
}

bool coturn_switch(const char *value, bool *is_on)
{
  *is_on = !*value || strchr("123456789yYtT", *value) || strcmp(value, "on") == 0 ||
           strcmp(value, "ON") == 0 || strcmp(value, "On") == 0;
  return *is_on || strchr("0nNfF", *value) || strcmp(value, "off") == 0 || strcmp(value, "OFF") == 0 ||
         strcmp(value, "Off") == 0;
}
