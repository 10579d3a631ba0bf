/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the translation share. */
#ifndef CLI_COTURN_TRANSLATION_H
#define CLI_COTURN_TRANSLATION_H

#include "file.h"
#include "keys.h"
#include "translate.h"

#include <stdint.h>

/* What has become of a line. */
enum entry_state { ENTRY_OPEN, ENTRY_DONE, ENTRY_ALIKE, ENTRY_LOOK };

typedef struct entry {
  coturn_line line;
  const coturn_key *key; /* NULL: coturn has none such */
  bool is_on;            /* a switch that is not off; all others are */
  enum entry_state state;
  char *said; /* by malloc; NULL: nothing */
} entry;

typedef struct translation {
  const coturn_options *o;
  entry *entries;
  size_t count, cap;
  FILE *body;  /* the options */
  FILE *rest;  /* those that somebody has to set, as they could be */
  FILE *notes; /* what is to be known of no line of the file */
  size_t looks;
  bool out_of_memory;
} translation;

/* The next line with the key |name| behind |after| (NULL: the first), off or not; NULL: there is none. */
entry *entry_next(const translation *t, const char *name, const entry *after);

/* The line of |name| that counts, which is the last one; NULL: there is none, or it is off. */
entry *entry_of(const translation *t, const char *name);

/* Takes the number that the value of |e| begins with into |out|, as coturn does, whatever follows: blanks and a comment are passed over,
 * all else is named. Returns false, and leaves |out| as it is, where |e| is NULL or settled, and where there is no number of |least| to
 * |most|: then |e| wants a look that shows the value, and says |instead|, what holds now. */
bool entry_number(translation *t, entry *e, uint64_t least, uint64_t most, const char *instead,
                  uint64_t *out);

/* Says what has become of |e|, once: the first one counts. NULL is fine. */
void entry_say(translation *t, entry *e, enum entry_state state, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Writes an option, which comes of |e| (NULL: of no line). If the relay would not take the value, |e| wants a look instead. Returns
 * whether it was written. */
bool put_option(translation *t, entry *e, const char *name, const char *value);
bool put_number(translation *t, entry *e, const char *name, uint64_t value);

/* Likewise a comment between the options; and one that wants a look, though no line of the file says so. */
void put_comment(translation *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void put_look(translation *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes a comment in the place of an option that the file does not tell, with an |example| of a value. It wants a look, which the caller
 * puts. */
void put_missing(translation *t, const char *name, const char *example);

/* network.c, users.c, policy.c: what is VERDICT_DONE. */
void translate_network(translation *t);
void translate_users(translation *t);
void translate_policy(translation *t);

#endif
