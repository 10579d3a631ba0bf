/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the options share: the table, and the readers of values behind it. */
#ifndef RELAY_OPTIONS_INTERNAL_H
#define RELAY_OPTIONS_INTERNAL_H

#include "options.h"

enum option_group {
  GROUP_NETWORK,
  GROUP_AUTH,
  GROUP_PORTAL,
  GROUP_LIMITS,
  GROUP_OBSERVE,
  GROUP_XDP,
  GROUP_OTHER,
  GROUP_CREDENTIALS
};

/* Sets one option from its text. Returns NULL, or what would be right. */
typedef const char *(*option_setter)(options *o, const char *text);

typedef struct option_spec {
  const char *flag;  /* without dashes; NULL: a positional or environment only */
  const char *alias; /* another flag of the same meaning */
  const char *env;
  const char *value;    /* its name in the help; NULL: takes none */
  const char *fallback; /* the default as text, shown in the help and parsed like a value; NULL: none */
  const char *shown;    /* shown in the help as the default where `fallback` does not say it */
  option_setter set;
  enum option_group group;
  bool repeats;     /* an environment variable holds several, separated by commas */
  const char *help; /* NULL: hidden, for tests */
} option_spec;

/* options_table.c */
#define MAX_OPTIONS 64
extern const option_spec option_specs[];
extern const size_t option_spec_count;

/* Those of the table that are more to the reader than a value to pass on. */
const char *option_set_token(options *o, const char *t);
const char *option_set_name(options *o, const char *t);
const char *option_set_secret(options *o, const char *t);

/* options_values.c: each returns NULL, or what would be right, if it does not say otherwise. */
/* A decimal number without sign or blanks. Returns whether it is one, from |least| to |most|. */
bool value_number(const char *text, uint64_t least, uint64_t most, uint64_t *out);
/* A duration of at least |least|, 0 or 1, seconds. */
const char *value_duration(uint64_t *out, const char *text, uint64_t least);
/* An address of |family| without a port. */
const char *value_ip(fzr_addr *out, const char *text, uint8_t family);
const char *value_endpoint(fzr_addr *out, const char *text);
const char *value_port(uint16_t *out, const char *text, uint64_t least);
const char *value_u32(uint32_t *out, const char *text, const char *expected);
const char *value_text(const char **out, const char *text);
const char *value_flag(bool *flag, const char *text);

#endif
