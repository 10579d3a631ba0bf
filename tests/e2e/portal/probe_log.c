/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines of portal_probe: plain text on standard error. LOG_LEVEL=debug in the environment for more. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"

bool log_enabled(enum fzr_log_level level, const char *target)
{
  const char *wanted = getenv("LOG_LEVEL");
  (void)target;
  return level <= (wanted != NULL && strcmp(wanted, "debug") == 0 ? FZR_LOG_DEBUG : FZR_LOG_INFO);
}

static void write_line(enum fzr_log_level level, const char *target, const char *message)
{
  static const char *const names[] = {"", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
  if (log_enabled(level, target))
    (void)fprintf(stderr, "%s %s: %s\n", names[level], target, message);
}

void log_write(enum fzr_log_level level, const char *target, const char *message, const log_field *fields,
               size_t n)
{
  char line[1024];
  (void)snprintf(line, sizeof line, "%s%s%.*s", message, n > 0 ? " " : "",
                 n > 0 && fields[0].kind == LOG_BYTES ? (int)fields[0].v.bytes.len : 0,
                 n > 0 && fields[0].kind == LOG_BYTES ? (const char *)fields[0].v.bytes.data : "");
  write_line(level, target, line);
}

static void write_formatted(enum fzr_log_level level, const char *target, const char *format, va_list args)
{
  char line[2048];
  (void)vsnprintf(line, sizeof line, format, args);
  write_line(level, target, line);
}

#define LOG_FUNCTION(name, level)                                                                            \
  void name(const char *target, const char *format, ...)                                                     \
  {                                                                                                          \
    va_list args;                                                                                            \
    va_start(args, format);                                                                                  \
    write_formatted(level, target, format, args);                                                            \
    va_end(args);                                                                                            \
  }

LOG_FUNCTION(log_error, FZR_LOG_ERROR)
LOG_FUNCTION(log_warn, FZR_LOG_WARN)
LOG_FUNCTION(log_info, FZR_LOG_INFO)
LOG_FUNCTION(log_debug, FZR_LOG_DEBUG)
