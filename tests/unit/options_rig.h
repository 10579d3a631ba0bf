/* SPDX-License-Identifier: Apache-2.0 */
/* Reads command lines in an environment of the test's. */
#ifndef TESTS_OPTIONS_RIG_H
#define TESTS_OPTIONS_RIG_H

#include "testing.h"

#include "options.h"

#define MAX_WORDS 16

static options o;
static char error[OPTIONS_ERROR_MAX];
static const char *environment[8][2];
static const char *files[4][2]; /* names and texts */
static bool file_is_public;
static char told[32][OPTIONS_ERROR_MAX];
static size_t told_count;

static inline const char *env(const char *name)
{
  for (size_t i = 0; i < 8 && environment[i][0]; i++)
    if (strcmp(environment[i][0], name) == 0)
      return environment[i][1];
  return NULL;
}

static inline void set_env(const char *name, const char *value)
{
  size_t i = 0;
  while (environment[i][0])
    i++;
  environment[i][0] = name;
  environment[i][1] = value;
}

static inline void clear_env(void)
{
  memset(environment, 0, sizeof environment);
}

static inline int read_test_file(const char *path, bool anew, options_text *out, const char **what)
{
  (void)anew;
  for (size_t i = 0; i < 4 && files[i][0]; i++) {
    if (strcmp(files[i][0], path) != 0)
      continue;
    *out = (options_text){strdup(files[i][1]), strlen(files[i][1]), file_is_public};
    return 0;
  }
  *what = "No such file or directory";
  return -1;
}

static inline void on_mistake(const char *line)
{
  ck_assert_uint_lt(told_count, 32);
  memcpy(told[told_count++], line, OPTIONS_ERROR_MAX);
}

static const options_sources sources = {env, read_test_file, on_mistake};

/* Reads the words that follow the program's name, up to NULL. */
static inline int read_words(const char *const *words)
{
  char *argv[MAX_WORDS + 1] = {(char *)(uintptr_t) "firezone-relay"};
  int argc = 1;
  told_count = 0;
  for (; words[argc - 1]; argc++)
    argv[argc] = (char *)(uintptr_t)words[argc - 1];
  static char *words_read[MAX_WORDS + 1]; /* options_read again reads them once more */
  memcpy(words_read, argv, sizeof argv);
  options_forget(&o);
  return options_read(argc, words_read, &sources, &o, error);
}

#define READ(...) read_words((const char *const[]){__VA_ARGS__, NULL})
#define PUBLIC    "--public-ip4-addr", "203.0.113.7"

/* What every complaint has to be: one line, with the option, the value, and what would be right. */
static inline void check_complaint(const char *name, const char *value)
{
  ck_assert_msg(strchr(error, '\n') == NULL && strlen(error) < OPTIONS_ERROR_MAX - 1, "%s", error);
  ck_assert_msg(strncmp(error, name, strlen(name)) == 0 && error[strlen(name)] == ':', "%s: %s", name, error);
  ck_assert_msg(strstr(error, value) != NULL, "%s: %s", name, error);
  ck_assert_msg(strstr(error, ": expected ") != NULL, "%s: %s", name, error);
  /* What is expected is a thing or some words to choose from, no sentence of its own about what is wrong. */
  const char *expected = strstr(error, ": expected ") + strlen(": expected ");
  static const char *const sentences[] = {"it ", "its ", "the port ", "the host ", "such as ", "TLS "};
  for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
    ck_assert_msg(strncmp(expected, sentences[i], strlen(sentences[i])) != 0, "%s", error);
  ck_assert_msg(strstr(expected, ": ") == NULL, "%s", error);
}

#endif
