/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a turnserver.conf: each line of it that says something is named in the result, once, and each option of the result is one
 * that the relay takes. */
#include "fuzz.h"

#include "coturn/file.h"
#include "import_coturn.h"

#include <stdio.h>

static const char *text;

static const char *no_variable(const char *name)
{
  (void)name;
  return NULL;
}

static int read_result(const char *path, bool anew, options_text *out, const char **what)
{
  (void)path;
  (void)anew;
  *what = "out of memory";
  *out = (options_text){strdup(text), strlen(text), false};
  return out->data ? 0 : -1;
}

/* What is not known yet may be missing; but what is there is right. */
static void tell(const char *line)
{
  FUZZ_CHECK(strncmp(line, "the result:", 11) != 0);
}

static size_t count(const char *in, const char *what)
{
  size_t n = 0;
  for (; (in = strstr(in, what)) != NULL; in++)
    n++;
  return n;
}

static size_t lines_of(const uint8_t *data, size_t size)
{
  char *copy = calloc(1, size + 1);
  coturn_line line;
  size_t n = 0;
  FUZZ_CHECK(copy);
  if (size)
    memcpy(copy, data, size);
  coturn_reader r = coturn_read(copy, size);
  while (coturn_next(&r, &line) > 0)
    n++;
  free(copy);
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const options_sources sources = {no_variable, read_result, tell};
  static options o;
  const coturn_options how = {.name = "fuzz", .expected = import_coturn_expected};
  char error[OPTIONS_ERROR_MAX] = "", *result = NULL, *copy = calloc(1, size + 1);
  char *argv[] = {(char *)(uintptr_t) "firezone-relay", (char *)(uintptr_t) "--config",
                  (char *)(uintptr_t) "the result", NULL};
  size_t len = 0;
  FILE *out = open_memstream(&result, &len);
  FUZZ_CHECK(copy && out);
  if (size)
    memcpy(copy, data, size);
  const enum coturn_result got = coturn_translate(copy, size, &how, out, error, sizeof error);
  FUZZ_CHECK(fclose(out) == 0 && result);
  FUZZ_CHECK((got == COTURN_BAD) == (len == 0) && (got == COTURN_BAD) == (*error != 0));
  if (got != COTURN_BAD) {
    /* A value may look like one of these, but not at the beginning of a line. */
    FUZZ_CHECK(count(result, "\n# line ") + count(result, "\n# LOOK: line ") >= lines_of(data, size));
    text = result;
    options_read(3, argv, &sources, &o, error);
    options_forget(&o);
  }
  free(copy);
  free(result);
  return 0;
}
