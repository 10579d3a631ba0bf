/* SPDX-License-Identifier: Apache-2.0 */
/* A file with secrets or users, opened. */
#ifndef RELAY_LOGIN_FILE_H
#define RELAY_LOGIN_FILE_H

#include <stdbool.h>

/* Opens the file |path| for reading. At the start of the process that may be anything, a pipe of the shell's, say; |anew|, while the relay
 * runs, just a regular file: nothing that could be waited for. *|is_public|: everybody on this host may read it. Returns the descriptor, the
 * caller's, or -1 with what is wrong in *|what|. */
int login_file_open(const char *path, bool anew, bool *is_public, const char **what);

#endif
