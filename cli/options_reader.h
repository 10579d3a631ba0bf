/* SPDX-License-Identifier: Apache-2.0 */
/* What reads command line, environment and file, in parts. */
#ifndef RELAY_OPTIONS_READER_H
#define RELAY_OPTIONS_READER_H

#include "options_internal.h"

typedef struct reader {
  options *o;
  bool anew;               /* a relay runs already: see options_reread */
  bool given[MAX_OPTIONS]; /* by flag, variable or file */
  bool bad[MAX_OPTIONS];   /* it has a value that is none */
  unsigned mistakes;
  bool checking; /* whether they go together: what is wrong by itself was said */
  unsigned positionals;
  bool has_users_flag; /* a variable is the relay's, too, and may be there anyway */
  char *error;
} reader;

/* Says what is wrong, in one line. Returns -1. */
int option_complain(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets what |s| stands for to |value|; |name| is what it was called. Returns 0, or -1 when it has complained. */
int option_apply(reader *r, const option_spec *s, const char *name, const char *value);

/* The option whose flag, without dashes, are the |len| bytes at |text|; NULL: there is none. */
const option_spec *option_find_flag(const char *text, size_t len);

/* Whether the option |name|, "--flag" or the variable of one without a flag, was set. */
bool option_is_given(const reader *r, const char *name);

/* How many bytes at the beginning of |text| can be the name of an option. */
size_t option_name_span(const char *text);

/* How much of them is shown. What follows may be a secret, whether "=" is between or, by mistake, something else. */
int option_name_len(const char *text);

/* options_check.c: says what of the options that are set does not go together, each mistake in a line. */
void options_check(reader *r);

/* options_file.c: reads what neither the command line nor the environment says. */
void options_read_file(reader *r);

#endif
