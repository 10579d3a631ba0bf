/* SPDX-License-Identifier: Apache-2.0 */
/* What clients log in with: the secrets that credentials are made of, and users with passwords of their own. */
#ifndef RELAY_LOGINS_H
#define RELAY_LOGINS_H

#include "notes.h"
#include "secret.h"
#include "users_file.h"

#include <stdatomic.h>

/* Read once it is made, by any thread that holds it; the list of users until all have taken it. */
typedef struct logins {
  atomic_uint holders;
  atomic_uint awaited;  /* that have not taken it yet */
  atomic_bool refused;  /* by one of them */
  secret_pair secrets;  /* both "" where no scheme has any */
  bool second_is_empty; /* a file for a second secret is named, but absent or empty */
  users_table users;    /* none where no scheme has any */
} logins;

/* Reads what |o| names, into |out|, which the caller holds. |before| is what was read before in this life of the process, whose made
 * secrets stay; NULL: nothing. What is worth a warning is in |n|. Returns 0; EXIT_USAGE with one line in |error|; or EXIT_FAILURE,
 * likewise. */
int logins_read(const options *o, const logins *before, logins **out, notes *n,
                char error[OPTIONS_ERROR_MAX]);

/* Whether there is a file that logins_read reads: what is in others can't have changed. */
bool logins_have_files(const options *o);

/* Whether nobody at all can log in. */
bool logins_are_nobodys(const options *o);

/* |takers| are to take it, one or more. Each then says whether it did so |well|. The last one's call wipes and frees the users, whose count
 * stays: nobody needs passwords that engines have made keys of. Returns true there, if all did well. */
void logins_await(logins *l, unsigned takers);
bool logins_taken(logins *l, bool well);

/* Says that a SIGHUP's are in force. |schemes|: AUTH_…. */
void logins_log(const logins *l, unsigned schemes);

/* One more holder, who is |l|; and one fewer: the last one's call wipes and frees it. NULL is fine there. */
logins *logins_hold(logins *l);
void logins_drop(logins *l);

#endif
