/* SPDX-License-Identifier: Apache-2.0 */
/* A turnserver.conf of coturn as a configuration file of the relay. */
#ifndef CLI_COTURN_TRANSLATE_H
#define CLI_COTURN_TRANSLATE_H

#include "firezone_relay/firezone_relay.h"

#include <stdio.h>

/* What became of it. */
enum coturn_result {
  COTURN_ALIKE = 0, /* the relay does what coturn did, as far as anybody minds */
  COTURN_BAD = 2,   /* it is no turnserver.conf */
  COTURN_LOOK = 3   /* something needs somebody's hand */
};

typedef struct coturn_options {
  const char *name;                /* of the file, for whoever reads the result */
  fzr_addr public_ip4, public_ip6; /* what the file has none of, or what beats it; family NONE: nothing */
  /* Whether |value| will do for the option |name| of a configuration file: NULL, or what would be right. */
  const char *(*expected)(const char *name, const char *value);
  /* Writes to |out| why the relay would not start with |text| as its configuration file, a line that begins with # LOOK each. Returns how
   * many. NULL: nobody asks. */
  size_t (*refused)(const char *text, FILE *out);
} coturn_options;

/* Writes what the |len| bytes at |text| (behind which is one byte more, and which are cut into pieces) are as a configuration file to
 * |out|: each line of theirs becomes an option, or is named in a comment with the reason and what to do instead. On COTURN_BAD nothing is
 * written, and what is wrong is in |error|, one line. */
enum coturn_result coturn_translate(char *text, size_t len, const coturn_options *o, FILE *out, char *error,
                                    size_t cap);

#endif
