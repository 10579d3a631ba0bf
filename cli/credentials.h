/* SPDX-License-Identifier: Apache-2.0 */
/* The sub-command that makes credentials for a relay's secret. */
#ifndef RELAY_CREDENTIALS_H
#define RELAY_CREDENTIALS_H

#include "options.h"

/* Writes credentials for |secret| in the format that |o| asks for, valid from |unix_now|, with |salt| in the username, into |out|.
 * Returns the length, or -1 if |cap| is too small. */
int credentials_format(const options *o, const char *secret, uint64_t unix_now, const char *salt, char *out,
                       size_t cap);

/* The sub-command: prints to standard output. Returns the exit status. */
int credentials_main(const options *o);

#endif
