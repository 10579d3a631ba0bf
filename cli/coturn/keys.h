/* SPDX-License-Identifier: Apache-2.0 */
/* Every key that coturn has, from 4.5 to what is to follow 4.7: what becomes of it here. */
#ifndef CLI_COTURN_KEYS_H
#define CLI_COTURN_KEYS_H

#include <stddef.h>

enum coturn_verdict {
  VERDICT_DONE, /* translate.c says it in options */
  VERDICT_ALIKE, /* nothing has to be said: it is so, has no counterpart that anybody misses, or is another program's */
  VERDICT_LOOK, /* somebody has to do something, or do without */
  VERDICT_DEFAULT /* VERDICT_ALIKE if its value is |text| up to the first bar, behind which stands what is to be said */
};

typedef struct coturn_key {
  const char *name;
  enum coturn_verdict verdict;
  char kind;        /* 's' a switch, 'm' may be there several times, ' ' the last one counts */
  const char *text; /* why, and what to do instead; of VERDICT_DONE where nothing else is said */
} coturn_key;

extern const coturn_key coturn_keys[];
extern const size_t coturn_key_count;

/* The row of |name|; NULL: coturn has no such key. */
const coturn_key *coturn_key_of(const char *name);

#endif
