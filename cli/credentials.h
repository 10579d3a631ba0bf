/* SPDX-License-Identifier: Apache-2.0 */
/* The sub-command that tells what a client logs in with: made of the relay's secret, or of the file of users. */
#ifndef RELAY_CREDENTIALS_H
#define RELAY_CREDENTIALS_H

#include "options.h"

/* Writes credentials of the scheme, stamp or rest, and in the format that |o| asks for, made of |secret|, valid from |unix_now|, for
 * |whom|, which follows the expiry in the username, into |out|. Returns the length, or -1 if |cap| is too small. */
int credentials_format(const options *o, const char *secret, uint64_t unix_now, const char *whom, char *out,
                       size_t cap);

/* The sub-command: prints to standard output. Returns the exit status. */
int credentials_main(const options *o);

#endif
