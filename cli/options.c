/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "options_idle.h"
#include "options_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A portal's tokens are signed, and so several times as long; words on the command line that are shorter are there by mistake. */
#define TOKEN_LEAST 16
#define HEALTH_PORT 8080

/* ---- reading ---- */

const char *option_name(const option_spec *s)
{
  static _Thread_local char name[64];
  if (!s->flag)
    return s->env ? s->env : s->key;
  snprintf(name, sizeof name, "--%s", s->flag);
  return name;
}

/* Whether |text| is about an option whose value is none: of that enough was said. */
static bool is_said(const reader *r, const char *text)
{
  for (size_t i = 0; i < option_spec_count; i++)
    if (r->bad[i] && strstr(text, option_name(&option_specs[i])))
      return true;
  return false;
}

int option_complain(reader *r, const char *format, ...)
{
  char text[OPTIONS_ERROR_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  make_one_line(text);
  if (r->checking && is_said(r, text))
    return -1;
  if (!r->mistakes++)
    memcpy(r->error, text, sizeof text);
  if (r->o->sources->tell && !r->anew)
    r->o->sources->tell(text);
  return -1;
}

/* A value fit for an error line: not a secret. A URL may hold a password, or a token in its query; a variable of who may log in what is
 * another program's, or was meant for AUTH_SECRET. */
static const char *shown_value(const option_spec *s, const char *name, const char *value)
{
  const bool is_variable = s->env && strcmp(name, s->env) == 0;
  const bool hidden = s->set == option_set_secret || s->set == option_set_password ||
                      s->set == option_set_second_secret || s->set == option_set_token ||
                      s->set == option_set_inline_user || strpbrk(value, "@?") != NULL ||
                      (is_variable && (s->set == option_set_auth || s->set == option_set_realm));
  return hidden ? "(not shown)" : value;
}

/* FNV-1a, over the zero at the end, too. */
static uint64_t digest(uint64_t so_far, const char *text)
{
  uint64_t hash = so_far ^ 0xcbf29ce484222325u;
  do
    hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
  while (*text++);
  return hash;
}

/* Sets what |s| stands for. Returns NULL, or what would be right. */
static const char *set(reader *r, const option_spec *s, const char *value)
{
  const size_t i = (size_t)(s - option_specs);
  const char *expected = s->set(r->o, value);
  if (expected)
    r->bad[i] = true;
  else
    r->o->digests[i] = digest(r->o->digests[i], value);
  return expected;
}

int option_apply(reader *r, const option_spec *s, const char *name, const char *value)
{
  const char *expected = set(r, s, value);
  if (expected)
    return option_complain(r, "%s: invalid value '%.200s': expected %s", name, shown_value(s, name, value),
                           expected);
  r->given[s - option_specs] = true;
  return 0;
}

static bool flag_is(const char *flag, const char *text, size_t len)
{
  return flag && strlen(flag) == len && strncmp(flag, text, len) == 0;
}

const option_spec *option_find_flag(const char *text, size_t len)
{
  for (size_t i = 0; i < option_spec_count; i++)
    if (flag_is(option_specs[i].flag, text, len) || flag_is(option_specs[i].alias, text, len))
      return &option_specs[i];
  return NULL;
}

/* The same for |command|: others may have one of that name that is something else. */
static const option_spec *find_flag_of(enum sub_command command, const char *text, size_t len)
{
  for (size_t i = 0; i < option_spec_count; i++)
    if (option_is_of(&option_specs[i], command) && flag_is(option_specs[i].flag, text, len))
      return &option_specs[i];
  return option_find_flag(text, len);
}

size_t option_name_span(const char *text)
{
  return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
}

int option_name_len(const char *text)
{
  const size_t len = option_name_span(text);
  return len < 100 ? (int)len : 100;
}

/* Almost every setter says what it expects when it is given nothing. */
static int complain_of_missing(reader *r, const option_spec *s)
{
  const char *expected = s->set(r->o, "");
  return option_complain(r, "%s: a value is missing: expected %s", option_name(s),
                         expected ? expected : s->value);
}

static const char *name_of(const reader *r)
{
  return command_specs[r->o->command].name;
}

/* |text| without its dashes, of |len| up to a value. A secret on the command line could be read by every user of the host. */
static int complain_of_unknown(reader *r, const char *argument, const char *text, size_t len)
{
  const char *command = name_of(r) ? name_of(r) : "", *space = name_of(r) ? " " : "";
  static const char *const secrets[][2] = {{"auth-secret", "AUTH_SECRET"},
                                           {"auth-second-secret", "AUTH_SECOND_SECRET"}};
  for (size_t i = r->o->command == COMMAND_RELAY ? 2 : 1; i-- > 0;)
    if (flag_is(secrets[i][0], text, len))
      return option_complain(r, "unknown option '--%s': expected --%s-file or %s: see %s%s--help",
                             secrets[i][0], secrets[i][0], secrets[i][1], command, space);
  if (r->o->command == COMMAND_PROBE && flag_is("password", text, len))
    return option_complain(
        r, "unknown option '--password': expected --password-file or PROBE_PASSWORD: see %s --help", command);
  const char *here = name_of(r) ? NULL : option_of_coturn(text, len);
  if (here)
    return option_complain(
        r, "unknown option '%.*s', which is coturn's; here: %s: see docs/from-coturn.md, --help",
        option_name_len(argument), argument, here);
  return option_complain(r, "unknown option '%.*s': see %s%s--help", option_name_len(argument), argument,
                         command, space);
}

/* Reads one argument that begins with a dash; *|i| moves over a value of its own. Sets *|alone| to its option if that takes none. */
static int read_flag(reader *r, int argc, char **argv, int *i, const option_spec **alone)
{
  const char *text = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
  const char *equals = strchr(text, '=');
  const size_t len = equals ? (size_t)(equals - text) : strlen(text);
  const enum sub_command command = r->o->command;
  const option_spec *s = find_flag_of(command, text, len);
  if (!s || (command == COMMAND_RELAY && !option_is_of(s, command)))
    return complain_of_unknown(r, argv[*i], text, len);
  if (!option_is_of(s, command))
    return option_complain(r, "%s: not an option of %s: see %s --help", option_name(s), name_of(r),
                           name_of(r));
  const char *value = "true";
  if (s->value && equals) {
    value = equals + 1;
  } else if (s->value) {
    if (*i + 1 >= argc)
      return complain_of_missing(r, s);
    value = argv[++*i];
  } else if (equals) {
    return option_complain(r, "%s: takes no value", option_name(s));
  }
  *alone = s->value ? NULL : s;
  return option_apply(r, s, option_name(s), value);
}

/* What people write behind an option that takes no value. */
static bool is_yes_or_no(const char *word)
{
  static const char *const words[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(word, words[i]) == 0)
      return true;
  return false;
}

/* A sub-command out of place, or mistyped, would be taken for a token, and so would a value that belongs to nothing; |before| is the
 * option in front of it, if that takes no value. Whoever has such a token puts "--" in front of it. */
static int check_word(reader *r, const char *word, const option_spec *before)
{
  char names[128];
  if (r->o->command != COMMAND_RELAY)
    return 0;
  if (before && (is_yes_or_no(word) || (!r->positionals && strlen(word) < TOKEN_LEAST)))
    return option_complain(r, "%s: takes no value, and has one behind it: see --help", option_name(before));
  if (r->positionals)
    return 0;
  if (command_named(word) != COMMAND_RELAY)
    return option_complain(r, "%s: a sub-command has to be the first word: see --help", word);
  if (strcmp(word, "help") == 0 || strcmp(word, "version") == 0)
    return option_complain(r, "unknown sub-command '%s': there is --%s", word, word);
  command_list(names, sizeof names);
  if (command_is_mistaken(word))
    return option_complain(r, "unknown sub-command '%s': expected %s: see --help", word, names);
  if (*word && strlen(word) < TOKEN_LEAST)
    return option_complain(r,
                           "no such command: expected %s, an option, or a portal's token of at least %d "
                           "characters (a shorter one stands behind --, or in FIREZONE_TOKEN): see --help",
                           names, TOKEN_LEAST);
  return 0;
}

static int read_positional(reader *r, const char *value)
{
  const option_setter wanted = r->positionals == 0 ? option_set_token : option_set_name;
  const command_spec *c = &command_specs[r->o->command];
  if (c->word) {
    const char *expected = r->positionals++ ? NULL : c->set_word(r->o, value);
    if (r->positionals > 1)
      return option_complain(r, "unexpected second argument: %s takes %s alone: see %s --help", c->name,
                             c->word, c->name);
    return expected ? option_complain(r, "%s: invalid value '%.200s': expected %s", c->word,
                                      strchr(value, '@') ? "(not shown)" : value, expected)
                    : 0;
  }
  if (!command_specs[r->o->command].takes_words) /* it may be a secret */
    return option_complain(r, "unexpected argument: %s takes options alone: see %s --help", name_of(r),
                           name_of(r));
  if (r->positionals > 1)
    return option_complain(r, "unexpected third argument: only TOKEN and NAME have no option: see --help");
  for (size_t i = 0; i < option_spec_count; i++) {
    if (option_specs[i].set != wanted)
      continue;
    r->positionals++;
    if (wanted == option_set_token)
      r->o->token_from_argument = true;
    return option_apply(r, &option_specs[i], wanted == option_set_token ? "TOKEN" : "NAME", value);
  }
  return -1;
}

static int read_arguments(reader *r, int argc, char **argv)
{
  const option_spec *alone = NULL; /* the option just before, if it takes no value */
  bool flags = true;
  int i = 1;
  r->o->command = argc > 1 ? command_named(argv[1]) : COMMAND_RELAY;
  if (r->o->command != COMMAND_RELAY)
    i = 2;
  for (; i < argc; i++) {
    int error;
    if (flags && strcmp(argv[i], "--") == 0) {
      flags = false;
      continue;
    }
    if (flags && argv[i][0] == '-' && argv[i][1]) {
      error = read_flag(r, argc, argv, &i, &alone);
    } else if (flags && r->o->show_help && r->o->command == COMMAND_RELAY &&
               command_named(argv[i]) != COMMAND_RELAY) {
      r->o->command = command_named(argv[i]); /* --help credentials */
      error = 0;
    } else {
      error = flags && check_word(r, argv[i], alone) ? -1 : read_positional(r, argv[i]);
      alone = NULL;
    }
    if (error)
      return error;
  }
  return 0;
}

/* Applies each part of a variable that holds several values. */
static int read_list(reader *r, const option_spec *s, const char *value)
{
  options *o = r->o;
  while (*value) {
    const size_t len = strcspn(value, ",");
    char *part = o->listed + o->listed_len;
    if (len >= sizeof o->listed - o->listed_len)
      return option_complain(
          r, "%s: invalid value '%.200s': expected at most %zu bytes in all variables with lists", s->env,
          value, sizeof o->listed - 1);
    memcpy(part, value, len);
    part[len] = 0;
    o->listed_len += len ? len + 1 : 0;
    if (len && option_apply(r, s, s->env, part))
      return -1;
    value += len + (value[len] == ',');
  }
  return 0;
}

static bool is_variable_of_interest(const options *o, const option_spec *s)
{
  const command_spec *c = &command_specs[o->command];
  return s->env && option_is_of(s, o->command) && (!c->reads_variable || c->reads_variable(o, s));
}

/* Whether an option of the kernel's data path was set by its other name: this one does not count then. */
static bool has_other_name(const reader *r, const option_spec *s)
{
  const option_spec *other = s->group == GROUP_XDP ? config_alternative(s) : NULL;
  return other && r->given[other - option_specs];
}

/* What the command line did not say, the environment may; what neither did is the default. */
static void read_environment(reader *r)
{
  for (size_t i = 0; i < option_spec_count; i++) {
    const option_spec *s = &option_specs[i];
    const char *value = !r->given[i] && is_variable_of_interest(r->o, s) ? r->o->sources->env(s->env) : NULL;
    if (!value || !*value || has_other_name(r, s))
      continue;
    if (s->repeats)
      read_list(r, s, value);
    else
      option_apply(r, s, s->env, value);
  }
}

static void take_defaults(reader *r)
{
  for (size_t i = 0; i < option_spec_count; i++)
    if (!r->given[i] && option_specs[i].fallback)
      set(r, &option_specs[i], option_specs[i].fallback);
}

bool option_is_given(const reader *r, const char *name)
{
  const bool dashes = strncmp(name, "--", 2) == 0;
  for (size_t i = 0; i < option_spec_count; i++) {
    const option_spec *s = &option_specs[i];
    const char *own = dashes ? s->flag : s->env ? s->env : s->key;
    if (own && strcmp(own, dashes ? name + 2 : name) == 0)
      return r->given[i];
  }
  return false;
}

/* ---- all of it ---- */

/* Firezone's deployments ask for health from outside; on a relay without a portal nobody but the host does, unless that is said. */
static fzr_addr default_health(const options *o)
{
  const uint8_t loopback[4] = {127, 0, 0, 1};
  fzr_addr addr = {.family = FZR_FAMILY_IPV4, .port = HEALTH_PORT};
  if (!o->token)
    memcpy(addr.ip, loopback, sizeof loopback);
  return addr;
}

/* The first of the folders that systemd has made for a service; else where the unit of this project has its own, for commands that are no
 * part of it. */
static void default_control(options *o)
{
  const char *folder = o->sources->env("RUNTIME_DIRECTORY");
  if (o->control_socket || (o->command == COMMAND_SESSIONS && o->control_endpoint.family))
    return;
  if ((!folder || *folder != '/') && o->command == COMMAND_SESSIONS)
    folder = "/run/firezone-relay";
  const size_t len = folder && *folder == '/' ? strcspn(folder, ":") : 0;
  static const char name[] = "/control";
  if (!len || len + sizeof name > sizeof o->runtime_control)
    return;
  memcpy(o->runtime_control, folder, len);
  memcpy(o->runtime_control + len, name, sizeof name);
  o->control_socket = o->runtime_control;
}

static int read_all(int argc, char **argv, const options_sources *sources, bool anew, options *out,
                    char *error)
{
  reader r = {.o = out, .anew = anew, .error = error};
  memset(out, 0, sizeof *out);
  out->argc = argc;
  out->argv = argv;
  out->sources = sources;
  out->shutdown_seconds = UINT64_MAX;
  error[0] = 0;
  if (read_arguments(&r, argc, argv))
    return -1;
  if (out->show_help || out->show_version)
    return 0;
  r.has_users_flag = option_is_given(&r, "--users-file");
  read_environment(&r);
  options_read_file(&r);
  if (out->config.path && !out->config.text.data)
    return -1; /* all else that there is to say may come of that */
  take_defaults(&r);
  r.checking = true;
  options_check(&r);
  if (r.mistakes)
    return -1;
  default_control(out);
  if (!option_is_given(&r, "--health-check-addr"))
    out->health_check_addr = default_health(out);
  out->realm_given = option_is_given(&r, "--realm");
  out->relay_mode_given = out->relay_mode != RELAY_MODE_DEFAULT;
  if (!out->relay_mode_given)
    out->relay_mode = out->auth == AUTH_STAMP ? RELAY_MODE_CHANNELS : RELAY_MODE_FULL;
  options_find_idle(&r);
  out->any_ip4 = option_is_given(&r, "--bind-ip4-addr") && is_wildcard(&out->bind_ip4);
  out->any_ip6 = option_is_given(&r, "--bind-ip6-addr") && is_wildcard(&out->bind_ip6);
  return 0;
}

int options_read(int argc, char **argv, const options_sources *sources, options *out,
                 char error[OPTIONS_ERROR_MAX])
{
  return read_all(argc, argv, sources, false, out, error);
}

int options_reread(const options *now, options *out, char error[OPTIONS_ERROR_MAX])
{
  return read_all(now->argc, now->argv, now->sources, true, out, error);
}

bool options_fixed_that_differ(const options *a, const options *b, char *out, size_t cap)
{
  size_t len = 0;
  *out = '\0';
  for (size_t i = 0; i < option_spec_count; i++) {
    const option_spec *s = &option_specs[i];
    if (s->reloads || a->digests[i] == b->digests[i])
      continue;
    const int n = snprintf(out + len, cap - len, "%s%s", len ? ", " : "", option_name(s));
    if (n < 0 || (size_t)n >= cap - len) {
      out[len] = '\0';
      return true;
    }
    len += (size_t)n;
  }
  return len > 0;
}

void options_forget(options *o)
{
  options_config *c = &o->config;
  if (c->text.data)
    explicit_bzero(c->text.data, c->text.len);
  if (c->users)
    explicit_bzero(c->users, c->users_len);
  free(c->text.data);
  free(c->users);
  c->text = (options_text){0};
  c->users = NULL;
}
