/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};

/* RUST_LOG's first directive without a target, as far as it goes: a level. */
static enum fzr_log_level threshold(void)
{
  static const char *const words[] = {"off", "error", "warn", "info", "debug", "trace"};
  const char *text = getenv("RUST_LOG");
  if (!text || !*text)
    return FZR_LOG_INFO;
  for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
    if (strncmp(text, words[i], strlen(words[i])) == 0)
      return (enum fzr_log_level)i;
  return FZR_LOG_INFO;
}

bool log_enabled(enum fzr_log_level level, const char *target)
{
  (void)target;
  return level <= threshold();
}

typedef struct line {
  char text[LINE_MAX_BYTES];
  size_t len;
} line;

static void put(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(line *l, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  const size_t room = sizeof l->text - 1 - l->len;
  const int n = vsnprintf(l->text + l->len, room, format, args);
  va_end(args);
  l->len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* Bytes that could forge or disturb a line are written as \xNN. */
static void put_escaped(line *l, const uint8_t *data, size_t len)
{
  put(l, "\"");
  for (size_t i = 0; i < len; i++) {
    if (data[i] < 0x20 || data[i] > 0x7e || data[i] == '"' || data[i] == '\\')
      put(l, "\\x%02x", data[i]);
    else
      put(l, "%c", data[i]);
  }
  put(l, "\"");
}

static void put_field(line *l, const log_field *f)
{
  char addr[FZR_ADDR_TEXT_MAX];
  put(l, " %s=", f->key);
  switch (f->kind) {
  case LOG_STR:
    put(l, "%s", f->v.str);
    break;
  case LOG_BYTES:
    put_escaped(l, f->v.bytes.data, f->v.bytes.len);
    break;
  case LOG_INT:
    put(l, "%lld", (long long)f->v.i);
    break;
  case LOG_UINT:
    put(l, "%llu", (unsigned long long)f->v.u);
    break;
  case LOG_ADDR:
    if (fzr_addr_format(f->v.addr, true, addr, sizeof addr) > 0)
      put(l, "%s", addr);
    break;
  }
}

static void put_time(line *l)
{
  struct timespec now;
  struct tm parts;
  char text[32];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  put(l, "%s.%06ldZ", text, now.tv_nsec / 1000);
}

void log_write(enum fzr_log_level level, const char *target, const char *message, const log_field *fields,
               size_t n)
{
  line l;
  l.len = 0;
  if (!log_enabled(level, target))
    return;
  put_time(&l);
  put(&l, " %5s %s: %s", level_names[level], target, message);
  for (size_t i = 0; i < n; i++)
    put_field(&l, &fields[i]);
  l.text[l.len++] = '\n';
  /* One write a line: lines of several threads do not mix. */
  if (write(STDOUT_FILENO, l.text, l.len) < 0)
    return;
}

static void write_formatted(enum fzr_log_level level, const char *target, const char *format, va_list args)
{
  char message[1024];
  if (!log_enabled(level, target))
    return;
  vsnprintf(message, sizeof message, format, args);
  log_write(level, target, message, NULL, 0);
}

#define DEFINE(name, level)                                                                                  \
  void name(const char *target, const char *format, ...)                                                     \
  {                                                                                                          \
    va_list args;                                                                                            \
    va_start(args, format);                                                                                  \
    write_formatted(level, target, format, args);                                                            \
    va_end(args);                                                                                            \
  }

DEFINE(log_error, FZR_LOG_ERROR)
DEFINE(log_warn, FZR_LOG_WARN)
DEFINE(log_info, FZR_LOG_INFO)
DEFINE(log_debug, FZR_LOG_DEBUG)
