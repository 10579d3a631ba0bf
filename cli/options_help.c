/* SPDX-License-Identifier: Apache-2.0 */
#include "options_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const group_titles[] = {
    [GROUP_NETWORK] = "Network",
    [GROUP_AUTH] = "Credentials",
    [GROUP_PORTAL] = "Portal",
    [GROUP_LIMITS] = "Policy and limits",
    [GROUP_OBSERVE] = "Logs and telemetry",
    [GROUP_XDP] = "Kernel data path",
    [GROUP_OTHER] = "Other",
    [GROUP_CREDENTIALS] = "What is made",
    [GROUP_PROBE] = "What is tried",
    [GROUP_SESSIONS] = "Which, and what to do",
};

typedef struct text {
  char *out;
  size_t cap;
  size_t len;
} text;

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(text *t, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  const size_t room = t->len < t->cap ? t->cap - t->len : 0;
  const int n = vsnprintf(room ? t->out + t->len : NULL, room, format, args);
  va_end(args);
  t->len += n > 0 ? (size_t)n : 0;
}

static void put_spec(text *t, const option_spec *s, enum sub_command command)
{
  char left[96];
  if (s->flag && strlen(s->alias ? s->alias : "") == 1)
    snprintf(left, sizeof left, "-%s, --%s", s->alias, s->flag);
  else if (s->flag)
    snprintf(left, sizeof left, "    --%s%s%s", s->flag, s->value ? " " : "", s->value ? s->value : "");
  else if (s->env)
    snprintf(left, sizeof left, "    (environment) %s=%s", s->env, s->value);
  else
    snprintf(left, sizeof left, "    (file) %s = %s", s->key, s->value);
  put(t, "  %s\n          %s", left, command != COMMAND_RELAY && s->command_help ? s->command_help : s->help);
  if (s->alias && strlen(s->alias) > 1)
    put(t, " [alias: --%s]", s->alias);
  if (s->flag && s->env)
    put(t, " [env: %s]", s->env);
  if (s->env && s->key)
    put(t, " [in a file: %s]", s->key);
  /* What an option without a value means is said of the relay, where both take it. */
  const char *fallback = s->fallback                                                    ? s->fallback
                         : option_is_of(s, COMMAND_RELAY) == (command == COMMAND_RELAY) ? s->shown
                                                                                        : NULL;
  if (fallback)
    put(t, " [default: %s]", fallback);
  put(t, "\n");
}

/* Variables that no option stands for, as they are told of. They are read where they are needed. */
static const struct {
  const char *names, *help;
} variables[] = {
    {"RUST_LOG, FIREZONE_LOG", "what is logged: a level, or directives such as info,portal=debug; the first "
                               "that is set [default: info]"},
    {"NO_COLOR", "no colours on a terminal, if it is set"},
    {"SSL_CERT_FILE, SSL_CERT_DIR",
     "the authorities by which portal and collector have to be certified [default: the system's]"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT and others of OpenTelemetry",
     "where to and how metrics and traces are exported: the manual page has all that are honoured"},
    {"RUNTIME_DIRECTORY", "folder that a service manager has made, where --control-socket is by default"},
    {"NOTIFY_SOCKET", "where a service manager, systemd for example, is told when the relay is ready"},
};

/* The groups with what |command| takes of each. */
static void put_options(text *t, enum sub_command command)
{
  for (size_t g = 0; g < sizeof group_titles / sizeof *group_titles; g++) {
    bool begun = false;
    for (size_t i = 0; i < option_spec_count; i++) {
      const option_spec *s = &option_specs[i];
      if (s->group != g || !s->help || !option_is_of(s, command))
        continue;
      if (!begun)
        put(t, "\n%s:\n", group_titles[g]);
      begun = true;
      put_spec(t, s, command);
    }
  }
}

static bool takes_file(enum sub_command command)
{
  for (size_t i = 0; i < option_spec_count; i++)
    if (option_specs[i].flag && strcmp(option_specs[i].flag, "config") == 0)
      return option_is_of(&option_specs[i], command);
  return false;
}

static void put_end(text *t, enum sub_command command)
{
  put(t,
      "\nAn option on the command line beats its environment variable%s; an empty\nvariable counts as "
      "unset. ",
      takes_file(command) ? ", and both the file of --config" : "");
  put(t, "Durations are seconds, or take s, m, h or d, up to 49710d.\n");
}

static void relay_help(text *t)
{
  put(t, "firezone-relay %s: a STUN and TURN relay over UDP, TCP and TLS\n\n", fzr_version());
  put(t, "Usage: firezone-relay [OPTIONS] [TOKEN] [NAME]\n");
  put(t, "       firezone-relay COMMAND [OPTIONS]\n\n");
  put(t, "Without a token the relay runs standalone: 'firezone-relay credentials' makes what clients log in "
         "with.\n");
  put(t, "\nCommands, each with a --help of its own:\n");
  for (unsigned i = 0; i < COMMANDS; i++)
    if (command_specs[i].name)
      put(t, "  %s\n          %s\n", command_specs[i].name, command_specs[i].help);
  put_options(t, COMMAND_RELAY);
  put(t, "\nVariables without an option:\n");
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    put(t, "  %s\n          %s\n", variables[i].names, variables[i].help);
  put_end(t, COMMAND_RELAY);
  put(t, "Exit status: 0 after a shutdown, 1 after a failure, 2 for a mistake in the configuration. The "
         "manual\n");
  put(t, "page has more: man firezone-relay.\n");
}

static void command_help(text *t, enum sub_command command)
{
  const command_spec *c = &command_specs[command];
  put(t, "firezone-relay %s: %s\n\nUsage: firezone-relay %s [OPTIONS]%s%s\n", c->name, c->help, c->name,
      c->word ? " " : "", c->word ? c->word : "");
  if (c->note)
    put(t, "\n%s\n", c->note);
  put_options(t, command);
  put_end(t, command);
  put(t, "Exit status: 1 after a failure, 2 for a mistake in the configuration.\n");
}

size_t options_help(enum sub_command command, char *out, size_t cap)
{
  text t = {out, cap, 0};
  if (command == COMMAND_RELAY)
    relay_help(&t);
  else
    command_help(&t, command);
  return t.len;
}
