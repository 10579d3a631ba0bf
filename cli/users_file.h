/* SPDX-License-Identifier: Apache-2.0 */
/* The file of users with passwords of their own: a line each, user:password or user:0xKEY. */
#ifndef RELAY_USERS_FILE_H
#define RELAY_USERS_FILE_H

#include "notes.h"

/* Sorted by name. All of it is in memory of its own, which is wiped when it is given back. */
typedef struct users_table {
  fzr_user *list;
  size_t count;
  char *text; /* the file, which |list| points into */
  size_t text_len;
} users_table;

/* Reads the file |path| into |out|. |beside_rest|: names that the REST scheme makes are none of users. |anew|: see login_file_open.
 * What looks wrong and can be meant is noted in |n|. Returns 0, or -1 with one line in |error|, with the number of the line it is about, and |out| empty. No password is
 * shown. */
int users_read(const char *path, bool beside_rest, bool anew, users_table *out, notes *n,
               char error[OPTIONS_ERROR_MAX]);

/* The same of the |len| bytes |text|, which stood in the file |path|, of --config, in the same lines. */
int users_read_text(const char *path, const char *text, size_t len, bool beside_rest, users_table *out,
                    notes *n, char error[OPTIONS_ERROR_MAX]);

/* The user of that name; NULL: there is none. */
const fzr_user *users_find(const users_table *users, const char *name);

/* Wipes and frees what |users| has but for their count. */
void users_forget(users_table *users);

/* The same, and |users| is empty then. */
void users_free(users_table *users);

#endif
