/* SPDX-License-Identifier: Apache-2.0 */
/* The file of --config, and those that are translated into one, as text. */
#ifndef RELAY_CONFIG_FILE_H
#define RELAY_CONFIG_FILE_H

#include "options.h"

/* Reads all of the file |path| into |out|, which options_forget wipes and frees. |anew|: see login_file_open. Returns 0, or -1 with what is
 * wrong in *|what|. */
int config_file_read(const char *path, bool anew, options_text *out, const char **what);

#endif
