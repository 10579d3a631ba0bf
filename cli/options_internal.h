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
  GROUP_CREDENTIALS,
  GROUP_PROBE,
  GROUP_SESSIONS,
  GROUP_OTHER
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
  bool repeats;             /* an environment variable holds several, separated by commas */
  const char *help;         /* NULL: hidden, for tests */
  unsigned commands;        /* that take it, a bit of each; 0: the relay alone */
  const char *command_help; /* in place of `help` where that is true of the relay alone; NULL: it is of all */
  const char *key;          /* its name in a configuration file, where that is not the flag */
  bool reloads;             /* it may change while the relay runs, by way of the file */
  bool not_in_file;         /* it stands on the command line or in the environment alone */
} option_spec;

#define OF(command)      (1u << (command))
#define ONLY_CREDENTIALS OF(COMMAND_CREDENTIALS)
#define AND_CREDENTIALS  (OF(COMMAND_RELAY) | OF(COMMAND_CREDENTIALS))
#define ONLY_PROBE       OF(COMMAND_PROBE)
#define FOR_LOGINS                                                                                           \
  (AND_CREDENTIALS | OF(COMMAND_PROBE)) /* who makes them, who takes them, and who tries them */
#define OF_MADE       (ONLY_CREDENTIALS | ONLY_PROBE)
#define AND_COMMANDS  (OF(COMMAND_RELAY) | OF(COMMAND_CREDENTIALS) | OF(COMMAND_IMPORT_COTURN))
#define ONLY_SESSIONS OF(COMMAND_SESSIONS)
#define AND_SESSIONS  (OF(COMMAND_RELAY) | OF(COMMAND_SESSIONS))
#define OF_ALL        (OF(COMMANDS) - 1)

/* Whether |command| takes the option |s|. */
static inline bool option_is_of(const option_spec *s, enum sub_command command)
{
  return (s->commands ? s->commands : OF(COMMAND_RELAY)) & OF(command);
}

/* options_commands.c: what each command is beside the options that it takes. */
typedef struct command_spec {
  const char *name; /* the word for it; NULL: there is none */
  const char *help; /* what it does, as a sentence goes on; NULL: see options_help.c */
  const char *note; /* more of its options, a sentence; NULL: nothing */
  bool takes_words; /* TOKEN and NAME */
  const char *word; /* that it takes, and has to have, alone; NULL: none */
  option_setter set_word;
  /* Whether the variable of |s|, which it takes, is read; NULL: all are. Those that the relay runs with may be anything to the others. */
  bool (*reads_variable)(const options *o, const option_spec *s);
} command_spec;
extern const command_spec command_specs[COMMANDS];

/* The command that |word| is the name of; COMMAND_RELAY if there is none. */
enum sub_command command_named(const char *word);

/* Whether |word| was meant as the name of a command, and is none: mistyped, or what people try that have other programs in mind. */
bool command_is_mistaken(const char *word);

/* The names of all that have one, as a text: "credentials", "a or b". */
void command_list(char *out, size_t cap);

/* Whether credentials are to be made as a URL, or as something with one in it, which needs the relay's address. */
bool makes_url(const options *o);

/* Whether they are to be made for a page, with the URL of each way to the relay. */
bool makes_all_urls(const options *o);

/* options_table.c */
#define MAX_OPTIONS OPTIONS_MOST
extern const option_spec option_specs[];
extern const size_t option_spec_count;

/* What an error line of an option begins with, and what the log calls it: its flag with dashes, or its name in a file. */
const char *option_name(const option_spec *s);

/* Those of the table that are more to the reader than a value to pass on. */
const char *option_set_token(options *o, const char *t);
const char *option_set_name(options *o, const char *t);
const char *option_set_secret(options *o, const char *t);
const char *option_set_second_secret(options *o, const char *t);
const char *option_set_secret_file(options *o, const char *t);
const char *option_set_second_secret_file(options *o, const char *t);
const char *option_set_users_file(options *o, const char *t);
const char *option_set_log_filter(options *o, const char *t);
const char *option_set_config(options *o, const char *t);

/* options_config.c */
const char *option_set_inline_user(options *o, const char *t);

/* A line of a configuration file that says something. */
typedef struct config_line {
  unsigned number;
  char *name;
  char *value; /* NULL: the name stands alone */
} config_line;

typedef struct config_reader {
  char *next, *end;
  unsigned number; /* of the line that was read last */
} config_reader;

/* The lines of |text|, which is cut into pieces by reading them. */
config_reader config_read(const options_text *text);

/* Takes the next line. Returns 1; 0 at the end; or -1 with what is wrong with the line |line|->number in *|problem|: static text. */
int config_next(config_reader *r, config_line *line, const char **problem);

/* The row of the table that |name| stands for in a file; NULL: there is none. */
const option_spec *config_option(const char *name);

/* The name that |name| was meant to be, perhaps; NULL: none is near. */
const char *config_nearest(const char *name);

/* What is another way to say what |s| says, so that one is enough; NULL: nothing. */
const option_spec *config_alternative(const option_spec *s);

/* options_auth.c */
const char *option_set_auth(options *o, const char *t);
const char *option_set_realm(options *o, const char *t);
const char *option_set_relay_mode(options *o, const char *t);
/* Whether the options of who may log in go together, for the relay and for the credentials, |has_ttl|: whether that was given. Each
 * returns 0, or -1 with one line in |error|. */
int options_check_auth(const options *o, char error[OPTIONS_ERROR_MAX]);
int options_check_credentials(const options *o, bool has_ttl, char error[OPTIONS_ERROR_MAX]);

/* options_probe.c */
const char *option_set_probe_url(options *o, const char *t);
const char *option_set_username(options *o, const char *t);
const char *option_set_password_file(options *o, const char *t);
const char *option_set_password(options *o, const char *t);
const char *option_set_ca_file(options *o, const char *t);
const char *option_set_insecure(options *o, const char *t);
/* Whether there is a relay, and what to log in with. Returns 0, or -1 with one line in |error|. */
int options_check_probe(const options *o, char error[OPTIONS_ERROR_MAX]);

/* options_streams.c */
const char *option_set_proxies(options *o, const char *t);
const char *option_set_tls_name(options *o, const char *t);

/* options_xdp.c */
const char *option_set_offload(options *o, const char *t);
const char *option_set_flood_guard(options *o, const char *t);
const char *option_set_xdp(options *o, const char *t);
const char *option_set_xdp_route(options *o, const char *t);
const char *option_set_xdp_interface(options *o, const char *t);
const char *option_set_older_route(options *o, const char *t); /* of the names that began with xdp */
const char *option_set_older_interface(options *o, const char *t);
const char *option_set_ebpf_mode(options *o, const char *t);
const char *option_set_ebpf_interface(options *o, const char *t);
const char *option_set_xdp_ip4(options *o, const char *t);
const char *option_set_xdp_ip6(options *o, const char *t);

/* options_values.c: each returns NULL, or what would be right, if it does not say otherwise. */
/* A decimal number without sign or blanks. Returns whether it is one, from |least| to |most|. */
bool value_number(const char *text, uint64_t least, uint64_t most, uint64_t *out);
/* A duration of at least |least|, 0 or 1, seconds. */
const char *value_duration(uint64_t *out, const char *text, uint64_t least);
/* An address of |family| without a port. */
const char *value_ip(fzr_addr *out, const char *text, uint8_t family);
const char *value_endpoint(fzr_addr *out, const char *text);
const char *value_port(uint16_t *out, const char *text, uint64_t least);
/* |expected| is what would be right: a number from |least| to |most|. */
const char *value_u32(uint32_t *out, const char *text, uint32_t least, uint32_t most, const char *expected);
const char *value_text(const char **out, const char *text);
const char *value_flag(bool *flag, const char *text);

/* What is here in the place of coturn's option |text|, of |len| without dashes: static text; NULL if it has none such. */
const char *option_of_coturn(const char *text, size_t len);

#endif
