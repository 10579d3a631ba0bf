/* SPDX-License-Identifier: Apache-2.0 */
#include "options_internal.h"

#include "common/distance.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 16 /* longer ones are no mistyped command */
#define MISTYPED 2  /* letters */

static bool makes(const options *o, const char *format)
{
  return o->command == COMMAND_CREDENTIALS && o->credentials_format &&
         strcmp(o->credentials_format, format) == 0;
}

bool makes_all_urls(const options *o)
{
  return makes(o, "webrtc");
}

bool makes_url(const options *o)
{
  return makes(o, "url") || makes_all_urls(o);
}

/* Nothing but a URL needs an address, and none but one of a page is of TCP. */
static bool credentials_read(const options *o, const option_spec *s)
{
  const bool is_of_tcp =
      s->env && (strcmp(s->env, "TCP_LISTEN_PORT") == 0 || strcmp(s->env, "TLS_LISTEN_PORT") == 0);
  return s->group != GROUP_NETWORK || (is_of_tcp ? makes_all_urls(o) : makes_url(o));
}

static const char *set_import_file(options *o, const char *t)
{
  o->import_file = t;
  return *t ? NULL : "a turnserver.conf";
}

const command_spec command_specs[COMMANDS] = {
    [COMMAND_RELAY] = {.takes_words = true},
    [COMMAND_CREDENTIALS] = {.name = "credentials",
                             .help = "makes what clients log in with",
                             .note = "Address and ports are needed for --format url and webrtc alone.",
                             .reads_variable = credentials_read},
    [COMMAND_IMPORT_COTURN] =
        {.name = "import-coturn",
         .help = "prints the turnserver.conf FILE of coturn as a file for --config",
         .note = "Each line of FILE (- is standard input) becomes an option, or is named in a "
                 "comment with the reason and what\nto do instead. Exit status 0: that is all of "
                 "it; 3: lines that begin with # LOOK want somebody's hand.",
         .word = "FILE",
         .set_word = set_import_file},
    [COMMAND_PROBE] = {.name = "probe",
                       .help = "tries the relay URL from here, and says what is wrong with it",
                       .note = "URL is turn:HOST:PORT, also with ?transport=tcp, turns:HOST:PORT, or "
                               "stun:HOST:PORT, which asks for no\n"
                               "allocation. Credentials are those of a user, or are made of the relay's "
                               "secret. The last line begins "
                               "with a\nword for what is wrong, or works; the manual page has all of them. "
                               "Exit status 0: it works; 3: it "
                               "can't be\nreached; 4: the login is refused; 5: the relay has no room, or "
                               "refuses what was asked for; 6: data "
                               "is lost.",
                       .word = "URL",
                       .set_word = option_set_probe_url},
    [COMMAND_SESSIONS] = {.name = "sessions",
                          .help = "lists the sessions of a relay that runs on this host, or ends them",
                          .note = "Exit status 0: they are listed, or have ended; 3: there is none to end."},
};

enum sub_command command_named(const char *word)
{
  for (unsigned i = 0; i < COMMANDS; i++)
    if (command_specs[i].name && strcmp(word, command_specs[i].name) == 0)
      return (enum sub_command)i;
  return COMMAND_RELAY;
}

/* What people try that have other programs in mind. */
static bool is_usual_word(const char *word)
{
  static const char *const words[] = {"help",   "version", "start",  "stop",   "run",
                                      "serve",  "server",  "daemon", "reload", "restart",
                                      "status", "config",  "check",  "turn",   "stun"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(word, words[i]) == 0)
      return true;
  return false;
}

static bool is_mistyped(const char *word, const char *name)
{
  return strlen(word) < WORD_MAX && strlen(name) < WORD_MAX && distance(word, strlen(word), name) <= MISTYPED;
}

bool command_is_mistaken(const char *word)
{
  for (unsigned i = 0; i < COMMANDS; i++)
    if (command_specs[i].name && is_mistyped(word, command_specs[i].name))
      return true;
  return is_usual_word(word);
}

void command_list(char *out, size_t cap)
{
  size_t left = 0, len = 0;
  for (unsigned i = 0; i < COMMANDS; i++)
    left += command_specs[i].name != NULL;
  for (unsigned i = 0; i < COMMANDS && len < cap; i++) {
    if (!command_specs[i].name)
      continue;
    left--;
    const int n = snprintf(out + len, cap - len, "%s%s", command_specs[i].name,
                           left > 1 ? ", "
                           : left   ? " or "
                                    : "");
    len += n > 0 ? (size_t)n : 0;
  }
}
