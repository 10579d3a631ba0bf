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

/* Reads the words that follow the program's name, up to NULL. */
static inline int read_words(const char *const *words)
{
  char *argv[MAX_WORDS + 1] = {(char *)(uintptr_t) "firezone-relay"};
  int argc = 1;
  for (; words[argc - 1]; argc++)
    argv[argc] = (char *)(uintptr_t)words[argc - 1];
  return options_read(argc, argv, env, &o, error);
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
