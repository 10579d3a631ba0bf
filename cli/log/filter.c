/* SPDX-License-Identifier: Apache-2.0 */
#include "log/filter.h"

#include "common/strip.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const level_names[] = {"off", "error", "warn", "info", "debug", "trace"};

#define LEVELS (sizeof level_names / sizeof *level_names)

/* Returns the level that |s| names, or -1. */
static int read_level(stripped s)
{
  if (s.len == 1 && s.text[0] >= '0' && s.text[0] <= '5')
    return s.text[0] - '0';
  for (size_t i = 0; i < LEVELS; i++)
    if (strlen(level_names[i]) == s.len && strncasecmp(s.text, level_names[i], s.len) == 0)
      return (int)i;
  return -1;
}

static bool is_target(stripped s)
{
  for (size_t i = 0; i < s.len; i++)
    if (!isalnum((unsigned char)s.text[i]) && !strchr("_:-.", s.text[i]))
      return false;
  return s.len > 0;
}

/* Firezone's relay has these targets for what ours are. */
static const struct {
  const char *theirs, *ours;
} aliases[] = {
    {"firezone_relay", "relay"},   {"relay_proto::server", "relay"}, {"wire", "relay"},
    {"phoenix_channel", "portal"}, {"wire::api", "portal"},
};

/* Whether |target| is |module| or belongs to it. */
static bool belongs_to(const char *target, const char *module)
{
  const size_t len = strlen(module);
  return strncmp(target, module, len) == 0 && (!target[len] || strncmp(target + len, "::", 2) == 0);
}

/* Whether a directive for |target| is about any line of the relay. */
static bool names_ours(const char *target)
{
  char names[] = LOG_FILTER_TARGETS, *rest = NULL;
  for (const char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
    if (belongs_to(name, target))
      return true;
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
    if (belongs_to(aliases[i].theirs, target))
      return true;
  return false;
}

/* Adds or replaces; returns what is wrong, or NULL. */
static const char *set_target(log_filter *f, stripped target, int level)
{
  if (target.len > LOG_FILTER_TARGET_MAX)
    return "the target is too long";
  struct log_directive *d = NULL;
  for (size_t i = 0; i < f->count && !d; i++)
    if (strlen(f->directives[i].target) == target.len &&
        memcmp(f->directives[i].target, target.text, target.len) == 0)
      d = &f->directives[i];
  if (!d) {
    if (f->count == LOG_FILTER_DIRECTIVES)
      return "there are too many directives";
    d = &f->directives[f->count++];
    memcpy(d->target, target.text, target.len);
    d->target[target.len] = 0;
  }
  d->level = (uint8_t)level;
  return NULL;
}

static const char *read_word(log_filter *f, stripped s, bool *has_fallback)
{
  const int level = read_level(s);
  if (level < 0) {
    char name[LOG_FILTER_TARGET_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)s.len, s.text);
    if (!is_target(s) || s.len > LOG_FILTER_TARGET_MAX || !names_ours(name))
      return "it is neither a level, nor a target of the relay, nor target=level";
    return set_target(f, s, FZR_LOG_TRACE);
  }
  f->fallback = (uint8_t)level;
  *has_fallback = true;
  return NULL;
}

static const char *read_directive(log_filter *f, stripped s, bool *has_fallback)
{
  const char *equals = memchr(s.text, '=', s.len);
  if (memchr(s.text, '[', s.len) || memchr(s.text, '{', s.len))
    return "directives for spans and fields are not supported";
  if (!equals)
    return read_word(f, s, has_fallback);
  const stripped target = trim(s.text, (size_t)(equals - s.text));
  const stripped name = trim(equals + 1, (size_t)(s.text + s.len - equals) - 1);
  const int level = read_level(name);
  if (!is_target(target))
    return "the target is not a name";
  if (level < 0)
    return "the level is none of off, error, warn, info, debug, trace";
  return set_target(f, target, level);
}

/* The level of all that |f| does not name, where it has none for that: off, unless there are no directives, or some that were |*skipped|,
 * or none that names anything of the relay: a slip of the pen is not to silence it. Beside one that does, those of other programs' targets
 * are passed over: they may be what Firezone's relay is made of. */
static uint8_t rest_of(const log_filter *f, size_t *skipped, log_complain complain, void *ctx)
{
  bool any = *skipped > 0;
  for (size_t i = 0; i < f->count && !any; i++)
    any = names_ours(f->directives[i].target);
  for (size_t i = 0; i < f->count && !any; i++) {
    const char *target = f->directives[i].target;
    ++*skipped;
    if (complain)
      complain(ctx, target, strlen(target), "the relay has no such target");
  }
  return f->count && !*skipped ? FZR_LOG_OFF : FZR_LOG_INFO;
}

size_t log_filter_parse(log_filter *f, const char *text, log_complain complain, void *ctx)
{
  bool has_fallback = false;
  size_t skipped = 0;
  memset(f, 0, sizeof *f);
  if (strlen(text) > LOG_FILTER_INPUT_MAX) {
    if (complain)
      complain(ctx, text, 32, "the list of directives is too long");
    text = "";
    skipped = 1;
  }
  while (*text) {
    const size_t len = strcspn(text, ",");
    const stripped s = trim(text, len);
    const char *problem = s.len ? read_directive(f, s, &has_fallback) : NULL;
    if (problem) {
      skipped++;
      if (complain)
        complain(ctx, s.text, s.len, problem);
    }
    text += len + (text[len] == ',');
  }
  if (!has_fallback)
    f->fallback = rest_of(f, &skipped, complain, ctx);
  f->highest = f->fallback;
  for (size_t i = 0; i < f->count; i++)
    if (f->directives[i].level > f->highest)
      f->highest = f->directives[i].level;
  return skipped;
}

/* The level of the directive that names |target| most closely, or -1. */
static int level_named(const log_filter *f, const char *target)
{
  int level = -1;
  size_t longest = 0;
  for (size_t i = 0; i < f->count; i++) {
    const struct log_directive *d = &f->directives[i];
    const size_t len = strlen(d->target);
    if (len <= longest || strncmp(target, d->target, len) != 0)
      continue;
    if (target[len] && strncmp(target + len, "::", 2) != 0)
      continue;
    longest = len;
    level = d->level;
  }
  return level;
}

enum fzr_log_level log_filter_level(const log_filter *f, const char *target)
{
  int level = level_named(f, target);
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
    const int other = belongs_to(target, aliases[i].ours) ? level_named(f, aliases[i].theirs) : -1;
    level = other > level ? other : level;
  }
  return level < 0 ? (enum fzr_log_level)f->fallback : (enum fzr_log_level)level;
}

bool log_filter_misses_all(const log_filter *f)
{
  char names[] = LOG_FILTER_TARGETS, *rest = NULL;
  if (!f->count && f->fallback == FZR_LOG_OFF)
    return false;
  for (const char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
    if (log_filter_level(f, name) != FZR_LOG_OFF)
      return false;
  return true;
}

void log_filter_format(const log_filter *f, char *out, size_t cap)
{
  int n = snprintf(out, cap, "%s", level_names[f->fallback]);
  for (size_t i = 0; i < f->count && n >= 0 && (size_t)n < cap; i++)
    n += snprintf(out + n, cap - (size_t)n, ",%s=%s", f->directives[i].target,
                  level_names[f->directives[i].level]);
}
