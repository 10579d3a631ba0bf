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
    [GROUP_CREDENTIALS] = "Of the sub-command credentials",
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

static void put_spec(text *t, const option_spec *s)
{
  char left[96];
  if (s->flag && strlen(s->alias ? s->alias : "") == 1)
    snprintf(left, sizeof left, "-%s, --%s", s->alias, s->flag);
  else if (s->flag)
    snprintf(left, sizeof left, "    --%s%s%s", s->flag, s->value ? " " : "", s->value ? s->value : "");
  else
    snprintf(left, sizeof left, "    (environment) %s=%s", s->env, s->value);
  put(t, "  %s\n          %s", left, s->help);
  if (s->alias && strlen(s->alias) > 1)
    put(t, " [alias: --%s]", s->alias);
  if (s->flag && s->env)
    put(t, " [env: %s]", s->env);
  if (s->fallback || s->shown)
    put(t, " [default: %s]", s->fallback ? s->fallback : s->shown);
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
};

size_t options_help(char *out, size_t cap)
{
  text t = {out, cap, 0};
  put(&t, "firezone-relay %s: a STUN and TURN relay over UDP\n\n", fzr_version());
  put(&t, "Usage: firezone-relay [OPTIONS] [TOKEN] [NAME]\n");
  put(&t, "       firezone-relay credentials [--auth-secret-file FILE] [--ttl TIME] [--salt TEXT] [--format "
          "FORMAT]\n\n");
  put(&t, "Without a token the relay runs standalone: 'firezone-relay credentials' makes what clients log in "
          "with.\n");
  for (size_t g = 0; g < sizeof group_titles / sizeof *group_titles; g++) {
    put(&t, "\n%s:\n", group_titles[g]);
    for (size_t i = 0; i < option_spec_count; i++)
      if (option_specs[i].group == g && option_specs[i].help)
        put_spec(&t, &option_specs[i]);
  }
  put(&t, "\nVariables without an option:\n");
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    put(&t, "  %s\n          %s\n", variables[i].names, variables[i].help);
  put(&t,
      "\nAn option on the command line beats its environment variable; an empty variable counts as unset.\n");
  put(&t, "Durations are seconds, or take s, m, h or d, up to 49710d. Exit status: 0 after a shutdown, 1 "
          "after a\n");
  put(&t, "failure, 2 for a mistake in the configuration. The manual page has more: man firezone-relay.\n");
  return t.len;
}
