/* SPDX-License-Identifier: Apache-2.0 */
#include "import_coturn.h"

#include "config_file.h"
#include "users_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *import_coturn_expected(const char *name, const char *value)
{
  static notes ignored;
  char error[OPTIONS_ERROR_MAX];
  users_table users;
  if (strcmp(name, "user") != 0)
    return options_value_expected(name, value);
  ignored = (notes){0};
  /* In a file of their own blanks around them do not count; in that of --config they would. */
  const size_t len = strlen(value);
  if (!len || strchr(" \t", *value) || strchr(" \t", value[len - 1]))
    return "name:password or name:0xKEY, without blanks around it";
  if (*value == '#' || users_read_text("", value, len, false, &users, &ignored, error))
    return "name:password or name:0xKEY, of 32 hexadecimal digits";
  users_free(&users);
  return NULL;
}

/* ---- whether the relay takes the result ---- */

static const char *result;

static int read_result(const char *path, bool anew, options_text *out, const char **what)
{
  (void)path;
  (void)anew;
  *what = "out of memory";
  *out = (options_text){strdup(result), strlen(result), false};
  return out->data ? 0 : -1;
}

static const char *no_variable(const char *name)
{
  (void)name;
  return NULL;
}

static FILE *refusals;
static size_t refused;

static void tell(const char *error)
{
  fprintf(refusals, "# LOOK: so far the relay would not start with this: %s\n", error);
  refused++;
}

size_t import_coturn_refused(const char *text, FILE *out)
{
  static const options_sources sources = {no_variable, read_result, tell};
  static options o;
  char error[OPTIONS_ERROR_MAX];
  char *argv[] = {(char *)(uintptr_t) "firezone-relay", (char *)(uintptr_t) "--config",
                  (char *)(uintptr_t) "the result", NULL};
  result = text;
  refusals = out;
  refused = 0;
  if (options_read(3, argv, &sources, &o, error) && !refused)
    tell(error);
  options_forget(&o);
  return refused;
}

static int complain(int status, const char *error)
{
  fprintf(stderr, "firezone-relay: import-coturn: %s\n", error);
  return status;
}

/* Writes what became of it. */
static int put(char *text, size_t len, enum coturn_result status)
{
  bool failed = fputs(text, stdout) < 0;
  failed |= fflush(stdout) != 0;
  explicit_bzero(text, len);
  if (failed)
    return complain(EXIT_FAILURE, "can't write to standard output");
  if (status == COTURN_LOOK)
    fputs("firezone-relay: import-coturn: see the lines that begin with # LOOK\n", stderr);
  return (int)status;
}

int import_coturn_main(const options *o)
{
  char error[OPTIONS_ERROR_MAX];
  const bool is_input = strcmp(o->import_file, "-") == 0;
  const coturn_options how = {.name = is_input ? "standard input" : o->import_file,
                              .public_ip4 = o->public_ip4,
                              .public_ip6 = o->public_ip6,
                              .expected = import_coturn_expected,
                              .refused = import_coturn_refused};
  options file = {.config = {0}};
  const char *what = NULL;
  char *text = NULL;
  size_t len = 0;
  if (config_file_read(is_input ? "/dev/stdin" : o->import_file, false, &file.config.text, &what)) {
    snprintf(error, sizeof error, "can't read '%.200s' (%s): expected a turnserver.conf", o->import_file,
             what);
    make_one_line(error);
    return complain(COTURN_BAD, error);
  }
  FILE *out = open_memstream(&text, &len);
  int status = COTURN_BAD;
  snprintf(error, sizeof error, "out of memory");
  if (out)
    status =
        (int)coturn_translate(file.config.text.data, file.config.text.len, &how, out, error, sizeof error);
  if (out && fclose(out) && status != COTURN_BAD)
    status = COTURN_BAD;
  options_forget(&file);
  make_one_line(error);
  status = status == COTURN_BAD ? complain(status, error) : put(text, len, (enum coturn_result)status);
  free(text);
  return status;
}
