/* SPDX-License-Identifier: Apache-2.0 */
/* The file of --config: which lines it has, and what their names stand for. */
#include "options_internal.h"

#include "common/distance.h"
#include "common/strip.h"

#include <stdlib.h>
#include <string.h>

/* ---- lines ---- */

config_reader config_read(const options_text *text)
{
  static const char bom[] = "\xef\xbb\xbf";
  config_reader r = {text->data, text->data + text->len, 0};
  if (text->len >= 3 && memcmp(text->data, bom, 3) == 0)
    r.next += 3;
  return r;
}

/* Where the value |s| in quotes ends, without them and what stands for something else: its length; -1: it does not end. *|rest|: what
 * follows. */
static ptrdiff_t unquote(char *s, char **rest)
{
  const char quote = *s;
  char *out = s, *in = s + 1;
  for (; *in && *in != quote; in++) {
    if (quote == '"' && *in == '\\' && (in[1] == '"' || in[1] == '\\'))
      in++;
    *out++ = *in;
  }
  if (!*in)
    return -1;
  *rest = in + 1;
  return out - s;
}

/* |s|, zero-terminated and without blanks around it: what it says, in its place. Returns what is wrong, or NULL. */
static const char *read_value(char *s)
{
  char *rest;
  if (*s == '"' || *s == '\'') {
    const ptrdiff_t len = unquote(s, &rest);
    if (len < 0)
      return "a quote has no end: expected another one behind the value";
    const stripped behind = trim(rest, strlen(rest));
    if (behind.len && *behind.text != '#')
      return "there is more behind the value in quotes: expected a comment (#) or nothing";
    s[len] = '\0';
    return NULL;
  }
  for (char *hash = strchr(s, '#'); hash; hash = strchr(hash + 1, '#'))
    if (hash == s || is_blank(hash[-1])) {
      *hash = '\0';
      break;
    }
  s[trim(s, strlen(s)).len] = '\0';
  return NULL;
}

/* |s|, zero-terminated, without blanks around it, and no comment. */
static const char *read_line(char *s, config_line *line)
{
  char *equals = strchr(s, '=');
  line->name = s;
  line->value = NULL;
  if (!equals) {
    const char *problem = read_value(s);
    return problem             ? problem
           : strpbrk(s, " \t") ? "there is no '=': expected a line such as listen-port = 3478"
                               : NULL;
  }
  const stripped name = trim(s, (size_t)(equals - s));
  const stripped value = trim(equals + 1, strlen(equals + 1));
  line->value = equals + 1 + (value.text - (equals + 1));
  line->value[value.len] = '\0';
  s[name.len] = '\0';
  if (!name.len)
    return "there is no name: expected a line such as listen-port = 3478";
  return read_value(line->value);
}

int config_next(config_reader *r, config_line *line, const char **problem)
{
  while (r->next < r->end) {
    char *begin = r->next;
    char *end = memchr(begin, '\n', (size_t)(r->end - begin));
    end = end ? end : r->end;
    const stripped s = trim(begin, (size_t)(end - begin));
    r->next = end + 1; /* a zero is behind the last one */
    line->number = ++r->number;
    if (memchr(begin, 0, (size_t)(end - begin))) {
      *problem = "there is a byte 0: expected text";
      return -1;
    }
    begin += s.text - begin;
    begin[s.len] = '\0';
    if (!s.len || *begin == '#')
      continue;
    *problem = read_line(begin, line);
    return *problem ? -1 : 1;
  }
  return 0;
}

/* ---- names ---- */

static const char *key_of(const option_spec *s)
{
  return s->key ? s->key : s->flag;
}

static bool may_be_in_file(const option_spec *s)
{
  return key_of(s) && option_is_of(s, COMMAND_RELAY) && !s->not_in_file;
}

const option_spec *config_option(const char *name)
{
  for (size_t i = 0; i < option_spec_count; i++) {
    const option_spec *s = &option_specs[i];
    if (may_be_in_file(s) && (strcmp(key_of(s), name) == 0 || (s->alias && strcmp(s->alias, name) == 0)))
      return s;
  }
  return NULL;
}

const char *config_nearest(const char *name)
{
  const char *nearest = NULL;
  const size_t dashes = strspn(name, "-"), len = strlen(name + dashes);
  size_t least = len < 6 ? 2 : 3; /* letters */
  for (size_t i = 0; i < option_spec_count; i++) {
    const option_spec *s = &option_specs[i];
    if (!may_be_in_file(s) || !s->help)
      continue;
    const size_t letters = distance(name + dashes, len, key_of(s));
    if (letters < least) {
      least = letters;
      nearest = key_of(s);
    }
  }
  return nearest;
}

const option_spec *config_alternative(const option_spec *s)
{
  static const option_setter pairs[][2] = {{option_set_secret_file, option_set_secret},
                                           {option_set_second_secret_file, option_set_second_secret},
                                           {option_set_users_file, option_set_inline_user},
                                           {option_set_offload, option_set_xdp},
                                           {option_set_xdp_interface, option_set_older_interface},
                                           {option_set_xdp_route, option_set_older_route}};
  option_setter other = NULL;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !other; i++)
    other = pairs[i][0] == s->set ? pairs[i][1] : pairs[i][1] == s->set ? pairs[i][0] : NULL;
  for (size_t i = 0; other && i < option_spec_count; i++)
    if (option_specs[i].set == other)
      return &option_specs[i];
  return NULL;
}

const char *options_value_expected(const char *name, const char *value)
{
  static options scratch;
  const option_spec *s = config_option(name);
  if (!s)
    return "the name of an option";
  if (!s->value)
    return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0 ? NULL : "yes or no";
  memset(&scratch, 0, sizeof scratch);
  return *value ? s->set(&scratch, value) : "a value";
}

/* ---- users ---- */

/* They become a text as --users-file has it, each in the line of his, so that what is wrong with one is told of the right line. */
const char *option_set_inline_user(options *o, const char *t)
{
  options_config *c = &o->config;
  const size_t len = strlen(t);
  if (!len || *t == '#' || trim(t, len).len != len)
    return "user:password or user:0xKEY, without blanks around it";
  /* A line of it is no longer than that of the file, which it is made of. */
  if (!c->users && !(c->users = calloc(1, c->text.len + 1)))
    return "less of it, for there is no memory for it";
  for (; c->users_line < c->line; c->users_line++)
    if (c->users_line)
      c->users[c->users_len++] = '\n';
  memcpy(c->users + c->users_len, t, len);
  c->users_len += len;
  return NULL;
}
