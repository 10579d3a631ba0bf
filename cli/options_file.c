/* SPDX-License-Identifier: Apache-2.0 */
/* What the file of --config says, as far as nothing that beats it does. */
#include "options_reader.h"

#include <stdio.h>
#include <string.h>

/* What it begins its errors with. */
#define LINE         "%.150s:%u: "
#define LINE_ARGS(r) (r)->o->config.path, (r)->o->config.line

/* Which lines have been read, and what was known before. */
typedef struct file_state {
  unsigned lines[MAX_OPTIONS];   /* the last one with this option; 0: none */
  bool said_before[MAX_OPTIONS]; /* by what beats the file */
} file_state;

static int complain_of_unknown_line(reader *r, const char *name)
{
  const char *near = config_nearest(name), *of_coturn = option_of_coturn(name, strlen(name));
  const option_spec *flag = option_find_flag(name, strlen(name));
  const int len = option_name_len(name);
  if (!len)
    return option_complain(r, LINE "there is no name: expected a line such as listen-port = 3478",
                           LINE_ARGS(r));
  if (name[option_name_span(name)])
    return option_complain(r, LINE "%.*s: expected '=' behind the name: a line such as listen-port = 3478",
                           LINE_ARGS(r), len, name);
  if (flag)
    return option_complain(r, LINE "%.*s: it has no place in a file: expected it on the command line",
                           LINE_ARGS(r), len, name);
  if (of_coturn)
    return option_complain(
        r, LINE "unknown option '%.*s', which is coturn's; here: %s: see firezone-relay import-coturn",
        LINE_ARGS(r), len, name, of_coturn);
  if (near)
    return option_complain(r, LINE "unknown option '%.*s': expected %s, perhaps", LINE_ARGS(r), len, name,
                           near);
  return option_complain(r, LINE "unknown option '%.*s': see --help, without the dashes", LINE_ARGS(r), len,
                         name);
}

static bool is_set_in_environment(const options *o, const char *name)
{
  const char *value = o->sources->env(name);
  return value && *value;
}

/* Whether the command line or the environment has said what |s| stands for, or the command has no use for it. */
static bool is_beaten(const reader *r, const option_spec *s, const file_state *f)
{
  const option_spec *other = config_alternative(s);
  const command_spec *c = &command_specs[r->o->command];
  if (f->said_before[s - option_specs] || (other && f->said_before[other - option_specs]))
    return true;
  if (s->set == option_set_log_filter)
    return is_set_in_environment(r->o, "RUST_LOG") || is_set_in_environment(r->o, "FIREZONE_LOG");
  return !option_is_of(s, r->o->command) || (c->reads_variable && !c->reads_variable(r->o, s));
}

/* What |value| of a switch is for its setter; NULL: neither yes nor no. */
static const char *switch_value(const char *value)
{
  static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
  if (!value)
    return "true";
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0)
      return strcmp(value, yes[i]) == 0 ? "true" : "false";
  return NULL;
}

static int take_line(reader *r, const config_line *line, file_state *f)
{
  options *o = r->o;
  char name[sizeof LINE + 256];
  const option_spec *s = config_option(line->name);
  if (!s)
    return complain_of_unknown_line(r, line->name);
  const size_t i = (size_t)(s - option_specs);
  const option_spec *other = config_alternative(s);
  const unsigned before = f->lines[i], rival = other ? f->lines[other - option_specs] : 0;
  f->lines[i] = line->number;
  if (before && !s->repeats)
    return option_complain(r, LINE "%s: it is there already, in line %u: expected it once", LINE_ARGS(r),
                           line->name, before);
  if (rival)
    return option_complain(r, LINE "%s: line %u has what it stands for, too: expected one of them",
                           LINE_ARGS(r), line->name, rival);
  if (s->value && (!line->value || !*line->value)) {
    const char *expected = s->set(o, "");
    r->bad[i] = true;
    return option_complain(r, LINE "%s: a value is missing: expected %s", LINE_ARGS(r), line->name,
                           expected ? expected : s->value);
  }
  o->config.has_secret |= s->set == option_set_secret || s->set == option_set_second_secret ||
                          s->set == option_set_token || s->set == option_set_inline_user;
  if (is_beaten(r, s, f))
    return 0;
  const char *value = s->value ? line->value : switch_value(line->value);
  if (!value) {
    r->bad[i] = true;
    return option_complain(r, LINE "%s: invalid value '%.100s': expected yes or no", LINE_ARGS(r), line->name,
                           line->value);
  }
  snprintf(name, sizeof name, LINE "%s", LINE_ARGS(r), line->name);
  return option_apply(r, s, name, value);
}

/* What neither the command line nor the environment says. */
void options_read_file(reader *r)
{
  options *o = r->o;
  const char *what = "there are no files", *problem;
  file_state f = {0};
  config_line line;
  int got;
  if (!o->config.path)
    return;
  if (!o->sources->file || o->sources->file(o->config.path, r->anew, &o->config.text, &what)) {
    option_complain(r, "--config: can't read '%.200s' (%s): expected a file with options", o->config.path,
                    what);
    return;
  }
  memcpy(f.said_before, r->given, sizeof f.said_before);
  config_reader reading = config_read(&o->config.text);
  while ((got = config_next(&reading, &line, &problem)) != 0) {
    o->config.line = line.number;
    if (got < 0)
      option_complain(r, LINE "%s", LINE_ARGS(r), problem);
    else
      take_line(r, &line, &f);
  }
}
