/* SPDX-License-Identifier: Apache-2.0 */
#include "log/text.h"

#include "common/text.h"
#include "common/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A value may have this many bytes on the line, a message twice as many. */
#define VALUE_MAX 1024u
/* A target may have this many behind the fields. */
#define TARGET_MAX 64u
/* Kept free for what closes a line: that, a mark of what was left out, and what is around both. */
#define TAIL_MAX (TARGET_MAX + 64u)

typedef struct text {
  char *out;
  size_t len;
  size_t cap;
  bool full; /* something did not fit */
} text;

static void put_raw(text *t, const char *bytes, size_t len)
{
  if (t->full || len > t->cap - t->len) {
    t->full = true;
    return;
  }
  memcpy(t->out + t->len, bytes, len);
  t->len += len;
}

static void put_text(text *t, const char *string)
{
  put_raw(t, string, strlen(string));
}

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(text *t, const char *format, ...)
{
  char piece[160];
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  if (n < 0 || (size_t)n >= sizeof piece)
    t->full = true;
  else
    put_raw(t, piece, (size_t)n);
}

/* ---- escaping ---- */

typedef size_t (*escape)(uint32_t code, bool valid, char out[TEXT_ESCAPE_MAX]);

/* Writes what stands for a character that can't stand for itself; 0 if it can. |code| is a byte where |valid| is false. */
static size_t escape_human(uint32_t code, bool valid, char out[TEXT_ESCAPE_MAX])
{
  static const char letters[] = "\nn\rr\tt\\\\\"\"";
  for (size_t i = 0; valid && letters[i]; i += 2) {
    if (code == (uint32_t)(unsigned char)letters[i]) {
      out[0] = '\\';
      out[1] = letters[i + 1];
      return 2;
    }
  }
  if (!valid || code < 0x20 || code == 0x7f)
    return (size_t)snprintf(out, TEXT_ESCAPE_MAX, "\\x%02" PRIx32, code);
  if (utf8_is_unsafe(code))
    return (size_t)snprintf(out, TEXT_ESCAPE_MAX, "\\u{%" PRIx32 "}", code);
  return 0;
}

/* A message is not quoted: quotes in it stay. */
static size_t escape_message(uint32_t code, bool valid, char out[TEXT_ESCAPE_MAX])
{
  return valid && code == '"' ? 0 : escape_human(code, valid, out);
}

/* Writes at most |max| bytes for the |len| at |p|; "..." stands for what is left out. */
static void put_escaped(text *t, escape how, const uint8_t *p, size_t len, size_t max)
{
  const size_t start = t->len;
  for (size_t i = 0; i < len && !t->full;) {
    char buffer[TEXT_ESCAPE_MAX];
    uint32_t code = p[i];
    const size_t n = utf8_read(p + i, len - i, &code);
    size_t size = how(code, n > 0, buffer);
    const char *from = buffer;
    if (size == 0) {
      from = (const char *)p + i;
      size = n;
    }
    if (t->len - start + size > max) {
      put_text(t, "...");
      return;
    }
    put_raw(t, from, size);
    i += n > 0 ? n : 1;
  }
}

static void put_string(text *t, escape how, const char *string, size_t max)
{
  put_escaped(t, how, (const uint8_t *)string, strlen(string), max);
}

/* ---- human ---- */

static const char *paint(const log_look *look, const char *code)
{
  return look->color ? code : "";
}

static void put_time(text *t, const struct timespec *time)
{
  struct tm parts;
  char buffer[32];
  gmtime_r(&time->tv_sec, &parts);
  if (strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
    buffer[0] = 0;
  put(t, "%s.%06ldZ", buffer, time->tv_nsec / 1000);
}

/* Whether |string| can stand without quotes and not be taken for something else. */
static bool is_plain(const char *string)
{
  if (!*string)
    return false;
  for (const char *p = string; *p; p++) {
    const bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
    if (!letter && !strchr("._-:/[]+@%", *p))
      return false;
  }
  return true;
}

static void put_quoted(text *t, escape how, const uint8_t *p, size_t len)
{
  put_text(t, "\"");
  put_escaped(t, how, p, len, VALUE_MAX);
  put_text(t, "\"");
}

static void put_addr(text *t, const fzr_addr *addr)
{
  char buffer[FZR_ADDR_TEXT_MAX];
  if (addr && fzr_addr_format(addr, true, buffer, sizeof buffer) > 0)
    put_text(t, buffer);
}

/* What is the same in all styles: bytes and numbers. */
static void put_value(text *t, escape how, const log_field *f)
{
  if (f->kind == LOG_BYTES)
    put_quoted(t, how, f->v.bytes.data, f->v.bytes.len);
  else if (f->kind == LOG_INT)
    put(t, "%" PRId64, f->v.i);
  else if (f->kind == LOG_UINT)
    put(t, "%" PRIu64, f->v.u);
  else if (f->kind == LOG_STR && f->v.str)
    put_quoted(t, how, (const uint8_t *)f->v.str, strlen(f->v.str));
  else if (f->kind == LOG_ADDR)
    put_addr(t, f->v.addr);
}

static void put_human_value(text *t, const log_field *f)
{
  if (f->kind == LOG_STR && f->v.str && is_plain(f->v.str) && strlen(f->v.str) <= VALUE_MAX)
    put_text(t, f->v.str);
  else
    put_value(t, escape_human, f);
}

static void format_human(const log_look *look, const log_line *line, text *t)
{
  static const char *const names[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
  static const char *const colors[] = {"", "\033[31m", "\033[33m", "\033[32m", "\033[34m", "\033[35m"};
  const char *plain = paint(look, "\033[0m"), *dim = paint(look, "\033[2m");
  put_text(t, dim);
  put_time(t, &line->time);
  put(t, "%s %s%5s%s %s", plain, paint(look, colors[line->level]), names[line->level], plain, dim);
  put_string(t, escape_message, line->target, VALUE_MAX);
  put(t, ":%s ", plain);
  put_string(t, escape_message, line->message, (size_t)2 * VALUE_MAX);
  for (size_t i = 0; i < line->field_count && !t->full; i++) {
    const size_t before = t->len;
    put(t, " %s%s=%s", dim, line->fields[i].key, plain);
    put_human_value(t, &line->fields[i]);
    if (t->full)
      t->len = before;
  }
  if (line->repeated && !t->full)
    put(t, " %srepeated=%s%" PRIu64, dim, plain, line->repeated);
}

/* ---- JSON ---- */

static void put_json_string(text *t, const char *key, const char *value)
{
  put(t, ",\"%s\":\"", key);
  put_string(t, text_json_escape, value, VALUE_MAX);
  put_text(t, "\"");
}

static void put_json_value(text *t, const log_field *f)
{
  const char *quote = f->kind == LOG_ADDR ? "\"" : "";
  put_text(t, quote);
  if (f->kind == LOG_STR && !f->v.str)
    put_text(t, "null");
  else
    put_value(t, text_json_escape, f);
  put_text(t, quote);
}

static void put_hex(text *t, const uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    put(t, "%02x", bytes[i]);
}

static void put_span(const log_look *look, const log_line *line, text *t)
{
  if (!line->trace_id || !line->span_id || !look->project[0])
    return;
  put_text(t, ",\"logging.googleapis.com/trace\":\"projects/");
  put_string(t, text_json_escape, look->project, VALUE_MAX);
  put_text(t, "/traces/");
  put_hex(t, line->trace_id, 16);
  put_text(t, "\",\"logging.googleapis.com/spanId\":\"");
  put_hex(t, line->span_id, 8);
  put_text(t, "\"");
}

static void put_fields(const log_line *line, text *t)
{
  for (size_t i = 0; i < line->field_count && !t->full; i++) {
    const size_t before = t->len;
    put(t, ",\"%s\":", line->fields[i].key);
    put_json_value(t, &line->fields[i]);
    if (t->full)
      t->len = before;
  }
  if (line->repeated && !t->full)
    put(t, ",\"repeated\":%" PRIu64, line->repeated);
}

static void put_message(const log_line *line, text *t)
{
  put_text(t, "\"message\":\"");
  put_string(t, text_json_escape, line->message, (size_t)2 * VALUE_MAX);
  put_text(t, "\"");
}

static const char *const json_levels[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};

/* The fields in an object of their own, as Firezone's relay has it; the target follows it. */
static void format_nested(const log_line *line, text *t)
{
  put_text(t, "{\"timestamp\":\"");
  put_time(t, &line->time);
  put_text(t, "\"");
  put_json_string(t, "level", json_levels[line->level]);
  put_text(t, ",\"fields\":{");
  put_message(line, t);
  put_fields(line, t);
}

static void close_nested(const log_line *line, text *t)
{
  put_text(t, "},\"target\":\"");
  put_string(t, text_json_escape, line->target, TARGET_MAX);
  put_text(t, "\"");
}

static void format_flat(const log_look *look, const log_line *line, text *t)
{
  static const char *const severities[] = {"DEFAULT", "ERROR", "WARNING", "INFO", "DEBUG", "DEBUG"};
  const bool google = look->style == LOG_STYLE_GOOGLE_CLOUD;
  put(t, "{\"%s\":\"", google ? "time" : "timestamp");
  put_time(t, &line->time);
  put_text(t, "\"");
  put_json_string(t, google ? "severity" : "level",
                  google ? severities[line->level] : json_levels[line->level]);
  put_json_string(t, "target", line->target);
  put_text(t, ",");
  put_message(line, t);
  if (google)
    put_span(look, line, t);
  put_fields(line, t);
}

size_t log_line_format(const log_look *look, const log_line *line, char out[LOG_LINE_MAX])
{
  text t = {out, 0, LOG_LINE_MAX - TAIL_MAX, false};
  const bool json = look->style != LOG_STYLE_HUMAN, nested = look->style == LOG_STYLE_JSON;
  if (nested)
    format_nested(line, &t);
  else if (json)
    format_flat(look, line, &t);
  else
    format_human(look, line, &t);
  const bool cut = t.full;
  t.cap = LOG_LINE_MAX;
  t.full = false;
  if (cut)
    put_text(&t, json ? ",\"truncated\":true" : " truncated=true");
  if (nested)
    close_nested(line, &t);
  put_text(&t, json ? "}\n" : "\n");
  return t.len;
}
