/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a turnserver.conf, as coturn reads them. */
#ifndef CLI_COTURN_FILE_H
#define CLI_COTURN_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* A line that says something. */
typedef struct coturn_line {
  unsigned number;
  const char *name;
  const char *value; /* "" if there is none */
} coturn_line;

typedef struct coturn_reader {
  char *next, *end;
  unsigned number; /* of the line that was read last */
} coturn_reader;

/* The lines of the |len| bytes at |text|, behind which is one byte more. They are cut into pieces by reading them. */
coturn_reader coturn_read(char *text, size_t len);

/* Takes the next line. Returns 1; 0 at the end; or -1 where it has a byte 0. A name ends at a blank or =; any number of them may stand
 * before the value. A value that begins with a double quote is without that and one at its end. All else belongs to it: there are no
 * comments behind values. */
int coturn_next(coturn_reader *r, coturn_line *out);

/* What |value| of a switch means. Returns false where that is nothing, at which coturn ends. */
bool coturn_switch(const char *value, bool *is_on);

#endif
