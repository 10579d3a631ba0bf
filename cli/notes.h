/* SPDX-License-Identifier: Apache-2.0 */
/* What is worth a warning, kept until there is somewhere to put it: files are read before the log is begun. */
#ifndef RELAY_NOTES_H
#define RELAY_NOTES_H

#include "options.h"

#include <stdarg.h>
#include <stdio.h>

#define NOTES_MAX 10u

typedef struct notes {
  char lines[NOTES_MAX][OPTIONS_ERROR_MAX];
  size_t count;
  size_t more; /* that there was no room for */
  void (*mistake)(
      const char *line); /* gets the mistakes in a file behind the first one; NULL: the first is enough */
} notes;

static inline void note(notes *n, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void note(notes *n, const char *format, ...)
{
  va_list args;
  if (n->count == NOTES_MAX) {
    n->more++;
    return;
  }
  va_start(args, format);
  vsnprintf(n->lines[n->count], sizeof n->lines[0], format, args);
  va_end(args);
  make_one_line(n->lines[n->count++]);
}

#endif
