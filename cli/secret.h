/* SPDX-License-Identifier: Apache-2.0 */
/* The secret that credentials are made of. */
#ifndef RELAY_SECRET_H
#define RELAY_SECRET_H

#include "options.h"

#define SECRET_MAX 255

/* Where it came from. */
enum secret_source { SECRET_NONE, SECRET_FILE, SECRET_ENVIRONMENT };

/* Takes the secret that |o| names into |out|, zero-terminated. *|source| is SECRET_NONE, and |out| empty, if it names none. Returns
 * 0, or -1 with one line in |error|. */
int secret_read(const options *o, char out[SECRET_MAX + 1], enum secret_source *source,
                char error[OPTIONS_ERROR_MAX]);

/* Makes 64 random hexadecimal digits into |out|. Returns 0 or -1. */
int secret_make(char out[SECRET_MAX + 1]);

#endif
