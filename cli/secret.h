/* SPDX-License-Identifier: Apache-2.0 */
/* The secret that credentials are made of. */
#ifndef RELAY_SECRET_H
#define RELAY_SECRET_H

#include "options.h"

#define SECRET_MAX   255
#define SECRET_LEAST 16 /* fewer can be guessed */

/* Where it came from. */
enum secret_source {
  SECRET_NONE,
  SECRET_FILE,
  SECRET_PUBLIC_FILE, /* one that everybody on this host may read */
  SECRET_ENVIRONMENT
};

/* What credentials may be made of: the first is told to the portal, if there is one; the second may be "". */
typedef struct secret_pair {
  char first[SECRET_MAX + 1];
  char second[SECRET_MAX + 1];
} secret_pair;

/* Where a secret can come from: the values of two options, of which the file is taken if there are both, and their names. */
typedef struct secret_place {
  const char *file, *value;      /* NULL: not set */
  const char *option, *variable; /* the latter is the key in the file of --config, if |value| stands there */
  bool anew;                     /* see login_file_open */
} secret_place;

/* The secret that credentials are made of, and the other one that is as good. */
secret_place secret_place_first(const options *o);
secret_place secret_place_second(const options *o);

/* Takes the secret of |place| into |out|, zero-terminated, without blanks, line ends and a byte order mark around it. *|source| is
 * SECRET_NONE, and |out| empty, if it names none. Returns 0, or -1 with one line in |error|. */
int secret_read(const secret_place *place, char out[SECRET_MAX + 1], enum secret_source *source,
                char error[OPTIONS_ERROR_MAX]);

/* Makes 64 random hexadecimal digits into |out|. Returns 0 or -1. */
int secret_make(char out[SECRET_MAX + 1]);

/* The same, made of |secret|, too, which may be "": for this life of the process alone. Returns 0 or -1. */
int secret_of_a_life(const char *secret, char out[SECRET_MAX + 1]);

/* What looks wrong about |secret|, fit for a warning: static text; NULL if nothing does. */
const char *secret_oddity(const char *secret);

#endif
