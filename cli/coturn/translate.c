/* SPDX-License-Identifier: Apache-2.0 */
#include "translate.h"

#include "common/decimal.h"
#include "common/distance.h"
#include "translation.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the parts use ---- */

entry *entry_next(const translation *t, const char *name, const entry *after)
{
  const coturn_key *key = coturn_key_of(name);
  for (size_t i = after ? (size_t)(after - t->entries) + 1 : 0; i < t->count; i++)
    if (t->entries[i].key == key)
      return &t->entries[i];
  return NULL;
}

entry *entry_of(const translation *t, const char *name)
{
  entry *last = NULL;
  for (entry *e = NULL; (e = entry_next(t, name, e));)
    last = e;
  return last && last->is_on ? last : NULL;
}

void entry_say(translation *t, entry *e, enum entry_state state, const char *format, ...)
{
  va_list args;
  if (!e || e->state != ENTRY_OPEN)
    return;
  e->state = state;
  t->looks += state == ENTRY_LOOK;
  va_start(args, format);
  if (vasprintf(&e->said, format, args) < 0) {
    e->said = NULL;
    t->out_of_memory = true;
  }
  va_end(args);
}

/* |text| as it may stand in a comment, cut: it may be anything. */
typedef struct shown {
  char text[61];
} shown;

static shown show(const char *text)
{
  shown s;
  size_t i = 0;
  for (; i < sizeof s.text - 1 && text[i]; i++)
    s.text[i] = (char)(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
  s.text[i] = '\0';
  return s;
}

bool entry_number(translation *t, entry *e, uint64_t least, uint64_t most, const char *instead, uint64_t *out)
{
  uint64_t value;
  if (!e || e->state != ENTRY_OPEN)
    return false;
  const char *text = e->line.value;
  const size_t digits = decimal_digits(text, strlen(text));
  if (!decimal_read(text, digits, most, &value) || value < least) {
    entry_say(t, e, ENTRY_LOOK, "'%s' is no number from %llu to %llu: %s", show(text).text,
              (unsigned long long)least, (unsigned long long)most, instead);
    return false;
  }
  const char *rest = text + digits + strspn(text + digits, " \t");
  if (*rest && *rest != '#')
    put_look(t, "line %u, %s: coturn takes '%s' as %llu, and so it is here", e->line.number, e->key->name,
             show(text).text, (unsigned long long)value);
  *out = value;
  return true;
}

/* As a configuration file has to have it. */
static void put_value(FILE *out, const char *value)
{
  const size_t len = strlen(value);
  if (len && !strpbrk(value, "#\"'") && value[0] != ' ' && value[0] != '\t' && value[len - 1] != ' ' &&
      value[len - 1] != '\t') {
    fputs(value, out);
    return;
  }
  putc('"', out);
  for (; *value; value++) {
    if (*value == '"' || *value == '\\')
      putc('\\', out);
    putc(*value, out);
  }
  putc('"', out);
}

static bool is_one_line(const char *value)
{
  for (; *value; value++)
    if ((unsigned char)*value < ' ' || *value == 0x7f)
      return false;
  return true;
}

bool put_option(translation *t, entry *e, const char *name, const char *value)
{
  const char *expected = is_one_line(value) ? t->o->expected(name, value) : "text without control characters";
  if (expected && e) {
    entry_say(t, e, ENTRY_LOOK, "%s can't have that value: expected %s", name, expected);
    return false;
  }
  if (expected) {
    put_look(t, "%s can't be what it should be: expected %s", name, expected);
    return false;
  }
  fprintf(t->body, "%s = ", name);
  put_value(t->body, value);
  putc('\n', t->body);
  entry_say(t, e, ENTRY_DONE, "%s", name);
  return true;
}

bool put_number(translation *t, entry *e, const char *name, uint64_t value)
{
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  const char *expected = t->o->expected(name, text);
  if (expected)
    entry_say(t, e, ENTRY_LOOK, "%s can't be %s: expected %s", name, text, expected);
  return !(expected && e) && put_option(t, e, name, text);
}

void put_comment(translation *t, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fputs("# ", t->body);
  vfprintf(t->body, format, args);
  putc('\n', t->body);
  va_end(args);
}

void put_missing(translation *t, const char *name, const char *example)
{
  put_comment(t, "%s = %s", name, example);
  fprintf(t->rest, "%s = %s\n", name, example);
}

void put_look(translation *t, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fputs("# LOOK: ", t->notes);
  vfprintf(t->notes, format, args);
  putc('\n', t->notes);
  va_end(args);
  t->looks++;
}

/* ---- reading ---- */

static int add(translation *t, const coturn_line *line)
{
  if (t->count == t->cap) {
    const size_t cap = t->cap ? 2 * t->cap : 64;
    entry *more = realloc(t->entries, cap * sizeof *more);
    if (!more)
      return -1;
    t->entries = more;
    t->cap = cap;
  }
  t->entries[t->count++] = (entry){.line = *line, .key = coturn_key_of(line->name), .is_on = true};
  return 0;
}

static enum coturn_result complain(char *error, size_t cap, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum coturn_result complain(char *error, size_t cap, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(error, cap, format, args);
  va_end(args);
  return COTURN_BAD;
}

static enum coturn_result read_lines(translation *t, char *text, size_t len, char *error, size_t cap)
{
  coturn_reader r = coturn_read(text, len);
  coturn_line line;
  size_t known = 0;
  int got;
  while ((got = coturn_next(&r, &line)) != 0) {
    if (got < 0)
      return complain(error, cap, "%.200s:%u: there is a byte 0: expected a turnserver.conf", t->o->name,
                      line.number);
    if (add(t, &line))
      return complain(error, cap, "out of memory");
    known += t->entries[t->count - 1].key != NULL;
  }
  if (!known)
    return complain(error, cap, "%.200s: there is no key of coturn's in it: expected a turnserver.conf",
                    t->o->name);
  return COTURN_ALIKE;
}

/* ---- what the table says ---- */

/* The key that |name| was meant to be, perhaps; NULL: none is near. */
static const char *nearest(const char *name)
{
  const char *near = NULL;
  size_t least = 3; /* letters */
  for (size_t i = 0; i < coturn_key_count; i++) {
    const size_t letters = distance(name, strlen(name), coturn_keys[i].name);
    if (letters < least) {
      least = letters;
      near = coturn_keys[i].name;
    }
  }
  return near;
}

static void judge_default(translation *t, entry *e)
{
  const char *bar = strchr(e->key->text, '|');
  const size_t len = (size_t)(bar - e->key->text);
  const size_t digits = decimal_digits(e->key->text, len);
  const char *value = e->line.value, *end = value + strlen(value);
  if (digits == len) { /* of numbers what follows does not count */
    const size_t number = decimal_digits(value, strlen(value));
    end = strspn(value + number, " \t#") || !value[number] ? value + number : end;
  }
  const bool same = (size_t)(end - value) == len && strncmp(value, e->key->text, len) == 0;
  entry_say(t, e, same ? ENTRY_ALIKE : ENTRY_LOOK, "%s", bar + 1);
}

/* All that is not VERDICT_DONE, and what of that does not count. */
static void judge(translation *t, entry *e)
{
  const char *near = e->key ? NULL : nearest(e->line.name);
  if (!e->key)
    entry_say(t, e, ENTRY_LOOK, "coturn has no such key, and passes it over with a warning%s%s",
              near ? "; meant was, perhaps, " : "", near ? near : "");
  else if (e->key->kind == 's' && !coturn_switch(e->line.value, &e->is_on))
    entry_say(t, e, ENTRY_LOOK, "it is neither on nor off, and coturn does not start with it");
  else if (e->key->kind != 'm' && entry_next(t, e->key->name, e))
    entry_say(t, e, ENTRY_ALIKE, "it is there again, and the last one counts");
  else if (!e->is_on)
    entry_say(t, e, ENTRY_ALIKE, "it is off");
  else if (e->key->kind != 's' && !*e->line.value && e->key->verdict != VERDICT_ALIKE)
    entry_say(t, e, ENTRY_LOOK, "it has no value");
  else if (e->key->verdict == VERDICT_DEFAULT)
    judge_default(t, e);
  else if (e->key->verdict != VERDICT_DONE)
    entry_say(t, e, e->key->verdict == VERDICT_LOOK ? ENTRY_LOOK : ENTRY_ALIKE, "%s", e->key->text);
}

/* ---- writing ---- */

static void put_name(FILE *out, const char *name)
{
  fputs(show(name).text, out);
}

static void put_entries(const translation *t, enum entry_state state, const char *title, FILE *out)
{
  bool begun = false;
  for (size_t i = 0; i < t->count; i++) {
    const entry *e = &t->entries[i];
    if (e->state != state)
      continue;
    if (!begun)
      fprintf(out, "\n# %s\n", title);
    begun = true;
    fprintf(out, state == ENTRY_LOOK ? "# LOOK: line %u, " : "# line %u, ", e->line.number);
    put_name(out, e->line.name);
    fprintf(out, ": %s\n", e->said ? e->said : "");
  }
}

#define HEAD_LINES "\n\n\n" /* that write_all() has before the options */

static void write_all(const translation *t, const char *body, const char *notes, FILE *out)
{
  size_t done = 0;
  for (size_t i = 0; i < t->count; i++)
    done += t->entries[i].state == ENTRY_DONE;
  fputs("# The configuration of firezone-relay, made of ", out);
  put_name(out, t->o->name);
  fprintf(
      out,
      " by firezone-relay import-coturn.\n# %zu line%s of that: %zu became options. %zu thing%s a look: see "
      "the lines that begin with # LOOK.\n\n",
      t->count, t->count == 1 ? "" : "s", done, t->looks, t->looks == 1 ? " wants" : "s want");
  fputs(body, out);
  if (*notes)
    fprintf(out, "\n# ---- What no line of it says ----\n%s", notes);
  put_entries(t, ENTRY_LOOK, "---- What wants a look ----", out);
  put_entries(t, ENTRY_ALIKE, "---- What need not be said here ----", out);
  put_entries(t, ENTRY_DONE, "---- What became which option ----", out);
}

/* What is wrong with the options though no line of theirs says so, if those that are missing were there: these have been named. */
static void judge_all(translation *t, const char *body, const char *rest)
{
  char *text = NULL;
  if (!t->o->refused)
    return;
  /* Its lines have the numbers that they have in the result. */
  const int len = asprintf(&text, HEAD_LINES "%s%s", body, rest);
  if (len < 0) {
    t->out_of_memory = true;
    return;
  }
  t->looks += t->o->refused(text, t->notes);
  explicit_bzero(text, (size_t)len);
  free(text);
}

static enum coturn_result translate(translation *t, FILE *out, char *error, size_t cap)
{
  char *body = NULL, *notes = NULL, *rest = NULL;
  size_t body_len, notes_len, rest_len;
  enum coturn_result result = COTURN_BAD;
  t->body = open_memstream(&body, &body_len);
  t->notes = open_memstream(&notes, &notes_len);
  t->rest = open_memstream(&rest, &rest_len);
  const bool opened = t->body && t->notes && t->rest;
  if (opened) {
    for (size_t i = 0; i < t->count; i++)
      judge(t, &t->entries[i]);
    translate_network(t);
    translate_users(t);
    translate_policy(t);
    /* It would be a fault here, and must not be silent. */
    for (size_t i = 0; i < t->count; i++)
      entry_say(t, &t->entries[i], ENTRY_LOOK, "it was not translated");
  }
  bool failed = !opened;
  failed |= t->body && fclose(t->body);
  failed |= t->rest && fclose(t->rest);
  if (!failed)
    judge_all(t, body, rest);
  failed |= t->notes && fclose(t->notes);
  failed |= t->out_of_memory;
  if (failed) {
    complain(error, cap, "out of memory");
  } else {
    write_all(t, body, notes, out);
    result = t->looks ? COTURN_LOOK : COTURN_ALIKE;
  }
  if (body)
    explicit_bzero(body, body_len);
  free(body);
  free(notes);
  free(rest);
  return result;
}

enum coturn_result coturn_translate(char *text, size_t len, const coturn_options *o, FILE *out, char *error,
                                    size_t cap)
{
  translation t = {.o = o};
  enum coturn_result result = read_lines(&t, text, len, error, cap);
  if (result == COTURN_ALIKE)
    result = translate(&t, out, error, cap);
  for (size_t i = 0; i < t.count; i++)
    free(t.entries[i].said);
  free(t.entries);
  return result;
}
